"""What a run would do, and what it made: on the terminal, and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hapdask.cli.astrodrizzle.step_view import show_steps, step_documents, step_lines
from hapdask.cli.console import (
    complain,
    date_text,
    make_table,
    page,
    plural,
    show_table,
    size_text,
    time_text,
)
from hapdask.cli.exits import DONE, PARTIAL
from hapdask.cli.parameter_view import documents_of, lines_of, show_lines
from hapdask.cli.reports import left_out_documents, warning_documents
from hapdask.recipes.reporting import LeftOut

if TYPE_CHECKING:
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun
    from hapdask.recipes.astrodrizzle.writing import Written
    from hapdask.sky.frame import Frame


def show_plan(run: AstroDrizzleRun) -> None:
    """Show what a run would do: exposures, frames, steps, what is set, memory."""
    table = make_table(("exposure", "layer", "start"), ("exptime", "chips"))
    for exposure in run.exposures:
        start, chips = date_text(exposure.expstart), str(len(exposure.chips))
        table.add_row(exposure.name, exposure.layer_name, start, f"{exposure.exptime:.1f}", chips)
    show_table(table)
    page().print()
    table = make_table(("frame", "of"), ("pixels", "arcsec", "ra", "dec", "y axis"))
    for name, frame, of in _frames(run):
        table.add_row(name, of, *_frame_words(frame))
    show_table(table)
    page().print()
    show_steps(step_lines(run.resolved), done=False)
    typer.echo("\nparameters that are set (hapdask presets shows all):\n")
    show_lines(line for line in lines_of(run.resolved) if line.is_set)
    plan = run.plan
    page().print(
        f"\nthe mosaic: {plural(len(plan.tiles), 'tile')}, {size_text(plan.bytes_in)} in, "
        f"{size_text(plan.bytes_out)} out before compression; {plural(run.threads, 'thread')} "
        f"hold up to {size_text(plan.peak_memory * run.threads)}",
        soft_wrap=True,
    )
    _name_ignored(run)


def show_made(run: AstroDrizzleRun, written: Written, page_path: Path | None) -> None:
    """Show the steps with their seconds, and the files."""
    page().print()
    show_steps(step_lines(run.resolved, run.seconds), done=True)
    typer.echo(f"\n{plural(len(written.files), 'file')} written:")
    for path in written.files:
        size = f"  {size_text(path.stat().st_size)}" if path.is_file() else ""
        typer.echo(f"  {path}{size}")
    if page_path is not None:
        typer.echo(f"\nreport: {page_path}")
    typer.echo(f"\ntime: {time_text(sum(run.seconds.values()))}")
    _name_ignored(run)


def plan_document(run: AstroDrizzleRun) -> dict[str, Any]:
    """Make the JSON document of a plan."""
    plan = run.plan
    return {
        "status": "planned",
        **_document(run),
        "memory": plan.peak_memory * run.threads,
        "bytes_in": plan.bytes_in,
        "bytes_out": plan.bytes_out,
    }


def made_document(run: AstroDrizzleRun, written: Written, page_path: Path | None) -> dict[str, Any]:
    """Make the JSON document of a run that is done."""
    return {
        "status": "made in part" if run.left_out else "made",
        **_document(run),
        "report": None if page_path is None else str(page_path),
        "files": [str(path) for path in written.files],
        "seconds": {step: round(value, 3) for step, value in run.seconds.items()},
    }


def warnings_of(run: AstroDrizzleRun) -> tuple[LeftOut, ...]:
    """Give what is used but should be looked at, and notes on the whole."""
    verdicts = run.planned.exposures.with_records(run.exposures).verdicts
    found = [
        LeftOut(url, verdict.reason) for url, verdict in verdicts if verdict.status == "warning"
    ]
    return (*found, *(LeftOut("all", note) for note in run.planned.notes))


def _document(run: AstroDrizzleRun) -> dict[str, Any]:
    return {
        "exit_code": PARTIAL if run.left_out else DONE,
        "output": f"{run.output}_{run.suffix}",
        "exposures": [
            {"name": e.name, "file": e.url, "exptime": e.exptime, "chips": len(e.chips)}
            for e in run.exposures
        ],
        "frames": {name: _frame_document(frame) for name, frame, _ in _frames(run)},
        "steps": step_documents(step_lines(run.resolved, run.seconds)),
        "parameters": documents_of(lines_of(run.resolved)),
        "ignored": run.resolved.ignored,
        "left_out": left_out_documents(run.left_out),
        "warnings": warning_documents(warnings_of(run)),
    }


def _frames(run: AstroDrizzleRun) -> list[tuple[str, Frame, str]]:
    """Give the frames, and what is on them."""
    frames = [("mosaic", run.frame, f"{run.output}_{run.suffix}")]
    if run.parameters.separate.driz_separate:
        frames.append(("separate", run.median_frame, "exposures alone, median"))
    return frames


def _frame_words(frame: Frame) -> tuple[str, ...]:
    told = _frame_document(frame)
    return (
        "{} x {}".format(*told["pixels"]),
        f"{told['scale']:.5f}",
        *(f"{value:.6f}" for value in told["center"]),
        f"{told['rotation']:.3f} deg",
    )


def _frame_document(frame: Frame) -> dict[str, Any]:
    """Tell a frame: pixels along x and y, scale, centre, position angle of its y axis."""
    from hapdask.drizzling.frame_request import grid_of

    ny, nx = frame.shape
    rotation = grid_of(frame).orientation
    return {
        "pixels": [nx, ny],
        "scale": frame.pixel_scale,
        "center": list(frame.center),
        "rotation": rotation + 0.0,
    }


def _name_ignored(run: AstroDrizzleRun) -> None:
    for name, why in run.resolved.ignored.items():
        complain(f"not used: {name}: {why}")
