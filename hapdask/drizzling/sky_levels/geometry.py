"""Where chips overlap: the pixels of one chip that lie on another.

A pixel belongs to an overlap if its centre lies within the other chip's outline on the sky.  The
outline is cut to the neighbourhood of the chip, brought to its pixels by the inverse of its exact
map, and filled row by row; no polygon library, no map of every pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels import chains
from hapdask.observe.distortion import plane_of_sky
from hapdask.observe.parts import ChipRecord

Floats = NDArray[np.float64]

#: Pixels around a chip within which another's outline is kept.
_AROUND = 4.0
_ITERATIONS, _CONVERGED = 60, 1e-6


class ChipArea:
    """A chip, ready to be asked for its pixels on other chips.

    Parameters
    ----------
    chip : ChipRecord
        Where only a window of it may be used, it alone counts.
    """

    def __init__(self, chip: ChipRecord) -> None:
        self._chip, self._chain = chip, chip.distortion.chain()
        self._to_pixels = np.linalg.inv(np.radians(np.reshape(chip.distortion.cd, (2, 2))))
        self._hull = _enlarged_hull(self._undistorted(outline(chip)))

    def spans(self, border: Floats) -> NDArray[np.int64]:
        """Find the pixels whose centres lie on another chip.

        Parameters
        ----------
        border : ndarray of float64, shape (n, 2)
            The other chip's `outline`, less than 90 degrees away.

        Returns
        -------
        ndarray of int64, shape (n, 3)
            Rows of (y, first x, x after the last), see `hapdask.kernels.image_statistics`.
        """
        theirs = self._undistorted(border)
        if not np.isfinite(theirs).all():
            return np.empty((0, 3), np.int64)
        polygon = clip_polygon(theirs, self._hull)
        if len(polygon) < 3:
            return np.empty((0, 3), np.int64)
        return fill(undistorted_to_pixel(self._chain, polygon), self._chip)

    def _undistorted(self, sky: Floats) -> Floats:
        """Sky positions in undistorted pixels of the chip, 0-based, shape (n, 2)."""
        own = self._chip.distortion
        plane = np.stack(plane_of_sky(sky[:, 0], sky[:, 1], own.crval), axis=1)
        pixels: Floats = plane @ self._to_pixels.T + np.array(own.crpix) - 1.0
        return pixels


def outline(chip: ChipRecord) -> Floats:
    """Outline of what may be used of a chip, ra and dec in degrees, shape (n, 2)."""
    return np.stack(chip.border(), axis=1)


def undistorted_to_pixel(chain: chains.Chain, focal: Floats) -> Floats:
    """Detector positions of undistorted pixels, shape (n, 2): the inverse of the exact map.

    For positions on or near the chip.  Each step takes away what is missing, the distortion being
    a few per cent of a pixel per pixel.
    """
    target_x, target_y = np.ascontiguousarray(focal[:, 0]), np.ascontiguousarray(focal[:, 1])
    x, y = target_x.copy(), target_y.copy()
    got_x, got_y = np.empty_like(x), np.empty_like(y)
    for _ in range(_ITERATIONS):
        chains.map_points(chain, x, y, got_x, got_y)
        dx, dy = target_x - got_x, target_y - got_y
        x, y = x + dx, y + dy
        if max(np.abs(dx).max(), np.abs(dy).max()) < _CONVERGED:
            break
    return np.stack([x, y], axis=1)


def _enlarged_hull(points: Floats) -> Floats:
    """Convex hull of some points, counter-clockwise, with `_AROUND` pixels around."""
    from scipy.spatial import ConvexHull

    hull: Floats = points[ConvexHull(points).vertices]
    middle = hull.mean(axis=0)
    half = 0.5 * np.ptp(hull, axis=0).min()
    return np.asarray(middle + (hull - middle) * (1.0 + _AROUND / half))


def clip_polygon(polygon: Floats, convex: Floats) -> Floats:
    """Cut a polygon to a convex one (counter-clockwise); shape (n, 2), n = 0 where apart.

    Notes
    -----
    Source: Sutherland and Hodgman 1974, Communications of the ACM 17, 32.
    """
    for a, b in zip(convex, np.roll(convex, -1, axis=0), strict=True):
        if not len(polygon):
            break
        normal = np.array([a[1] - b[1], b[0] - a[0]])
        side = (polygon - a) @ normal
        after, side_after = np.roll(polygon, -1, axis=0), np.roll(side, -1)
        crosses = (side >= 0) != (side_after >= 0)
        share = side / np.where(crosses, side - side_after, 1.0)
        cut = polygon + share[:, np.newaxis] * (after - polygon)
        both = np.stack([polygon, cut], axis=1).reshape(-1, 2)
        polygon = both[np.stack([side >= 0, crosses], axis=1).ravel()]
    return polygon


def fill(polygon: Floats, chip: ChipRecord) -> NDArray[np.int64]:
    """Spans of the usable pixels of a chip whose centres lie in a polygon (even-odd rule)."""
    ny, nx = chip.shape
    x0, x1, y0, y1 = chip.window or (0, nx, 0, ny)
    rows = np.arange(y0, y1)
    (ax, ay), (bx, by) = polygon.T, np.roll(polygon, -1, axis=0).T
    edge, row = np.nonzero((ay[:, np.newaxis] > rows) != (by[:, np.newaxis] > rows))
    y = rows[row]
    x = ax[edge] + (y - ay[edge]) * ((bx[edge] - ax[edge]) / (by[edge] - ay[edge]))
    order = np.lexsort((x, y))
    # Every row is crossed an even number of times.
    starts, ends = (np.clip(np.ceil(x[order[k::2]]), x0, x1).astype(np.int64) for k in (0, 1))
    spans = np.stack([y[order[::2]], starts, ends], axis=1)
    return np.ascontiguousarray(spans[ends > starts], dtype=np.int64)
