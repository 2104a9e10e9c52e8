"""From a tile's sums to its planes.

Where any clean pixel contributed, the clean sums are published; elsewhere those of the reserve.
Source of ``err`` and ``noise_ratio``: science.md "Weights and errors" (the propagated variance of
one pixel, and the rms of sums over large boxes relative to it).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel
from hapdask.kernels.sums import Layer, Reserve

#: Number of each plane that is a function of the sums of one pixel.
_SCI, _WHT, _ERR, _NOISE_RATIO, _EPOCH = range(5)
_NUMBERS = {"sci": _SCI, "wht": _WHT, "err": _ERR, "noise_ratio": _NOISE_RATIO, "epoch": _EPOCH}


def plane_of_sums(
    name: str,
    inputs: NDArray[np.int32],
    clean: Layer,
    reserve: Reserve,
    border: int,
    out: NDArray[np.floating],
) -> None:
    """Compute one of sci, wht, err, noise_ratio, epoch.

    Parameters
    ----------
    name : str
    inputs : ndarray of int32, shape (ny, nx)
        From `published_inputs`.
    clean : Layer
    reserve : Reserve
    border : int
        Width of the border that the layers have around the tile.
    out : ndarray of float32 or float64, shape (ny, nx)
        Receives the plane; NaN (0 for wht) where nothing contributed.
    """
    _fill(_NUMBERS[name], inputs, clean, reserve, border, out)


@inline
def _value(
    number: int, value: float, weight: float, pooled: float, single: float, epoch: float
) -> float:
    if number == _WHT:
        return weight
    if number == _SCI:
        return value / weight
    if number == _ERR:
        return math.sqrt(single) / weight
    if number == _NOISE_RATIO:
        return math.sqrt(pooled / single)
    return epoch / weight


@kernel
def _fill(
    number: int,
    inputs: NDArray[np.int32],
    clean: Layer,
    reserve: Reserve,
    border: int,
    out: NDArray[np.floating],
) -> None:
    noise, times = number in (_ERR, _NOISE_RATIO), number == _EPOCH
    empty = 0.0 if number == _WHT else np.nan
    good, good_epoch = clean.sums, clean.epoch
    slot, poor, poor_epoch = reserve.slot, reserve.sums, reserve.epoch
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        for x in range(np.uint64(out.shape[1])):
            if inputs[y, x] == 0:
                out[y, x] = empty
                continue
            i = x + np.uint64(border)
            pooled, single, epoch = 0.0, 0.0, 0.0
            value, weight = good[j, i, np.uint64(0)], good[j, i, np.uint64(1)]
            if weight > 0.0:
                if noise:
                    pooled, single = good[j, i, np.uint64(2)], good[j, i, np.uint64(3)]
                if times:
                    epoch = good_epoch[j, i]
            else:
                s = np.uint64(slot[j, i])
                value, weight = poor[s, np.uint64(0)], poor[s, np.uint64(1)]
                if noise:
                    pooled, single = poor[s, np.uint64(2)], poor[s, np.uint64(3)]
                if times:
                    epoch = poor_epoch[s]
            out[y, x] = _value(number, value, weight, pooled, single, epoch)


@kernel
def published_inputs(
    clean: Layer,
    reserve: Reserve,
    reached: NDArray[np.int64],
    border: int,
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
    out : ndarray of int32, shape (ny, nx)
        Zeros on entry.
    """
    good, slot, poor = clean.inputs, reserve.slot, reserve.inputs
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        first = max(reached[j, 0], border)
        last = min(reached[j, 1], border + out.shape[1])
        for i in range(np.uint64(first), np.uint64(max(first, last))):
            found = good[j, i]
            out[y, i - np.uint64(border)] = found if found else poor[np.uint64(slot[j, i])]


@kernel
def published_quality(
    inputs: NDArray[np.int32],
    clean: Layer,
    reserve: Reserve,
    border: int,
    out: NDArray[np.uint16],
) -> None:
    """Fill in the doubtful flags of the pixels used, 0 where clean ones were: shape (ny, nx)."""
    good, slot, flags = clean.inputs, reserve.slot, reserve.flags
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        for x in range(np.uint64(out.shape[1])):
            i = x + np.uint64(border)
            used = inputs[y, x] != 0 and good[j, i] == 0
            out[y, x] = flags[np.uint64(slot[j, i])] if used else np.uint16(0)


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
