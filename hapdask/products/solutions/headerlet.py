"""Headerlets: the WCS of an exposure with its distortion as a small FITS file.

Written as stwcs writes them, so that it can apply them; `hapdask.observe.solutions.headerlets`
reads them back.  Not here: which solution (`solved`), files on disk (`files`).

Source: stwcs's headerlets as they stand in the archive's files.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import headerlet_name
from hapdask.observe.cards import Cards, text_of
from hapdask.observe.distortion import Distortion
from hapdask.products.checksum import add_words, checksummed
from hapdask.products.fits_cards import Card
from hapdask.products.solutions.cards import (
    OF_IDCTAB,
    distortion_cards,
    fit_cards,
    linear_cards,
    quoted,
)
from hapdask.products.solutions.solved import Solved, model_names
from hapdask.products.solutions.tables import number_tables, padded, table_hdus

_WIDTH = 70  # columns of a line of HISTORY


@dataclass(frozen=True)
class HeaderletChip:
    """A chip of a headerlet.

    Attributes
    ----------
    extver : int
        Of the SCI extension that it is for.
    distortion : Distortion
    cards : mapping
        Of SCI, to quote from.
    told : tuple of Card
        What is said of the fit.
    """

    extver: int
    distortion: Distortion
    cards: Cards
    told: tuple[Card, ...]


@dataclass(frozen=True)
class NewHeaderlet:
    """A headerlet to be written.

    Attributes
    ----------
    hdrname : str
    facts : WcsFacts
    chips : sequence of HeaderletChip
        By EXTVER.
    primary : mapping
        Cards of PRIMARY of the exposure.
    """

    hdrname: str
    facts: WcsFacts
    chips: Sequence[HeaderletChip]
    primary: Cards
    models: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        distorted = any(chip.distortion.sip_a.any() for chip in self.chips)
        object.__setattr__(self, "models", model_names(self.primary, distorted=distorted))

    def to_bytes(self) -> bytes:
        """Make the whole file."""
        numbers = number_tables([chip.distortion for chip in self.chips])
        hdus = [checksummed(self._primary_cards(), 1, 0)]
        for place, (chip, own) in enumerate(zip(self.chips, numbers, strict=True), start=1):
            cards = [
                Card("XTENSION", "IMAGE", "image extension"),
                Card("BITPIX", 8, "array data type"),
                Card("NAXIS", 0, "number of array dimensions"),
                Card("PCOUNT", 0, "number of parameters"),
                Card("GCOUNT", 1, "number of groups"),
                Card("EXTNAME", "SIPWCS", "extension name"),
                Card("EXTVER", place, "extension version"),
                *linear_cards(chip.distortion),
                Card("LONPOLE", 180.0, "[deg] native longitude of celestial pole"),
                Card("LATPOLE", chip.distortion.crval[1], "[deg] native latitude of pole"),
                *quoted(chip.cards, ("RADESYS",)),
                *chip.told,
                *distortion_cards(chip.distortion, own, chip.cards),
                *quoted(chip.cards, OF_IDCTAB),
                Card("TG_ENAME", "SCI", "target science data extname"),
                Card("TG_EVER", chip.extver, "target science data extver"),
            ]
            hdus += [checksummed(cards, 1, 0), *table_hdus(chip.distortion, own)]
        return b"".join(hdus)

    def to_extension(self, number: int) -> bytes:
        """Make the extension HDRLET that holds it in an exposure."""
        raw = self.to_bytes()
        cards = [
            Card("XTENSION", "HDRLET", "headerlet extension"),
            Card("BITPIX", 8, "array data type"),
            Card("NAXIS", 1, "number of array dimensions"),
            Card("NAXIS1", len(raw), "bytes of the headerlet"),
            Card("PCOUNT", 0, "number of parameters"),
            Card("GCOUNT", 1, "number of groups"),
            Card("EXTNAME", "HDRLET", "extension name"),
            Card("EXTVER", number, "extension version"),
            Card("HDRNAME", self.hdrname, "headerlet name"),
            Card("DATE", self.facts.date, "date the headerlet was made"),
            Card("SIPNAME", self.models["SIPNAME"], "SIP distortion model name"),
            Card("WCSNAME", self.facts.wcsname, "WCS name"),
            Card("DISTNAME", self.models["DISTNAME"], "distortion model name"),
            Card("NPOLFILE", self.models["NPOLFILE"], "origin of non-polynomial distortion"),
            Card("D2IMFILE", self.models["D2IMFILE"], "origin of detector to image correction"),
            Card("COMPRESS", False, "whether the headerlet is gzipped"),
        ]
        data = padded(raw)
        return checksummed(cards, 1, add_words(0, data)) + data

    def _primary_cards(self) -> list[Card]:
        facts, models = self.facts, self.models
        rms = facts.rms_mas or (0.0, 0.0)
        cards = [
            Card("SIMPLE", True, "conforms to FITS standard"),
            Card("BITPIX", 8, "array data type"),
            Card("NAXIS", 0, "number of array dimensions"),
            Card("EXTEND", True, "extensions follow"),
            Card("DESTIM", text_of(self.primary, "ROOTNAME"), "exposure that it is for"),
            Card("HDRNAME", self.hdrname, "headerlet name"),
            Card("DATE", facts.date, "date the headerlet was made"),
            Card("WCSNAME", facts.wcsname, "WCS name"),
            Card("DISTNAME", models["DISTNAME"], "distortion model name"),
            Card("SIPNAME", models["SIPNAME"], "origin of SIP polynomial distortion model"),
            Card("NPOLFILE", models["NPOLFILE"], "origin of non-polynomial distortion"),
            Card("D2IMFILE", models["D2IMFILE"], "origin of detector to image correction"),
            Card("IDCTAB", models["IDCTAB"], "origin of polynomial distortion"),
            Card("AUTHOR", facts.author, "who made the headerlet"),
            Card("DESCRIP", facts.descrip, "short description of the solution"),
            Card("RMS_RA", float(rms[0]), "RMS in RA of the solution (mas)"),
            Card("RMS_DEC", float(rms[1]), "RMS in Dec of the solution (mas)"),
            Card("FIT_RMS", math.hypot(*rms), "RMS of the separations of matches (mas)"),
            Card("NMATCH", facts.matches, "sources that the solution used"),
            Card("CATALOG", facts.catalog, "reference catalog of the solution"),
            *version_cards(),
        ]
        if facts.method:
            cards.append(Card("FITMETH", facts.method, "how sources were matched"))
        for line in facts.history:
            cards += [Card("HISTORY", part, "") for part in textwrap.wrap(line, _WIDTH)]
        return cards


def new_headerlet(solved: Solved) -> NewHeaderlet:
    """Make the headerlet of a solution."""
    hdrname = headerlet_name_of(solved)
    chips = [
        HeaderletChip(
            chip.hdu.extver, chip.distortion, chip.cards, tuple(fit_cards(chip.facts, hdrname))
        )
        for chip in solved.chips
    ]
    return NewHeaderlet(hdrname, solved.facts, chips, solved.primary)


def headerlet_name_of(solved: Solved) -> str:
    """HDRNAME of a solution."""
    return solved.facts.hdrname or headerlet_name(solved.file.path, solved.facts.wcsname)


def version_cards() -> list[Card]:
    """Tell the versions of stwcs and astropy, as stwcs does."""
    return [
        Card("UPWCSVER", version("stwcs"), "version of STWCS whose rules the WCS follows"),
        Card("PYWCSVER", version("astropy"), "version of PYWCS that goes with it"),
    ]
