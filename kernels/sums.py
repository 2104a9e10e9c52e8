"""The sums of a tile: what is accumulated per output pixel.

A `Layer` holds the sums over clean detector pixels; a `Reserve` those over doubtful ones, only for
output pixels that had no clean weight when they came.  After each chip `fold_layer` and
`fold_reserve` note which output pixels it reached: an input is named for a pixel where it changed
the pixel's weight (Lanczos kernels may lower it).  Every pixel points to the set of its inputs in a
table kept by the caller; a chip turns a set into at most one new one.

Lives here: bookkeeping per output pixel.  Not here: geometry, names of exposures, planes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel


class Layer(NamedTuple):
    """Sums over clean detector pixels, with a border around the tile.

    Attributes
    ----------
    sums : ndarray of float64, shape (ny, nx, 2 or 4)
        Interleaved, so that a drop touches few cache lines: sum(a w f), sum(a w) and, for all
        planes, sum(a u), sum(a^2 u); a is the overlap, w the weight, f the flux, u = w^2 var.
    seen : ndarray of float64, shape (ny, nx)
        sum(a w) when inputs were last noted.
    epoch : ndarray of float64, shape (ny, nx), or (0, 0) where nobody asks for it
        sum(a w t), t the mid-exposure time.
    inputs : ndarray of int32, shape (ny, nx)
        Number of the set of inputs; 0 is the empty set.
    """

    sums: NDArray[np.float64]
    seen: NDArray[np.float64]
    epoch: NDArray[np.float64]
    inputs: NDArray[np.int32]


def make_layer(shape: tuple[int, int], *, every_plane: bool, epochs: bool | None = None) -> Layer:
    """Empty sums; memory is only taken where something is added; epochs are a plane apart."""
    return Layer(
        np.zeros((*shape, 4 if every_plane else 2)),
        np.zeros(shape),
        np.zeros(shape if (every_plane if epochs is None else epochs) else (0, 0)),
        np.zeros(shape, dtype=np.int32),
    )


class Reserve(NamedTuple):
    """Sums over doubtful detector pixels, in slots for the output pixels that need them.

    Attributes
    ----------
    slot : ndarray of int32, shape (ny, nx)
        Slot of each pixel of the layer's arrays; 0 for none.
    home : ndarray of int64, shape (slots,)
        Flat position of the pixel of each slot; slot 0 is not used.
    sums : ndarray of float64, shape (slots, 2 or 4)
    seen, epoch, inputs : as in `Layer`, shape (slots,)
    flags : ndarray of uint16, shape (slots,)
        OR of the doubtful flags of the detector pixels.
    used : ndarray of int64, shape (1,)
        Number of slots in use, slot 0 counted.
    """

    slot: NDArray[np.int32]
    home: NDArray[np.int64]
    sums: NDArray[np.float64]
    seen: NDArray[np.float64]
    epoch: NDArray[np.float64]
    inputs: NDArray[np.int32]
    flags: NDArray[np.uint16]
    used: NDArray[np.int64]


def make_reserve(
    shape: tuple[int, int], *, every_plane: bool, epochs: bool | None = None
) -> Reserve:
    """Make an empty reserve for a layer of ``shape``, without room; see `with_room`."""
    return Reserve(
        np.zeros(shape, np.int32),
        np.zeros(1, np.int64),
        np.zeros((1, 4 if every_plane else 2)),
        np.zeros(1),
        np.zeros(1 if (every_plane if epochs is None else epochs) else 0),
        np.zeros(1, np.int32),
        np.zeros(1, np.uint16),
        np.ones(1, np.int64),
    )


def with_room(reserve: Reserve, more: int) -> Reserve:
    """Give a reserve room for ``more`` slots; its arrays must not be used any more."""
    needed = min(int(reserve.used[0]) + more, reserve.slot.size + 1)
    have = reserve.seen.size
    if needed <= have:
        return reserve
    size = max(needed, min(2 * have, reserve.slot.size + 1))
    grown = {}
    for name in ("home", "sums", "seen", "epoch", "inputs", "flags"):
        old = getattr(reserve, name)
        if old.size:
            new = np.zeros((size, *old.shape[1:]), old.dtype)
            new[:have] = old
            grown[name] = new
    return reserve._replace(**grown)


@kernel
def fold_layer(
    layer: Layer,
    spans: NDArray[np.int64],
    time: float,
    successor: NDArray[np.int32],
    parent: NDArray[np.int32],
    n_sets: int,
) -> int:
    """Note the current chip in every pixel of some spans whose weight it changed.

    Parameters
    ----------
    layer : Layer
    spans : ndarray of int64, shape (n, 3)
        Row, first column, last column (excluded), as positions in the layer's arrays.
    time : float
        Mid-exposure time of the chip.
    successor : ndarray of int32, shape (capacity,)
        Set that the current chip makes of each set, -1 where not made yet.
    parent : ndarray of int32, shape (capacity,)
        Receives the set that each new one was made of.
    n_sets : int
        Sets in use.

    Returns
    -------
    int
        Sets in use afterwards.  The caller provides room for as many new ones as there are.
    """
    sums, seen, epoch, inputs = layer
    for s in range(np.uint64(spans.shape[0])):
        y = np.uint64(spans[s, 0])
        for x in range(np.uint64(spans[s, 1]), np.uint64(spans[s, 2])):
            weight, before = sums[y, x, np.uint64(1)], seen[y, x]
            if weight != before:
                seen[y, x] = weight
                if epoch.size:
                    epoch[y, x] += (weight - before) * time
                here = np.uint64(inputs[y, x])
                following = successor[here]
                if following < 0:
                    following = np.int32(n_sets)
                    successor[here] = following
                    parent[np.uint64(n_sets)] = inputs[y, x]
                    n_sets += 1
                inputs[y, x] = following
    return n_sets


@kernel
def fold_reserve(
    reserve: Reserve,
    clean: NDArray[np.float64],
    time: float,
    successor: NDArray[np.int32],
    parent: NDArray[np.int32],
    n_sets: int,
) -> int:
    """As `fold_layer`, for all slots of a reserve whose pixel has no clean weight by now.

    Parameters
    ----------
    reserve : Reserve
    clean : ndarray of float64, shape (pixels, 2 or 4)
        ``sums`` of the layer, pixels flat.
    time, successor, parent, n_sets : as for `fold_layer`
    """
    weights, seen, epoch, inputs = reserve.sums, reserve.seen, reserve.epoch, reserve.inputs
    home = reserve.home
    for s in range(np.uint64(1), np.uint64(reserve.used[0])):
        weight, before = weights[s, np.uint64(1)], seen[s]
        if weight != before and clean[np.uint64(home[s]), np.uint64(1)] <= 0.0:
            seen[s] = weight
            if epoch.size:
                epoch[s] += (weight - before) * time
            here = np.uint64(inputs[s])
            following = successor[here]
            if following < 0:
                following = np.int32(n_sets)
                successor[here] = following
                parent[np.uint64(n_sets)] = inputs[s]
                n_sets += 1
            inputs[s] = following
    return n_sets


@kernel
def spans_of_blocks(
    boxes: NDArray[np.int64], origin: tuple[int, int], width: int, spans: NDArray[np.int64]
) -> None:
    """Columns that any of some blocks can reach, for each row of a layer's arrays.

    Parameters
    ----------
    boxes : ndarray of int64, shape (blocks, 4)
        Bounds of each, see ``blocks.ChipReach``.
    origin : tuple of int
        Root-grid row and column of element [0, 0] of the arrays.
    width : int
        Columns of the arrays.
    spans : ndarray of int64, shape (rows of the arrays, 3)
        Receives a span for every row, empty where nothing reaches.
    """
    for y in range(spans.shape[0]):
        spans[y] = y, width, 0
    for b in range(boxes.shape[0]):
        x0, x1, y0, y1 = boxes[b]
        x0, x1 = max(x0 - origin[1], 0), min(x1 - origin[1], width)
        for y in range(max(y0 - origin[0], 0), min(y1 - origin[0], spans.shape[0])):
            spans[y, 1] = min(spans[y, 1], x0)
            spans[y, 2] = max(spans[y, 2], x1)
    for y in range(spans.shape[0]):
        spans[y, 1] = min(spans[y, 1], spans[y, 2])
