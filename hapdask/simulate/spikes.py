"""Diffraction spikes: four arms at 45 degrees to the telescope's axes, so fixed to its roll.

What lives here: how the arms of bright stars are drawn. The share of a star's light that goes
into them is taken from the rest of its image, so that its flux stays what it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SHARE = 0.012  # of the flux of a star, over the four arms
ANGLES = (45.0, 135.0, 225.0, 315.0)  # degrees from V3
LENGTH = 1.6  # arcsec in which an arm fades by a factor e
_REACH = 6.0  # lengths at which an arm is cut
_STEP = 0.25  # pixels between the packets of light of an arm
_FAINTEST = 0.02  # electrons / pixel of arm below which none is drawn


def has_spikes(electrons: FloatArray, pixel_scale: float) -> npt.NDArray[np.bool_]:
    """Which stars are bright enough for arms that matter.

    Parameters
    ----------
    electrons : ndarray of float64, shape (n,)
        Recorded in the exposure.
    pixel_scale : float
        arcsec.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    peak = electrons * SHARE / len(ANGLES) * pixel_scale / LENGTH
    return np.asarray(peak >= _FAINTEST)


def add_spikes(image: FloatArray, x: float, y: float, flux: float, arms: FloatArray) -> None:
    """Add the four arms of a star to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (ny, nx)
        What is added to.
    x, y : float
        0-based pixel position of the star.
    flux : float
        Sum over all arms, in the image's unit.
    arms : ndarray of float64, shape (2, 4)
        Pixels (x, y) per arm that one `LENGTH` spans on the detector.

    Notes
    -----
    An arm is a line of packets of light, each shared between the four pixels around it by its
    place (bilinear), with brightness falling exponentially outwards.
    """
    steps = int(np.ceil(_REACH * float(np.hypot(*arms).max()) / _STEP))
    along = (np.arange(steps) + 0.5) * _REACH / steps
    weight = np.exp(-along)
    weight *= flux / (weight.sum() * arms.shape[1])
    px = (x + along[:, None] * arms[0]).ravel()
    py = (y + along[:, None] * arms[1]).ravel()
    packets = np.repeat(weight, arms.shape[1])
    ix, iy = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
    fx, fy = px - ix, py - iy
    ny, nx = image.shape
    for dx, dy, part in (
        (0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)),
        (0, 1, (1 - fx) * fy), (1, 1, fx * fy),
    ):  # fmt: skip
        jx, jy = ix + dx, iy + dy
        inside = (jx >= 0) & (jx < nx) & (jy >= 0) & (jy < ny)
        np.add.at(image, (jy[inside], jx[inside]), (packets * part)[inside])
