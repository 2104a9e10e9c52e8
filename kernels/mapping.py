"""Rows of detector pixels mapped to output pixels, fast: within 1e-8 pixel of the exact chain.

Strategy: inside a cell of the look-up tables the chain (`chains`) is a smooth function, so
``map_row`` evaluates a bicubic through 4x4 exact nodes of the cell, fifty times faster.
Cells are anchored to the chip, so a position never depends on which part of a chip is asked for.
AstroDrizzle's own map, bilinear between exact nodes some pixels apart, is such cells too.

Lives here: positions.  Not here: areas and sums (``square``), headers (``observe.distortion``).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.chains import Chain, map_point, map_points
from hapdask.kernels.jit import inline, kernel

Floats = NDArray[np.float64]

#: Largest side of a bicubic cell, in detector pixels.
CELL = 32
#: Extra width of the strip around a table node in which positions are evaluated exactly; nodes
#: that are closer to each other are taken as one.
_GUARD = 1e-6
#: Change of a table's step, pixels, below which it is taken as straight: what is missed is less.
_STRAIGHT = 5e-8


class PixelMap(NamedTuple):
    """The chain and its bicubic cells for one chip and one output grid.

    ``coefficients[j, i, axis, q, p]`` multiplies ``(x - edges_x[i])**p * (y - edges_y[j])**q``.
    """

    chain: Chain
    edges_x: Floats  # (ncx + 1,) cell borders, 0-based detector positions
    edges_y: Floats
    guard: Floats  # (2,) half-width x, y of the exact strips around cell borders
    coefficients: Floats  # (ncy, ncx, 2, 4, 4)


def make_pixel_map(
    chain: Chain,
    shape: tuple[int, int],
    rows: tuple[int, int] | None = None,
    stepsize: int = 0,
    columns: tuple[int, int] | None = None,
) -> PixelMap:
    """Cut a chip into cells and fit each one's bicubic.

    Parameters
    ----------
    chain : Chain
    shape : tuple of int
        Chip size (ny, nx).
    rows : tuple of int, optional
        First detector row that will be mapped and the row after the last: cells of other rows are
        not fitted.  Those that are do not depend on it.
    stepsize : int
        If not 0, AstroDrizzle's map: bilinear between exact nodes that many pixels apart, wrong by
        up to 1e-3 pixel, and by more where a D2IM table steps.
    columns : tuple of int, optional
        As ``rows``; the map of AstroDrizzle is always of all.
    """
    ny, nx = shape
    first, last = rows or (0, ny)
    if stepsize:
        return _interpolated_map(chain, shape, (first, last), stepsize)
    edges_x = _cell_edges(chain, 0, nx)
    edges_y = _cell_edges(chain, 1, ny)
    guard = np.zeros(2)
    if np.any(chain.npol_x) or np.any(chain.npol_y):
        for axis, table in enumerate((chain.d2im_x, chain.d2im_y)):
            reach = float(np.max(np.abs(table)))
            guard[axis] = reach + _GUARD if reach else 0.0
    coefficients = np.empty((edges_y.size - 1, edges_x.size - 1, 2, 4, 4))
    down, across = _cells_of(edges_y, first, last), _cells_of(edges_x, *(columns or (0, nx)))
    _fit_cells(chain, edges_x, edges_y, guard, down, across, coefficients)
    return PixelMap(chain, edges_x, edges_y, guard, coefficients)


def _cells_of(edges: Floats, first: int, last: int) -> tuple[int, int]:
    """Cells that hold detector rows or columns first to last: first, and the one after the last."""
    low = max(int(np.searchsorted(edges, first - 0.5, side="right")) - 1, 0)
    return low, min(int(np.searchsorted(edges, last - 0.5, side="right")), edges.size - 1)


def _interpolated_map(
    chain: Chain, shape: tuple[int, int], rows: tuple[int, int], stepsize: int
) -> PixelMap:
    """AstroDrizzle's map: nodes at multiples of the step, counted from 1 as in FITS."""
    edges_y, edges_x = (
        np.arange(-1, n - 1 + 2 * stepsize, stepsize).astype(np.float64) for n in shape
    )
    low, high = _cells_of(edges_y, *rows)
    x, y = (plane.ravel() for plane in np.meshgrid(edges_x, edges_y[low : high + 1]))
    coefficients = np.zeros((edges_y.size - 1, edges_x.size - 1, 2, 4, 4))
    nodes = np.empty((2, high + 1 - low, edges_x.size))
    map_points(chain, x, y, nodes[0].reshape(-1), nodes[1].reshape(-1))
    along, across = np.diff(nodes, axis=2) / stepsize, np.diff(nodes, axis=1) / stepsize
    cells = np.moveaxis(coefficients[low:high], 2, 0)
    cells[..., 0, 0] = nodes[:, :-1, :-1]
    cells[..., 0, 1] = along[:, :-1]
    cells[..., 1, 0] = across[:, :, :-1]
    cells[..., 1, 1] = np.diff(along, axis=1) / stepsize
    return PixelMap(chain, edges_x, edges_y, np.zeros(2), coefficients)


def _cell_edges(chain: Chain, axis: int, size: int) -> Floats:
    """Borders of the cells along one axis: the nodes at which a table bends, `CELL` apart or less.

    Between others it is straight: WFPC2's D2IM has a node at every row and bends at few.
    """
    low, high = -1.0, float(size)
    nodes = {low, high}
    tables = (chain.d2im_x, chain.d2im_y, chain.npol_x, chain.npol_y)
    for geometry, table in zip(chain.geometry, tables, strict=True):
        inverse, offset = geometry[2 * axis : 2 * axis + 2]
        if inverse:
            positions = (_bends(table, 1 - axis) - offset) / inverse
            nodes.update(float(p) for p in positions if low < p < high)
    borders = [low]
    for node in sorted(nodes - {low, high}):
        # Nodes of two tables that differ by rounding are one: a cell needs a width.
        if node - borders[-1] > _GUARD and high - node > _GUARD:
            borders.append(node)
    borders.append(high)
    edges = []
    for a, b in pairwise(borders):
        pieces = math.ceil((b - a) / CELL)
        edges += [a + (b - a) * i / pieces for i in range(pieces)]
    return np.array([*edges, high])


