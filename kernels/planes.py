"""From a tile's sums to its planes.

Where any clean pixel contributed, the clean sums are published; elsewhere the doubtful ones.
Source of ``err`` and ``noise_ratio``: science.md "Weights and errors" (the propagated variance of
one pixel, and the rms of sums over large boxes relative to it).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel
from hapdask.kernels.sums import Layer

#: Number of each plane that is a function of the sums of one pixel.
_SCI, _WHT, _ERR, _NOISE_RATIO, _EPOCH = range(5)
_NUMBERS = {"sci": _SCI, "wht": _WHT, "err": _ERR, "noise_ratio": _NOISE_RATIO, "epoch": _EPOCH}


def plane_of_sums(
    name: str, clean: Layer, doubtful: Layer, border: int, out: NDArray[np.floating]
) -> None:
    """Compute one of sci, wht, err, noise_ratio, epoch.

    Parameters
    ----------
    name : str
    clean, doubtful : Layer
    border : int
        Width of the border that the layers have around the tile.
    out : ndarray of float32 or float64, shape (ny, nx)
        Receives the plane; NaN (0 for wht) where nothing contributed.
    """
    _fill(_NUMBERS[name], clean, doubtful, border, out)


@inline
def _value(
    number: int, value: float, weight: float, pooled: float, single: float, epoch: float
) -> float:
    if number == _WHT:
        return weight
    if weight <= 0.0:
        return np.nan
    if number == _SCI:
        return value / weight
    if number == _ERR:
        return math.sqrt(single) / weight
    if number == _NOISE_RATIO:
        return math.sqrt(pooled / single)
    return epoch / weight


@kernel
def _fill(
    number: int, clean: Layer, doubtful: Layer, border: int, out: NDArray[np.floating]
) -> None:
    noise, times = number in (_ERR, _NOISE_RATIO), number == _EPOCH
    good, good_epoch = clean.sums, clean.epoch
    poor, poor_epoch = doubtful.sums, doubtful.epoch
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        for x in range(np.uint64(out.shape[1])):
            i = x + np.uint64(border)
            pooled, single, epoch = 0.0, 0.0, 0.0
            value, weight = good[j, i, np.uint64(0)], good[j, i, np.uint64(1)]
            if weight > 0.0:
                if noise:
                    pooled, single = good[j, i, np.uint64(2)], good[j, i, np.uint64(3)]
                if times:
                    epoch = good_epoch[j, i]
            else:
                value, weight = poor[j, i, np.uint64(0)], poor[j, i, np.uint64(1)]
                if noise:
                    pooled, single = poor[j, i, np.uint64(2)], poor[j, i, np.uint64(3)]
                if times:
                    epoch = poor_epoch[j, i]
            out[y, x] = _value(number, value, weight, pooled, single, epoch)


@kernel
def published_nodes(clean: Layer, doubtful: Layer, border: int, out: NDArray[np.int32]) -> None:
    """Node of the trie that tells the inputs of each published pixel, shape (ny, nx) int32."""
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        for x in range(np.uint64(out.shape[1])):
            i = x + np.uint64(border)
            if clean.node[j, i]:
                out[y, x] = clean.node[j, i]
            else:
                out[y, x] = doubtful.node[j, i]


@kernel
def published_quality(
    clean: Layer, quality: NDArray[np.uint16], border: int, out: NDArray[np.uint16]
) -> None:
    """Doubtful flags of the pixels used, 0 where clean ones were: shape (ny, nx) uint16."""
    for y in range(np.uint64(out.shape[0])):
        j = y + np.uint64(border)
        for x in range(np.uint64(out.shape[1])):
            i = x + np.uint64(border)
            out[y, x] = quality[j, i] if clean.node[j, i] == 0 else np.uint16(0)


@kernel
def accumulate_nodes(
    parent: NDArray[np.int32],
    chip: NDArray[np.int32],
    own: NDArray[np.float64],
    first_of_exposure: NDArray[np.int32],
    by_sum: int,
    out: NDArray[np.float64],
) -> None:
    """Spread a figure of the chips over the sets they make, along the trie.

    Parameters
    ----------
    parent, chip : ndarray of int32, shape (n,)
        The trie: each node's parent and the chip that it adds; node 0 is the empty set.
    own : ndarray, shape (number of chips,)
        The figure of each chip.
    first_of_exposure : ndarray of int32, shape (number of chips,)
        Number of the exposure of each chip.  A node whose parent ends in the same exposure adds
        nothing: sums count exposures, not chips.
    by_sum : int
        1 to add, 2 to take the least, 3 to take the greatest.
    out : ndarray, shape (n,)
        ``out[0]`` is set by the caller.
    """
    for node in range(1, parent.size):
        before, c = parent[node], chip[node]
        again = before > 0 and first_of_exposure[chip[before]] == first_of_exposure[c]
        if by_sum == 1:
            out[node] = out[before] if again else out[before] + own[c]
        elif before == 0:
            out[node] = own[c]
        elif by_sum == 2:
            out[node] = min(out[before], own[c])
        else:
            out[node] = max(out[before], own[c])
