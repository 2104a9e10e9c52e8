"""The command: options to a run, a run to products, and what is told of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapdask.cli import options
from hapdask.cli.console import show_json
from hapdask.cli.exits import ERROR
from hapdask.cli.groups import Team, Wcs, spelt_out
from hapdask.cli.options import thread_count
from hapdask.cli.runs import finish, open_files, resumable, warn
from hapdask.cli.svm.options import Align, Drizzle, Products
from hapdask.errors import ParameterError, PlanError

if TYPE_CHECKING:
    from distributed import Client

    from hapdask.recipes.svm.run import SvmMade, SvmRun

_GOES_ON = "finished products are kept, the same command goes on from there"


@spelt_out
def svm(
    typed: typer.Context,
    files: options.Files,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where all goes.")],
    wcs: Wcs,
    align: Align,
    drizzle: Drizzle,
    products: Products,
    team: Team,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Align the exposures of visits and make all their products, as HAP's pipeline does.

    FILES may be a poller. Every exposure, filter and detector gets a drizzled product with the
    archive's names, every exposure an aligned copy and a headerlet. No input is changed.
    """
    from hapdask.cli.astrodrizzle.options import Own
    from hapdask.cli.astrodrizzle.reading import read_settings
    from hapdask.recipes.svm.run import svm as plan

    asked: dict[str, Any] = {
        "refcat": align.refcat or None,
        "preset": drizzle.preset,
        "file": drizzle.parameters,
        "alignment": _pairs(align.alignment_settings or ()),
        "alignment_file": align.alignment,
        "masks": tuple(drizzle.mask or ()),
        "threads": thread_count(team.threads),
        **read_settings(drizzle.settings or (), Own()),
    }
    run = plan(open_files(files, wcs, select="visit"), **asked)
    if strict and run.left_out:
        raise PlanError(
            "some inputs cannot be used:" + "".join(f"\n  {i.error()}" for i in run.left_out)
        )
    if dry_run:
        _show_plan(run, as_json=as_json)
    else:
        page_of = None if products.no_report else typed
        _make(run, out, products, team, page_of, strict=strict, as_json=as_json)


def _pairs(settings: Sequence[str]) -> dict[str, object]:
    """Read ``--set-alignment``; the names are checked where they are used."""
    values: dict[str, object] = {}
    for text in settings:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ParameterError(f"{text!r} is not of the form name=value")
        values[name] = value
    return values


def _show_plan(run: SvmRun, *, as_json: bool) -> None:
    from hapdask.cli.svm.view import plan_document, show_plan

    if as_json:
        show_json(plan_document(run))
    else:
        show_plan(run)
    finish(run.left_out)


def _make(
    run: SvmRun,
    out: Path,
    products: Products,
    team: Team,
    page_of: typer.Context | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from hapdask.cli.cluster import workers_for
    from hapdask.cli.progress import ProgressView
    from hapdask.cli.svm.view import exit_code, made_document, show_made, warnings_of

    workers = workers_for(team.workers, team.scheduler)
    with resumable(_GOES_ON), ProgressView() as progress, workers as client:
        run.client, run.progress = client, progress
        made = run.write(
            out,
            err=products.err,
            pictures=not products.no_pictures,
            copies=not products.no_copies,
            quality=not products.no_quality,
        )
        page = None if page_of is None else _write_page(run, made, out, page_of, client)
    if as_json:
        show_json(made_document(made, run.opened, page))
    else:
        show_made(made, page)
    warn(warnings_of(made, run.opened))
    if strict and made.left_out:
        raise made.left_out[0].error()
    if (code := exit_code(made)) == ERROR:
        raise typer.Exit(code)
    finish(made.left_out)
    raise typer.Exit(code)


def _write_page(
    run: SvmRun, made: SvmMade, out: Path, context: typer.Context, client: Client | None
) -> Path:
    """Write the HTML report; gives its path."""
    from hapdask.cli.reports import workers_text
    from hapdask.recipes.svm.report import write_report_of

    command = context.find_root().obj or ()
    return write_report_of(run, made, out, command=command, workers=workers_text(client))
