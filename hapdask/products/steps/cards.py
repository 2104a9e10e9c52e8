"""Headers of the files of steps: those of an exposure's chip, or of an output frame.

A chip's header keeps its own WCS as it was used (alignment included) and its polynomial; look-up
tables stand in extensions that these files have not, so their cards go.  Not here: products of a
run (`hapdask.products.headers`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hapdask.observe.cards import Value
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.products.drizzle_cards import file_name
from hapdask.products.fits_cards import Card
from hapdask.products.header_rules import comment_of
from hapdask.products.headers import unit_card
from hapdask.sky.frame import Frame

_TABLES = re.compile(r"(DP\d|DQ\d|CPDIS\d|CPERR\d?|CPERROR\d|CQDIS\d|CQERR\d|D2IM(ERR|DIS|EXT).*)$")
_DROPPED = frozenset({"BUNIT", "FILENAME", "EXTNAME", "EXTVER", "DATE", "FILETYPE", "MDRIZSKY"})


def frame_cards(
    frame: Frame, filename: str, unit: str, filetype: str, exposures: Sequence[ExposureRecord]
) -> list[Card]:
    """Make the cards of an image on an output frame.

    Parameters
    ----------
    frame : Frame
    filename : str
    unit : str
        As ``electron / s``; empty for none.
    filetype : str
        ``sci`` or ``wht``.
    exposures : sequence of ExposureRecord
        That it was made of: they say the times.
    """
    cards = _opening(filename, unit)
    cards.append(Card("FILETYPE", filetype.upper(), "type of data found in data file"))
    cards += [
        Card("EXPTIME", math.fsum(e.exptime for e in exposures), "total exposure time (s)"),
        Card("EXPSTART", min(e.expstart for e in exposures), "start of the first exposure (MJD)"),
        Card("EXPEND", max(e.expend for e in exposures), "end of the last exposure (MJD)"),
        Card("NCOMBINE", len(exposures), "exposures combined"),
    ]
    cards += [Card(key, value, "") for key, value in frame.to_header().items()]
    cards.append(Card("VAFACTOR", 1.0, "velocity aberration is corrected"))
    return cards + [Card("HISTORY", f"made of {file_name(e)}", "") for e in exposures]


def chip_cards(exposure: ExposureRecord, extver: int, filename: str, unit: str) -> list[Card]:
    """Make the cards of an image of one chip.

    Parameters
    ----------
    exposure : ExposureRecord
        With its keywords.
    extver : int
    filename : str
    unit : str
        As ``electron``; empty for none.

    Raises
    ------
    ParameterError
        If the exposure has no such chip.
    """
    chip = exposure.chip(extver)
    cards = _opening(filename, unit)
    cards.append(Card("ROOTNAME", exposure.name, "rootname of the exposure"))
    cards.append(Card("EXPTIME", exposure.exptime, "exposure time (s)"))
    known = {card.keyword for card in cards}
    wcs = _wcs(chip)
    for keyword, value in chip.keywords:
        if value is None or keyword in known or keyword.startswith("/") or _dropped(keyword):
            continue
        known.add(keyword)
        cards.append(Card(keyword, wcs.pop(keyword, value), comment_of(keyword)))
    cards += [Card(keyword, value, "") for keyword, value in wcs.items()]
    cards.append(Card("HISTORY", f"made of {file_name(exposure)}[SCI,{extver}]", ""))
    return cards


def _dropped(keyword: str) -> bool:
    return keyword in _DROPPED or bool(_TABLES.match(keyword))


def _opening(filename: str, unit: str) -> list[Card]:
    from hapdask import __version__

    return [
        Card("FILENAME", filename, "name of this file"),
        Card("PROD_VER", f"hapdask {__version__}", "software that made this file"),
        Card("BUNIT", unit_card(unit) if unit else "UNITLESS", "brightness units"),
    ]


def _wcs(chip: ChipRecord) -> dict[str, Value]:
    """Give the linear WCS of a chip as it was drizzled."""
    used = chip.distortion
    cd = dict(zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), used.cd, strict=True))
    return {
        "CRVAL1": used.crval[0],
        "CRVAL2": used.crval[1],
        "CRPIX1": used.crpix[0],
        "CRPIX2": used.crpix[1],
        **cd,
    }
