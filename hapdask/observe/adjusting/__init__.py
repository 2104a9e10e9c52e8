"""What a run changes of its exposures before any step: pure functions of records, no pixel read.

`adjust.adjust` does all that a run's parameters ask for, in its order; each matter has a module.
Not here: opening files, masks, what a step measures.
"""
