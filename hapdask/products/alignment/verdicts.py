"""The verdicts of an alignment as a table, and as the text that a person reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.guiding import Guiding
from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord

if TYPE_CHECKING:
    from astropy.table import Table

#: Columns of the table, their units and what they are.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "exposure": ("", "rootname"),
    "visit": ("", "proposal and visit"),
    "detector": ("", "instrument/detector"),
    "filter": ("", "filter"),
    "status": ("", "aligned, confirmed, relative or unaligned"),
    "reason": ("", "on what ground"),
    "catalog": ("", "reference catalog"),
    "method": ("", "how sources were matched, or joint"),
    "geometry": ("", "of the fit"),
    "matches": ("", "sources that the fit rests on"),
    "rms_mas": ("mas", "of the separations of matches"),
    "error_mas": ("mas", "stated error of positions, statistical, both axes"),
    "floor_mas": ("mas", "systematic error of the detector, per axis, not in error_mas"),
    "header_mas": ("mas", "how far the exposure is from its header, rms over it"),
    "east_mas": ("mas", "shift at the middle of the exposure"),
    "north_mas": ("mas", "shift at the middle of the exposure"),
    "rotation": ("deg", "from north to east"),
    "scale": ("", "of the correction"),
    "grade": ("", "1 good to 5 without a tie to a catalog, as HAP's"),
    "reference": ("", "exposure that the others of its group were aligned to"),
    "sources": ("", "detected and fit for use"),
    "guiding": ("", "good, trailed or unknown"),
    "trail": ("arcsec", "length of the streak that sources share"),
    "wcsname": ("", "of its WCS now"),
    "file": ("", "address"),
}


def exposure_row(
    opened: ExposureRecord,
    placement: Placement,
    guiding: Guiding,
    facts: WcsFacts | None,
    sources: int,
) -> dict[str, Any]:
    """Give the row of an exposure, by the names of `COLUMNS`."""
    east, north, rotation, scale = _moved(placement.correction)
    return {
        "exposure": opened.name,
        "visit": opened.visit,
        "detector": f"{opened.instrument}/{opened.detector}",
        "filter": opened.filter,
        "status": placement.status,
        "reason": placement.reason,
        "catalog": placement.catalog,
        "method": placement.method,
        "geometry": placement.geometry,
        "matches": placement.matches,
        "rms_mas": placement.rms_mas,
        "error_mas": placement.error_mas,
        "floor_mas": placement.floor_mas,
        "header_mas": placement.header_mas,
        "east_mas": east,
        "north_mas": north,
        "rotation": rotation,
        "scale": scale,
        "grade": placement.grade,
        "reference": placement.reference,
        "sources": sources,
        "guiding": guiding.status,
        "trail": guiding.length,
        "wcsname": facts.wcsname if facts else opened.wcsname,
        "file": opened.url,
    }


def verdict_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Tabulate rows of `exposure_row`, with units and descriptions."""
    from astropy.table import Table

    made = Table({name: _column([row[name] for row in rows], name) for name in COLUMNS})
    for name, (unit, text) in COLUMNS.items():
        made[name].description = text
        if unit:
            made[name].unit = unit
    return made


def _column(values: list[Any], name: str) -> np.ndarray[Any, Any]:
    if name in ("matches", "grade", "sources"):
        return np.array(values, np.int64)
    if COLUMNS[name][0] or name == "scale":
        return np.array(values, np.float64)
    return np.array(values, np.str_)


def _moved(correction: Correction | None) -> tuple[float, float, float, float]:
    """Shift (mas) at the tangent point, rotation (degrees, north to east) and scale."""
    if correction is None:
        return 0.0, 0.0, 0.0, 1.0
    a, b, c, d = correction.matrix
    east, north = (1000.0 * s for s in correction.shift)
    rotation = math.degrees(math.atan2(b - c, a + d))
    return east, north, rotation, math.sqrt(abs(a * d - b * c))
