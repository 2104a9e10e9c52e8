"""The report of a store: what is in it now, and what the last report there knows of its run.

Reads manifests, receipts, records and pictures, and no plane.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hapdask.errors import StoreError
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import Objects
from hapdask.products.provenance import read_record
from hapdask.products.receipts import Manifest
from hapdask.products.report.model import FileLine, LayerLine, PlaceLine, RunReport
from hapdask.products.report.render import read_report, write_report
from hapdask.products.store import MosaicStore
from hapdask.recipes.batch import scale_title
from hapdask.recipes.inventory import open_stores, places_made
from hapdask.recipes.report_parts import (
    file_line,
    finished_receipts,
    input_line,
    parameter_lines,
    picture_lines,
    place_line,
    versions,
    with_depth,
)
from hapdask.recipes.sky_cells import Place

log = logging.getLogger(__name__)

_SUFFIXES = (".fits", ".jpg", ".png", ".zarr")


def write_store_report(path: str | Path) -> Path:
    """Write ``report.html`` and ``report.json`` into the root of a store.

    Parameters
    ----------
    path : path
        Root of a working store, the ``out`` of runs.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    StoreError
        If there is no store, it is damaged, or the files cannot be written.
    """
    return write_report(report_of_store(path), path)


def report_of_store(path: str | Path) -> RunReport:
    """Tell what a store holds; see `write_store_report`."""
    out = Path(path).absolute()
    stores = open_stores(out)
    if not stores:
        raise StoreError(f"{path}: no mosaic of hapdask there (name the DIR of `mosaic -o DIR`)")
    places: dict[tuple[str, str], PlaceLine] = {}
    layers, files = [], []
    records: dict[str, ExposureRecord | None] = {}
    parameters: dict[str, Any] = {}
    for store in stores:
        manifest = store.manifest()
        name = "_".join(store.layout.layer[:3])
        found = [(place, scale_title(place)) for place in places_made(store)]
        for place, scale in found:
            places.setdefault((place.name, scale), place_line(place, scale))
            line, names = _layer(store, manifest, place, out)
            layers.append(line)
            records |= {n: records.get(n) or _record(store, n) for n in names}
        for run in manifest.runs:
            parameters[name] = (
                run.about.get("parameters", {}), run.about.get("parameter_origin", {})
            )  # fmt: skip
        for place, scale in found[:1]:
            files.append(file_line(Path(store.url), out, "zarr store", place.name, name, scale))
    files = [*_exports(out, list(places), {line.layer for line in layers}), *files]
    pictures, more = picture_lines(files, out)
    inputs = sorted((r for r in records.values() if r), key=lambda r: (r.expstart, r.name))
    report = RunReport(
        title=out.name or str(out),
        versions=versions(),
        inputs=tuple(input_line(r, r.verdict.status, r.verdict.reason) for r in inputs),
        parameters=parameter_lines(parameters),
        places=tuple(places.values()),
        layers=tuple(layers),
        files=tuple(files),
        pictures=pictures,
        pictures_more=more,
    )
    return _with_last_run(report, out)


def _layer(
    store: MosaicStore, manifest: Manifest, place: Place, out: Path
) -> tuple[LayerLine, set[str]]:
    """Tell a layer at a place, and the names of its exposures."""
    digests = {
        index: digest
        for index, digest in manifest.planned.items()
        if not (store.layout.tile_frame(index) & place.window).empty
    }
    receipts = finished_receipts((store.receipt(index) for index in digests), digests)
    names = {name for receipt in receipts for name, _ in receipt.inputs}
    line = LayerLine(
        place=place.name,
        layer="_".join(store.layout.layer[:3]),
        scale=scale_title(place),
        store=os.path.relpath(store.url, out),
        exposures=len(names),
        tiles=len(digests),
        finished=len(receipts),
    )
    return with_depth(line, receipts, place.window), names


def _record(store: MosaicStore, name: str) -> ExposureRecord | None:
    """Read the record of an exposure; None where another version of hapdask wrote it."""
    try:
        return read_record(Objects(store.url), name)
    except StoreError as error:
        log.warning("%s", error)
        return None


def _exports(
    out: Path, places: Sequence[tuple[str, str]], layers: Collection[str]
) -> list[FileLine]:
    """Find the files that were exported for places, by their names."""
    found = []
    for name in dict.fromkeys(name for name, _ in places):
        scales = {scale for place, scale in places if place == name}
        for path in sorted((out / name).glob("*")) if (out / name).is_dir() else []:
            if path.suffix not in _SUFFIXES:
                continue
            kind = path.suffix[1:]
            layer = next((word for word in layers if f"_{word}_" in path.name), "")
            if "_total_" in path.name:
                filters = path.name.partition("_total_")[2].rpartition("_dr")[0]
                layer, kind = filters.replace("-", " + "), "colour"
            if path.stem.endswith("_thumb"):
                kind = "thumbnail"
            scale = (
                "custom" if "custom" in scales else "coarse" if "coarse" in path.name else "fine"
            )
            found.append(file_line(path, out, kind, name, layer, scale))
    return found


def _with_last_run(report: RunReport, out: Path) -> RunReport:
    """Add what only the run itself knew: its command, times, plan, and files left out."""
    try:
        last = read_report(out)
    except StoreError as error:
        log.warning("made without it: %s", error)
        last = None
    if last is None:
        return report
    known = {line.file for line in report.inputs}
    planned = {line.key: line for line in last.layers}
    return replace(
        report,
        finished=last.finished,
        command=last.command,
        seconds=last.seconds,
        machine=last.machine,
        inputs=report.inputs + tuple(line for line in last.inputs if line.file not in known),
        layers=tuple(_with_plan(line, planned.get(line.key)) for line in report.layers),
    )


def _with_plan(line: LayerLine, last: LayerLine | None) -> LayerLine:
    if last is None or last.tiles != line.tiles:
        return line
    return replace(
        line,
        made=last.made,
        left_out=last.left_out,
        bytes_in=last.bytes_in,
        bytes_out=last.bytes_out,
        task_memory=last.task_memory,
        seconds_planned=last.seconds_planned,
        seconds_taken=last.seconds_taken,
    )
