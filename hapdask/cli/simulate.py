"""``hapdask simulate``: calibrated exposures of a field, with truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import plural, show_json
from hapdask.cli.runs import resumable

if TYPE_CHECKING:
    from hapdask.simulate import SimulatedField


def simulate(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where files go.")],
    center: Annotated[
        tuple[float, float],
        typer.Option(metavar="RA DEC", help="Centre of the field, ICRS degrees."),
    ] = (179.8643, 26.0027),
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    size: options.DemoSize = "full",
    program: Annotated[
        str, typer.Option(metavar="PPP", help="Three letters or digits for the rootnames.")
    ] = "sim",
    unaligned: Annotated[
        bool,
        typer.Option(
            "--unaligned",
            metavar="",
            help="Pointing errors as guide stars leave them (0.3 arcsec).",
        ),
    ] = False,
    noise_free: Annotated[
        bool,
        typer.Option("--noise-free", metavar="", help="Neither noise, cosmic rays nor defects."),
    ] = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Simulate calibrated exposures: FLC and FLT files, and what is true about them.

    Two visits at different rolls with WFC3/UVIS, ACS/WFC and WFC3/IR, on their real distortion.
    """
    from hapdask.cli.progress import ProgressView
    from hapdask.recipes.demo import demo_visits
    from hapdask.recipes.reporting import Step
    from hapdask.simulate import Options, PointingScatter, simulate_field

    visits, number = demo_visits(size), options.thread_count(threads)
    with resumable(), ProgressView() as progress:
        field = simulate_field(
            out,
            *center,
            seed,
            visits=visits,
            options=Options.noise_free() if noise_free else None,
            scatter=PointingScatter.unaligned() if unaligned else None,
            program=program,
            workers=number,
            progress=lambda done, total, _: progress(
                Step("simulate exposures", done, total, "exposures")
            ),
        )
    _show(field, as_json=as_json)


def _show(field: SimulatedField, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "exposures": [str(path) for path in field.exposures],
                "cosmic_rays": [str(path) for path in field.cosmic_rays],
                "sources": str(field.sources),
                "pointings": str(field.pointings),
            }
        )
        return
    for path in field.exposures:
        typer.echo(path)
    typer.echo(
        f"{plural(len(field.exposures), 'exposure')}; sources in {field.sources}, "
        f"true pointings in {field.pointings}"
    )
