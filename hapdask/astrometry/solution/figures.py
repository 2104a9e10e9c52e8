"""Figures and verdicts of each exposure of a solution: what ties it, what it rests on, its fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.areas import RADIUS
from hapdask.astrometry.solution.geometry import NAMES
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.astrometry.solution.iterating import Solved
from hapdask.astrometry.solution.parameters import floor_of
from hapdask.astrometry.solution.problem import Problem
from hapdask.astrometry.solution.release import Release, SolvedExposure
from hapdask.observe.selection import ACCEPTED, Verdict
from hapdask.sky.tangent import unit_vectors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A parameter whose error is this share of the header's own rests on the header.
_RESTS = 0.5
#: Scatter of residuals over stated errors that is warned of, and share of sources left out.
_WIDE, _LOST = 2.0, 0.3
#: Reference stars that confirm each other, whatever the geometry.
_CONFIRMED = 3
#: Published exposures with centers nearer than this are beside an exposure, radians squared.
_NEAR = np.radians(RADIUS) ** 2
#: Quanta, mas: shifts, and moves at 100 arcsec.
_DECIMALS = (3, 3, 4, 4, 4, 4)


@dataclass(frozen=True, eq=False)
class Part:
    """A solved group.

    Attributes
    ----------
    problem : Problem
    solved : Solved
    refused : dict of str to str
        Exposures whose sources were left out, and why.
    notes : tuple of str
    """

    problem: Problem
    solved: Solved
    refused: dict[str, str]
    notes: tuple[str, ...]


def solved_exposures(
    given: Sequence[ExposureSources],
    parts: Sequence[Part],
    version: int,
    published: Release | None,
) -> tuple[list[SolvedExposure], list[str]]:
    """Give the new exposures of a release, and notes on its groups.

    Parameters
    ----------
    given : sequence of ExposureSources
    parts : sequence of Part
    version : int
    published : Release or None
    """
    named = {e.name: e for e in given}
    made: list[SolvedExposure] = []
    notes: list[str] = []
    group = 0 if published is None else 1 + max((e.group for e in published.exposures), default=-1)
    for part in parts:
        problem, solved = part.problem, part.solved
        tie = _Ties(problem, solved, published)
        labels = {label: group + k for k, label in enumerate(tie.labels())}
        group += len(labels)
        for j in np.flatnonzero(~problem.held):
            source = named[problem.names[j]]
            number = labels.get(int(tie.label[j]), -1)
            made.append(_exposure(part, int(j), source, tie, number, version))
        for label, number in labels.items():
            members = [problem.names[j] for j in np.flatnonzero(tie.label == label)]
            if tie.of_label[label] == "header":
                notes.append(
                    f"group {number} ({len(members)} exposures, first {members[0]}) has no "
                    "reference star: its place on the sky is that of its headers"
                )
        notes += [f"the group of {problem.names[0]}: {note}" for note in part.notes]
        if not solved.converged:
            notes.append(f"the group of {problem.names[0]} did not settle: see its residuals")
    return made, notes


class _Ties:
    """What ties exposures: connected by detections that are in."""

    def __init__(self, problem: Problem, solved: Solved, published: Release | None) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        self._published = published
        n, used = len(problem.names), solved.weights.used
        e, s = problem.exposure[used], problem.source[used]
        size = n + len(problem.star)
        graph = coo_array((np.ones(len(e), bool), (e, n + s)), shape=(size, size))
        label = connected_components(graph, directed=False)[1]
        count = np.bincount(s, minlength=len(problem.star))
        held_star = problem.placed & solved.weights.place_used
        self.used = np.bincount(e, minlength=n)
        self.stars = np.bincount(e, weights=held_star[s], minlength=n).astype(np.int64)
        self.shared = np.bincount(e, weights=count[s] > 1, minlength=n).astype(np.int64)
        some = (self.shared + self.stars) > 0
        self.label = np.where(some, label[:n], -1)
        self.of_label: dict[int, str] = {}
        for name, held, lab in zip(problem.names, problem.held, self.label, strict=True):
            if lab < 0:
                continue
            kind = self.of_label.get(int(lab), "header")
            if held and published is not None and published[name].tie != "header":
                kind = "published"
            self.of_label[int(lab)] = kind
        own = held_star & ~problem.released
        self.own = np.bincount(e, weights=own[s], minlength=n) > 0
        for kind, ties in (("shared", self.own), ("published", self.stars > 0)):
            for lab in np.unique(self.label[ties]):
                if self.of_label[int(lab)] == "header":
                    self.of_label[int(lab)] = kind
        star_label = label[n:][held_star & (count > 0)]
        self._stars_of = dict(zip(*np.unique(star_label, return_counts=True), strict=True))
        self._free = set(self.label[~problem.held].tolist())

    def labels(self) -> list[int]:
        """Labels of groups with an exposure that was solved, in the order of exposures."""
        return [k for k in dict.fromkeys(self.label.tolist()) if k >= 0 and k in self._free]

    def unconfirmed(self, j: int) -> str:
        """Why the place of an exposure on the sky rests on too few stars; empty if it does not."""
        stars = int(self._stars_of.get(self.label[j], 0))
        few = self.of(j) in ("references", "shared") and stars < _CONFIRMED
        return f"{stars} reference stars tie its group, and nothing confirms them" if few else ""

    def floor(self, e: ExposureSources) -> float:
        """Give the systematic error of an exposure that is tied to published ones, with theirs."""
        theirs = [] if self._published is None else self._published.exposures
        place = unit_vectors(*e.center)
        near = [x.floor for x in theirs if np.sum((unit_vectors(*x.center) - place) ** 2) < _NEAR]
        every = near or [x.floor for x in theirs] or [0.0]
        return round(float(np.hypot(floor_of(e.detector), min(every))), 4)

    def of(self, j: int) -> str:
        if self.own[j]:
            return "references"
        return self.of_label.get(int(self.label[j]), "header")


def _exposure(
    part: Part,
    j: int,
    source: ExposureSources,
    tie: _Ties,
    group: int,
    version: int,
) -> SolvedExposure:
    problem, solved = part.problem, part.solved
    theta = [round(float(t), d) + 0.0 for t, d in zip(solved.theta[j], _DECIMALS, strict=True)]
    relative = solved.covariances.relative[j]
    here = np.flatnonzero((problem.exposure == j) & solved.weights.used)
    square, freedom, rms = _fit(problem, solved, j, here)
    undetermined = _undetermined(problem, relative, j)
    figures = {
        "detections": len(source),
        "used": int(tie.used[j]),
        "stars": int(tie.stars[j]),
        "shared": int(tie.shared[j]),
        "chi_square": square,
        "freedom": freedom,
        "rms": rms,
        "extra": float(solved.weights.extra[j]),
    }
    known = int(np.sum(problem.exposure == j))
    verdict = _verdict(tie.of(j), group, undetermined, square, freedom, known, len(here))
    if verdict.status != "rejected" and (few := tie.unconfirmed(j)):
        verdict = verdict.warned(few)
    if source.name in part.refused:
        verdict = Verdict("rejected", f"{part.refused[source.name]}: its header's WCS stands")
    return SolvedExposure(
        name=source.name,
        visit=source.visit,
        detector=source.detector,
        geometry=source.geometry,
        mjd=source.mjd,
        center=source.center,
        parameters=tuple(theta),
        covariance=_rounded(solved.covariances.blocks[j]),
        relative=_rounded(relative),
        floor=floor_of(source.detector) if tie.of(j) != "published" else tie.floor(source),
        group=group,
        tie=tie.of(j),
        undetermined=undetermined,
        sources_digest=source.digest,
        version=version,
        verdict=verdict,
        **figures,  # type: ignore[arg-type]
    )


def _fit(
    problem: Problem, solved: Solved, j: int, here: Ints
) -> tuple[float, float, tuple[float, float]]:
    """Chi-square, its degrees of freedom, and the rms of residuals, of one exposure."""
    if not len(here):
        return 0.0, 0.0, (0.0, 0.0)
    left, error = solved.residual[here], problem.error[here]
    slope, source = problem.slope[here], problem.source[here]
    spread = np.einsum("nac,ncd,nad->n", slope, solved.conditional[source], slope, optimize=False)
    weighted = error**2 + solved.weights.extra[j] ** 2  # as in the weights that made the spread
    freedom = float(np.sum(2.0 - spread / weighted))
    # What its own parameters take away, at most.
    freedom = max(freedom - float(problem.used[j].sum()) * (not problem.held[j]), 0.0)
    square = float(np.sum(np.sum(left**2, axis=1) / error**2))
    east, north = (float(r) for r in np.sqrt(np.mean(left**2, axis=0)))
    return round(square, 3), round(freedom, 3), (round(east, 4), round(north, 4))


def _undetermined(problem: Problem, covariance: Floats, j: int) -> tuple[str, ...]:
    p = problem.parameters
    own = np.array(p.exposure_errors)
    rests = problem.used[j] & (np.sqrt(np.diag(covariance)) > _RESTS * own)
    return tuple(name for name, r in zip(NAMES, rests, strict=True) if r)


def _verdict(
    tie: str,
    group: int,
    undetermined: tuple[str, ...],
    square: float,
    freedom: float,
    known: int,
    used: int,
) -> Verdict:
    if group < 0:
        return Verdict(
            "rejected",
            "no source is shared with another exposure or a reference star: "
            "its header's WCS stands",
        )
    verdict = ACCEPTED
    if tie == "header":
        verdict = verdict.warned(
            "no reference star, nor an exposure that has one, ties it to the sky: aligned only "
            "with its group"
        )
    # Headers know their scale well, and the error has what they do not.
    if rests := [name for name in undetermined if name != "scale"]:
        verdict = verdict.warned(
            f"{', '.join(rests)} rest on the header: too few sources in common"
        )
    if freedom >= 1.0 and square > _WIDE**2 * freedom:
        verdict = verdict.warned(
            f"residuals are {np.sqrt(square / freedom):.1f} times as large as stated errors"
        )
    if known - used > _LOST * known:
        verdict = verdict.warned(f"{known - used} of {known} sources do not fit and are left out")
    return verdict


def _rounded(covariance: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{v:.5e}") + 0.0 for v in row) for row in covariance)
