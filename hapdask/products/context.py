"""CTX planes: from keys of sets of chips to one bit per chip, and back.

Inside hapdask a pixel's `ctx` is the key of a set of chips, which knows no limit and means the
same everywhere; a FITS product has bit n of its planes for the n-th chip of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hapdask.drizzling.palette import Input, Palette, input_code
from hapdask.errors import StoreError
from hapdask.kernels.exporting import find_rows, spread_words

Keys = npt.NDArray[np.uint64]

_BITS = 32
#: Sets translated at a time, so that a tile of many sets takes no memory to speak of.
_SLAB = 1 << 13


class ContextBits:
    """Translates the keys of one product.

    Parameters
    ----------
    chips : sequence of (exposure, extver)
        The chips of the product, in the order of their bits.
    path : str
        Of the product, for messages.

    Attributes
    ----------
    planes : int
        Number of int32 planes, at least 1.
    """

    def __init__(self, chips: Sequence[Input], path: str) -> None:
        self._path = path
        self._bit = {chip: bit for bit, chip in enumerate(chips)}
        self.planes = max(1, -(-len(chips) // _BITS))

    def count(self, keys: Keys, palette: Palette) -> npt.NDArray[np.float64]:
        """Give the number of chips behind each key, shape of ``keys``."""
        counts = np.append(np.bitwise_count(palette.bits).sum(axis=1, dtype=np.float64), 0.0)
        return np.asarray(counts[self._rows(keys, palette)])

    def planes_of(self, keys: Keys, palette: Palette) -> Iterator[npt.NDArray[np.int32]]:
        """Give the CTX planes of a block one after another: there can be dozens.

        Parameters
        ----------
        keys : ndarray of uint64, shape (ny, nx)
            Variable ``ctx``.
        palette : Palette
            The chips behind the keys of the block.

        Yields
        ------
        ndarray of int32, shape (ny, nx)
            Bit 31 is the sign bit, as upstream has it.

        Raises
        ------
        StoreError
            If a key is not in the palette, or a chip is none of the product's.
        """
        known = palette.sorted_keys
        rows, used = np.empty(keys.shape, np.int32), np.zeros(known.size + 1, bool)
        if find_rows(np.ascontiguousarray(keys), known, rows, used):
            self._rows(np.unique(keys), palette)  # says which key it was
        some = np.flatnonzero(used[:-1])
        place = np.full(used.size, some.size, np.int32)
        place[some] = np.arange(some.size)
        words = np.zeros((self.planes, some.size + 1), dtype=np.uint32)
        for start in range(0, some.size, _SLAB):
            part = slice(start, min(start + _SLAB, some.size))
            words[:, part] = self._words(some[part], palette)
        yield from _spread(rows, place, words)

    def planes_of_sets(
        self, sets: npt.NDArray[np.int32], keys: Keys, palette: Palette
    ) -> Iterator[npt.NDArray[np.int32]]:
        """Give the CTX planes of a block that tells the numbers of its sets, not their keys.

        Parameters
        ----------
        sets : ndarray of int32, shape (ny, nx)
        keys : ndarray of uint64, shape (sets,)
            Of each set; those that the palette does not know occur nowhere.
        palette : Palette
        """
        known = np.where(np.isin(keys, palette.sorted_keys), keys, np.uint64(0))
        words = np.concatenate(list(self.planes_of(known[np.newaxis], palette))).view(np.uint32)
        yield from _spread(sets, np.arange(keys.size, dtype=np.int32), words)

    def _words(self, rows: npt.NDArray[np.intp], palette: Palette) -> npt.NDArray[np.uint32]:
        """Words of the sets in some rows of a palette."""
        n = len(palette.inputs)
        unpacked = np.unpackbits(palette.bits[rows], axis=1, bitorder="little")
        held = unpacked[:, :n].astype(bool)
        used = np.flatnonzero(held.any(axis=0))
        bits = np.zeros((rows.size, _BITS * self.planes), bool)
        bits[:, [self._bit_of(palette.inputs[k]) for k in used]] = held[:, used]
        packed = np.packbits(bits, axis=1, bitorder="little")
        return np.asarray(packed.view("<u4").T.astype(np.uint32))

    def _rows(self, keys: Keys, palette: Palette) -> npt.NDArray[np.intp]:
        """Rows of the palette that keys stand in; -1 for key 0."""
        known = palette.sorted_keys
        rows = np.searchsorted(known, keys)
        found = np.zeros(keys.shape, bool)
        inside = rows < known.size
        found[inside] = known[rows[inside]] == keys[inside]
        if np.any(~found & (keys != 0)):
            unknown = int(keys[~found & (keys != 0)].ravel()[0])
            raise StoreError(
                f"{self._path}: ctx key {unknown} is not in the palette (open the mosaic again, "
                "with the palette of all its tiles)"
            )
        return np.where(found, rows, -1)

    def _bit_of(self, chip: Input) -> int:
        name, extver = chip
        try:
            return self._bit[name, extver]
        except KeyError:
            raise StoreError(
                f"{self._path}: {name}[SCI,{extver}] is in the mosaic but not among the exposures "
                "named for its headers (name them all)"
            ) from None


def _spread(
    rows: npt.NDArray[np.int32], place: npt.NDArray[np.int32], words: npt.NDArray[np.uint32]
) -> Iterator[npt.NDArray[np.int32]]:
    for each in words:
        plane = np.empty(rows.shape, np.uint32)
        spread_words(rows, place, each, plane)
        yield plane.view(np.int32)


def keys_of_planes(planes: npt.NDArray[np.integer], chips: Sequence[Input]) -> Keys:
    """Give the keys of the sets of chips that CTX planes tell: the inverse of `planes_of`.

    Parameters
    ----------
    planes : ndarray of int32, shape (planes, ny, nx)
    chips : sequence of (exposure, extver)
        In the order of the bits.

    Returns
    -------
    ndarray of uint64, shape (ny, nx)
    """
    keys = np.zeros(planes.shape[1:], np.uint64)
    for number, plane in enumerate(planes):
        words = plane.astype(np.int32).view(np.uint32)
        anywhere = int(np.bitwise_or.reduce(words, axis=None)) if words.size else 0
        for bit, (name, extver) in enumerate(chips[number * _BITS : (number + 1) * _BITS]):
            if anywhere >> bit & 1:
                held = (words >> np.uint32(bit) & np.uint32(1)).astype(np.uint64)
                keys ^= held * np.uint64(input_code(name, extver))
    return keys
