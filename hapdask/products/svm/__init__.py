"""Products of a single visit (SVM): names, headers, manifest, metrics, the stored outcome.

Not here: drizzling and writing them (`hapdask.recipes.svm`), their exposures' grouping
(`hapdask.observe.visits`).
"""
