"""``hapdask mosaic``: the layers of sky cells or of a custom frame, from real exposures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import show_json
from hapdask.cli.groups import Fits, How, Masking, Output, Team, Wcs, What, Where, spelt_out
from hapdask.cli.runs import finish, open_files, resumable, warn

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.batch import Request


@spelt_out
def mosaic(
    typed: typer.Context,
    files: options.Files,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where all goes.")],
    wcs: Wcs,
    masking: Masking,
    where: Where,
    what: What,
    how: How,
    output: Output,
    fits: Fits,
    team: Team,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Make mosaics: zarr, FITS with the archive's names, pictures, a report.

    Run it again after an interruption, or with more exposures: what is up to date stays.
    """
    from hapdask.cli.reading import read_maps, read_request

    formats = tuple(
        f for f, no in (("fits", output.no_fits), ("jpg", output.no_pictures)) if not no
    )
    request = read_request(
        where, what, how, fits, out=out, threads=team.threads, formats=formats, strict=strict
    )
    exposures = open_files(files, wcs)
    request = read_maps(request, masking, exposures)
    if dry_run:
        _show_plan(exposures, request, as_json=as_json)
    else:
        _make(exposures, request, team, None if output.no_report else typed, as_json=as_json)


def _show_plan(exposures: Exposures, request: Request, *, as_json: bool) -> None:
    from hapdask.cli.plan_view import plan_document, show_plan
    from hapdask.recipes.batch import plan_batch

    batch = plan_batch(exposures, request, read_pixels=False)
    if as_json:
        show_json(plan_document(batch))
    else:
        show_plan(batch)
    warn(batch.warnings)
    finish(batch.left_out)


def _make(
    exposures: Exposures,
    request: Request,
    team: Team,
    page_of: typer.Context | None,
    *,
    as_json: bool,
) -> None:
    from hapdask.cli.cluster import workers_for
    from hapdask.cli.progress import ProgressView
    from hapdask.cli.reports import report_document, show_report, write_page
    from hapdask.recipes.batch import plan_batch, run_batch

    workers = workers_for(team.workers, team.scheduler)
    with resumable(), ProgressView() as progress, workers as client:
        batch = plan_batch(exposures, request, progress=progress)
        report = run_batch(batch, client=client, progress=progress)
        page = None if page_of is None else write_page(report, page_of, client)
    if as_json:
        show_json(report_document(report, page))
    else:
        show_report(report, request.out, page)
    warn(batch.warnings)
    finish(report.left_out)
