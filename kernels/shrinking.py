"""Weighted sums over squares of pixels: a large plane made small in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel


@kernel
def add_squares(
    sci: NDArray[np.float32],
    wht: NDArray[np.float32],
    y0: int,
    x0: int,
    step: int,
    total: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> None:
    """Add a block of pixels to sums over squares of ``step`` x ``step`` pixels.

    Parameters
    ----------
    sci, wht : ndarray of float32, shape (ny, nx)
        Values that are not finite, and those without positive weight, are left out.
    y0, x0 : int
        Where the first pixel lies in the plane, 0-based; blocks may cut squares.
    step : int
        Side of the squares, pixels.
    total, weight : ndarray of float64, shape (ceil(plane ny / step), ceil(plane nx / step))
        Sums of ``wht * sci`` and ``wht``, added to.
    """
    ny, nx = sci.shape
    for j in range(ny):
        row = (y0 + j) // step
        column, left = x0 // step, step - x0 % step
        for i in range(nx):
            w, v = np.float64(wht[j, i]), np.float64(sci[j, i])
            if w > 0.0 and np.isfinite(w) and np.isfinite(v):
                total[row, column] += w * v
                weight[row, column] += w
            left -= 1
            if left == 0:
                column, left = column + 1, step
