"""From a problem to its solution: robust weights and linear steps in turn, until both stand."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.covariance import Covariances, covariances
from hapdask.astrometry.solution.elimination import Eliminated, eliminate
from hapdask.astrometry.solution.factors import Factor, factorise
from hapdask.astrometry.solution.header_priors import header_information
from hapdask.astrometry.solution.problem import Problem
from hapdask.astrometry.solution.robust import Weights, first_clip, next_clip, softened
from hapdask.astrometry.solution.stepping import exact_step, refined_step

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]

#: Solutions with soft weights.
_SOFT = 3
#: Solutions after the first clip in which extra errors are found anew.
_RENEWED = 4
#: A step below this ends it, mas.
_SMALL = 1e-4


@dataclass(frozen=True, eq=False)
class Solved:
    """A problem's solution.

    Attributes
    ----------
    theta : ndarray of float64, shape (blocks, 6), mas
    state : ndarray of float64, shape (sources, 4), mas and mas / yr
    residual : ndarray of float64, shape (n, 2), mas
    weights : Weights
    covariances : Covariances
    conditional : ndarray of float64, shape (sources, 4, 4)
        Of sources, were the exposures known.
    square, freedom : float
        Chi-square and its degrees of freedom.
    converged : bool
    """

    theta: Floats
    state: Floats
    residual: Floats
    weights: Weights
    covariances: Covariances
    conditional: Floats
    square: float
    freedom: float
    converged: bool


def iterate(problem: Problem, held: Floats) -> Solved:
    """Solve a problem.

    Parameters
    ----------
    problem : Problem
    held : ndarray of float64, shape (exposures, 6, 6)
        Covariances of exposures that are held; 0 elsewhere.
    """
    information = header_information(problem)
    theta = problem.probable()
    theta[: len(problem.names)] = problem.start
    state = problem.prior.copy()
    weights = of_factor = Weights.full(problem)
    system: Eliminated | None = None
    factor: Factor | None = None
    converged = False
    for k in range(_SOFT + problem.parameters.iterations):
        before = weights
        weights = _weigh(problem, theta, state, weights, system, k)
        system = eliminate(problem, information, theta, state, weights)
        # Weights change from solution to solution: the old factor begins, and products finish;
        # from soft weights to hard ones they change too much for that.
        step = None
        if factor is not None and k != _SOFT:
            step = refined_step(system, factor, rough=k < _SOFT)
        if step is None:
            factor = None  # gives its memory back before the next one is made
            factor, of_factor = factorise(system, problem.parameters.dense_columns), weights
            step = exact_step(system, factor)
        theta, state = theta + step, state + system.sources(step)
        largest = float(np.max(np.abs(step[: len(problem.names)]), initial=0.0))
        log.debug("solution %d: %d detections in, step %.3g mas", k, weights.used.sum(), largest)
        if k > _SOFT and weights.same(before) and largest < _SMALL:
            converged = True
            break
    assert system is not None
    if factor is None or not weights.same(of_factor):
        factor = None
        factor = factorise(system, problem.parameters.dense_columns)
    errors = covariances(problem, system, factor, information, held)
    residual = problem.residuals(theta, state)
    square, rows = _square(problem, residual, problem.prior_residuals(theta, state), weights)
    freedom = rows - 4.0 * len(problem.base) - errors.freedom
    return Solved(
        theta, state, residual, weights, errors, system.conditional, square, freedom, converged
    )


def _weigh(
    problem: Problem,
    theta: Floats,
    state: Floats,
    weights: Weights,
    system: Eliminated | None,
    k: int,
) -> Weights:
    residual, prior = problem.residuals(theta, state), problem.prior_residuals(theta, state)
    if k < _SOFT or system is None:
        return softened(problem, residual, prior)
    if k == _SOFT:
        return first_clip(problem, residual, prior)
    renew = k <= _SOFT + _RENEWED
    return next_clip(problem, residual, prior, system.conditional, weights, renew=renew)


def _square(
    problem: Problem, residual: Floats, prior: Floats, weights: Weights
) -> tuple[float, float]:
    """Chi-square of detections and of what is known of sources, and how many rows it has.

    A source whose detections are all out, and that no reference star holds, rests on a prior that
    says nothing: its place counts as rows that fit, as it does as unknowns.
    """
    square = float(np.sum(weights.detection * np.sum(residual**2, axis=1)))
    square += float(np.sum(weights.prior * prior**2))
    seen = np.bincount(problem.source[weights.used], minlength=len(problem.star)) > 0
    held = problem.placed & weights.place_used
    pairs = weights.used.sum() + held.sum() + (~held & ~seen).sum() + weights.motion_used.sum()
    return square, 2.0 * float(pairs)
