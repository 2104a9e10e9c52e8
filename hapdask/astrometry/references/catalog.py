"""`ReferenceCatalog`: stars with positions, motions and errors, moved to any date.

Here: the immutable noun, its selections, its motion to an exposure's date, its table.  Not here:
reading (`files`, `gsss`, ...), the checks of what was read (`standard`), and the formulae of
motion (`motion`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hapdask.astrometry.references.motion import PM_PRIOR, Motion, earth, julian_year, move
from hapdask.astrometry.references.region import Region
from hapdask.errors import ParameterError
from hapdask.sky.tangent import wrap

if TYPE_CHECKING:
    from astropy.table import Table

FloatArray = npt.NDArray[np.float64]
Index = npt.NDArray[np.bool_] | npt.NDArray[np.int64] | slice

#: The numbers of a catalog and their units, in the order of its table.
UNITS: Mapping[str, str] = {
    "ra": "deg",
    "dec": "deg",
    "ra_error": "mas",
    "dec_error": "mas",
    "pmra": "mas / yr",
    "pmdec": "mas / yr",
    "pmra_error": "mas / yr",
    "pmdec_error": "mas / yr",
    "parallax": "mas",
    "parallax_error": "mas",
    "epoch": "yr",
    "mag": "mag",
}


@dataclass(frozen=True, eq=False)
class ReferenceCatalog:
    """Reference stars.  Immutable; arrays are read-only, of float64, shape (n,).

    Parameters
    ----------
    ra, dec : ndarray
        ICRS degrees at each star's epoch.
    ra_error, dec_error : ndarray
        1-sigma, mas, that of RA times cos(dec); always finite.
    pmra, pmdec, pmra_error, pmdec_error : ndarray
        Proper motion, that in RA times cos(dec), and its errors, mas / yr; NaN unknown.
    parallax, parallax_error : ndarray
        mas; NaN unknown.
    epoch : ndarray
        Julian year of each star's position.
    mag : ndarray
        Magnitude in the catalog's own band; NaN unknown.
    ids : ndarray of str
        The catalog's names of its stars; may be empty strings.
    name : str
        Of the catalog, as it stands in a WCSNAME: ``GAIAeDR3``.
    origin : str
        File or query.
    date : str
        When it was read or asked for, ISO 8601; empty where that is not known.
    published : ReferenceCatalog, optional
        Of a moved catalog: the stars as the source has them.

    Raises
    ------
    ParameterError
        Arrays of differing lengths, positions or errors that are none.
    """

    ra: FloatArray
    dec: FloatArray
    ra_error: FloatArray
    dec_error: FloatArray
    pmra: FloatArray
    pmdec: FloatArray
    pmra_error: FloatArray
    pmdec_error: FloatArray
    parallax: FloatArray
    parallax_error: FloatArray
    epoch: FloatArray
    mag: FloatArray
    ids: npt.NDArray[np.str_]
    name: str
    origin: str
    date: str = ""
    published: ReferenceCatalog | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        size = np.size(self.ra)
        for name in (*UNITS, "ids"):
            kind: Any = np.str_ if name == "ids" else np.float64
            values = np.array(getattr(self, name), dtype=kind)
            if values.shape != (size,):
                raise ParameterError(f"{name} has shape {values.shape}, not ({size},)")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if not (np.isfinite(self.ra).all() and (np.abs(self.dec) <= 90.0).all()):
            raise ParameterError(f"{self.name}: a star has no position on the sky")
        if not np.isfinite(self.epoch).all():
            raise ParameterError(f"{self.name}: a star has no epoch")
        for errors in (self.ra_error, self.dec_error):
            if not (np.isfinite(errors) & (errors >= 0.0)).all():
                raise ParameterError(f"{self.name}: an error is not finite or below 0")

    @classmethod
    def of(
        cls,
        ra: npt.ArrayLike,
        dec: npt.ArrayLike,
        *,
        error: npt.ArrayLike = 1.0,
        epoch: npt.ArrayLike = 2016.0,
        ids: npt.ArrayLike | None = None,
        name: str = "user",
        origin: str = "memory",
        date: str = "",
        **others: npt.ArrayLike,
    ) -> ReferenceCatalog:
        """Make a catalog from arrays; what is not given is unknown.

        Parameters
        ----------
        ra, dec : array_like, shape (n,)
            ICRS degrees.
        error : array_like
            Of both axes, mas; ``ra_error`` and ``dec_error`` override it.
        epoch : array_like
            Julian year.
        ids : array_like of str, optional
            The stars' rank where not given.
        name, origin, date : str
        **others : array_like
            Any other of the catalog's arrays; numbers are taken for all stars.

        Raises
        ------
        ParameterError
            An array that a catalog does not have, or what the class refuses.

        Examples
        --------
        >>> stars = ReferenceCatalog.of([10.0], [0.0], pmra=100.0, pmdec=0.0, epoch=2000.0)
        >>> round(float(stars.at(55197.0).ra[0] - 10.0) * 3.6e6 / 100.0)  # years
        10
        """
        if unknown := sorted(set(others) - set(UNITS)):
            raise ParameterError(f"a reference catalog has no {', '.join(unknown)}")
        ra = wrap(np.atleast_1d(np.asarray(ra, dtype=np.float64)))
        given = {"ra_error": error, "dec_error": error, "epoch": epoch} | others
        numbers = {
            key: np.broadcast_to(np.asarray(given.get(key, np.nan), dtype=np.float64), ra.shape)
            for key in UNITS
            if key not in ("ra", "dec")
        }
        names = np.arange(1, ra.size + 1).astype(np.str_) if ids is None else np.asarray(ids)
        return cls(
            ra=ra,
            dec=np.atleast_1d(np.asarray(dec, dtype=np.float64)),
            ids=names.astype(np.str_),
            name=name,
            origin=origin,
            date=date,
            published=None,
            **numbers,
        )

    def __len__(self) -> int:
        return int(self.ra.size)

    def at(self, mjd: float, *, pm_prior: float = PM_PRIOR) -> ReferenceCatalog:
        """Move the stars to a date, as seen from the Earth, errors grown.

        Parameters
        ----------
        mjd : float
            Modified Julian Date, as mid-exposure.
        pm_prior : float
            Scatter per axis of the proper motions that the catalog does not know, mas / yr: such
            stars keep their place, and their errors grow by it.

        Returns
        -------
        ReferenceCatalog
            Always moved from the published positions: ``c.at(a).at(b)`` is ``c.at(b)``.

        Raises
        ------
        ParameterError
            If this is no date or no scatter.
        """
        if not np.isfinite(mjd):
            raise ParameterError(f"mjd = {mjd} is not a date")
        if not (np.isfinite(pm_prior) and pm_prior >= 0.0):
            raise ParameterError(f"pm_prior = {pm_prior} is not a scatter in mas / yr")
        if self.published is not None:
            return self.published.at(mjd, pm_prior=pm_prior)
        year = float(julian_year(mjd))
        motion = Motion(*(getattr(self, name) for name in Motion._fields))
        moved = move(
            self.ra,
            self.dec,
            (self.ra_error, self.dec_error),
            motion,
            year - self.epoch,
            earth(mjd),
            pm_prior,
        )
        epoch = np.full(len(self), year)
        return replace(self, **moved._asdict(), epoch=epoch, published=self)

    def within(self, region: Region) -> ReferenceCatalog:
        """Return the stars inside a `Cone` or `Footprint`, where they stand in this catalog."""
        return self.take(region.contains(self.ra, self.dec))

    def take(self, index: Index) -> ReferenceCatalog:
        """Return the stars of a mask, of indices or of a slice, in that order."""
        chosen = {name: getattr(self, name)[index] for name in (*UNITS, "ids")}
        published = None if self.published is None else self.published.take(index)
        return replace(self, **chosen, published=published)

    def brightest(self, n: int) -> ReferenceCatalog:
        """Return the n brightest stars in catalog order; magnitudes unknown come last."""
        return self.take(np.sort(np.argsort(self.mag, kind="stable")[: max(n, 0)]))

    def faintest(self, n: int) -> ReferenceCatalog:
        """Return the n faintest stars in catalog order; magnitudes unknown come last."""
        return self.take(np.sort(np.argsort(-self.mag, kind="stable")[: max(n, 0)]))

    def to_table(self) -> Table:
        """Return an astropy Table with units, of the stars as they stand here."""
        from astropy.table import Column, Table

        columns = [Column(self.ids, name="id")]
        columns += [Column(getattr(self, key), name=key, unit=UNITS[key]) for key in UNITS]
        meta = {"name": self.name, "origin": self.origin, "date": self.date}
        return Table(columns, meta=meta, copy=True)
