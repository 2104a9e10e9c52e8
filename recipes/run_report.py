"""The report of a run: what was given, planned and done, from the batch and its results."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hapdask.products.report.model import FileLine, LayerLine, PlaceLine, RunReport
from hapdask.products.report.render import write_report
from hapdask.products.store import MosaicStore
from hapdask.recipes.batch import Report, scale_title
from hapdask.recipes.report_parts import (
    file_line,
    finished_receipts,
    input_lines,
    machine_lines,
    parameter_lines,
    picture_lines,
    place_line,
    versions,
    with_depth,
)
from hapdask.recipes.sky_cells import Result


def write_run_report(
    report: Report, *, command: Sequence[str] = (), workers: str = "threads"
) -> Path:
    """Write ``report.html`` and ``report.json`` beside what a run made.

    Parameters
    ----------
    report : Report
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
        If a file cannot be read or written.
    """
    made = report_of_run(report, command=command, workers=workers)
    return write_report(made, report.batch.request.out)


def report_of_run(
    report: Report, *, command: Sequence[str] = (), workers: str = "threads"
) -> RunReport:
    """Tell a run; reads receipts and pictures, and no plane.

    Parameters
    ----------
    report, command, workers
        See `write_run_report`.
    """
    request = report.batch.request
    out = request.out.absolute()
    files = _files(report, out)
    pictures, more = picture_lines(files, out)
    places: dict[tuple[str, str], PlaceLine] = {}
    for result in report.results:
        place, scale = result.job.place, scale_title(result.job.place)
        places.setdefault((place.name, scale), place_line(place, scale))
    return RunReport(
        title=out.name or str(out),
        finished=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=shlex.join(command),
        seconds={part: round(value, 3) for part, value in report.seconds.items()},
        machine=machine_lines(request.threads, workers),
        versions=versions(),
        inputs=input_lines(
            report.batch.given,
            report.left_out,
            {e.name for result in report.results for e in result.job.plan.exposures},
            report.batch.masks,
        ),
        parameters=parameter_lines(
            {
                r.job.layer.name: (
                    dict(r.job.parameters.parameters.digest_items()),
                    r.job.parameters.origin,
                )
                for r in report.results
            }
        ),
        places=tuple(places.values()),
        layers=tuple(_layer(result, out) for result in report.results),
        files=files,
        pictures=pictures,
        pictures_more=more,
    )


def _layer(result: Result, out: Path) -> LayerLine:
    job, store = result.job, MosaicStore.open(result.store)
    digests = job.plan.digests
    receipts = finished_receipts((store.receipt(index) for index in digests), digests)
    line = LayerLine(
        place=job.place.name,
        layer=job.layer.name,
        scale=scale_title(job.place),
        store=os.path.relpath(result.store, out),
        exposures=len(job.plan.exposures),
        tiles=len(job.plan.tiles),
        finished=len(receipts),
        made=result.made,
        left_out=len(result.failures),
        bytes_in=job.plan.bytes_in,
        bytes_out=job.plan.bytes_out,
        task_memory=job.plan.peak_memory,
        seconds_planned=round(result.planned_seconds, 3),
        seconds_taken=round(result.seconds, 3),
    )
    return with_depth(line, receipts, job.place.window)


def _files(report: Report, out: Path) -> tuple[FileLine, ...]:
    """Give exported files, then the stores themselves."""
    exported = [
        file_line(f.path.absolute(), out, f.kind, f.place, f.layer, f.scale, written=f.written)
        for f in report.files
    ]
    stores = {
        result.store: file_line(
            Path(result.store), out, "zarr store", result.job.place.name,
            result.job.layer.name, scale_title(result.job.place), written=result.made > 0,
        )
        for result in report.results
    }  # fmt: skip
    return (*exported, *stores.values())
