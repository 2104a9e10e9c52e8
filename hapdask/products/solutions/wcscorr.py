"""WCSCORR: the table of all WCSs that an exposure has had.

A table that is there keeps its rows.  Rows without a name at its end are room that stwcs needs to
add its own.  Not here: the WCSs themselves.

Source: stwcs's ``wcscorr``, for columns and their types.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

from hapdask.astrometry.headers.names import PIPELINE_KEY, PIPELINE_NAME
from hapdask.observe.cards import Cards, Value, number_of, text_of
from hapdask.observe.fits import Hdu
from hapdask.observe.source import ByteSource
from hapdask.products.fits_cards import Card
from hapdask.products.fits_table import Column, table_hdu
from hapdask.products.solutions.alternates import Archive, alternate_names
from hapdask.products.solutions.cards import linear_cards
from hapdask.products.solutions.headerlet import headerlet_name_of
from hapdask.products.solutions.solved import Solved, model_names

log = logging.getLogger(__name__)

NAME = "WCSCORR"
Row = dict[str, Value]

_MODELS = ("SIPNAME", "NPOLNAME", "D2IMNAME")
_NUMBERS = (
    *("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"),
    *("ORIENTAT", "PA_V3", "RMS_RA", "RMS_Dec"),
)
_WIDTHS = {"WCS_ID": 40, "WCS_key": 1, "HDRNAME": 24, **dict.fromkeys(_MODELS, 24)}
_TEXTS_AFTER = {"CTYPE1": 24, "CTYPE2": 24}
_WHOLE = {"EXTVER": "I", "NMatch": "J"}
_ORDER = (
    *("WCS_ID", "EXTVER", "WCS_key", "HDRNAME", *_MODELS, *_NUMBERS[:8], "CTYPE1", "CTYPE2"),
    *(*_NUMBERS[8:], "NMatch", "Catalog", "DESCRIP"),
)
_ALL_WIDTHS = {**_WIDTHS, **_TEXTS_AFTER, "Catalog": 40, "DESCRIP": 128}
_SAME = ("WCS_ID", "EXTVER", *_NUMBERS[:8])
_SPARE = 4  # rows of room for each chip
_MAX_BYTES = 1 << 24


def wcscorr_hdu(source: ByteSource, solved: Solved, kept: Archive) -> bytes:
    """Make the table with the new WCS, and with those that it did not have yet.

    Parameters
    ----------
    source : ByteSource
        The file, open.
    solved : Solved
    kept : Archive
        Under which key the old primary WCS is now.
    """
    rows = _read(source, solved.file.find(NAME))
    for row in (*_known_rows(solved, kept), *_new_rows(solved)):
        if not any(_same(row, other) for other in rows):
            rows.append(row)
    used = len(rows)
    rows += [{}] * (_SPARE * len(solved.chips))
    columns = [_column(name, rows) for name in _ORDER]
    told = [Card("TROWS", used, "number of updated rows in table")]
    return table_hdu(NAME, columns, rows_are="rows: WCSs of chips", told=told)


def _column(name: str, rows: Sequence[Row]) -> Column:
    if name in _ALL_WIDTHS:
        texts = [str(row.get(name) or "") for row in rows]
        return Column(name, texts, width=_ALL_WIDTHS[name])
    numbers = [row.get(name) or 0 for row in rows]
    if name in _WHOLE:
        return Column(name, numbers, form=_WHOLE[name])
    return Column(name, [float(number) for number in numbers])


def _same(row: Row, other: Row) -> bool:
    """Whether two rows tell of one WCS."""
    for name in _SAME:
        one, two = row.get(name), other.get(name)
        if isinstance(one, str):
            if one.upper() != str(two).upper():
                return False
        elif not math.isclose(float(one or 0), float(two or 0), rel_tol=1e-15, abs_tol=1e-15):
            return False
    return True


def _known_rows(solved: Solved, kept: Archive) -> list[Row]:
    """Rows of the WCSs that the file had, the pipeline's first."""
    names = alternate_names(solved.chips)
    order = sorted(names, key=lambda key: (key != PIPELINE_KEY, key))
    models = model_names(solved.file.hdus[0].header)
    rows = []
    for key in (*order, ""):
        for chip in solved.chips:
            header = chip.hdu.header
            name = text_of(header, f"WCSNAME{key}")
            if not key:
                name, key_now = kept.name or name, kept.key
            else:
                key_now = key
            if name:
                rows.append(_row(name, key_now, chip.hdu.extver, header, key, solved, models))
    return rows


