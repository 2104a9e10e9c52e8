"""The joint solution: from sources and reference stars to a release.

Order: canonical order of the inputs, association, groups that share sources or a visit, each
group's least squares, figures and verdicts.  Groups share no unknown; each is solved by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.association import Association, associate
from hapdask.astrometry.solution.figures import Part, solved_exposures
from hapdask.astrometry.solution.inputs import ExposureSources, References, Stars, in_order
from hapdask.astrometry.solution.iterating import iterate
from hapdask.astrometry.solution.motions import drifts, merged_motions
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.problem import make_problem
from hapdask.astrometry.solution.release import Release, SolvedExposure
from hapdask.astrometry.solution.solved_sources import merged, solved_sources, stars_of_release
from hapdask.astrometry.solution.trust import doubts
from hapdask.errors import ParameterError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: The most solutions of a group, each without what was not to be trusted in the one before.
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Residuals:
    """What is left of each detection that has a part in the solution.

    Attributes
    ----------
    exposure : tuple of str
        Names; ``index`` counts in them.
    index : ndarray of int, shape (n,)
    row : ndarray of int, shape (n,)
        Of the source in the arrays that were given.
    east, north : ndarray of float64, shape (n,), mas
        Corrected minus solved.
    error : ndarray of float64, shape (n,), mas
    used : ndarray of bool, shape (n,)
    """

    exposure: tuple[str, ...]
    index: Ints
    row: Ints
    east: Floats
    north: Floats
    error: Floats
    used: NDArray[np.bool_]

    def of(self, name: str) -> Residuals:
        """Those of one exposure; all empty where it has none."""
        number = self.exposure.index(name) if name in self.exposure else -1
        here = np.flatnonzero(self.index == number)
        names = ("index", "row", "east", "north", "error", "used")
        return Residuals(self.exposure, *(getattr(self, n)[here] for n in names))


@dataclass(frozen=True, eq=False)
class JointSolution:
    """A release, and the residuals that it is judged by."""

    release: Release
    residuals: Residuals


def solve(
    exposures: Iterable[ExposureSources],
    references: References | None = None,
    *,
    parameters: JointParameters | None = None,
    published: Release | None = None,
) -> JointSolution:
    """Solve exposures together.

    Parameters
    ----------
    exposures : iterable of ExposureSources
        In any order.  With ``published``, the new ones and, as they were, those published ones
        that overlap them.
    references : ReferenceCatalog, optional
        Sources of ``published`` may be among them (their very numbers): reference stars with
        common errors, those of its exposures and of its motions.  If not given, they are its
        sources: what it knows of their motions is not lost with the catalog that told it.
    parameters : JointParameters, optional
    published : Release, optional
        Its exposures are held where they are: nothing in it changes.  Without it all exposures are
        solved: a full solution, to be compared with the last one by `changes.compare`.

    Returns
    -------
    JointSolution
        The same bits for any order of exposures, sources and stars.

    Raises
    ------
    ParameterError
        If an exposure is given twice, or a published one with other sources than were solved.
    """
    parameters = parameters or JointParameters()
    given = in_order(exposures)
    held = _held(given, published)
    # What was refused stands where its header puts it, which is no place to hold others to.
    given = [e for e in given if e.name not in held or held[e.name].verdict.status != "rejected"]
    usable = [e.usable() for e in given]
    ordered, rows = [u[0] for u in usable], [u[1] for u in usable]
    if references is None:
        references = stars_of_release(published)
    stars = Stars.of(references, parameters.reference_error, _kinds(published))
    known = () if published is None else published.motions
    drift = drifts(ordered, stars, known, parameters)
    association = associate(ordered, stars, parameters.radius, drift, parameters.pm_scatter)
    free = np.array([e.name not in held for e in given], bool)
    parts = [
        _settled(ordered, group, association, stars, held, parameters, published)
        for group in _groups(ordered, association, free)
    ]
    release = _release(given, parts, published, parameters)
    return JointSolution(release, _residuals(ordered, association, rows, parts))


def _settled(
    exposures: Sequence[ExposureSources],
    group: Ints,
    association: Association,
    stars: Stars,
    held: dict[str, SolvedExposure],
    parameters: JointParameters,
    published: Release | None,
) -> Part:
    """Solve a group until no exposure and no reference stars in it fit by chance alone."""
    start = {name: np.array(solved.parameters) for name, solved in held.items()}
    refused: dict[str, str] = {}
    notes: list[str] = []
    while True:
        problem = make_problem(exposures, group, association, stars, start, parameters, published)
        covariance = np.zeros((len(group), 6, 6))
        for k, name in enumerate(problem.names):
            if name in held:
                covariance[k] = held[name].covariance
        solved = iterate(problem, covariance)
        found = doubts(problem, solved, group, association)
        if not found or len(notes) + 1 >= _ROUNDS:
            return Part(problem, solved, refused, tuple(note for note in notes if note))
        refused |= {problem.names[j]: why for j, why in found.exposures.items()}
        notes.append(f"{found.stars}: they are left out" if found.stars else "")
        association = association.without(group[list(found.exposures)])
        if found.stars:
            association = association.without_stars(group)


def _kinds(published: Release | None) -> dict[tuple[float, float, float], str]:
    """Give the kinds of a release's sources by what tells them: place and epoch."""
    if published is None:
        return {}
    s = published.sources
    return dict(zip(zip(s.ra, s.dec, s.epoch, strict=True), s.kind, strict=True))


