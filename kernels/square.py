"""The square kernel: detector pixels dropped on an output tile, all planes in one pass.

Strategy: the blocks of a chip that can reach the tile are visited in the chip's own order; each
row of a block is mapped (``mapping``), cut into exact overlaps (``areas``) and added to the tile's
sums (``sums``).  Blocks are whole and anchored to the chip, positions are those of the root grid
and the tile's integer offset only shifts indices: so a tile's bits depend on neither its size nor
its place.

Source: Fruchter & Hook 2002, PASP 114, 144 (the square kernel: flux shared by overlap).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.areas import ROW, Length, drop_areas, drop_edges, drop_integrals, make_buffers
from hapdask.kernels.jit import inline, kernel
from hapdask.kernels.mapping import Chain, PixelMap, make_pixel_map, map_point, map_row
from hapdask.kernels.sums import Layer, Reserve, with_room

#: Detector pixels (rows, columns) of a block, the unit that is visited or skipped.
BLOCK = (64, ROW)
#: Output pixels added around a block's mapped outline: its curvature between samples and rounding.
_MARGIN = 2.0
#: Relative head room of the patch over the largest drop found at the sampled points.
_HEADROOM = 1.05


class ChipReach(NamedTuple):
    """What one chip can reach on one root grid: cheap, and all that a plan needs.

    Attributes
    ----------
    bounds : ndarray of int64, shape (nby, nbx, 4)
        For each block the output pixels it can reach: x0, x1, y0, y1 (ends excluded); empty
        (x0 = x1) for blocks behind the tangent plane.
    extent : float
        Largest extent of a detector pixel along an axis, output pixels.
    """

    bounds: NDArray[np.int64]
    extent: float


class ChipGeometry(NamedTuple):
    """How the pixels of one chip fall on one root grid.

    Attributes
    ----------
    pixel_map : PixelMap
    shape : tuple of int
        Detector rows and columns.
    patch : int
        Side of the square of output pixels that holds any drop.
    """

    pixel_map: PixelMap
    shape: tuple[int, int]
    patch: int


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
    """

    first_row: int
    sci: NDArray[np.float32]
    err: NDArray[np.float32]
    weight: NDArray[np.float32]
    doubt: NDArray[np.uint16]
    offset: float
    gain: float


def chip_reach(chain: Chain, shape: tuple[int, int]) -> ChipReach:
    """Find what each block of a chip of ``shape`` (ny, nx) can reach on a root grid."""
    ny, nx = shape
    bounds = np.zeros((math.ceil(ny / BLOCK[0]), math.ceil(nx / BLOCK[1]), 4))
    extent = _reach(chain, ny, nx, bounds)
    return ChipReach(bounds.astype(np.int64), extent)


def make_geometry(
    chain: Chain,
    shape: tuple[int, int],
    pixfrac: float,
    reach: ChipReach,
    blocks: NDArray[np.int64],
) -> ChipGeometry:
    """Make ready to drizzle some blocks of a chip.

    Parameters
    ----------
    chain : Chain
        From the chip to the root grid.
    shape : tuple of int
        Detector rows and columns.
    pixfrac : float
        Linear size of the drop over that of the pixel, in (0, 1].
    reach : ChipReach
    blocks : ndarray of int64, shape (n, 2)
        From `blocks_reaching`; no other block may be drizzled.
    """
    rows = int(blocks[:, 0].min()) * BLOCK[0], (int(blocks[:, 0].max()) + 1) * BLOCK[0]
    return ChipGeometry(make_pixel_map(chain, shape, rows), shape, patch_size(reach, pixfrac))


def patch_size(reach: ChipReach, pixfrac: float) -> int:
    """Side of the square of output pixels that holds any drop of a chip."""
    return int(reach.extent * pixfrac * _HEADROOM) + 2


@inline
def _sample(first: int, n: int, k: int) -> float:
    """Coordinate of border, middle and border (k = 0, 1, 2) of n pixels from ``first``."""
    return first - 0.5 + 0.5 * n * k


