"""Which matches a fit uses: our robust rejection, and upstream's rules for compat.

Ours rejects by the distance in errors, which a robust scale grows where the errors are too small.
TweakReg's rule (facts 3.5) keeps |rx| < sigma rms_x w and |ry| < sigma rms_y w, with
w = n / (n - removed - 1), n the first number and the removed lagging one pass; HAP's fits are
tweakwcs's ``iter_linear_fit``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.linear import Solved, solve
from hapdask.astrometry.fitting.result import PARAMETERS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Median of a chi-square with two degrees of freedom.
_MEDIAN2 = 2 * math.log(2.0)
_PASSES = 12


@dataclass(frozen=True, eq=False)
class Clipped:
    """A fit of the matches that were kept.

    Attributes
    ----------
    solved : Solved
        Its residuals are of all matches.
    used : ndarray of bool, shape (n,)
    growth : float
        Factor of the errors that the scatter asks for; at least 1.
    """

    solved: Solved
    used: Bools
    growth: float


def fit_robust(
    geometry: str, sources: Floats, references: Floats, variance: Floats, *, sigma: float
) -> Clipped | None:
    """Fit, leaving out what lies more than ``sigma`` grown errors away.

    Parameters
    ----------
    geometry : str
    sources, references, variance : ndarray of float64, shape (n, 2), arcsec, arcsec^2
    sigma : float

    Returns
    -------
    Clipped or None
        None where what is left cannot fix the geometry.
    """
    used = np.ones(len(sources), np.bool_)
    growth = 1.0
    for _ in range(_PASSES):
        part = solve(geometry, sources[used], references[used], variance[used])
        if part is None:
            return None
        residuals = references - part.apply(sources)
        distance = (residuals**2 / variance).sum(axis=1)
        growth = max(1.0, math.sqrt(float(np.median(distance[used])) / _MEDIAN2))
        now = distance <= (sigma * growth) ** 2
        if np.array_equal(now, used):
            break
        if np.count_nonzero(now) < 2:
            return None
        used = now
    final = solve(geometry, sources[used], references[used], variance[used])
    if final is None:
        return None
    everything = references - final.apply(sources)
    return Clipped(Solved(final.matrix, final.shift, final.covariance, everything), used, growth)


def robust_variance(residuals: Floats) -> float:
    """Variance per axis of residuals of shape (n, 2), from their median length."""
    return float(np.median((residuals**2).sum(axis=1))) / _MEDIAN2


def fit_tweakreg(
    geometry: str,
    sources: Floats,
    references: Floats,
    *,
    sigma: float = 3.0,
    nclip: int = 3,
    stated: float = 0.0,
) -> Clipped | None:
    """Fit with equal weights, clipping as TweakReg.

    Parameters
    ----------
    geometry : str
    sources, references : ndarray of float64, shape (n, 2)
    sigma : float
    nclip : int
    stated : float
        Mean variance of a difference per axis; the covariance goes by it where it is larger than
        the scatter tells, which of few matches may be 0.
    """
    total = len(sources)
    unit = np.ones((total, 2))
    used = np.ones(total, np.bool_)
    # upstream fits the source as a function of the reference, and inverts
    part = solve(geometry, references, sources, unit)
    removed = 0  # lags one pass, as upstream
    for _ in range(nclip if total >= nclip else 0):
        if part is None or total - removed - 1 <= 0:
            break
        residuals = sources - part.apply(references)
        limit = sigma * residuals[used].std(axis=0) * total / (total - removed - 1)
        removed = total - int(np.count_nonzero(used))
        now = used & np.all(np.abs(residuals) < limit, axis=1)
        if np.count_nonzero(now) <= 2:
            break
        used = now
        part = solve(geometry, references[used], sources[used], unit[used])
    if part is None:
        return None
    back = np.asarray(np.linalg.inv(part.matrix), np.float64)
    inverse = Solved(back, -back @ part.shift, part.covariance, part.residuals)
    return _equal_weights(geometry, inverse, sources, references, used, stated)


def fit_tweakwcs(
    geometry: str,
    sources: Floats,
    references: Floats,
    *,
    weight: Floats | None = None,
    sigma: float = 3.0,
    nclip: int = 1,
    stated: float = 0.0,
) -> Clipped | None:
    """Fit by tweakwcs's ``iter_linear_fit``, as HAP does.

    Parameters
    ----------
    geometry : str
    sources, references : ndarray of float64, shape (n, 2)
    weight : ndarray of float64, shape (n,), optional
        Of the references.
    sigma : float
        Times the RMSE.
    nclip : int
    stated : float
        As of `fit_tweakreg`.
    """
    from tweakwcs import linearfit

    try:
        found = linearfit.iter_linear_fit(
            references,
            sources,
            wxy=weight,
            fitgeom=geometry,
            nclip=nclip,
            sigma=(sigma, "rmse"),
        )
    except (ValueError, linearfit.SingularMatrixError, linearfit.NotEnoughPointsError):
        return None  # no weights, too few or collinear points
    used = np.asarray(found["fitmask"], np.bool_)
    matrix, center = np.asarray(found["matrix"], float), np.asarray(found["center"], float)
    shift = np.asarray(found["shift"], float) + center - matrix @ center
    blank = solve(geometry, sources[used], references[used], np.ones((int(used.sum()), 2)))
    if blank is None:
        return None
    part = Solved(matrix, shift, blank.covariance, blank.residuals)
    return _equal_weights(geometry, part, sources, references, used, stated)


def _equal_weights(
    geometry: str, part: Solved, sources: Floats, references: Floats, used: Bools, stated: float
) -> Clipped:
    """Let the scatter tell the errors, where it is not less than what they are stated to be."""
    residuals = references - part.apply(sources)
    freedom = max(1, 2 * int(used.sum()) - PARAMETERS[geometry])
    scatter = max(float((residuals[used] ** 2).sum()) / freedom, stated)
    return Clipped(Solved(part.matrix, part.shift, part.covariance * scatter, residuals), used, 1.0)
