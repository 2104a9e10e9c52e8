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
    upstream : bool
        As AstroDrizzle: chips are what lies between their corners, the corners of an overlap are
        rounded to pixels, and its sides are straight in them; each row ends one pixel later.
    """

    def __init__(self, chip: ChipRecord, *, upstream: bool = False) -> None:
        self._chip, self._chain, self._upstream = chip, chip.distortion.chain(), upstream
        self._to_pixels = np.linalg.inv(np.radians(np.reshape(chip.distortion.cd, (2, 2))))
        own = self._undistorted(outline(chip, upstream=upstream))
        self._hull = convex_hull(own, 0.0 if upstream else _AROUND)

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
        pixels = undistorted_to_pixel(self._chain, polygon)
        if self._upstream:
            return fill_rounded(np.rint(pixels).astype(np.int64), self._chip.shape)
        return fill(pixels, self._chip)

    def _undistorted(self, sky: Floats) -> Floats:
        """Sky positions in undistorted pixels of the chip, 0-based, shape (n, 2)."""
        own = self._chip.distortion
        plane = np.stack(plane_of_sky(sky[:, 0], sky[:, 1], own.crval), axis=1)
        pixels: Floats = plane @ self._to_pixels.T + np.array(own.crpix) - 1.0
        return pixels


def outline(chip: ChipRecord, *, upstream: bool = False) -> Floats:
    """Outline of what may be used of a chip, ra and dec in degrees, shape (n, 2).

    Parameters
    ----------
    chip : ChipRecord
    upstream : bool
        The four corners of the whole chip alone.
    """
    if not upstream:
        return np.stack(chip.border(), axis=1)
    ny, nx = chip.shape
    x, y = np.array([0.0, nx, nx, 0.0]) - 0.5, np.array([0.0, 0.0, ny, ny]) - 0.5
    return np.stack(chip.distortion.pixel_to_sky(x, y), axis=1)


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


def convex_hull(points: Floats, around: float) -> Floats:
    """Convex hull of some points, counter-clockwise, with so many pixels around."""
    from scipy.spatial import ConvexHull

    hull: Floats = points[ConvexHull(points).vertices]
    middle = hull.mean(axis=0)
    half = 0.5 * np.ptp(hull, axis=0).min()
    return np.asarray(middle + (hull - middle) * (1.0 + around / half))


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


def fill_rounded(polygon: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Spans of a polygon with whole vertices as AstroDrizzle's sky has them: ends are included.

    Source: the polygons of stsci.skypac 1.0.12 (behaviour; no code).
    """
    ny, nx = shape
    rows = np.arange(polygon[:, 1].min(), polygon[:, 1].max() + 1)
    sought = np.minimum(rows, rows[-1] - 1)  # the last row has the edges of the one before
    (ax, ay), (bx, by) = polygon.T, np.roll(polygon, -1, axis=0).T
    edge, row = np.nonzero((ay[:, np.newaxis] > sought) != (by[:, np.newaxis] > sought))
    x = np.ceil(ax[edge] + (rows[row] - ay[edge]) * ((bx - ax)[edge] / (by - ay)[edge]))
    order = np.lexsort((x, row))
    starts, ends = (x[order[k::2]].astype(np.int64) for k in (0, 1))
    spans = np.stack([rows[row[order[::2]]], starts.clip(0), (ends + 1).clip(None, nx)], axis=1)
    inside = (spans[:, 0] >= 0) & (spans[:, 0] < ny) & (spans[:, 2] > spans[:, 1])
    return np.ascontiguousarray(spans[inside])
