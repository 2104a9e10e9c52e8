"""The least squares problem of one group of exposures, as plain arrays.

Blocks are sets of six unknowns: one per exposure (its correction), one per visit (the error that
its headers share), one for the field's common proper motion.  Each source has four: its place
(mas east and north of a base direction) and proper motion (mas / yr).  Here: the arrays, residuals
and derivatives.  Not here: weights (`robust`), elimination (`elimination`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.references.motion import earth, julian_year
from hapdask.astrometry.solution.association import Association
from hapdask.astrometry.solution.geometry import (
    GEOMETRIES,
    MAS,
    design,
    local_axes,
    parameters_of,
)
from hapdask.astrometry.solution.inputs import ExposureSources, Stars
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.sky.tangent import axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Proper motion of galaxies: none, to this, mas / yr.
_AT_REST = 1e-3
#: A source without any measurement left stays within so much of its base, mas.
_LOOSE = 1e5
#: A star's proper motion is measured where its error is below this share of the stars' scatter.
_MEASURED = 0.5


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
    drifting : ndarray of bool, shape (sources,)
        Whose proper motion is that of the field and a scatter.
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
    drifting: Bools
    star: Ints
    earth: Floats
    parameters: JointParameters

    @property
    def blocks(self) -> int:
        """Exposures, visits, and the field's motion."""
        return len(self.names) + len(self.visits) + 1

    @property
    def motion(self) -> int:
        """The block of the field's motion."""
        return self.blocks - 1

    def active(self) -> Bools:
        """Tell which unknowns of the blocks are solved for, shape (blocks, 6)."""
        active = np.zeros((self.blocks, 6), bool)
        active[: len(self.names)] = self.used & ~self.held[:, np.newaxis]
        active[len(self.names) : self.motion, :4] = True
        active[self.motion, :2] = self.parameters.mean_motion > 0 and bool(self.drifting.any())
        return active

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

    def turns(self) -> Floats:
        """Give the field's motion along the axes of each drifting source, shape (n, 2, 2).

        By the axes of the first exposure: near a pole those of the sources turn against them.
        """
        return np.asarray(
            np.einsum("nkc,lc->nkl", self.tangent[self.drifting], self.basis[0, :2], optimize=False)
        )

    def prior_residuals(self, theta: Floats, state: Floats) -> Floats:
        """Solved minus probable place and proper motion, shape (sources, 4)."""
        expected = self.prior.copy()
        drift = np.einsum("nkl,l->nk", self.turns(), theta[self.motion, :2], optimize=False)
        expected[self.drifting, 2:] += drift
        return np.asarray(state - expected)


