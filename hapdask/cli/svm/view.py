"""What visits will make, and what was made of them: on the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hapdask.cli.console import (
    complain,
    make_table,
    page,
    plural,
    show_table,
    size_text,
)
from hapdask.cli.exits import DONE, ERROR, PARTIAL
from hapdask.cli.reports import left_out_documents, show_seconds, warning_documents
from hapdask.recipes.reporting import LeftOut, warned

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.svm.run import SvmMade, SvmRun
    from hapdask.recipes.svm.visit import VisitMade


def show_plan(run: SvmRun) -> None:
    """Show what a run would make: visits, filters, frames, memory."""
    table = make_table(("visit", "detector", "filter", "exposures"), ("frame", "arcsec"))
    for visit in run.visits:
        for field in visit.fields:
            ny, nx = field.frame.shape
            size, scale = f"{nx} x {ny}", f"{field.frame.pixel_scale:.5f}"
            for member in field.product.filters:
                names = ", ".join((*member.exposures, *member.apart))
                kind = member.filter if member.drizzled else f"{member.filter} (aligned only)"
                table.add_row(visit.tree.visit, field.product.detector, kind, names, size, scale)
            if field.product.grism:
                names = ", ".join(field.product.grism)
                table.add_row(visit.tree.visit, field.product.detector, "dispersed", names)
    show_table(table)
    count = sum(len(visit.products) for visit in run.visits)
    memory = max((visit.memory(run.threads) for visit in run.visits), default=0)
    whole = sum(field.bytes_out for visit in run.visits for field in visit.fields)
    page().print(
        f"\n{plural(count, 'drizzled product')} of {size_text(whole)} in all; a visit holds up to "
        f"{size_text(memory)} on {plural(run.threads, 'thread')}",
        soft_wrap=True,
    )
    for visit in run.visits:
        for name in visit.products:
            typer.echo(f"  {name}")
    _notes(visit.tree for visit in run.visits)


def show_made(made: SvmMade, page_path: Path | None) -> None:
    """Show the verdicts on exposures, the products, and the seconds."""
    page().print()
    table = make_table(("visit", "exposure", "status", "wcsname"), ("matches", "rms mas"))
    for visit in made.visits:
        for line in visit.lines:
            rms = "" if line.rms is None else f"{line.rms:.2f}"
            words = (visit.tree.visit, line.name, line.status, line.wcsname)
            table.add_row(*words, str(line.matches), rms)
    show_table(table)
    for visit in made.visits:
        new = sum(not product.made.kept for product in visit.products)
        typer.echo(f"\n{visit.tree.visit}: {plural(len(visit.files), 'file')}, {new} drizzled now:")
        for product in visit.products:
            path = product.made.files[0]
            typer.echo(f"  {path}  {size_text(path.stat().st_size)}")
        for path in visit.others:
            if path.name.endswith("_manifest.txt"):
                typer.echo(f"  all are named in {path}")
        if visit.removed:
            typer.echo(f"  {plural(len(visit.removed), 'file')} of an earlier run removed")
        if visit.problem:
            complain(f"visit {visit.tree.visit} is not finished: {visit.problem}")
        if visit.told.get("lacks_tie"):
            complain(f"visit {visit.tree.visit}: no exposure is tied to the catalog asked for")
    _notes(visit.tree for visit in made.visits)
    if page_path is not None:
        typer.echo(f"\nreport: {page_path}")
    show_seconds(made.seconds)


def plan_document(run: SvmRun) -> dict[str, Any]:
    """Make the JSON document of a plan."""
    return {
        "status": "planned",
        "exit_code": PARTIAL if run.left_out else DONE,
        "visits": [visit.to_dict() | {"memory": visit.memory(run.threads)} for visit in run.visits],
        "left_out": left_out_documents(run.left_out),
    }


def made_document(made: SvmMade, opened: Exposures, page_path: Path | None) -> dict[str, Any]:
    """Make the JSON document of a run that is done."""
    code = exit_code(made)
    words = {DONE: "made", PARTIAL: "made in part", ERROR: "error"}
    return {
        "status": words[code],
        "exit_code": code,
        "visits": [_visit(visit) for visit in made.visits],
        "report": None if page_path is None else str(page_path),
        "left_out": left_out_documents(made.left_out),
        "warnings": warning_documents(warnings_of(made, opened)),
        "seconds": {step: round(value, 3) for step, value in made.seconds.items()},
    }


def exit_code(made: SvmMade) -> int:
    """Say how a run ended: with all; without inputs, visits or alignments; with nothing."""
    if not any(visit.products for visit in made.visits):
        return ERROR
    return PARTIAL if made.left_out or made.failed or made.unaligned else DONE


def warnings_of(made: SvmMade, opened: Exposures) -> tuple[LeftOut, ...]:
    """Give what is used but should be looked at, and what was given for nothing."""
    records = [record for visit in made.visits for record in visit.records]
    told = {record.url for record in records}
    return (
        *(item for item in warned(opened) if item.file not in told),
        *(LeftOut(r.url, r.verdict.reason) for r in records if r.verdict.status == "warning"),
    )


def _visit(visit: VisitMade) -> Mapping[str, Any]:
    return {
        "visit": visit.tree.visit,
        "problem": visit.problem,
        "products": [
            {
                "kind": product.kind,
                "path": str(product.made.files[0]),
                "exposures": [record.name for record in product.mosaic.records],
                "kept": product.made.kept,
            }
            for product in visit.products
        ],
        "files": [str(path) for path in visit.files],
        "removed": [str(path) for path in visit.removed],
        "alignment": visit.told,
        "notes": list(visit.tree.notes),
    }


def _notes(trees: Any) -> None:
    for tree in trees:
        for note in tree.notes:
            complain(f"{tree.visit}: {note}")
