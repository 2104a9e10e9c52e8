"""Pixels that are sharper than the telescope can make them, by the pixels around them alone.

L.A.Cosmic's test, pixel by pixel: a square of 9 around each is all that it looks at, so what is
found does not depend on where the image was cut.  Hubble's stars are hardly wider than a pixel, so
the test would find cores of stars as well; they are told first, and left alone: a star has light on
all sides of its peak and around them, the track of a particle has not, in one direction at least.

Not here: the arithmetic (`hapdask.kernels.sharpness`), which pixels of which exposures are looked
at (`single_image`, `uncovered`).

Source: van Dokkum 2001, PASP 113, 1420.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels import sharpness
from hapdask.kernels.sharpness import PAD
from hapdask.kernels.sharpness import SharpTest as SharpTest
from hapdask.kernels.sharpness import StarShape as StarShape

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def find_sharp(
    light: Image, noise: Image, holes: Mask, unusable: Mask, test: SharpTest, star: StarShape
) -> Mask:
    """Find the pixels that a particle has hit.

    Parameters
    ----------
    light : ndarray of float32, shape (ny, nx), electrons
        Without sky; finite.  Beyond its border it goes on as it ends.
    noise : ndarray of float32, same shape, electrons
    holes : ndarray of bool, same shape
        Pixels whose value means nothing: neighbours stand in for them.
    unusable : ndarray of bool, same shape
        Those, and others that are not judged, such as a saturated core: its light is near enough.
    test : SharpTest
    star : StarShape

    Returns
    -------
    ndarray of bool, same shape
        True = hit.
    """
    bright = light > np.float32(star.told_from) * noise
    if not (bright & ~unusable).any():
        return np.zeros(light.shape, np.bool_)  # every hit has a bright one
    around = [np.pad(a, PAD, mode="edge") for a in (light, noise)]
    flags = [np.pad(a.view(np.uint8), PAD, mode="edge") for a in (holes, unusable)]
    hit = np.empty(around[0].shape, np.uint8)
    sharpness.find(*around, *flags, test, star, hit)
    inner: Mask = hit[PAD:-PAD, PAD:-PAD].view(np.bool_)
    return inner
