"""The look-up tables of a file's distortion: D2IMARR and WCSDVARR extensions.

Lives here: reading them, sharing equal ones, and how far they reach.  Not here: what they do to
a position (`distortion`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.cards import Value
from hapdask.observe.distortion import Distortion
from hapdask.observe.fits import FitsFile, Hdu, read_image_rows
from hapdask.observe.source import ByteSource

Table = tuple[Mapping[str, Value], NDArray[np.float64]]
#: Arrays of look-up tables by the hash of their values, shared by the exposures of one call:
#: equal tables are one object, so records that are pickled together carry them once.
TableCache = dict[str, NDArray[np.float64]]

_NAMES = ("D2IMARR", "WCSDVARR")
_MAX_TABLE = 1 << 21  # pixels; the largest of Hubble's tables has 64 x 32
_UPDATE = "run updatewcs on the file"


class LookupTables(Mapping[tuple[str, int], Table]):
    """The table extensions of an open file, each read when it is asked for."""

    def __init__(self, source: ByteSource, file: FitsFile, cache: TableCache) -> None:
        self._source, self._cache = source, cache
        self._hdus: dict[tuple[str, int], Hdu] = {}
        for hdu in file.hdus:
            if hdu.name in _NAMES:
                self._hdus.setdefault((hdu.name, hdu.extver), hdu)

    def __getitem__(self, key: tuple[str, int]) -> Table:
        hdu = self._hdus[key]
        if not hdu.is_image or len(hdu.shape) != 2 or math.prod(hdu.shape) > _MAX_TABLE:
            raise InputError(
                self._source.url,
                f"a look-up table of shape {hdu.shape}",
                ext=hdu.label,
                remedy=_UPDATE,
            )
        stored = read_image_rows(self._source, hdu, 0, hdu.shape[0])
        values = np.ascontiguousarray(stored, dtype=np.float64)
        content = hashlib.blake2b(repr(values.shape).encode() + values.tobytes()).hexdigest()
        return hdu.header, self._cache.setdefault(content, values)

    def __contains__(self, key: object) -> bool:
        return key in self._hdus  # without reading it, as Mapping's own would

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._hdus)

    def __len__(self) -> int:
        return len(self._hdus)


def short_tables(distortion: Distortion) -> tuple[tuple[str, float, float, int], ...]:
    """List look-up tables that end well inside the chip: name, first and last pixel, size.

    They are cut or of another detector; or they are those of a subarray whose origin updatewcs
    has added where it was to be taken away.  Beyond its ends a table gives its last value.
    """
    found = []
    for name in ("d2im_x", "d2im_y", "npol_x", "npol_y"):
        table = getattr(distortion, name)
        if table is None:
            continue
        for axis, size in ((0, distortion.shape[1]), (1, distortion.shape[0])):
            count = table.values.shape[1 - axis]
            first, step = table.start[axis], table.step[axis]
            last = first + step * (count - 1)
            # a table of one row or column is the same all along
            if count > 1 and (first > 2 * step or last < size - 1 - 2 * step):
                found.append((name, first, last, size))
    return tuple(found)
