"""Images of stars by the telescope's diffraction alone, as a table beside the Gaussians of a PSF.

Two Gaussians are too smooth: where a star hardly fills a pixel, their misfit draws positions
towards or away from the middles of pixels by some per cent of a pixel, the same way for all stars,
and no star of the exposure tells it.  What the aperture must make of a point is known beforehand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.psf import FINE, Psf

Floats = NDArray[np.float64]

#: Shadow of the secondary mirror, in diameters of the primary; sigma of the core in lambda / D.
_SHADOW, _CORE = 0.33, 0.403
#: Reach of a table and rim that a blur needs, pixels; samples per node; wavelengths over a band,
#: and half of its width.
_REACH, _RIM, _FINER, _COLOURS, _BAND = 6, 2, 3, 5, 0.12


def airy_psf(blur: float, diffraction: float) -> Psf:
    """Make the image of a star by diffraction.

    Parameters
    ----------
    blur : float, pixels
        Sigma of a Gaussian: what detector and jitter add.
    diffraction : float, pixels
        lambda / D.
    """
    # the Gaussians carry the table, and light beyond it
    gaussian = Psf(math.hypot(blur, _CORE * diffraction), diffraction=diffraction)
    nodes = np.arange(-_REACH * FINE, _REACH * FINE + 1) / FINE
    shares = gaussian.profiles(nodes)
    smooth = np.einsum("c,yc,xc->yx", np.array(gaussian.shares), shares, shares)
    return replace(gaussian, table=_recorded(blur, diffraction) - smooth)


def _recorded(blur: float, diffraction: float) -> Floats:
    """Share of the light in a pixel, by its place from the star, at the nodes of a table."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    fine = FINE * _FINER
    light = _light(diffraction)
    seen = gaussian_filter(light, blur * fine) if blur > 0.0 else light
    # the trapezoidal rule over the pixel: samples on its rim count half
    seen = 0.5 * (uniform_filter(seen, fine + 1) + uniform_filter(seen, fine - 1))
    keep = slice(_RIM * fine, -_RIM * fine, _FINER)
    found: Floats = seen[keep, keep]
    return found


@lru_cache(maxsize=8)
def _light(diffraction: float) -> Floats:
    """Share of the light per square pixel on a fine grid: a mean over the band."""
    from scipy.special import j1

    fine = FINE * _FINER
    reach = (_REACH + _RIM) * fine
    side = np.arange(-reach, reach + 1) / fine
    away = np.hypot(side, side[:, None])
    light = np.zeros_like(away)
    for colour in np.linspace(1.0 - _BAND, 1.0 + _BAND, _COLOURS):
        x = np.maximum(math.pi * away / (diffraction * colour), 1e-9)
        field = 2.0 * (j1(x) - _SHADOW * j1(_SHADOW * x)) / x
        light += np.square(field / colour)
    # what passes an aperture of this area arrives somewhere
    light *= math.pi / 4.0 / (1.0 - _SHADOW**2) / diffraction**2 / _COLOURS
    light.setflags(write=False)
    return light
