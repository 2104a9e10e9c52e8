"""From a tile's sums to its planes.

Where any clean pixel contributed, the clean sums are published; elsewhere those of the reserve.
Source of ``err`` and ``noise_ratio``: science.md "Weights and errors" (the propagated variance of
one pixel, and the rms of sums over large boxes relative to it).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel
from hapdask.kernels.sums import Layer, Reserve

Plane = NDArray[np.floating]


@kernel
def finish_sums(
    clean: Layer,
    reserve: Reserve,
    reached: NDArray[np.int64],
    border: int,
    sci: Plane,
    wht: Plane,
    err: Plane,
    noise_ratio: Plane,
    epoch: Plane,
) -> None:
    """Compute the planes that are functions of the sums, in one pass over them.

    Parameters
    ----------
    clean : Layer
    reserve : Reserve
    reached : ndarray of int64, shape (rows of the layer, 2)
        Columns of each row that any chip can have reached: first, and the one after the last.
    border : int
        Width of the border that the layer has around the tile.
    sci, wht : ndarray of float32, shape (ny, nx)
        Hold NaN (0 for wht) on entry, which stays where nothing contributed.
    err, noise_ratio : ndarray of float32; epoch : ndarray of float64
        The same, or of shape (0, 0) where they are not asked for.
    """
    ny, nx = sci.shape
    for y in range(ny):
        first = max(reached[y + border, 0] - border, 0)
        n = min(reached[y + border, 1] - border, nx) - first
        if n <= 0:
            continue
        start = border + first
        row = clean.sums[y + border, start : start + n]
        out_sci, out_wht = sci[y, first : first + n], wht[y, first : first + n]
        for x in range(np.uint64(n)):
            w = row[x, np.uint64(1)]
            out_wht[x] = max(w, 0.0)
            out_sci[x] = row[x, np.uint64(0)] / w if w > 0.0 else np.nan
        if err.size:
            out_err = err[y, first : first + n]
            for x in range(np.uint64(n)):
                w, single = row[x, np.uint64(1)], row[x, np.uint64(3)]
                out_err[x] = math.sqrt(single) / w if w > 0.0 else np.nan
        if noise_ratio.size:
            out_ratio = noise_ratio[y, first : first + n]
            for x in range(np.uint64(n)):
                ratio = math.sqrt(row[x, np.uint64(2)] / row[x, np.uint64(3)])
                out_ratio[x] = ratio if row[x, np.uint64(1)] > 0.0 else np.nan
        if epoch.size:
            times = clean.epoch[y + border, start : start + n]
            out_epoch = epoch[y, first : first + n]
            for x in range(np.uint64(n)):
                w = row[x, np.uint64(1)]
                out_epoch[x] = times[x] / w if w > 0.0 else np.nan
    width = reserve.slot.shape[1]
    for s in range(1, reserve.used[0]):
        j, i = reserve.home[s] // width, reserve.home[s] % width
        y, x, w = j - border, i - border, reserve.sums[s, 1]
        outside = y < 0 or x < 0 or y >= ny or x >= nx
        if outside or w <= 0.0 or clean.sums[j, i, 1] > 0.0:
            continue
        wht[y, x], sci[y, x] = w, reserve.sums[s, 0] / w
        if err.size:
            err[y, x] = math.sqrt(reserve.sums[s, 3]) / w
        if noise_ratio.size:
            noise_ratio[y, x] = math.sqrt(reserve.sums[s, 2] / reserve.sums[s, 3])
        if epoch.size:
            epoch[y, x] = reserve.epoch[s] / w


@kernel
def published_inputs(
    clean: Layer,
    reserve: Reserve,
    reached: NDArray[np.int64],
    border: int,
    signed: bool,
    out: NDArray[np.int32],
) -> None:
    """Fill in the number of the set of inputs of each published pixel.

    Parameters
    ----------
    clean : Layer
    reserve : Reserve
    reached : ndarray of int64, shape (rows of the layers, 2)
        Columns of each row that any chip can have reached: first, and the one after the last.
    border : int
        Width of the border that the layers have around the tile.
    signed : bool
        Whether overlaps may be negative, so that a pixel with inputs may be without weight.
    out : ndarray of int32, shape (ny, nx)
        Zeros on entry.
    """
    good, slot, poor = clean.inputs, reserve.slot, reserve.inputs
    weight, poor_weight = clean.sums, reserve.sums
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        first = max(reached[j, 0], border)
        last = min(reached[j, 1], border + out.shape[1])
        for i in range(np.uint64(first), np.uint64(max(first, last))):
            found = good[j, i]
            if signed and weight[j, i, np.uint64(1)] <= 0.0:
                found = np.int32(0)
            if found == 0:
                s = np.uint64(slot[j, i])
                if not signed or poor_weight[s, np.uint64(1)] > 0.0:
                    found = poor[s]
            out[y, i - np.uint64(border)] = found


@kernel
def published_quality(
    inputs: NDArray[np.int32],
    clean: Layer,
    reserve: Reserve,
    border: int,
    out: NDArray[np.uint16],
) -> None:
    """Fill in the doubtful flags of the pixels used, 0 where clean ones were: shape (ny, nx)."""
    weight, slot, flags = clean.sums, reserve.slot, reserve.flags
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        for x in range(np.uint64(out.shape[1])):
            i = x + np.uint64(border)
            used = inputs[y, x] != 0 and weight[j, i, np.uint64(1)] <= 0.0
            out[y, x] = flags[np.uint64(slot[j, i])] if used else np.uint16(0)


@kernel
def look_up(
    inputs: NDArray[np.int32],
    reached: NDArray[np.int64],
    border: int,
    table: NDArray[np.generic],
    out: NDArray[np.generic],
) -> None:
    """Fill in a value for the set of inputs of each pixel that any chip can have reached.

    Parameters
    ----------
    inputs : ndarray of int32, shape (ny, nx)
        From `published_inputs`.
    reached, border : as there
    table : ndarray, shape (sets,)
        Value of each set.
    out : ndarray of the same dtype, shape (ny, nx)
        Holds the value of the empty set on entry.
    """
    ny, nx = out.shape
    for y in range(np.uint64(ny)):
        j = y + np.uint64(border)
        first, last = max(reached[j, 0] - border, 0), min(reached[j, 1] - border, nx)
        for x in range(np.uint64(first), np.uint64(max(first, last))):
            out[y, x] = table[np.uint64(inputs[y, x])]


@kernel
def mark(inputs: NDArray[np.int32], used: NDArray[np.bool_]) -> None:
    """Mark the sets that occur in a flat array of set numbers."""
    for k in range(np.uint64(inputs.size)):
        used[np.uint64(inputs[k])] = True


@kernel
def relabel(inputs: NDArray[np.int32], number: NDArray[np.int32]) -> None:
    """Give every set in a flat array its new number."""
    for k in range(np.uint64(inputs.size)):
        inputs[k] = number[np.uint64(inputs[k])]
