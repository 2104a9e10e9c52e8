"""CTX planes: from keys of sets of chips to one bit per chip.

Inside hapdask a pixel's `ctx` is the key of a set of chips, which knows no limit and means the
same everywhere; a FITS product has bit n of its planes for the n-th chip of its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hapdask.errors import StoreError

Keys = npt.NDArray[np.uint64]

_BITS = 32


class ContextBits:
    """Translates the keys of one product.

    Parameters
    ----------
    palette : mapping of int to sequence of (exposure, extver)
        The chips behind every key; key 0 is no chip, listed or not.
    chips : sequence of (exposure, extver)
        The chips of the product, in the order of their bits.
    path : str
        Of the product, for messages.

    Attributes
    ----------
    planes : int
        Number of int32 planes, at least 1.
    """

    def __init__(
        self,
        palette: Mapping[int, Sequence[tuple[str, int]]],
        chips: Sequence[tuple[str, int]],
        path: str,
    ) -> None:
        self._palette, self._path = palette, path
        self._bit = {chip: bit for bit, chip in enumerate(chips)}
        self.planes = max(1, -(-len(chips) // _BITS))

    def count(self, keys: Keys) -> npt.NDArray[np.float64]:
        """Give the number of chips behind each key, shape of ``keys``."""
        counts = [len(self._chips(key)) for key in keys.ravel().tolist()]
        return np.array(counts, dtype=np.float64).reshape(keys.shape)

    def planes_of(self, keys: Keys) -> npt.NDArray[np.int32]:
        """Give the CTX planes of a block.

        Parameters
        ----------
        keys : ndarray of uint64, shape (ny, nx)
            Variable ``ctx``.

        Returns
        -------
        ndarray of int32, shape (planes, ny, nx)
            Bit 31 is the sign bit, as upstream has it.

        Raises
        ------
        StoreError
            If a key is not in the palette, or a chip is none of the product's.
        """
        distinct, which = np.unique(keys, return_inverse=True)
        words = np.zeros((self.planes, distinct.size), dtype=np.uint32)
        for column, key in enumerate(distinct.tolist()):
            for chip in self._chips(key):
                plane, bit = divmod(self._bit_of(chip), _BITS)
                words[plane, column] |= np.uint32(1 << bit)
        return words.view(np.int32)[:, which.reshape(keys.shape)]

    def _chips(self, key: int) -> Sequence[tuple[str, int]]:
        if key == 0:
            return ()
        try:
            return self._palette[key]
        except KeyError:
            raise StoreError(
                f"{self._path}: ctx key {key} is not in the palette (open the mosaic again, "
                "with the palette of all its tiles)"
            ) from None

    def _bit_of(self, chip: tuple[str, int]) -> int:
        name, extver = chip
        try:
            return self._bit[name, extver]
        except KeyError:
            raise StoreError(
                f"{self._path}: {name}[SCI,{extver}] is in the mosaic but not among the exposures "
                "named for its headers (name them all)"
            ) from None
