"""What the headers of a product say: cards from the inputs by rules, and cards about the product.

Not here: which keywords are taken from the inputs' headers and how they are combined
(`header_rules`), the bytes of a header (`fits_cards`), pixels, checksums.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hapdask.products.fits_cards import Card
from hapdask.products.header_rules import RULES, Row, combine

if TYPE_CHECKING:
    from hapdask.config import Resolved
    from hapdask.observe.record import ExposureRecord
    from hapdask.products.coverage import Statistics
    from hapdask.sky.frame import Frame

_MJD_ZERO = datetime.datetime(1858, 11, 17)


@dataclass(frozen=True, kw_only=True)
class HeaderSource:
    """Where the headers of a product come from, besides its pixels.

    Parameters
    ----------
    exposures : tuple of ExposureRecord
        Those that contribute, in input order; not stripped.
    cell : str
        Name of the sky cell, or empty for another frame.
    full_shape : (ny, nx), optional
        Pixels of the whole sky cell, of which NPIXFRAC is a fraction; the product's own if None.
    level : int
        HAPLEVEL: 1 exposure, 2 visit, 4 sky cell.
    parameters : Resolved, optional
        Parameters with which the product was made.
    date : date, optional
        Written as DATE; today (UTC) if None.
    """

    exposures: tuple[ExposureRecord, ...]
    cell: str = ""
    full_shape: tuple[int, int] | None = None
    level: int = 4
    parameters: Resolved | None = None
    date: datetime.date | None = None

    @property
    def chips(self) -> tuple[tuple[str, int], ...]:
        """Exposure name and EXTVER of every chip, in input order: the bits of CTX."""
        return tuple((e.name, c.extver) for e in self.exposures for c in e.chips)


#: Name of a parameter -> its keyword.
_PARAMETERS = {
    "kernel": "KERNEL",
    "pixfrac": "PIXFRAC",
    "weight": "WHTTYPE",
    "good_bits": "GOODBITS",
    "doubtful_bits": "DOUBTBIT",
    "sky": "SKYMETH",
    "flux_scaling": "FLUXSCAL",
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


@dataclass
class ProductCards:
    """Builds the cards of one product; statistics may be filled in when they are known."""

    source: HeaderSource
    frame: Frame
    filename: str
    extensions: Sequence[str]
    _rows: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        self._rows = [_exposure_row(exposure) for exposure in self.source.exposures]

    def primary(self, statistics: Statistics | None) -> list[Card]:
        """Cards of PRIMARY, in order; zeros stand for statistics that are not known yet."""
        cards = [
            Card("NEXTEND", len(self.extensions), "number of standard extensions"),
            Card("DATE", (self.source.date or _today()).isoformat(), "date of this file (UTC)"),
            Card("FILENAME", self.filename, "name of this file"),
            Card("ROOTNAME", self.filename.rpartition("_")[0] or self.filename, "root of the name"),
            Card("PROD_VER", f"hapdask {_version()}", "software that made this file"),
            Card("HAPLEVEL", self.source.level, "1 exposure, 2 visit, 4 sky cell"),
        ]
        if self.source.cell:
            cell = self.source.cell.removeprefix("skycell-")
            cards.append(Card("SCELLID", cell, "sky cell of this image"))
        cards += combine(RULES["PRIMARY"], self._rows)
        cards += self._times()
        cards += _statistics_cards(statistics)
        return cards + self._provenance()

    def image(self, name: str, s_region: str | None) -> list[Card]:
        """Cards of one image extension, in order; all have the WCS, SCI the photometry too."""
        unit = {"SCI": "ELECTRONS/S", "ERR": "ELECTRONS/S"}.get(name, "UNITLESS")
        cards = [Card("BUNIT", unit, "brightness units")]
        cards += [
            Card(keyword, value, _WCS_COMMENTS.get(keyword, ""))
            for keyword, value in self.frame.to_header().items()
        ]
        if name == "SCI":
            cards.append(Card("NCOMBINE", len(self._rows), "number of exposures combined"))
            cards += combine(RULES["SCI"], self._chip_rows())
            if s_region is not None:
                cards.append(Card("S_REGION", s_region, ""))
        if name == "CTX":
            for number, (exposure, extver) in enumerate(self.source.chips):
                plane, bit = divmod(number, 32)
                cards.append(
                    Card("HISTORY", f"plane {plane + 1} bit {bit}: {exposure}[SCI,{extver}]", "")
                )
        return cards

    def _chip_rows(self) -> list[Row]:
        """One row per chip, in the photometric system of the product.

        The pixels were multiplied by the chip's flux factor, so its inverse sensitivity in the
        product is the chip's own over that factor: one figure for all chips that were scaled.
        """
        rows = []
        for row, exposure in zip(self._rows, self.source.exposures, strict=True):
            for chip in exposure.chips:
                merged = row | dict(chip.keywords)
                if chip.photflam > 0:
                    merged["PHOTFLAM"] = chip.photflam
                for keyword in ("PHOTFLAM", "PHOTFNU"):
                    value = merged.get(keyword)
                    if isinstance(value, int | float):
                        merged[keyword] = value / chip.flux_factor
                rows.append(merged)
        return rows

    def _times(self) -> list[Card]:
        exposures = self.source.exposures
        if not exposures:
            return [Card("NUMEXP", 0, "number of exposures")]
        first, last = min(e.expstart for e in exposures), max(e.expend for e in exposures)
        return [
            Card("DATE-BEG", _iso(first), "start of the first exposure (UT)"),
            Card("DATE-END", _iso(last), "end of the last exposure (UT)"),
            Card("NUMEXP", len({e.name for e in exposures}), "number of exposures"),
        ]

    def _provenance(self) -> list[Card]:
        resolved = self.source.parameters
        if resolved is None:
            return []
        cards, history = [], []
        for name, value in resolved.parameters.digest_items():
            shown = "None" if value is None else value
            cards.append(Card(_PARAMETERS[name], shown, f"parameter {name}"))
            origin = resolved.origin.get(name, "")
            history.append(Card("HISTORY", f"parameter {name} = {shown!r} from {origin}", ""))
        return cards + history


def _exposure_row(exposure: ExposureRecord) -> Row:
    """Cards of an exposure; what its record states stands over its header."""
    return dict(exposure.keywords) | {
        "INSTRUME": exposure.instrument.upper(),
        "DETECTOR": exposure.detector.upper(),
        "HAPFILT": exposure.filter.upper().replace("-", ";"),
        "TARGNAME": exposure.target,
        "PROPOSID": exposure.proposal,
        "EXPTIME": exposure.exptime,
        "EXPSTART": exposure.expstart,
        "EXPEND": exposure.expend,
        "WCSNAME": exposure.wcsname,
    }


def _statistics_cards(statistics: Statistics | None) -> list[Card]:
    comments = {
        "NPIXFRAC": "fraction of the sky cell with data",
        "MEANEXPT": "mean exposure time of pixels with data (s)",
        "MEDEXPT": "median exposure time of pixels with data (s)",
        "MEANNEXP": "mean number of chips in pixels with data",
        "MEDNEXP": "median number of chips in pixels with data",
        "MEANWHT": "mean weight of pixels with data",
        "MEDWHT": "median weight of pixels with data",
    }
    if statistics is None:
        return [Card(keyword, 0.0, comment) for keyword, comment in comments.items()]
    values = {keyword: getattr(statistics, keyword.lower()) for keyword in comments}
    return [Card(k, value, comments[k]) for k, value in values.items() if value is not None]


def _iso(mjd: float) -> str:
    return (_MJD_ZERO + datetime.timedelta(days=mjd)).isoformat(timespec="milliseconds")


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _version() -> str:
    from hapdask import __version__

    return __version__
