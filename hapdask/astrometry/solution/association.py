"""Which detections are one source: friends of friends across exposures and reference stars.

Detections go into small cells; cells nearer than the radius are friends, and so is a reference
star, at an exposure's own epoch, with the detection that is mutually nearest to it.  Connected
friends are a group, found without ever listing all pairs of detections.  A group that holds two
detections of one exposure, or two stars, is resolved one to one (`resolving`).  What is left over
in epochs far apart is linked (`linking`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.references.motion import earth, julian_year
from hapdask.astrometry.solution.geometry import (
    MAS,
    correction_of,
    directions,
    local_axes,
    moved,
    parameters_of,
)
from hapdask.astrometry.solution.inputs import ExposureSources, Stars
from hapdask.astrometry.solution.linking import link
from hapdask.astrometry.solution.motions import MEASURED
from hapdask.astrometry.solution.resolving import resolve

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Side of a cell in radii: its diagonal is well below one radius.
_CELL = 0.25


@dataclass(frozen=True, eq=False)
class Association:
    """Sources of a set of exposures; detections are those of all exposures, one after another.

    Attributes
    ----------
    exposure : ndarray of int, shape (n,)
        Of each detection.
    direction : ndarray of float64, shape (n, 3)
        After the first alignment.
    source : ndarray of int, shape (n,)
        Of each detection; at most one detection of an exposure has a given source.
    star : ndarray of int, shape (sources,)
        Row in the stars, or -1.
    near : tuple of ndarray of int
        Per exposure: rows of the stars in its field, seen or not.
    wide : ndarray of bool, shape (sources,)
        Which were linked over years, beyond the radius: no evidence that an exposure is in its
        place.
    """

    exposure: Ints
    direction: Floats
    source: Ints
    star: Ints
    wide: NDArray[np.bool_]
    near: tuple[Ints, ...] = ()

    def without(self, exposures: Ints) -> Association:
        """Let the detections of some exposures (their numbers) be sources of their own."""
        loose = np.flatnonzero(np.isin(self.exposure, exposures))
        source = self.source.copy()
        source[loose] = len(self.star) + np.arange(len(loose))
        star = np.concatenate([self.star, np.full(len(loose), -1, np.int64)])
        wide = np.concatenate([self.wide, np.zeros(len(loose), np.bool_)])
        return replace(self, source=source, star=star, wide=wide)

    def without_stars(self, exposures: Ints) -> Association:
        """Let the sources of some exposures (their numbers) be no reference stars."""
        star = self.star.copy()
        star[self.source[np.isin(self.exposure, exposures)]] = -1
        return replace(self, star=star)


def associate(
    exposures: Sequence[ExposureSources],
    stars: Stars,
    radius: float,
    drift: Floats | None = None,
    scatter: float = 0.0,
) -> Association:
    """Find the common sources.

    Parameters
    ----------
    exposures : sequence of ExposureSources
        In canonical order, usable sources only.
    stars : Stars
    radius : float, arcsec
    drift : ndarray of float64, shape (exposures, 3), mas / yr, optional
        How their stars move together: without it those that move on with their field would be
        taken for others sooner than those that stay behind.
    scatter : float, mas / yr
        Of their own motions: those that leave the radius over years are followed.

    Returns
    -------
    Association
        Sources are numbered by their first detection.
    """
    reach = float(np.radians(radius / 3600.0))
    count = [len(e) for e in exposures]
    exposure = np.repeat(np.arange(len(exposures)), count)
    direction = np.concatenate([_aligned(e) for e in exposures] or [np.zeros((0, 3))])
    at_rest = _at_rest(exposures, exposure, direction, drift)
    cell, center = _cells(at_rest, _CELL * reach)
    friends = [_near(center, reach)]
    epoch_stars = stars_per_exposure(exposures, stars, reach)
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    for k, (rows, places) in enumerate(epoch_stars):
        detected, star = _mutual(direction[first[k] : first[k + 1]], places, reach)
        friends.append(np.stack([cell[first[k] + detected], len(center) + rows[star]], axis=1))
    group = _groups(len(center) + len(stars.epoch), np.concatenate(friends))
    of_detection, of_star = group[cell], group[len(center) :]
    source, star = resolve(exposure, direction, of_detection, of_star, epoch_stars, reach)
    epoch = julian_year(np.array([e.mjd for e in exposures]))[exposure]
    known = stars.measured(MEASURED * scatter)
    linked = link(at_rest, epoch, source, star, known, reach, scatter)
    made = _numbered(exposure, direction, *linked)
    return replace(made, near=tuple(rows for rows, _ in epoch_stars))


def _aligned(e: ExposureSources) -> Floats:
    """Directions after the first alignment."""
    start = correction_of(parameters_of(e.start, e.center), e.center)
    return directions(e.center, *moved(start, e.xi, e.eta))


def _at_rest(
    exposures: Sequence[ExposureSources], exposure: Ints, direction: Floats, drift: Floats | None
) -> Floats:
    """Directions without what the stars of the field move together, from their middle epoch on."""
    if drift is None or not drift.any():
        return direction
    epoch = julian_year(np.array([e.mjd for e in exposures]))
    moved_on = drift * (epoch - 0.5 * (epoch.min() + epoch.max()))[:, np.newaxis] / MAS
    still = np.concatenate([e.still for e in exposures])
    return np.asarray(direction - np.where(still[:, np.newaxis], 0.0, moved_on[exposure]))


def _cells(direction: Floats, side: float) -> tuple[Ints, Floats]:
    """Give the number of the cell of each direction, and the mean place of each cell."""
    if not len(direction):
        return np.zeros(0, np.int64), np.zeros((0, 3))
    key = np.floor(direction / side).astype(np.int64)
    order = np.lexsort(key.T)
    fresh = np.any(np.diff(key[order], axis=0) != 0, axis=1)
    begin = np.concatenate([[0], np.flatnonzero(fresh) + 1])
    cell = np.empty(len(key), np.int64)
    cell[order] = np.concatenate([[0], np.cumsum(fresh)])
    size = np.diff(np.concatenate([begin, [len(key)]]))
    return cell, np.add.reduceat(direction[order], begin, axis=0) / size[:, np.newaxis]


def _near(center: Floats, reach: float) -> Ints:
    from scipy.spatial import cKDTree

    if not len(center):
        return np.zeros((0, 2), np.int64)
    pairs = cKDTree(center).query_pairs(reach, output_type="ndarray")
    return np.asarray(pairs, np.int64).reshape(-1, 2)


def _mutual(here: Floats, places: Floats, reach: float) -> tuple[Ints, Ints]:
    """Pairs that are each other's nearest within the reach."""
    from scipy.spatial import cKDTree

    none = np.zeros(0, np.int64)
    if not (len(here) and len(places)):
        return none, none
    distance, nearest = cKDTree(places).query(here, distance_upper_bound=reach)
    back = cKDTree(here).query(places, distance_upper_bound=reach)[1]
    found = np.flatnonzero(np.isfinite(distance))
    found = found[back[nearest[found]] == found]
    return found.astype(np.int64), nearest[found].astype(np.int64)


