"""Source lists and matches as text, with TweakReg's names and columns.

Positions in pixels are 1-based in these files, as they are upstream, and 0-based in what is
given.  They are written to 1e-6 pixel; TweakReg's six digits would round them to 0.01.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hapdask.products.names import inside
from hapdask.products.tweakreg.text import Column, write_columns

Floats = npt.NDArray[np.float64]
Pair = tuple[Floats, Floats]
Folder = str | Path

_PIXEL, _SKY, _GENERAL, _WHOLE = "%.6f", "%0.12f", "%.8g", "%d"


@dataclass(frozen=True)
class MatchedSources:
    """Sources of an exposure and the reference stars that they were matched with.

    Attributes
    ----------
    reference, found : pair of ndarray of float64, shape (n,)
        x and y on the reference grid, 0-based pixels, before the fit.
    original : pair of ndarray of float64, shape (n,)
        x and y on the detector, 0-based pixels.
    reference_id, found_id : ndarray of int, shape (n,)
    extver : ndarray of int, shape (n,)
        Chip of each source.
    origin : str
        Where the reference stars come from.
    """

    reference: Pair
    found: Pair
    original: Pair
    reference_id: npt.ArrayLike
    found_id: npt.ArrayLike
    extver: npt.ArrayLike
    origin: str


@dataclass(frozen=True)
class FittedSources:
    """What a fit made of matched sources.

    Attributes
    ----------
    matched : MatchedSources
        Those that the fit used.
    fitted : pair of ndarray of float64, shape (n,)
        x and y of the sources on the reference grid after the fit, 0-based pixels.
    sky : pair of ndarray of float64, shape (n,)
        RA and Dec after the fit, degrees.
    figures : sequence of (str, str)
        What the header tells: rms, shift, scale, rotation, skew.
    """

    matched: MatchedSources
    fitted: Pair
    sky: Pair
    figures: Sequence[tuple[str, str]] = ()


def write_chip_catalog(
    folder: Folder,
    root: str,
    extver: int,
    position: Pair,
    flux: npt.ArrayLike,
    ids: npt.ArrayLike,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the sources of a chip: ``<root>_sci<n>_xy_catalog.coo``, columns X Y Flux ID."""
    path = inside(folder, f"{root}_sci{extver}_xy_catalog.coo")
    columns = [*_pixels(position), (flux, _GENERAL), (ids, _WHOLE)]
    header = [f"Source catalog derived for {root}[sci,{extver}]", "X Y Flux ID"]
    return write_columns(path, header, columns, overwrite=overwrite)


def write_sky_catalog(folder: Folder, root: str, sky: Pair, *, overwrite: bool = False) -> Path:
    """Write the positions of an exposure's sources: ``<root>_sky_catalog.coo``, RA and Dec."""
    path = inside(folder, f"{root}_sky_catalog.coo")
    return write_columns(path, ["RA Dec"], [(v, _SKY) for v in sky], overwrite=overwrite)


def write_reference_catalog(
    folder: Folder,
    root: str,
    sky: Pair,
    flux: npt.ArrayLike,
    ids: npt.ArrayLike,
    origin: Sequence[str],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the reference stars: ``cumulative_sky_refcat_<root>.coo``, RA Dec flux ID origin."""
    path = inside(folder, f"cumulative_sky_refcat_{root}.coo")
    columns = [*((v, _SKY) for v in sky), (flux, _GENERAL), (ids, "%s"), (origin, "%s")]
    return write_columns(path, ["RA Dec Flux ID Origin"], columns, overwrite=overwrite)


def write_matches(
    folder: Folder, root: str, matched: MatchedSources, *, overwrite: bool = False
) -> Path:
    """Write the matches of an exposure: ``<root>_xy_catalog.match``."""
    path = inside(folder, f"{root}_xy_catalog.match")
    header = [
        f"Input: {root}",
        "Ref_X Ref_Y Input_X Input_Y Ref_X0 Ref_Y0 Input_X0 Input_Y0 Ref_ID Input_ID Ref_Source",
    ]
    columns = [
        *_pixels(matched.reference),
        *_pixels(matched.found),
        *_pixels(matched.reference),
        *_pixels(matched.original),
        (matched.reference_id, _WHOLE),
        (matched.found_id, _WHOLE),
        (_repeated(matched), "%s"),
    ]
    return write_columns(path, header, columns, overwrite=overwrite)


def write_fit(folder: Folder, root: str, fit: FittedSources, *, overwrite: bool = False) -> Path:
    """Write the residuals of an exposure: ``<root>_catalog_fit.match``, 18 columns."""
    path = inside(folder, f"{root}_catalog_fit.match")
    matched = fit.matched
    residuals = [here - there for here, there in zip(fit.fitted, matched.reference, strict=True)]
    header = [
        f"Input image: {root}",
        *(f"{name}: {value}" for name, value in fit.figures),
        "X_ref Y_ref X_in Y_in X_fit Y_fit dX dY X_ref_orig Y_ref_orig X_in_orig Y_in_orig "
        "Ref_ID Input_ID EXTVER RA_fit Dec_fit Ref_source",
    ]
    columns = [
        *_pixels(matched.reference),
        *_pixels(matched.found),
        *_pixels(fit.fitted),
        *((residual, _PIXEL) for residual in residuals),
        *_pixels(matched.reference),
        *_pixels(matched.original),
        (matched.reference_id, _WHOLE),
        (matched.found_id, _WHOLE),
        (matched.extver, _WHOLE),
        *((v, _SKY) for v in fit.sky),
        (_repeated(matched), "%s"),
    ]
    return write_columns(path, header, columns, overwrite=overwrite)


def _pixels(position: Pair) -> list[Column]:
    return [(np.asarray(value, float) + 1.0, _PIXEL) for value in position]


def _repeated(matched: MatchedSources) -> list[str]:
    return [matched.origin.replace(" ", "_") or "-"] * len(matched.reference[0])
