"""One exposure alone on a frame, in float32: what a median is made of.

Strategy: only flux and weight are summed, interleaved, and no record is kept of who gave what; a
sum has a handful of terms, so float32 loses nothing that the noise would not hide.  `fold` turns
the sums of one exposure into a plane of the stack and leaves them at zero for the next.

Not here: sums of many exposures, variances, doubtful pixels (`square`, `sums`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.adding import add_row
from hapdask.kernels.areas import Length, drop_areas, drop_edges, drop_integrals, make_buffers
from hapdask.kernels.blocks import BLOCK, PLANE, ROW, ChipPixels
from hapdask.kernels.drizzle import ChipGeometry
from hapdask.kernels.jit import inline, kernel
from hapdask.kernels.mapping import PixelMap, map_row
from hapdask.kernels.separable import Shape, axis_taps, overlaps

Sums = NDArray[np.float32]


def drizzle_alone(
    geometry: ChipGeometry,
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    origin: tuple[int, int],
    sums: Sums,
) -> None:
    """Add pixels of a chip to the sums of its exposure.

    Parameters
    ----------
    geometry : ChipGeometry
    blocks : ndarray of int64, shape (n, 2)
        Their rows and columns must be in ``pixels``.
    pixels : ChipPixels
        ``err`` and ``doubt`` are not looked at.
    origin : tuple of int
        Root-grid row and column of element [0, 0] of the sums.
    sums : ndarray of float32, shape (ny, nx, 2)
        sum(a w f) and sum(a w); drops that are not wholly within are left out.
    """
    drop, patch = geometry.drop, tuple(range(geometry.patch))
    chip = (geometry.pixel_map, geometry.shape, blocks, pixels)
    if drop.is_square:
        columns = tuple(range(geometry.patch + 1))
        buffers = make_buffers(geometry.patch)
        _drizzle_square(*chip, drop.pixfrac, patch, columns, buffers, origin, sums)
    else:
        _drizzle_separable(*chip, drop.shape, patch, origin, sums)


@inline
def _fluxes(pixels: ChipPixels, line: int, column: int, n: int, flux: Any) -> None:
    """Weighted fluxes of a row."""
    sci, weight = pixels.sci[line, column : column + n], pixels.weight[line, column : column + n]
    offset, gain = pixels.offset, pixels.gain
    for k in range(np.uint64(n)):
        flux[k] = np.float32(np.float64(weight[k]) * ((np.float64(sci[k]) - offset) * gain))


@kernel
def _drizzle_separable(
    pixel_map: PixelMap,
    chip: tuple[int, int],
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    shape: Shape,
    taps: Length,
    origin: tuple[int, int],
    sums: Sums,
) -> None:
    x, y = np.empty(ROW), np.empty(ROW)
    wx, wy = np.zeros(len(taps) * PLANE, np.float32), np.zeros(len(taps) * PLANE, np.float32)
    base = np.zeros(2 * PLANE, np.int32)
    flux, flat = np.empty(ROW, np.float32), sums.reshape(-1)
    areas = np.zeros(len(taps) * len(taps) * PLANE, np.float32)
    no_doubt = np.zeros(ROW, np.uint16)
    for b in range(blocks.shape[0]):
        row0, col0 = blocks[b, 0] * BLOCK[0], blocks[b, 1] * BLOCK[1]
        rows, n = min(BLOCK[0], chip[0] - row0), min(BLOCK[1], chip[1] - col0)
        column = col0 - pixels.first_column
        for row in range(row0, row0 + rows):
            map_row(pixel_map, np.float64(col0), np.float64(row), n, x, y)
            axis_taps(n, x, shape, taps, wx, base[:PLANE])
            axis_taps(n, y, shape, taps, wy, base[PLANE:])
            line = row - pixels.first_row
            _fluxes(pixels, line, column, n, flux)
            overlaps(n, taps, wx, wy, areas)
            flags = (pixels.weight[line, column : column + n], no_doubt)
            values = (flux, flags[0])
            add_row(n, taps, (areas, base), flags, values, origin, sums.shape, flat)


@kernel
def _drizzle_square(
    pixel_map: PixelMap,
    chip: tuple[int, int],
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    pixfrac: float,
    patch: Length,
    columns: Length,
    buffers: tuple[NDArray[Any], ...],
    origin: tuple[int, int],
    sums: Sums,
) -> None:
    edges, integrals, areas, base = buffers
    corners = np.empty((6, ROW + 1))
    flux, flat = np.empty(ROW, np.float32), sums.reshape(-1)
    no_doubt = np.zeros(ROW, np.uint16)
    for b in range(blocks.shape[0]):
        row0, col0 = blocks[b, 0] * BLOCK[0], blocks[b, 1] * BLOCK[1]
        rows, n = min(BLOCK[0], chip[0] - row0), min(BLOCK[1], chip[1] - col0)
        column = col0 - pixels.first_column
        map_row(pixel_map, col0 - 0.5, row0 - 0.5, n + 1, corners[2], corners[3])
        for row in range(row0, row0 + rows):
            corners[0, : n + 1] = corners[2, : n + 1]
            corners[1, : n + 1] = corners[3, : n + 1]
            map_row(pixel_map, col0 - 0.5, row + 0.5, n + 1, corners[2], corners[3])
            if pixfrac < 1.0:
                map_row(pixel_map, np.float64(col0), np.float64(row), n, corners[4], corners[5])
            drop_edges(n, corners, pixfrac, columns, edges, areas, base)
            drop_integrals(n, columns, edges, integrals)
            drop_areas(n, columns, integrals, areas)
            line = row - pixels.first_row
            _fluxes(pixels, line, column, n, flux)
            flags = (pixels.weight[line, column : column + n], no_doubt)
            values = (flux, flags[0])
            add_row(n, patch, (areas, base), flags, values, origin, sums.shape, flat)


class Judgement(NamedTuple):
    """Which pixels of an exposure alone are good, and what they add to the noise of a stack.

    Attributes
    ----------
    floor : float
        A weight below it is bad.
    low, high : float
        A value below the one, or not below the other, is bad.
    scale : float
        Of the weights, where they are summed.
    sky : float
        Of every unit of weight, added to the background.
    variance : float
        Of every good pixel, added to the background.
    """

    floor: float
    low: float
    high: float
    scale: float
    sky: float
    variance: float


@kernel
def fold(
    sums: Sums,
    border: int,
    spans: NDArray[np.int64],
    judgement: Judgement,
    plane: Sums,
    weight: Sums,
    background: Sums,
    latest: Sums,
) -> None:
    """Turn the sums of one exposure into a plane of a stack, and leave them at zero.

    Parameters
    ----------
    sums : ndarray of float32, shape (ny + 2 border, nx + 2 border, 2)
    border : int
    spans : ndarray of int64, shape (ny + 2 border, 3)
        Row, first and last column (excluded) of the sums that can have been reached.
    judgement : Judgement
    plane : ndarray of float32, shape (ny, nx)
        Receives flux per second; NaN where it is bad.
    weight : ndarray of float32, shape (ny, nx) or (0, 0)
        The scaled weight is added to it.
    background : ndarray of float32, shape (ny, nx) or (0, 0)
        Sky of that weight, and the variance of a good pixel, are added to it.
    latest : ndarray of float32, shape (ny, nx) or (0, 0)
        Receives the value, good or bad, where there is one.
    """
    floor, low, high, scale, sky, variance = judgement
    ny, nx = plane.shape
    values, weights = np.empty(nx, np.float32), np.empty(nx)
    for y in range(ny):
        plane[y] = np.float32(np.nan)
        first = max(spans[border + y, 1] - border, 0)
        n = max(min(spans[border + y, 2] - border, nx), first) - first
        row = sums[border + y, border + first : border + first + n]
        out = plane[y, first : first + n]
        for x in range(np.uint64(n)):
            w, wf = np.float64(row[x, np.uint64(1)]), np.float64(row[x, np.uint64(0)])
            # In float64: processors divide a vector of float32 by an estimate, a single one truly.
            value = np.float32(wf / w)
            good = (w > 0.0) & (w >= floor) & (value >= low) & (value < high)
            values[x], weights[x] = value, w
            out[x] = value if good else np.float32(np.nan)
        if weight.size:
            total = weight[y, first : first + n]
            for x in range(np.uint64(n)):
                total[x] += np.float32(max(weights[x], 0.0) * scale)
        if background.size:
            behind = background[y, first : first + n]
            for x in range(np.uint64(n)):
                noise = 0.0 if np.isnan(out[x]) else variance
                behind[x] += np.float32(max(weights[x], 0.0) * scale * sky + noise)
        if latest.size:
            last = latest[y, first : first + n]
            for x in range(np.uint64(n)):
                last[x] = values[x] if weights[x] > 0.0 else last[x]
        _clear(sums, spans, border + y)  # while it is in the cache
    for y in range(border):
        _clear(sums, spans, y)
        _clear(sums, spans, border + ny + y)


@inline
def _clear(sums: Sums, spans: NDArray[np.int64], y: int) -> None:
    """Set the sums of a line to zero."""
    line = sums[y, min(spans[y, 1], spans[y, 2]) : spans[y, 2]]
    for x in range(np.uint64(line.shape[0])):
        line[x, np.uint64(0)] = np.float32(0.0)
        line[x, np.uint64(1)] = np.float32(0.0)
