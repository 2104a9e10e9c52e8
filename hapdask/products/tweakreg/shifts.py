"""The shift file of an alignment, and the reference WCS that its pixels are of.

Source: TweakReg's ``shifts.txt`` and ``shifts_wcs.fits``: a source at ``(x, y)`` of an image,
projected onto the reference grid, lies at ``F (x_ref, y_ref) + (dx, dy)`` about its CRPIX.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hapdask.kernels import chains
from hapdask.observe.distortion import Correction
from hapdask.products.checksum import checksummed
from hapdask.products.fits_cards import Card
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import appearing
from hapdask.products.tweakreg.text import write_columns
from hapdask.sky.frame import Frame


@dataclass(frozen=True, slots=True)
class Shift:
    """A row of a shift file.

    Attributes
    ----------
    name : str
        File of the exposure.
    dx, dy : float
        Pixels of the reference grid.
    rotation : float
        Degrees, 0 to 360.
    scale : float
    xrms, yrms : float
        Of the residuals, pixels of the reference grid.
    """

    name: str
    dx: float
    dy: float
    rotation: float = 0.0
    scale: float = 1.0
    xrms: float = 0.0
    yrms: float = 0.0


def shift_of(
    name: str, correction: Correction | None, frame: Frame, rms: tuple[float, float] = (0.0, 0.0)
) -> Shift:
    """Tell a correction as a shift in the pixels of a reference grid, about its CRPIX.

    Parameters
    ----------
    name : str
    correction : Correction or None
        None where nothing moves.
    frame : Frame
        The reference grid.
    rms : tuple of float
        Of the residuals along its axes, pixels.
    """
    if correction is None:
        return Shift(name, 0.0, 0.0, xrms=rms[0], yrms=rms[1])
    m = correction.matrix
    sx, sy = (math.radians(s / 3600.0) for s in correction.shift)
    affine = np.array([[m[0], m[1], sx], [m[2], m[3], sy], [0.0, 0.0, 1.0]])
    there, here = chains.tangent_basis(*correction.center), chains.tangent_basis(*frame.crval)
    homography = here @ there.T @ affine @ there @ here.T
    homography /= homography[2, 2]
    moved = homography[:2, 2]  # where the tangent point goes, radians
    derivative = homography[:2, :2] - np.outer(moved, homography[2, :2])
    to_pixels = np.linalg.inv(np.radians(np.reshape(frame.cd, (2, 2))))
    back = np.linalg.inv(to_pixels @ derivative @ np.linalg.inv(to_pixels))
    dx, dy = -back @ to_pixels @ moved
    rotation = math.degrees(math.atan2(back[0, 1] - back[1, 0], back[0, 0] + back[1, 1]))
    scale = math.sqrt(abs(float(np.linalg.det(back))))
    return Shift(name, float(dx), float(dy), rotation % 360.0, scale, *rms)


def write_shifts(
    shifts: Sequence[Shift],
    frame: Frame,
    path: str | os.PathLike[str] = "shifts.txt",
    wcs_path: str | os.PathLike[str] = "shifts_wcs.fits",
    *,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write a shift file and the FITS file of its reference WCS.

    Returns
    -------
    tuple of Path
        The shift file, and the other.

    Raises
    ------
    StoreError
        If one is there already and may not be replaced, or the disk fails.
    """
    target, wcs_target = Path(path), Path(wcs_path)
    with appearing(wcs_target, overwrite=overwrite) as out, storage_errors(str(wcs_target)):
        out.write(wcs_file(frame))
    header = ["frame: output", f"refimage: {wcs_target.name}[wcs]", "form: delta", "units: pixels"]
    names = ("dx", "dy", "rotation", "scale", "xrms", "yrms")
    columns = [([getattr(shift, name) for shift in shifts], "%0.6f") for name in names]
    write_columns(target, header, [([s.name for s in shifts], "%s"), *columns], overwrite=overwrite)
    return target, wcs_target


def wcs_file(frame: Frame) -> bytes:
    """Make a FITS file of a grid without pixels: an extension WCS of zeros."""
    ny, nx = frame.shape
    primary = [
        Card("SIMPLE", True, "conforms to FITS standard"),
        Card("BITPIX", 8, "array data type"),
        Card("NAXIS", 0, "number of array dimensions"),
        Card("EXTEND", True, "extensions follow"),
    ]
    cards = [
        Card("XTENSION", "IMAGE", "image extension"),
        Card("BITPIX", 8, "array data type"),
        Card("NAXIS", 0, "number of array dimensions"),
        Card("PCOUNT", 0, "number of parameters"),
        Card("GCOUNT", 1, "number of groups"),
        Card("EXTNAME", "WCS", "extension name"),
        Card("EXTVER", 1, "extension version"),
        *(Card(key, value, "") for key, value in frame.to_header().items() if key[:5] != "NAXIS"),
        Card("ORIENTAT", math.degrees(math.atan2(frame.cd[1], frame.cd[3])), "deg. e of n"),
        Card("NPIX1", nx, "columns of the image"),
        Card("NPIX2", ny, "rows of the image"),
        Card("PIXVALUE", 0.0, "value of all its pixels"),
    ]
    return checksummed(primary, 1, 0) + checksummed(cards, 1, 0)
