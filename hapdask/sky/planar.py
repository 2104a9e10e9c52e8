"""Polygons in a plane: the few questions that sky geometry asks after projection.

Here: points in a polygon, a point that is surely inside, polygon against boxes. Great circles
are straight lines of a tangent plane, so the answers hold on the sky.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def points_in_polygon(x: FloatArray, y: FloatArray, polygon: FloatArray) -> BoolArray:
    """Tell which points lie inside a polygon (even-odd rule); NaN lies outside.

    Parameters
    ----------
    x, y : ndarray of float64, any equal shape
    polygon : ndarray of float64, shape (n, 2)
        Vertices, not closed.

    Returns
    -------
    ndarray of bool, the shape of x
    """
    inside = np.zeros(np.shape(x), dtype=np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        spans = (y1 > y) != (y2 > y)
        inside ^= spans & (x < x1 + (y - y1) * ((x2 - x1) / (y2 - y1)))
    return inside


def inside_point(polygon: FloatArray) -> tuple[float, float]:
    """Return a point well inside a polygon: middle of its widest span on a scan line.

    Parameters
    ----------
    polygon : ndarray of float64, shape (n, 2)
        Vertices, not closed. A polygon without area yields one of its vertices.
    """
    levels = np.unique(polygon[:, 1])
    if levels.size == 1:
        return (float(polygon[0, 0]), float(polygon[0, 1]))
    gap = int(np.argmax(np.diff(levels)))
    level = 0.5 * (levels[gap] + levels[gap + 1])
    after = np.roll(polygon, -1, axis=0)
    spans = (polygon[:, 1] > level) != (after[:, 1] > level)
    (x1, y1), (x2, y2) = polygon[spans].T, after[spans].T
    crossings = np.sort(x1 + (level - y1) * (x2 - x1) / (y2 - y1))
    widest = 2 * int(np.argmax(crossings[1::2] - crossings[0::2]))
    return (float(0.5 * (crossings[widest] + crossings[widest + 1])), float(level))


def polygon_meets_boxes(polygon: FloatArray, low: FloatArray, high: FloatArray) -> BoolArray:
    """Tell which boxes share area with a polygon.

    An edge that enters a box shows it; where none does, the box is wholly inside or wholly
    outside, and its middle tells which.

    Parameters
    ----------
    polygon : ndarray of float64, shape (n, 2)
        Vertices x, y, not closed.
    low, high : ndarray of float64, shape (m, 2)
        Corners of the boxes, x, y.

    Returns
    -------
    ndarray of bool, shape (m,)

    Notes
    -----
    Source: Liang and Barsky 1984, ACM Transactions on Graphics 3, 1 (parametric clipping).
    """
    start = polygon[:, np.newaxis, :]
    step = np.roll(polygon, -1, axis=0)[:, np.newaxis, :] - start
    with np.errstate(divide="ignore", invalid="ignore"):
        t1, t2 = (low - start) / step, (high - start) / step
    enter, leave = np.minimum(t1, t2), np.maximum(t1, t2)
    # An edge parallel to an axis is between the two sides all along, or nowhere.
    between = (low < start) & (start < high)
    enter = np.where(step == 0.0, np.where(between, -np.inf, np.inf), enter).max(axis=2)
    leave = np.where(step == 0.0, np.where(between, np.inf, -np.inf), leave).min(axis=2)
    entered = np.maximum(enter, 0.0) < np.minimum(leave, 1.0)
    middle = 0.5 * (low + high)
    inside = points_in_polygon(middle[:, 0], middle[:, 1], polygon)
    return np.asarray(entered.any(axis=0) | inside)
