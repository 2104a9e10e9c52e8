"""Figures of the WCSs of a visit: each exposure's beside its others, and all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hapdask.astrometry.grism.between import correction_between
from hapdask.astrometry.grism.names import basis_of, is_fitted
from hapdask.astrometry.headers.ties import tie_of
from hapdask.observe.record import ExposureRecord
from hapdask.products.svm.quality import Item

#: What HAP calls the other WCSs of an exposure.
KINDS = ("default", "apriori", "aposteriori")
_UNITS = {
    "crpix1": "pixels", "crpix2": "pixels", "crval1": "degrees", "crval2": "degrees",
    "scale": "arcseconds/pixel", "orientation": "degrees",
}  # fmt: skip


def wcs_kind(wcsname: str) -> str:
    """Tell which of `KINDS` a WCS is, by its name."""
    if is_fitted(wcsname):
        return "aposteriori"
    return "apriori" if basis_of(wcsname) not in ("", "OPUS") else "default"


def wcs_items(solved: ExposureRecord, others: Iterable[ExposureRecord] = ()) -> dict[str, Item]:
    """Tell the WCS of an exposure, and how its others differ.

    Parameters
    ----------
    solved : ExposureRecord
        As it is in the products.
    others : iterable of ExposureRecord
        The same exposure with other WCSs of its file; of each kind the first counts.

    Returns
    -------
    dict of str to Item
        ``PrimaryWCS``; of each kind that there is, ``AlternateWCS_<kind>`` and ``DeltaWCS_<kind>``
        (the primary less the alternate), with what the move is on the sky.
    """
    primary = _figures(solved)
    items = {
        "PrimaryWCS": Item(
            {"primary_wcsname": solved.wcsname, "tie": str(tie_of(solved)), **primary},
            "WCS of the exposure in the products",
            _UNITS,
        )
    }
    for other in others:
        kind = wcs_kind(other.wcsname)
        if f"AlternateWCS_{kind}" in items:
            continue
        figures = _figures(other)
        delta: dict[str, Any] = {
            "delta_wcsname": f"{solved.wcsname} - {other.wcsname}",
            **{f"d_{name}": primary[name] - value for name, value in figures.items()},
        }
        between = correction_between(other, solved)
        east, north = (shift * 1000.0 for shift in between.correction.shift)
        delta |= {"east": east, "north": north, "rest": between.rms_mas}
        items[f"AlternateWCS_{kind}"] = Item(
            {"alt_wcsname": other.wcsname, **figures}, f"{kind} WCS of its file", _UNITS
        )
        units = {f"d_{name}": unit for name, unit in _UNITS.items()}
        units |= dict.fromkeys(("east", "north", "rest"), "mas")
        items[f"DeltaWCS_{kind}"] = Item(
            delta, f"primary WCS less the {kind} one; move on the sky, and what it leaves", units
        )
    return items


def alignment_items(
    records: Sequence[ExposureRecord], relative_mas: Mapping[str, float] | None = None
) -> dict[str, Item]:
    """Tell how the exposures of a visit are tied to the sky.

    Parameters
    ----------
    records : sequence of ExposureRecord
        As they are in the products, with the cards of their WCSs.
    relative_mas : mapping of str to float, optional
        Rms of the residuals of each exposure against the others of the visit.

    Returns
    -------
    dict of str to Item
    """
    ties = {record.name: tie_of(record) for record in records}
    fitted = [name for name, tie in ties.items() if tie.verified]
    rms = [math.hypot(*tie.rms_mas) for tie in ties.values() if tie.rms_mas is not None]
    table = {
        record.name: {
            "layer": record.layer_name,
            "wcsname": record.wcsname,
            "tie": str(ties[record.name]),
            "kind": ties[record.name].kind,
            "catalog": ties[record.name].catalog,
            "matches": ties[record.name].matches,
            "rms_mas": ties[record.name].rms_mas,
            "error_mas": ties[record.name].error_mas,
            "relative_mas": None if relative_mas is None else relative_mas.get(record.name),
            "verdict": record.verdict.status,
            "reason": record.verdict.reason,
        }
        for record in records
    }
    return {
        "number of exposures": Item(len(records), "exposures of the visit"),
        "number aligned": Item(len(fitted), "exposures tied to a catalog by a fit"),
        "catalogs": Item(
            sorted({tie.catalog for tie in ties.values() if tie.catalog}), "reference catalogs"
        ),
        "wcsnames": Item(sorted({r.wcsname for r in records}), "names of the WCSs"),
        "median fit rms": Item(
            float(np.median(rms)) if rms else None, "of the separations of matches", "mas"
        ),
        "exposures": Item(table, "each exposure", {"rms_mas": "mas", "error_mas": "mas"}),
    }


def header_warnings(records: Sequence[ExposureRecord]) -> list[str]:
    """Tell what the headers of exposures of one detector say that does not fit together."""
    found = []
    bases = {wcs_kind(record.wcsname) for record in records}
    if len(bases) > 1:
        found.append("exposures are tied to the sky in different ways: " + ", ".join(sorted(bases)))
    catalogs = sorted({tie_of(record).catalog for record in records} - {""})
    if len(catalogs) > 1:
        found.append(f"exposures are tied to different catalogs: {', '.join(catalogs)}")
    for keyword in ("IDCTAB", "NPOLFILE", "D2IMFILE", "IMPHTTAB", "CAL_VER"):
        values = {str(dict(record.keywords).get(keyword) or "").strip() for record in records}
        if len(values) > 1:
            found.append(
                f"{keyword} differs: {', '.join(sorted(value or '-' for value in values))}"
            )
    return found


def _figures(record: ExposureRecord) -> dict[str, float]:
    """Give the linear WCS of the first chip, as HAP tells it."""
    distortion = record.chips[0].distortion
    cd11, cd12, cd21, cd22 = distortion.cd
    return {
        "crpix1": distortion.crpix[0],
        "crpix2": distortion.crpix[1],
        "crval1": distortion.crval[0],
        "crval2": distortion.crval[1],
        "scale": math.hypot(cd11, cd21) * 3600.0,
        "orientation": math.degrees(math.atan2(cd12, cd22)),
    }
