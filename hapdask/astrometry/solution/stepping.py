"""One linear step of the blocks, by a factor of the system or by one of a system like it.

A factor is dear and a product with the system is cheap: with the factor of other weights as the
preconditioner, conjugate gradients need a product for each direction in which the two systems
differ.  (To use the old factor alone diverges as soon as a weight has more than doubled.)
Source: Hestenes and Stiefel 1952, J. Res. NBS 49, 409.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.elimination import Eliminated
from hapdask.astrometry.solution.factors import Factor

Floats = NDArray[np.float64]

#: Products before a new factor is cheaper.
_MOST = 40
#: What is left of the gradient, in the norm of the preconditioner, squared and relative; and while
#: weights are soft, and the next step will be another anyway.
_LEFT, _LEFT_ROUGH = 1e-8, 1e-4


def exact_step(system: Eliminated, factor: Factor) -> Floats:
    """Give the step of the blocks, shape (blocks, 6), by the system's own factor."""
    return _spread(system, factor.solve(_chosen(system, system.right)))


def refined_step(system: Eliminated, factor: Factor, *, rough: bool = False) -> Floats | None:
    """Give the step by the factor of a system like it; None where that takes too long.

    Parameters
    ----------
    system : Eliminated
    factor : Factor
        Of a system with the same unknowns.
    rough : bool
        A step that is right to a percent is enough.

    Returns
    -------
    ndarray of float64, shape (blocks, 6), or None
    """
    residual = _chosen(system, system.right)
    solved = np.zeros_like(residual)
    begun = factor.solve(residual)
    along, size = begun, float(residual @ begun)
    enough = (_LEFT_ROUGH if rough else _LEFT) * size
    for _ in range(_MOST):
        if size <= enough:
            return _spread(system, solved)
        product = _chosen(system, system.product(_spread(system, along)).ravel())
        curvature = float(along @ product)
        if not curvature > 0.0:
            return None
        solved = solved + size / curvature * along
        residual = residual - size / curvature * product
        begun = factor.solve(residual)
        size, before = float(residual @ begun), size
        along = begun + size / before * along
    return None


def _chosen(system: Eliminated, values: Floats) -> Floats:
    return values[system.column.ravel() >= 0]


def _spread(system: Eliminated, values: Floats) -> Floats:
    step = np.zeros(system.column.shape)
    step[system.column >= 0] = values
    return step
