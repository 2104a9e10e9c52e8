"""The geometries of one task, from one start: match, fit, judge, simplest to richest and back.

From the offset on, matching and fitting alternate, the tolerance shrinking from the histogram's
window to the errors; then richer geometries are tried while they explain significantly more, and
poorer ones where one is refused; not so where what explains the matches is impossible: a poorer
one would leave it in the residuals.  Every geometry tried leaves an `Attempt`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.acceptance import weigh
from hapdask.astrometry.fitting.clipping import Clipped, fit_robust, fit_tweakwcs, robust_variance
from hapdask.astrometry.fitting.result import (
    PARAMETERS,
    Fit,
    as_correction,
    plane_variance,
    shared_by_neighbours,
    shared_covariance,
    untouched_covariance,
)
from hapdask.astrometry.fitting.starting import Start
from hapdask.astrometry.fitting.tasks import Outcome, Task, points_over
from hapdask.astrometry.matching.chance import SEEDS, false_alarms
from hapdask.astrometry.matching.nearest import Pairs, match_nearest
from hapdask.astrometry.matching.offsets import find_offset
from hapdask.astrometry.matching.places import Plane

Floats = NDArray[np.float64]

_ROUNDS = 8
#: Matches from which a scatter tells an error.
_TELLING = 6
#: Chance that a richer geometry explains so much more by noise alone, below which it is taken.
_RICHER = 1e-4
#: How far another place is looked for, windows: farther ones show when the offset is searched for.
_NEAR = 4.0


class Ladder:
    """The geometries of one task, from one start."""

    def __init__(
        self,
        task: Task,
        sources: Plane,
        references: Plane,
        near: NDArray[np.int64],
        start: Start,
    ) -> None:
        self.task, self.rules, self.start, self.near = task, task.parameters, start, near
        self.sources, self.references = sources, references
        self.outline = points_over(sources.xy) if task.outline is None else task.outline
        self.attempts: list[Attempt] = []

    def measure_errors(self) -> None:
        """Take the scatter of the simplest fit as the error of sources that have none stated.

        Else nothing would be told apart within the window, and held-out matches could not fail.
        """
        for geometry in self.rules.geometries:
            made = self._fit(geometry)
            if made is not None and made[0].matches >= _TELLING:
                variance = robust_variance(made[0].residuals / 1000.0)
                self.sources = Plane(self.sources.xy, np.full_like(self.sources.variance, variance))
                return

    def climb(self) -> Outcome:
        """Take the richest geometry that pays; then step down while it is refused."""
        rungs = self._fits()
        if not rungs:
            chance = self.start.chance
            count = len(self.start.pairs or ()) or self.start.count
            place = "about the header" if self.task.method == "header" else "at the best offset"
            reason = f"{count} pairs {place} are too few to fit{self.task.remedy}"
            return self.task.failed(reason, matches=count, chance=chance)
        top = self._worth(rungs)
        outcome = self._judged(*rungs[top])
        while not outcome.sound and top > 0:
            if outcome.is_impossible and self._explains(rungs[top], rungs[top - 1]):
                break
            top -= 1
            outcome = self._judged(*rungs[top])
        return outcome

    def _fits(self) -> list[tuple[Fit, Clipped]]:
        """Every allowed geometry that has matches enough, simplest first."""
        found: list[tuple[Fit, Clipped]] = []
        for geometry in self.rules.geometries:
            made = self._fit(geometry)
            if found and not self.rules.upstream and self._is_astray(made, found[-1]):
                made = self._fit(geometry, found[-1][1])
            if made is not None and (made[0].matches >= self.rules.least(geometry) or not found):
                found.append(made)
        return found

    def _is_astray(self, made: tuple[Fit, Clipped] | None, poorer: tuple[Fit, Clipped]) -> bool:
        """Whether a geometry matches worse than one that it holds: chance pairs led it off."""
        return made is None or self._chance(*made) > self._chance(*poorer)

    def _worth(self, rungs: list[tuple[Fit, Clipped]]) -> int:
        """Which geometry explains significantly more than all before it.

        A roll is always wrong by something: where matches allow a rotation it is taken.
        """
        best = 0
        if self.rules.upstream:  # begins with the method's own geometry, the first
            return best
        for k in range(1, len(rungs)):
            if rungs[best][0].geometry == "shift" or self._explains(rungs[k], rungs[best]):
                best = k
        return best

    def _explains(self, rich: tuple[Fit, Clipped], poor: tuple[Fit, Clipped]) -> bool:
        """Whether a richer geometry explains its matches significantly better than a poorer one."""
        from scipy import stats

        gain = _misfit(self, poor, rich) - _misfit(self, rich, rich)
        more = PARAMETERS[rich[0].geometry] - PARAMETERS[poor[0].geometry]
        return bool(stats.chi2.sf(gain / max(1.0, rich[0].chi2), more) < _RICHER)

    def variance(self, pairs: Pairs) -> Floats:
        """Of the differences of pairs, with the floor, arcsec^2."""
        theirs = self.references.variance[pairs.references] + (self.rules.floor / 1000.0) ** 2
        return theirs + self.sources.variance[pairs.sources]

    def _fit(self, geometry: str, begin: Clipped | None = None) -> tuple[Fit, Clipped] | None:
        upstream = self.rules.upstream
        made = self._as_upstream(geometry) if upstream else self._alternate(geometry, begin)
        return None if made is None else (self._as_fit(geometry, *made), made[1])

    def _alternate(self, geometry: str, begin: Clipped | None) -> tuple[Pairs, Clipped] | None:
        """Match and fit in turn until the matches stay, from the start or a simpler fit."""
        moved = self.start.apply(self.sources.xy)
        tolerance: Floats | float = self.start.width
        if begin is not None:
            moved, tolerance = begin.solved.apply(self.sources.xy), self._tolerance(begin)
        before: Pairs | None = None
        clipped: Clipped | None = None
        for _ in range(_ROUNDS):
            pairs = match_nearest(moved, self.references.xy, tolerance)
            if before is not None and pairs.equals(before):
                break
            clipped = fit_robust(
                geometry,
                self.sources.xy[pairs.sources],
                self.references.xy[pairs.references],
                self.variance(pairs),
                sigma=self.rules.sigma,
            )
            if clipped is None:
                return None
            before = pairs
            moved = clipped.solved.apply(self.sources.xy)
            tolerance = self._tolerance(clipped)
        return None if clipped is None or before is None else (before, clipped)

    def _as_upstream(self, geometry: str) -> tuple[Pairs, Clipped] | None:
        """Fit the given matches once, clipped as HAP does."""
        pairs = self.start.pairs
        if pairs is None or len(pairs) < self.rules.least(geometry):
            return None
        mine, theirs = self.sources.xy[pairs.sources], self.references.xy[pairs.references]
        nclip = self.rules.nclip if geometry == "rscale" else 0
        clipped = fit_tweakwcs(
            geometry,
            mine,
            theirs,
            weight=_hap_weights(self.references.variance, pairs),
            sigma=self.rules.sigma,
            nclip=nclip,
            stated=float(self.variance(pairs).mean()),
        )
        return None if clipped is None else (pairs, clipped)

    def _tolerance(self, clipped: Clipped) -> Floats:
        """How far a source may be from its reference, arcsec: the window at most."""
        theirs = float(np.percentile(self.references.variance.max(axis=1), 90))
        floor = (self.rules.floor / 1000.0) ** 2
        own = self.sources.variance.max(axis=1) + theirs + floor
        own = own + plane_variance(clipped.solved.covariance, self.sources.xy)
        limit: Floats = self.rules.sigma * clipped.growth * np.sqrt(own)
        return np.minimum(limit, self.start.width)

    def _as_fit(self, geometry: str, pairs: Pairs, clipped: Clipped) -> Fit:
        used = pairs.take(clipped.used)
        residuals = clipped.solved.residuals[clipped.used]
        freedom = max(1, 2 * len(used) - PARAMETERS[geometry])
        chi2 = float((residuals**2 / self.variance(used)).sum()) / freedom
        covariance, growth = clipped.solved.covariance, max(1.0, chi2)
        if not self.rules.upstream:  # there the scatter is in it already
            covariance = covariance * growth
        covariance = covariance + untouched_covariance(
            geometry,
            self.sources.xy[used.sources],
            residuals,
            growth * self.variance(used),
            roll=math.radians(self.rules.header_rotation),
            scale=self.rules.header_scale,
        )
        shared = self.task.references.shared[self.near[used.references]]
        covariance = covariance + shared_covariance(shared, self.variance(used))
        common = shared_by_neighbours(self.sources.xy[used.sources], residuals)
        common = max(0.0, common - (self.rules.floor / 1000.0) ** 2)  # which is stated apart
        covariance[4, 4] += common
        covariance[5, 5] += common
        rms = 1000.0 * np.sqrt((residuals**2).mean(axis=0))
        return Fit(
            correction=as_correction(self.task.center, clipped.solved.matrix, clipped.solved.shift),
            geometry=geometry,
            pairs=used,
            rejected=len(pairs) - len(used),
            residuals=1000.0 * residuals,
            rms_mas=(float(rms[0]), float(rms[1])),
            covariance=covariance,
            chi2=chi2,
            misfit_mas=1000.0 * math.sqrt(common),
        )

    def _judged(self, fit: Fit, clipped: Clipped) -> Outcome:
        """Verify and judge one fit, and write down the attempt."""
        used = fit.pairs
        chance = self._chance(fit, clipped)
        evidence, verdict = weigh(
            fit,
            (self.sources.xy, self.references.xy, self.variance(used)),
            growth=max(clipped.growth, math.sqrt(fit.chi2)),
            chance=chance,
            outline=self.outline,
            magnitudes=(self.task.sources.mag, self.task.references.mag[self.near]),
            rivals=self._rivals(fit),
            parameters=self.rules,
        )
        fit = fit.with_pairs(Pairs(used.sources, self.near[used.references]))
        self.attempts.append(
            Attempt(
                self.task.references.name,
                self.task.method,
                fit.geometry,
                fit.matches,
                fit.total_rms_mas,
                verdict.accepted,
                verdict.reason,
                self.task.exposure,
                chance=chance,
                error=evidence.error,
                header=evidence.header,
                grade=verdict.grade,
            )
        )
        return Outcome(fit, verdict, evidence.error, evidence.header, tuple(self.attempts))

    def _rivals(self, fit: Fit) -> int:
        """Count the sources that agree with each other on another place, near to that of the fit.

        Those of a chip that stands elsewhere, or stars that a catalog has from two dates.
        """
        if self.rules.upstream:
            return 0
        left, free = (np.ones(len(each), np.bool_) for each in (self.sources, self.references))
        left[fit.pairs.sources], free[fit.pairs.references] = False, False
        found = find_offset(
            fit.apply(self.sources.xy[left]),
            self.references.xy[free],
            radius=_NEAR * self.start.width,
            width=self.start.width / 1.5,
        )
        if found is None or found.chance > self.rules.max_chance:
            return 0
        return found.count if math.hypot(*found.shift) > self.start.width else 0

    def _chance(self, fit: Fit, clipped: Clipped) -> float:
        """Give the false alarms of the fit's own matches within its own tolerances.

        Those of the histogram's peak say that the offset is right to its window, and nothing of a
        geometry that was then led astray by chance pairs in it.
        """
        mean = float(np.mean(self._tolerance(clipped) ** 2)) / self.start.width**2
        distinct = len(np.unique(fit.pairs.references))
        return false_alarms(
            distinct,
            self.start.expected * mean,
            self.start.trials,
            SEEDS[fit.geometry],
            near=self.start.expected,
        )


def _hap_weights(variance: Floats, pairs: Pairs) -> Floats | None:
    """HAP's weights: by the references' errors alone; none where the first has no error."""
    total = variance.sum(axis=1)
    if not total[0] > 0:
        return None
    weights: Floats = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return weights[pairs.references]


def _misfit(ladder: Ladder, fit: tuple[Fit, Clipped], other: tuple[Fit, Clipped]) -> float:
    """Chi-square of one fit over the matches of another."""
    pairs = other[0].pairs
    moved = fit[0].apply(ladder.sources.xy[pairs.sources])
    residuals = ladder.references.xy[pairs.references] - moved
    return float((residuals**2 / ladder.variance(pairs)).sum())
