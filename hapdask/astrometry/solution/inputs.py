"""What the joint solution is given: positions of sources per exposure, and reference stars.

Here: the two nouns, their checks, and their canonical order, which makes every later step
independent of the order of the inputs.  Not here: detection, catalogs, first alignment.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.geometry import GEOMETRIES
from hapdask.errors import ParameterError
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord
from hapdask.sky.tangent import project, sky_of, unit_vectors

Floats = NDArray[np.float64]

#: How a star is known: by a catalog, or as a release's reference star, star, or galaxy.
CATALOG, REFERENCE, SOLVED, GALAXY = 0, 1, 2, 3

_COLUMNS = (
    *("ra", "dec", "epoch", "ra_error", "dec_error"),
    *("pmra", "pmdec", "pmra_error", "pmdec_error", "parallax"),
)


class References(Protocol):
    """The columns of a `ReferenceCatalog` that are used here."""

    @property
    def ra(self) -> Floats: ...  # noqa: D102
    @property
    def dec(self) -> Floats: ...  # noqa: D102
    @property
    def ra_error(self) -> Floats: ...  # noqa: D102
    @property
    def dec_error(self) -> Floats: ...  # noqa: D102
    @property
    def pmra(self) -> Floats: ...  # noqa: D102
    @property
    def pmdec(self) -> Floats: ...  # noqa: D102
    @property
    def pmra_error(self) -> Floats: ...  # noqa: D102
    @property
    def pmdec_error(self) -> Floats: ...  # noqa: D102
    @property
    def parallax(self) -> Floats: ...  # noqa: D102
    @property
    def epoch(self) -> Floats: ...  # noqa: D102


class Detected(Protocol):
    """The columns of a `SourceList` that are used here."""

    @property
    def extver(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def error(self) -> Floats: ...  # noqa: D102
    def sky(self, record: ExposureRecord) -> tuple[Floats, Floats]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class ExposureSources:
    """The sources of one exposure, where its own header puts them.

    Attributes
    ----------
    name : str
        Of the exposure; unique.
    visit : str
        Exposures of one visit share the errors of their headers.
    detector : str
        ``"wfc3.uvis"``: for the systematic floor.
    mjd : float
        Middle of the exposure.
    center : tuple of float, degrees
        Tangent point; the correction acts in its plane.
    xi, eta : ndarray of float64, shape (n,), arcsec
        Tangent-plane positions, east and north, by the header.
    error : ndarray of float64, shape (n,), mas
        1 sigma per axis.
    galaxy : ndarray of bool, shape (n,), or None
        Sources that have no proper motion; None: all are stars.
    start : Correction or None
        The first alignment, good to a fraction of the association's radius.
    geometry : {"shift", "rshift", "rscale", "general"}
    """

    name: str
    visit: str
    detector: str
    mjd: float
    center: tuple[float, float]
    xi: Floats
    eta: Floats
    error: Floats
    galaxy: NDArray[np.bool_] | None = None
    start: Correction | None = None
    geometry: str = "rscale"

    def __post_init__(self) -> None:
        if self.geometry not in GEOMETRIES:
            raise ParameterError(
                f"{self.name}: the geometry must be one of {', '.join(GEOMETRIES)}, "
                f"not {self.geometry!r}"
            )
        if not all(map(math.isfinite, (self.mjd, *self.center))) or abs(self.center[1]) > 90:
            raise ParameterError(
                f"{self.name}: mjd {self.mjd} and tangent point {self.center} must be a time and "
                "a place on the sky"
            )
        for name in ("xi", "eta", "error"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        shapes = {np.shape(a) for a in (self.xi, self.eta, self.error, self.still)}
        if len(shapes) != 1 or len(shapes.pop()) != 1:
            raise ParameterError(f"{self.name}: xi, eta, error and galaxy differ in length")

    def __len__(self) -> int:
        return len(self.xi)

    @property
    def still(self) -> NDArray[np.bool_]:
        """Which sources have no proper motion, shape (n,)."""
        if self.galaxy is None:
            return np.zeros(len(self.xi), bool)
        return np.asarray(self.galaxy, bool)

    @classmethod
    def of(
        cls,
        record: ExposureRecord,
        sources: Detected,
        *,
        galaxy: NDArray[np.bool_] | None = None,
        start: Correction | None = None,
        geometry: str = "rscale",
    ) -> ExposureSources:
        """Take the sources of a record that is not corrected yet.

        Parameters
        ----------
        record : ExposureRecord
        sources : SourceList
        galaxy, start, geometry
            See the class.

        Raises
        ------
        ParameterError
            If the record carries a correction.
        """
        if record.correction is not None:
            raise ParameterError(f"{record.name} is corrected already: give the record opened")
        center = middle_of(record)
        xi, eta = (3600.0 * c for c in project(*sources.sky(record), *center))
        scale = {chip.extver: chip.distortion.pixel_scale for chip in record.chips}
        pixel = np.array([scale[int(e)] for e in sources.extver])
        return cls(
            name=record.name,
            visit=record.visit,
            detector=f"{record.instrument}.{record.detector}",
            mjd=record.mid_mjd,
            center=center,
            xi=xi,
            eta=eta,
            error=1000.0 * pixel * sources.error,
            galaxy=galaxy,
            start=start,
            geometry=geometry,
        )

    @property
    def digest(self) -> str:
        """Hash of the measured positions, whatever their order; not of ``start``."""
        order = self._order()
        h = hashlib.sha256(repr((self.name, self.mjd, self.center)).encode())
        for column in (self.xi, self.eta, self.error, self.still):
            h.update(np.ascontiguousarray(column[order]).tobytes())
        return h.hexdigest()

    def _order(self) -> NDArray[np.intp]:
        return np.lexsort((self.still, self.error, self.eta, self.xi))

    def usable(self) -> tuple[ExposureSources, NDArray[np.intp]]:
        """Sort the sources, without those that are no measurement; also where each stood."""
        order = self._order()
        sane = np.isfinite(self.xi) & np.isfinite(self.eta) & np.isfinite(self.error)
        order = order[(sane & (self.error > 0))[order]]
        columns = {n: getattr(self, n)[order] for n in ("xi", "eta", "error")}
        still = None if self.galaxy is None else self.still[order]
        return replace(self, galaxy=still, **columns), order


def in_order(exposures: Iterable[ExposureSources]) -> list[ExposureSources]:
    """Sort exposures by time and name.

    Raises
    ------
    ParameterError
        If a name comes twice.
    """
    ordered = sorted(exposures, key=lambda e: (e.mjd, e.name))
    names = sorted(e.name for e in ordered)
    twice = sorted({a for a, b in pairwise(names) if a == b})
    if twice:
        raise ParameterError(f"these exposures are given twice: {', '.join(twice)}")
    return ordered


@dataclass(frozen=True, eq=False)
class Stars:
    """Reference stars as plain columns, sorted by place; `which` is the row in the catalog.

    Attributes
    ----------
    direction : ndarray of float64, shape (n, 3)
        At their own epoch.
    epoch : ndarray of float64, shape (n,), Julian year
    error : ndarray of float64, shape (n, 2), mas
        East, north.
    pm, pm_error : ndarray of float64, shape (n, 2), mas / yr
        0 and NaN where unknown.
    parallax : ndarray of float64, shape (n,), mas
        0 where unknown.
    which : ndarray of int, shape (n,)
    known : ndarray of int, shape (n,)
        How: `CATALOG`, or as a release's `REFERENCE`, `SOLVED` (a star) or `GALAXY`.
    """

    direction: Floats
    epoch: Floats
    error: Floats
    pm: Floats
    pm_error: Floats
    parallax: Floats
    which: NDArray[np.intp]
    known: NDArray[np.intp]

    @property
    def released(self) -> NDArray[np.bool_]:
        """Which are sources of a release: the errors of its exposures are in all of them."""
        return np.asarray(self.known > CATALOG)

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Which are sources of a release that no catalog has."""
        return np.asarray(self.known >= SOLVED)

    def measured(self, limit: float) -> NDArray[np.bool_]:
        """Tell whose proper motion is known better than to so many mas / yr."""
        return np.asarray(self.pm_error.max(axis=1) < limit)

    @classmethod
    def of(
        cls,
        catalog: References | None,
        default_error: float,
        kinds: Mapping[tuple[float, float, float], str] | None = None,
    ) -> Stars:
        """Take the stars of a catalog whose places and epochs are finite.

        Parameters
        ----------
        catalog : ReferenceCatalog or None
        default_error : float, mas
        kinds : mapping, optional
            Of right ascension, declination and epoch to the kind of a release's source.
        """
        if catalog is None:
            none, nowhere = np.zeros((0, 2)), np.zeros(0, np.intp)
            return cls(np.zeros((0, 3)), none[:, 0], none, none, none, none[:, 0], nowhere, nowhere)
        c = {name: np.asarray(getattr(catalog, name), np.float64) for name in _COLUMNS}
        order = np.lexsort((c["ra_error"], c["epoch"], c["dec"], c["ra"] % 360.0))
        sane = np.isfinite(c["ra"]) & (np.abs(c["dec"]) <= 90.0) & np.isfinite(c["epoch"])
        order = order[sane[order]]
        c = {name: column[order] for name, column in c.items()}
        error = np.stack([c["ra_error"], c["dec_error"]], axis=1)
        pm = np.stack([c["pmra"], c["pmdec"]], axis=1)
        pm_error = np.stack([c["pmra_error"], c["pmdec_error"]], axis=1)
        known = np.all(np.isfinite(pm) & (pm_error > 0), axis=1, keepdims=True)
        return cls(
            direction=unit_vectors(c["ra"], c["dec"]),
            epoch=c["epoch"],
            error=np.where(np.isfinite(error) & (error > 0), error, default_error),
            pm=np.where(known, pm, 0.0),
            pm_error=np.where(known, pm_error, np.nan),
            parallax=np.where(np.isfinite(c["parallax"]), c["parallax"], 0.0),
            which=order,
            known=_known_as(c, kinds or {}),
        )


def middle_of(record: ExposureRecord) -> tuple[float, float]:
    """RA and Dec of the middle of an exposure's chips, degrees, to 9 digits."""
    borders = [unit_vectors(*chip.border()) for chip in record.chips]
    ra, dec = (float(c) for c in sky_of(np.sum([b.mean(axis=0) for b in borders], axis=0)))
    return round(ra, 9), round(dec, 9)


def _known_as(
    columns: Mapping[str, Floats], kinds: Mapping[tuple[float, float, float], str]
) -> NDArray[np.intp]:
    """Tell how each star is known: a source of a release has its very numbers."""
    number = {"": CATALOG, "reference": REFERENCE, "star": SOLVED, "galaxy": GALAXY}
    keys = zip(*(columns[n].tolist() for n in ("ra", "dec", "epoch")), strict=True)
    return np.array([number[kinds.get(key, "")] for key in keys], np.intp)