@kernel
def _reach(chain: Chain, ny: int, nx: int, bounds: NDArray[np.float64]) -> float:
    """Fill the bounds of every block; return the largest extent of a pixel along an axis."""
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
            if np.isnan(xs.sum()):
                continue
            bend = _MARGIN
            for m in range(3):
                for plane in (xs, ys):
                    bend = max(bend, _MARGIN + abs(plane[m, 0] + plane[m, 2] - 2 * plane[m, 1]))
                    bend = max(bend, _MARGIN + abs(plane[0, m] + plane[2, m] - 2 * plane[1, m]))
            for plane in (xs, ys):
                along, across = 0.0, 0.0
                for m in range(3):
                    for a in range(2):
                        along = max(along, abs(plane[m, a + 1] - plane[m, a]) / (0.5 * columns))
                        across = max(across, abs(plane[a + 1, m] - plane[a, m]) / (0.5 * rows))
                extent = max(extent, along + across)
            bounds[j, i, 0] = math.floor(xs.min() - bend)
            bounds[j, i, 1] = math.ceil(xs.max() + bend) + 1
            bounds[j, i, 2] = math.floor(ys.min() - bend)
            bounds[j, i, 3] = math.ceil(ys.max() + bend) + 1
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
    return np.argwhere(hit)


def drizzle_chip(
    geometry: ChipGeometry,
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    pixfrac: float,
    origin: tuple[int, int],
    clean: Layer,
    reserve: Reserve,
) -> Reserve:
    """Add a chip's pixels to a tile's sums.

    Parameters
    ----------
    geometry : ChipGeometry
    blocks : ndarray of int64, shape (n, 2)
        From `blocks_reaching`; their rows must be in ``pixels``.
    pixels : ChipPixels
    pixfrac : float
        In (0, 1].
    origin : tuple of int
        Root-grid row and column of element [0, 0] of the layer's arrays.
    clean : Layer
        Receives pixels without doubtful flags.
    reserve : Reserve
        Receives the others, where there is nothing clean yet; must not be used afterwards.

    Returns
    -------
    Reserve
        The reserve with what was added.
    """
    patch = geometry.patch
    reserve = with_room(reserve, int(np.count_nonzero(pixels.doubt)) * patch * patch)
    _drizzle_blocks(
        geometry.pixel_map,
        geometry.shape,
        blocks,
        pixels,
        pixfrac,
        tuple(range(patch)),
        tuple(range(patch + 1)),
        make_buffers(patch),
        origin,
        clean.sums,
        reserve,
    )
    return reserve


@kernel
def _drizzle_blocks(
    pixel_map: PixelMap,
    shape: tuple[int, int],
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    pixfrac: float,
    patch: Length,
    columns: Length,
    buffers: tuple[NDArray[Any], ...],
    origin: tuple[int, int],
    clean: NDArray[np.float64],
    reserve: Reserve,
) -> None:
    edges, integrals, areas, base = buffers
    corners = np.empty((6, ROW + 1))
    values = np.empty((3, ROW))
    for b in range(blocks.shape[0]):
        row0, col0 = blocks[b, 0] * BLOCK[0], blocks[b, 1] * BLOCK[1]
        rows, n = min(BLOCK[0], shape[0] - row0), min(BLOCK[1], shape[1] - col0)
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
            weight = pixels.weight[line, col0 : col0 + n]
            doubt = pixels.doubt[line, col0 : col0 + n]
            n_doubtful = _row_values(pixels, line, col0, n, values)
            drops = (areas, base, weight, doubt, values)
            _add_row(n, patch, drops, origin, clean)
            if n_doubtful:
                _add_doubtful_row(n, patch, drops, origin, clean, reserve)


