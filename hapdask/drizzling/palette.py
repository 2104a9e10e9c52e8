"""What the keys of ``ctx`` stand for: sets of inputs, without a limit on their number.

A set's key is the exclusive or of one 64-bit hash per chip.  It depends on the names of the chips
alone, so it means the same in every tile, window and run.  Not here: how sets come about while a
tile is made (`input_sets`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

#: An input: name of the exposure and EXTVER of the chip.
Input = tuple[str, int]


def input_code(name: str, extver: int) -> int:
    """64-bit hash of one input."""
    digest = hashlib.sha256(f"{name}[SCI,{extver}]".encode()).digest()
    return int.from_bytes(digest[:8], "big")


class Palette(Mapping[int, tuple[Input, ...]]):
    """The inputs behind every key of ``ctx``; key 0 is always there, empty.

    Parameters
    ----------
    inputs : tuple of (str, int)
        Exposure and EXTVER of every chip that occurs.
    keys : ndarray of uint64, shape (n,)
        Sorted; without 0.
    bits : ndarray of uint8, shape (n, at least len(inputs) / 8)
        The set of each key: bit k of a row, lowest first, is input k.
    """

    def __init__(
        self, inputs: tuple[Input, ...], keys: NDArray[np.uint64], bits: NDArray[np.uint8]
    ) -> None:
        self.inputs, self.sorted_keys, self.bits = inputs, keys, bits

    @classmethod
    def from_mapping(cls, palette: Mapping[int, Sequence[Input]]) -> Palette:
        """Make one from a palette in any form."""
        if isinstance(palette, Palette):
            return palette
        inputs = tuple(sorted({member for members in palette.values() for member in members}))
        rank = {member: k for k, member in enumerate(inputs)}
        keys = sorted(int(key) for key in palette if key)
        held = np.zeros((len(keys), len(inputs)), bool)
        for row, key in enumerate(keys):
            held[row, [rank[member] for member in palette[key]]] = True
        return cls(inputs, np.array(keys, np.uint64), np.packbits(held, axis=1, bitorder="little"))

    @classmethod
    def merge(cls, palettes: Iterable[Palette]) -> Self:
        """Unite palettes: a key means the same set in every tile, by its making."""
        members = list(palettes)
        rank: dict[Input, int] = {}
        for palette in members:
            for member in palette.inputs:
                rank.setdefault(member, len(rank))
        keys, rows = [np.empty(0, np.uint64)], [np.empty((0, -(-len(rank) // 8)), np.uint8)]
        for palette in members:
            held = np.zeros((palette.sorted_keys.size, len(rank)), bool)
            n = len(palette.inputs)
            held[:, [rank[member] for member in palette.inputs]] = palette.held()[:, :n]
            keys.append(palette.sorted_keys)
            rows.append(np.packbits(held, axis=1, bitorder="little"))
        unique, first = np.unique(np.concatenate(keys), return_index=True)
        return cls(tuple(rank), unique, np.concatenate(rows)[first])

    def held(self) -> NDArray[np.uint8]:
        """Membership of every input (column) in the set of every key (row): 0 or 1."""
        return np.unpackbits(self.bits, axis=1, bitorder="little")

    def __getitem__(self, key: int) -> tuple[Input, ...]:
        key = int(key)
        if key == 0:
            return ()
        if not 0 < key < 2**64:
            raise KeyError(key)
        row = int(np.searchsorted(self.sorted_keys, np.uint64(key)))
        if row == self.sorted_keys.size or int(self.sorted_keys[row]) != key:
            raise KeyError(key)
        held = np.unpackbits(self.bits[row], bitorder="little")
        return tuple(sorted(self.inputs[k] for k in np.flatnonzero(held)))

    def __iter__(self) -> Iterator[int]:
        yield 0
        yield from self.sorted_keys.tolist()

    def __len__(self) -> int:
        return 1 + int(self.sorted_keys.size)
