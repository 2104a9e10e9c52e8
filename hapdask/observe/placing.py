"""Where on its detector an image lies: binning, subarrays, a quad filter's quadrant.

Everything comes from the cards LTV, SIZAXIS and the table's binning keywords, checked against
each other and against the detector.  Not here: the distortion, whose cards are those of the
image as it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hapdask.errors import InputError
from hapdask.observe.cards import Cards, number_of
from hapdask.observe.instruments import ChipFacts, Instrument, Quadrant, binning

#: Detector pixels by which an image may hang over: overscan that LTV still counts.
_OVERHANG = 64
_MEND = "give the file as the pipeline made it"


class Placement(NamedTuple):
    """Detector pixels per side of an image pixel; detector position of its first pixel."""

    bin: int
    x0: int
    y0: int

    @property
    def whole(self) -> bool:
        """Whether image pixels are the detector's own, from its first on."""
        return self == (1, 0, 0)


def place(
    primary: Cards,
    science: Cards,
    shape: tuple[int, int],
    instrument: Instrument,
    *,
    path: str = "",
    ext: str = "",
) -> Placement:
    """Find the place of an image on its detector.

    Parameters
    ----------
    primary, science : mapping
    shape : tuple of int
        Of the image, (ny, nx), pixels.
    instrument : Instrument
    path, ext : str
        Named in errors.

    Raises
    ------
    InputError
        If the image is larger than the header or the detector allows.
    """
    side = binning(primary, science, instrument, path=path, ext=ext)
    starts = []
    for axis, size, full in zip((2, 1), shape, instrument.shape, strict=True):
        if size > -(-full // side):
            raise _too_large(shape, side, instrument, path, ext)
        shift = number_of(science, f"LTV{axis}") or 0.0
        start = round(-shift) * side
        if start < -_OVERHANG or start + size * side > full + _OVERHANG:
            raise InputError(
                path,
                f"LTV{axis} = {shift:g} puts the image outside the detector's {full} pixels",
                ext=ext,
                remedy=_MEND,
            )
        named = number_of(science, f"SIZAXIS{axis}") if instrument.bin_keywords else None
        if named and size * side > named + side:
            raise InputError(
                path,
                f"{size} pixels binned by {side}, but SIZAXIS{axis} = {named:g}",
                ext=ext,
                remedy=_MEND,
            )
        starts.append(start)
    return Placement(side, x0=starts[1], y0=starts[0])


def pixel_scale(idcscale: float, chip: ChipFacts, side: int) -> float:
    """Scale of an image's pixels, arcsec.

    Parameters
    ----------
    idcscale : float
        IDCSCALE of the header, that of a detector pixel or of a binned one (updatewcs writes
        the latter).
    chip : ChipFacts
    side : int
        Detector pixels per side of an image pixel.
    """
    is_binned = side == 1 or idcscale > chip.scale * math.sqrt(side)
    return idcscale if is_binned else idcscale * side


def window_of(
    quadrant: Quadrant, placement: Placement, shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Cut a quadrant out of an image: x0, x1, y0, y1 in its pixels, or None where it has none."""
    x0, x1, y0, y1 = quadrant.window
    across = _cut(x0, x1, placement.x0, placement.bin, shape[1])
    along = _cut(y0, y1, placement.y0, placement.bin, shape[0])
    if across[0] >= across[1] or along[0] >= along[1]:
        return None
    return (*across, *along)


def _cut(low: int, high: int, start: int, side: int, size: int) -> tuple[int, int]:
    """Image pixels that lie wholly between two detector pixels."""
    return max(-(-(low - start) // side), 0), min((high - start) // side, size)


def _too_large(
    shape: tuple[int, int], side: int, instrument: Instrument, path: str, ext: str
) -> InputError:
    binned = f" binned by {side}" if side > 1 else ""
    return InputError(
        path,
        f"{shape[1]} x {shape[0]} pixels{binned}; a chip of {instrument.label} has "
        f"{instrument.shape[1]} x {instrument.shape[0]}",
        ext=ext,
        remedy="give a calibrated FLT or FLC file",
    )
