"""A list of sky positions with errors: what is matched and fitted, whatever it came from.

Here: the noun, and its tangent plane.  Not here: finding sources, reading catalogs, moving stars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import ParameterError
from hapdask.sky.tangent import project, unit_vectors

Floats = NDArray[np.float64]
Index = NDArray[np.bool_] | NDArray[np.int64] | slice

#: Where an error is unknown (NaN) it is taken to be this, mas: two HST pixels, little weight.
UNKNOWN_ERROR = 100.0


@dataclass(frozen=True, eq=False)
class Places:
    """Positions on the sky, with their errors.

    Attributes
    ----------
    name : str
        Of the exposure or catalog.
    ra, dec : ndarray of float64, shape (n,), degrees, ICRS
    ra_error, dec_error : ndarray of float64, shape (n,), mas
        1 sigma, along the sky; NaN becomes `UNKNOWN_ERROR`.
    mag : ndarray of float64, shape (n,)
        Any magnitudes; NaN unknown.
    detector : ndarray of float64, shape (n, 3), or None
        Chip and 0-based x, y of each, pixels: needed only to see what is fixed to the detector.
    shared_error : ndarray of float64, shape (n,), mas, or None
        Part per axis of an error that all have in common, beside the others, so that no number of
        stars averages it away: the mean motion of a field whose stars' motions are unknown.
    """

    name: str
    ra: Floats
    dec: Floats
    ra_error: Floats
    dec_error: Floats
    mag: Floats
    detector: Floats | None = None
    shared_error: Floats | None = None

    @classmethod
    def make(
        cls,
        name: str,
        ra: Floats,
        dec: Floats,
        error: Floats | float | tuple[Floats, Floats],
        *,
        mag: Floats | None = None,
        detector: Floats | None = None,
    ) -> Places:
        """Make a list, leaving out positions that are not finite.

        Parameters
        ----------
        name : str
        ra, dec : array_like, degrees
        error : array_like or pair of them, mas
            Of both axes, or of (RA, Dec).
        mag : array_like, optional
        detector : array_like, shape (n, 3), optional

        Raises
        ------
        ParameterError
            If lengths differ, or a declination is none.
        """
        ra, dec = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (ra, dec))
        if ra.ndim != 1 or ra.shape != dec.shape:
            raise ParameterError(f"{name}: {ra.shape} right ascensions, {dec.shape} declinations")
        pair = error if isinstance(error, tuple) else (error, error)
        try:
            errors = [np.broadcast_to(np.asarray(e, np.float64), ra.shape) for e in pair]
            mags = np.broadcast_to(np.asarray(math.nan if mag is None else mag, float), ra.shape)
        except ValueError:
            raise ParameterError(f"{name}: errors or magnitudes are not one per position") from None
        if detector is not None and np.shape(detector) != (len(ra), 3):
            raise ParameterError(f"{name}: detector positions of shape {np.shape(detector)}")
        finite = np.isfinite(ra) & np.isfinite(dec)
        if np.any(np.abs(dec[finite]) > 90.0):
            raise ParameterError(f"{name}: declinations beyond 90 degrees; are the units degrees?")
        known = [np.where(np.isfinite(e) & (e >= 0), e, UNKNOWN_ERROR) for e in errors]
        place = None if detector is None else np.asarray(detector, np.float64)[finite]
        return cls(
            name,
            ra[finite] % 360.0,
            dec[finite],
            known[0][finite],
            known[1][finite],
            np.array(mags)[finite],
            place,
        )

    @classmethod
    def joined(cls, name: str, lists: Sequence[Places]) -> Places:
        """Put lists one after the other, at least one; detector positions are left out."""
        names = ("ra", "dec", "ra_error", "dec_error", "mag")
        columns = {n: np.concatenate([getattr(each, n) for each in lists]) for n in names}
        shared = np.concatenate([each.shared for each in lists])
        return cls(name, **columns, shared_error=shared if shared.any() else None)

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def errors_known(self) -> bool:
        """Whether any error was given: a user's list may have none."""
        return bool(np.any(self.ra_error != UNKNOWN_ERROR))

    @property
    def shared(self) -> Floats:
        """The shared error of each, 0 where there is none, mas, shape (n,)."""
        return np.zeros(len(self)) if self.shared_error is None else self.shared_error

    def take(self, index: Index) -> Places:
        """Give some of the positions."""
        optional = {n: getattr(self, n) for n in ("detector", "shared_error")}
        columns = {n: getattr(self, n) for n in ("ra", "dec", "ra_error", "dec_error", "mag")}
        columns |= {n: v for n, v in optional.items() if v is not None}
        return replace(self, **{n: v[index] for n, v in columns.items()})

    def in_plane(self, center: tuple[float, float]) -> Plane:
        """Project on a tangent plane; what lies 90 degrees away or more is left out of sight.

        Parameters
        ----------
        center : tuple of float, degrees
        """
        xi, eta = project(self.ra, self.dec, *center)
        xy = 3600.0 * np.stack([xi, eta], axis=1)
        xy[~np.isfinite(xy)] = 1e9
        error = np.stack([self.ra_error, self.dec_error], axis=1) / 1000.0
        return Plane(xy, error**2)


@dataclass(frozen=True, eq=False)
class Plane:
    """Positions in a tangent plane.

    Attributes
    ----------
    xy : ndarray of float64, shape (n, 2), arcsec
        East and north.  The east of a pole's plane is not each star's own, and errors are taken
        along the plane's axes: equal errors of both axes make that exact.
    variance : ndarray of float64, shape (n, 2), arcsec^2
    """

    xy: Floats
    variance: Floats

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, index: Index) -> Plane:
        """Give some of the positions."""
        return Plane(self.xy[index], self.variance[index])


def center_of(*lists: Places) -> tuple[float, float]:
    """Give the mean direction of some lists' positions, degrees; ParameterError if none has any."""
    vectors = [unit_vectors(each.ra, each.dec).sum(axis=0) for each in lists if len(each)]
    total = np.sum(vectors, axis=0) if vectors else np.zeros(3)
    if not np.linalg.norm(total) > 0:
        raise ParameterError("no position to make a tangent plane of")
    x, y, z = (float(v) for v in total)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))
