"""The command: options to a run, a run to products, and what is told of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapdask.cli import options
from hapdask.cli.astrodrizzle.options import Grid, Inputs, Own, Products, Steps
from hapdask.cli.console import complain, plural, show_json
from hapdask.cli.groups import Team, Wcs, spelt_out
from hapdask.cli.options import thread_count
from hapdask.cli.runs import finish, open_files, resumable, warn
from hapdask.errors import PlanError

if TYPE_CHECKING:
    from distributed import Client

    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun
    from hapdask.recipes.astrodrizzle.writing import Written

_GOES_ON = "what was measured is kept, the same command goes on from there"


@spelt_out
def astrodrizzle(
    typed: typer.Context,
    files: options.Files,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where all goes.")],
    wcs: Wcs,
    inputs: Inputs,
    steps: Steps,
    own: Own,
    grid: Grid,
    products: Products,
    team: Team,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Make one mosaic of many exposures as AstroDrizzle does: sky, cosmic rays, drizzle.

    Its parameters have their names here: --set NAME=VALUE. Nothing is written but the products,
    and no input is changed.
    """
    from hapdask.cli.astrodrizzle.reading import (
        read_formats,
        read_grid,
        read_keep,
        read_planes,
        read_settings,
    )

    settings = read_settings(steps.settings or (), own)
    wanted = {
        "keep": read_keep(products.keep or ()),
        "formats": read_formats(products),
        "planes": read_planes(products),
        "per_exposure": products.per_exposure,
        "dq_copies": products.dq_copies,
        "dq_zarr": products.dq_zarr,
    }
    asked = {
        "preset": steps.preset,
        "file": steps.parameters,
        "frame": read_grid(grid),
        "output": products.output,
        "where": products.work,
        "track": inputs.track,
        "masks": tuple(inputs.mask or ()),
        "threads": thread_count(team.threads),
        **settings,
    }
    exposures = open_files(files, wcs, select=False)
    asked["ivm"] = _maps(inputs, exposures, steps, settings)
    if dry_run:
        _show_plan(exposures, asked, wanted, out, strict=strict, as_json=as_json)
    else:
        page_of = typed if products.report else None
        _make(exposures, asked, wanted, out, team, page_of, strict=strict, as_json=as_json)


def _maps(inputs: Inputs, exposures: Exposures, steps: Steps, settings: Mapping[str, Any]) -> Any:
    """Inverse-variance maps: those given, or those of @lists where the mosaic is weighted so."""
    from hapdask.config import load_astrodrizzle

    if inputs.ivm or not exposures.ivm_maps:
        return tuple(inputs.ivm or ())
    first, count = exposures[0], len(exposures)
    resolved = load_astrodrizzle(
        first.instrument,
        first.detector,
        count,
        preset=steps.preset,
        binned=any(exposure.binned for exposure in exposures),
        file=steps.parameters,
        overrides=settings,
    )
    if resolved.parameters.final.final_wht_type == "IVM":
        return exposures.ivm_maps
    maps = plural(len(exposures.ivm_maps), "inverse-variance map")
    complain(f"{maps} of lists: used by --final-wht-type IVM only")
    return ()


def _plan(
    exposures: Exposures,
    asked: Mapping[str, Any],
    wanted: Mapping[str, Any],
    out: Path,
    *,
    strict: bool,
) -> AstroDrizzleRun:
    """Plan a run; with ``strict``, a file that must be left out is an error."""
    from hapdask.cli.astrodrizzle.reading import kept_by
    from hapdask.products.run_product import product_path
    from hapdask.recipes.astrodrizzle.run import astrodrizzle as plan
    from hapdask.recipes.astrodrizzle.writing import check_products

    run = plan(exposures, **asked)
    product_path(out, run.output, run.suffix)  # refuses what is no name
    products = {**wanted, "keep": kept_by(run, wanted["keep"])}
    del products["per_exposure"]  # goes with the mosaic, if there is one
    check_products(run, **products)
    if strict and run.left_out:
        raise PlanError(
            "some inputs cannot be used:" + "".join(f"\n  {i.error()}" for i in run.left_out)
        )
    return run


def _show_plan(
    exposures: Exposures,
    asked: Mapping[str, Any],
    wanted: Mapping[str, Any],
    out: Path,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from hapdask.cli.astrodrizzle.view import plan_document, show_plan, warnings_of

    run = _plan(exposures, asked, wanted, out, strict=strict)
    if as_json:
        show_json(plan_document(run))
    else:
        show_plan(run)
    warn(warnings_of(run))
    finish(run.left_out)


def _make(
    exposures: Exposures,
    asked: Mapping[str, Any],
    wanted: Mapping[str, Any],
    out: Path,
    team: Team,
    page_of: typer.Context | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from hapdask.cli.astrodrizzle.reading import kept_by
    from hapdask.cli.astrodrizzle.view import made_document, show_made, warnings_of
    from hapdask.cli.cluster import workers_for
    from hapdask.cli.progress import ProgressView
    from hapdask.products.objects import storage_errors

    run = _plan(exposures, asked, wanted, out, strict=strict)
    kept = "with --work, a run goes on from there" if asked["where"] is None else _GOES_ON
    workers = workers_for(team.workers, team.scheduler)
    with resumable(kept), ProgressView() as progress, workers as client:
        with storage_errors(str(out)):  # before time is spent
            out.mkdir(parents=True, exist_ok=True)
        run.client, run.progress = client, progress
        if strict and run.reject().left_out:
            raise run.left_out[0].error()
        written = run.write(out, **{**wanted, "keep": kept_by(run, wanted["keep"])})
        page = None if page_of is None else _write_page(run, written, out, page_of, client)
    if as_json:
        show_json(made_document(run, written, page))
    else:
        show_made(run, written, page)
    warn(warnings_of(run))
    finish(run.left_out)


def _write_page(
    run: AstroDrizzleRun, written: Written, out: Path, context: typer.Context, client: Client | None
) -> Path:
    """Write the HTML report; gives its path."""
    from hapdask.cli.reports import workers_text
    from hapdask.recipes.astrodrizzle.report import write_report_of

    command = context.find_root().obj or ()
    return write_report_of(run, written, out, command=command, workers=workers_text(client))
