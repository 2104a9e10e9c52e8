"""Sources of epochs years apart that are one star, though it moved by more than the radius.

What is left over in one epoch is linked with what is left over in another, where stars may have
moved so far, each is the other's nearest, and strangers would hardly lie so near.  Not here:
which detections of an epoch are one source (`association`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.geometry import MAS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Standard deviations of proper motions that are looked for.
_SIGMAS = 3.0
#: Strangers are counted as far as so many limits; so many expected within the distance are few.
_AROUND, _FEW = 4.0, 0.1
#: Each round links a source once.
_ROUNDS = 3


class Linked(NamedTuple):
    """The source of each detection, the star of each source, and whether it was linked."""

    source: Ints
    star: Ints
    wide: Bools


class _Means(NamedTuple):
    """Sources as they were seen: mean place and epoch, the first and the last epoch."""

    place: Floats
    epoch: Floats
    first: Floats
    last: Floats


def link(
    place: Floats,
    epoch: Floats,
    source: Ints,
    star: Ints,
    measured: Bools,
    reach: float,
    scatter: float,
) -> Linked:
    """Link sources of disjoint epochs.

    Parameters
    ----------
    place : ndarray of float64, shape (n, 3)
        Directions of detections, without what their field moves.
    epoch : ndarray of float64, shape (n,), Julian year
    source : ndarray of int, shape (n,)
    star : ndarray of int, shape (sources,)
        Of each source, or -1; no source is two.
    measured : ndarray of bool, shape (stars,)
        Stars of known motion: they were met at every epoch already.
    reach : float, radians
    scatter : float, mas / yr
        Of proper motions, per axis.
    """
    wide = np.zeros(len(star), np.bool_)
    speed = _SIGMAS * scatter / MAS
    if not len(epoch) or speed * float(np.ptp(epoch)) <= reach:
        return Linked(source, star, wide)
    star = star.copy()
    for _ in range(_ROUNDS):
        rows, which = np.unique(source, return_inverse=True)
        known = star[rows] >= 0
        settled = known.copy()
        settled[known] = measured[star[rows[known]]]
        able = np.flatnonzero(~settled)
        means = _means(place, epoch, which, len(rows))
        one, other = _pairs(means, able, known, reach, speed)
        if not len(one):
            break
        becomes = np.arange(len(star))
        becomes[rows[other]] = rows[one]
        star[rows[one]] = np.maximum(star[rows[one]], star[rows[other]])
        source = becomes[source]
        wide[rows[one]] = True
    return Linked(source, star, wide)


def _means(place: Floats, epoch: Floats, which: Ints, n: int) -> _Means:
    count = np.bincount(which, minlength=n)
    total = np.stack([np.bincount(which, weights=c, minlength=n) for c in place.T], axis=1)
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, which, epoch)
    np.maximum.at(last, which, epoch)
    middle = np.bincount(which, weights=epoch - 2000.0, minlength=n) / count + 2000.0
    return _Means(total / count[:, np.newaxis], middle, first, last)


def _pairs(
    sources: _Means, able: Ints, known: Bools, reach: float, speed: float
) -> tuple[Ints, Ints]:
    """Pairs of rows that are one star: the earlier, the later."""
    from scipy.spatial import cKDTree

    most = float(np.hypot(reach, speed * np.ptp(sources.epoch)))
    tree = cKDTree(sources.place[able])
    found = able[tree.query_pairs(_AROUND * most, output_type="ndarray").reshape(-1, 2)]
    later = sources.first[found[:, 0]] > sources.last[found[:, 1]]
    found = np.where(later[:, np.newaxis], found[:, ::-1], found)
    one, other = found.T
    years = sources.epoch[other] - sources.epoch[one]
    limit = np.hypot(reach, speed * years)
    away = np.sqrt(np.sum((sources.place[one] - sources.place[other]) ** 2, axis=1)) / limit
    # Within the radius they are one already, or were told apart.
    apart = (sources.last[one] < sources.first[other]) & (speed * years > reach)
    apart &= ~(known[one] & known[other])
    near = apart & (away < _AROUND)
    one, other, away = one[near], other[near], away[near]
    n = len(sources.epoch)
    strangers = np.bincount(one, minlength=n) + np.bincount(other, minlength=n)
    crowd = np.maximum(strangers[one], strangers[other]) - 1.0
    # A source in the middle of its epochs may be the later of one pair and the earlier of another.
    nearest = np.minimum(_least(away, one, n), _least(away, other, n))
    mutual = (away == nearest[one]) & (away == nearest[other])
    good = mutual & (away < 1.0) & (crowd * (away / _AROUND) ** 2 < _FEW)
    return one[good], other[good]


def _least(values: Floats, which: Ints, n: int) -> Floats:
    least = np.full(n, np.inf)
    np.minimum.at(least, which, values)
    return least
