"""Palettes as stored: the set of chips behind every key of `ctx`, for a tile or for many.

A tile of many exposures may have 1e5 different sets (every cosmic ray makes one), so a palette
is kept as the trie that it is made as, in four arrays, beside the receipt and not in it. Not
here: how the keys come about (`hapdask.drizzling.palette`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from hapdask.errors import StoreError
from hapdask.products.receipts import Chip

_MAGIC = "hapdask palette 1"
_LEVEL = 1  # zlib: higher ones gain little on numbers


@runtime_checkable
class Trie(Protocol):
    """A palette that is a trie already, as a drizzled tile gives it.

    Node 0 is the empty set; every other node adds one input to its parent, a node before it.
    """

    inputs: tuple[Chip, ...]
    parent: npt.NDArray[np.int32]
    chip: npt.NDArray[np.int32]
    nodes: Mapping[int, int]


class StoredPalette(Mapping[int, tuple[Chip, ...]]):
    """The chips (exposure, extver) behind every key of `ctx`; key 0 is always there, empty.

    Parameters
    ----------
    inputs : tuple of (exposure, extver)
        Every chip that occurs.
    parent, chip : ndarray of int32, shape (nodes,)
        The trie: parent of each node, and the input that it adds. A root is its own parent.
    keys : ndarray of uint64, shape (keys,)
        Sorted, without 0.
    ends : ndarray of int32, shape (keys,)
        Node of each key.
    """

    def __init__(
        self,
        inputs: tuple[Chip, ...],
        parent: npt.NDArray[np.int32],
        chip: npt.NDArray[np.int32],
        keys: npt.NDArray[np.uint64],
        ends: npt.NDArray[np.int32],
    ) -> None:
        self.inputs, self.parent, self.chip = inputs, parent, chip
        self.sorted_keys, self.ends = keys, ends

    @classmethod
    def from_mapping(cls, palette: Mapping[int, Sequence[Chip]]) -> StoredPalette:
        """Make one from a palette in any form; a trie is taken as it is."""
        if isinstance(palette, StoredPalette):
            return palette
        trie = palette if isinstance(palette, Trie) else _Grown(palette)
        inputs, parent, chip = trie.inputs, trie.parent, trie.chip
        found = {key: node for key, node in trie.nodes.items() if key}
        keys = np.array(sorted(found), dtype=np.uint64)
        nodes = np.array([found[key] for key in keys.tolist()], dtype=np.int32)
        return cls(
            tuple((str(name), int(extver)) for name, extver in inputs),
            np.asarray(parent, np.int32), np.asarray(chip, np.int32), keys, nodes,
        )

    @classmethod
    def merge(cls, palettes: Iterable[StoredPalette]) -> Self:
        """Union of palettes: a key means the same set in every tile, by its making."""
        rank: dict[Chip, int] = {}
        parents, chips, keys, nodes, start = [_EMPTY], [_EMPTY], [_NO_KEYS], [_EMPTY], 0
        for palette in palettes:
            code = [rank.setdefault(chip, len(rank)) for chip in palette.inputs] or [0]
            parents.append(palette.parent + np.int32(start))
            chips.append(np.asarray(code, np.int32)[palette.chip])
            keys.append(palette.sorted_keys)
            nodes.append(palette.ends + np.int32(start))
            start += palette.parent.size
        unique, first = np.unique(np.concatenate(keys), return_index=True)
        return cls(
            tuple(rank), np.concatenate(parents), np.concatenate(chips), unique,
            np.concatenate(nodes)[first],
        )

    def to_bytes(self) -> bytes:
        """Return the stored form: one line of JSON, then the arrays, compressed."""
        head = {
            "format": _MAGIC, "inputs": [list(chip) for chip in self.inputs],
            "nodes": self.parent.size, "keys": self.sorted_keys.size,
        }
        arrays = (
            self.parent.astype("<i4"), self.chip.astype("<i4"), self.ends.astype("<i4"),
            self.sorted_keys.astype("<u8"),
        )
        body = zlib.compress(b"".join(array.tobytes() for array in arrays), _LEVEL)
        return json.dumps(head, sort_keys=True, separators=(",", ":")).encode() + b"\n" + body

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Self:
        """Read the stored form.

        Raises
        ------
        StoreError
            It is damaged.
        """
        try:
            line, body = data.split(b"\n", 1)
            head: dict[str, Any] = json.loads(line)
            if head["format"] != _MAGIC:
                raise ValueError(f"format {head['format']!r}")
            inputs = tuple((str(name), int(extver)) for name, extver in head["inputs"])
            n, k = int(head["nodes"]), int(head["keys"])
            if n < 1 or k < 0:
                raise ValueError("wrong length")
            # Told the size, zlib cannot be made to fill the memory.
            stream = zlib.decompressobj()
            raw = stream.decompress(body, 12 * k + 8 * n + 1)
            if len(raw) != 12 * k + 8 * n or not stream.eof:
                raise ValueError("wrong length")
            parent, chip = np.frombuffer(raw, "<i4", 2 * n).astype(np.int32).reshape(2, n)
            nodes = np.frombuffer(raw, "<i4", k, 8 * n).astype(np.int32)
            keys = np.frombuffer(raw, "<u8", k, 8 * n + 4 * k).astype(np.uint64)
            _check(parent, chip, nodes, len(inputs))
        except (ValueError, TypeError, KeyError, zlib.error) as error:
            raise StoreError(f"{where} is damaged: {error} (remove it and run again)") from error
        return cls(inputs, parent, chip, keys, nodes)

    def __getitem__(self, key: int) -> tuple[Chip, ...]:
        key = int(key)
        if key == 0:
            return ()
        if not 0 < key < 2**64:
            raise KeyError(key)
        at = int(np.searchsorted(self.sorted_keys, np.uint64(key)))
        if at == self.sorted_keys.size or int(self.sorted_keys[at]) != key:
            raise KeyError(key)
        found, node = [], int(self.ends[at])
        while (parent := int(self.parent[node])) != node:
            found.append(self.inputs[self.chip[node]])
            node = parent
        return tuple(sorted(found))

    def __iter__(self) -> Iterator[int]:
        yield 0
        yield from self.sorted_keys.tolist()

    def __len__(self) -> int:
        return 1 + self.sorted_keys.size


_EMPTY = np.empty(0, np.int32)
_NO_KEYS = np.empty(0, np.uint64)


class _Grown:
    """The trie of a plain palette."""

    def __init__(self, palette: Mapping[int, Sequence[Chip]]) -> None:
        self.inputs = tuple(sorted({chip for chips in palette.values() for chip in chips}))
        rank = {chip: number for number, chip in enumerate(self.inputs)}
        parent, chip, known, self.nodes = [0], [0], {(0, -1): 0}, dict[int, int]()
        for key, members in sorted(palette.items()):
            node = 0
            for number in sorted({rank[member] for member in members}):
                if (node, number) not in known:
                    known[node, number] = len(parent)
                    parent.append(node)
                    chip.append(number)
                node = known[node, number]
            self.nodes[int(key)] = node
        self.parent, self.chip = np.array(parent, np.int32), np.array(chip, np.int32)


def _check(
    parent: npt.NDArray[np.int32], chip: npt.NDArray[np.int32], nodes: npt.NDArray[np.int32],
    inputs: int,
) -> None:
    """Make sure that every walk up the trie ends, and stays inside the arrays."""
    number = np.arange(parent.size)
    if np.any((parent < 0) | (parent > number)):
        raise ValueError("a node before its parent")
    if np.any((parent != number) & ((chip < 0) | (chip >= inputs))):
        raise ValueError("a node of no input")
    if np.any((nodes < 0) | (nodes >= parent.size)):
        raise ValueError("a key of no node")
