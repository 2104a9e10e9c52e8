"""The cards of a WCS solution: linear part, distortion, and what is told of the fit.

Not here: which cards a file had and loses (`changing`), other HDUs (`tables`, `headerlet`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import wcs_type
from hapdask.observe.cards import Cards, Value
from hapdask.observe.distortion import Distortion, Floats
from hapdask.products.fits_cards import Card

#: Cards on a fit: those of an earlier one go before others come.
OF_A_FIT = (
    *("CRDER1", "CRDER2", "RMS_RA", "RMS_DEC", "NMATCH", "NMATCHES", "CATALOG", "FITGEOM"),
    *("FITNAME", "HDRNAME", "WCSTYPE"),
)
#: Cards that a headerlet keeps of IDCTAB, which stwcs asks for.
OF_IDCTAB = ("IDCSCALE", "OCX10", "OCX11", "OCY10", "OCY11", "VAFACTOR")

_MAS = 3.6e6
_UNKNOWN_RMS = -1.0
_COORDINATES = ("RA---TAN", "DEC--TAN")
#: What keywords of look-up tables begin with: distortion, record, error, file, axis names.
KINDS = {
    "D2IMARR": ("D2IMDIS", "D2IM", "D2IMERR", "D2IMEXT", ("d2im_x", "d2im_y"), "D2IM function"),
    "WCSDVARR": ("CPDIS", "DP", "CPERR", "NPOLEXT", ("npol_x", "npol_y"), "CPDIS function"),
}


def linear_cards(distortion: Distortion) -> list[Card]:
    """Make the cards of the linear part, ORIENTAT with them."""
    sip = "-SIP" if _has_sip(distortion) else ""
    c11, c12, c21, c22 = distortion.cd
    cards = [Card("WCSAXES", 2, "number of coordinate axes")]
    for axis, name in enumerate(_COORDINATES, start=1):
        value = distortion.crpix[axis - 1]
        cards.append(Card(f"CRPIX{axis}", float(value), "pixel coordinate of reference point"))
        value = distortion.crval[axis - 1]
        cards.append(Card(f"CRVAL{axis}", float(value), "[deg] coordinate at reference point"))
        cards.append(Card(f"CTYPE{axis}", name + sip, "coordinate type and projection"))
        cards.append(Card(f"CUNIT{axis}", "deg", "units of coordinates"))
    for name, number in (("CD1_1", c11), ("CD1_2", c12), ("CD2_1", c21), ("CD2_2", c22)):
        cards.append(Card(name, number, f"partial of axis {name[2]} w.r.t. {' xy'[int(name[4])]}"))
    angle = math.degrees(math.atan2(c12, c22))
    return [*cards, Card("ORIENTAT", angle, "position angle of image y axis (deg. e of n)")]


def distortion_cards(
    distortion: Distortion, numbers: dict[tuple[str, int], int], known: Cards
) -> list[Card]:
    """Make the cards of SIP and of the look-up tables.

    Parameters
    ----------
    distortion : Distortion
    numbers : dict
        EXTVER of each of its tables, by the name of the extension and the axis (1, 2).
    known : mapping
        Where the names and errors of tables stand, if they are known.
    """
    cards = []
    if _has_sip(distortion):
        cards += _sip_cards("A", distortion.sip_a) + _sip_cards("B", distortion.sip_b)
    for extname, (stem, prefix, error, file, names, what) in KINDS.items():
        for axis, name in enumerate(names, start=1):
            table = getattr(distortion, name)
            if table is None:
                continue
            worst = known.get(f"{error}{axis}", float(abs(table.values).max()))
            cards.append(Card(f"{stem}{axis}", "Lookup", "correction by a look-up table"))
            for field, number in (
                *(("EXTVER", numbers[extname, axis]), ("NAXES", 2)),
                *(("AXIS.1", 1), ("AXIS.2", 2)),
            ):
                cards.append(Card(f"{prefix}{axis}", f"{field}: {number}", f"of the {what}"))
            cards.append(Card(f"{error}{axis}", worst, f"largest correction of axis {axis}"))
        if any(getattr(distortion, name) is not None for name in names) and known.get(file):
            cards.append(Card(file, known[file], "where its look-up tables come from"))
    return cards


def fit_cards(facts: WcsFacts, hdrname: str) -> list[Card]:
    """Make the cards of an SCI header that name a solution and tell how good it is."""
    rms = facts.rms_mas or (_UNKNOWN_RMS, _UNKNOWN_RMS)
    cards = [
        Card("WCSNAME", facts.wcsname, "coordinate system title"),
        Card("WCSTYPE", wcs_type(facts.wcsname), "what the WCS was made with"),
        Card("HDRNAME", hdrname, "headerlet of this WCS"),
        Card("RMS_RA", float(rms[0]), "RMS in RA of WCS fit (mas)"),
        Card("RMS_DEC", float(rms[1]), "RMS in Dec of WCS fit (mas)"),
    ]
    if facts.rms_mas is not None:
        for axis, value in zip("12", facts.rms_mas, strict=True):
            cards.append(Card(f"CRDER{axis}", value / _MAS, "[deg] random error in coordinate"))
    if facts.matches:
        for key in ("NMATCH", "NMATCHES"):  # stwcs reads the first, the archive writes the second
            cards.append(Card(key, facts.matches, "sources that the WCS fit used"))
    if facts.catalog:
        cards.append(Card("CATALOG", facts.catalog, "reference catalog of WCS fit"))
    if facts.geometry:
        cards.append(Card("FITGEOM", facts.geometry, "geometry of WCS fit"))
    return cards


def relative_cards(facts: WcsFacts, header: Cards) -> list[Card]:
    """Make the cards on the alignment of exposures with one another.

    Where there was none, cards that the header lacks say so, and others stay.
    """
    fit = facts.relative
    values: list[tuple[str, Value, str]] = [
        ("RELGEOM", fit.geometry if fit else "N/A", "geometry of relative fit"),
        ("RELMATCH", fit.matches if fit else 0, "sources that the relative fit used"),
        ("RELRMS_D", float(fit.rms_mas[1]) if fit else 0.0, "RMS in Dec of relative fit (mas)"),
        ("RELRMS_R", float(fit.rms_mas[0]) if fit else 0.0, "RMS in RA of relative fit (mas)"),
        ("RELREFIM", fit.reference if fit else "N/A", "reference image of relative fit"),
    ]
    return [Card(*value) for value in values if fit or value[0] not in header]


def quoted(cards: Cards, names: Sequence[str]) -> list[Card]:
    """Quote cards where they have a value."""
    return [Card(name, cards[name], "") for name in names if cards.get(name) is not None]


def _has_sip(distortion: Distortion) -> bool:
    return bool(distortion.sip_a.any() or distortion.sip_b.any())


def _sip_cards(axis: str, coefficients: Floats) -> list[Card]:
    order = max(len(coefficients) - 1, 2)
    cards = [Card(f"{axis}_ORDER", order, f"SIP polynomial order, axis {'AB'.index(axis) + 1}")]
    for p, row in enumerate(coefficients):
        for q, value in enumerate(row):
            if value:
                text = "SIP distortion coefficient"
                cards.append(Card(f"{axis}_{p}_{q}", float(value), text))
    return cards
