"""Options of ``hapdask simulate``, declared apart for their number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_EFFECTS = "Effects (all off by default)"

Out = Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where files go.")]
Center = Annotated[
    tuple[float, float],
    typer.Option(metavar="RA DEC", help="Centre of the field, ICRS degrees."),
]
Seed = Annotated[int, typer.Option(help="Same seed, same bytes.")]
Program = Annotated[
    str, typer.Option(metavar="PPP", help="Three letters or digits for the rootnames.")
]
Setup = Annotated[
    list[str] | None,
    typer.Option(
        metavar="I/D/F[:S][:...]",
        show_default=False,
        help="Instrument/detector/filter, seconds, and bin=, gain= or sub=EXTVER,X0,Y0,NX,NY, "
        "such as wfpc2/pc/f555w:300:gain=15; may be repeated. Default: the demo's three.",
    ),
]
Date = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DATE",
        show_default=False,
        help="Start of the first, second, ... visit, ISO 8601 in UT; as many as visits.",
    ),
]
Unaligned = Annotated[
    bool,
    typer.Option(
        "--unaligned",
        metavar="",
        help="Pointing errors as guide stars leave them (0.3 arcsec).",
    ),
]
NoiseFree = Annotated[
    bool,
    typer.Option("--noise-free", metavar="", help="Neither noise, cosmic rays nor defects."),
]
Drift = Annotated[
    float,
    typer.Option(
        metavar="F",
        rich_help_panel=_EFFECTS,
        help="Fraction of the sensitivity lost per year; PHOTFLAM goes with it.",
    ),
]
Pedestals = Annotated[
    float,
    typer.Option(
        metavar="E",
        rich_help_panel=_EFFECTS,
        help="Rms offset of each amplifier in each exposure, electrons.",
    ),
]
Focus = Annotated[
    float,
    typer.Option(
        metavar="UM",
        rich_help_panel=_EFFECTS,
        help="Rms change of focus between exposures, micron; 3 is typical.",
    ),
]
Spikes = Annotated[
    bool,
    typer.Option(
        "--spikes",
        metavar="",
        rich_help_panel=_EFFECTS,
        help="Diffraction spikes, fixed to the telescope's roll.",
    ),
]
Bleeding = Annotated[
    bool,
    typer.Option(
        "--bleeding",
        metavar="",
        rich_help_panel=_EFFECTS,
        help="Saturated stars bleed along columns.",
    ),
]
ProperMotion = Annotated[
    float,
    typer.Option(
        metavar="MAS/YR",
        rich_help_panel=_EFFECTS,
        help="Rms proper motion of the stars on each axis.",
    ),
]
