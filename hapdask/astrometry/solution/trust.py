"""Whether what ties an exposure, or a group to the sky, is more than chance.

Sources are common by being near: in a crowded field, or where a first alignment is wrong, pairs
are made by chance, and some of them always agree.  Not here: single wrong pairs (`robust`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.association import Association
from hapdask.astrometry.solution.geometry import local_axes
from hapdask.astrometry.solution.iterating import Solved
from hapdask.astrometry.solution.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: So many sources in agreement tie an exposure, unless it has hardly more.
_LEAST = 3
#: An exposure of whose sources this share agrees needs no count of chance pairs.
_MOST = 0.5
#: An extra error of this share of the radius is that of pairs made by chance (which have 0.6).
_WIDE = 0.3
#: Standard deviations of the number of chance pairs that agree.
_SIGNIFICANT = 5.0
#: Chance pairs are counted with an exposure moved by so many radii, in so many directions.
_AWAY, _DIRECTIONS = 4.0, 8


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


def doubts(problem: Problem, solved: Solved, group: Ints, association: Association) -> Doubts:
    """Find exposures, or reference stars, that fit their group no better than by chance.

    Parameters
    ----------
    problem : Problem
    solved : Solved
    group : ndarray of int, shape (exposures,)
        Their numbers in the association.
    association : Association
    """
    n = len(problem.names)
    ties = solved.weights.used & _supported(problem, solved)
    ties &= ~association.wide[association.source[problem.detection]]
    agree = np.bincount(problem.exposure[ties], minlength=n)
    known = np.bincount(problem.exposure, minlength=n)
    share = _share_by_chance(problem, solved)
    pairs = _ChancePairs(association, group, problem.parameters.radius)
    found: dict[int, str] = {}
    for j in np.flatnonzero(~problem.held & ((agree > 0) | (known >= _LEAST))).tolist():
        size = int(pairs.size[j])
        few = agree[j] < min(_LEAST, 0.5 * size)
        if not few and agree[j] < _MOST * size:
            expected = pairs.count(j) * float(np.mean(share[problem.exposure == j]))
            few = agree[j] <= expected + _SIGNIFICANT * np.sqrt(expected)
        if few:
            found[j] = (
                f"{agree[j]} of its {size} sources agree with other exposures, "
                "no more than by chance"
            )
    return Doubts(found or _scattered(problem, solved), _of_stars(problem, solved, pairs.stars))


class _ChancePairs:
    """Counts the pairs that an exposure would make with the others of its group anywhere."""

    def __init__(self, association: Association, group: Ints, radius: float) -> None:
        self._association, self._group = association, group
        self._reach = float(np.radians(radius / 3600.0))
        mine = np.isin(association.exposure, group)
        self._others = np.flatnonzero(mine)
        self._tree: Any = None
        self.size = np.bincount(association.exposure, minlength=int(group.max()) + 1)[group]
        self.stars = len(set().union(*(association.near[k].tolist() for k in group)))

    def count(self, j: int) -> float:
        """Mean number of sources of an exposure that meet one when it is moved away."""
        from scipy.spatial import cKDTree

        a = self._association
        if self._tree is None:
            self._tree = cKDTree(a.direction[self._others])
        own = a.direction[a.exposure == self._group[j]]
        axes = local_axes(own.mean(axis=0)[np.newaxis])[0]
        met = 0
        for angle in np.arange(_DIRECTIONS) * (2.0 * np.pi / _DIRECTIONS):
            step = np.cos(angle) * axes[0] + np.sin(angle) * axes[1]
            moved = own + _AWAY * self._reach * step
            near = self._tree.query(moved, k=3, distance_upper_bound=self._reach)[1]
            real = near < len(self._others)
            exposure = a.exposure[self._others[np.where(real, near, 0)]]
            met += int(np.sum(np.any(real & (exposure != self._group[j]), axis=1)))
        return met / _DIRECTIONS


def _share_by_chance(problem: Problem, solved: Solved) -> Floats:
    """Share of pairs made by chance that would agree as well, shape (detections,).

    A pair years apart agrees wherever a proper motion may have taken it.
    """
    p = problem
    epoch = p.epoch[p.exposure]
    order = np.lexsort((epoch, p.source))
    gap = np.where(np.diff(p.source[order]) == 0, np.diff(epoch[order]), np.inf)
    nearest = np.minimum(np.append(gap, np.inf), np.insert(gap, 0, np.inf))
    years = np.empty_like(nearest)
    years[order] = nearest
    star = p.placed[p.source]
    to_star = np.where(star, np.abs(epoch - p.source_epoch[p.source]), np.inf)
    years = np.minimum(years, to_star)
    drift = np.where(np.isfinite(years), years, 0.0) * p.prior_error[p.source, 2]
    extra = solved.weights.extra[p.exposure]
    reach = p.parameters.clip * np.sqrt(2.0 * p.error**2 + extra**2 + drift**2)
    return np.asarray(np.minimum(reach / (1e3 * p.parameters.radius), 1.0) ** 2)


def _supported(problem: Problem, solved: Solved) -> Bools:
    """Tell which detections are of a source that more is known of than its four unknowns take.

    Each detection, a star's place and what is probable of its motion tell two numbers: a pair of
    detections whose motion is out agrees wherever they are.
    """
    used = solved.weights.used
    count = np.bincount(problem.source[used], minlength=len(problem.star))
    held = problem.placed & solved.weights.place_used
    return np.asarray((count + held + solved.weights.motion_used)[problem.source] >= 3)


def _scattered(problem: Problem, solved: Solved) -> dict[int, str]:
    """Exposures whose sources lie about as chance pairs do: the worst first."""
    extra = np.where(problem.held, 0.0, solved.weights.extra)
    limit = max(_WIDE * 1e3 * problem.parameters.radius, 0.5 * float(extra.max(initial=0.0)))
    return {
        int(j): f"its sources scatter by {extra[j]:.0f} mas about those of other exposures"
        for j in np.flatnonzero(extra > limit)
    }


def _of_stars(problem: Problem, solved: Solved, near: int) -> str:
    known = problem.placed
    if not known.any():
        return ""
    seen = np.bincount(problem.source[solved.weights.used], minlength=len(problem.star)) > 0
    agree, all_known = int(np.sum(known & seen & solved.weights.place_used)), int(known.sum())
    share = _share_by_chance(problem, solved)[known[problem.source]]
    expected = all_known * float(np.mean(share))
    by_chance = agree <= _LEAST + expected + _SIGNIFICANT * np.sqrt(expected)
    if agree >= min(_LEAST, near) and (2 * agree >= all_known or not by_chance):
        return ""
    return f"{agree} of {all_known} reference stars agree with one another"
