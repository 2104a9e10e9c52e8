"""Single-visit mosaics (SVM): the exposures of a visit aligned, and all its drizzled products.

`planning` decides from headers, `aligning` is the one barrier of a visit, `frames` tells which
exposures share a grid, `steps` what a filter finds once, `products` and `mosaics` make what is
drizzled, `returned` what exposures get back, `telling` and `quality` what goes with it, `ledger`
remembers what is made; `visit` is a visit from alignment to outcome, `run` several of them.  All of
them compose: the engine of the steps is `hapdask.recipes.astrodrizzle`, alignment
`hapdask.recipes.alignment`, names, headers and texts `hapdask.products.svm`.
"""
