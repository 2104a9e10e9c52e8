"""What a fit found: the correction, its uncertainty, and the residuals it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.matching.nearest import Pairs
from hapdask.observe.distortion import Correction

Floats = NDArray[np.float64]

#: Simplest first; each holds the one before.
GEOMETRIES = ("shift", "rshift", "rscale", "general")
#: Numbers that a geometry fits.
PARAMETERS = {"shift": 2, "rshift": 3, "rscale": 4, "general": 6}
#: Matches from which neighbours tell what they share, and how many times its noise that must be.
_TELLING, _SURE = 12, 3.0


@dataclass(frozen=True, eq=False)
class Fit:
    """A correction and what it rests on.

    Attributes
    ----------
    correction : Correction
        Of the sources' positions, for `ExposureRecord.corrected`.
    geometry : {"shift", "rshift", "rscale", "general"}
    pairs : Pairs
        Matches used, as indices of the two lists.
    rejected : int
        Matches within the first tolerance that were clipped.
    residuals : ndarray of float64, shape (matches, 2), mas
        Reference less corrected source, along xi and eta.
    rms_mas : tuple of float
        Of the residuals, about 0, along RA and Dec.
    covariance : ndarray of float64, shape (6, 6)
        Of m11, m12, m21, m22 (dimensionless) and the shifts (arcsec); statistical, grown where
        residuals are larger than the errors of the positions explain.  What was not fitted has 0.
    chi2 : float
        Per degree of freedom, before that growth.
    misfit_mas : float
        Part per axis of the residuals that neighbours share: what the geometry cannot follow, and
        no number of matches averages away.  It is in the covariance.
    """

    correction: Correction
    geometry: str
    pairs: Pairs
    rejected: int
    residuals: Floats
    rms_mas: tuple[float, float]
    covariance: Floats
    chi2: float
    misfit_mas: float = 0.0

    @property
    def matches(self) -> int:
        """Number of matches used."""
        return len(self.pairs)

    @property
    def total_rms_mas(self) -> float:
        """Of the separations."""
        return math.hypot(*self.rms_mas)

    @property
    def rotation(self) -> float:
        """Mean rotation of the axes, degrees, from xi towards eta."""
        a, b, c, d = self.correction.matrix
        return math.degrees(math.atan2(c - b, a + d))

    @property
    def scale(self) -> float:
        """Square root of the determinant."""
        a, b, c, d = self.correction.matrix
        return math.sqrt(abs(a * d - b * c))

    @property
    def skew(self) -> float:
        """How far the axes are from being perpendicular, degrees."""
        a, b, c, d = self.correction.matrix
        return math.degrees(math.atan2(-b, d) - math.atan2(c, a))

    def apply(self, xy: Floats) -> Floats:
        """Correct positions of the tangent plane, arcsec, shape (n, 2)."""
        return apply_correction(self.correction, xy)

    def error_at(self, xy: Floats) -> Floats:
        """Give the statistical error of corrected positions.

        Parameters
        ----------
        xy : ndarray of float64, shape (n, 2), arcsec
            In the plane of the correction.

        Returns
        -------
        ndarray of float64, shape (n,), mas
            Root of the sum of both axes' variances.
        """
        return 1000.0 * np.sqrt(np.maximum(plane_variance(self.covariance, xy), 0.0))

    def with_pairs(self, pairs: Pairs) -> Fit:
        """Give a copy whose pairs count in other lists."""
        return replace(self, pairs=pairs)


def apply_correction(correction: Correction, xy: Floats) -> Floats:
    """Correct positions of the tangent plane of a correction, arcsec, shape (n, 2)."""
    moved: Floats = xy @ np.reshape(correction.matrix, (2, 2)).T + np.array(correction.shift)
    return moved


def compose(second: Correction, first: Correction) -> Correction:
    """Give the one correction that does ``first``, then ``second``; both of one tangent plane."""
    if second.center != first.center:
        raise ValueError("corrections of two tangent planes do not compose exactly")
    outer, inner = (np.reshape(c.matrix, (2, 2)) for c in (second, first))
    return as_correction(
        first.center, outer @ inner, outer @ np.array(first.shift) + np.array(second.shift)
    )


def inverse(correction: Correction) -> Correction:
    """Give the correction that undoes one."""
    back = np.linalg.inv(np.reshape(correction.matrix, (2, 2)))
    return as_correction(correction.center, back, -back @ np.array(correction.shift))


def as_correction(center: tuple[float, float], matrix: Floats, shift: Floats) -> Correction:
    """Make plain numbers of arrays."""
    a, b, c, d = (float(v) for v in np.ravel(matrix))
    return Correction((float(center[0]), float(center[1])), (a, b, c, d), tuple(map(float, shift)))  # type: ignore[arg-type]


def shared_covariance(shared: Floats, variance: Floats) -> Floats:
    """Covariance that an error common to all references adds to a fit, shape (6, 6), arcsec^2.

    Parameters
    ----------
    shared : ndarray of float64, shape (n,), mas
        Of each reference used (`Places.shared`).
    variance : ndarray of float64, shape (n, 2), arcsec^2
        By which they were weighted.
    """
    added = np.zeros((6, 6))
    if len(shared) and shared.any():
        common = np.average(np.stack([shared, shared], axis=1), axis=0, weights=1.0 / variance)
        added[4, 4], added[5, 5] = (common / 1000.0) ** 2
    return added


def untouched_covariance(
    geometry: str,
    xy: Floats,
    residuals: Floats,
    variance: Floats,
    *,
    roll: float,
    scale: float,
) -> Floats:
    """Covariance that a header's roll and scale add where a geometry leaves them alone.

    How wrong headers may be is known; many matches tell it better, and what they tell was not
    taken either.

    Parameters
    ----------
    geometry : str
    xy, residuals, variance : ndarray of float64, shape (n, 2), arcsec, arcsec^2
        Of the matches: about their middle the exposure is turned and stretched.
    roll : float, radians
        Error of the header.
    scale : float
        The same.

    Returns
    -------
    ndarray of float64, shape (6, 6), arcsec^2
    """
    x, y = xy.mean(axis=0)
    u, v = (xy - (x, y)).T
    added = np.zeros((6, 6))
    if geometry == "shift":
        turn = np.stack([-v, u], axis=1)
        lever = np.array([0.0, -1.0, 1.0, 0.0, y, -x])
        added += np.outer(lever, lever) * _left_out(turn, residuals, variance, roll)
    if geometry in ("shift", "rshift"):
        stretch = np.stack([u, v], axis=1)
        lever = np.array([1.0, 0.0, 0.0, 1.0, -x, -y])
        added += np.outer(lever, lever) * _left_out(stretch, residuals, variance, scale)
    return added


def _left_out(moves: Floats, residuals: Floats, variance: Floats, error: float) -> float:
    """Mean square of a parameter that was left at 0, of known error, after residuals were seen."""
    if not error > 0:
        return 0.0
    weight = float((moves**2 / variance).sum()) + 1.0 / error**2
    found = float((moves * residuals / variance).sum()) / weight
    return 1.0 / weight + found**2


def shared_by_neighbours(xy: Floats, residuals: Floats) -> float:
    """Variance per axis of the part of residuals that nearest neighbours share; 0 if it is noise.

    Parameters
    ----------
    xy, residuals : ndarray of float64, shape (n, 2)
    """
    from scipy.spatial import KDTree

    if len(xy) < _TELLING:
        return 0.0
    _, near = KDTree(xy).query(xy, k=2)
    common = float((residuals * residuals[near[:, 1]]).sum(axis=1).mean()) / 2.0
    noise = float((residuals**2).sum(axis=1).mean()) / 2.0 / math.sqrt(len(xy))
    return common if common > _SURE * noise else 0.0


def plane_variance(covariance: Floats, xy: Floats) -> Floats:
    """Variance of a corrected position, both axes together, arcsec^2, shape (n,)."""
    one, none = np.ones(len(xy)), np.zeros(len(xy))
    rows = (
        np.stack([xy[:, 0], xy[:, 1], none, none, one, none], axis=1),
        np.stack([none, none, xy[:, 0], xy[:, 1], none, one], axis=1),
    )
    total: Floats = sum(np.einsum("ni,ij,nj->n", r, covariance, r) for r in rows)
    return total
