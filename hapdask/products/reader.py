"""`open_mosaic`: a stored layer as the lazy Dataset that the builder makes.

Strategy: the manifest and the receipts say which tiles are finished; the variables are lazy
arrays (`planes`) that know the others to be empty. Not here: writing (`writer`), sky
coordinates (`index`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from hapdask.errors import StoreError
from hapdask.products.export_zarr import is_export, open_export
from hapdask.products.group import read_attributes
from hapdask.products.index import attach_frame, frame_of
from hapdask.products.layout import LAYER_FIELDS, variable_attributes
from hapdask.products.objects import clean_url
from hapdask.products.planes import StoredPlane, lazy_array, pixel_area, tile_chunks
from hapdask.products.provenance import LazyPalette, Records
from hapdask.products.receipts import Index, Manifest
from hapdask.products.writer import MosaicStore
from hapdask.sky.frame import Frame


def open_mosaic(
    path: str | os.PathLike[str], region: Frame | None = None, *, complete: bool = False
) -> xr.Dataset:
    """Open a stored layer as a lazy Dataset; no pixel is read.

    Parameters
    ----------
    path : str or path-like
        The group of a layer, ``out/p1889/wfc3_uvis_f475w/fine``, an exported zarr, or a FITS
        product (see `open_fits`).
    region : Frame, optional
        A window of its frame; where not given, the smallest that holds every run.
    complete : bool, default False
        Whether unfinished tiles are an error instead of a warning.

    Returns
    -------
    Dataset
        Dims ``y``, ``x``; the variables of `hapdask.schema` that are stored, one Dask block per
        tile, and ``pixel_area``; lazy ``ra``, ``dec``. Tiles that are not finished read as
        their fill values. ``ds.ctx.attrs["palette"]`` names the chips behind `ctx`, and
        ``ds.attrs["records"]`` holds the records of the inputs: lazy mappings, both.

    Raises
    ------
    StoreError
        No such store, nothing in it, or (with ``complete``) tiles that are not finished.
    """
    url = clean_url(path)
    if url.endswith(".fits"):
        from hapdask.products.fits_reader import open_fits

        ds = open_fits(url)
        return ds if region is None else _slice(ds, region)
    attributes = read_attributes(url)
    if attributes is not None and is_export(attributes):
        ds = open_export(url)
        return ds if region is None else _slice(ds, region)
    store = MosaicStore.open(path)
    manifest = store.manifest()
    frame = _window(store, manifest, region)
    digests, missing = _finished_tiles(store, manifest, frame)
    _report(store, manifest, frame, missing, complete)
    return _dataset(store, frame, digests, _about(manifest, frame))


def _slice(ds: xr.Dataset, region: Frame) -> xr.Dataset:
    frame = frame_of(ds)
    rows, columns = (region & frame).slices_in(frame)
    return ds.isel(y=rows, x=columns)


def _window(store: MosaicStore, manifest: Manifest, region: Frame | None) -> Frame:
    whole = store.layout.frame
    if region is None:
        if manifest.box is None:
            raise StoreError(f"{store.url} is empty: no run has begun there")
        y0, y1, x0, x1 = manifest.box
        region = replace(whole, origin=(y0, x0), shape=(y1 - y0, x1 - x0))
    elif region.root_key != whole.root_key:
        raise StoreError(f"{store.url}: the region is on another grid than the store")
    window = region & whole
    if window.empty:
        raise StoreError(f"{store.url}: the region {region.box} is outside {whole.box}")
    return window


def _finished_tiles(
    store: MosaicStore, manifest: Manifest, frame: Frame
) -> tuple[dict[Index, str], list[Index]]:
    """Digests of the finished tiles of a window, and the planned ones that are not finished."""
    tile = store.layout.tile
    y0, y1, x0, x1 = frame.box
    digests, missing = {}, []
    for index, digest in sorted(manifest.planned.items()):
        inside_rows = y0 // tile <= index[0] < -(-y1 // tile)
        if not (inside_rows and x0 // tile <= index[1] < -(-x1 // tile)):
            continue
        if store.finished(index, digest):
            digests[index] = digest
        else:
            missing.append(index)
    return digests, missing


def _report(
    store: MosaicStore, manifest: Manifest, frame: Frame, missing: list[Index], complete: bool
) -> None:
    """Say what is not finished in the window: a warning, or an error."""
    unfinished = [
        run
        for run in manifest.runs
        if not run.finished and not (_box_frame(frame, run.box) & frame).empty
    ]
    if not missing and not unfinished:
        return
    text = (
        f"{store.url}: a run here is not finished, {len(missing)} planned tiles are missing "
        "and read as empty (run it again to make them)"
    )
    if complete:
        raise StoreError(text)
    warnings.warn(text, UserWarning, stacklevel=3)


def _about(manifest: Manifest, frame: Frame) -> dict[str, Any]:
    """Facts of the runs that touch the window, the largest window winning."""
    runs = [r for r in manifest.runs if not (_box_frame(frame, r.box) & frame).empty]
    about: dict[str, Any] = {}
    for run in sorted(runs, key=lambda r: (r.box[1] - r.box[0]) * (r.box[3] - r.box[2])):
        about |= run.about
    return about


def _dataset(
    store: MosaicStore, frame: Frame, digests: Mapping[Index, str], about: Mapping[str, Any]
) -> xr.Dataset:
    from hapdask.products import accessor  # noqa: F401  (registers ds.hap)

    layout = store.layout
    chunks = tile_chunks(frame, layout.tile)
    tiles = {index: layout.tile_frame(index) for index in digests}
    variables = {}
    for name in layout.variables:
        plane = StoredPlane(store.url, name, frame, layout, digests)
        data = lazy_array(plane, chunks)
        attributes: dict[str, Any] = dict(variable_attributes(name, layout.flux_unit))
        if name == "ctx":
            attributes["palette"] = LazyPalette(store, tiles)
        variables[name] = (("y", "x"), data, attributes)
    variables["pixel_area"] = pixel_area(frame, chunks)
    attrs = {
        **about,
        **dict(zip(LAYER_FIELDS, layout.layer, strict=True)),
        "flux_unit": layout.flux_unit,
        "tile": layout.tile,
        "store": store.url,
        "records": Records(store, tiles),
    }
    return attach_frame(xr.Dataset(variables, attrs=attrs), frame)


def _box_frame(frame: Frame, box: tuple[int, int, int, int]) -> Frame:
    return replace(frame, origin=(box[0], box[2]), shape=(box[1] - box[0], box[3] - box[2]))