def _groups(n: int, pairs: Ints) -> Ints:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _numbered(
    exposure: Ints, direction: Floats, source: Ints, star: Ints, wide: NDArray[np.bool_]
) -> Association:
    """Count the sources by their first detection; stars that nobody sees fall away."""
    seen, at = np.unique(source, return_index=True)
    order = np.argsort(at)
    number = np.full(len(star), -1, np.int64)
    number[seen[order]] = np.arange(len(seen))
    chosen = seen[order]
    return Association(exposure, direction, number[source], star[chosen], wide[chosen])


def stars_per_exposure(
    exposures: Sequence[ExposureSources], stars: Stars, reach: float
) -> list[tuple[Ints, Floats]]:
    """Give the stars near each exposure, and their directions at its epoch."""
    from scipy.spatial import cKDTree

    if not len(stars.epoch) or not exposures:
        return [(np.zeros(0, np.int64), np.zeros((0, 3)))] * len(exposures)
    tree = cKDTree(stars.direction)
    observer = earth(np.array([e.mjd for e in exposures]))
    found = []
    for k, e in enumerate(exposures):
        here = _aligned(e)
        epoch = float(julian_year(e.mjd))
        if not len(here):
            found.append((np.zeros(0, np.int64), np.zeros((0, 3))))
            continue
        middle = here.mean(axis=0)
        size = float(np.sqrt(np.max(np.sum((here - middle) ** 2, axis=1))))
        # A star of 2 arcsec / yr is still found; the rest is for the fastest few of the sky.
        drift = 2000.0 / MAS * float(np.max(np.abs(epoch - stars.epoch)))
        rows = np.array(sorted(tree.query_ball_point(middle, size + reach + drift)), np.int64)
        found.append((rows, star_places(stars, rows, epoch, observer[k])))
    return found


def star_places(stars: Stars, rows: Ints, epoch: float, observer: Floats) -> Floats:
    """Directions, shape (n, 3), of some stars at an epoch, from a place (3,) in au."""
    dt = epoch - stars.epoch[rows]
    tangent = local_axes(stars.direction[rows])
    place = stars.direction[rows] - stars.parallax[rows, np.newaxis] / MAS * observer
    for k in (0, 1):
        place = place + (stars.pm[rows, k] * dt / MAS)[:, np.newaxis] * tangent[:, k]
    return np.asarray(place / np.sqrt(np.sum(place * place, axis=1, keepdims=True)))
