"""How likely it is that so many of some agree by chance."""

from __future__ import annotations

import math


def by_chance(agreeing: int, n: int, chance: float, places: int) -> float:
    """Bound the probability that so many of ``n`` agree at the best of some places.

    Parameters
    ----------
    agreeing, n : int
    chance : float
        Of one to agree.
    places : int
        Where agreement was looked for.

    Returns
    -------
    float
        Its logarithm to the base of ten, at most 0.
    """
    from scipy.stats import binom

    if n == 0 or agreeing == 0:
        return 0.0
    one = float(binom.logsf(agreeing - 1, n, chance))
    return min((one + math.log(max(places, 1))) / math.log(10.0), 0.0)


def pairs_by_chance(found: int, expected: float, places: int) -> float:
    """Bound the probability of so many pairs where so few are expected; as `by_chance`."""
    from scipy.stats import poisson

    one = float(poisson.logsf(found - 1, max(expected, 1e-9)))
    return min((one + math.log(max(places, 1))) / math.log(10.0), 0.0)
