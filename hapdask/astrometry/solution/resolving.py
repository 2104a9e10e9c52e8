"""Groups of friends that cannot be one source: two detections of one exposure, or two stars.

The stars of the group, else the detections of its richest exposure, are the first sources; every
exposure in turn gives each source at most one detection, the nearest pairs first; what is left
over begins a source of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Places = Sequence[tuple[Ints, Floats]]


def resolve(
    exposure: Ints,
    direction: Floats,
    group: Ints,
    group_of_star: Ints,
    places: Places,
    reach: float,
) -> tuple[Ints, Ints]:
    """Make sources of groups.

    Parameters
    ----------
    exposure, direction, group : ndarray
        Of each detection; by exposure.
    group_of_star : ndarray of int
    places : sequence of (rows of stars, directions)
        Per exposure.
    reach : float, radians

    Returns
    -------
    source : ndarray of int
        Of each detection.
    star : ndarray of int
        Of each source; -1 where there is none.
    """
    n = int(max(group.max(initial=-1), group_of_star.max(initial=-1))) + 1
    source = group.copy()
    star = np.full(n, -1, np.int64)
    star[group_of_star] = np.arange(len(group_of_star))
    pair = exposure * np.int64(n) + group
    _, inverse, times = np.unique(pair, return_inverse=True, return_counts=True)
    unclear = np.zeros(n, bool)
    unclear[group[times[inverse] > 1]] = True
    unclear |= np.bincount(group_of_star, minlength=n) > 1
    order = np.argsort(group, kind="stable")
    begin = np.searchsorted(group[order], np.arange(n + 1))
    extra: list[int] = []
    for g in np.flatnonzero(unclear):
        members = order[begin[g] : begin[g + 1]]
        own = np.flatnonzero(group_of_star == g)
        labels, first = _split(exposure[members], direction[members], own, places, reach)
        # The first source keeps the number of its group, the others get new ones.
        number = np.concatenate([[g], n + len(extra) + np.arange(max(len(first) - 1, 0))])
        source[members] = number[labels]
        star[g] = first[0] if first else -1
        extra += first[1:]
    return source, np.concatenate([star, np.array(extra, np.int64)])


def _split(
    exposure: Ints, direction: Floats, stars: Ints, places: Places, reach: float
) -> tuple[Ints, list[int]]:
    """Give the number of each member's source within the group, and the star of each source."""
    seen, times = np.unique(exposure, return_counts=True)
    richest = int(seen[int(np.argmax(times))]) if len(seen) else -1
    first = [int(s) for s in stars]
    total = [np.zeros(3) for _ in first]
    labels = np.full(len(exposure), -1, np.int64)
    turns: list[int] = [richest, *seen[seen != richest].tolist()] if len(seen) else []
    for e in turns:
        here = np.flatnonzero(exposure == e)
        rows, at = places[e]
        known = {int(r): k for k, r in enumerate(rows)}
        where = np.full((len(first), 3), np.inf)
        for k, (star, summed) in enumerate(zip(first, total, strict=True)):
            if star >= 0 and star in known:
                where[k] = at[known[star]]
            elif summed.any():
                where[k] = summed / np.sqrt(summed @ summed)
        for member, k in _one_to_one(direction[here], where, reach):
            labels[here[member]] = k
        for fresh in here[labels[here] < 0]:
            labels[fresh] = len(first)
            first.append(-1)
            total.append(np.zeros(3))
        for seen_here in here:
            total[labels[seen_here]] = total[labels[seen_here]] + direction[seen_here]
    return labels, first


def _one_to_one(here: Floats, where: Floats, reach: float) -> list[tuple[int, int]]:
    """Pairs within the reach, nearest first, none used twice."""
    if not len(where):
        return []
    distance = np.sqrt(np.sum((here[:, np.newaxis] - where) ** 2, axis=2))
    i, k = np.nonzero(distance < reach)
    pairs: list[tuple[int, int]] = []
    used_i: set[int] = set()
    used_k: set[int] = set()
    for p in np.lexsort((k, i, distance[i, k])):
        a, b = int(i[p]), int(k[p])
        if a not in used_i and b not in used_k:
            pairs.append((a, b))
            used_i.add(a)
            used_k.add(b)
    return pairs
