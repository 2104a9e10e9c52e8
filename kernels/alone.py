"""Where one image of a stack alone is good: areas, not single pixels.

Strategy: an opening (erosion, then dilation) by a square, along rows and then across them, each a
few passes of whole rows that LLVM turns into vector code.  Not here: the combination (`combining`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel

_ONE, _NONE = np.uint8(1), np.uint8(0)


@kernel
def find_alone(stack: NDArray[np.float32], width: int, out: NDArray[np.uint8]) -> None:
    """Find areas in which one image alone is good.

    Single bad pixels of the others are no area: they are everywhere.

    Parameters
    ----------
    stack : ndarray of float32, shape (n, ny, nx)
        NaN where an image is bad.
    width : int
        Of the squares, in which one at most is good, that make up an area; odd.  Beyond the border
        none is good.
    out : ndarray of uint8, shape (ny, nx)
        Receives 1 where one is good in such an area, else 0.
    """
    n, ny, nx = stack.shape
    side = width - 1  # squares' middles lie up to half of it beyond the border
    few, near = np.ones(nx + 2 * side, np.uint8), np.empty(nx + side, np.uint8)
    squares = np.ones((ny + 2 * side, nx + side), np.uint8)
    count = np.empty(nx, np.uint8)
    for y in range(ny):
        count[:] = _NONE
        for i in range(n):
            _count(nx, stack[i, y], count)
        _compare(nx, count, few[side : side + nx], out[y])
        for k in range(width):
            _both(nx + side, few[k:], squares[y + side])
    for y in range(ny + side):  # each row is read before it is overwritten
        for k in range(1, width):
            _both(nx + side, squares[y + k], squares[y])
    for y in range(ny):
        near[:] = _NONE
        for k in range(width):
            _either(nx + side, squares[y + k], near)
        count[:] = _NONE
        for k in range(width):
            _either(nx, near[k:], count)
        _both(nx, count, out[y])


@inline
def _count(n: int, values: Any, count: Any) -> None:
    """Count the good values, as far as two."""
    for x in range(np.uint64(n)):
        more = count[x] + (_NONE if np.isnan(values[x]) else _ONE)
        count[x] = more if more < 2 else 2


@inline
def _compare(n: int, count: Any, few: Any, one: Any) -> None:
    """Tell where one value at most is good, and where just one."""
    for x in range(np.uint64(n)):
        few[x] = _ONE if count[x] < 2 else _NONE
        one[x] = _ONE if count[x] == 1 else _NONE


@inline
def _both(n: int, a: Any, out: Any) -> None:
    for x in range(np.uint64(n)):
        out[x] &= a[x]


@inline
def _either(n: int, a: Any, out: Any) -> None:
    for x in range(np.uint64(n)):
        out[x] |= a[x]
