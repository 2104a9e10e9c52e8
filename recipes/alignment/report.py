"""The report of an alignment: ``report.html`` and ``report.json``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.products.alignment.lines import alignment_line
from hapdask.products.report.model import InputLine, PictureLine, RunReport
from hapdask.products.report.render import write_report
from hapdask.recipes.report_parts import (
    file_line,
    input_line,
    machine_lines,
    parameter_lines,
    picture_lines,
    versions,
)

if TYPE_CHECKING:
    from hapdask.recipes.alignment.result import Alignment
    from hapdask.recipes.alignment.writing import Written

_SHOWN = "vector_"


def write_report_of(
    alignment: Alignment,
    written: Written,
    out: str | Path,
    *,
    command: Sequence[str] = (),
    workers: str = "threads",
    threads: int = 1,
) -> Path:
    """Write ``report.html`` and ``report.json`` of an alignment that has written its files.

    Parameters
    ----------
    alignment : Alignment
    written : Written
    out : path
        Folder of the products.
    command : sequence of str
        The words of the command line, where there was one.
    workers : str
        What detected the sources.
    threads : int

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    root = Path(out).absolute()
    files = tuple(
        file_line(path.absolute(), root, path.suffix.lstrip("."), _group(path, root), "", "custom",
                  written=True)
        for path in written.files
    )  # fmt: skip
    pictures, more = _pictures(alignment, written, root)
    detectors = {name: (found.plain(), found.origin) for name, found in alignment.resolved.items()}
    report = RunReport(
        title="alignment",
        finished=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=shlex.join(command),
        seconds={step: round(value, 3) for step, value in alignment.seconds.items()},
        machine=machine_lines(threads, workers),
        versions=versions(),
        inputs=_inputs(alignment),
        parameters=parameter_lines(detectors),
        alignments=tuple(
            alignment_line(e.record, e.placement, e.guiding, e.inquiries) for e in alignment
        ),
        files=files,
        pictures=pictures,
        pictures_more=more,
    )
    return write_report(report, root)


def _inputs(alignment: Alignment) -> tuple[InputLine, ...]:
    lines = [
        input_line(e.record, e.record.verdict.status, e.record.verdict.reason) for e in alignment
    ]
    lines += [
        InputLine(file=item.file, status="rejected", reason=item.reason, remedy=item.remedy)
        for item in alignment.left_out
    ]
    return tuple(lines)


def _group(path: Path, root: Path) -> str:
    """Folder of a file below that of the products."""
    parent = path.absolute().parent
    return parent.name if parent != root else "alignment"


def _pictures(
    alignment: Alignment, written: Written, root: Path
) -> tuple[tuple[PictureLine, ...], int]:
    """Make small pictures of the residuals of every exposure."""
    lines = [
        file_line(path.absolute(), root, "png", path.stem.removeprefix(_SHOWN), "residuals",
                  "custom", written=True)
        for path in written.files
        if path.suffix == ".png" and path.name.startswith(_SHOWN)
    ]  # fmt: skip
    return picture_lines(lines, root)
