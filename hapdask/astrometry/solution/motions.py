"""How the stars of an area move together, as far as stars of measured motion tell it.

Stars scatter about a common motion of their area.  That of the stars whose motions nobody has
measured is 0 to within `mean_motion`; it differs by a little between areas, and from that of the
measured stars, which are brighter and nearer, by `population_motion`.  So the mean of measured
motions tells it, never better than to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.areas import Areas
from hapdask.astrometry.solution.geometry import local_axes
from hapdask.astrometry.solution.inputs import ExposureSources, Stars
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.sky.tangent import sky_of, unit_vectors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A motion is measured where its error is below this share of the stars' scatter.
MEASURED = 0.5
#: Difference between areas, per axis, mas / yr.
_BETWEEN_AREAS = 0.5
#: Share of a field's motion that its other sources may lack where nobody has told galaxies apart.
_GALAXIES = 0.5
#: Stars that the scatter given counts for beside that found.
_BELIEF = 5.0
#: Standard deviations beyond which a star is of another kind (near, fast), and how often to look.
_CLIP, _TIMES = 3.0, 5


@dataclass(frozen=True, slots=True)
class FieldMotion:
    """Mean of the measured motions of an area's stars.

    Attributes
    ----------
    ra, dec : float, degrees
        Middle of the area.
    pmra, pmdec : float, mas / yr
        pmra with cos(dec).
    error : float, mas / yr
        Per axis: of the mean of *these* stars; others may differ (`population_motion`).
    stars : int
    """

    ra: float
    dec: float
    pmra: float
    pmdec: float
    error: float
    stars: int


def field_motions(
    stars: Stars, rows: Ints, areas: Areas, parameters: JointParameters
) -> list[FieldMotion | None]:
    """Give the mean motion of the measured stars of each area; None where there is none.

    Parameters
    ----------
    stars : Stars
    rows : ndarray of int
        Stars in the exposures' fields, seen or not.
    areas : Areas
    parameters : JointParameters
    """
    rows = rows[stars.measured(MEASURED * parameters.pm_scatter)[rows] & ~stars.solved[rows]]
    area = areas.nearest(stars.direction[rows])
    turn = areas.turns(area, local_axes(stars.direction[rows]))
    motion = np.einsum("nkl,nk->nl", turn, stars.pm[rows], optimize=False)
    error = stars.pm_error[rows].max(axis=1)
    found: list[FieldMotion | None] = []
    for a in range(len(areas)):
        here = area == a
        if not here.any():
            found.append(None)
            continue
        mean, sigma, count = _mean(motion[here], error[here], parameters.pm_scatter)
        east, north = local_axes(areas.center[a : a + 1])[0] @ areas.axes[a].T @ mean
        ra, dec = (float(c) for c in sky_of(areas.center[a]))
        figures = [round(float(v), 4) + 0.0 for v in (east, north, sigma)]
        found.append(
            FieldMotion(round(ra, 6), round(dec, 6), figures[0], figures[1], figures[2], count)
        )
    return found


def _mean(motion: Floats, error: Floats, scatter: float) -> tuple[Floats, float, int]:
    """Mean of motions, shape (n, 2), its error per axis, and the number of stars that it is of."""
    center, spread = np.median(motion, axis=0), scatter
    near = np.ones(len(motion), bool)
    for _ in range(_TIMES):
        width = np.hypot(spread, error)
        near = np.all(np.abs(motion - center) <= _CLIP * width[:, np.newaxis], axis=1)
        if not near.any():
            return center, scatter, 0
        weight = near / width**2
        center = weight @ motion / weight.sum()
        square = 0.5 * float(np.sum((motion[near] - center) ** 2))
        own = float(np.mean(error[near] ** 2))
        count = int(near.sum())
        # n stars about their own mean have n - 1 degrees of freedom.
        variance = (_BELIEF * scatter**2 + square) / (_BELIEF + max(count - 1, 0)) - own
        spread = float(np.sqrt(max(variance, (0.05 * scatter) ** 2)))
    return center, float(1.0 / np.sqrt(np.sum(near / (spread**2 + error**2)))), int(near.sum())


def better(
    here: Sequence[FieldMotion | None], published: Sequence[FieldMotion], areas: Areas
) -> list[FieldMotion | None]:
    """Give the best known motion of each area, of its own stars or of a release.

    One of the two, not their mean: most of their stars are the same.
    """
    if not published:
        return list(here)
    places = unit_vectors([m.ra for m in published], [m.dec for m in published])
    best = []
    for a, own in enumerate(here):
        known = [published[k] for k in np.flatnonzero(areas.has(a, places)).tolist()]
        known += [] if own is None else [own]
        known = [m for m in known if m.stars]
        best.append(min(known, key=lambda m: m.error) if known else None)
    return best


def merged_motions(
    published: Sequence[FieldMotion], new: Sequence[FieldMotion]
) -> tuple[FieldMotion, ...]:
    """Put motions together, the best known one of each area, by right ascension."""
    kept: list[FieldMotion] = []
    each = dict.fromkeys(m for m in (*published, *new) if m.stars)
    for motion in sorted(each, key=lambda m: (m.error, m.ra, m.dec, m.pmra)):
        place = unit_vectors([motion.ra], [motion.dec])
        others = unit_vectors([m.ra for m in kept], [m.dec for m in kept])
        if not Areas.of(place).has(0, others).any():
            kept.append(motion)
    return tuple(sorted(kept, key=lambda m: (m.ra, m.dec)))


def expected_motion(
    areas: Areas,
    known: Sequence[FieldMotion | None],
    parameters: JointParameters,
    *,
    galaxies_told: bool,
) -> tuple[Floats, Floats]:
    """Give what is probable of the common motions of stars that have none measured.

    Parameters
    ----------
    areas : Areas
    known : sequence of FieldMotion or None
        Of the areas.
    parameters : JointParameters
    galaxies_told : bool
        Whether galaxies are known as such: else many of the sources may not move at all.

    Returns
    -------
    mean : ndarray of float64, shape (areas, 2), mas / yr
        Along the areas' axes.
    covariance : ndarray of float64, shape (areas, areas), (mas / yr)**2
        The same for both axes.
    """
    n = len(areas)
    prior = np.full((n, n), parameters.mean_motion**2) + _BETWEEN_AREAS**2 * np.eye(n)
    which = np.array([a for a, m in enumerate(known) if m is not None], np.int64)
    if not len(which):
        return np.zeros((n, 2)), prior
    told = [m for m in known if m is not None]
    local = np.array([[m.pmra, m.pmdec] for m in told])
    tangent = local_axes(unit_vectors([m.ra for m in told], [m.dec for m in told]))
    turn = areas.turns(which, tangent)
    motion = np.einsum("nkl,nk->nl", turn, local, optimize=False)
    differ = parameters.population_motion**2
    if not galaxies_told:
        differ += 0.5 * float(np.sum((_GALAXIES * motion.mean(axis=0)) ** 2))
    error = np.array([m.error for m in told])
    seen = prior[np.ix_(which, which)] + differ + np.diag(error**2)
    gain = np.linalg.solve(seen, prior[which]).T
    covariance = prior - gain @ prior[which]
    return gain @ motion, 0.5 * (covariance + covariance.T)


def drifts(
    exposures: Sequence[ExposureSources],
    stars: Stars,
    published: Sequence[FieldMotion],
    parameters: JointParameters,
) -> Floats:
    """Give the probable common motion at each exposure, shape (exposures, 3), mas / yr."""
    found = np.zeros((len(exposures), 3))
    if not exposures or not parameters.mean_motion > 0:
        return found
    centers = unit_vectors(*np.array([e.center for e in exposures]).T)
    every = Areas.of(centers)
    area = every.nearest(centers)
    for a in range(len(every)):
        # Exposures anywhere on the sky: each area by itself.
        alone = Areas.of(every.center[a : a + 1])
        rows = np.flatnonzero(alone.has(0, stars.direction))
        known = better(field_motions(stars, rows, alone, parameters), published, alone)
        mine = np.flatnonzero(area == a)
        told = all(exposures[k].galaxy is not None for k in mine.tolist())
        mean, _ = expected_motion(alone, known, parameters, galaxies_told=told)
        found[mine] = mean[0] @ alone.axes[0]
    return found
