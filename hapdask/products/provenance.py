"""Which chips made a pixel, and their records, read from a store when first asked.

Here: the lazy mappings that stand in the attributes of a stored mosaic. They stay out of the
way of xarray, which compares, copies and prints attributes: none of that reads anything.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from hapdask.drizzling.palette import Palette
from hapdask.errors import StoreError
from hapdask.products.objects import Objects
from hapdask.products.receipts import Chip, Index
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from hapdask.observe.record import ExposureRecord

RECEIPTS = "receipts"
_RECORDS = f"{RECEIPTS}/records"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Source(Protocol):
    """Where palettes and names come from; a `MosaicStore` is one."""

    @property
    def url(self) -> str: ...  # noqa: D102
    def palette(self, index: Index) -> Palette | None: ...  # noqa: D102
    def input_names(self, index: Index) -> Sequence[str]: ...  # noqa: D102


class Identified(ABC):
    """What is equal, hashed and copied by what it stands for, without reading or making it."""

    @property
    @abstractmethod
    def _identity(self) -> tuple[object, ...]:
        """What it stands for."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identified) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return self._identity


class _Lazy(Identified):
    """What both mappings of a store share.

    Parameters
    ----------
    source : Source
        The store.
    tiles : mapping of (ty, tx) to Frame
        Finished tiles of a window.
    """

    def __init__(self, source: Source, tiles: Mapping[Index, Frame]) -> None:
        self._source, self._tiles = source, dict(tiles)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} of {len(self._tiles)} tiles of {self._source.url}>"

    @property
    def _identity(self) -> tuple[object, ...]:
        return (type(self).__name__, self._source.url, tuple(self._tiles))


class TiledPalette(Mapping[int, tuple[Chip, ...]]):
    """The chips (exposure, extver) behind every key of `ctx`, tile by tile; 0 means none.

    As a mapping it is that of all tiles, which may take long to make.
    """

    @abstractmethod
    def within(self, window: Frame) -> TiledPalette:
        """Palette of the tiles that touch a window: less to read or make."""

    @abstractmethod
    def parts(self) -> Any:
        """Palettes of the tiles, or a Dask array that computes to them."""

    @cached_property
    def stored(self) -> Palette:
        """All of it, read or made now."""
        return united(dask_compute(self.parts()))

    def __getitem__(self, key: int) -> tuple[Chip, ...]:
        return self.stored[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)


def dask_compute(value: Any) -> Any:
    """Compute what is a Dask collection."""
    from dask.base import compute

    return compute(value)[0]


def united(parts: Any) -> Palette:
    """Unite the palettes that `TiledPalette.parts` computed to."""
    members = list(np.ravel(parts)) if isinstance(parts, np.ndarray) else list(parts)
    return members[0] if len(members) == 1 else Palette.merge(members)


class LazyPalette(_Lazy, TiledPalette):
    """Palette of a stored mosaic: read when it is asked for."""

    def within(self, window: Frame) -> LazyPalette:
        """Palette of the tiles that touch a window: less to read."""
        touched = {i: tile for i, tile in self._tiles.items() if not (tile & window).empty}
        return LazyPalette(self._source, touched)

    def parts(self) -> tuple[Palette, ...]:
        """Read the palettes of the tiles."""
        palettes = (self._source.palette(index) for index in self._tiles)
        return tuple(palette for palette in palettes if palette is not None)


class Records(_Lazy, Mapping[str, "ExposureRecord"]):
    """The records of the exposures that went in, by name, as far as the store has them."""

    def __getitem__(self, name: str) -> ExposureRecord:
        if name not in self._names:
            raise KeyError(name)
        record = read_record(Objects(self._source.url), name)
        if record is None:
            raise KeyError(name)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        objects = Objects(self._source.url)
        tiles = [self._source.input_names(index) for index in self._tiles]
        # The one tile of an export keeps the order of its run, in which bits of CTX are counted.
        names = tiles[0] if len(tiles) == 1 else sorted({name for tile in tiles for name in tile})
        there = (name for name in names if objects.get(_record_name(name)) is not None)
        return tuple(there)


def write_records(objects: Objects, records: Iterable[ExposureRecord]) -> None:
    """Write records below a group, each only if it is not there in these very bytes."""
    for record in records:
        name, data = _record_name(record.name), _record_bytes(record)
        if objects.get(name) != data:
            objects.put(name, data)


def read_record(objects: Objects, name: str) -> ExposureRecord | None:
    """Read a record below a group; None if there is none.

    Raises
    ------
    StoreError
        It is damaged.
    """
    from hapdask.observe.record import ExposureRecord  # brings Numba in

    data = objects.get(_record_name(name))
    if data is None:
        return None
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise StoreError(f"{objects.root}: the record of {name} is damaged: {error}") from error
    return ExposureRecord.from_dict(fields)


def _record_name(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name):
        raise StoreError(f"{name!r} cannot be the name of an exposure (letters, digits, - and _)")
    return f"{_RECORDS}/{name}.json"


def _record_bytes(record: ExposureRecord) -> bytes:
    return json.dumps(record.to_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"
