"""Options of ``hapdask align`` alone, in groups; those of others are in `cli.options`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options

_REFERENCES = "References (default: Gaia, GSC and 2MASS from their service)"
_SOURCES = "Sources (default: detected on the exposures)"
_HOW = "How"
_PRODUCTS = "Products (default: verdicts, report, headerlets, shifts, catalogs, plots)"

Refcat = Annotated[
    list[str] | None,
    typer.Option(
        "--refcat", metavar="CATALOG", rich_help_panel=_REFERENCES,
        help="A file (ECSV, FITS, CSV, Parquet, VOTable, text), a HATS catalog, GAIAeDR3, GSC242, "
        "2MASS, ..., gaia-tap; may be repeated, best first.",
    ),
]  # fmt: skip
Refimage = Annotated[
    str | None,
    typer.Option(
        "--refimage", metavar="FITS", rich_help_panel=_REFERENCES,
        help="An exposure or a mosaic whose sources are the references.",
    ),
]  # fmt: skip
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", metavar="", rich_help_panel=_REFERENCES,
        help="Ask nothing of the network: files, and catalogs that were asked before.",
    ),
]  # fmt: skip
Published = Annotated[
    Path | None,
    typer.Option(
        "--published", metavar="DIR|JSON", rich_help_panel=_REFERENCES, exists=True,
        help="An earlier joint solution that is held: release.json, or the folder with it.",
    ),
]  # fmt: skip
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="FILE", rich_help_panel=_SOURCES,
        help="DS9 regions (.reg) or images of pixels whose sources are not used; may be repeated.",
    ),
]  # fmt: skip
Exclusions = Annotated[
    str | None,
    typer.Option(
        "--exclusions", metavar="FILE", rich_help_panel=_SOURCES,
        help="The same as TweakReg has it: a line for each exposure.",
    ),
]  # fmt: skip
Catfile = Annotated[
    str | None,
    typer.Option(
        "--catfile", metavar="FILE", rich_help_panel=_SOURCES,
        help="Source lists of your own: a line for each exposure, with one list for each chip.",
    ),
]  # fmt: skip
XyUnits = Annotated[
    str | None,
    typer.Option(
        "--xyunits", metavar="pixels|degrees", rich_help_panel=_SOURCES,
        help="Of their positions; pixels are 1-based.",
    ),
]  # fmt: skip
Preset = Annotated[
    str,
    typer.Option(
        metavar="P", rich_help_panel=_HOW,
        help="Parameters to start from: default, compat (HAP's visits), tweakreg.",
    ),
]  # fmt: skip
ParameterFile = Annotated[
    Path | None,
    typer.Option(
        "--parameters", metavar="TOML|CFG", rich_help_panel=_HOW,
        help="A file of parameters over the preset: TOML, or a .cfg of TweakReg.",
    ),
]  # fmt: skip
SearchRadius = Annotated[
    str | None,
    typer.Option(
        "--searchrad", metavar="ARCSEC", rich_help_panel=_HOW, help="How far headers may be wrong."
    ),
]  # fmt: skip
Geometry = Annotated[
    str | None,
    typer.Option(
        "--fitgeometry", metavar="NAME", rich_help_panel=_HOW,
        help="Only shift, rshift, rscale or general (default: the one that the matches justify).",
    ),
]  # fmt: skip
Minobj = Annotated[
    str | None,
    typer.Option(
        "--minobj", metavar="N", rich_help_panel=_HOW, help="Matches that any fit needs."
    ),
]  # fmt: skip
UpdateHdr = Annotated[
    bool | None,
    typer.Option(
        "--updatehdr/--no-updatehdr", metavar="", rich_help_panel=_PRODUCTS, show_default=False,
        help="Copies of the inputs with the new WCS, in updated/ (default: none).",
    ),
]  # fmt: skip
Headerlet = Annotated[
    bool | None,
    typer.Option(
        "--headerlet/--no-headerlet", metavar="", rich_help_panel=_PRODUCTS, show_default=False,
        help="Headerlet files, in headerlets/.",
    ),
]  # fmt: skip
InPlace = Annotated[
    bool,
    typer.Option(
        "--in-place", metavar="", rich_help_panel=_PRODUCTS,
        help="Put the new WCS into the inputs themselves, each at once or not at all.",
    ),
]  # fmt: skip
WcsName = Annotated[
    str | None,
    typer.Option(
        "--wcsname", metavar="NAME", rich_help_panel=_PRODUCTS,
        help="Of the new WCS (default: as the archive names it, IDC_...-FIT_REL_GAIAeDR3).",
    ),
]  # fmt: skip
Residplot = Annotated[
    str | None,
    typer.Option(
        "--residplot", metavar="KIND", rich_help_panel=_PRODUCTS,
        help="both, vector, residuals or none.",
    ),
]  # fmt: skip
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", metavar="", rich_help_panel=_PRODUCTS, help="Replace files that are there."
    ),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class References:
    """Where reference stars come from."""

    refcat: Refcat = None
    published: Published = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Which sources are used."""

    exclude: Exclude = None


@dataclass(frozen=True, kw_only=True)
class How:
    """Parameters of the run."""

    preset: Preset = "default"
    parameters: ParameterFile = None
    settings: options.Set = None


@dataclass(frozen=True, kw_only=True)
class Own:
    """Parameters that have options of their own; each field bears the parameter's name."""

    refimage: Refimage = None
    exclusions: Exclusions = None
    catfile: Catfile = None
    xyunits: XyUnits = None
    searchrad: SearchRadius = None
    fitgeometry: Geometry = None
    minobj: Minobj = None
    updatehdr: UpdateHdr = None
    headerlet: Headerlet = None
    wcsname: WcsName = None
    residplot: Residplot = None
    offline: Offline = False


@dataclass(frozen=True, kw_only=True)
class Products:
    """What is written."""

    in_place: InPlace = False
    overwrite: Overwrite = False
    no_report: options.NoReport = False