def _held(given: Sequence[ExposureSources], published: Release | None) -> dict[str, SolvedExposure]:
    """Give the published exposures among those given.

    Raises
    ------
    ParameterError
        If what was measured of one has changed.
    """
    if published is None:
        return {}
    held = {}
    for e in given:
        if e.name not in published:
            continue
        solved = published[e.name]
        if solved.sources_digest != e.digest:
            raise ParameterError(
                f"{e.name}: its sources are not those that release {published.version} was solved "
                "with; give the same ones, or solve all anew"
            )
        held[e.name] = solved
    return held


def _groups(
    exposures: Sequence[ExposureSources], association: Association, free: NDArray[np.bool_]
) -> list[Ints]:
    """Exposures that free ones are solved with, by group; sorted."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, sources = len(exposures), len(association.star)
    visits = sorted({e.visit for e in exposures})
    of_visit = np.array([visits.index(e.visit) for e in exposures], np.int64)
    ours = free[association.exposure]
    wanted = np.zeros(sources, bool)
    wanted[association.source[ours]] = True
    visit_wanted = np.zeros(len(visits), bool)
    visit_wanted[of_visit[free]] = True
    # Held exposures tie nothing to each other: each is joined to free ones only.
    a = np.concatenate([association.exposure[ours], np.flatnonzero(free)])
    b = np.concatenate([n + association.source[ours], n + sources + of_visit[free]])
    size = n + sources + len(visits)
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(size, size))
    label = connected_components(graph, directed=False)[1]
    groups = []
    for g in dict.fromkeys(label[:n][free].tolist()):
        seen = np.zeros(n, bool)
        here = (label[n : n + sources] == g) & wanted
        seen[association.exposure[here[association.source]]] = True
        seen |= (label[n + sources :] == g)[of_visit] & visit_wanted[of_visit]
        groups.append(np.flatnonzero(seen).astype(np.int64))
    return groups


def _release(
    given: Sequence[ExposureSources],
    parts: Sequence[Part],
    published: Release | None,
    parameters: JointParameters,
) -> Release:
    version = 1 if published is None else published.version + 1
    solved, notes = solved_exposures(given, parts, version, published)
    sources = solved_sources([(part.problem, part.solved) for part in parts])
    motions = merged_motions((), [m for part in parts for m in part.problem.motions])
    if published is not None:
        motions = merged_motions(published.motions, motions)
        sources = merged(published.sources, sources, parameters.radius)
        solved += list(published.exposures)
    return Release(
        version=version,
        parent="" if published is None else published.digest,
        parameters=parameters.to_dict(),
        exposures=tuple(sorted(solved, key=lambda e: (e.mjd, e.name))),
        sources=sources,
        chi_square=float(f"{sum(p.solved.square for p in parts):.6e}"),
        freedom=float(f"{sum(p.solved.freedom for p in parts):.6e}"),
        notes=tuple(notes),
        motions=motions,
    )


def _residuals(
    exposures: Sequence[ExposureSources],
    association: Association,
    rows: Sequence[NDArray[np.intp]],
    parts: Sequence[Part],
) -> Residuals:
    none = np.zeros(0, np.int64)
    detection = np.concatenate([none, *(p.problem.detection for p in parts)])
    left = np.concatenate([np.zeros((0, 2)), *(p.solved.residual for p in parts)])
    error = np.concatenate([np.zeros(0), *(p.problem.error for p in parts)])
    used = np.concatenate([np.zeros(0, bool), *(p.solved.weights.used for p in parts)])
    row = np.concatenate([none, *rows])[detection]
    index = association.exposure[detection]
    order = np.lexsort((row, index))
    return Residuals(
        exposure=tuple(e.name for e in exposures),
        index=index[order],
        row=row[order],
        east=left[order, 0],
        north=left[order, 1],
        error=error[order],
        used=used[order],
    )
