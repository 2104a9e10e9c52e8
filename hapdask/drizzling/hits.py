"""Cosmic rays as lists of pixels: what goes from the tiles that find them to the masks."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import StoreError

#: Bytes of a spool that are held in memory.
_HELD = 64_000_000
_PLACE = np.dtype(np.uint32)


@dataclass(frozen=True)
class ChipHits:
    """Cosmic rays of one chip: flat indices of pixels, int64, in order."""

    name: str
    extver: int
    pixels: NDArray[np.int64]


class HitSpool:
    """The cosmic rays of many chips, as they come; on disk once they are many.

    Parameters
    ----------
    folder : path
        For the file, which has no name and goes with the spool.
    """

    def __init__(self, folder: str | Path) -> None:
        self._file = SpooledTemporaryFile(_HELD, dir=str(folder))  # noqa: SIM115 (see __exit__)
        self._folder, self._lock = folder, Lock()
        self._places: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)

    def __enter__(self) -> HitSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, hits: ChipHits) -> None:
        """Keep some cosmic rays of a chip.

        Raises
        ------
        StoreError
            If the disk is full.
        """
        content = hits.pixels.astype(_PLACE).tobytes()
        try:
            with self._lock:
                start = self._file.seek(0, os.SEEK_END)
                self._file.write(content)
        except OSError as error:
            raise StoreError(
                f"{self._folder}: cannot keep cosmic rays: {error.strerror}; give another folder"
            ) from error
        self._places[hits.name, hits.extver].append((start, len(content)))

    def mask(self, name: str, extver: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Give all of a chip: uint8 of its shape (ny, nx), 1 = bad."""
        mask = np.zeros(shape, np.uint8)
        for start, size in self._places.get((name, extver), ()):
            with self._lock:
                self._file.seek(start)
                content = self._file.read(size)
            mask.reshape(-1)[np.frombuffer(content, _PLACE)] = 1
        return mask
