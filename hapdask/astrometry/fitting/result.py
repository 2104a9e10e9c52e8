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
    """

    correction: Correction
    geometry: str
    pairs: Pairs
    rejected: int
    residuals: Floats
    rms_mas: tuple[float, float]
    covariance: Floats
    chi2: float

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


def plane_variance(covariance: Floats, xy: Floats) -> Floats:
    """Variance of a corrected position, both axes together, arcsec^2, shape (n,)."""
    one, none = np.ones(len(xy)), np.zeros(len(xy))
    rows = (
        np.stack([xy[:, 0], xy[:, 1], none, none, one, none], axis=1),
        np.stack([none, none, xy[:, 0], xy[:, 1], none, one], axis=1),
    )
    total: Floats = sum(np.einsum("ni,ij,nj->n", r, covariance, r) for r in rows)
    return total
