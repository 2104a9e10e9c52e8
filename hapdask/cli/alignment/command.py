"""The command: options to an alignment, an alignment to files, and what is told of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapdask.cli import options
from hapdask.cli.alignment.options import How, Own, Products, References, Sources
from hapdask.cli.console import show_json
from hapdask.cli.groups import Team, Wcs, spelt_out
from hapdask.cli.options import thread_count
from hapdask.cli.runs import open_files, resumable, warn
from hapdask.errors import ParameterError, PlanError

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.reporting import LeftOut

_AGAIN = "nothing is kept, the same command begins anew"


@spelt_out
def align(
    typed: typer.Context,
    files: options.Files,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where all goes.")],
    wcs: Wcs,
    references: References,
    sources: Sources,
    how: How,
    own: Own,
    products: Products,
    team: Team,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Align exposures to each other and to a reference catalog, with a verdict on each.

    TweakReg's parameters have their names here: --set NAME=VALUE. No input is changed unless
    --in-place says so.
    """
    settings = read_settings(how.settings or (), own)
    asked = {
        "refcat": references.refcat or None,
        "preset": how.preset,
        "file": how.parameters,
        "exclude": tuple(sources.exclude or ()),
        "published": references.published,
    }
    exposures = open_files(files, wcs, select=False)
    if dry_run:
        _show_plan(exposures, asked, settings, strict=strict, as_json=as_json)
    else:
        page_of = None if products.no_report else typed
        _make(exposures, asked | settings, out, products, team, page_of, strict, as_json)


def read_settings(settings: Sequence[str], own: Own) -> dict[str, object]:
    """Read ``--set``, and the options that stand for a parameter.

    Raises
    ------
    ParameterError
        On an unknown name, or one that is given twice.
    """
    from hapdask.config.tweakreg_presets import parse_align_setting

    pairs: list[tuple[str, object]] = [parse_align_setting(text) for text in settings]
    typed = ((field.name, getattr(own, field.name)) for field in fields(own))
    pairs += [(name, value) for name, value in typed if value is not None and value is not False]
    pairs += [(n, False) for n in ("updatehdr", "headerlet") if getattr(own, n) is False]
    values: dict[str, object] = {}
    for name, value in pairs:
        if values.get(name, value) != value:
            raise ParameterError(f"{name} is given twice: {values[name]!r} and {value!r}")
        values[name] = value
    return values


def _refuse(left_out: Sequence[LeftOut]) -> None:
    """Make what is left out an error, as ``--strict`` asks."""
    if left_out:
        raise PlanError(
            "some inputs cannot be used:" + "".join(f"\n  {i.error()}" for i in left_out)
        )


def _show_plan(
    exposures: Exposures,
    asked: Mapping[str, Any],
    settings: Mapping[str, object],
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from hapdask.cli.alignment.view import plan_document, show_plan
    from hapdask.cli.runs import finish
    from hapdask.recipes.alignment.planning import Request, plan_alignment

    planned = plan_alignment(exposures, Request(**asked, overrides=settings, sources={}))
    if strict:
        _refuse(planned.left_out)
    if as_json:
        show_json(plan_document(planned))
    else:
        show_plan(planned)
    finish(planned.left_out)


def _make(
    exposures: Exposures,
    asked: Mapping[str, Any],
    out: Path,
    products: Products,
    team: Team,
    page_of: typer.Context | None,
    strict: bool,
    as_json: bool,
) -> None:
    from hapdask.cli.alignment.view import finish_alignment, made_document, show_made
    from hapdask.cli.cluster import workers_for
    from hapdask.cli.progress import ProgressView
    from hapdask.cli.reports import workers_text
    from hapdask.products.objects import storage_errors
    from hapdask.recipes.alignment.report import write_report_of
    from hapdask.recipes.alignment.run import align as run_align
    from hapdask.recipes.alignment.writing import refuse_existing_products
    from hapdask.recipes.reporting import warned

    threads = thread_count(team.threads)
    workers = workers_for(team.workers, team.scheduler)
    with resumable(_AGAIN), ProgressView() as progress, workers as client:
        with storage_errors(str(out)):  # before time is spent
            out.mkdir(parents=True, exist_ok=True)
        refuse_existing_products(out, overwrite=products.overwrite)
        found = run_align(exposures, client=client, threads=threads, progress=progress, **asked)
        if strict:
            _refuse(found.left_out)
        written = found.write(out, in_place=products.in_place, overwrite=products.overwrite)
        page = None
        if page_of is not None:
            page = write_report_of(
                found,
                written,
                out,
                command=page_of.find_root().obj or (),
                workers=workers_text(client),
                threads=threads,
            )
    if as_json:
        show_json(made_document(found, written, warned(exposures), page))
    else:
        show_made(found, written, page)
    warn(warned(exposures))
    finish_alignment(found, written)
