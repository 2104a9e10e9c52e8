"""WCS solutions in files: headerlets, and what updated copies of exposures get.

Reading is in `hapdask.observe.solutions`; names and facts are in `hapdask.astrometry.headers`.
No input is changed here; what writes copies is `hapdask.products.returned`.
"""
