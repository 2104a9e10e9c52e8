"""Pixels that stand out and are the brightest of their surroundings.

Only pixels above the threshold are looked at, a few in a hundred: no image is filtered.  Where
single photons are counted, the image is smoothed first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage, Image, Indices, Mask


def find_peaks(image: ChipImage, threshold: float, smooth: float = 0.0) -> tuple[Indices, Indices]:
    """Find local maxima above the background.

    Parameters
    ----------
    image : ChipImage
    threshold : float
        Least height, in the background's noise.
    smooth : float, pixels
        Sigma of a Gaussian by which the image is smoothed first; 0 for none.

    Returns
    -------
    x, y : ndarray of int64, shape (n,)
        By rows.  Equal neighbours count once; a pixel beside a saturated one is none.
    """
    light, gain = image.electrons, 1.0
    if smooth:
        from scipy.ndimage import gaussian_filter

        light = gaussian_filter(np.where(image.usable, light, np.float32(0.0)), smooth)
        gain = 1.0 / (2.0 * np.sqrt(np.pi) * smooth)  # of the noise
    y, x = _above(image, light, threshold * gain)
    ny, nx = light.shape
    inner = (x > 0) & (y > 0) & (x < nx - 1) & (y < ny - 1) & image.usable[y, x]
    x, y = x[inner], y[inner]
    return _highest(light, image.usable, image.saturated, x, y)


def saturated_areas(saturated: Mask, largest: int, apart: float) -> tuple[Indices, Indices]:
    """Find the middles of saturated areas: where each is widest, for charge bleeds along columns.

    Parameters
    ----------
    saturated : ndarray of bool, shape (ny, nx)
    largest : int
        Areas of more pixels are left out: nothing about them tells where the star is.
    apart : float, pixels
        What is so near to the rim of a larger area is a ring or a spike of that star.

    Returns
    -------
    x, y : ndarray of int64, shape (n,)
    """
    from scipy import ndimage

    labels, n = ndimage.label(saturated, np.ones((3, 3)))
    x, y, size = (np.empty(n, np.int64) for _ in range(3))
    for k, (rows, columns) in enumerate(ndimage.find_objects(labels)):
        area = labels[rows, columns] == k + 1
        widths = area.sum(axis=1)
        widest = np.flatnonzero(widths == widths.max())
        row = int(widest[widest.size // 2])
        x[k] = columns.start + round(float(np.flatnonzero(area[row]).mean()))
        y[k], size[k] = rows.start + row, np.count_nonzero(area)
    kept = (size <= largest) & ~_beside_larger(x, y, size, apart)
    return x[kept], y[kept]


def _beside_larger(x: Indices, y: Indices, size: Indices, apart: float) -> Mask:
    """Which areas lie near the rim of a larger one, each taken for a disc."""
    from scipy.spatial import cKDTree

    beside: Mask = np.zeros(x.size, np.bool_)
    if x.size < 2:
        return beside
    places, radius = np.stack([x, y], axis=1).astype(float), np.sqrt(size / np.pi)
    near = cKDTree(places).query_ball_point(places, apart + radius, return_sorted=True)
    for mine, others in enumerate(near):
        some = np.array(others, np.int64)
        beside[some[size[some] < size[mine]]] = True
    return beside


def _above(image: ChipImage, light: Image, threshold: float) -> tuple[Indices, Indices]:
    """Pixels above the background's level in their box by so much noise."""
    background, (ny, nx) = image.background, light.shape
    limits = (background.level + threshold * background.noise).astype(np.float32)
    column = np.minimum(np.arange(nx) // background.box, limits.shape[1] - 1)
    found = []
    for k, first in enumerate(range(0, ny, background.box)):
        limit = limits[min(k, limits.shape[0] - 1), column]
        rows, columns = np.nonzero(light[first : first + background.box] > limit)
        found.append((rows + first, columns))
    y, x = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return y, x


def _highest(
    light: Image, usable: Mask, saturated: Mask, x: Indices, y: Indices
) -> tuple[Indices, Indices]:
    """Those that no neighbour outshines; of equal ones the last."""
    height = light[y, x]
    kept: NDArray[np.bool_] = np.ones(x.size, np.bool_)
    for dy, dx in ((j, i) for j in (-1, 0, 1) for i in (-1, 0, 1) if (j, i) != (0, 0)):
        beside = light[y + dy, x + dx]
        lower = height > beside if (dy, dx) > (0, 0) else height >= beside
        kept &= (lower | ~usable[y + dy, x + dx]) & ~saturated[y + dy, x + dx]
    return x[kept], y[kept]
