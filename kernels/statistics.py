"""Clipped statistics of many pixels, exact and in a few passes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel

Values = NDArray[np.float32]
Use = NDArray[np.bool_]

_BINS = 4096


def clipped_median(
    values: Values,
    use: Use,
    *,
    sigma: float = 4.0,
    iterations: int = 5,
) -> tuple[float, int]:
    """Median of the pixels left by iterative clipping about the mean.

    Parameters
    ----------
    values : ndarray of float32
    use : ndarray of bool, same shape
        Pixels to look at; values that are not finite are left out.
    sigma : float
        Clipping distance in standard deviations (n - 1 in the denominator).
    iterations : int
        Number of clippings at most.

    Returns
    -------
    median : float
        NaN if no pixel is left.
    n : int
        Pixels left.

    Notes
    -----
    The clipping limits follow stsci.imagestats (mean -+ sigma * stddev of the pixels inside the
    last limits); the median is exact: a histogram finds the bin that holds it, and only that
    bin's values are sorted.
    """
    flat, mask = values.ravel(), use.ravel()
    low, high = -math.inf, math.inf
    n = 0
    for _ in range(iterations):
        n, mean, stddev, least, most = _moments(flat, mask, low, high)
        if n == 0:
            return math.nan, 0
        new_low, new_high = max(low, mean - sigma * stddev), min(high, mean + sigma * stddev)
        if new_low <= least and new_high >= most:
            break
        low, high = new_low, new_high
    n, _, _, least, most = _moments(flat, mask, low, high)
    if n == 0:
        return math.nan, 0
    upper = _nth(flat, mask, low, high, least, most, n // 2)
    if n % 2:
        return upper, n
    return 0.5 * (_nth(flat, mask, low, high, least, most, n // 2 - 1) + upper), n


@kernel
def _moments(
    values: Values, use: Use, low: float, high: float
) -> tuple[int, float, float, float, float]:
    """Count, mean, standard deviation, least and greatest of the values inside the limits."""
    n, total, squares = 0, 0.0, 0.0
    least, most = np.inf, -np.inf
    # Sums about a value of the data keep their digits.
    pivot = 0.0
    for k in range(values.size):
        if use[k] and np.isfinite(values[k]):
            pivot = np.float64(values[k])
            break
    for k in range(np.uint64(values.size)):
        v = np.float64(values[k])
        if use[k] and np.isfinite(v) and v >= low and v <= high:
            n += 1
            total += v - pivot
            squares += (v - pivot) * (v - pivot)
            least, most = min(least, v), max(most, v)
    if n == 0:
        return 0, 0.0, 0.0, 0.0, 0.0
    variance = (squares - total * total / n) / max(n - 1, 1)
    return n, pivot + total / n, math.sqrt(max(variance, 0.0)), least, most


def _nth(
    values: Values,
    use: Use,
    low: float,
    high: float,
    least: float,
    most: float,
    rank: int,
) -> float:
    """Value of a rank (0 the least) among those inside the limits."""
    if least == most:
        return least
    counts = np.zeros(_BINS, np.int64)
    _histogram(values, use, low, high, least, _BINS / (most - least), counts)
    before = np.cumsum(counts)
    chosen = int(np.searchsorted(before, rank, side="right"))
    inside = np.empty(int(counts[chosen]), np.float64)
    _gather(values, use, low, high, least, _BINS / (most - least), chosen, inside)
    return float(np.sort(inside)[rank - int(before[chosen] - counts[chosen])])


@kernel
def _histogram(
    values: Values,
    use: Use,
    low: float,
    high: float,
    least: float,
    scale: float,
    counts: NDArray[np.int64],
) -> None:
    for k in range(values.size):
        v = np.float64(values[k])
        if use[k] and np.isfinite(v) and v >= low and v <= high:
            counts[min(int((v - least) * scale), counts.size - 1)] += 1


@kernel
def _gather(
    values: Values,
    use: Use,
    low: float,
    high: float,
    least: float,
    scale: float,
    chosen: int,
    out: NDArray[np.float64],
) -> None:
    n = 0
    for k in range(values.size):
        v = np.float64(values[k])
        inside = use[k] and np.isfinite(v) and v >= low and v <= high
        if inside and min(int((v - least) * scale), _BINS - 1) == chosen:
            out[n] = v
            n += 1
