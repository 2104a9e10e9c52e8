"""Corrections from matched positions, and whether they may be believed.

``visit``         relative, then absolute: catalogs, methods and geometries in order
``tweakreg``      TweakReg's way instead: one exposure after the other, growing the references
``refine``        what the joint solution may change of that, and what it may not

``result``        the noun `Fit`, and the geometries
``linear``        weighted least squares in the tangent plane, with covariance
``clipping``      robust rejection; TweakReg's and tweakwcs's rules
``verification``  held-out matches
``acceptance``    when a fit is a demonstrated one, better than the header; grades
``hap_quality``   HAP's evaluation, which compat asks for besides
``starting``      the first offset and window, as a method says
``tasks``         two lists to be laid on each other, and what came of it
``pairing``       one list of sources against references
``ladder``        its geometries: match, fit, judge
``overlaps``      which exposures share most, and in which order to align them
``relative``      the exposures of a visit to each other
``grouped``       who of them moves, and how far each is from its header
``stars``         the stars that exposures see in common
``placement``     the verdict on an exposure
``members``       the same as the joint solution takes it
``tweak_one``     TweakReg's match and fit of one exposure
``tweaked``       what its run gave, for match files and plots
``lists``         what is matched, from sources and catalogs

Works on lists of positions; no pixel is read.
"""
