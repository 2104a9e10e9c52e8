"""From any table to a `ReferenceCatalog`: what is dropped is counted, what is absurd is refused.

Here: the steps that all sources share after reading.  Not here: reading, and the names of
columns (`columns`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hapdask.astrometry.references.catalog import UNITS, ReferenceCatalog
from hapdask.astrometry.references.columns import (
    check_field,
    numbers,
    recognise,
    reduced,
    text,
)
from hapdask.astrometry.references.epochs import as_years, epoch_of_columns
from hapdask.errors import InputError
from hapdask.sky.tangent import unit_vectors

if TYPE_CHECKING:
    from astropy.table import Table

FloatArray = npt.NDArray[np.float64]

#: Rows nearer than this are one star twice, arcsec: Hubble could not tell them apart either.
DUPLICATE_ARCSEC = 0.05
#: Medians beyond these are wrong units: errors and parallax errors in mas, motions in mas / yr.
_BELIEVABLE = {
    "ra_error": (2e-3, 5e3),
    "dec_error": (2e-3, 5e3),
    "pmra": (0.0, 1e3),
    "pmdec": (0.0, 1e3),
    "pmra_error": (1e-3, 1e3),
    "pmdec_error": (1e-3, 1e3),
    "parallax": (0.0, 300.0),
}


class Answer(NamedTuple):
    """Stars of a source as it has them, and what there is to say about its rows."""

    catalog: ReferenceCatalog
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Assumed:
    """Return what is taken for granted where a table does not say it.

    Parameters
    ----------
    epoch : float
        Julian year of positions without one.
    error : float
        1-sigma per axis of positions without one, mas.
    """

    epoch: float = 2016.0
    error: float = 10.0


#: Epoch and error of the catalogs that are known by name; a list of one's own is most likely
#: taken from Gaia.  Sources: the catalogs' own papers, rounded; GSC 2.4 without an epoch is plates.
KNOWN: Mapping[str, Assumed] = {
    "GAIAEDR3": Assumed(2016.0, 0.5),
    "GAIADR3": Assumed(2016.0, 0.5),
    "GAIADR2": Assumed(2015.5, 0.7),
    "GAIADR1": Assumed(2015.0, 10.0),
    "2MASS": Assumed(1999.5, 80.0),
    "PS1DR2": Assumed(2012.5, 20.0),
    "PS1BEST": Assumed(2012.5, 20.0),
    "GSC242": Assumed(1990.0, 200.0),
    "GSC241": Assumed(1990.0, 200.0),
}


def assumed_of(name: str) -> Assumed:
    """Return what is taken for granted of a catalog, by its name."""
    return KNOWN.get(name.upper(), Assumed())


def standardise(
    table: Table,
    *,
    name: str,
    origin: str,
    date: str = "",
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    assumed: Assumed | None = None,
) -> Answer:
    """Make a catalog of a table.

    Parameters
    ----------
    table : astropy Table
    name, origin, date : str
        Of the catalog; ``origin`` stands in messages.
    columns, units : mapping, optional
        Field to column and field to units, where the user says so.
    assumed : Assumed, optional
        In place of what is known of the catalog by its name.

    Returns
    -------
    Answer

    Raises
    ------
    InputError
        A column is missing or in impossible units, or no row can be used.
    ParameterError
        A field that does not exist.
    """
    for field in units or {}:
        check_field(field)
    table = _with_places(table)
    which = recognise(table.colnames, columns, origin)
    data = _numbers(table, which, units or {}, origin)
    ids = text(table[which["id"]]) if "id" in which else _ranks(len(table))
    notes: list[str] = []
    good = _usable_rows(data, notes)
    if len(table) and not good.any():
        raise InputError(
            origin,
            f"none of its {len(table)} rows has a position on the sky, with {which['ra']!r} as RA "
            f"and {which['dec']!r} as Dec; {'; '.join(notes)}",
            remedy=_other_places(table, columns or {}),
        )
    data = {field: values[good] for field, values in data.items()}
    for field, bounds in _BELIEVABLE.items():
        _check_median(field, data.get(field), bounds, which, origin)
    told = epoch_of_columns(reduced(which["ra"]), which)
    if told is not None and "epoch" not in data and assumed is None:
        data["epoch"] = np.full(data["ra"].size, told)
        notes.append(f"epoch {told:g} by the name of {which['ra']!r}")
    _fill(data, assumed or assumed_of(name), notes)
    _add_rounding(data, table, which, notes)
    catalog = ReferenceCatalog.of(
        data["ra"],
        data["dec"],
        ids=ids[good],
        name=name,
        origin=origin,
        date=date,
        **{field: data[field] for field in UNITS if field in data and field not in ("ra", "dec")},
    )
    return Answer(_without_duplicates(catalog, notes), tuple(notes))


def _other_places(table: Table, asked: Mapping[str, str]) -> str:
    """Say what to do about columns that are no positions: of asked ones, which would be known."""
    if not {"ra", "dec"} & asked.keys():
        return "check the columns and units of RA and Dec"
    told = "these columns were asked for: name others (refxcol, refycol)"
    try:
        known = recognise(table.colnames)
    except InputError:
        return f"{told}; it has {', '.join(table.colnames)}"
    return f"{told}, or none: {known['ra']!r} and {known['dec']!r} are known by their names"


def _with_places(table: Table) -> Table:
    """Turn a column of SkyCoord (photutils' ``sky_centroid``) into ICRS columns, with motions."""
    from astropy.coordinates import SkyCoord
    from astropy.table import Column, Table

    places = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    if not places:
        return table
    kept = Table([table[n] for n in table.colnames if n not in places], copy=False)
    if not {"ra", "dec"} & {reduced(name) for name in kept.colnames}:
        icrs = table[places[0]].icrs
        kept["ra"], kept["dec"] = Column(icrs.ra.deg, unit="deg"), Column(icrs.dec.deg, unit="deg")
        if "s" in icrs.data.differentials and "pmra" not in kept.colnames:
            kept["pmra"] = Column(icrs.pm_ra_cosdec.to_value("mas/yr"), unit="mas/yr")
            kept["pmdec"] = Column(icrs.pm_dec.to_value("mas/yr"), unit="mas/yr")
    return kept


def _add_rounding(
    data: dict[str, FloatArray], table: Table, which: Mapping[str, str], notes: list[str]
) -> None:
    """Add what single precision takes from places: 15 to 30 mas where the angle is large."""
    for field, error in (("ra", "ra_error"), ("dec", "dec_error")):
        if getattr(table[which[field]], "dtype", None) != np.float32:
            continue
        step = np.spacing(np.abs(data[field]).astype(np.float32)).astype(np.float64)
        if field == "ra":
            step = step * np.cos(np.radians(data["dec"]))
        rounding = 3.6e6 * step / np.sqrt(12.0)
        data[error] = np.hypot(data[error], rounding)
        notes.append(f"{field} in single precision: rounded to {rounding.max():.1f} mas")


def _without_duplicates(catalog: ReferenceCatalog, notes: list[str]) -> ReferenceCatalog:
    kept = _single(catalog)
    if len(kept) < len(catalog):
        notes.append(
            f"{len(catalog) - len(kept)} rows within {DUPLICATE_ARCSEC:g} arcsec of a star with "
            "a smaller error dropped as its duplicates"
        )
    return catalog.take(kept)


def _numbers(
    table: Table, which: Mapping[str, str], units: Mapping[str, str], origin: str
) -> dict[str, FloatArray]:
    return {
        field: numbers(field, table[column], units.get(field), origin)
        for field, column in which.items()
        if field != "id"
    }


def _ranks(n: int) -> npt.NDArray[np.str_]:
    return np.array([str(row) for row in range(1, n + 1)], dtype=np.str_)


def _usable_rows(data: dict[str, FloatArray], notes: list[str]) -> npt.NDArray[np.bool_]:
    ra, dec = data["ra"], data["dec"]
    finite = np.isfinite(ra) & np.isfinite(dec)
    on_sky = finite & (np.abs(dec) <= 90.0) & (ra >= -180.0) & (ra <= 360.0)
    if lost := int((~finite).sum()):
        notes.append(f"{lost} rows without a position dropped")
    if beyond := int((finite & ~on_sky).sum()):
        notes.append(f"{beyond} rows with RA or Dec beyond the sky dropped")
    return np.asarray(on_sky)


def _check_median(
    field: str,
    values: FloatArray | None,
    bounds: tuple[float, float],
    which: Mapping[str, str],
    origin: str,
) -> None:
    """Refuse units that the numbers give the lie to."""
    if values is None:
        return
    known = np.abs(values[np.isfinite(values) & (values != 0.0)])
    if not known.size:
        return
    median = float(np.median(known))
    if not bounds[0] <= median <= bounds[1]:
        told = f"{median:.3g} {UNITS[field]}"
        raise InputError(
            origin,
            f"column {which[field]!r}: half of its values are beyond {told}, "
            f"so it is not in {UNITS[field]}",
            remedy=f"give units={{{field!r}: ...}}, or name another column",
        )


def _fill(data: dict[str, FloatArray], assumed: Assumed, notes: list[str]) -> None:
    """Put in what the table does not say, and say that."""
    n = data["ra"].size
    for field in ("ra_error", "dec_error"):
        values = data.get(field, np.full(n, np.nan))
        missing = ~(np.isfinite(values) & (values > 0.0))
        data[field] = np.where(missing, assumed.error, values)
        if missing.any():
            notes.append(f"{field} of {int(missing.sum())} stars taken as {assumed.error:g} mas")
    for field in ("pmra_error", "pmdec_error", "parallax_error"):
        if field in data:
            data[field] = np.where(data[field] > 0.0, data[field], np.nan)
    years = as_years(data.get("epoch", np.full(n, np.nan)))
    missing = ~np.isfinite(years)
    data["epoch"] = np.where(missing, assumed.epoch, years)
    if missing.any():
        notes.append(f"epoch of {int(missing.sum())} stars taken as {assumed.epoch:g}")


def _first_of_each_place(catalog: ReferenceCatalog) -> npt.NDArray[np.int64]:
    """Return indices of the best row of each place that is the same to the last bit."""
    error = np.hypot(catalog.ra_error, catalog.dec_error)
    order = np.lexsort((np.arange(len(catalog)), error, catalog.dec, catalog.ra))
    ra, dec = catalog.ra[order], catalog.dec[order]
    is_new = np.ones(len(catalog), np.bool_)
    is_new[1:] = (np.diff(ra) != 0.0) | (np.diff(dec) != 0.0)
    return np.sort(order[is_new]).astype(np.int64)


def _single(catalog: ReferenceCatalog) -> npt.NDArray[np.int64]:
    """Return indices without duplicates: the smallest error stays, then the first."""
    from scipy.spatial import cKDTree

    everyone = np.arange(len(catalog), dtype=np.int64)
    if len(catalog) < 2:
        return everyone
    if len(same := _first_of_each_place(catalog)) < len(catalog):
        # thousands of rows at one place (0, 0 for "unknown") would be millions of pairs
        return same[_single(catalog.take(same))]
    points = unit_vectors(catalog.ra, catalog.dec)
    pairs = cKDTree(points).query_pairs(
        np.radians(DUPLICATE_ARCSEC / 3600.0), output_type="ndarray"
    )
    if not len(pairs):
        return everyone
    error = np.hypot(catalog.ra_error, catalog.dec_error)
    order = np.lexsort((everyone, error))
    rank = np.empty_like(order)
    rank[order] = everyone
    better = np.sort(rank[pairs], axis=1)
    dropped = np.zeros(len(catalog), dtype=np.bool_)
    # From the best on, so that what is dropped itself drops nobody.
    for first, second in better[np.lexsort((better[:, 1], better[:, 0]))]:
        if not dropped[first]:
            dropped[second] = True
    return everyone[~dropped[rank]]
