"""What a run made, for people (tables and paths) and for machines (JSON)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hapdask.cli.console import make_table, page, plural, show_table, size_text, time_text
from hapdask.cli.exits import DONE, PARTIAL

if TYPE_CHECKING:
    from distributed import Client

    from hapdask.recipes.batch import Report
    from hapdask.recipes.export import Exported
    from hapdask.recipes.reporting import LeftOut
    from hapdask.recipes.sky_cells import Result


def write_page(report: Report, context: typer.Context, client: Client | None = None) -> Path:
    """Write the HTML report of a command's run; gives its path."""
    from hapdask.recipes.run_report import write_run_report

    command = context.find_root().obj or ()
    return write_run_report(report, command=command, workers=workers_text(client))


def workers_text(client: Client | None) -> str:
    """Say who made the tiles."""
    count = 0 if client is None else len(client.nthreads())
    return f"{plural(count, 'worker')} of a cluster" if count else "threads"


def show_report(report: Report, out: Path, page_path: Path | None) -> None:
    """Show what was made: a table of layers, then the paths of files, and how long it took."""
    from hapdask.recipes.batch import scale_title

    table = make_table(("place", "layer", "scale"), ("exposures", "tiles", "made", "kept"))
    for r in sorted(report.results, key=lambda r: (r.job.place.name, r.job.layer.name)):
        job = r.job
        counts = (len(job.plan.exposures), len(job.plan.tiles), r.made, r.kept)
        table.add_row(job.place.name, job.layer.name, scale_title(job.place), *map(str, counts))
    page().print()
    show_table(table)
    if any(scale_title(r.job.place) == "coarse*" for r in report.results):
        page().print("coarse*: on the archive's own coarse grid of the cell, for its FITS files")
    stores = dict.fromkeys(result.store for result in report.results)
    typer.echo(f"\n{plural(len(stores), 'zarr store')}:")
    for store in stores:
        typer.echo(f"  {out / os.path.relpath(store, out.absolute())}")
    show_files(report.files)
    if page_path is not None:
        typer.echo(f"\nreport: {page_path}")
    show_seconds(report.seconds)


def show_files(files: Sequence[Exported]) -> None:
    """Show the paths of exported files."""
    if files:
        written = sum(file.written for file in files)
        kept = f", {len(files) - written} up to date" if written < len(files) else ""
        page().print(f"\n{plural(written, 'file')} written{kept}:", markup=False)
    for file in files:
        size = f"  {size_text(file.path.stat().st_size)}" if file.path.is_file() else ""
        typer.echo(f"  {file.path}{size}")


def show_seconds(seconds: Mapping[str, float]) -> None:
    """Show the time that each part took."""
    parts = ", ".join(f"{part} {time_text(value)}" for part, value in seconds.items())
    page().print(f"\ntime: {time_text(sum(seconds.values()))} ({parts})", markup=False)


def report_document(report: Report, page_path: Path | None) -> dict[str, Any]:
    """Make the JSON document of a report."""
    code = PARTIAL if report.left_out else DONE
    return {
        "status": "made" if code == DONE else "made in part",
        "exit_code": code,
        "layers": [_layer(result) for result in report.results],
        "files": file_documents(report.files),
        "report": None if page_path is None else str(page_path),
        "left_out": left_out_documents(report.left_out),
        "warnings": warning_documents(report.batch.warnings),
        "seconds": {part: round(value, 3) for part, value in report.seconds.items()},
    }


def left_out_documents(left_out: Sequence[LeftOut]) -> list[dict[str, str]]:
    """Make plain data of what was left out."""
    return [{"file": item.file, "reason": item.reason, "remedy": item.remedy} for item in left_out]


def warning_documents(warnings: Sequence[LeftOut]) -> list[dict[str, str]]:
    """Make plain data of warnings."""
    return [{"file": item.file, "reason": item.reason} for item in warnings]


def file_documents(files: Sequence[Exported]) -> list[dict[str, Any]]:
    """Make plain data of exported files."""
    return [
        {
            "path": str(file.path),
            "kind": file.kind,
            "place": file.place,
            "layer": file.layer,
            "scale": file.scale,
            "written": file.written,
        }
        for file in files
    ]


def _layer(result: Result) -> dict[str, Any]:
    from hapdask.recipes.batch import scale_title

    job = result.job
    return {
        "place": job.place.name,
        "layer": job.layer.name,
        "scale": scale_title(job.place),
        "store": result.store,
        "exposures": [e.name for e in job.plan.exposures],
        "tiles": len(job.plan.tiles),
        "made": result.made,
        "kept": result.kept,
        "bytes_in": job.plan.bytes_in,
        "bytes_out": job.plan.bytes_out,
    }
