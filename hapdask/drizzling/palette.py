"""Which inputs made which pixels, without a limit on their number.

A tile's sets of inputs form a trie (see `hapdask.kernels.sums`).  Each set has a key: the
exclusive or of one 64-bit hash per chip.  The key depends on the names of the chips alone, so it
means the same in every tile, window and run, and pixels compare across tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import HapdaskError
from hapdask.kernels import planes, sums

#: An input: name of the exposure and EXTVER of the chip.
Input = tuple[str, int]


def input_code(name: str, extver: int) -> int:
    """64-bit hash of one input."""
    digest = hashlib.sha256(f"{name}[SCI,{extver}]".encode()).digest()
    return int.from_bytes(digest[:8], "big")


@dataclass(frozen=True)
class InputFacts:
    """What the planes need to know of one input (a chip)."""

    name: str
    extver: int
    exptime: float
    mid_mjd: float


class InputTrie:
    """The sets of inputs of a tile while it is made.

    Inputs are added in a fixed order, all chips of an exposure one after another.
    """

    def __init__(self) -> None:
        self.inputs: list[InputFacts] = []
        self.parent = np.zeros(1, np.int32)
        self.chip = np.full(1, -1, np.int32)

    def fold(self, facts: InputFacts, layers: list[tuple[sums.Layer, NDArray[np.int64]]]) -> None:
        """Note one input in the given spans of some layers."""
        n = self.parent.size
        successor = np.full(2 * n, -1, np.int32)
        parent = np.concatenate([self.parent, np.empty(n, np.int32)])
        used = n
        for layer, spans in layers:
            used = sums.fold(layer, spans, facts.mid_mjd, successor, parent, used)
        self.parent = parent[:used]
        self.chip = np.concatenate(
            [self.chip, np.full(used - n, len(self.inputs), np.int32)], dtype=np.int32
        )
        self.inputs.append(facts)

    def keys(self) -> NDArray[np.uint64]:
        """Key of every node; 0 for the empty set."""
        codes = np.array([input_code(i.name, i.extver) for i in self.inputs], dtype=np.uint64)
        keys = np.zeros(self.parent.size, np.uint64)
        for node in range(1, keys.size):
            keys[node] = keys[self.parent[node]] ^ codes[self.chip[node]]
        if np.unique(keys).size != keys.size:
            raise HapdaskError(
                "two sets of inputs have one 64-bit key; rename one exposure of "
                + ", ".join(sorted({i.name for i in self.inputs}))
            )
        return keys

    def _spread(self, own: list[float], by_sum: int, start: float) -> NDArray[np.float64]:
        names = [i.name for i in self.inputs]
        first = np.array([names.index(name) for name in names], dtype=np.int32)
        out = np.full(self.parent.size, start)
        planes.accumulate_nodes(
            self.parent, self.chip, np.array(own, dtype=np.float64), first, by_sum, out
        )
        return out

    def table(self, name: str) -> NDArray[np.generic]:
        """Value of every node for one of ctx, nexp, exptime, epoch_min, epoch_max."""
        times = [i.mid_mjd for i in self.inputs]
        if name == "ctx":
            return self.keys()
        if name == "nexp":
            return self._spread([1.0] * len(times), 1, 0.0).astype(np.uint16)
        if name == "exptime":
            return self._spread([i.exptime for i in self.inputs], 1, 0.0).astype(np.float32)
        return self._spread(times, 2 if name == "epoch_min" else 3, np.nan)

    def palette(self, used: NDArray[np.int32]) -> Palette:
        """Make the palette of the sets at some nodes."""
        wanted = np.unique(used)
        keep = np.zeros(self.parent.size, bool)
        keep[wanted] = True
        for node in range(keep.size - 1, 0, -1):
            keep[self.parent[node]] |= keep[node]
        keep[0] = True
        number = np.cumsum(keep) - 1
        keys = self.keys()
        return Palette(
            inputs=tuple((i.name, i.extver) for i in self.inputs),
            parent=number[self.parent[keep]].astype(np.int32),
            chip=self.chip[keep],
            nodes={int(keys[n]): int(number[n]) for n in wanted if n},
        )


class Palette(Mapping[int, tuple[Input, ...]]):
    """What the keys in a tile's ``ctx`` stand for.

    Parameters
    ----------
    inputs : tuple of (str, int)
        Exposure and EXTVER of every chip that reached the tile.
    parent, chip : ndarray of int32
        The trie of sets: each node's parent, and the index in ``inputs`` of the chip that it adds.
    nodes : dict of int to int
        Node of every key that occurs.
    """

    def __init__(
        self,
        inputs: tuple[Input, ...],
        parent: NDArray[np.int32],
        chip: NDArray[np.int32],
        nodes: dict[int, int],
    ) -> None:
        self.inputs, self.parent, self.chip, self.nodes = inputs, parent, chip, nodes

    def __getitem__(self, key: int) -> tuple[Input, ...]:
        node = self.nodes[int(key)]
        found = []
        while node:
            found.append(self.inputs[self.chip[node]])
            node = int(self.parent[node])
        return tuple(reversed(found))

    def __iter__(self) -> Iterator[int]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)
