"""The joint solution of an alignment: all exposures that have a start, solved together.

What it may change of exposures that are tied to the sky is decided in
`hapdask.astrometry.fitting.refine`; of those tied to each other alone, here: they move together or
not at all, and stay where their headers have them on the whole.  Not here: the solution
(`hapdask.astrometry.solution`).
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting import members as fitting
from hapdask.astrometry.fitting import refine
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.result import apply_correction
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.solution import solving
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.astrometry.solution.release import Release, SolvedExposure
from hapdask.astrometry.solution.solved_sources import stars_of_release
from hapdask.astrometry.solution.solving import JointSolution
from hapdask.astrometry.sources import SourceList
from hapdask.config.alignment import AlignmentParameters
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.fields import outline_of
from hapdask.recipes.alignment.placing import REFERENCE, TIED, Placed
from hapdask.recipes.alignment.referring import SOLVED, joined, without_those_of

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: Least relative error that counts, mas.
_FINE = 0.1


@dataclass(frozen=True, eq=False)
class Member:
    """An exposure that may enter the joint solution.

    Attributes
    ----------
    record : ExposureRecord
        As opened.
    sources : SourceList
    placement : Placement
    rules : AlignmentParameters
    galaxies : SourceList or None
        None where nobody has told them from stars.
    """

    record: ExposureRecord
    sources: SourceList
    placement: Placement
    rules: AlignmentParameters
    galaxies: SourceList | None = None

    @property
    def takes_part(self) -> bool:
        """Whether its start is good enough."""
        return self.placement.status != "unaligned" and len(self.sources) > 0

    def as_member(self) -> fitting.Member:
        """Give what decides on its refinement."""
        return fitting.Member(self.placement, self.as_input(), outline_of(self.record))

    def as_input(self) -> ExposureSources:
        """Give what the solution takes."""
        only = self.rules.geometries[0] if len(self.rules.geometries) == 1 else ""
        sources, galaxy = self.sources, None
        if self.galaxies is not None:
            sources = SourceList.joined(self.record.name, [self.sources, self.galaxies])
            galaxy = np.arange(len(sources)) >= len(self.sources)
        return ExposureSources.of(
            self.record,
            sources,
            galaxy=galaxy,
            start=self.placement.correction,
            geometry=only or fitting.joint_geometry(self.placement),
        )


def solve_together(
    members: Sequence[Member], fields: Sequence[Placed], published: Release | None
) -> JointSolution | None:
    """Solve all exposures that have a start; None where there is none.

    Parameters
    ----------
    members : sequence of Member
    fields : sequence of Placed
        Whose catalogs are the reference stars.
    published : Release, optional
        Its sources are reference stars; its exposures stay as they are.
    """
    taking = [m for m in members if m.takes_part]
    if not taking:
        return None
    known = stars_of_release(published)
    used = {m.placement.catalog for m in taking} - {SOLVED}
    stars = joined([c for f in fields for name, c in f.catalogs.items() if name in used])
    parts = [c for c in (known, without_those_of(stars, known)) if c is not None]
    return solving.solve([m.as_input() for m in taking], joined(parts), published=published)


def solve_and_settle(
    members: Sequence[Member], fields: Sequence[Placed], published: Release | None
) -> tuple[dict[str, Placement], JointSolution | None]:
    """Give the placements that follow from the joint solution, and that solution.

    What loses its tie by it is solved no longer: its place is no part of the release.

    Parameters
    ----------
    members, fields, published
        As of `solve_together`.
    """
    solution = solve_together(members, fields, published)
    placements = settle(members, solution)
    untied = {
        m.record.name: placements[m.record.name]
        for m in members
        if m.placement.status in TIED and placements[m.record.name].status not in TIED
    }
    if not untied:
        return placements, solution
    left = [replace(m, placement=untied.get(m.record.name, m.placement)) for m in members]
    return solve_and_settle(left, fields, published)


def settle(members: Sequence[Member], solution: JointSolution | None) -> dict[str, Placement]:
    """Give the placements that follow from the joint solution, by the name of the exposure."""
    placements = {m.record.name: m.placement for m in members}
    if solution is None:
        return placements
    able = [m for m in members if m.takes_part and m.placement.reason != REFERENCE]
    tied = [m for m in able if m.placement.status in TIED]
    rules = {m.record.name: m.rules for m in tied}
    for placed in refine.settle([m.as_member() for m in tied], solution, rules):
        placements[placed.exposure] = placed
    groups: dict[tuple[str, str], list[_Judged]] = defaultdict(list)
    for m in able:
        if m.placement.status not in TIED and m.record.name in solution.release:
            judged = _judge(m, solution.release[m.record.name])
            groups[m.record.visit, m.record.detector].append(judged)
    for group in groups.values():
        sound = [j for j in group if not j.refused]
        move = any(j.is_off for j in sound) or _differ(sound)
        for j in group:
            placements[j.member.record.name] = _placed(j, move=move)
    return placements


@dataclass(frozen=True, eq=False)
class _Judged:
    """An exposure beside its solution.

    Attributes
    ----------
    error, header : float, mas
        Stated error and displacement from the header, rms over the exposure.
    shift : ndarray of float64, shape (2,), mas
        Of its middle.
    relative : float, mas
        Error of it against the others of its visit.
    refused : str
        Why the solution is not taken; empty where it is.
    """

    member: Member
    solved: SolvedExposure
    error: float
    header: float
    shift: Floats
    relative: float
    refused: str

    @property
    def is_off(self) -> bool:
        """Whether the header is shown to be wrong, or was by the first alignment."""
        better = self.header >= self.member.rules.better * self.error
        return better or self.member.placement.correction is not None


def _judge(member: Member, solved: SolvedExposure) -> _Judged:
    correction = solved.correction
    points = Places.make("outline", *outline_of(member.record), 0.0)
    xy = points.in_plane(correction.center).xy
    moved = apply_correction(correction, xy) - xy
    error = math.sqrt(2.0 * float(np.mean([solved.error_mas(x, y) ** 2 for x, y in xy[::8]])))
    if solved.geometry == "shift":  # the header's roll stays, and with it its error
        away = 1000.0 * float(np.sqrt(((xy - xy.mean(axis=0)) ** 2).sum(axis=1).mean()))
        error = math.hypot(error, away * math.radians(member.rules.header_rotation))
    refused = ""
    if solved.verdict.status == "rejected":
        refused = solved.verdict.reason
    elif solved.tie != "header":  # the search for stars found no sound fit
        refused = f"{solved.stars} reference stars do not prove a tie to the sky"
    spread = math.hypot(*solved.rms) / math.sqrt(max(solved.used, 1))
    return _Judged(
        member=member,
        solved=solved,
        error=error,
        header=1000.0 * float(np.sqrt((moved**2).sum(axis=1).mean())),
        shift=1000.0 * moved.mean(axis=0),
        relative=max(_FINE, spread),
        refused=refused,
    )


def _differ(group: Sequence[_Judged]) -> bool:
    """Whether the headers of a group are shown to disagree with each other."""
    tied = [j for j in group if j.solved.shared]
    if len(tied) < 2:
        return False
    middle = np.mean([j.shift for j in tied], axis=0)
    return any(
        float(np.hypot(*(j.shift - middle))) >= j.member.rules.better * 1.5 * j.relative
        for j in tied
    )


def _placed(judged: _Judged, *, move: bool) -> Placement:
    """Give the placement of one exposure after the joint solution."""
    old, solved = judged.member.placement, judged.solved
    used = not judged.refused
    attempt = Attempt(
        old.catalog or "none",
        "joint",
        solved.geometry,
        solved.used,
        math.hypot(*solved.rms),
        used and move,
        judged.refused or _why(judged, move=move),
        judged.member.record.name,
        chance=0.0,
        error=judged.error,
        header=judged.header,
        grade=old.grade,
    )
    attempts = (*old.attempts, attempt)
    if not used:
        return replace(old, attempts=attempts)
    common: dict[str, Any] = {
        "method": "joint",
        "geometry": solved.geometry,
        "matches": solved.used,
        "rms_mas": math.hypot(*solved.rms),
        "attempts": attempts,
        "reason": _why(judged, move=move),
        "header_mas": judged.header,
    }
    if not move:
        return replace(old, **{**common, "error_mas": math.hypot(judged.error, judged.header)})
    return replace(
        old,
        **common,
        status="relative",
        correction=solved.correction,
    )


def _why(judged: _Judged, *, move: bool) -> str:
    solved = judged.solved
    tie = judged.member.placement.reason or "tied to the visit alone"
    found = f"{solved.used} sources to {math.hypot(*solved.rms):.2f} mas, {tie}"
    if move:
        return found
    return (
        f"the header is as good: {judged.header:.2f} mas away with an error of "
        f"{judged.error:.2f} mas; {found}"
    )
