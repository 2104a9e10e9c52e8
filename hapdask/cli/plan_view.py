"""A plan on the terminal: a table of layers, a table of tiles, a map; and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hapdask.cli.console import make_table, page, plural, show_table, size_text, time_text
from hapdask.cli.plan_map import PlanMap, plan_maps

if TYPE_CHECKING:
    from hapdask.drizzling.plan import TilePlan
    from hapdask.recipes.batch import Batch
    from hapdask.recipes.sky_cells import Job


def show_plan(batch: Batch, *, tiles: bool = False) -> None:
    """Show a plan: its layers, where asked for every tile, and a map."""
    from hapdask.recipes.batch import scale_title

    show_table(_table_of_jobs(batch))
    if any(scale_title(job.place) == "coarse*" for job in batch.jobs):
        page().print("coarse*: on the archive's own coarse grid of the cell, for its FITS files")
    if tiles:
        for job in batch.jobs:
            page().print()
            show_table(_table_of_tiles(job))
    for part in plan_maps(batch.jobs):
        page().print()
        _show_map(part)
    threads = batch.request.threads
    # Sky cells share tiles: each is made once.
    tiles_once = {tile.digest: tile for job in batch.jobs for tile in job.plan.tiles}.values()
    memory = max(tile.peak_memory for tile in tiles_once) * threads
    work = sum(tile.seconds for tile in tiles_once)
    page().print(
        f"\nin all: {plural(len(tiles_once), 'tile')}, "
        f"{size_text(sum(tile.bytes_in for tile in tiles_once))} in, "
        f"{size_text(sum(tile.bytes_out for tile in tiles_once))} out before compression; about "
        f"{time_text(work / threads)} of drizzling with {plural(threads, 'thread')}, which hold "
        f"up to {size_text(memory)}",
        soft_wrap=True,
    )


def _table_of_jobs(batch: Batch) -> Any:
    from hapdask.recipes.batch import scale_title

    table = make_table(
        ("place", "layer", "scale"), ("exposures", "tiles", "in", "out", "task holds", "work")
    )
    for job in batch.jobs:
        plan = job.plan
        table.add_row(
            job.place.name,
            job.layer.name,
            scale_title(job.place),
            str(len(plan.exposures)),
            str(len(plan.tiles)),
            size_text(plan.bytes_in),
            size_text(plan.bytes_out),
            size_text(plan.peak_memory),
            time_text(plan.seconds),
        )
    return table


def _table_of_tiles(job: Job) -> Any:
    from hapdask.recipes.batch import job_title

    table = make_table((), ("ty", "tx", "chips", "Mpixel in", "in", "out", "holds", "work"))
    table.title, table.title_justify = job_title(job), "left"
    for tile in job.plan.tiles:
        table.add_row(
            *map(str, tile.index),
            str(len(tile.inputs)),
            f"{sum(i.pixels for i in tile.inputs) / 1e6:.2f}",
            size_text(tile.bytes_in),
            size_text(tile.bytes_out),
            size_text(tile.peak_memory),
            time_text(tile.seconds),
        )
    return table


def _show_map(part: PlanMap) -> None:
    from rich.text import Text

    page().print(Text(part.title, style="bold"))
    for row in part.rows(width=max(page().width // 3, 1)):
        line = Text("  ")
        for depth in row:
            shown = "  ·" if depth == 0 else f"{depth:3d}" if depth < 1000 else "  +"
            line.append(shown, style="dim" if depth == 0 else _style(depth, part.deepest))
        page().print(line)


def _style(depth: int, deepest: int) -> str:
    """Colour a tile: the more exposures, the brighter."""
    ramp = ("white on #1b3a4b", "white on #14607a", "black on #2fa4a9", "black on #8fd694")
    step = min(len(ramp) - 1, (depth - 1) * len(ramp) // max(deepest, 1))
    return ramp[step]


def plan_document(batch: Batch) -> dict[str, Any]:
    """Make the JSON document of a plan."""
    from hapdask.cli.reports import left_out_documents, warning_documents

    return {
        "status": "planned",
        "exit_code": 3 if batch.left_out else 0,
        "jobs": [_job(job) for job in batch.jobs],
        "left_out": left_out_documents(batch.left_out),
        "warnings": warning_documents(batch.warnings),
    }


def _job(job: Job) -> dict[str, Any]:
    from hapdask.recipes.batch import scale_title

    plan = job.plan
    return {
        "place": job.place.name,
        "layer": job.layer.name,
        "scale": scale_title(job.place),
        "exposures": [e.name for e in plan.exposures],
        "bytes_in": plan.bytes_in,
        "bytes_out": plan.bytes_out,
        "peak_memory": plan.peak_memory,
        "seconds": round(plan.seconds, 3),
        "tiles": [_tile(tile, job) for tile in plan.tiles],
    }


def _tile(tile: TilePlan, job: Job) -> dict[str, Any]:
    names = [e.name for e in job.plan.exposures]
    return {
        "index": list(tile.index),
        "inputs": [[names[i.exposure], i.extver] for i in tile.inputs],
        "bytes_in": tile.bytes_in,
        "bytes_out": tile.bytes_out,
        "peak_memory": tile.peak_memory,
        "seconds": round(tile.seconds, 4),
    }
