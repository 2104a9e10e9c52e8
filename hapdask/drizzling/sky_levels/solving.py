"""From differences of levels to levels: weighted least squares on a graph, in plain arrays.

Exposures are nodes, measured overlaps are edges.  Only differences are known: every group of
connected nodes has a free zero, which is put where the mean level of the group is 0; callers move
it.  Nodes that are held keep their level, and their group with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Edge(NamedTuple):
    """One overlap, measured on both sides.

    Attributes
    ----------
    first, second : int
        Nodes.
    difference : float
        Level of the first minus that of the second, on the same sky.
    weight : float
    first_variance, second_variance : float
        Statistical, of the two levels.
    """

    first: int
    second: int
    difference: float
    weight: float
    first_variance: float
    second_variance: float


class Levels(NamedTuple):
    """A solution.

    Attributes
    ----------
    level : ndarray of float64, shape (n,)
    covariance : ndarray of float64, shape (n, n)
        About the zero of the group; statistical.  Variances of differences do not depend on it.
    residual : ndarray of float64, shape (edges,)
        Measured minus solved.
    """

    level: Floats
    covariance: Floats
    residual: Floats


def find_groups(n: int, edges: Sequence[Edge]) -> NDArray[np.int64]:
    """Give each node the number of its group; groups are numbered by their first node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = ([e[k] for e in edges] for k in (0, 1))
    graph = coo_array((np.ones(len(edges)), (first, second)), shape=(n, n))
    labels = connected_components(graph, directed=False)[1]
    _, where, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(where))[inverse], np.int64)


def solve_levels(
    n: int,
    edges: Sequence[Edge],
    shared: Floats | None = None,
    held: dict[int, float] | None = None,
) -> Levels:
    """Solve for the levels.

    Parameters
    ----------
    n : int
        Nodes.
    edges : sequence of Edge
    shared : ndarray of float64, shape (2 edges, 2 edges), optional
        Correlations of the levels behind the differences: first the first levels of all edges, then
        the second ones; overlaps of one exposure share pixels.  Independent if absent.
    held : dict of int to float, optional
        Nodes whose levels are given.

    Returns
    -------
    Levels
    """
    held = held or {}
    level = np.zeros(n)
    level[list(held)] = list(held.values())
    design = np.zeros((len(edges), n))
    for k, edge in enumerate(edges):
        design[k, [edge.first, edge.second]] = 1.0, -1.0
    weights = np.array([e.weight for e in edges])
    measured = np.array([e.difference for e in edges])
    if len(edges) == 0:
        return Levels(level, np.zeros((n, n)), np.zeros(0))
    normal = design.T @ (weights[:, np.newaxis] * design)
    inverse = _inverse(normal, find_groups(n, edges), list(held))
    gain = inverse @ (design.T * weights)  # from differences to levels
    level = level + gain @ (measured - design @ level)
    residual = measured - design @ level
    return Levels(level, gain @ _covariance(edges, shared) @ gain.T, residual)


def _inverse(normal: Floats, group: NDArray[np.int64], held: list[int]) -> Floats:
    """Inverse of the normal matrix where levels are free, of zero mean in groups without a held."""
    inverse = np.zeros_like(normal)
    for g in range(int(group.max()) + 1):
        members = np.flatnonzero(group == g)
        free = np.setdiff1d(members, held)
        if not free.size or members.size == 1:
            continue
        block = normal[np.ix_(free, free)]
        if free.size == members.size:
            # The mean is what no difference tells: give it a weight, and take its part away.
            trace = np.trace(block)
            inner = np.linalg.inv(block + trace / free.size**2) - 1.0 / trace
        else:
            inner = np.linalg.inv(block)
        inverse[np.ix_(free, free)] = inner
    return inverse


def _covariance(edges: Sequence[Edge], shared: Floats | None) -> Floats:
    """Covariance of the differences."""
    count = len(edges)
    errors = np.sqrt([e.first_variance for e in edges] + [e.second_variance for e in edges])
    both = np.diag(errors**2) if shared is None else errors[:, np.newaxis] * shared * errors
    c: Floats = both.reshape(2, count, 2, count).transpose(0, 2, 1, 3)
    return np.asarray(c[0, 0] - c[0, 1] - c[1, 0] + c[1, 1])
