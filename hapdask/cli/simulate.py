"""``hapdask simulate``: calibrated exposures of a field, with truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from hapdask.cli import options
from hapdask.cli import simulate_options as given
from hapdask.cli.console import plural, show_json
from hapdask.cli.runs import resumable

if TYPE_CHECKING:
    from hapdask.simulate import SimulatedField, Visit


def simulate(
    out: given.Out,
    center: given.Center = (179.8643, 26.0027),
    seed: given.Seed = 1,
    size: options.DemoSize = "full",
    program: given.Program = "sim",
    setup: given.Setup = None,
    date: given.Date = None,
    unaligned: given.Unaligned = False,
    noise_free: given.NoiseFree = False,
    drift: given.Drift = 0.0,
    pedestals: given.Pedestals = 0.0,
    focus: given.Focus = 0.0,
    spikes: given.Spikes = False,
    bleeding: given.Bleeding = False,
    proper_motion: given.ProperMotion = 0.0,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Simulate calibrated exposures, and what is true about them.

    Two visits at different rolls, by default with WFC3/UVIS, ACS/WFC and WFC3/IR. These, ACS/HRC
    and WFPC2 have their real distortion; ACS/SBC, STIS and NICMOS an invented one.
    """
    from hapdask.cli.progress import ProgressView
    from hapdask.recipes.reporting import Step
    from hapdask.simulate import Options, PointingScatter, simulate_field

    plain = Options.noise_free() if noise_free else Options()
    number = options.thread_count(threads)
    with resumable(), ProgressView() as progress:
        field = simulate_field(
            out,
            *center,
            seed,
            visits=_visits(size, setup, date),
            options=replace(
                plain,
                drift=drift,
                pedestals=pedestals,
                focus=focus,
                spikes=spikes,
                bleeding=bleeding,
            ),
            scatter=PointingScatter.unaligned() if unaligned else None,
            proper_motion=proper_motion,
            program=program,
            workers=number,
            progress=lambda done, total, _: progress(
                Step("simulate exposures", done, total, "exposures")
            ),
        )
    _show(field, as_json=as_json)


def _visits(size: str, setups: list[str] | None, dates: list[str] | None) -> tuple[Visit, ...]:
    """Visits of the demo, with other setups and dates where they are given."""
    from hapdask.errors import ParameterError
    from hapdask.recipes.demo import demo_visits
    from hapdask.simulate import parse_setup

    visits = demo_visits(size)
    if setups:
        dithers = visits[0].setups[0].dithers
        chosen = tuple(parse_setup(text, dithers) for text in setups)
        visits = tuple(replace(visit, setups=chosen) for visit in visits)
    if dates:
        if len(dates) != len(visits):
            raise ParameterError(f"--date is given {len(dates)} times for {len(visits)} visits")
        visits = tuple(replace(v, date=day) for v, day in zip(visits, dates, strict=True))
    return visits


def _show(field: SimulatedField, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "exposures": [str(path) for path in field.exposures],
                "cosmic_rays": [str(path) for path in field.cosmic_rays],
                "drawn": [str(path) for path in field.drawn],
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
