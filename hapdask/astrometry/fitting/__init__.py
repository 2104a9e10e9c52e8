"""Corrections from matched positions, and whether they may be believed.

``result``        the noun `Fit`, and the geometries
``linear``        weighted least squares in the tangent plane, with covariance
``clipping``      robust rejection; TweakReg's and tweakwcs's rules for compat
``verification``  held-out matches
``acceptance``    when a fit is a demonstrated one, better than the header; grades
``starting``      the first offset and window, as a method says
``pairing``       one list of sources against references: search, match, fit, judge
``overlaps``      which exposures share most, and in which order to align them
``relative``      the exposures of a visit to each other
``stars``         the stars that exposures see in common
``placement``     the verdict on an exposure
``lists``         what is matched, from sources and catalogs
``visit``         relative, then absolute: catalogs, methods and geometries in order

Works on lists of positions; no pixel is read.
"""
