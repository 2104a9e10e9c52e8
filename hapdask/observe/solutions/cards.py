"""The cards that make up a WCS, and another WCS in their place in a scanned file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hapdask.observe.cards import Cards, Value
from hapdask.observe.fits import FitsFile, Hdu

#: Extensions that hold look-up tables of a distortion.
TABLES = ("D2IMARR", "WCSDVARR")
#: Names of the reference tables, in PRIMARY.
REFERENCES = ("IDCTAB", "NPOLFILE", "D2IMFILE", "OFFTAB", "DGEOFILE")
#: Names of the distortion model as a whole, in PRIMARY.
MODELS = ("DISTNAME", "SIPNAME")
_LINEAR = re.compile(
    r"(WCSAXES|WCSNAME|WCSTYPE|HDRNAME|LONPOLE|LATPOLE|RADESYS|RMS_RA|RMS_DEC|NMATCH|CATALOG"
    r"|NMATCHES|FITGEOM|FITNAME|ORIENTAT|(CRPIX|CRVAL|CTYPE|CUNIT|CRDER|CDELT)[12]|(CD|PC)[12]_[12])$"
)
_DISTORTION = re.compile(
    r"([AB]P?_(\d_\d|ORDER|DMAX)|(CPDIS|CPERR|D2IMDIS|D2IMERR)[12]|(DP|D2IM)[12]\..*"
    r"|D2IMEXT|NPOLEXT|IDCTAB|IDC(SCALE|THETA|V2REF|V3REF|XREF|YREF)|OC[XY]1[01])$"
)
_SIP_CALLED = "-SIP"
_TABLE_CARDS = ("CPDIS1", "CPDIS2", "D2IMDIS1", "D2IMDIS2")


@dataclass(frozen=True, slots=True)
class Solution:
    """A WCS to put in place of a file's own.

    Attributes
    ----------
    primary : mapping
        Cards of PRIMARY that change.
    chips : mapping of int to mapping
        By EXTVER: a header that has the cards of the WCS, among others.
    tables : sequence of Hdu
        Its look-up tables, with their values.
    """

    primary: Cards
    chips: Mapping[int, Cards]
    tables: Sequence[Hdu]


def is_linear(name: str) -> bool:
    """Whether a card belongs to the linear part of a WCS, or says where that comes from."""
    return _LINEAR.match(name) is not None


def is_distortion(name: str) -> bool:
    """Whether a card belongs to the distortion of a WCS."""
    return _DISTORTION.match(name) is not None


def science(file: FitsFile) -> list[Hdu]:
    """List the SCI extensions of a file."""
    return [hdu for hdu in file.hdus if hdu.name == "SCI"]


def with_primary(file: FitsFile, changes: Cards) -> FitsFile:
    """Put other cards in place of some of PRIMARY's."""
    first = file.hdus[0]
    return replace(file, hdus=(replace(first, header={**first.header, **changes}), *file.hdus[1:]))


def lacks_distortion(file: FitsFile) -> bool:
    """Whether no chip's primary WCS is more than linear."""
    return not any(
        str(hdu.header.get("CTYPE1") or "").strip().endswith(_SIP_CALLED)
        or any(hdu.header.get(card) for card in _TABLE_CARDS)
        for hdu in science(file)
    )


def with_alternate(header: Cards, key: str) -> dict[str, Value]:
    """Put the alternate WCS of that key in place of the primary one.

    Coefficients and tables of the distortion are shared, as FITS has only one set of them; an
    alternate WCS whose CTYPE is without -SIP (OPUS, as a rule) was made without any.
    """
    ctype = str(header.get(f"CTYPE1{key}") or "").strip()
    out = {k: v for k, v in header.items() if not is_linear(k)}
    if not ctype.endswith(_SIP_CALLED):
        out = {k: v for k, v in out.items() if not is_distortion(k)}
    for name, value in header.items():
        if name.endswith(key) and is_linear(name[: -len(key)]):
            out[name[: -len(key)]] = value
    return _with_orientation(out)


def with_solution(file: FitsFile, solution: Solution) -> FitsFile:
    """Put a solution in place of the primary WCS and the tables of a scanned file."""
    hdus = [hdu for hdu in file.hdus if hdu.name not in TABLES]
    for place, hdu in enumerate(hdus):
        if hdu.name == "SCI" and hdu.extver in solution.chips:
            hdus[place] = replace(hdu, header=_grafted(hdu.header, solution.chips[hdu.extver]))
    return with_primary(replace(file, hdus=(*hdus, *solution.tables)), solution.primary)


def _grafted(header: Cards, donor: Cards) -> Cards:
    kept = {k: v for k, v in header.items() if not is_linear(k) and not is_distortion(k)}
    new = {k: v for k, v in donor.items() if is_linear(k) or is_distortion(k)}
    return _with_orientation(kept | new)


def _with_orientation(cards: dict[str, Value]) -> dict[str, Value]:
    """Renew ORIENTAT, the angle of the y axis east of north."""
    cd12, cd22 = cards.get("CD1_2"), cards.get("CD2_2")
    if isinstance(cd12, int | float) and isinstance(cd22, int | float):
        cards["ORIENTAT"] = math.degrees(math.atan2(cd12, cd22))
    return cards
