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
from hapdask.kernels.vectors import add_scaled, prefetch
from hapdask.kernels.windows import add_to_window, load_window, slide_window, store_window

#: Bytes that come from memory together.
_LINE = 64
#: Widest patch of which the processor's registers hold the sums.
_HELD = 4


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
    drops: tuple[NDArray[Any], NDArray[Any]],
    flags: tuple[NDArray[Any], NDArray[Any]],
    values: tuple[NDArray[Any], ...],
    origin: tuple[int, int],
    shape: tuple[int, ...],
    sums: NDArray[np.floating],
) -> None:
    """Add the clean drops of a row to flat sums of a shape (rows, columns, planes).

    Parameters
    ----------
    n : int
    patch : tuple of int
    drops : tuple of ndarray
        Areas and base, see `areas.make_buffers`.
    flags : tuple of ndarray
        Weight and doubt: a pixel without weight, or with doubt, is left out.
    values : tuple of ndarray, one for each plane
        What is added, times its overlap; of four the last times its overlap squared.
    origin, shape : tuple of int
    sums : ndarray, of the dtype of the values
    """
    if len(patch) > _HELD:
        _add_in_memory(n, patch, drops, flags, values, origin, shape, sums)
    elif shape[0] >= len(patch) and shape[1] >= len(patch):
        _add_in_registers(n, patch, drops, flags, values, origin, shape, sums)


@inline
def _is_taken(weight: Any, doubt: Any, x0: int, y0: int, last_x: int, last_y: int) -> bool:
    """Whether a drop is clean and lies wholly within."""
    clean: bool = weight != 0.0 and doubt == 0
    return clean and x0 >= 0 and y0 >= 0 and x0 <= last_x and y0 <= last_y


@inline
def _values_at(values: tuple[NDArray[Any], ...], k: Any) -> tuple[Any, ...]:
    if len(values) == 4:
        return values[0][k], values[1][k], values[2][k], values[3][k]
    return values[0][k], values[1][k]


@inline
def _add_in_registers(
    n: int, patch: Length, drops: Any, flags: Any, values: Any, origin: Any, shape: Any, sums: Any
) -> None:
    """Add by a window that goes along with the drops."""
    (areas, base), (weight, doubt) = drops, flags
    last_y, last_x = shape[0] - len(patch), shape[1] - len(patch)
    count, plane = np.uint64(len(values)), np.uint64(PLANE)
    width = np.uint64(shape[1]) * count
    # Where the drops of the next detector rows will lie, whichever way these run.
    above, below = np.uint64(len(patch) + 2) * width, np.uint64(3) * width
    line = np.uint64(_LINE // (sums.itemsize * len(values)) - 1)
    corner = np.uint64(0)
    window = load_window(sums, corner, width, patch, values)
    for k in range(np.uint64(n)):
        x0, y0 = base[k] - origin[1], base[plane + k] - origin[0]
        if not _is_taken(weight[k], doubt[k], x0, y0, last_x, last_y):
            continue
        place = np.uint64(y0) * width + np.uint64(x0) * count
        if k & line == 0:
            prefetch(sums, place + above)
            prefetch(sums, place - below)
        if place == corner + count:
            window = slide_window(window, sums, corner, width)
            corner = place
        elif place != corner:
            store_window(window, sums, corner, width)
            window = load_window(sums, place, width, patch, values)
            corner = place
        window = add_to_window(window, areas, k, plane, _values_at(values, k))
    store_window(window, sums, corner, width)


@inline
def _add_in_memory(
    n: int, patch: Length, drops: Any, flags: Any, values: Any, origin: Any, shape: Any, sums: Any
) -> None:
    """Add to each pixel where it lies."""
    (areas, base), (weight, doubt) = drops, flags
    last_y, last_x = shape[0] - len(patch), shape[1] - len(patch)
    count, plane = np.uint64(len(values)), np.uint64(PLANE)
    width = np.uint64(shape[1]) * count
    for k in range(np.uint64(n)):
        x0, y0 = base[k] - origin[1], base[plane + k] - origin[0]
        if not _is_taken(weight[k], doubt[k], x0, y0, last_x, last_y):
            continue
        corner = np.uint64(y0) * width + np.uint64(x0) * count
        added = _values_at(values, k)
        for r in range(len(patch)):
            for c in range(len(patch)):
                place = corner + np.uint64(r) * width + np.uint64(c) * count
                each = (np.uint64(r) * np.uint64(len(patch)) + np.uint64(c)) * plane + k
                area = sums.dtype.type(areas[each])
                if len(values) == 4:
                    u = area * added[3]
                    add_scaled(sums, place, area, (added[0], added[1], added[2], u))
                else:
                    add_scaled(sums, place, area, added)


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
