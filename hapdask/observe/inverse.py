"""From the sky to the pixels of a chip: the inverse of its distortion, by fixed-point iteration.

For lists of positions (catalogs, sources).  Images go the other way, from pixels to the sky.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.distortion import Distortion
from hapdask.sky.tangent import project

Floats = NDArray[np.float64]

_ROUNDS = 60
#: Pixels in the tangent plane by which a position may be missed at the end.
_CLOSE = 1e-7


def sky_to_pixel(distortion: Distortion, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Find the detector positions of sky positions.

    Parameters
    ----------
    distortion : Distortion
    ra, dec : ndarray of float64, shape (n,), degrees, ICRS

    Returns
    -------
    x, y : ndarray of float64, shape (n,), pixels
        0-based, to 1e-7 pixel; NaN for positions behind the tangent plane, or so far off the chip
        that its polynomial does not lead back.
    """
    back = np.linalg.inv(np.reshape(distortion.cd, (2, 2)))

    def undistorted(ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        u, v = back @ np.stack(project(ra, dec, *distortion.crval))
        return u + distortion.crpix[0] - 1.0, v + distortion.crpix[1] - 1.0

    there_x, there_y = undistorted(np.asarray(ra, float), np.asarray(dec, float))
    x, y = there_x.copy(), there_y.copy()
    ny, nx = distortion.shape
    reach = 2.0 * max(nx, ny)
    for _ in range(_ROUNDS):
        off = ~((np.abs(x) < reach) & (np.abs(y) < reach))
        x[off], y[off] = np.nan, np.nan
        here_x, here_y = undistorted(*distortion.pixel_to_sky(x, y))
        dx, dy = there_x - here_x, there_y - here_y
        x, y = x + dx, y + dy
        left = np.hypot(dx, dy)
        if not np.any(left > _CLOSE):
            break
    missed = ~(left <= _CLOSE)
    x[missed], y[missed] = np.nan, np.nan
    return x, y
