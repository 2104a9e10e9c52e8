"""Cosmic rays as lists of pixels: what goes from the tiles that find them to the masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ChipHits:
    """Cosmic rays of one chip: flat indices of pixels, int64, in order."""

    name: str
    extver: int
    pixels: NDArray[np.int64]


class HitBits:
    """Cosmic rays of one chip as one bit per pixel: a megabyte for the largest chips.

    Parameters
    ----------
    shape : tuple of int
        Of the chip, (ny, nx).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._bits = np.zeros(0, np.uint8)

    def add(self, pixels: NDArray[np.int64]) -> None:
        """Set pixels, given by flat indices."""
        if not self._bits.size:
            self._bits = np.zeros(-(-self._shape[0] * self._shape[1] // 8), np.uint8)
        values = np.left_shift(np.uint8(1), (pixels & 7).astype(np.uint8))
        np.bitwise_or.at(self._bits, pixels >> 3, values)

    def mask(self) -> NDArray[np.uint8]:
        """Unpack: uint8 of the chip's shape, 1 = bad."""
        size = self._shape[0] * self._shape[1]
        if not self._bits.size:
            return np.zeros(self._shape, np.uint8)
        return np.unpackbits(self._bits, count=size, bitorder="little").reshape(self._shape)