@kernel
def _row_values(
    pixels: ChipPixels, line: int, col0: int, n: int, values: NDArray[np.float64]
) -> int:
    """Weighted flux, weight and u = (weight * err)**2 of a row; returns the doubtful pixels."""
    sci, weight = pixels.sci[line, col0 : col0 + n], pixels.weight[line, col0 : col0 + n]
    doubt = pixels.doubt[line, col0 : col0 + n]
    offset, gain = pixels.offset, pixels.gain
    flux, plain, spread = values[0], values[1], values[2]
    n_doubtful = 0
    for k in range(np.uint64(n)):
        w = np.float64(weight[k])
        plain[k] = w
        flux[k] = w * ((np.float64(sci[k]) - offset) * gain)
        n_doubtful += doubt[k] != 0
    if pixels.err.size:
        err = pixels.err[line, col0 : col0 + n]
        for k in range(np.uint64(n)):
            noise = np.float64(weight[k]) * (np.float64(err[k]) * gain)
            spread[k] = noise * noise
    return n_doubtful


@kernel
def _add_row(
    n: int,
    patch: Length,
    drops: tuple[NDArray[Any], ...],
    origin: tuple[int, int],
    sums: NDArray[np.float64],
) -> None:
    """Add the clean drops of a row to the sums."""
    areas, base, weight, doubt, values = drops
    flux, plain, spread = values[0], values[1], values[2]
    last_y, last_x = sums.shape[0] - len(patch), sums.shape[1] - len(patch)
    size = np.uint64(len(patch))
    for k in range(np.uint64(n)):
        if weight[k] == 0.0 or doubt[k] != 0:
            continue
        x0, y0 = base[k] - origin[1], base[np.uint64(ROW) + k] - origin[0]
        if x0 < 0 or y0 < 0 or x0 > last_x or y0 > last_y:
            continue
        f, w, u = flux[k], plain[k], spread[k]
        for r in range(len(patch)):
            y = np.uint64(y0) + np.uint64(r)
            for c in range(len(patch)):
                x = np.uint64(x0) + np.uint64(c)
                area = areas[(np.uint64(r) * size + np.uint64(c)) * np.uint64(ROW) + k]
                sums[y, x, np.uint64(0)] += area * f
                sums[y, x, np.uint64(1)] += area * w
                if sums.shape[2] == 4:
                    part = area * u
                    sums[y, x, np.uint64(2)] += part
                    sums[y, x, np.uint64(3)] += area * part


@kernel
def _add_doubtful_row(
    n: int,
    patch: Length,
    drops: tuple[NDArray[Any], ...],
    origin: tuple[int, int],
    clean: NDArray[np.float64],
    reserve: Reserve,
) -> None:
    """Add the doubtful drops of a row to the reserve, where there is nothing clean yet."""
    areas, base, weight, doubt, values = drops
    slot, home, sums, used = reserve.slot, reserve.home, reserve.sums, reserve.used
    flags = reserve.flags
    last_y, last_x = slot.shape[0] - len(patch), slot.shape[1] - len(patch)
    for k in range(n):
        if weight[k] == 0.0 or doubt[k] == 0:
            continue
        x0, y0 = base[k] - origin[1], base[ROW + k] - origin[0]
        if x0 < 0 or y0 < 0 or x0 > last_x or y0 > last_y:
            continue
        for r in range(len(patch)):
            for c in range(len(patch)):
                area = areas[(r * len(patch) + c) * ROW + k]
                y, x = y0 + r, x0 + c
                if area == 0.0 or clean[y, x, 1] > 0.0:
                    continue
                if slot[y, x] == 0:
                    slot[y, x] = used[0]
                    home[used[0]] = y * slot.shape[1] + x
                    used[0] += 1
                s = slot[y, x]
                flags[s] |= doubt[k]
                sums[s, 0] += area * values[0, k]
                sums[s, 1] += area * values[1, k]
                if sums.shape[1] == 4:
                    part = area * values[2, k]
                    sums[s, 2] += part
                    sums[s, 3] += area * part
