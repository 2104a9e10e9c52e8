"""Adding rows of drops to the sums of a tile: one place for every kernel.

A drop is a patch of overlaps at a base pixel; how it was shaped does not matter here.  The rows of
``values`` are w f, w, u = (w err)^2 and u times the drop's total overlap: what a drop spreads over
several pixels is one and the same noise, which the last two sums tell (`planes`, noise_ratio).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.areas import Length
from hapdask.kernels.blocks import PLANE, ChipPixels
from hapdask.kernels.jit import inline
from hapdask.kernels.sums import Reserve
from hapdask.kernels.vectors import add_scaled


@inline
def row_values(
    pixels: ChipPixels, line: int, column: int, n: int, values: NDArray[np.float64]
) -> int:
    """Weighted flux, weight and u = (weight * err)**2 of a row; returns the doubtful pixels."""
    sci, weight = pixels.sci[line, column : column + n], pixels.weight[line, column : column + n]
    doubt = pixels.doubt[line, column : column + n]
    offset, gain = pixels.offset, pixels.gain
    flux, plain, spread = values[0], values[1], values[2]
    n_doubtful = 0
    for k in range(np.uint64(n)):
        w = np.float64(weight[k])
        plain[k] = w
        flux[k] = w * ((np.float64(sci[k]) - offset) * gain)
        n_doubtful += doubt[k] != 0
    if pixels.err.size:
        err = pixels.err[line, column : column + n]
        for k in range(np.uint64(n)):
            noise = np.float64(weight[k]) * (np.float64(err[k]) * gain)
            spread[k] = noise * noise
    return n_doubtful


@inline
def add_row(
    n: int,
    patch: Length,
    drops: tuple[NDArray[Any], ...],
    origin: tuple[int, int],
    shape: tuple[int, int, int],
    planes: Length,
    sums: NDArray[np.float64],
) -> None:
    """Add the clean drops of a row to the sums of a `Layer`, flat, of so many planes."""
    areas, base, weight, doubt, values = drops
    flux, plain, spread = values[0], values[1], values[2]
    last_y, last_x = shape[0] - len(patch), shape[1] - len(patch)
    size, count = np.uint64(len(patch)), np.uint64(len(planes))
    width = np.uint64(shape[1]) * count
    for k in range(np.uint64(n)):
        if weight[k] == 0.0 or doubt[k] != 0:
            continue
        x0, y0 = base[k] - origin[1], base[np.uint64(PLANE) + k] - origin[0]
        if x0 < 0 or y0 < 0 or x0 > last_x or y0 > last_y:
            continue
        f, w, u = flux[k], plain[k], spread[k]
        corner = np.uint64(y0) * width + np.uint64(x0) * count
        for r in range(len(patch)):
            for c in range(len(patch)):
                place = corner + np.uint64(r) * width + np.uint64(c) * count
                area = areas[(np.uint64(r) * size + np.uint64(c)) * np.uint64(PLANE) + k]
                if len(planes) == 4:
                    add_scaled(sums, place, area, (f, w, u, area * u))
                else:
                    add_scaled(sums, place, area, (f, w))


@inline
def add_doubtful_row(
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
        x0, y0 = base[k] - origin[1], base[PLANE + k] - origin[0]
        if x0 < 0 or y0 < 0 or x0 > last_x or y0 > last_y:
            continue
        for r in range(len(patch)):
            for c in range(len(patch)):
                area = areas[(r * len(patch) + c) * PLANE + k]
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
                    sums[s, 2] += area * values[3, k]
                    sums[s, 3] += area * (area * values[2, k])
