"""The report of a run of AstroDrizzle: ``report.html`` and ``report.json``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.products.report.model import LayerLine, RunReport
from hapdask.products.report.render import write_report
from hapdask.recipes.report_parts import (
    file_line,
    input_lines,
    machine_lines,
    parameter_lines,
    place_line,
    versions,
)
from hapdask.recipes.sky_cells import Place

if TYPE_CHECKING:
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun
    from hapdask.recipes.astrodrizzle.writing import Written

_SCALE = "custom"


def write_report_of(
    run: AstroDrizzleRun,
    written: Written,
    out: str | Path,
    *,
    command: Sequence[str] = (),
    workers: str = "threads",
) -> Path:
    """Write ``report.html`` and ``report.json`` of a run that has written its products.

    Parameters
    ----------
    run : AstroDrizzleRun
    written : Written
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
    return write_report(report_of(run, written, Path(out), command, workers), out)


def report_of(
    run: AstroDrizzleRun, written: Written, out: Path, command: Sequence[str], workers: str
) -> RunReport:
    """Tell a run: inputs with sky and masks, seconds by step, parameters, products."""
    plan, name, root = run.plan, f"{run.output}_{run.suffix}", out.absolute()
    layer = plan.layer.name
    files = (
        file_line(path.absolute(), root, _kind(path), name, layer, _SCALE, written=True)
        for path in written.files
    )
    return RunReport(
        title=name,
        finished=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=shlex.join(command),
        seconds={step: round(value, 3) for step, value in run.seconds.items()},
        machine=machine_lines(run.threads, workers),
        versions=versions(),
        inputs=input_lines(
            run.planned.exposures.with_records(run.exposures),
            run.left_out,
            {exposure.name for exposure in run.exposures},
        ),
        parameters=parameter_lines({layer: (run.parameters.values(), run.resolved.origin)}),
        places=(place_line(Place.of_frame(run.frame, name), _SCALE),),
        layers=(
            LayerLine(
                place=name,
                layer=layer,
                scale=_SCALE,
                store="",
                exposures=len(plan.exposures),
                tiles=len(plan.tiles),
                finished=len(plan.tiles),
                made=len(plan.tiles),
                bytes_in=plan.bytes_in,
                bytes_out=plan.bytes_out,
                task_memory=plan.peak_memory,
                seconds_planned=round(plan.seconds, 3),
            ),
        ),
        files=tuple(files),
    )


def _kind(path: Path) -> str:
    return "zarr store" if path.is_dir() else path.suffix.lstrip(".")
