"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_INPUTS = "Inputs"
_WHERE = "Where (default: all sky cells that the exposures touch)"
_WHAT = "What"
_HOW = "How"
_OUTPUT = "Output"
_RUN = "Run"

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES", show_default=False,
        help="Exposures (FLC, FLT, C0M, also .gz), patterns, rootnames, http(s):// and "
        "s3:// addresses, association tables, pollers, @lists.",
    ),
]  # fmt: skip

WcsName = Annotated[
    str | None,
    typer.Option(
        "--wcs", metavar="KEY|NAME", rich_help_panel=_INPUTS,
        help="The alternate WCS of this key (one letter), or the WCS or headerlet of this name, "
        "instead of the primary WCS.",
    ),
]  # fmt: skip
Headerlets = Annotated[
    list[str] | None,
    typer.Option(
        "--headerlets", metavar="FILES", rich_help_panel=_INPUTS,
        help="Headerlet files, such as \"*_hlet.fits\", each for the exposure that it names; "
        "may be repeated.",
    ),
]  # fmt: skip
ReferenceFiles = Annotated[
    Path | None,
    typer.Option(
        "--reference-files", metavar="DIR", rich_help_panel=_INPUTS, exists=True, file_okay=False,
        help="Folder of the IDCTAB, NPOLFILE, D2IMFILE, ... of files without distortion.",
    ),
]  # fmt: skip
Mask = Annotated[
    list[str] | None,
    typer.Option(
        "--mask", metavar="FILE", rich_help_panel=_INPUTS,
        help="Bad pixels: images, persistence products, DS9 regions (.reg), tables of blobs "
        "(.csv, .ecsv), or a pattern; may be repeated.",
    ),
]  # fmt: skip
Ivm = Annotated[
    list[str] | None,
    typer.Option(
        "--ivm", metavar="FILE", rich_help_panel=_INPUTS,
        help="Inverse-variance maps named after their exposures, or a pattern, for --weight IVM; "
        "may be repeated. They replace those of @lists.",
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
    typer.Option(metavar="ARCSEC", rich_help_panel=_WHERE, help="Side of its pixels."),
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
        help="Only this scale of sky cells: fine 0.04, coarse 0.12 arcsec "
        "(WFC3/IR, WFPC2, NIC3).",
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
ParameterFile = Annotated[
    Path | None,
    typer.Option(
        "--parameters", metavar="TOML|CFG", rich_help_panel=_HOW,
        help="A file of parameters over the preset: TOML, or a .cfg of AstroDrizzle.",
    ),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", rich_help_panel=_HOW,
        help="One parameter, over preset and file; may be repeated.",
    ),
]  # fmt: skip
Kernel = Annotated[
    str | None,
    typer.Option(
        "--kernel", metavar="NAME", rich_help_panel=_HOW,
        help="square, turbo, point, gaussian, lanczos2 or lanczos3.",
    ),
]  # fmt: skip
Pixfrac = Annotated[
    float | None,
    typer.Option(
        metavar="F", rich_help_panel=_HOW,
        help="Side of a drop over that of its detector pixel, up to 1.",
    ),
]  # fmt: skip
Weight = Annotated[
    str | None,
    typer.Option(
        metavar="EXP|ERR|IVM", rich_help_panel=_HOW,
        help="Exposure time, inverse variance, or that of the background alone.",
    ),
]  # fmt: skip
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
NoPictures = Annotated[
    bool,
    typer.Option("--no-pictures", metavar="", rich_help_panel=_OUTPUT, help="Write no previews."),
]
NoReport = Annotated[
    bool,
    typer.Option(
        "--no-report", metavar="", rich_help_panel=_OUTPUT,
        help="Write neither report.html nor report.json.",
    ),
]  # fmt: skip
Context = Annotated[
    bool | None,
    typer.Option(
        "--context/--no-context", metavar="", rich_help_panel=_OUTPUT, show_default=False,
        help="Whether FITS files have CTX, one bit per chip (default: not those of sky cells).",
    ),
]  # fmt: skip
Separate = Annotated[
    bool,
    typer.Option(
        "--separate", metavar="", rich_help_panel=_OUTPUT,
        help="A FITS file per image (_sci, _wht, ...) instead of one with extensions.",
    ),
]  # fmt: skip


def thread_count(threads: int | None) -> int:
    """Say how many threads to use.

    Raises
    ------
    typer.BadParameter
        If fewer than one was asked for.
    """
    if threads is None:
        from hapdask.drizzling.running import processors

        return processors()
    if threads < 1:
        raise typer.BadParameter(f"{threads} threads cannot work", param_hint="--threads")
    return threads
