"""Detection of point-like sources on calibrated exposures, for alignment.

`detect_sources` finds them, by our own way or by TweakReg's or HAP's.  Ours, from the file up:
`chip_image` (pixels, noise, background), `peaks`, `psf` and `airy` (what a star looks like),
`fitting`, `measuring` (the PSF of a chip), `stars` (all of it together).  TweakReg's is
`imagefind`, HAP's `segments`; both use `daofind`.
"""

from hapdask.astrometry.detection.run import default_parameters, detect_sources

__all__ = ["default_parameters", "detect_sources"]
