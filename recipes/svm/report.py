"""The report of a run of visits: ``report.html`` and ``report.json``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.products.report.model import FileLine, LayerLine, PlaceLine, RunReport
from hapdask.products.report.render import write_report
from hapdask.recipes.report_parts import (
    file_line,
    input_lines,
    machine_lines,
    parameter_lines,
    picture_lines,
    place_line,
    versions,
)
from hapdask.recipes.sky_cells import Place

if TYPE_CHECKING:
    from hapdask.recipes.svm.products import Product
    from hapdask.recipes.svm.run import SvmMade, SvmRun
    from hapdask.recipes.svm.visit import VisitMade

_SCALE = "custom"
_KINDS = {".jpg": "jpg", ".fits": "fits", ".json": "json", ".txt": "text", ".ecsv": "table"}


def write_report_of(
    run: SvmRun,
    made: SvmMade,
    out: str | Path,
    *,
    command: Sequence[str] = (),
    workers: str = "threads",
) -> Path:
    """Write ``report.html`` and ``report.json`` of visits that were made.

    Parameters
    ----------
    run : SvmRun
    made : SvmMade
    out : path
        Folder of the products.
    command : sequence of str
        The words of the command line, where there was one.
    workers : str
        What made the tiles.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    return write_report(report_of(run, made, Path(out).absolute(), command, workers), out)


def report_of(
    run: SvmRun, made: SvmMade, out: Path, command: Sequence[str], workers: str
) -> RunReport:
    """Tell a run: exposures with their verdicts, parameters, frames, products, pictures."""
    files = tuple(line for visit in made.visits for line in _files(visit, out))
    pictures, more = picture_lines(files, out)
    products = [product for visit in made.visits for product in visit.products]
    places: dict[str, PlaceLine] = {}
    for product in products:
        name = _place(product)
        places.setdefault(name, place_line(Place.of_frame(product.mosaic.frame, name), _SCALE))
    records = {record.name: record for visit in made.visits for record in visit.records}
    return RunReport(
        title=", ".join(visit.tree.visit for visit in made.visits),
        finished=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=shlex.join(command),
        seconds={part: round(value, 3) for part, value in made.seconds.items()},
        machine=machine_lines(run.threads, workers),
        versions=versions(),
        inputs=input_lines(
            run.opened.with_records(records.get(e.name, e) for e in run.opened),
            made.left_out,
            set(records),
        ),
        parameters=parameter_lines(
            {
                product.mosaic.name.stem: (
                    product.mosaic.resolved.parameters.values(),
                    product.mosaic.resolved.origin,
                )
                for product in products
                if product.kind != "exposure"
            }
        ),
        places=tuple(places.values()),
        layers=tuple(line for visit in made.visits for line in _layers(visit)),
        alignments=tuple(line for visit in made.visits for line in visit.lines),
        files=files,
        pictures=pictures,
        pictures_more=more,
    )


def _layers(visit: VisitMade) -> Iterator[LayerLine]:
    """Tell the products; of a visit that is not finished, that it is not."""
    yield from map(_layer, visit.products)
    if visit.problem:
        name = visit.tree.visit
        text = f"not finished: {visit.problem}"
        count = len(visit.tree.exposures)
        yield LayerLine(
            place=name, layer=text, scale=_SCALE, store="", exposures=count, tiles=1, finished=0
        )


def _layer(product: Product) -> LayerLine:
    mosaic, foreseen = product.mosaic, product.made.foreseen
    return LayerLine(
        place=_place(product),
        layer=mosaic.name.stem,
        scale=_SCALE,
        store="",
        exposures=len(mosaic.records),
        tiles=foreseen.tiles,
        finished=foreseen.tiles,
        made=0 if product.made.kept else foreseen.tiles,
        bytes_in=foreseen.bytes_in,
        bytes_out=foreseen.bytes_out,
        task_memory=foreseen.task_memory,
        seconds_planned=foreseen.seconds,
    )


def _place(product: Product) -> str:
    first = product.mosaic.records[0]
    return f"{first.visit} {first.instrument}_{first.detector}"


def _files(visit: VisitMade, out: Path) -> Iterator[FileLine]:
    for product in visit.products:
        for path in product.made.files:
            if not path.name.endswith("_thumb.jpg"):
                yield _file(path, out, _place(product), product.mosaic.name.stem, product.made.kept)
    for returned in visit.returned:
        for path in returned.files:
            yield _file(path, out, visit.tree.visit, returned.exposure, returned.kept)
    for path in visit.others:
        if not path.name.endswith("_thumb.jpg"):
            colour = path.suffix == ".jpg"
            yield _file(path, out, visit.tree.visit, path.stem, False, "colour" if colour else "")


def _file(path: Path, out: Path, place: str, layer: str, kept: bool, kind: str = "") -> FileLine:
    known = kind or _KINDS.get(path.suffix, path.suffix.lstrip("."))
    return file_line(path, out, known, place, layer, _SCALE, written=not kept)
