"""Blocks of detector pixels: what each can reach on an output grid, and their pixels.

A chip is cut into blocks of whole rows of `ROW` pixels, anchored to the chip and visited in its own
order: so a tile's bits depend on neither its size nor its place.  Lives here: which blocks reach
where.  Not here: how they are dropped (`drizzle`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.chains import Chain, map_point
from hapdask.kernels.jit import inline, kernel

Floats = NDArray[np.float64]

#: Drops per call of a kernel's passes: the width of a block.
ROW = 256
#: Distance of the planes of a kernel's buffers, elements: not a power of two, or all of them would
#: share a few lines of the processor's cache.
PLANE = ROW + 8
#: Detector pixels (rows, columns) of a block, the unit that is visited or skipped.
BLOCK = (64, ROW)
#: Output pixels added around a block's mapped outline: its curvature between samples and rounding.
_MARGIN = 2.0


class ChipReach(NamedTuple):
    """What one chip can reach on one root grid: cheap, and all that a plan needs.

    Attributes
    ----------
    bounds : ndarray of int64, shape (nby, nbx, 4)
        For each block the output pixels it can reach: x0, x1, y0, y1 (ends excluded); empty
        (x0 = x1) for blocks behind the tangent plane.
    strips : ndarray of float64, shape (nby, nbx, 2, 4)
        The same along the normals of a block's sides, since a turned block fills little of its
        bounds: (u, v, low, high) with low <= u x + v y <= high.
    extent : float
        Largest extent of a detector pixel along an axis, output pixels.
    """

    bounds: NDArray[np.int64]
    strips: NDArray[np.float64]
    extent: float


class ChipPixels(NamedTuple):
    """Detector rows of one chip, ready to be dropped.

    Attributes
    ----------
    first_row : int
        Detector row of the first line of the arrays; a multiple of ``BLOCK[0]``.
    sci : ndarray of float32, shape (rows, nx)
        Pixel values in the file's units.
    err : ndarray of float32, shape (rows, nx)
        Standard deviations in the same units; of shape (0, 0) for the basic planes.
    weight : ndarray of float32, shape (rows, nx)
        Weights; 0 leaves a pixel out, whatever its value.
    doubt : ndarray of uint16, shape (rows, nx)
        Doubtful DQ flags; 0 for clean pixels.
    offset, gain : float
        Flux per output pixel = (sci - offset) * gain.
    first_column : int
        Detector column of the first element of a line; a multiple of ``BLOCK[1]``.
    """

    first_row: int
    sci: NDArray[np.float32]
    err: NDArray[np.float32]
    weight: NDArray[np.float32]
    doubt: NDArray[np.uint16]
    offset: float
    gain: float
    first_column: int = 0


def chip_reach(chain: Chain, shape: tuple[int, int], halo: float = 0.0) -> ChipReach:
    """Find what each block of a chip can reach on a root grid.

    Parameters
    ----------
    chain : Chain
    shape : tuple of int
        Detector rows and columns.
    halo : float
        How far drops reach beyond their pixels, output pixels.
    """
    ny, nx = shape
    blocks = math.ceil(ny / BLOCK[0]), math.ceil(nx / BLOCK[1])
    bounds, strips = np.zeros((*blocks, 4)), np.zeros((*blocks, 2, 4))
    extent = _reach(chain, ny, nx, halo, bounds, strips)
    return ChipReach(bounds.astype(np.int64), strips, extent)


@inline
def _sample(first: int, n: int, k: int) -> float:
    """Coordinate of border, middle and border (k = 0, 1, 2) of n pixels from ``first``."""
    return first - 0.5 + 0.5 * n * k


@inline
def _strip(dx: float, dy: float, xs: Floats, ys: Floats, bend: float, out: Floats) -> None:
    """Extent of a block across a side of direction (dx, dy)."""
    length = math.hypot(dx, dy)
    u, v = -dy / length, dx / length
    least, most = np.inf, -np.inf
    for b in range(3):
        for a in range(3):
            across = u * xs[b, a] + v * ys[b, a]
            least, most = min(least, across), max(most, across)
    # A margin along both axes reaches this much farther across a turned side.
    margin = math.sqrt(2.0) * bend
    out[0], out[1], out[2], out[3] = u, v, least - margin, most + margin


@inline
def _extent(plane: Floats) -> tuple[float, float]:
    """Least and greatest value; NaN if there is one.

    Not by NumPy's methods: compiled code that uses them brings all of numba.np, and SciPy, along.
    """
    least, most, total = np.inf, -np.inf, 0.0
    for b in range(3):
        for a in range(3):
            value = plane[b, a]
            total += value
            least, most = min(least, value), max(most, value)
    return (total, total) if math.isnan(total) else (least, most)


@kernel
def _reach(chain: Chain, ny: int, nx: int, halo: float, bounds: Floats, strips: Floats) -> float:
    """Fill bounds and strips of every block; return a pixel's largest extent along an axis."""
    extent = 0.0
    xs, ys = np.empty((3, 3)), np.empty((3, 3))
    for j in range(bounds.shape[0]):
        rows = min(BLOCK[0], ny - j * BLOCK[0])
        for i in range(bounds.shape[1]):
            columns = min(BLOCK[1], nx - i * BLOCK[1])
            for b in range(3):
                for a in range(3):
                    xs[b, a], ys[b, a] = map_point(
                        chain,
                        _sample(i * BLOCK[1], columns, a),
                        _sample(j * BLOCK[0], rows, b),
                    )
            left, right = _extent(xs)
            bottom, top = _extent(ys)
            if math.isnan(left):
                continue
            margin = _MARGIN + halo
            bend = margin
            for m in range(3):
                for plane in (xs, ys):
                    bend = max(bend, margin + abs(plane[m, 0] + plane[m, 2] - 2 * plane[m, 1]))
                    bend = max(bend, margin + abs(plane[0, m] + plane[2, m] - 2 * plane[1, m]))
            for plane in (xs, ys):
                along, across = 0.0, 0.0
                for m in range(3):
                    for a in range(2):
                        along = max(along, abs(plane[m, a + 1] - plane[m, a]) / (0.5 * columns))
                        across = max(across, abs(plane[a + 1, m] - plane[a, m]) / (0.5 * rows))
                extent = max(extent, along + across)
            bounds[j, i, 0] = math.floor(left - bend)
            bounds[j, i, 1] = math.ceil(right + bend) + 1
            bounds[j, i, 2] = math.floor(bottom - bend)
            bounds[j, i, 3] = math.ceil(top + bend) + 1
            for side in range(2):
                dx = xs[1, 2] - xs[1, 0] if side else xs[2, 1] - xs[0, 1]
                dy = ys[1, 2] - ys[1, 0] if side else ys[2, 1] - ys[0, 1]
                _strip(dx, dy, xs, ys, bend, strips[j, i, side])
    return extent


def blocks_reaching(reach: ChipReach, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.int64]:
    """Blocks of a chip that can reach output rows y0 to y1 and columns x0 to x1 (ends excluded).

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Block indices (j, i), ordered along the chip.
    """
    b = reach.bounds
    real = b[..., 0] < b[..., 1]
    hit = real & (b[..., 0] < x1) & (b[..., 1] > x0) & (b[..., 2] < y1) & (b[..., 3] > y0)
    found: NDArray[np.int64] = np.argwhere(hit)
    if not found.size:
        return found
    u, v, low, high = np.moveaxis(reach.strips[found[:, 0], found[:, 1]], -1, 0)
    middle = 0.5 * (u * (x0 + x1 - 1) + v * (y0 + y1 - 1))
    half = 0.5 * (np.abs(u) * (x1 - x0) + np.abs(v) * (y1 - y0))
    near = (middle - half <= high) & (middle + half >= low)
    chosen: NDArray[np.int64] = found[near.all(axis=-1)]
    return chosen
