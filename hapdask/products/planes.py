"""Lazy planes: array-likes on a window that Dask cuts into tiles.

Strategy: Dask holds one array-like per variable and asks it for slices, so a mosaic of any size
has a graph of one layer per variable and nothing is listed per tile before it is looked at.
Not here: which tiles are finished (`reader`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from hapdask.errors import StoreError
from hapdask.products.group import open_array
from hapdask.products.layout import Layout
from hapdask.products.objects import storage_errors
from hapdask.products.receipts import Index
from hapdask.products.writer import MosaicStore
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame

Chunks = tuple[tuple[int, ...], tuple[int, ...]]
#: What Dask asks an array-like for along one axis: it merges slices of slices.
Pick = int | slice


@dataclass(frozen=True, slots=True)
class StoredPlane:
    """A variable on a window of a store, as an array-like for Dask.

    Parameters
    ----------
    url : str
        The group.
    name : str
        The variable.
    frame : Frame
        The window.
    layout : Layout
        Of the group.
    digests : mapping of (ty, tx) to str
        The finished tiles that touch the window; all else reads as the fill value.
    """

    url: str
    name: str
    frame: Frame
    layout: Layout
    digests: Mapping[Index, str]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the window."""
        return self.frame.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the variable."""
        return VARIABLES[self.name].dtype

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    def __getitem__(self, key: tuple[Pick, Pick]) -> npt.NDArray[Any]:
        window, picks = split_key(self.frame, key)
        return self._read(window)[picks]

    def _read(self, wanted: Frame) -> npt.NDArray[Any]:
        out = np.full(wanted.shape, VARIABLES[self.name].fill, dtype=self.dtype)
        parts = [part for index, part in wanted.tiles(self.layout.tile) if index in self.digests]
        if not parts:
            return out
        with storage_errors(self.url):
            array = open_array(self.url, self.name)
            for part in parts:
                out[part.slices_in(wanted)] = array[part.slices_in(self.layout.array_frame)]
        self._check_unchanged(wanted)
        return out

    def _check_unchanged(self, wanted: Frame) -> None:
        """Make sure that no tile was touched meanwhile: its receipt goes before its chunks."""
        store = MosaicStore(self.url, self.layout)
        for index, _ in wanted.tiles(self.layout.tile):
            digest = self.digests.get(index)
            if digest is not None and not store.finished(index, digest):
                raise StoreError(
                    f"{self.url}: tile {index} is being remade (open the mosaic again)"
                )

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (
            "hapdask.StoredPlane",
            self.url,
            self.name,
            self.frame.__dask_tokenize__(),
            self.layout.tile,
            tuple(sorted(self.digests.items())),
        )


@dataclass(frozen=True, slots=True)
class PixelArea:
    """`pixel_area` of a frame as an array-like: computed where it is looked at, never stored."""

    frame: Frame

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the frame."""
        return self.frame.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Float64."""
        return np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    def __getitem__(self, key: tuple[Pick, Pick]) -> npt.NDArray[Any]:
        window, picks = split_key(self.frame, key)
        return window.pixel_area()[picks]

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("hapdask.PixelArea", self.frame.__dask_tokenize__())


def lazy_array(plane: StoredPlane | PixelArea, chunks: Chunks) -> da.Array:
    """Dask array over an array-like; its keys depend on nothing but what it holds."""
    meta = np.empty((0, 0), plane.dtype)
    array: da.Array = da.from_array(plane, chunks=chunks, asarray=False, fancy=False, meta=meta)
    return array


def split_key(frame: Frame, key: tuple[Pick, Pick]) -> tuple[Frame, tuple[Pick, Pick]]:
    """Split a key into the window that it spans and the pick in that window.

    Parameters
    ----------
    frame : Frame
        What is indexed.
    key : pair of int or slice
        Along y and x; slices may skip or mirror pixels.

    Returns
    -------
    window : Frame
        Smallest window that holds all pixels of the key.
    picks : pair of int or slice
        The key, in an array on that window.
    """
    rows, columns = (_split(part, size) for part, size in zip(key, frame.shape, strict=True))
    return frame[rows[0], columns[0]], (rows[1], columns[1])


def _split(part: Pick, size: int) -> tuple[slice, Pick]:
    if not isinstance(part, slice):
        index = range(size)[part]
        return slice(index, index + 1), 0
    pixels = range(size)[part]
    if not pixels:
        return slice(0, 0), slice(0, 0)
    low, high = sorted((pixels[0], pixels[-1]))
    # A mirrored slice begins at the end of its window and runs through its beginning.
    return slice(low, high + 1), slice(None, None, pixels.step)


def pixel_area(frame: Frame, chunks: Chunks) -> tuple[tuple[str, str], Any, dict[str, Any]]:
    """Lazy `pixel_area` of a frame, as xarray takes a variable.

    Parameters
    ----------
    frame : Frame
        The grid.
    chunks : tuple of tuple of int
        Dask chunks along y and x.
    """
    data = lazy_array(PixelArea(frame), chunks)
    meaning = "area on the sky relative to a pixel at the tangent point"
    return (("y", "x"), data, {"long_name": meaning, "units": ""})


def tile_chunks(frame: Frame, tile: int) -> Chunks:
    """Dask chunks of a window that end on the borders of the root grid's tiles."""
    y0, y1, x0, x1 = frame.box
    return _cuts(y0, y1, tile), _cuts(x0, x1, tile)


def _cuts(start: int, stop: int, tile: int) -> tuple[int, ...]:
    inner = range((start // tile + 1) * tile, stop, tile)
    edges = [start, *inner, stop]
    return tuple(b - a for a, b in itertools.pairwise(edges))
