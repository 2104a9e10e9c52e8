"""Whether what ties an exposure, or a group to the sky, is more than chance.

Sources are common by being near: in a crowded field, or where a first alignment is wrong, pairs
are made by chance, and some of them always agree.  Not here: single wrong pairs (`robust`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.iterating import Solved
from hapdask.astrometry.solution.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: So many sources in agreement tie an exposure, unless it has hardly more.
_LEAST = 3
#: An extra error of this share of the radius is that of pairs made by chance (which have 0.6).
_WIDE = 0.3
#: Standard deviations of the number of chance pairs that agree.
_SIGNIFICANT = 5.0


@dataclass(frozen=True)
class Doubts:
    """What is not to be trusted in a solution.

    Attributes
    ----------
    exposures : dict of int to str
        Row in the problem, and why.
    stars : str
        Why the group's reference stars are not; empty where they are, or there are none.
    """

    exposures: dict[int, str]
    stars: str

    def __bool__(self) -> bool:
        return bool(self.exposures or self.stars)


def doubts(problem: Problem, solved: Solved, detections: Ints, stars_near: int) -> Doubts:
    """Find exposures, or reference stars, that fit their group no better than by chance.

    Parameters
    ----------
    problem : Problem
    solved : Solved
    detections : ndarray of int, shape (exposures,)
        Sources of each exposure, common or not.
    stars_near : int
        Reference stars in the field of the group, seen or not.
    """
    used, n = solved.weights.used, len(problem.names)
    ties = used & _supported(problem, solved)
    agree = np.bincount(problem.exposure[ties], minlength=n)
    known = np.bincount(problem.exposure, minlength=n)
    error = np.sqrt(2.0 * problem.error**2 + solved.weights.extra[problem.exposure] ** 2)
    free = np.flatnonzero(~problem.held & ((agree > 0) | (known >= _LEAST)))
    found: dict[int, str] = {}
    for j in free.tolist():
        own = error[problem.exposure == j]
        few = agree[j] < min(_LEAST, 0.5 * detections[j])
        if few or _by_chance(problem, int(agree[j]), int(known[j]), own):
            found[j] = f"only {agree[j]} of its {detections[j]} sources agree with other exposures"
    return Doubts(found or _scattered(problem, solved), _of_stars(problem, solved, stars_near))


def _supported(problem: Problem, solved: Solved) -> Bools:
    """Tell which detections are of a source that something else holds too."""
    used = solved.weights.used
    count = np.bincount(problem.source[used], minlength=len(problem.star))
    held = (problem.star >= 0) & solved.weights.place_used
    return np.asarray((count + held)[problem.source] >= 2)


def _by_chance(problem: Problem, agree: int, known: int, error: Floats) -> bool:
    """Whether few of the pairs agree, and no more than of pairs made by chance."""
    if 2 * agree >= known:
        return False
    reach = problem.parameters.clip * float(np.median(error))
    expected = known * min(reach / (1e3 * problem.parameters.radius), 1.0) ** 2
    return bool(agree <= _LEAST + expected + _SIGNIFICANT * np.sqrt(expected))


def _scattered(problem: Problem, solved: Solved) -> dict[int, str]:
    """Exposures whose sources lie about as chance pairs do: the worst first."""
    extra = np.where(problem.held, 0.0, solved.weights.extra)
    limit = max(_WIDE * 1e3 * problem.parameters.radius, 0.5 * float(extra.max(initial=0.0)))
    return {
        int(j): f"its sources scatter by {extra[j]:.0f} mas about those of other exposures"
        for j in np.flatnonzero(extra > limit)
    }


def _of_stars(problem: Problem, solved: Solved, near: int) -> str:
    seen = np.bincount(problem.source[solved.weights.used], minlength=len(problem.star)) > 0
    known = problem.star >= 0
    if not known.any():
        return ""
    agree = int(np.sum(known & seen & solved.weights.place_used))
    error = np.hypot(problem.prior_error[known, 0], float(np.median(problem.error)))
    lone = agree < min(2, near)
    if not (lone or _by_chance(problem, agree, int(known.sum()), error)):
        return ""
    return f"{agree} of {int(known.sum())} reference stars agree with one another"
