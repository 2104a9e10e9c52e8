"""Which exposures of a visit share most of the sky, and in which order to align them.

By the outlines of the exposures, or of their sources: the number of each one's sources within
another's outline.  The reference exposure is the one that shares most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Outlines are taken this much larger, arcsec: headers are wrong by so much.
_SLACK = 2.0


def shared_sources(places: list[Floats], outlines: list[Floats]) -> NDArray[np.int64]:
    """Count the sources that each pair of exposures may have in common.

    Parameters
    ----------
    places : list of ndarray of float64, shape (n, 2), arcsec
        Sources of each exposure in a common plane.
    outlines : list of ndarray of float64, shape (m, 2), arcsec
        Points around each exposure.

    Returns
    -------
    ndarray of int64, shape (exposures, exposures)
        The smaller number of the two ways; 0 on the diagonal.
    """
    sides = [_sides(outline) for outline in outlines]
    count = len(places)
    inside = np.zeros((count, count), np.int64)
    for a in range(count):
        for b in range(count):
            if a != b:
                inside[a, b] = np.count_nonzero(_within(places[a], sides[b]))
    return np.minimum(inside, inside.T)


def overlap_areas(outlines: list[Floats]) -> Floats:
    """Give the areas that the convex hulls of some points have in common.

    Parameters
    ----------
    outlines : list of ndarray of float64, shape (n, 2), arcsec

    Returns
    -------
    ndarray of float64, shape (outlines, outlines), arcsec^2
        0 on the diagonal.
    """
    count = len(outlines)
    sides = [_sides(outline) for outline in outlines]
    areas = np.zeros((count, count))
    for a in range(count):
        for b in range(a):
            areas[a, b] = areas[b, a] = _common_area(np.concatenate([sides[a], sides[b]]))
    return areas


def alignment_groups(shared: NDArray[np.int64], least: int) -> list[list[int]]:
    """Order exposures: each group begins with its reference, then grows by the best tied.

    Parameters
    ----------
    shared : ndarray of int64, shape (n, n)
    least : int
        Shared sources without which two exposures are not tied.

    Returns
    -------
    list of list of int
        Groups that share nothing, each in the order of alignment; equal ones by their number.
    """
    tied = np.where(shared >= max(least, 1), shared, 0)
    left = set(range(len(tied)))
    groups = []
    while left:
        first = max(sorted(left), key=lambda k: int(sum(tied[k, m] for m in left)))
        group = [first]
        left.remove(first)
        while left:
            best = max(sorted(left), key=lambda k: int(tied[k, group].sum()))
            if not tied[best, group].any():
                break
            group.append(best)
            left.remove(best)
        groups.append(group)
    return groups


def _sides(outline: Floats) -> Floats:
    """Half planes (a, b, c), a x + b y + c <= 0 inside, of the hull of some points."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        equations: Floats = ConvexHull(outline).equations
    except (QhullError, ValueError):  # fewer than three points, or all in a line: their box
        if not len(outline):
            return np.array([[0.0, 0.0, np.inf]])
        (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
        equations = np.array([[-1.0, 0, x0], [1.0, 0, -x1], [0, -1.0, y0], [0, 1.0, -y1]])
    return equations


def _within(xy: Floats, sides: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.all(xy @ sides[:, :2].T + sides[:, 2] <= _SLACK, axis=1))


def _common_area(sides: Floats) -> float:
    """Area inside all of some half planes; 0 where they leave none, or it has no end."""
    from scipy.optimize import linprog
    from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

    if not np.isfinite(sides).all():  # nothing was outlined
        return 0.0
    # the middle of the largest circle inside: (a, b) . xy + radius <= -c
    normal = np.hypot(*sides[:, :2].T)
    inner = linprog(
        [0.0, 0.0, -1.0],
        A_ub=np.column_stack([sides[:, :2], normal]),
        b_ub=-sides[:, 2],
        bounds=[(None, None)] * 2 + [(0.0, None)],
    )
    if inner.status != 0 or not inner.x[2] > 0:
        return 0.0
    try:
        corners = HalfspaceIntersection(sides, inner.x[:2]).intersections
        return float(ConvexHull(corners).volume)
    except QhullError:
        return 0.0
