"""The square kernel: the quadrilateral of a detector pixel dropped on an output tile, exactly.

Each row of a block is mapped (`mapping`), cut into exact overlaps (`areas`) and added to the tile's
sums (`adding`).

Source: Fruchter & Hook 2002, PASP 114, 144 (the square kernel: flux shared by overlap).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.adding import add_doubtful_row, add_row, row_values
from hapdask.kernels.areas import Length, drop_areas, drop_edges, drop_integrals
from hapdask.kernels.blocks import BLOCK, ROW, ChipPixels
from hapdask.kernels.jit import kernel
from hapdask.kernels.mapping import PixelMap, map_row
from hapdask.kernels.sums import Reserve


@kernel
def drizzle_blocks(
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
    """Drop the pixels of some blocks of a chip; see `hapdask.kernels.drizzle.drizzle_chip`."""
    edges, integrals, areas, base = buffers
    corners = np.empty((6, ROW + 1))
    values, flat = np.empty((4, ROW)), clean.reshape(-1)
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
            column = col0 - pixels.first_column
            weight = pixels.weight[line, column : column + n]
            doubt = pixels.doubt[line, column : column + n]
            n_doubtful = row_values(pixels, line, column, n, values)
            drops, flags = (areas, base), (weight, doubt)
            flux, plain, spread = values[0], values[1], values[2]
            if clean.shape[2] == 4:
                noisy = (flux, plain, spread, spread)
                add_row(n, patch, drops, flags, noisy, origin, clean.shape, flat)
            else:
                add_row(n, patch, drops, flags, (flux, plain), origin, clean.shape, flat)
            if n_doubtful:
                values[3] = values[2]  # a square drop's overlaps sum to 1
                add_doubtful_row(n, patch, (*drops, *flags, values), origin, clean, reserve)
