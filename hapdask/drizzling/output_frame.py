"""The output frame of a run: AstroDrizzle's default for some exposures, and what is asked of it.

The default has the scale and orientation of the first chip without its distortion, and holds the
corners of all chips.  Pure functions of records; no pixel is read.  Not here: the changes that a
user asks for (`hapdask.drizzling.frame_request`), the grid of a reference image
(`hapdask.drizzling.reference_frame`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hapdask.drizzling.frame_request import (
    Floats,
    FrameRequest,
    Grid,
    apply_request,
    grid_of,
    scale_and_orientation,
)
from hapdask.drizzling.reference_frame import read_reference
from hapdask.errors import PlanError
from hapdask.observe.record import ChipRecord, ExposureRecord
from hapdask.sky import tangent
from hapdask.sky.frame import Frame

log = logging.getLogger(__name__)

#: Detectors whose y axis points against V3 where IDCTHETA is 0; of all others x is mirrored.
_UPSIDE_DOWN = frozenset({("acs", "wfc")})
_DEFAULT = FrameRequest()


class Times(NamedTuple):
    """Times of a product: s; MJD; number of exposures."""

    exptime: float
    expstart: float
    expend: float
    exposures: int


def output_frame(
    exposures: Sequence[ExposureRecord], request: FrameRequest = _DEFAULT, *, coeffs: bool = True
) -> Frame:
    """Give the output frame of some exposures.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        As opened, with their header cards, in the order of the run: the first chip of the first
        gives scale and orientation.
    request : FrameRequest, optional
        What is asked of it; nothing gives AstroDrizzle's default frame.
    coeffs : bool, default True
        Whether the chips' distortion counts.

    Returns
    -------
    Frame
        A reference frame of which nothing else is asked is returned as it is, a window of its own
        root grid.

    Raises
    ------
    PlanError
        If there is no chip, the records have been stripped of their cards, or the exposures lie
        too far apart for one tangent plane.
    InputError
        If the reference image cannot be used.
    """
    reference = request.reference
    if isinstance(reference, str):
        reference = read_reference(reference)
    if reference is not None and request.changes_nothing:
        return reference
    grid = default_grid(exposures, coeffs=coeffs) if reference is None else grid_of(reference)
    return apply_request(grid, request).frame()


def default_grid(exposures: Sequence[ExposureRecord], *, coeffs: bool = True) -> Grid:
    """Give the grid that holds all chips, at the scale and orientation of the first.

    Notes
    -----
    The outline is that of the centres of the corner pixels, and the first of them comes to lie on
    the centre of a pixel: so half a pixel of the outermost rows and columns is left out below and
    left, up to one above and right.  With ``coeffs`` off, a single chip is its own grid.

    Source: `output_wcs` of stwcs 1.7.7, `make_outputwcs` of DrizzlePac 3.11 (facts; no code).
    """
    chips = [(exposure, chip) for exposure in exposures for chip in exposure.chips]
    if not chips:
        raise PlanError("no chip, no output frame: every exposure was left out")
    exposure, chip = chips[0]
    if not exposure.keywords or not chip.keywords:
        raise PlanError(
            f"{exposure.name} has no header cards: make the output frame from the records as they "
            "were opened, before they are stripped"
        )
    own = chip.distortion
    cd = _orthogonal_cd(exposure, chip) if coeffs else np.reshape(own.cd, (2, 2))
    scale, orientation = scale_and_orientation(cd)
    if not coeffs and len(chips) == 1:
        crval, crpix, shape = own.crval, own.crpix, own.shape
    else:
        crval, crpix, shape = _around(cd, *_corners([c for _, c in chips], coeffs))
    square = _square_cd(scale, orientation)
    return Grid(crval, crpix, square, shape, scale, orientation, exposure.wcsname)


def product_times(exposures: Sequence[ExposureRecord]) -> Times:
    """Give EXPTIME, EXPSTART and EXPEND of the product of some exposures, each counted once.

    Raises
    ------
    PlanError
        If there is none.
    """
    if not exposures:
        raise PlanError("no exposure, no product")
    return Times(
        sum((exposure.exptime for exposure in exposures), 0.0),
        min(exposure.expstart for exposure in exposures),
        max(exposure.expend for exposure in exposures),
        len({exposure.name for exposure in exposures}),
    )


def troll(roll: float, dec: float, v2: float, v3: float) -> float:
    """Position angle of V3 at a point of the focal plane, for that at V1.

    Parameters
    ----------
    roll : float, degrees
        Of V3 at V1 (PA_V3).
    dec : float, degrees
        Of the point.
    v2, v3 : float, arcsec
        The point in the telescope's frame; not both 0.

    Returns
    -------
    float, degrees
        As the formula gives it, not brought into a range.

    Notes
    -----
    Source: C. Cox's relation as stwcs uses it (facts).
    """
    angle, dec = np.deg2rad(roll), np.deg2rad(dec)
    v2, v3 = np.deg2rad(v2 / 3600.0), np.deg2rad(v3 / 3600.0)
    s2, s3 = math.sin(v2), math.sin(v3)
    sin_rho = math.sqrt((pow(s2, 2) + pow(s3, 2)) - (pow(s2, 2) * pow(s3, 2)))
    rho = math.asin(sin_rho)
    beta = math.asin(s3 / sin_rho)
    if v2 < 0:
        beta = math.pi - beta
    gamma = math.asin(s2 / sin_rho)
    if v3 < 0:
        gamma = math.pi - gamma
    a = math.pi / 2.0 + angle - beta
    b = math.atan2(
        math.sin(a) * math.cos(dec),
        math.sin(dec) * sin_rho - math.cos(dec) * math.cos(rho) * math.cos(a),
    )
    return float(np.rad2deg(math.pi - (gamma + b)))


def _orthogonal_cd(exposure: ExposureRecord, chip: ChipRecord) -> Floats:
    """Matrix of a chip without distortion: square pixels of IDCSCALE, its own orientation."""
    rotation, parity = _orientation(exposure, chip)
    sin, cos = np.sin(rotation), np.cos(rotation)
    scale = chip.idcscale / 3600.0
    return scale * np.array([[parity * cos, sin], [-parity * sin, cos]])


def _orientation(exposure: ExposureRecord, chip: ChipRecord) -> tuple[float, int]:
    """Position angle of a chip's y axis, radians, and the sign of its matrix.

    From the telescope's roll where the header has the chip's place in the focal plane, so that
    a fit of the WCS does not turn it; else from its CD matrix.
    """
    cards = dict(chip.keywords)
    roll = _number(dict(exposure.keywords).get("PA_V3"))
    v2, v3 = _number(cards.get("IDCV2REF")), _number(cards.get("IDCV3REF"))
    if v2 is None or v3 is None or roll is None or v2 == v3 == 0.0:
        if v2 is not None and roll is None:
            log.warning("%s: no PA_V3; the frame has the orientation of its CD", exposure.name)
        cd11, cd12, cd21, cd22 = chip.distortion.cd
        orientation = np.rad2deg(np.arctan2(cd12, cd22))
        return float(np.deg2rad(orientation)), -1 if cd11 * cd22 - cd12 * cd21 < 0 else 1
    angle = troll(roll, chip.distortion.crval[1], v2, v3) + (_number(cards.get("IDCTHETA")) or 0.0)
    sin, cos = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
    if (exposure.instrument, exposure.detector) in _UPSIDE_DOWN:
        sin, cos = -sin, -cos
    return float(np.arctan2(sin, cos)), -1


def _square_cd(scale: float, orientation: float) -> Floats:
    """Make the matrix of exactly square pixels, east to the left of north."""
    angle = np.deg2rad(orientation)
    sin, cos = np.sin(angle), np.cos(angle)
    return scale / 3600.0 * np.array([[-cos, sin], [sin, cos]])


def _corners(chips: Sequence[ChipRecord], coeffs: bool) -> tuple[Floats, Floats]:
    """Sky positions of the centres of the chips' corner pixels: ra, dec in degrees, (4 n,)."""
    found = []
    for chip in chips:
        ny, nx = chip.shape
        x, y = np.array([0.0, 0.0, nx - 1.0, nx - 1.0]), np.array([0.0, ny - 1.0, ny - 1.0, 0.0])
        distortion = chip.distortion if coeffs else chip.distortion.undistorted()
        found.append(distortion.pixel_to_sky(x, y))
    ra, dec = np.concatenate(found, axis=1)
    return ra, dec


