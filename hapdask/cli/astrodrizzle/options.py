"""Options of ``hapdask astrodrizzle`` alone, in groups; those of others are in `cli.options`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options

_PARAMETERS = "How"
_FRAME = "Frame of the mosaic (default: AstroDrizzle's, around all exposures)"
_PRODUCTS = "Products (default: the mosaic's FITS files)"

Preset = Annotated[
    str,
    typer.Option(
        metavar="P", rich_help_panel=_PARAMETERS,
        help="Parameters to start from: default, compat (AstroDrizzle's own), compat-svm.",
    ),
]  # fmt: skip
SkyMethod = Annotated[
    str | None,
    typer.Option(
        "--skymethod", metavar="NAME", rich_help_panel=_PARAMETERS,
        help="localmin, globalmin, match or globalmin+match.",
    ),
]  # fmt: skip
CombineType = Annotated[
    str | None,
    typer.Option(
        "--combine-type", metavar="NAME", rich_help_panel=_PARAMETERS,
        help="minmed, median, imedian, mean, ...",
    ),
]  # fmt: skip
FinalKernel = Annotated[
    str | None,
    typer.Option(
        "--final-kernel", metavar="NAME", rich_help_panel=_PARAMETERS,
        help="square, turbo, point, gaussian, lanczos2 or lanczos3.",
    ),
]  # fmt: skip
FinalPixfrac = Annotated[
    str | None,
    typer.Option(
        "--final-pixfrac", metavar="F", rich_help_panel=_PARAMETERS,
        help="Side of a drop over that of its detector pixel.",
    ),
]  # fmt: skip
FinalWeight = Annotated[
    str | None,
    typer.Option(
        "--final-wht-type", metavar="EXP|ERR|IVM", rich_help_panel=_PARAMETERS,
        help="Weight of a pixel.",
    ),
]  # fmt: skip
FinalBits = Annotated[
    str | None,
    typer.Option(
        "--final-bits", metavar="BITS", rich_help_panel=_PARAMETERS,
        help="DQ bits that do no harm to the mosaic, such as 16+64 or None.",
    ),
]  # fmt: skip

FinalScale = Annotated[
    str | None,
    typer.Option(
        "--final-scale", metavar="ARCSEC", rich_help_panel=_FRAME, help="Side of its pixels."
    ),
]  # fmt: skip
FinalRotation = Annotated[
    str | None,
    typer.Option(
        "--final-rot", metavar="DEG", rich_help_panel=_FRAME,
        help="Position angle of its y axis, from north through east.",
    ),
]  # fmt: skip
FinalReference = Annotated[
    str | None,
    typer.Option(
        "--final-refimage", metavar="FITS", rich_help_panel=_FRAME,
        help="Begin with the grid of an image, such as m83_drc.fits[SCI,1].",
    ),
]  # fmt: skip
Cell = Annotated[
    str | None,
    typer.Option(
        "--cell", metavar="NAME", rich_help_panel=_FRAME,
        help="A sky cell, such as skycell-p1889x07y19.",
    ),
]  # fmt: skip
Like = Annotated[
    Path | None,
    typer.Option(
        "--like", metavar="FITS", rich_help_panel=_FRAME,
        help="The grid of an image as it is (TAN, undistorted).",
    ),
]  # fmt: skip

Name = Annotated[
    str,
    typer.Option(
        "--output", metavar="NAME", rich_help_panel=_PRODUCTS,
        help="Their name; default: that of the association, of the only exposure, or final.",
    ),
]  # fmt: skip
Build = Annotated[
    bool | None,
    typer.Option(
        "--build/--separate", metavar="", rich_help_panel=_PRODUCTS, show_default=False,
        help="One FITS file with extensions, or one for each image (_sci, _wht, ...; default).",
    ),
]  # fmt: skip
Zarr = Annotated[
    bool, typer.Option("--zarr", metavar="", rich_help_panel=_PRODUCTS, help="A zarr store too.")
]
NoFits = Annotated[
    bool,
    typer.Option("--no-fits", metavar="", rich_help_panel=_PRODUCTS, help="Write no FITS files."),
]
NoErr = Annotated[
    bool,
    typer.Option(
        "--no-err", metavar="", rich_help_panel=_PRODUCTS,
        help="No ERR in FITS: SCI, WHT and CTX as AstroDrizzle has them, in less time.",
    ),
]  # fmt: skip
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep", metavar="KINDS", rich_help_panel=_PRODUCTS,
        help="AstroDrizzle's files of steps: single, median, blot, crmask, staticmask, skymask, "
        "several with commas, or all; may be repeated.",
    ),
]  # fmt: skip
PerExposure = Annotated[
    bool,
    typer.Option(
        "--per-exposure", metavar="", rich_help_panel=_PRODUCTS,
        help="Each exposure alone on the mosaic's frame, too.",
    ),
]  # fmt: skip
DqCopies = Annotated[
    bool,
    typer.Option(
        "--dq-copies", metavar="", rich_help_panel=_PRODUCTS,
        help="Copies of the inputs with cosmic rays in DQ and MDRIZSKY.",
    ),
]  # fmt: skip
Report = Annotated[
    bool,
    typer.Option(
        "--report", metavar="", rich_help_panel=_PRODUCTS,
        help="report.html and report.json: inputs, sky, steps, parameters, products.",
    ),
]  # fmt: skip
Work = Annotated[
    Path | None,
    typer.Option(
        "--work", metavar="DIR", rich_help_panel=_PRODUCTS,
        help="Keep sky levels and masks here, so that a rerun with another frame begins with the "
        "mosaic; every worker must see it. Default: a temporary folder.",
    ),
]  # fmt: skip
DqZarr = Annotated[
    bool,
    typer.Option(
        "--dq-zarr", metavar="", rich_help_panel=_PRODUCTS, help="Masks of cosmic rays as zarr."
    ),
]  # fmt: skip
Ivm = Annotated[
    list[str] | None,
    typer.Option(
        "--ivm", metavar="FILE", rich_help_panel="Inputs",
        help="Inverse-variance maps named after their exposures, or a pattern, for "
        "--final-wht-type IVM; may be repeated. They replace those of @lists.",
    ),
]  # fmt: skip
Track = Annotated[
    Path | None,
    typer.Option(
        "--track", metavar="FILE", rich_help_panel="Inputs",
        help="Positions of a moving target: time (mjd or isot), ra, dec; csv, ecsv or FITS.",
    ),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What goes with the exposures."""

    mask: options.Mask = None
    ivm: Ivm = None
    track: Track = None


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Parameters of the run."""

    preset: Preset = "default"
    parameters: options.ParameterFile = None
    settings: options.Set = None


@dataclass(frozen=True, kw_only=True)
class Own:
    """Parameters that have options of their own; each field bears the parameter's name."""

    skymethod: SkyMethod = None
    combine_type: CombineType = None
    final_kernel: FinalKernel = None
    final_pixfrac: FinalPixfrac = None
    final_wht_type: FinalWeight = None
    final_bits: FinalBits = None
    final_scale: FinalScale = None
    final_rot: FinalRotation = None
    final_refimage: FinalReference = None
    build: Build = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A frame that is there."""

    cell: Cell = None
    like: Like = None


@dataclass(frozen=True, kw_only=True)
class Products:
    """What is written."""

    output: Name = ""
    keep: Keep = None
    per_exposure: PerExposure = False
    zarr: Zarr = False
    no_fits: NoFits = False
    no_err: NoErr = False
    dq_copies: DqCopies = False
    dq_zarr: DqZarr = False
    report: Report = False
    work: Work = None
