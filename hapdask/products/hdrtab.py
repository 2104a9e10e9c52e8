"""HDRTAB: the binary table of all inputs, one row per chip in the order of CTX bits.

Columns are the keywords of the rules (`header_rules`), then hapdask's own: what was done to each
chip.  Missing numbers are NaN, and their column is of doubles even where the others are whole;
missing texts are empty.  Not here: the bytes of a table (`fits_table`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hapdask.errors import StoreError
from hapdask.observe.cards import Value
from hapdask.products.fits_table import Column, table_hdu
from hapdask.products.header_rows import table_row
from hapdask.products.names import sky_cell_name, visit_name

if TYPE_CHECKING:
    from hapdask.observe.parts import ChipRecord
    from hapdask.observe.record import ExposureRecord
    from hapdask.products.header_source import HeaderSource

NAME = "HDRTAB"
_NAME_WIDTH = 51


@dataclass(frozen=True, slots=True)
class _Own:
    """A column of hapdask's own: name, unit, meaning, and where its values come from."""

    name: str
    unit: str
    meaning: str
    value: Callable[[ExposureRecord, ChipRecord], Value]


def _correction(field: str, number: int) -> Callable[[ExposureRecord, ChipRecord], Value]:
    def value(exposure: ExposureRecord, chip: ChipRecord) -> Value:
        fit = exposure.correction
        return None if fit is None else float(getattr(fit, field)[number])

    return value


_OWN = (
    _Own("FLUXFACT", "", "SCI and ERR were multiplied by it", lambda e, c: c.flux_factor),
    _Own("SKYLEVEL", "", "subtracted from SCI, its unit", lambda e, c: c.sky),
    _Own("COR_RA", "deg", "tangent point of the alignment", _correction("center", 0)),
    _Own("COR_DEC", "deg", "tangent point of the alignment", _correction("center", 1)),
    _Own("COR_XI", "arcsec", "shift of the alignment to the east", _correction("shift", 0)),
    _Own("COR_ETA", "arcsec", "shift of the alignment to the north", _correction("shift", 1)),
    _Own("COR_M11", "", "matrix of the alignment", _correction("matrix", 0)),
    _Own("COR_M12", "", "matrix of the alignment", _correction("matrix", 1)),
    _Own("COR_M21", "", "matrix of the alignment", _correction("matrix", 2)),
    _Own("COR_M22", "", "matrix of the alignment", _correction("matrix", 3)),
)


def hdrtab(source: HeaderSource) -> bytes:
    """Make the whole HDU of HDRTAB.

    Parameters
    ----------
    source : HeaderSource
        Its chips are the rows; the level says which names of exposures are told.

    Returns
    -------
    bytes
        A multiple of 2880, checksums included; nothing where there are no chips.
    """
    columns = hdrtab_columns(source)
    return table_hdu(NAME, columns) if columns else b""


def hdrtab_columns(source: HeaderSource) -> list[Column]:
    """Make the columns; none where there are no chips."""
    pairs = [(exposure, chip) for exposure in source.exposures for chip in exposure.chips]
    if not pairs:
        return []
    rows = [table_row(exposure, chip) for exposure, chip in pairs]
    exposures = [exposure for exposure, _ in pairs]
    columns = _visit_columns(source, exposures)
    columns += [Column(name, [row.get(name) for row in rows]) for name in source.rules.columns]
    if source.level is not None:
        names = [_exposure_name(source, exposure) for exposure in exposures]
        columns.append(Column("HAPEXPNAME", names, width=_NAME_WIDTH))
    for own in _OWN:
        values = [own.value(exposure, chip) for exposure, chip in pairs]
        columns.append(Column(own.name, values, unit=own.unit, comment=own.meaning))
    return columns


def _visit_columns(source: HeaderSource, exposures: Sequence[ExposureRecord]) -> list[Column]:
    """Name the inputs' single-visit files, as the products of a sky cell do."""
    if source.level != 4:
        return []
    dates: list[Value] = [str(dict(e.keywords).get("DATE") or "")[:10] for e in exposures]
    names: list[Value] = [_visit_exposure(e) for e in exposures]
    return [Column("SVMROOTNAME", names), Column("GENDATE", dates, width=10)]


def _exposure_name(source: HeaderSource, exposure: ExposureRecord) -> Value:
    """Name of the exposure's own product: its root, after the layer or the visit."""
    if source.level != 4 or not source.cell:
        return _visit_exposure(exposure)
    layer = (exposure.instrument, exposure.detector, exposure.filter)
    return f"{sky_cell_name(source.cell, *layer).stem}-{exposure.name[:8]}"


def _visit_exposure(exposure: ExposureRecord) -> Value:
    """Name of the exposure in products of its visit; its own where it has no visit's name."""
    try:
        return visit_name(
            exposure.proposal,
            exposure.visit[4:6],
            exposure.instrument,
            exposure.detector,
            exposure.filter,
            exposure.name[:8],
        ).stem
    except StoreError:
        return exposure.name