def _around(
    cd: Floats, ra: Floats, dec: Floats
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """CRVAL, CRPIX and shape of a grid that holds sky positions."""
    (cd11, cd12), (cd21, cd22) = cd.tolist()
    matrix = (cd11, cd12, cd21, cd22)
    mean_ra, mean_dec = tangent.sky_of(tangent.unit_vectors(ra, dec).mean(axis=0))
    center = (float(mean_ra), float(mean_dec))
    x, y = Frame(center, (0.0, 0.0), matrix, (1, 1)).sky_to_pixel(ra, dec)
    if not np.all(np.isfinite(x + y)):
        raise PlanError(
            "the exposures reach more than 90 degrees from their middle, beyond any tangent "
            "plane: make a frame for each field"
        )
    nx, ny = (int(np.ceil(each.max() - each.min())) for each in (x, y))
    crpix = (nx / 2.0, ny / 2.0)
    middle = Frame(center, crpix, matrix, (ny, nx))
    x, y = middle.sky_to_pixel(ra, dec)
    # Upstream counts pixels from 0 here, and takes the sum as one counted from 1.
    moved = middle.pixel_to_sky(crpix[0] + x.min() - 1.0, crpix[1] + y.min() - 1.0)
    return (float(moved[0]), float(moved[1])), crpix, (ny, nx)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
