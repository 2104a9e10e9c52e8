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
        Where there are more (a polygon counts for two more), the map is made coarser, and the
        tolerance with it, until there are not.

    Returns
    -------
    list of ndarray of float64, shape (n, 2)
        x, y of the corners in 0-based pixels, anticlockwise, the first not repeated; the
        largest polygon first.  Holes are not cut out.
    """
    smallest = tolerance**2
    while True:
        traced = _trace(cells, step, smallest)
        polygons = [simplify(line, tolerance) for line in traced]
        if sum(len(p) + 2 for p in polygons) <= most_corners or max(cells.shape) == 1:
            return sorted(polygons, key=polygon_area, reverse=True)
        cells, step, tolerance = _coarser(cells), 2 * step, 2 * tolerance


def _trace(cells: npt.NDArray[np.bool_], step: int, smallest: float) -> list[FloatArray]:
    """Trace outlines that enclose at least an area: x, y in pixels, anticlockwise."""
    import contourpy

    if not cells.any():
        return []
    lines = contourpy.contour_generator(z=np.pad(cells, 1).astype(np.float32)).lines(0.5)
    # A hole runs clockwise, and so has a negative area. A line of n points (the first of them
    # twice) encloses at most n**2 / 4 pi cells: the many small ones cost no time.
    shortest = np.sqrt(4 * np.pi * smallest) / step
    outlines = []
    for line in lines:
        if len(line) > shortest:
            # cell c covers pixels c*step .. c*step + step - 1; the padding shifted cells by one
            corners = (np.asarray(line)[:-1] - 0.5) * step - 0.5
            if polygon_area(corners) >= smallest:
                outlines.append(corners)
    return outlines


def _coarser(cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Join cells by two on both axes; a joined cell is true if one of its parts is."""
    ny, nx = cells.shape
    even = np.pad(cells, ((0, ny % 2), (0, nx % 2)))
    return np.asarray(even.reshape(-(-ny // 2), 2, -(-nx // 2), 2).any(axis=(1, 3)))


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
    if len(kept) == 2:  # narrower than the tolerance: keep its width all the same
        for first, last in ((0, half), (half, len(ring) - 1)):
            if last - first > 1:
                distance = _distances(ring[first + 1 : last], ring[first], ring[last])
                kept.add(first + 1 + int(np.argmax(distance)))
    return ring[sorted(kept)]


def _distances(points: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Distances of points from the segment a, b."""
    along = b - a
    length = float(along @ along)
    share = np.clip((points - a) @ along / length, 0.0, 1.0) if length else np.zeros(len(points))
    away = points - a - share[:, None] * along
    return np.hypot(away[:, 0], away[:, 1])
