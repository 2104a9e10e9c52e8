"""Which measurements count: weights against mismatches, false stars, and fast stars.

First weights that fall off with the residual (Cauchy), while corrections are still rough; then
measurements are in or out, and out goes at most the worst of each source at a time, judged by its
deleted residual: the strong (a reference star) and the weak are judged alike.  An exposure whose
residuals scatter significantly more than its stated errors gets an extra error, the same for all
its sources (residual distortion, errors stated too small), so that it neither pulls too much nor
loses what is good.
Source: Huber and Ronchetti 2009, "Robust statistics", chapters 7.8 and 7.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.problem import Problem

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Weight left to a prior that is out: its source stays solvable.
_OUT = 1e-4
#: Width of the Cauchy weight, standard deviations.
_CAUCHY = 2.5
#: Back in below so many of the standard deviations at which it goes out: no to and fro.
_BACK = 0.9
#: Significance of an extra error, standard deviations of the median.
_SIGNIFICANT = 3.0
#: Standard deviation of the median of n such squares, relative, times sqrt(n).
_SPREAD_OF_MEDIAN = 1.4427
#: A residual is never taken to have less than this share of its error.
_LEAST_FREE = 0.1
#: The median of chi-square with two degrees of freedom.
_MEDIAN = float(2.0 * np.log(2.0))


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of detections and priors.

    Attributes
    ----------
    detection : ndarray of float64, shape (n,), mas**-2
    prior : ndarray of float64, shape (sources, 4), mas**-2 and (mas / yr)**-2
    extra : ndarray of float64, shape (exposures,), mas
        Error of all sources of an exposure beside their own.
    used : ndarray of bool, shape (n,)
    place_used, motion_used : ndarray of bool, shape (sources,)
    """

    detection: Floats
    prior: Floats
    extra: Floats
    used: Bools
    place_used: Bools
    motion_used: Bools

    @classmethod
    def of(
        cls, problem: Problem, extra: Floats, used: Bools, place_used: Bools, motion_used: Bools
    ) -> Weights:
        """Give the weights of what is in."""
        part = np.where(np.stack([place_used] * 2 + [motion_used] * 2, axis=1), 1.0, _OUT)
        return cls(
            detection=used / (problem.error**2 + extra[problem.exposure] ** 2),
            prior=part * problem.prior_error**-2.0,
            extra=extra,
            used=used,
            place_used=place_used,
            motion_used=motion_used,
        )

    @classmethod
    def full(cls, problem: Problem) -> Weights:
        """All is in."""
        n, sources = len(problem.error), len(problem.base)
        all_in = (np.ones(k, bool) for k in (n, sources, sources))
        return cls.of(problem, np.zeros(len(problem.names)), *all_in)

    def same(self, other: Weights) -> bool:
        """Whether all measurements weigh the same."""
        names = ("detection", "prior")
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)


@dataclass(frozen=True, eq=False)
class _Squares:
    """Normalised squared residuals of detections, places and motions of sources (two axes each)."""

    detection: Floats
    place: Floats
    motion: Floats


def _squares(problem: Problem, residual: Floats, prior: Floats, variance: Floats) -> _Squares:
    scaled = (prior / problem.prior_error) ** 2
    square = np.sum(residual**2, axis=1) / variance
    known = problem.placed
    return _Squares(square, known * scaled[:, :2].sum(axis=1), scaled[:, 2:].sum(axis=1))


def _medians(problem: Problem, values: Floats, used: Bools) -> tuple[Floats, NDArray[np.int64]]:
    """Median (the upper one) of each exposure's values, 0 where it has none, and their number."""
    n = len(problem.names)
    order = np.lexsort((values, problem.exposure))
    order = order[used[order]]
    of = problem.exposure[order]
    count = np.bincount(of, minlength=n)
    middle = np.searchsorted(of, np.arange(n)) + count // 2
    found = np.zeros(n)
    found[count > 0] = values[order][middle[count > 0]]
    return found, count


def _scales(problem: Problem, residual: Floats) -> Floats:
    """Give each exposure's scatter over its stated errors, at least 1, shape (exposures,)."""
    square = np.sum(residual**2, axis=1) / problem.error**2
    middle, _ = _medians(problem, square, np.ones(len(square), bool))
    return np.asarray(np.sqrt(np.maximum(middle / _MEDIAN, 1.0)))


