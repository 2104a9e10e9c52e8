"""What an alignment shows: tables of verdicts, plots of residuals, a section of the report.

Not here: text files under TweakReg's names (`hapdask.products.tweakreg`), headers and headerlets
(`hapdask.products.solutions`).
"""
