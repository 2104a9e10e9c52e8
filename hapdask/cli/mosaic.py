"""``hapdask mosaic``: the layers of sky cells or of a custom frame, from real exposures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import show_json
from hapdask.cli.runs import finish, open_files, resumable

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.batch import Request


def mosaic(
    files: options.Files,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where all goes.")],
    cell: options.Cell = None,
    auto: options.Auto = False,
    center: options.Center = None,
    size: options.Size = None,
    pixel_scale: options.PixelScale = 0.04,
    rotation: options.Rotation = 0.0,
    like: options.Like = None,
    name: options.Name = "mosaic",
    layer: options.Layer = None,
    scale: options.Scale = None,
    preset: options.Preset = "default",
    parameters: options.Parameters = None,
    settings: options.Set = None,
    weight: options.Weight = None,
    pixfrac: options.Pixfrac = None,
    tile: options.Tile = 2048,
    no_fits: options.NoFits = False,
    no_png: options.NoPng = False,
    ctx: options.Ctx = False,
    threads: options.Threads = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Make mosaics: zarr, FITS with the archive's names, pictures.

    Run it again after an interruption, or with more exposures: what is up to date stays.
    """
    from hapdask.cli.reading import read_request

    formats = tuple(f for f, no in (("fits", no_fits), ("png", no_png)) if not no)
    request = read_request(
        out=out,
        cell=cell,
        auto=auto,
        center=center,
        size=size,
        pixel_scale=pixel_scale,
        rotation=rotation,
        like=like,
        name=name,
        layer=layer,
        scale=scale,
        preset=preset,
        parameters=parameters,
        settings=settings,
        weight=weight,
        pixfrac=pixfrac,
        tile=tile,
        threads=threads,
        formats=formats,
        ctx=ctx,
        strict=strict,
    )
    exposures = open_files(files)
    if dry_run:
        _show_plan(exposures, request, as_json=as_json)
    else:
        _make(exposures, request, workers, scheduler, as_json=as_json)


def _show_plan(exposures: Exposures, request: Request, *, as_json: bool) -> None:
    from hapdask.cli.plan_view import plan_document, show_plan
    from hapdask.recipes.batch import plan_batch

    batch = plan_batch(exposures, request, read_pixels=False)
    if as_json:
        show_json(plan_document(batch))
    else:
        show_plan(batch)
    finish(batch.left_out)


def _make(
    exposures: Exposures,
    request: Request,
    workers: int | None,
    scheduler: str | None,
    *,
    as_json: bool,
) -> None:
    from hapdask.cli.cluster import workers_for
    from hapdask.cli.progress import ProgressView
    from hapdask.cli.reports import report_document, show_report
    from hapdask.recipes.batch import plan_batch, run_batch

    with resumable(), ProgressView() as progress, workers_for(workers, scheduler) as client:
        batch = plan_batch(exposures, request, progress=progress)
        report = run_batch(batch, client=client, progress=progress)
    if as_json:
        show_json(report_document(report))
    else:
        show_report(report, request.out)
    finish(report.left_out)