def _extra_errors(problem: Problem, residual: Floats, used: Bools, free: Floats) -> Floats:
    """Give the error, mas, that explains the scatter where stated errors do not; 0 elsewhere.

    ``free`` is the share of each error's square that its source leaves in the residual: without
    it, the exposure that happens to pull most would seem the best.
    """
    square = np.sum(residual**2, axis=1) / free
    middle, count = _medians(problem, square / problem.error**2, used)
    surplus, _ = _medians(problem, square / _MEDIAN - problem.error**2, used)
    limit = 1.0 + _SIGNIFICANT * _SPREAD_OF_MEDIAN / np.sqrt(np.maximum(count, 1))
    extra = np.sqrt(np.maximum(surplus, 0.0))
    # Rounded, so that it settles.
    return np.asarray(np.where(middle > limit * _MEDIAN, np.round(extra, 3), 0.0))


def softened(problem: Problem, residual: Floats, prior: Floats) -> Weights:
    """Give weights that fall off, about a rough solution."""
    scale = _scales(problem, residual)
    s = _squares(problem, residual, prior, problem.error**2)
    full = Weights.full(problem)
    fall = 1.0 / (1.0 + s.detection / (_CAUCHY * scale[problem.exposure]) ** 2)
    place, motion = (1.0 / (1.0 + x / _CAUCHY**2) for x in (s.place, s.motion))
    part = np.maximum(np.stack([place] * 2 + [motion] * 2, axis=1), _OUT)
    # An exposure whose residuals scatter, for it is in a wrong place, must not outvote the others.
    fall = fall / scale[problem.exposure] ** 2
    return replace(full, detection=full.detection * fall, prior=full.prior * part)


def first_clip(problem: Problem, residual: Floats, prior: Floats) -> Weights:
    """Leave out what is far from a robust solution."""
    every = np.ones(len(residual))
    extra = _extra_errors(problem, residual, every > 0, every)
    variance = problem.error**2 + extra[problem.exposure] ** 2
    s = _squares(problem, residual, prior, variance)
    limit = problem.parameters.clip**2
    return Weights.of(problem, extra, s.detection <= limit, s.place <= limit, s.motion <= limit)


def next_clip(
    problem: Problem,
    residual: Floats,
    prior: Floats,
    conditional: Floats,
    now: Weights,
    *,
    renew: bool,
) -> Weights:
    """Leave out the worst of each source, and take back what fits after all.

    Parameters
    ----------
    problem : Problem
    residual, prior : ndarray
        Of the solution with the weights ``now``.
    conditional : ndarray of float64, shape (sources, 4, 4)
        Covariance of each source with them.
    now : Weights
    renew : bool
        Find the extra errors anew.
    """
    p = problem
    error = p.error**2 + now.extra[p.exposure] ** 2
    s = _squares(p, residual, prior, error)
    spread = np.einsum(
        "nac,ncd,nad->n", p.slope, conditional[p.source], p.slope, optimize=False
    ) / (2.0 * error)
    free = np.maximum(1.0 - spread, _LEAST_FREE)
    extra = _extra_errors(p, residual, now.used, free) if renew else now.extra
    variance = np.diagonal(conditional, axis1=1, axis2=2) / p.prior_error**2
    detection = _deleted(s.detection, spread, now.used)
    place = _deleted(s.place, variance[:, :2].mean(axis=1), now.place_used)
    motion = _deleted(s.motion, variance[:, 2:].mean(axis=1), now.motion_used)
    n = len(p.base)
    test = np.concatenate([detection, place, motion])
    used = np.concatenate([now.used, now.place_used, now.motion_used])
    source = np.concatenate([p.source, np.arange(n), np.arange(n)])
    limit = p.parameters.clip**2
    order = np.lexsort((np.arange(len(test)), -np.where(used, test, -1.0), source))
    worst = order[np.searchsorted(source[order], np.arange(n))]
    worst = worst[used[worst] & (test[worst] > limit)]
    after = used | (test <= limit * _BACK**2)
    after[worst] = False
    ends = np.cumsum([len(detection), n])
    return Weights.of(p, extra, *np.split(after, ends))


def _deleted(square: Floats, spread: Floats, used: Bools) -> Floats:
    """Normalised square of the distance from what all others say.

    ``spread`` is the variance of the prediction over that of the measurement; for one that is in,
    the prediction has the measurement in it, and the residual's variance is 1 - spread.
    """
    variance = np.where(used, np.maximum(1.0 - spread, 1e-3), 1.0 + spread)
    return np.asarray(square / variance)