def _row(
    name: str,
    key_now: str,
    extver: int,
    header: Cards,
    key: str,
    solved: Solved,
    models: Mapping[str, str],
) -> Row:
    """Tell of a WCS as it stands in a header under a key."""
    row: Row = {"WCS_ID": name, "WCS_key": key_now, "EXTVER": extver}
    row |= {column: number_of(header, column + key) for column in _NUMBERS[:8]}
    row |= {column: text_of(header, column + key) for column in _TEXTS_AFTER}
    cd12, cd22 = number_of(header, f"CD1_2{key}"), number_of(header, f"CD2_2{key}")
    row["ORIENTAT"] = math.degrees(math.atan2(cd12 or 0.0, cd22 or 0.0))
    row["RMS_RA"], row["RMS_Dec"] = (number_of(header, f"CRDER{k}{key}") for k in (1, 2))
    matches = number_of(header, f"NMATCH{key}") or (not key and number_of(header, "NMATCHES"))
    row["NMatch"] = int(matches) if matches and matches < 2**31 else 0
    row["Catalog"], row["HDRNAME"] = (text_of(header, f"{k}{key}") for k in ("CATALOG", "HDRNAME"))
    row["PA_V3"] = number_of(solved.primary, "PA_V3")
    if name.upper() == PIPELINE_NAME:
        return row | {"DESCRIP": "Original WCS computed by OPUS"}
    return row | {column: models[column] for column in _MODELS}


def _new_rows(solved: Solved) -> list[Row]:
    """Rows of the solution."""
    models, hdrname = model_names(solved.primary), headerlet_name_of(solved)
    rows = []
    for chip in solved.chips:
        facts = chip.facts
        cards = {card.keyword: card.value for card in linear_cards(chip.distortion)}
        row: Row = {"WCS_ID": facts.wcsname, "WCS_key": "", "EXTVER": chip.hdu.extver}
        row |= {column: cards[column] for column in (*_NUMBERS[:9], *_TEXTS_AFTER)}
        row |= {column: models[column] for column in _MODELS}
        rms = [value / 3.6e6 for value in facts.rms_mas or (0.0, 0.0)]
        row |= {"RMS_RA": rms[0], "RMS_Dec": rms[1], "NMatch": facts.matches}
        row |= {"Catalog": facts.catalog, "DESCRIP": facts.descrip, "HDRNAME": hdrname}
        row["PA_V3"] = number_of(solved.primary, "PA_V3")
        rows.append(row)
    return rows


def _read(source: ByteSource, hdu: Hdu | None) -> list[Row]:
    """Read the rows that have a name; a table that cannot be read is made anew."""
    from astropy.io import fits

    if hdu is None:
        return []
    size = hdu.data_offset - hdu.header_offset
    length = hdu.shape[0] * hdu.shape[1] if len(hdu.shape) == 2 else 0
    if not 0 < length <= _MAX_BYTES:
        return []
    raw = source.read(hdu.header_offset, size + length, ext=hdu.label)
    try:
        table = fits.BinTableHDU.fromstring(raw + bytes(-len(raw) % 2880)).data
        names = {name.upper(): name for name in table.names}
        rows = [
            {own: _plain(row[names[own.upper()]]) for own in _ORDER if own.upper() in names}
            for row in table
        ]
    except (ValueError, TypeError, LookupError, OSError, fits.VerifyError) as error:
        log.warning("%s[%s] cannot be read and is made anew: %s", source.url, hdu.label, error)
        return []
    return [row for row in rows if text_of(row, "WCS_ID") not in ("", "0.0")]


def _plain(value: object) -> Value:
    """Turn a value of a table into a plain one."""
    plain = value.item() if hasattr(value, "item") else value
    return plain.strip() if isinstance(plain, str) else plain  # type: ignore[return-value]
