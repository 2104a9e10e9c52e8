"""The least squares problem of one group of exposures, as plain arrays.

Blocks are sets of six unknowns: one per exposure (its correction), one per visit (the error that
its headers share), one per area of the sky (what its sources have in common: `common`).  Each
source has four: its place (mas east and north of a base direction) and proper motion (mas / yr).
Here: the arrays, residuals and derivatives.  Not here: weights (`robust`), elimination
(`elimination`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.references.motion import earth, julian_year
from hapdask.astrometry.solution.areas import Areas
from hapdask.astrometry.solution.association import Association
from hapdask.astrometry.solution.common import Common, Frame, make_common
from hapdask.astrometry.solution.geometry import (
    GEOMETRIES,
    MAS,
    design,
    local_axes,
    parameters_of,
)
from hapdask.astrometry.solution.inputs import GALAXY, SOLVED, ExposureSources, Stars
from hapdask.astrometry.solution.motions import MEASURED, FieldMotion, better, field_motions
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.priors import LOOSE, Sources, which_of
from hapdask.astrometry.solution.release import Release
from hapdask.sky.tangent import axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Problem:
    """One group; detections are sorted by source, then exposure.

    Attributes
    ----------
    names : tuple of str
        Of exposures, canonical order.
    visits : tuple of str
        Sorted.
    detection : ndarray of int, shape (n,)
        Which one of all detections of the run.
    exposure, source : ndarray of int, shape (n,)
    measured : ndarray of float64, shape (n, 2), mas
        By the header.
    error : ndarray of float64, shape (n,), mas
    design : ndarray of float64, shape (n, 2, 6)
    slope : ndarray of float64, shape (n, 2, 4)
        Predicted place by the source's unknowns.
    basis : ndarray of float64, shape (exposures, 3, 3)
    epoch : ndarray of float64, shape (exposures,)
    visit : ndarray of int, shape (exposures,)
    start : ndarray of float64, shape (exposures, 6)
        First, or held, parameters.
    used : ndarray of bool, shape (exposures, 6)
        Parameters of the geometry.
    held : ndarray of bool, shape (exposures,)
    base, tangent : ndarray of float64, shapes (sources, 3) and (sources, 2, 3)
    source_epoch, parallax : ndarray of float64, shape (sources,)
    prior, prior_error : ndarray of float64, shape (sources, 4)
        Infinite errors where nothing is known.
    common : Common
        Of the sources of each area: what their `prior` is given beside.
    motions : tuple of FieldMotion
        Known of its areas.
    kind : ndarray of str, shape (sources,)
        As in a release.
    released : ndarray of bool, shape (sources,)
        Whose reference star is a source of a release.
    star : ndarray of int, shape (sources,)
    earth : ndarray of float64, shape (exposures, 3)
    parameters : JointParameters
    """

    names: tuple[str, ...]
    visits: tuple[str, ...]
    detection: Ints
    exposure: Ints
    source: Ints
    measured: Floats
    error: Floats
    design: Floats
    slope: Floats
    basis: Floats
    epoch: Floats
    visit: Ints
    start: Floats
    used: Bools
    held: Bools
    base: Floats
    tangent: Floats
    source_epoch: Floats
    parallax: Floats
    prior: Floats
    prior_error: Floats
    common: Common
    motions: tuple[FieldMotion, ...]
    kind: NDArray[np.str_]
    released: Bools
    star: Ints
    earth: Floats
    parameters: JointParameters

    @property
    def blocks(self) -> int:
        """Exposures, visits, and areas."""
        return self.first_area + len(self.common)

    @property
    def first_area(self) -> int:
        """The block of the first area."""
        return len(self.names) + len(self.visits)

    @property
    def placed(self) -> Bools:
        """Which sources have a place by a reference star, shape (sources,)."""
        return np.asarray((self.star >= 0) & (self.prior_error[:, 0] < LOOSE))

    def active(self) -> Bools:
        """Tell which unknowns of the blocks are solved for, shape (blocks, 6)."""
        active = np.zeros((self.blocks, 6), bool)
        active[: len(self.names)] = self.used & ~self.held[:, np.newaxis]
        active[len(self.names) : self.first_area, :4] = True
        active[self.first_area :] = self.common.active
        return active

    def probable(self) -> Floats:
        """Give the unknowns of the blocks before anything is seen, shape (blocks, 6)."""
        theta = np.zeros((self.blocks, 6))
        theta[self.first_area :] = self.common.mean
        return theta

    def residuals(self, theta: Floats, state: Floats) -> Floats:
        """Corrected minus predicted places, mas, shape (n, 2)."""
        at = np.einsum("nap,np->na", self.design, theta[self.exposure], optimize=False)
        return np.asarray(self.measured + at - self._predicted(state))

    def _predicted(self, state: Floats) -> Floats:
        s, e = self.source, self.exposure
        dt = (self.epoch[e] - self.source_epoch[s])[:, np.newaxis]
        shift = (state[s, :2] + state[s, 2:] * dt) / MAS
        place = self.base[s] - self.parallax[s, np.newaxis] / MAS * self.earth[e]
        place = place + shift[:, :1] * self.tangent[s, 0] + shift[:, 1:] * self.tangent[s, 1]
        seen = np.einsum("nab,nb->na", self.basis[e], place, optimize=False)
        return np.asarray(MAS * seen[:, :2] / seen[:, 2:])

    def prior_residuals(self, theta: Floats, state: Floats) -> Floats:
        """Solved minus probable place and proper motion, shape (sources, 4)."""
        shared = theta[self.first_area + self.common.area]
        leaning = np.einsum("nkl,nl->nk", self.common.lean, shared, optimize=False)
        return np.asarray(state - self.prior - leaning)


def make_problem(
    exposures: Sequence[ExposureSources],
    rows: Ints,
    association: Association,
    stars: Stars,
    held: dict[str, Floats],
    parameters: JointParameters,
    published: Release | None = None,
) -> Problem:
    """Set up the problem of one group.

    Parameters
    ----------
    exposures : sequence of ExposureSources
        All of the run.
    rows : ndarray of int
        Those of the group.
    association : Association
    stars : Stars
    held : dict of str to ndarray, shape (6,)
        Parameters of exposures that are not solved for.
    parameters : JointParameters
    published : Release, optional
        Whose sources may be among the stars, and which may know how the field moves.
    """
    mine = [exposures[r] for r in rows]
    local = np.full(len(exposures), -1, np.int64)
    local[rows] = np.arange(len(rows))
    detection, source, star = _sources(association, local)
    exposure = local[association.exposure[detection]]
    # A held exposure tells by its detections what the release has of its sources: once is enough.
    with_held = np.bincount(source, np.array([e.name in held for e in mine])[exposure], len(star))
    star = np.where((with_held > 0) & which_of(star, stars.solved), -1, star)
    column = {
        n: np.concatenate([getattr(e, n) for e in exposures])[detection]
        for n in ("xi", "eta", "error", "still")
    }
    epoch = np.array([float(julian_year(e.mjd)) for e in mine])
    weight = column["error"] ** -2.0
    ours = Sources.of(association.direction[detection], source, weight, epoch[exposure], star)
    near = np.unique(np.concatenate([association.near[r] for r in rows]))
    probable = _probable(
        mine, ours, column["still"], with_held > 0, (stars, near), parameters, published
    )
    basis = np.stack([axes(*e.center) for e in mine])
    base, source_epoch, parallax = ours.based(stars)
    tangent = local_axes(base)
    dt = epoch[exposure] - source_epoch[source]
    return Problem(
        detection=detection,
        exposure=exposure,
        source=source,
        measured=1e3 * np.stack([column["xi"], column["eta"]], axis=1),
        error=column["error"],
        design=design(column["xi"], column["eta"]),
        slope=_slope(basis[exposure], base[source], tangent[source], dt),
        base=base,
        tangent=tangent,
        source_epoch=source_epoch,
        parallax=parallax,
        star=star,
        parameters=parameters,
        **_of_exposures(mine, held, epoch, basis),
        **probable,
    )


def _of_exposures(
    mine: Sequence[ExposureSources], held: dict[str, Floats], epoch: Floats, basis: Floats
) -> dict[str, Any]:
    """Give the columns of exposures."""
    visits = tuple(sorted({e.visit for e in mine}))
    used = np.stack([np.arange(6) < GEOMETRIES[e.geometry] for e in mine])
    start = np.stack([parameters_of(e.start, e.center) for e in mine])
    return {
        "names": tuple(e.name for e in mine),
        "visits": visits,
        "basis": basis,
        "epoch": epoch,
        "visit": np.array([visits.index(e.visit) for e in mine], np.int64),
        "start": np.stack([held.get(e.name, used[k] * start[k]) for k, e in enumerate(mine)]),
        "used": used,
        "held": np.array([e.name in held for e in mine]),
        "earth": earth(np.array([e.mjd for e in mine])),
    }


def _probable(
    mine: Sequence[ExposureSources],
    ours: Sources,
    still: Bools,
    with_held: Bools,
    known: tuple[Stars, Ints],
    parameters: JointParameters,
    published: Release | None,
) -> dict[str, Any]:
    """Give what is probable of the sources, each by itself and together.

    ``known`` are all stars, and those of the exposures' fields.
    """
    stars, near = known
    areas = Areas.of(np.stack([axes(*e.center)[2] for e in mine]))
    base, _, _ = ours.based(stars)
    frame = Frame.of(stars, areas, areas.nearest(stars.direction), published)
    prior, prior_error, galaxy = ours.prior(stars, still, parameters, areas, frame)
    released = which_of(ours.star, stars.released)
    prior_error[with_held & released, :2] = LOOSE
    motions = field_motions(stars, near, areas, parameters)
    if published is not None:
        motions = better(motions, published.motions, areas)
    moving = which_of(ours.star, stars.measured(MEASURED * parameters.pm_scatter))
    common = make_common(
        areas,
        areas.nearest(base),
        local_axes(base),
        ~galaxy & ~moving,
        (prior_error[:, 0] < LOOSE) & released,
        moving & which_of(ours.star, stars.known == SOLVED),
        frame,
        motions,
        parameters,
        galaxies_told=all(e.galaxy is not None for e in mine),
    )
    galaxy |= which_of(ours.star, stars.known == GALAXY)
    kind = np.where(galaxy, "galaxy", "star")
    return {
        "prior": prior,
        "prior_error": prior_error,
        "common": common,
        "motions": tuple(m for m in motions if m is not None),
        "kind": np.where(which_of(ours.star, ~stars.solved), "reference", kind),
        "released": released,
    }


def _sources(association: Association, local: Ints) -> tuple[Ints, Ints, Ints]:
    """Find detections of sources that tie something, these sources renumbered, their stars."""
    mine = local[association.exposure] >= 0
    seen = np.bincount(association.source[mine], minlength=len(association.star))
    tie = seen + (association.star >= 0) * (seen > 0) >= 2
    number = np.cumsum(tie) - 1
    detection = np.flatnonzero(mine & tie[association.source])
    order = np.lexsort((detection, number[association.source[detection]]))
    detection = detection[order]
    return detection, number[association.source[detection]], association.star[tie]


def _slope(basis: Floats, base: Floats, tangent: Floats, dt: Floats) -> Floats:
    """Give the derivative of a predicted place by place and proper motion, shape (n, 2, 4)."""
    seen = np.einsum("nab,nb->na", basis, base, optimize=False)
    along = np.einsum("nab,ncb->nac", basis, tangent, optimize=False)
    plane = seen[:, :2] / seen[:, 2:]
    place = (along[:, :2] - plane[:, :, np.newaxis] * along[:, 2:]) / seen[:, 2:, np.newaxis]
    return np.concatenate([place, place * dt[:, np.newaxis, np.newaxis]], axis=2)
