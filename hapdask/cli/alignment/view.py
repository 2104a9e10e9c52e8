"""What an alignment would do, and what it found: on the terminal, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hapdask.cli.console import (
    complain,
    date_text,
    make_table,
    page,
    plural,
    show_table,
    time_text,
)
from hapdask.cli.exits import DONE, PARTIAL
from hapdask.cli.reports import left_out_documents, warning_documents
from hapdask.cli.runs import finish
from hapdask.config.preset_tables import BUILT_IN
from hapdask.products.alignment.lines import verdict_word

if TYPE_CHECKING:
    from hapdask.config.tweakreg_presets import ResolvedAlignment
    from hapdask.recipes.alignment.planning import Planned
    from hapdask.recipes.alignment.result import Alignment
    from hapdask.recipes.alignment.writing import Written
    from hapdask.recipes.reporting import LeftOut

#: Files that are listed one by one; of more, folders are counted.
_LISTED = 12


def show_plan(planned: Planned) -> None:
    """Show what an alignment would do: exposures by field, catalogs, what is set."""
    table = make_table(("exposure", "field", "filter", "start", "wcsname"), ("exptime", "chips"))
    for field in planned.fields:
        for e in field.exposures:
            table.add_row(
                e.name, field.name, e.filter, date_text(e.expstart), e.wcsname,
                f"{e.exptime:.1f}", str(len(e.chips)),
            )  # fmt: skip
    show_table(table)
    names = ", ".join(source.name for source in planned.library.sources) or "none"
    page().print(f"\nreference catalogs, in order: {names}", markup=False)
    for detector, resolved in planned.by_detector.items():
        page().print(f"\nparameters of {detector} that are set:", markup=False)
        table = make_table(("name", "value", "from"))
        for name, value in _set(resolved).items():
            table.add_row(name, str(value), resolved.origin[name])
        show_table(table)
    _name_ignored(planned.by_detector)


def plan_document(planned: Planned) -> dict[str, Any]:
    """Make the JSON document of a plan."""
    return {
        "status": "planned",
        "exit_code": PARTIAL if planned.left_out else DONE,
        "fields": [
            {"name": field.name, "exposures": [e.name for e in field.exposures]}
            for field in planned.fields
        ],
        "catalogs": [source.name for source in planned.library.sources],
        "parameters": {
            detector: {
                name: {"value": value, "origin": resolved.origin.get(name, BUILT_IN)}
                for name, value in resolved.plain().items()
            }
            for detector, resolved in planned.by_detector.items()
        },
        "ignored": {n: w for r in planned.by_detector.values() for n, w in r.ignored.items()},
        "left_out": left_out_documents(planned.left_out),
    }


def show_made(found: Alignment, written: Written, page_path: Path | None) -> None:
    """Show the verdicts, then the files."""
    page().print()
    table = make_table(
        ("exposure", "verdict", "catalog", "geometry"),
        ("matches", "rms", "error", "moved (mas)"),
    )
    for e in found:
        p = e.placement
        figures = (p.rms_mas, p.error_mas, p.header_mas)
        table.add_row(
            e.opened.name, verdict_word(p, e.guiding),
            p.catalog or "-", p.geometry or "-", str(p.matches or "-"),
            *(_figure(value) for value in figures),
        )  # fmt: skip
    show_table(table)
    _show_files(written)
    if page_path is not None:
        typer.echo(f"\nreport: {page_path}")
    typer.echo(f"\ntime: {time_text(sum(found.seconds.values()))}")
    _name_ignored(found.resolved)


def made_document(
    found: Alignment, written: Written, warnings: Sequence[LeftOut], page_path: Path | None
) -> dict[str, Any]:
    """Make the JSON document of an alignment that is done."""
    code = exit_code(found, written)
    return {
        "status": "made" if code == DONE else "made in part",
        "exit_code": code,
        **found.to_dict(),
        "files": [str(path) for path in written.files],
        "updated": [str(path) for path in written.updated],
        "failures": left_out_documents(written.failures),
        "warnings": warning_documents(warnings),
        "notes": list(written.notes),
        "report": None if page_path is None else str(page_path),
    }


def exit_code(found: Alignment, written: Written) -> int:
    """Say whether every exposure got a solution, from the catalog asked for; and all is written."""
    lacking = found.lacks_tie or any(e.placement.status == "unaligned" for e in found)
    return PARTIAL if lacking or found.left_out or written.failures else DONE


def finish_alignment(found: Alignment, written: Written) -> None:
    """Say why exposures have no solution, and name what was left out; ends with the exit code."""
    without = [e for e in found if e.placement.status in ("unaligned", "relative")]
    if without:
        complain(f"\nwithout a tie to a catalog: {plural(len(without), 'exposure')}")
    for e in without:
        word = verdict_word(e.placement, e.guiding)
        complain(f"  {e.opened.name}: {word}: {e.placement.reason}")
    for note in written.notes:
        complain(note)
    finish((*found.left_out, *written.failures))
    if exit_code(found, written) != DONE:
        raise typer.Exit(PARTIAL)


def _show_files(written: Written) -> None:
    typer.echo(f"\n{plural(len(written.files), 'file')} written:")
    if len(written.files) <= _LISTED:
        for path in written.files:
            typer.echo(f"  {path}")
    else:
        folders: dict[Path, int] = {}
        for path in written.files:
            folders[path.parent] = folders.get(path.parent, 0) + 1
        for folder, count in folders.items():
            typer.echo(f"  {folder}/  {plural(count, 'file')}")
    if written.updated:
        typer.echo(f"\n{plural(len(written.updated), 'input')} updated in place:")
        for path in written.updated:
            typer.echo(f"  {path}")


def _figure(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _set(resolved: ResolvedAlignment) -> dict[str, Any]:
    """Parameters that something else than their own default sets."""
    values = resolved.plain()
    return {n: v for n, v in values.items() if resolved.origin.get(n, BUILT_IN) != BUILT_IN}


def _name_ignored(by_detector: dict[str, ResolvedAlignment]) -> None:
    told = {name: why for found in by_detector.values() for name, why in found.ignored.items()}
    for name, why in told.items():
        complain(f"not used: {name}: {why}")
