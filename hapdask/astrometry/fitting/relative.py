"""The exposures of a visit aligned to each other.

In the order of overlap each exposure is fitted to the mean places of the stars that those before
it saw; then, in turn, to the means of all others until nothing moves.  The first stays where its
header has it.  What stands at one place of the detector while the telescope moved is no star.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.clipping import Clipped, fit_robust
from hapdask.astrometry.fitting.pairing import fit_lists
from hapdask.astrometry.fitting.result import (
    PARAMETERS,
    apply_correction,
    as_correction,
    plane_variance,
    untouched_covariance,
)
from hapdask.astrometry.fitting.stars import StarTable
from hapdask.astrometry.fitting.tasks import Outcome, Task
from hapdask.astrometry.matching.nearest import Pairs
from hapdask.astrometry.matching.places import Places, Plane
from hapdask.config.alignment import AlignmentParameters
from hapdask.observe.distortion import Correction

Floats = NDArray[np.float64]

#: Passes of refinement, and the move that ends them, arcsec.
_PASSES, _STILL = 10, 2e-6
#: Same place on the detector, pixels; on the sky elsewhere by this, arcsec.
_SAME, _ELSEWHERE = 0.3, 0.15


@dataclass(frozen=True, eq=False)
class RelativeAlignment:
    """A group of exposures in one system.

    Attributes
    ----------
    center : tuple of float, degrees
    members : tuple of int
        Exposures that are tied; the reference first.
    corrections : dict of int to Correction
        Onto the reference's header; identity for it.
    errors : dict of int to float, mas
        Stated, of each relative to the others.
    stars : StarTable
    attempts : tuple of Attempt
    """

    center: tuple[float, float]
    members: tuple[int, ...]
    corrections: dict[int, Correction]
    errors: dict[int, float]
    stars: StarTable
    attempts: tuple[Attempt, ...]


def align_group(
    exposures: Sequence[Places],
    order: Sequence[int],
    center: tuple[float, float],
    parameters: AlignmentParameters,
    *,
    outlines: Mapping[int, Floats] | None = None,
    pixel_scale: float = 0.04,
) -> RelativeAlignment:
    """Align exposures that overlap.

    Parameters
    ----------
    exposures : sequence of Places
        All of the visit.
    order : sequence of int
        Those of the group, the reference first (`alignment_groups`).
    center : tuple of float, degrees
    parameters : AlignmentParameters
    outlines : mapping of int to ndarray of float64, shape (n, 2), arcsec, optional
        Points all over each exposure of the group.
    pixel_scale : float, arcsec

    Returns
    -------
    RelativeAlignment
        Exposures that could not be tied are not among its members.
    """
    first = order[0]
    rules = _among_exposures(parameters)
    stars = StarTable(center, rules.floor)
    group = RelativeAlignment(
        center, (first,), {first: Correction(center)}, {first: 0.0}, stars, ()
    )
    none = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    stars.join(first, exposures[first].in_plane(center), exposures[first].mag, none)
    attempts: list[Attempt] = []
    waiting = list(order[1:])
    while waiting:  # those that failed try again once others have joined
        failed = []
        for k in waiting:
            task = Task(
                exposures[k],
                stars.as_places(exposures[first].name),
                center,
                rules,
                "relative",
                None if outlines is None else outlines[k],
                pixel_scale,
                exposures[k].name,
            )
            outcome = fit_lists(task)
            attempts += outcome.attempts
            if not _join(group, k, exposures[k], outcome):
                failed.append(k)
        waiting = failed if len(failed) < len(waiting) else []
    members = tuple(k for k in order if k in group.corrections)
    if len(members) > 1 and not rules.upstream:
        _refine(exposures, members, group, rules)
        points = outlines or {k: exposures[k].in_plane(center).xy for k in members}
        for k in members:
            group.errors[k] = _error(k, exposures[k], group, rules, points[k])
    return replace(group, members=members, attempts=tuple(attempts))


def _among_exposures(parameters: AlignmentParameters) -> AlignmentParameters:
    """Give the rules by which the exposures of a visit are fitted to each other."""
    allowed = parameters.geometries
    if parameters.relative_geometry in allowed:
        allowed = allowed[: allowed.index(parameters.relative_geometry) + 1]
    return replace(
        parameters,
        geometries=allowed,
        header_rotation=parameters.relative_rotation,
        header_scale=parameters.relative_scale,
    )


def _join(group: RelativeAlignment, k: int, exposure: Places, outcome: Outcome) -> bool:
    """Add an exposure to its group, if its fit is sound.

    The fit counts also where the header is as good: what one header is wrong by must not pass to
    the stars, and so to the others.
    """
    if not outcome.sound or outcome.fit is None:
        return False
    group.corrections[k] = outcome.fit.correction
    group.errors[k] = outcome.error
    group.errors[group.members[0]] = max(group.errors.values())
    moved = _moved(exposure.in_plane(group.center), group.corrections[k])
    group.stars.join(k, moved, exposure.mag, _distinct(outcome.fit.pairs))
    return True


def _refine(
    exposures: Sequence[Places],
    members: tuple[int, ...],
    group: RelativeAlignment,
    rules: AlignmentParameters,
) -> None:
    """Fit each exposure but the first to the means of all others, in turn, until nothing moves."""
    if len(members) < 3:
        return
    for _ in range(_PASSES):
        largest = 0.0
        for k in members[1:]:
            found = _to_others(k, exposures[k], group, rules)
            if found is None:
                continue
            plane = exposures[k].in_plane(group.center)
            solved = found.clipped.solved
            now = as_correction(group.center, solved.matrix, solved.shift)
            moved = _moved(plane, now)
            before = apply_correction(group.corrections[k], plane.xy)
            largest = max(largest, float(np.abs(moved.xy - before).max()))
            group.corrections[k] = now
            group.stars.move(k, moved)
        if largest < _STILL:
            break


@dataclass(frozen=True, eq=False)
class _Again:
    """An exposure fitted to the means of all others: its sources there, and the variances."""

    geometry: str
    xy: Floats
    variance: Floats
    clipped: Clipped

    def covariance(self, rules: AlignmentParameters) -> Floats:
        """Of the correction, grown by the scatter, with what the geometry leaves to the header."""
        used, solved = self.clipped.used, self.clipped.solved
        freedom = max(1, 2 * int(used.sum()) - PARAMETERS[self.geometry])
        chi2 = float((solved.residuals[used] ** 2 / self.variance[used]).sum()) / freedom
        growth = max(self.clipped.growth**2, chi2)  # of few the median misses what lies far off
        return solved.covariance * growth + untouched_covariance(
            self.geometry,
            self.xy[used],
            solved.residuals[used],
            growth * self.variance[used],
            roll=math.radians(rules.header_rotation),
            scale=rules.header_scale,
        )


def _to_others(
    k: int, exposure: Places, group: RelativeAlignment, rules: AlignmentParameters
) -> _Again | None:
    """Fit an exposure to the means of the stars that others see."""
    plane, stars = exposure.in_plane(group.center), group.stars
    means, seen = stars.means(without=k)
    mine = np.flatnonzero(seen[stars.stars[k]] > 0)
    geometry = _richest(rules, len(mine))
    if geometry is None:
        return None
    theirs = means.take(stars.stars[k][mine])
    variance = plane.variance[mine] + theirs.variance + (rules.floor / 1000.0) ** 2
    made = fit_robust(geometry, plane.xy[mine], theirs.xy, variance, sigma=rules.sigma)
    return None if made is None else _Again(geometry, plane.xy[mine], variance, made)


def _richest(rules: AlignmentParameters, matches: int) -> str | None:
    """Give the richest geometry allowed for so many matches."""
    enough = [g for g in rules.geometries if matches >= rules.least(g)]
    return enough[-1] if enough else None


def _error(
    k: int,
    exposure: Places,
    group: RelativeAlignment,
    rules: AlignmentParameters,
    points: Floats,
) -> float:
    """Stated error of an exposure relative to the others, rms over it, mas."""
    found = _to_others(k, exposure, group, rules)
    if found is None:
        return group.errors[k]
    variance = plane_variance(found.covariance(rules), points)
    return 1000.0 * float(np.sqrt(np.mean(variance)))


def _moved(plane: Plane, correction: Correction) -> Plane:
    return Plane(apply_correction(correction, plane.xy), plane.variance)


def _distinct(pairs: Pairs) -> Pairs:
    """Each reference once: upstream's rules let sources share one."""
    _, first = np.unique(pairs.references, return_index=True)
    keep = np.zeros(len(pairs), np.bool_)
    keep[first] = True
    return pairs.take(keep)


