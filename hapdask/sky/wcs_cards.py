"""FITS WCS cards of an undistorted TAN grid: written, and read with suspicion.

Here: cards to numbers and back, and what we refuse. Not here: the grid itself
(`hapdask.sky.frame`) and distorted detector headers (`hapdask.observe.distortion`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from hapdask.errors import FrameError

Card = str | int | float
_CTYPES = ("RA---TAN", "DEC--TAN")


class HeaderLike(Protocol):
    """What is asked of a header: a plain mapping or an ``astropy.io.fits.Header``."""

    def get(self, key: str, default: Any = None, /) -> Any:
        """Value of a card, or the default."""

    def keys(self) -> Iterable[str]:
        """Names of all cards."""


class TanCards(NamedTuple):
    """The numbers of a TAN header; ``shape`` (ny, nx) is None where NAXIS1/2 are absent."""

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: tuple[float, float, float, float]
    shape: tuple[int, int] | None


def read_cards(header: HeaderLike) -> TanCards:
    """Read the TAN grid that a header describes.

    Parameters
    ----------
    header : mapping or astropy Header
        Cards by name. CD, or PC with CDELT, give the linear part.

    Returns
    -------
    TanCards

    Raises
    ------
    FrameError
        The grid is not a plain TAN grid in ICRS degrees: another projection or axis order,
        a distortion, PV cards, LONPOLE other than 180, another unit or reference system,
        cards that are absent or not finite numbers.
    """
    _refuse_other_grids(header)
    crval = (_number(header, "CRVAL1"), _number(header, "CRVAL2"))
    # FITS's default for LONPOLE at the north pole itself is 0, and that turns the grid round.
    lonpole = _number(header, "LONPOLE", 0.0 if crval[1] == 90.0 else 180.0)
    if lonpole % 360.0 != 180.0:
        raise FrameError(f"LONPOLE = {lonpole:g}: only 180 is supported")
    crpix = (_number(header, "CRPIX1"), _number(header, "CRPIX2"))
    return TanCards(crval, crpix, _linear_part(header), _shape(header))


def write_cards(
    crval: tuple[float, float],
    crpix: tuple[float, float],
    cd: tuple[float, float, float, float],
) -> dict[str, Card]:
    """FITS WCS cards of a TAN grid, in the order in which headers show them.

    Parameters
    ----------
    crval : (ra, dec)
        ICRS degrees.
    crpix : (x, y)
        1-based.
    cd : (cd11, cd12, cd21, cd22)
        Degrees per pixel.

    Returns
    -------
    dict of str to str, int or float
    """
    return {
        "WCSAXES": 2,
        "CTYPE1": _CTYPES[0],
        "CTYPE2": _CTYPES[1],
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": crval[0],
        "CRVAL2": crval[1],
        "CRPIX1": crpix[0],
        "CRPIX2": crpix[1],
        "CD1_1": cd[0],
        "CD1_2": cd[1],
        "CD2_1": cd[2],
        "CD2_2": cd[3],
        "LONPOLE": 180.0,
        "LATPOLE": crval[1],
        "RADESYS": "ICRS",
    }


def _refuse_other_grids(header: HeaderLike) -> None:
    for axis, expected in ((1, _CTYPES[0]), (2, _CTYPES[1])):
        ctype = header.get(f"CTYPE{axis}")
        if not isinstance(ctype, str) or ctype.strip() != expected:
            raise FrameError(f"CTYPE{axis} is {ctype!r}, must be {expected!r} (no distortion)")
        unit = header.get(f"CUNIT{axis}", "deg")
        if not isinstance(unit, str) or unit.strip().lower() not in ("deg", ""):
            raise FrameError(f"CUNIT{axis} is {unit!r}, must be 'deg'")
        for card in (f"CPDIS{axis}", f"CQDIS{axis}", f"CROTA{axis}"):
            if header.get(card):
                raise FrameError(f"{card} = {header.get(card)!r} is not supported for a frame")
    system = header.get("RADESYS", "ICRS")
    if not isinstance(system, str) or system.strip() != "ICRS":
        raise FrameError(f"RADESYS is {system!r}, must be 'ICRS'")
    parameters = [key for key in header.keys() if key.startswith(("PV1_", "PV2_"))]  # noqa: SIM118
    if parameters:
        raise FrameError(f"projection parameters {', '.join(parameters[:4])} are not supported")


def _linear_part(header: HeaderLike) -> tuple[float, float, float, float]:
    names = [(i, j) for i in (1, 2) for j in (1, 2)]
    if any(header.get(f"CD{i}_{j}") is not None for i, j in names):
        cd = [_number(header, f"CD{i}_{j}", 0.0) for i, j in names]
    else:
        cd = [
            _number(header, f"PC{i}_{j}", float(i == j)) * _number(header, f"CDELT{i}")
            for i, j in names
        ]
    return (cd[0], cd[1], cd[2], cd[3])


def _shape(header: HeaderLike) -> tuple[int, int] | None:
    if header.get("NAXIS1") is None or header.get("NAXIS2") is None:
        return None
    sizes = [_number(header, "NAXIS2"), _number(header, "NAXIS1")]
    if any(size != int(size) or size < 0 for size in sizes):
        raise FrameError(f"NAXIS1, NAXIS2 = {sizes[1]}, {sizes[0]} is no image size")
    return (int(sizes[0]), int(sizes[1]))


def _number(header: HeaderLike, key: str, default: float | None = None) -> float:
    value = header.get(key)
    if value is None:
        value = default
    if value is None:
        raise FrameError(f"the header has no {key}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise FrameError(f"{key} = {value!r} is not a finite number")
    return float(value)
