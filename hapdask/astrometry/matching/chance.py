"""How often lists that have nothing in common would match as well by chance.

A number of false alarms: the number of ways to lay one list on the other through as many pairs
as the geometry needs, times the chance that so many further pairs then agree.  Far below 1 the
match is real.

Source: a contrario detection, Desolneux, Moisan and Morel 2000, IJCV 40, 7; for matches of points
Moisan and Stival 2004, IJCV 57, 201.  The number of chance pairs is Poisson's.
"""

from __future__ import annotations

import math

#: Pairs that fix a geometry: the rest is evidence.
SEEDS = {"shift": 1, "rshift": 2, "rscale": 2, "general": 3}


def log_poisson_tail(count: int, mean: float) -> float:
    """Natural logarithm of the chance that a Poisson number reaches ``count``.

    Parameters
    ----------
    count : int
    mean : float
        At least 0.
    """
    if count <= 0:
        return 0.0
    if mean <= 0:
        return -math.inf
    if count <= mean:  # half or more: not worth a digit
        return 0.0
    first = count * math.log(mean) - mean - math.lgamma(count + 1)
    # the terms after the first fall at least as fast as a geometric series
    return min(0.0, first - math.log1p(-mean / (count + 1)))


def false_alarms(count: int, mean: float, trials: float, seeds: int, *, near: float = 1.0) -> float:
    """Give the expected number of chance matches as good as one found.

    Parameters
    ----------
    count : int
        Matches found, one to one.
    mean : float
        Matches expected by chance within the same tolerances.
    trials : float
        Pairs within the search radius, times the rotations tried: each may be the first seed.
    seeds : int
        Pairs that fix the geometry (`SEEDS`).
    near : float
        Pairs expected by chance where further seeds were looked for.

    Returns
    -------
    float
        At most 1.
    """
    if count <= seeds or trials <= 0:
        return 1.0
    ways = math.log(trials) + (seeds - 1) * math.log(max(near, 1.0) + count)
    total = ways + log_poisson_tail(count - seeds, mean)
    return math.exp(min(0.0, total))
