"""Visits: which exposures of a proposal visit make which products, as pure data.

`tree` groups records into visits, detectors and filters; `roles` says what part an exposure takes.
Which exposures enter at all is `hapdask.observe.selection`; names of files and headers are
`hapdask.products.svm`.
"""
