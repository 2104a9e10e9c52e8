"""What the headers of a product say: the inputs' cards by rules, and cards about the product.

Not here: from which inputs (`header_source`), which of their keywords and how they are combined
(`header_rules`), their order (`header_template`), how each chip was drizzled (`drizzle_cards`),
the table of all chips (`hdrtab`), the bytes of a header (`fits_cards`), pixels, checksums.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from hapdask.observe.cards import Value
from hapdask.products.drizzle_cards import drizzle_cards
from hapdask.products.fits_cards import Card
from hapdask.products.header_rows import PHOTOMETRY, primary_rows, science_rows
from hapdask.products.header_source import HeaderSource
from hapdask.products.header_template import CardList, fill_template
from hapdask.products.svm.headers import sky_cell_card

if TYPE_CHECKING:
    from hapdask.products.coverage import Statistics
    from hapdask.products.told import Told
    from hapdask.sky.frame import Frame

#: HAPLEVELs of a visit's products: of one exposure, of several.
_OF_VISITS = (1, 2)
#: HAPLEVELs of products of several exposures, which tell how these cover them.
_WITH_FIGURES = (2, 4)
_MJD_ZERO = datetime.datetime(1858, 11, 17)

#: Name of a parameter -> its keyword; the others are told as HISTORY only.
_PARAMETERS = {
    "kernel": "KERNEL",
    "pixfrac": "PIXFRAC",
    "weight": "WHTTYPE",
    "good_bits": "GOODBITS",
    "doubtful_bits": "DOUBTBIT",
    "sky": "SKYMETH",
    "flux_scaling": "FLUXSCAL",
    "final_kernel": "KERNEL",
    "final_pixfrac": "PIXFRAC",
    "final_wht_type": "WHTTYPE",
    "final_bits": "GOODBITS",
    "final_doubtful_bits": "DOUBTBIT",
    "skymethod": "SKYMETH",
}

_WCS_COMMENTS = {
    "WCSAXES": "number of axes",
    "CTYPE1": "gnomonic projection",
    "CTYPE2": "gnomonic projection",
    "CRVAL1": "right ascension of the tangent point (deg)",
    "CRVAL2": "declination of the tangent point (deg)",
    "CRPIX1": "x of the tangent point (first pixel is 1)",
    "CRPIX2": "y of the tangent point (first pixel is 1)",
    "CD1_1": "deg/pixel",
    "CD1_2": "deg/pixel",
    "CD2_1": "deg/pixel",
    "CD2_2": "deg/pixel",
    "RADESYS": "reference system",
}
#: What the header of the first input says of its WCSNAME, in which the product's frame lies.
_SOLUTION = {
    "WCSTYPE": "description of the solution",
    "RMS_RA": "rms of its fit in right ascension (mas)",
    "RMS_DEC": "rms of its fit in declination (mas)",
    "CRDER1": "random error of axis 1 (deg)",
    "CRDER2": "random error of axis 2 (deg)",
    "NMATCH": "sources matched in its fit",
    "HDRNAME": "headerlet of the solution",
}
#: What SCI says of the inputs that every other image repeats.
_SHARED = ("EXPNAME", "PA_APER", "CCDCHIP", "WCSNAME", "WCSTYPE")
#: A product is no part of a larger detector: its pixels are counted from its own first.
_SUBSECTION = (
    Card("LTV1", 0.0, "offset in X to subsection start"),
    Card("LTV2", 0.0, "offset in Y to subsection start"),
    Card("LTM1_1", 1.0, "reciprocal of sampling rate in X"),
    Card("LTM2_2", 1.0, "reciprocal of sampling rate in Y"),
)
_STATISTICS = {
    "NPIXFRAC": "fraction of the sky cell with data",
    "MEANEXPT": "mean exposure time of pixels with data (s)",
    "MEDEXPT": "median exposure time of pixels with data (s)",
    "MEANNEXP": "mean number of chips in pixels with data",
    "MEDNEXP": "median number of chips in pixels with data",
    "MEANWHT": "mean weight of pixels with data",
    "MEDWHT": "median weight of pixels with data",
}


@dataclass
class ProductCards:
    """Builds the cards of one product; statistics may be filled in when they are known.

    Parameters
    ----------
    source : HeaderSource
    frame : Frame
    filename : str
        Of the product, whole.
    images : dict of str to str
        EXTNAME to the name of the file that holds it, in order.
    """

    source: HeaderSource
    frame: Frame
    filename: str
    images: dict[str, str]
    _primary: list[Card] = field(init=False)
    _science: list[Card] = field(init=False)

    def __post_init__(self) -> None:
        self._science = list(self._of_science())
        self._primary = list(self._of_primary())

    def primary(self, statistics: Statistics | None, nextend: int) -> list[Card]:
        """Cards of PRIMARY, in order; zeros stand for statistics that are not known yet."""
        head = [Card("NEXTEND", nextend, "number of standard extensions")]
        figures = _statistics_cards(statistics) if self.source.level in _WITH_FIGURES else []
        return head + self._primary + figures + self._provenance

    def image(self, name: str, s_region: str | None) -> list[Card]:
        """Cards of one image extension, in order; all have the WCS, SCI the photometry too."""
        unit = unit_card(self.source.flux_unit) if name in ("SCI", "ERR") else "UNITLESS"
        cards = [
            Card("INHERIT", True, "inherit the primary header"),
            Card("ROOTNAME", self._root, "rootname of this product"),
            Card("BUNIT", unit, "brightness units"),
            *_SUBSECTION,
            *self._wcs,
        ]
        if name == "SCI":
            cards += self._science
            if s_region is not None:
                cards.append(Card("S_REGION", s_region, ""))
                cards += [sky_cell_card(s_region)] if self.source.level in _OF_VISITS else []
        else:
            cards += [card for card in self._science if card.keyword in _SHARED]
        return cards

    def alone(self, name: str, statistics: Statistics | None, s_region: str | None) -> list[Card]:
        """Cards of a file of one image, whose header holds those of PRIMARY too."""
        own = {"FILETYPE": name, "FILENAME": self.images[name]}
        cards = self.primary(statistics, 0)[1:]
        merged = [card._replace(value=own.get(card.keyword, card.value)) for card in cards]
        known = {card.keyword for card in merged} - {"HISTORY", ""} | {"INHERIT"}
        return merged + [c for c in self.image(name, s_region) if c.keyword not in known]

    @property
    def _root(self) -> str:
        return self.filename.rpartition("_")[0] or self.filename

    def _of_primary(self) -> CardList:
        source = self.source
        rows = primary_rows(source.exposures)
        template = source.exposures[0].keywords if source.exposures else ()
        blended, dropped = source.rules.blend(rows), set(PHOTOMETRY)
        if source.level is None:  # where AstroDrizzle's users look for it, with what SCI says
            science = {card.keyword: card.value for card in self._science}
            kept = dropped & blended.keys() & science.keys()
            blended, dropped = blended | {k: science[k] for k in kept}, dropped - kept
        cards = fill_template(template, blended, source.rules, dropped)
        head = CardList()
        head.put("FILETYPE", "SCI", "type of data found in data file")
        head.put("DATE", (source.date or _today()).isoformat(), "date of this file (UTC)")
        head.put("FILENAME", self.filename, "name of this file")
        head.put("ROOTNAME", self._root)
        head.put("PROD_VER", f"hapdask {_version()}", "software that made this file")
        head.put("RULEFILE", "header_rules.csv of hapdask", "rules that made this header")
        head.put("RULESVER", _version(), "version of these rules")
        if source.level is not None:
            head.put("HAPLEVEL", source.level, "1 exposure, 2 visit, 4 sky cell")
        if source.cell:
            head.put("SCELLID", source.cell.removeprefix("skycell-"), "sky cell of this image")
        for keyword in (*(card.keyword for card in head), *_STATISTICS, "HAPLEVEL", "SCELLID"):
            cards.drop(keyword)
        if source.exposures:
            self._put_product(cards)
        return CardList([*head, *cards])

    def _put_product(self, cards: CardList) -> None:
        """Set what is true of the product, whatever the rules made of it."""
        exposures = self.source.exposures
        first, last = min(e.expstart for e in exposures), max(e.expend for e in exposures)
        once = {e.name: e for e in exposures}
        total = math.fsum(e.exptime for e in once.values())
        if self.source.level == 4:
            cards.put("PROPOSID", _joined({e.proposal for e in exposures}), "proposals")
        elements = exposures[0].filter.upper().replace("-", ";").replace("CLEAR", "clear")
        total_image = "_total_" in self.filename
        cards.put("FILTER", "detection" if total_image else elements, "filter elements")
        cards.put("EXPTIME", total, "total exposure time (s)")
        cards.drop("TEXPTIME")
        cards.put("TEXPTIME", total, "total exposure time (s)", after="EXPTIME")
        cards.put("EXPSTART", first, "start of the first exposure (MJD)")
        cards.put("EXPEND", last, "end of the last exposure (MJD)")
        cards.put("DATE-BEG", _iso(first), "start of the first exposure (UT)")
        cards.put("DATE-END", _iso(last), "end of the last exposure (UT)")
        cards.put("ASN_MTYP", "PROD-DTH", "role of the product in its association")
        for switch in ("DRIZCORR", "DITHCORR"):
            if switch in cards:
                cards.put(switch, "COMPLETE", "drizzle processing")
        if self.source.level == 1:
            cards.put("IPPPSSOO", ";".join(e.name for e in exposures), "exposures of this image")
        told = dict(exposures[0].keywords)
        if told.get("SIPNAME") is not None:
            comment = "distortion model of the first input, corrected here"
            cards.put("SIPNAME", told["SIPNAME"], comment, after="IDCTAB")
        investigator = told.get("PR_INV_L")
        if investigator is not None:
            cards.put("PINAME", investigator, "last name of the principal investigator")
        cards.put("NUMEXP", len(once), "number of exposures")
        if self.source.level in _OF_VISITS:
            cards.put("DRIZPARS", f"{self._root}_trl.txt", "log of the processing")

    def _of_science(self) -> CardList:
        source = self.source
        if not source.exposures:
            return CardList([Card("NCOMBINE", 0, "number of exposures combined")])
        first = source.exposures[0]
        rows = science_rows(source.exposures, scaled=source.flux_scaled, gain=source.gain)
        blended = source.rules.blend(rows)
        cards = fill_template(first.chips[0].keywords, blended, source.rules)
        for card in _SUBSECTION:
            cards.drop(card.keyword)
        cards.put("NCOMBINE", len({e.name for e in source.exposures}), "exposures combined")
        if "CCDCHIP" in cards:
            cards.put("CCDCHIP", "-999", "chips are combined")
        cards.put("WCSNAME", first.wcsname, "solution of the first input")
        told = dict(first.chips[0].keywords)
        for keyword, comment in _SOLUTION.items():
            value = told.get(keyword)
            if value is not None and told.get("WCSNAME") == first.wcsname:
                cards.put(keyword, value, comment)
        return cards

    @cached_property
    def _wcs(self) -> list[Card]:
        header = self.frame.to_header()
        _, cd12, _, cd22 = self.frame.cd
        angle = math.degrees(math.atan2(cd12, cd22)) + 0.0
        return [
            *(Card(key, value, _WCS_COMMENTS.get(key, "")) for key, value in header.items()),
            Card("ORIENTAT", angle, "position angle of image y axis (deg. e of n)"),
            Card("VAFACTOR", 1.0, "velocity aberration is corrected"),
        ]

    @cached_property
    def _provenance(self) -> list[Card]:
        told = self.source.parameters
        outputs = {name: f"{file}[{name},1]" for name, file in self.images.items()}
        version = f"hapdask {_version()}"
        source, scale = self.source, self.frame.pixel_scale
        cards = drizzle_cards(source.exposures, told, scale, outputs, version, source.files)
        return cards if told is None else cards + _told_cards(told)


def unit_card(unit: str) -> str:
    """Give the value of BUNIT: ``electron / s`` is ``ELECTRONS/S``."""
    first, *rest = unit.upper().split(" / ")
    return "/".join([f"{first}S", *rest])


def _told_cards(told: Told) -> list[Card]:
    """Tell every parameter and where its value came from."""
    cards, history = [], []
    for name, value in told.values.items():
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
        if name in _PARAMETERS:
            card = "None" if shown is None else shown
            cards.append(Card(_PARAMETERS[name], card, f"parameter {name}"))
        history.append(f"parameter {name} = {shown!r} from {told.origin.get(name, '')}")
    history += [
        f"parameter {name} has no meaning here: {why}" for name, why in told.ignored.items()
    ]
    history += told.notes
    return cards + [Card("HISTORY", line, "") for line in history]


def _statistics_cards(statistics: Statistics | None) -> list[Card]:
    if statistics is None:
        return [Card(keyword, 0.0, comment) for keyword, comment in _STATISTICS.items()]
    values = {keyword: getattr(statistics, keyword.lower()) for keyword in _STATISTICS}
    return [Card(k, value, _STATISTICS[k]) for k, value in values.items() if value is not None]


def _joined(values: Sequence[str] | set[str]) -> str:
    return "; ".join(sorted(values, key=lambda v: (len(v), v)))


def _iso(mjd: float) -> Value:
    """Give a date as text; undefined where the number is none."""
    try:
        return (_MJD_ZERO + datetime.timedelta(days=mjd)).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError):
        return None


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _version() -> str:
    from hapdask import __version__

    return __version__