def make_problem(
    exposures: Sequence[ExposureSources],
    rows: Ints,
    association: Association,
    stars: Stars,
    held: dict[str, Floats],
    parameters: JointParameters,
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
    """
    mine = [exposures[r] for r in rows]
    visits = tuple(sorted({e.visit for e in mine}))
    local = np.full(len(exposures), -1, np.int64)
    local[rows] = np.arange(len(rows))
    detection, source, star = _sources(association, local)
    exposure = local[association.exposure[detection]]
    column = {
        n: np.concatenate([getattr(e, n) for e in exposures])[detection]
        for n in ("xi", "eta", "error", "still")
    }
    epoch = np.array([float(julian_year(e.mjd)) for e in mine])
    weight = column["error"] ** -2.0
    ours = _Sources.of(association.direction[detection], source, weight, epoch[exposure], star)
    prior, prior_error = ours.prior(stars, column["still"], parameters)
    galaxy = prior_error[:, 2] == _AT_REST
    basis = np.stack([axes(*e.center) for e in mine])
    base, source_epoch, parallax = ours.based(stars)
    tangent = local_axes(base)
    dt = epoch[exposure] - source_epoch[source]
    used = np.stack([np.arange(6) < GEOMETRIES[e.geometry] for e in mine])
    start = np.stack([parameters_of(e.start, e.center) for e in mine])
    return Problem(
        names=tuple(e.name for e in mine),
        visits=visits,
        detection=detection,
        exposure=exposure,
        source=source,
        measured=1e3 * np.stack([column["xi"], column["eta"]], axis=1),
        error=column["error"],
        design=design(column["xi"], column["eta"]),
        slope=_slope(basis[exposure], base[source], tangent[source], dt),
        basis=basis,
        epoch=epoch,
        visit=np.array([visits.index(e.visit) for e in mine], np.int64),
        start=np.stack([held.get(e.name, used[k] * start[k]) for k, e in enumerate(mine)]),
        used=used,
        held=np.array([e.name in held for e in mine]),
        base=base,
        tangent=tangent,
        source_epoch=source_epoch,
        parallax=parallax,
        prior=prior,
        prior_error=prior_error,
        drifting=~galaxy & ~ours.measured_motion(stars, parameters.pm_scatter),
        star=star,
        earth=earth(np.array([e.mjd for e in mine])),
        parameters=parameters,
    )


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


@dataclass(frozen=True, eq=False)
class _Sources:
    """Weighted means over the detections of each source."""

    source: Ints
    begin: Ints
    direction: Floats
    epoch: Floats
    star: Ints

    @classmethod
    def of(
        cls, direction: Floats, source: Ints, weight: Floats, epoch: Floats, star: Ints
    ) -> _Sources:
        if not len(star):
            return cls(source, source, np.zeros((0, 3)), np.zeros(0), star)
        begin = np.searchsorted(source, np.arange(len(star)))
        total = np.add.reduceat(weight, begin)
        mean = np.add.reduceat(direction * weight[:, np.newaxis], begin, axis=0)
        mean = mean / np.sqrt(np.sum(mean * mean, axis=1, keepdims=True))
        offset = np.add.reduceat(weight * (epoch - 2000.0), begin) / total
        # Rounded, so that a published epoch is exactly the one that was used.
        return cls(source, begin, mean, np.round(2000.0 + offset, 4), star)

    def measured_motion(self, stars: Stars, scatter: float) -> Bools:
        """Tell whose motion is known better than that of any star; not that of a prior."""
        known = self.star >= 0
        known[known] = stars.pm_error[self.star[known]].max(axis=1) < _MEASURED * scatter
        return np.asarray(known)

    def based(self, stars: Stars) -> tuple[Floats, Floats, Floats]:
        known, row = self.star >= 0, self.star[self.star >= 0]
        base, epoch, parallax = self.direction.copy(), self.epoch.copy(), np.zeros(len(self.star))
        base[known], epoch[known] = stars.direction[row], stars.epoch[row]
        parallax[known] = stars.parallax[row]
        return base, epoch, parallax

    def prior(
        self, stars: Stars, galaxy: Bools, parameters: JointParameters
    ) -> tuple[Floats, Floats]:
        n = len(self.star)
        prior, error = np.zeros((n, 4)), np.full((n, 4), _LOOSE)
        error[:, 2:] = parameters.pm_scatter
        if n:
            votes = np.add.reduceat(galaxy.astype(np.int64), self.begin)
            seen = np.bincount(self.source, minlength=n)
            error[2 * votes > seen, 2:] = _AT_REST
        known, row = self.star >= 0, self.star[self.star >= 0]
        error[known, :2] = stars.error[row]
        motion = self.measured_motion(stars, parameters.pm_scatter)
        prior[motion, 2:] = stars.pm[self.star[motion]]
        error[motion, 2:] = stars.pm_error[self.star[motion]]
        return prior, error


def _slope(basis: Floats, base: Floats, tangent: Floats, dt: Floats) -> Floats:
    """Give the derivative of a predicted place by place and proper motion, shape (n, 2, 4)."""
    seen = np.einsum("nab,nb->na", basis, base, optimize=False)
    along = np.einsum("nab,ncb->nac", basis, tangent, optimize=False)
    plane = seen[:, :2] / seen[:, 2:]
    place = (along[:, :2] - plane[:, :, np.newaxis] * along[:, 2:]) / seen[:, 2:, np.newaxis]
    return np.concatenate([place, place * dt[:, np.newaxis, np.newaxis]], axis=2)