def _bends(table: Floats, axis: int) -> NDArray[np.int64]:
    """Nodes of a table at its ends, and where its slope along an axis changes."""
    change = np.abs(np.diff(table, 2, axis=axis)).max(axis=1 - axis, initial=0.0)
    inner = np.flatnonzero(change > _STRAIGHT) + 1
    return np.concatenate([[0], inner, [table.shape[axis] - 1]])


@kernel
def _fit_cells(
    chain: Chain,
    edges_x: Floats,
    edges_y: Floats,
    guard: Floats,
    rows: tuple[int, int],
    columns: tuple[int, int],
    coefficients: Floats,
) -> None:
    """Bicubic of the cells of a range, through 4x4 nodes clear of the guard strips."""
    node = np.empty((2, 4, 4))
    for j in range(rows[0], rows[1]):
        height = edges_y[j + 1] - edges_y[j]
        low_y = min(guard[1], 0.25 * height)
        for i in range(columns[0], columns[1]):
            width = edges_x[i + 1] - edges_x[i]
            low_x = min(guard[0], 0.25 * width)
            step_x, step_y = (width - 2 * low_x) / 3, (height - 2 * low_y) / 3
            for b in range(4):
                for a in range(4):
                    node[0, b, a], node[1, b, a] = map_point(
                        chain,
                        edges_x[i] + low_x + a * step_x,
                        edges_y[j] + low_y + b * step_y,
                    )
            for axis in range(2):
                out = coefficients[j, i, axis]
                for b in range(4):
                    _monomials(node[axis, b], low_x, step_x, out[b])
                for p in range(4):
                    _monomials(out[:, p].copy(), low_y, step_y, out[:, p])


@inline
def _monomials(values: Floats, start: float, step: float, out: Floats) -> None:
    """Coefficients in t of the cubic through ``values`` at t = start + step * (0, 1, 2, 3)."""
    d1 = (values[1] - values[0]) / step
    d2 = (values[2] - 2 * values[1] + values[0]) / (2 * step * step)
    d3 = (values[3] - 3 * values[2] + 3 * values[1] - values[0]) / (6 * step**3)
    t0, t1, t2 = start, start + step, start + 2 * step
    out[0] = values[0] - d1 * t0 + d2 * t0 * t1 - d3 * t0 * t1 * t2
    out[1] = d1 - d2 * (t0 + t1) + d3 * (t0 * t1 + t0 * t2 + t1 * t2)
    out[2] = d2 - d3 * (t0 + t1 + t2)
    out[3] = d3


@inline
def _cell_of(edges: Floats, position: float) -> int:
    """Index of the cell that holds a position, by bisection; clamped to the outer cells."""
    low, high = 0, edges.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if position >= edges[middle]:
            low = middle
        else:
            high = middle
    return low


@inline
def _in_guard(edges: Floats, cell: int, guard: float, position: float) -> bool:
    inside: bool = position < edges[cell] + guard or position >= edges[cell + 1] - guard
    return inside


@inline
def _cubic_run(c: Floats, ty: float, start: float, n: int, out: Floats) -> None:
    """Evaluate one axis of a cell along a row: ``out[k]`` at t = start + k."""
    c0 = c[0, 0] + ty * (c[1, 0] + ty * (c[2, 0] + ty * c[3, 0]))
    c1 = c[0, 1] + ty * (c[1, 1] + ty * (c[2, 1] + ty * c[3, 1]))
    c2 = c[0, 2] + ty * (c[1, 2] + ty * (c[2, 2] + ty * c[3, 2]))
    c3 = c[0, 3] + ty * (c[1, 3] + ty * (c[2, 3] + ty * c[3, 3]))
    for k in range(np.uint64(n)):
        t = start + np.float64(k)
        out[k] = c0 + t * (c1 + t * (c2 + t * c3))


@inline
def map_row(pixel_map: PixelMap, x0: float, y: float, n: int, out_x: Floats, out_y: Floats) -> None:
    """Map ``n`` positions ``(x0 + k, y)`` of one detector row.

    Parameters
    ----------
    pixel_map : PixelMap
    x0, y : float
        0-based detector position of the first point.
    n : int
    out_x, out_y : ndarray of float64, shape (>= n,)
        Receive 0-based output pixels.
    """
    edges_x, edges_y = pixel_map.edges_x, pixel_map.edges_y
    gx, gy = pixel_map.guard[0], pixel_map.guard[1]
    chain = pixel_map.chain
    j = _cell_of(edges_y, y)
    exact_row = _in_guard(edges_y, j, gy, y)
    i = _cell_of(edges_x, x0)
    k = 0
    while k < n:
        x = x0 + k
        while i < edges_x.size - 2 and x >= edges_x[i + 1]:
            i += 1
        if exact_row or _in_guard(edges_x, i, gx, x):
            out_x[k], out_y[k] = map_point(chain, x, y)
            k += 1
            continue
        m = min(n - k, math.ceil(edges_x[i + 1] - gx - x))
        cell = pixel_map.coefficients[j, i]
        ty, tx = y - edges_y[j], x - edges_x[i]
        _cubic_run(cell[0], ty, tx, m, out_x[k : k + m])
        _cubic_run(cell[1], ty, tx, m, out_y[k : k + m])
        k += m
