"""The headers of the inputs as rows of keywords: what the rules combine, and what HDRTAB lists.

What a record states (times, sky, sensitivity) stands over what its file's header says.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.products.header_rules import Row

#: Belongs to SCI in products, even where inputs have it in PRIMARY.
PHOTOMETRY = ("PHOTMODE", "PHOTFLAM", "PHOTFNU", "PHOTZPT", "PHOTPLAM", "PHOTBW")
#: A figure of many chips is told to so many digits: factors are rounded to 9 decimals.
_DIGITS = 9


def primary_rows(exposures: Iterable[ExposureRecord]) -> list[Row]:
    """Give PRIMARY of every exposure, once each."""
    return [primary_row(e) for e in {e.name: e for e in exposures}.values()]


def primary_row(exposure: ExposureRecord) -> Row:
    """Give the cards of PRIMARY of one exposure."""
    return _identity(exposure) | _given(exposure)


def _identity(exposure: ExposureRecord) -> Row:
    """Give what the record knows, for headers that do not say it."""
    return {
        "INSTRUME": exposure.instrument.upper(),
        "DETECTOR": exposure.detector.upper(),
        "TARGNAME": exposure.target,
        "PROPOSID": exposure.proposal,
    }


def _given(exposure: ExposureRecord) -> Row:
    """Give what PRIMARY says, and the record's times."""
    known = {
        keyword: value
        for keyword, value in exposure.keywords
        if value is not None and not keyword.startswith("/")
    }
    times: Row = {
        "EXPTIME": exposure.exptime,
        "EXPSTART": exposure.expstart,
        "EXPEND": exposure.expend,
    }
    return known | times


def science_rows(
    exposures: Iterable[ExposureRecord], *, scaled: bool, gain: float = 1.0
) -> list[Row]:
    """Give SCI of every chip.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    scaled : bool
        Whether pixels were brought to one photometric system.  Then the inverse sensitivity of
        a chip in the product is its own over its flux factor: one figure for all of them.
    gain : float
        Electrons per count by which the product was multiplied.
    """
    rows = []
    for exposure in exposures:
        primary = dict(exposure.keywords)
        photometry = {k: primary[k] for k in PHOTOMETRY if primary.get(k) is not None}
        for chip in exposure.chips:
            row = photometry | _chip_row(chip)
            factor = gain * (chip.flux_factor if scaled else 1.0)
            for keyword in ("PHOTFLAM", "PHOTFNU") if factor != 1.0 or scaled else ():
                value = row.get(keyword)
                if isinstance(value, int | float):
                    row[keyword] = float(f"{value / factor:.{_DIGITS}g}")
            rows.append(row)
    return rows


def table_row(exposure: ExposureRecord, chip: ChipRecord) -> Row:
    """Give what HDRTAB says of a chip: PRIMARY goes before SCI, the record before both."""
    ny, nx = chip.shape
    structure: Row = {
        "SIMPLE": True,
        "EXTEND": True,
        "XTENSION": "IMAGE",
        "BITPIX": _bitpix(chip),
        "NAXIS": 2,
        "NAXIS1": nx,
        "NAXIS2": ny,
        "PCOUNT": 0,
        "GCOUNT": 1,
        "INHERIT": True,
        "EXTNAME": "SCI",
        "EXTVER": chip.extver,
        "ROOTNAME": exposure.name,
    }
    science = _chip_row(chip)
    certain = {k: science[k] for k in ("PHOTFLAM", "MDRIZSKY") if k in science}
    # DETECTOR of WFPC2 is a number, and that of the chip
    return _identity(exposure) | science | _given(exposure) | structure | certain


def _chip_row(chip: ChipRecord) -> Row:
    row: Row = {k: v for k, v in chip.keywords if v is not None and not k.startswith("/")}
    if chip.photflam > 0:
        row["PHOTFLAM"] = chip.photflam
    row["MDRIZSKY"] = chip.sky
    return row


def _bitpix(chip: ChipRecord) -> int:
    """Bits of a pixel of SCI as it is stored, negative for floats."""
    stored = np.dtype(chip.sci.dtype if chip.sci is not None else "f4")
    return 8 * stored.itemsize * (-1 if stored.kind == "f" else 1)
