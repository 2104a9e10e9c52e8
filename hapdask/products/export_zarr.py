"""A mosaic as a plain exported zarr: one writer, and it appears whole or not at all.

Strategy: blocks of the Dataset are computed a few at a time and written into a side directory,
which is renamed at the end; so memory is that of a few tiles. Not here: the working store
(`writer`), which can be updated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hapdask.drizzling.palette import Palette
from hapdask.errors import StoreError
from hapdask.products.blocks import blocks_of
from hapdask.products.group import create_arrays, open_array, read_attributes
from hapdask.products.index import attach_frame, frame_of
from hapdask.products.layout import (
    CHUNK,
    MARK,
    SCHEMA_VERSION,
    ArraySpec,
    frame_attributes,
    frame_from_attributes,
)
from hapdask.products.objects import Objects, clean_url, storage_errors
from hapdask.products.palettes import palette_from_bytes, palette_to_bytes
from hapdask.products.planes import pixel_area, tile_chunks
from hapdask.products.provenance import (
    RECEIPTS,
    LazyPalette,
    Records,
    TiledPalette,
    united,
    write_records,
)
from hapdask.products.receipts import Index
from hapdask.products.side_group import whole_group
from hapdask.schema import VARIABLES

_PALETTE = f"{RECEIPTS}/mosaic.palette"
_INPUTS = "inputs"
#: Attributes of the group that are not attributes of the Dataset.
_OWN = {MARK, "wcs", "frame", _INPUTS}
_BLOCK = 2 * CHUNK
#: Bytes of blocks computed at a time: two tiles with all variables.
_MEMORY = 512 << 20


def write_zarr(ds: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Compute a Dataset and write it as one zarr group.

    Parameters
    ----------
    ds : Dataset
        A mosaic with a frame. ``pixel_area`` and the sky coordinates are not stored.
    path : str or path-like
        A local directory to make.
    overwrite : bool, default False
        Whether a zarr group that is there may be replaced.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    StoreError
        Not a local path, something is there, or the disk is full or unwritable.
    FrameError
        The Dataset has no frame.
    """
    frame_of(ds)
    with whole_group(path, overwrite=overwrite) as side:
        _write(ds, side)
    return Path(clean_url(path))


def is_export(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes of a group say that it was exported by `write_zarr`."""
    mark = attributes.get(MARK)
    return isinstance(mark, Mapping) and bool(mark.get("exported"))


def open_export(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open an exported group as a lazy Dataset with its frame; no pixel is read.

    Raises
    ------
    StoreError
        It was not exported by `write_zarr`.
    """
    import zarr

    url = clean_url(path)
    attributes = read_attributes(url)
    if attributes is None or not is_export(attributes):
        raise StoreError(f"{url} is not an exported mosaic of hapdask")
    with storage_errors(url):
        names = sorted(zarr.open_group(url, mode="r").array_keys())
        # An export appears whole, so the time of its directory tells one from the next.
        stamp = Path(url).stat().st_mtime_ns
    frame = frame_from_attributes(attributes)
    variables: dict[str, Any] = {name: _lazy_variable(url, name, stamp) for name in names}
    chunks = tile_chunks(replace(frame, origin=(0, 0)), _BLOCK)
    variables["pixel_area"] = pixel_area(frame, chunks)
    source = _Exported(url, attributes.get(_INPUTS, []))
    if "ctx" in variables:
        variables["ctx"].attrs["palette"] = LazyPalette(source, {(0, 0): frame})
    attrs = {key: item for key, item in attributes.items() if key not in _OWN}
    attrs["records"] = Records(source, {(0, 0): frame})
    return attach_frame(xr.Dataset(variables, attrs=attrs), frame)


def _lazy_variable(url: str, name: str, stamp: int) -> xr.Variable:
    import dask.array as da
    from dask.tokenize import tokenize

    array = open_array(url, name)
    token = f"{name}-{tokenize(url, name, stamp)}"
    data = da.from_array(
        array,
        chunks=(_BLOCK, _BLOCK),
        name=token,
        asarray=False,
        meta=np.empty((0, 0), array.dtype),
    )
    return xr.Variable(("y", "x"), data, dict(array.attrs))


class _Exported:
    """Palette and input names of an exported group: as of one tile."""

    def __init__(self, url: str, names: list[str]) -> None:
        self.url, self._names = url, names

    def palette(self, index: Index) -> Palette | None:
        return self._palette

    @cached_property
    def _palette(self) -> Palette | None:
        data = Objects(self.url).get(_PALETTE)
        return None if data is None else palette_from_bytes(data, f"{self.url}/{_PALETTE}")

    def input_names(self, index: Index) -> list[str]:
        return self._names


def _write(ds: xr.Dataset, side: Path) -> None:
    import zarr

    names = [str(n) for n, v in ds.data_vars.items() if v.dims == ("y", "x") and n != "pixel_area"]
    plain = ds[names].drop_vars(list(ds.coords), errors="ignore")
    objects = Objects(str(side))
    with storage_errors(str(side)):
        group = zarr.open_group(objects.zarr_store(read_only=False), mode="w", zarr_format=3)
        group.require_group(RECEIPTS)
        specs = [_spec(name, plain[name]) for name in names]
        create_arrays(group, specs, frame_of(ds).shape, CHUNK)
        arrays = {name: open_array(str(side), name, writable=True) for name in names}
    palette: Any = ds["ctx"].attrs.get("palette") if "ctx" in ds else None
    tiled, frame = isinstance(palette, TiledPalette), frame_of(ds)
    parts: list[Palette] = []
    # Blocks need not end on chunks: those at their borders are read and written again.
    for block in blocks_of(
        plain, _MEMORY, (lambda y, x: palette.within(frame[y, x]).parts()) if tiled else None
    ):
        parts += [united(block.beside)] if tiled else []
        for name, plane in block.data.items():
            rows = slice(block.y0, block.y0 + plane.shape[0])
            with storage_errors(str(side)):
                arrays[name][rows, block.x0 : block.x0 + plane.shape[1]] = plane
    _write_provenance(ds, united(parts) if tiled else palette, objects)
    with storage_errors(str(side)):
        group.update_attributes(_attributes(ds))


def _spec(name: str, array: xr.DataArray) -> ArraySpec:
    if name in VARIABLES:
        fill: float = VARIABLES[name].fill
    else:
        fill = float("nan") if array.dtype.kind == "f" else 0
    return ArraySpec(name, np.dtype(array.dtype), fill, _plain_attributes(array.attrs))


def _write_provenance(ds: xr.Dataset, palette: Any, objects: Objects) -> None:
    records = ds.attrs.get("records")
    if isinstance(palette, Mapping):
        objects.put(_PALETTE, palette_to_bytes(Palette.from_mapping(palette)))
    if isinstance(records, Mapping):
        write_records(objects, (records[name] for name in records))


def _attributes(ds: xr.Dataset) -> dict[str, Any]:
    mark = {MARK: {"schema": SCHEMA_VERSION, "exported": True}}
    records = ds.attrs.get("records")
    names = list(records) if isinstance(records, Mapping) else []  # in the order of bits of CTX
    own = frame_attributes(frame_of(ds)) | mark | {_INPUTS: names}
    return _plain_attributes(ds.attrs) | own


def _plain_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the attributes that are plain JSON; lazy mappings are written elsewhere."""
    return {str(key): value for key, value in attributes.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | bool | int | float)
