"""Options that several commands share, declared once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

_WHERE = "Where (default: all sky cells that the exposures touch)"
_WHAT = "What"
_HOW = "How"
_OUTPUT = "Output"
_RUN = "Run"

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES", help="FLC or FLT files, patterns or http(s) addresses.",
        show_default=False,
    ),
]  # fmt: skip

Cell = Annotated[
    list[str] | None,
    typer.Option(
        "--cell", metavar="NAME", rich_help_panel=_WHERE,
        help="A sky cell, such as skycell-p1889x07y19; may be repeated.",
    ),
]  # fmt: skip
Auto = Annotated[
    bool, typer.Option("--auto", metavar="", rich_help_panel=_WHERE, help="All sky cells touched.")
]
Center = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="RA DEC", rich_help_panel=_WHERE,
        help="Centre of a custom frame, ICRS degrees; needs --size.",
    ),
]  # fmt: skip
Size = Annotated[
    str | None,
    typer.Option(
        metavar="W[,H]", rich_help_panel=_WHERE,
        help="Its size: arcsec, or with a unit: 2arcmin, 0.1deg, 3000pix.",
    ),
]  # fmt: skip
PixelScale = Annotated[
    float,
    typer.Option(metavar="ARCSEC", rich_help_panel=_WHERE, help="Its pixels."),
]
Rotation = Annotated[
    float,
    typer.Option(
        metavar="DEG", rich_help_panel=_WHERE,
        help="Position angle of its y axis, from north through east.",
    ),
]  # fmt: skip
Like = Annotated[
    Path | None,
    typer.Option(
        metavar="FITS", rich_help_panel=_WHERE,
        help="Take the grid of an image (TAN, undistorted) instead.",
    ),
]  # fmt: skip
Name = Annotated[
    str,
    typer.Option(metavar="NAME", rich_help_panel=_WHERE, help="Name of the custom frame."),
]

Layer = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", metavar="LAYER", rich_help_panel=_WHAT,
        help="Only this layer, such as wfc3_uvis_f606w; may be repeated.",
    ),
]  # fmt: skip
Scale = Annotated[
    list[str] | None,
    typer.Option(
        "--scale", metavar="fine|coarse", rich_help_panel=_WHAT,
        help="Only this scale of sky cells: fine 0.04, coarse 0.12 arcsec (WFC3/IR).",
    ),
]  # fmt: skip

Preset = Annotated[
    str,
    typer.Option(
        metavar="P", rich_help_panel=_HOW,
        help="Parameters to start from: default, compat (DrizzlePac's sky cells), compat-svm.",
    ),
]  # fmt: skip
Parameters = Annotated[
    Path | None,
    typer.Option(
        metavar="TOML", rich_help_panel=_HOW, help="A file of parameters over the preset."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", rich_help_panel=_HOW,
        help="One parameter, over everything else; may be repeated.",
    ),
]  # fmt: skip
Weight = Annotated[
    str | None,
    typer.Option(metavar="EXP|ERR", rich_help_panel=_HOW, help="Short for --set weight=..."),
]
Pixfrac = Annotated[
    float | None,
    typer.Option(metavar="F", rich_help_panel=_HOW, help="Short for --set pixfrac=..."),
]
Tile = Annotated[
    int,
    typer.Option(
        metavar="PIXELS", rich_help_panel=_HOW,
        help="Side of a tile: whole chunks of 1024 pixels, or less than one.",
    ),
]  # fmt: skip

DemoSize = Annotated[
    str,
    typer.Option(
        "--size", metavar="small|full", help="One or two dithers of each filter: 6 or 12 exposures."
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(metavar="N", rich_help_panel=_RUN, help="Threads (default: all cores)."),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        rich_help_panel=_RUN,
        help="One JSON document on stdout, news on stderr.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        metavar="",
        rich_help_panel=_RUN,
        help="An input that must be left out is an error.",
    ),
]


Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N", rich_help_panel=_RUN,
        help="Make the tiles in N processes of this machine instead of threads.",
    ),
]  # fmt: skip
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", rich_help_panel=_RUN,
        help="Make them on a Dask cluster, such as tcp://10.0.0.1:8786.",
    ),
]  # fmt: skip
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", metavar="", rich_help_panel=_RUN, help="Show the plan and write nothing."
    ),
]

NoFits = Annotated[
    bool,
    typer.Option("--no-fits", metavar="", rich_help_panel=_OUTPUT, help="Write no FITS files."),
]
NoPng = Annotated[
    bool, typer.Option("--no-png", metavar="", rich_help_panel=_OUTPUT, help="Write no pictures.")
]
Ctx = Annotated[
    bool,
    typer.Option(
        "--ctx", metavar="", rich_help_panel=_OUTPUT, help="FITS files get a CTX extension."
    ),
]


def thread_count(threads: int | None) -> int:
    """Say how many threads to use.

    Raises
    ------
    typer.BadParameter
        If fewer than one was asked for.
    """
    if threads is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else (os.cpu_count() or 1)
        )
    if threads < 1:
        raise typer.BadParameter(f"{threads} threads cannot work", param_hint="--threads")
    return threads