def without_fixed(exposures: Sequence[Places]) -> list[Places]:
    """Leave out what is fixed to the detector while the sky moved: hot pixels, blobs, columns.

    Parameters
    ----------
    exposures : sequence of Places
        Those without detector positions stay whole; so does one of which more than half would go
        (the telescope may not have moved, and the headers be wrong).
    """
    from scipy.spatial import KDTree

    fixed = [np.zeros(len(each), np.bool_) for each in exposures]
    known = [k for k, each in enumerate(exposures) if each.detector is not None and len(each)]
    trees = {k: KDTree(_detector(exposures[k])) for k in known}
    for a in known:
        for b in known:
            if a == b:
                continue
            apart, there = trees[b].query(_detector(exposures[a]), distance_upper_bound=_SAME)
            same = np.flatnonzero(np.isfinite(apart))
            center = (float(exposures[a].ra[0]), float(exposures[a].dec[0]))
            here = exposures[a].take(same).in_plane(center).xy
            other = exposures[b].take(there[same]).in_plane(center).xy
            fixed[a][same] |= np.hypot(*(here - other).T) > _ELSEWHERE
    return [
        each.take(~bad) if 2 * np.count_nonzero(bad) <= len(bad) else each
        for each, bad in zip(exposures, fixed, strict=True)
    ]


def _detector(places: Places) -> Floats:
    """Chip, x, y with chips far apart."""
    table = np.asarray(places.detector) * 1.0
    table[:, 0] *= 1e5
    return table
