"""Single-visit mosaics (SVM): the exposures of a visit aligned, and all its drizzled products.

`planning` decides from headers, `frames` makes the grid of each detector, `steps` what is measured
of its filters, `mosaics` one drizzled product, `returned` what exposures get back, `visit` a visit
from alignment to manifest, `run` several visits.  All of them compose: the engine of the steps is
`hapdask.recipes.astrodrizzle`, alignment `hapdask.recipes.alignment`, names and headers
`hapdask.products.svm`.
"""
