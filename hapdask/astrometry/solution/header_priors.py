"""What is known of corrections before any star is seen: how wrong headers are.

The exposures of a visit share guide stars, so most of the error of their headers is one.  A block
per visit carries it; what an exposure's own differs is small.  These priors fix every freedom that
the data leave (a group without reference stars, too few sources for a geometry) with stated errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.problem import Problem

Floats = NDArray[np.float64]

#: Parameters whose errors the exposures of a visit share.
_SHARED = 4


def header_information(problem: Problem) -> Any:
    """Give the information matrix of all blocks, sparse, shape (6 blocks, 6 blocks), mas**-2.

    With that of areas: what is probable of field motions and of a release's frame.
    """
    from scipy.sparse import block_diag, csr_array

    p = problem.parameters
    own = np.array(p.exposure_errors)
    common = np.array(p.header_errors)
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    count = 0

    def add(*terms: tuple[int, int, float]) -> None:
        nonlocal count
        for block, k, value in terms:
            rows.append(count)
            columns.append(6 * block + k)
            values.append(value)
        count += 1

    exposures = len(problem.names)
    for j in range(exposures):
        v = exposures + int(problem.visit[j])
        cos, sin = _turn(problem, j)
        turned = ((cos, -sin), (sin, cos))
        for k in np.flatnonzero(problem.used[j]).tolist():
            w = 1.0 / own[k]
            if k < 2:
                add((j, k, w), (v, 0, -w * turned[k][0]), (v, 1, -w * turned[k][1]))
            elif k < _SHARED:
                add((j, k, w), (v, k, -w))
            else:
                add((j, k, w))
    for v in range(len(problem.visits)):
        for k in range(_SHARED):
            add((exposures + v, k, 1.0 / common[k]))
    size = 6 * problem.first_area
    jacobian = csr_array((values, (rows, columns)), shape=(count, size))
    return block_diag([jacobian.T @ jacobian, problem.common.information], format="csr")


def _turn(problem: Problem, j: int) -> tuple[float, float]:
    """Cosine and sine of the turn from the axes of the visit's first exposure to another's."""
    first = int(np.argmax(problem.visit == problem.visit[j]))
    between = problem.basis[j, :2] @ problem.basis[first, :2].T
    angle = np.arctan2(between[1, 0] - between[0, 1], between[0, 0] + between[1, 1])
    return float(np.cos(angle)), float(np.sin(angle))
