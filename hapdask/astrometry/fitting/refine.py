"""The joint solution after a visit was placed: what it may change, and what it may not.

`align_visit` gives every exposure a start; the joint solution (`hapdask.astrometry.solution`) then
fits all of them with all stars at once.  Its corrections are taken for the exposures of a group
together, and only where they agree with the start within both errors, are stated better than it,
and move the headers by more than their error.  Not here: either solution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.lists import MEAN_MOTION
from hapdask.astrometry.fitting.members import Member, unscaled_mas
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.solution.geometry import design, parameters_of
from hapdask.astrometry.solution.inputs import ExposureSources, References
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.release import Release, SolvedExposure
from hapdask.astrometry.solution.solving import JointSolution, solve
from hapdask.config.alignment import AlignmentParameters
from hapdask.sky.tangent import project

Floats = NDArray[np.float64]
Sky = tuple[Floats, Floats]

#: Solutions made anew without exposures whose refinement was refused, at most.
_AGAIN = 3
#: A start that the solution contradicts by so many times what it may is no longer demonstrated.
_MUCH = 2.0
#: Errors that differ by less than this factor are the same.
_SAME = 1.1


@dataclass(frozen=True, eq=False)
class Refinement:
    """What came of it.

    Attributes
    ----------
    placements : tuple of Placement
        One for each member, in their order; unchanged where the refinement was not taken, but for
        the attempt that says why.
    solution : JointSolution or None
        Of the exposures that agree with their start; None where there is none.
    refused : dict of str to str
        Exposures that were left out of it, and why.
    """

    placements: tuple[Placement, ...]
    solution: JointSolution | None
    refused: dict[str, str]


def refine(
    members: Sequence[Member],
    references: References | None,
    rules: AlignmentParameters | Mapping[str, AlignmentParameters],
    *,
    parameters: JointParameters | None = None,
    published: Release | None = None,
    held: Iterable[ExposureSources] = (),
) -> Refinement:
    """Solve placed exposures together, and take what is demonstrated better.

    Parameters
    ----------
    members : sequence of Member
        Of one or many visits.
    references : ReferenceCatalog or None
        Those that the placements were tied to, as published: the solution moves each star to the
        date of each exposure.
    rules : AlignmentParameters, or a mapping of the names of exposures to them
        For ``better`` and ``sigma``.
    parameters : JointParameters, optional
        If not given, its defaults with a mean motion of the field's stars of 3 mas / yr.
    published : Release, optional
        Its exposures stay as they are.
    held : iterable of ExposureSources
        The published exposures that overlap, as they were solved.

    Returns
    -------
    Refinement
        The same for any order of members.

    Raises
    ------
    ParameterError
        If an exposure is given twice, or a held one with other sources than were solved.
    """
    parameters = parameters or JointParameters(mean_motion=MEAN_MOTION)
    against: list[_Judged] = []
    old = list(held)
    for _ in range(_AGAIN):
        refused = _reasons(against)
        taking = [m for m in members if m.starts and m.placement.exposure not in refused]
        if not taking:
            break
        solution = solve(
            [*(m.sources for m in taking), *old],
            references,
            parameters=parameters,
            published=published,
        )
        judged = _judged(taking, solution, rules)
        wrong = [j for j in judged if j.objection]
        if not wrong:
            placements = _finished(members, judged, against)
            return Refinement(placements, solution, _reasons(against))
        against += wrong
    # what is refused over and over is no base for the rest
    return Refinement(_finished(members, [], against), None, _reasons(against))


def settle(
    members: Sequence[Member],
    solution: JointSolution,
    rules: AlignmentParameters | Mapping[str, AlignmentParameters],
) -> tuple[Placement, ...]:
    """Take from a joint solution what is demonstrated better; `refine` also makes the solution.

    Parameters
    ----------
    members : sequence of Member
        Those that the solution does not have stay as they are.
    solution : JointSolution
    rules
        As of `refine`.
    """
    taking = [m for m in members if m.starts and m.placement.exposure in solution.release]
    judged = _judged(taking, solution, rules)
    wrong = [j for j in judged if j.objection]
    return _finished(members, [j for j in judged if not j.objection], wrong)


def _reasons(against: Iterable[_Judged]) -> dict[str, str]:
    return {j.member.placement.exposure: j.objection for j in against}


def _judged(
    members: Sequence[Member],
    solution: JointSolution,
    rules: AlignmentParameters | Mapping[str, AlignmentParameters],
) -> list[_Judged]:
    return [
        _judge(
            m,
            solution.release[m.placement.exposure],
            solution.release,
            rules if isinstance(rules, AlignmentParameters) else rules[m.placement.exposure],
        )
        for m in members
    ]


@dataclass(frozen=True, eq=False)
class _Judged:
    """A member beside its solution; lengths in mas, rms over the exposure.

    Attributes
    ----------
    before : float
        Of the start, with what its geometry leaves to the header.
    error : float
        Stated, statistical, of both axes together.
    header : float
        How far the solution moves the exposure from its header.
    objection : str
        Why it is wrong; empty where it is not.
    contradicts : bool
        Whether it is the start that is not to be believed.
    """

    member: Member
    solved: SolvedExposure
    rules: AlignmentParameters
    before: float
    error: float
    header: float
    objection: str
    contradicts: bool


def _judge(
    member: Member,
    solved: SolvedExposure,
    release: Release,
    rules: AlignmentParameters,
) -> _Judged:
    start = member.placement
    xi, eta = (3600.0 * c for c in project(*member.outline, *solved.center))
    at = design(xi, eta)
    theta = np.array(solved.parameters)
    moved = _rms(at @ theta)
    apart = _rms(at @ (theta - parameters_of(start.correction, solved.center)))
    error = _spread(solved, at)
    if solved.geometry == "shift":  # the header's roll stays, and with it its error
        away = np.hypot(xi - xi.mean(), eta - eta.mean())
        turn = 1000.0 * math.radians(rules.header_rotation) * float(np.sqrt(np.mean(away**2)))
        error = math.hypot(error, turn)
    if start.fit is not None:  # what no geometry follows is no less in this solution
        error = math.hypot(error, math.sqrt(2.0) * start.fit.misfit_mas)
    scale = release.parameters
    error = math.hypot(error, unscaled_mas(solved.geometry, xi, eta, scale))
    before = start.error_mas
    if not start.geometry:  # a fit states it
        before = math.hypot(before, unscaled_mas("", xi, eta, scale))
    if solved.tie == "published":
        before = math.hypot(before, _published_error(release, member.outline))
    objection, contradicts = "", False
    limit = rules.sigma * math.hypot(error, before)
    if solved.verdict.status == "rejected" or solved.tie == "header":
        objection = "the joint solution has no tie to the sky"
    elif not apart <= limit:
        objection = (
            f"the joint solution is {apart:.2f} mas away, with errors of {before:.2f} "
            f"and {error:.2f} mas"
        )
        floor = math.sqrt(2.0) * rules.sigma * rules.floor
        beyond = apart > _MUCH * math.hypot(limit, floor)
        contradicts = beyond and solved.used >= _evidence(start)
    return _Judged(member, solved, rules, before, error, moved, objection, contradicts)


def _evidence(start: Placement) -> int:
    """Count the matches that a start rests on: where a group was fitted as one, its own."""
    own = [
        a.matches
        for a in start.attempts
        if a.method == "relative" and a.geometry and a.exposure == start.exposure
    ]
    return min([start.matches, *own[-1:]])


def _published_error(release: Release, outline: Sky) -> float:
    """Give the least error, over an exposure, of those that were published before, mas.

    All that is placed by their sources has it, and a fit to these cannot see it.
    """
    old = [
        _spread(e, design(*(3600.0 * c for c in project(*outline, *e.center))))
        for e in release.exposures
        if e.version < release.version and e.verdict.status != "rejected"
    ]
    return min(old, default=0.0)


def _spread(solved: SolvedExposure, at: Floats) -> float:
    """Statistical error of a solution, both axes together, rms over some places (`design`), mas."""
    variance = np.einsum("nij,jk,nik->n", at, np.array(solved.covariance), at)
    return math.sqrt(max(float(np.mean(variance)), 0.0))


def _finished(
    members: Sequence[Member], judged: Sequence[_Judged], refused: Sequence[_Judged]
) -> tuple[Placement, ...]:
    placements = {m.placement.exposure: m.placement for m in members}
    for j in refused:
        start = j.member.placement
        placements[start.exposure] = _untied(j) if j.contradicts else _left(start, j.objection)
    groups: dict[tuple[str, int], list[_Judged]] = {}
    for j in judged:
        groups.setdefault((j.solved.visit, j.solved.group), []).append(j)
    for group in groups.values():
        against = _against(group)
        for j in group:
            placed = _left(j.member.placement, against, j) if against else _taken(j)
            placements[placed.exposure] = placed
    return tuple(placements[m.placement.exposure] for m in members)


def _against(group: Sequence[_Judged]) -> str:
    """Why the exposures of a group are left where they were; empty where they are not."""
    error, before = (_mean(e) for e in zip(*((j.error, j.before) for j in group), strict=True))
    # beside published exposures, to be in their system is worth a little
    allowed = _SAME if all(j.solved.tie == "published" for j in group) else 1.0
    if not error < allowed * before:
        return f"the joint solution's error of {error:.2f} mas is no less than {before:.2f} mas"
    moved = _mean([j.header for j in group])
    if moved < group[0].rules.better * error:
        return (
            f"the header is as good: the joint solution moves it by {moved:.2f} mas with an "
            f"error of {error:.2f} mas"
        )
    return ""


def _taken(judged: _Judged) -> Placement:
    solved, start = judged.solved, judged.member.placement
    tie = {
        "references": f"{solved.stars} of them reference stars",
        "shared": "tied by stars of other exposures",
        "published": "tied to published exposures",
    }[solved.tie]
    reason = f"{solved.used} sources to {math.hypot(*solved.rms):.2f} mas, {tie}"
    if solved.verdict.reason:
        reason = f"{reason}; {solved.verdict.reason}"
    return replace(
        start,
        status="aligned",
        reason=reason,
        correction=solved.correction,
        method="joint",
        geometry=solved.geometry,
        matches=solved.stars,
        rms_mas=math.hypot(*solved.rms),
        error_mas=judged.error,
        floor_mas=solved.floor,
        chi2=solved.chi_square / solved.freedom if solved.freedom >= 1.0 else math.nan,
        header_mas=judged.header,
        attempts=(*start.attempts, _attempt(judged, reason, accepted=True)),
    )


def _untied(judged: _Judged) -> Placement:
    """Take the tie from an exposure whose start is not to be believed: its header stays."""
    start, solved = judged.member.placement, judged.solved
    reason = f"{judged.objection}; it rests on {solved.used} sources, the first on "
    reason += f"{_evidence(start)} matches: neither is demonstrated"
    return Placement(
        start.exposure,
        reason=reason,
        catalog=start.catalog,
        header_mas=judged.header,
        attempts=(*start.attempts, _attempt(judged, reason, accepted=False)),
    )


def _left(start: Placement, reason: str, judged: _Judged | None = None) -> Placement:
    """Leave a placement, and write down the attempt."""
    if judged is None:
        attempt = Attempt(start.catalog, "joint", "", 0, math.nan, False, reason, start.exposure)
    else:
        attempt = _attempt(judged, reason, accepted=False)
        start = replace(start, error_mas=judged.before)
    return replace(start, attempts=(*start.attempts, attempt))


def _attempt(judged: _Judged, reason: str, *, accepted: bool) -> Attempt:
    solved, start = judged.solved, judged.member.placement
    return Attempt(
        start.catalog,
        "joint",
        solved.geometry,
        solved.used,
        math.hypot(*solved.rms),
        accepted,
        reason,
        start.exposure,
        chance=0.0,  # the start's matches were shown to be real
        error=judged.error,
        header=judged.header,
        grade=start.grade if accepted else 5,
    )


def _rms(moves: Floats) -> float:
    return float(np.sqrt((moves**2).sum(axis=1).mean()))


def _mean(values: Sequence[float]) -> float:
    return math.sqrt(float(np.mean(np.square(values))))
