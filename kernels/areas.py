"""Overlap of drops with output pixels: exact polygon areas, a detector row at a time.

A drop is the quadrilateral of a (shrunken) detector pixel on the output grid.  Strategy: the area
of a polygon inside pixel (c, r) is a sum over its edges of column integrals of max(y - r, 0); for
a straight edge that integral is a difference of squares, so a whole row of drops is computed
without branches, and LLVM turns the loops below into vector code.

Buffers are flat float64 arrays of planes `PLANE` elements apart: plane p of element k is at
``p * PLANE + k``.  Indices are unsigned, because Numba's wrap-around of signed ones stops LLVM from
vectorising.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.blocks import PLANE
from hapdask.kernels.jit import inline

Floats = NDArray[np.float64]
#: A tuple of which only the length matters, because the compiler knows it.
Length = tuple[int, ...]

_PLANE = np.uint64(PLANE)
#: Planes of the edge buffer: four edges of (weight, then y at each column border).
_EDGES = 4
#: Edges flatter or steeper than this (pixels) are tilted by it; areas move by less than 1e-7.
_TINY = 3e-8
#: Areas below this are rounding noise of the difference of squares, not overlap.
_NOISE = 1e-9


def make_buffers(patch: int) -> tuple[Floats, Floats, Floats, NDArray[np.int32]]:
    """Work space for drops that reach at most ``patch`` x ``patch`` output pixels.

    Returns
    -------
    edges, integrals, areas : ndarray of float64
        Flat planes: 4 (patch + 2), patch (patch + 1) and patch**2 of them, and
        one more plane of ``areas`` for the inverse drop area.
    base : ndarray of int32
        Planes x, y: the first output column and row of each drop's patch.
    """
    edges = np.zeros(_EDGES * (patch + 2) * PLANE)
    integrals = np.zeros((patch + 1) * (patch + 1) * PLANE)
    areas = np.zeros((patch * patch + 1) * PLANE)
    return edges, integrals, areas, np.zeros(2 * PLANE, dtype=np.int32)


@inline
def _edge(
    edges: Floats, plane: Any, k: Any, columns: Length, x1: float, y1: float, x2: float, y2: float
) -> None:
    """Weight and heights at every column border of the edge from (x1, y1) to (x2, y2)."""
    dx, dy = x2 - x1, y2 - y1
    dx = dx if abs(dx) > _TINY else _TINY
    dy = dy if abs(dy) > _TINY else _TINY
    inverse = 1.0 / (dx * dy)
    slope = dy * dy * inverse
    rightward = x1 < x2
    left = x1 if rightward else x2
    right = x2 if rightward else x1
    y_left = y1 if rightward else y2
    edges[plane + k] = 0.5 * abs(dx) * dx * inverse
    # All of the drop lies between the first and the last border.
    edges[plane + _PLANE + k] = y_left
    for c in range(1, len(columns) - 1):
        border = min(max(np.float64(c), left), right)
        edges[plane + np.uint64(c + 1) * _PLANE + k] = y_left + (border - left) * slope
    edges[plane + np.uint64(len(columns)) * _PLANE + k] = y_left + (right - left) * slope


@inline
def drop_edges(
    n: int,
    corners: Floats,
    pixfrac: float,
    columns: Length,
    edges: Floats,
    areas: Floats,
    base: NDArray[np.int32],
) -> None:
    """First pass: place each drop in its patch and cut its edges at the column borders.

    Parameters
    ----------
    n : int
        Number of drops, at most `ROW`.
    corners : ndarray of float64, shape (6, ROW + 1)
        Rows x, y of the lower corner row, x, y of the upper corner row, x, y of the centres (read
        only when ``pixfrac`` < 1); output pixels.
    pixfrac : float
        Linear size of the drop over that of the pixel.
    columns : tuple of int, length patch + 1
    edges, areas, base : see `make_buffers`
    """
    keep = 1.0 - pixfrac
    stride = np.uint64(len(columns) + 1) * _PLANE
    inverse_plane = np.uint64((len(columns) - 1) * (len(columns) - 1)) * _PLANE
    lx, ly, ux, uy = corners[0], corners[1], corners[2], corners[3]
    cx, cy = corners[4], corners[5]
    for k in range(np.uint64(n)):
        x0, x1, x2, x3 = lx[k], lx[k + np.uint64(1)], ux[k + np.uint64(1)], ux[k]
        y0, y1, y2, y3 = ly[k], ly[k + np.uint64(1)], uy[k + np.uint64(1)], uy[k]
        if pixfrac < 1.0:
            mx, my = keep * cx[k], keep * cy[k]
            x0, x1, x2, x3 = (
                pixfrac * x0 + mx,
                pixfrac * x1 + mx,
                pixfrac * x2 + mx,
                pixfrac * x3 + mx,
            )
            y0, y1, y2, y3 = (
                pixfrac * y0 + my,
                pixfrac * y1 + my,
                pixfrac * y2 + my,
                pixfrac * y3 + my,
            )
        bx = np.floor(min(min(x0, x1), min(x2, x3)) + 0.5)
        by = np.floor(min(min(y0, y1), min(y2, y3)) + 0.5)
        base[k] = np.int32(bx)
        base[_PLANE + k] = np.int32(by)
        bx -= 0.5
        by -= 0.5
        x0, x1, x2, x3 = x0 - bx, x1 - bx, x2 - bx, x3 - bx
        y0, y1, y2, y3 = y0 - by, y1 - by, y2 - by, y3 - by
        areas[inverse_plane + k] = 2.0 / ((x1 - x3) * (y0 - y2) - (x0 - x2) * (y1 - y3))
        _edge(edges, np.uint64(0), k, columns, x0, y0, x1, y1)
        _edge(edges, stride, k, columns, x1, y1, x2, y2)
        _edge(edges, np.uint64(2) * stride, k, columns, x2, y2, x3, y3)
        _edge(edges, np.uint64(3) * stride, k, columns, x3, y3, x0, y0)


@inline
def _square_above(y: float, r: int) -> float:
    # All of the drop lies above row border 0.
    height = max(y - np.float64(r), 0.0) if r else y
    return height * height


@inline
def _integral_above(
    w0: float, y0: float, w1: float, y1: float,
    w2: float, y2: float, w3: float, y3: float, r: int,
) -> float:  # fmt: skip
    """Column integral, up to the border, of the part of the drop above row border r."""
    low = w0 * _square_above(y0, r) + w1 * _square_above(y1, r)
    return low + (w2 * _square_above(y2, r) + w3 * _square_above(y3, r))


@inline
def drop_integrals(n: int, columns: Length, edges: Floats, integrals: Floats) -> None:
    """Second pass: area of the drop left of every column border, in each row of its patch."""
    patch = len(columns) - 1
    stride = np.uint64(patch + 2) * _PLANE
    e1, e2, e3 = stride, np.uint64(2) * stride, np.uint64(3) * stride
    row = np.uint64(len(columns)) * _PLANE
    for c in range(len(columns)):
        border = np.uint64(c + 1) * _PLANE
        out = np.uint64(c) * _PLANE
        for k in range(np.uint64(n)):
            w0, w1, w2, w3 = edges[k], edges[e1 + k], edges[e2 + k], edges[e3 + k]
            y0, y1 = edges[border + k], edges[e1 + border + k]
            y2, y3 = edges[e2 + border + k], edges[e3 + border + k]
            for r in range(len(columns) - 1):
                above = _integral_above(w0, y0, w1, y1, w2, y2, w3, y3, r)
                if r < len(columns) - 2:
                    above -= _integral_above(w0, y0, w1, y1, w2, y2, w3, y3, r + 1)
                integrals[np.uint64(r) * row + out + k] = above


@inline
def drop_areas(n: int, columns: Length, integrals: Floats, areas: Floats) -> None:
    """Third pass: fraction of the drop in every pixel of its patch, plane r * patch + c."""
    patch = len(columns) - 1
    inverse = np.uint64(patch * patch) * _PLANE
    for r in range(patch):
        low = np.uint64(r * len(columns)) * _PLANE
        out = np.uint64(r * patch) * _PLANE
        for k in range(np.uint64(n)):
            for c in range(len(columns) - 1):
                shift = np.uint64(c) * _PLANE
                area = integrals[low + shift + _PLANE + k] - integrals[low + shift + k]
                area *= areas[inverse + k]
                areas[out + shift + k] = area if area > _NOISE else 0.0
