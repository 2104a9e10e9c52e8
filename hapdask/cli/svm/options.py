"""Options of ``hapdask svm`` alone, in groups; those of others are in `cli.options`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options

_PARAMETERS = "How"
_ALIGNMENT = "Alignment"
_PRODUCTS = "Products (default: all)"

Preset = Annotated[
    str,
    typer.Option(
        metavar="P", rich_help_panel=_PARAMETERS,
        help="Parameters to start from: default, or compat (as the archive's products are).",
    ),
]  # fmt: skip
RefCat = Annotated[
    list[str] | None,
    typer.Option(
        "--refcat", metavar="CATALOG", rich_help_panel=_ALIGNMENT,
        help="Reference stars: a file (ecsv, csv, FITS, Parquet, VOTable), or GAIAeDR3, GSC242, "
        "2MASS, ...; may be repeated, best first. Default: those of the preset, from the web.",
    ),
]  # fmt: skip
AlignmentFile = Annotated[
    Path | None,
    typer.Option(
        "--alignment", metavar="TOML|CFG", rich_help_panel=_ALIGNMENT,
        help="A file of parameters of the alignment.",
    ),
]  # fmt: skip
AlignmentSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set-alignment", metavar="NAME=VALUE", rich_help_panel=_ALIGNMENT,
        help="One parameter of the alignment; may be repeated.",
    ),
]  # fmt: skip
Err = Annotated[
    bool,
    typer.Option("--err", metavar="", rich_help_panel=_PRODUCTS, help="ERR in FITS files too."),
]
NoCopies = Annotated[
    bool,
    typer.Option(
        "--no-copies", metavar="", rich_help_panel=_PRODUCTS,
        help="Neither aligned copies of the exposures nor headerlets.",
    ),
]  # fmt: skip
NoQuality = Annotated[
    bool,
    typer.Option(
        "--no-quality", metavar="", rich_help_panel=_PRODUCTS, help="No figures of quality."
    ),
]
NoPictures = Annotated[
    bool,
    typer.Option("--no-pictures", metavar="", rich_help_panel=_PRODUCTS, help="No previews."),
]
NoReport = Annotated[
    bool,
    typer.Option(
        "--no-report", metavar="", rich_help_panel=_PRODUCTS,
        help="Neither report.html nor report.json.",
    ),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Align:
    """How exposures are aligned."""

    refcat: RefCat = None
    alignment: AlignmentFile = None
    alignment_settings: AlignmentSet = None


@dataclass(frozen=True, kw_only=True)
class Drizzle:
    """How they are drizzled."""

    preset: Preset = "default"
    parameters: options.ParameterFile = None
    settings: options.Set = None
    mask: options.Mask = None


@dataclass(frozen=True, kw_only=True)
class Products:
    """What is written."""

    err: Err = False
    no_copies: NoCopies = False
    no_quality: NoQuality = False
    no_pictures: NoPictures = False
    no_report: NoReport = False
