"""Outlines of a map of pixels with data, as polygons of few corners.

Not here: how the map is made (`coverage`), and the sky (`hapdask.sky.footprint`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def outline_polygons(
    cells: npt.NDArray[np.bool_], step: int, tolerance: float, most_corners: int
) -> list[FloatArray]:
    """Trace the outer outlines of the true cells of a map.

    Parameters
    ----------
    cells : ndarray of bool, shape (ny, nx)
        Each cell is ``step`` x ``step`` pixels.
    step : int
        Pixels per cell.
    tolerance : float
        How far a corner may be from the polygon that leaves it out, pixels; regions smaller
        than its square are dropped.
    most_corners : int
        Where there are more (a polygon counts for two more), the tolerance is doubled until
        there are not.

    Returns
    -------
    list of ndarray of float64, shape (n, 2)
        x, y of the corners in 0-based pixels, anticlockwise, the first not repeated; the
        largest polygon first.  Holes are not cut out.
    """
    import contourpy
    from scipy import ndimage

    filled = np.pad(ndimage.binary_fill_holes(cells), 1).astype(np.float32)
    if not filled.any():
        return []
    lines = contourpy.contour_generator(z=filled).lines(0.5)
    # cell c covers pixels c*step .. c*step + step - 1; the padding shifted cells by one
    traced = [(np.asarray(line)[:-1] - 1.0 + 0.5) * step - 0.5 for line in lines]
    traced = sorted(traced, key=polygon_area, reverse=True)
    while True:
        polygons = [
            simplify(line, tolerance) for line in traced if polygon_area(line) > tolerance**2
        ]
        if sum(len(p) + 2 for p in polygons) <= most_corners:  # 2: a name, a corner repeated
            return [p for p in polygons if len(p) > 2]
        tolerance *= 2.0


def polygon_area(corners: FloatArray) -> float:
    """Give the area of a polygon, positive if anticlockwise (shoelace formula)."""
    x, y = corners[:, 0], corners[:, 1]
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def simplify(corners: FloatArray, tolerance: float) -> FloatArray:
    """Leave out corners of a closed polygon that are within a tolerance of what remains.

    Parameters
    ----------
    corners : ndarray of float64, shape (n, 2)
        The first not repeated.
    tolerance : float
        In the unit of the corners.

    Returns
    -------
    ndarray of float64, shape (m, 2)

    Notes
    -----
    Source: Douglas and Peucker 1973, Cartographica 10, 112; the polygon is split at the corner
    farthest from its middle and at the corner farthest from that, whatever corner it starts with.
    """
    if len(corners) < 4:
        return corners
    start = int(np.argmax(np.hypot(*(corners - corners.mean(axis=0)).T)))
    ring = np.roll(corners, -start, axis=0)
    half = int(np.argmax(np.hypot(*(ring - ring[0]).T)))
    ring = np.vstack([ring, ring[:1]])
    kept = {0, half}
    open_parts = [(0, half), (half, len(ring) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        if last - first < 2:
            continue
        distance = _distances(ring[first + 1 : last], ring[first], ring[last])
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            kept.add(middle)
            open_parts += [(first, middle), (middle, last)]
    return ring[sorted(kept)]


def _distances(points: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Distances of points from the segment a, b."""
    along = b - a
    length = float(along @ along)
    share = np.clip((points - a) @ along / length, 0.0, 1.0) if length else np.zeros(len(points))
    away = points - a - share[:, None] * along
    return np.hypot(away[:, 0], away[:, 1])
