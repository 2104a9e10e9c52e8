"""Combining a stack of aligned images pixel by pixel: median, mean, minimum, and "minmed".

Strategy: a row of the stack is copied into a buffer with what is bad at infinity, and put in order
by a sorting network: the same exchanges for every pixel, so that LLVM turns them into vector code.
Where the wanted value stands depends only on how many images are good, which a small table tells.

Source: facts of AstroDrizzle's ``numcombine`` and ``minmed``; Batcher 1968 (the network).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel

Stack = NDArray[np.float32]
#: Pixels put in order at once: a buffer of 8 images stays in the first cache.
_ROW = 256


@cache
def network(n: int) -> NDArray[np.int32]:
    """Exchanges that put n values in order: Batcher's merge exchange, shape (exchanges, 2)."""
    pairs = []
    p = 1 << max(math.ceil(math.log2(n)) - 1, 0) if n > 1 else 0
    top = p
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return np.array(pairs, np.int32).reshape(-1, 2)


class Picks(NamedTuple):
    """Which of the good values, in order, are averaged; by the number of good ones.

    Attributes
    ----------
    first, last : ndarray of int32, shape (n + 1,)
        First and last (included); last < first where there is none.
    """

    first: NDArray[np.int32]
    last: NDArray[np.int32]


def make_picks(n: int, low: int, high: int, *, median: bool) -> Picks:
    """Table for a median or mean of what is left without the lowest and highest values.

    Parameters
    ----------
    n : int
        Images.
    low, high : int
        Values left out; fewer where nothing would be left of a median, as ``numcombine`` does.
    median : bool
        The middle one or two of the rest, instead of all.
    """
    first, last = np.zeros(n + 1, np.int32), np.full(n + 1, -1, np.int32)
    for good in range(1, n + 1):
        a, b = low, high
        while median and a + b >= good:
            a, b = max(a - 1, 0), max(b - 1, 0)
        rest = good - a - b
        if rest <= 0:
            continue
        first[good] = a + (rest - 1) // 2 if median else a
        last[good] = a + rest // 2 if median else a + rest - 1
    return Picks(first, last)


@kernel
def combine(
    stack: Stack,
    exchanges: NDArray[np.int32],
    first: NDArray[np.int32],
    last: NDArray[np.int32],
    out: NDArray[np.float32],
    lowest: NDArray[np.float32],
) -> None:
    """Average chosen values of every pixel of a stack.

    Parameters
    ----------
    stack : ndarray of float32, shape (n, ny, nx)
        NaN where an image is bad.
    exchanges : ndarray of int32, shape (m, 2)
        From `network`.
    first, last : ndarray of int32, shape (n + 1,)
        From `make_picks`.
    out : ndarray of float32, shape (ny, nx)
        Receives the mean of the picked values; stays as it is where no image is good, and becomes
        0 where none of the good ones is picked.
    lowest : ndarray of float32, shape (ny, nx) or (0, 0)
        Receives the lowest good value; what ``out`` holds where there is none.
    """
    n, ny, nx = stack.shape
    buffer = np.empty((n, _ROW), np.float32)
    good = np.empty(_ROW, np.int32)
    work = np.empty(_ROW, np.int32), np.empty(_ROW, np.int32), np.empty(_ROW, np.float64)
    for y in range(ny):
        for x0 in range(0, nx, _ROW):
            width = min(_ROW, nx - x0)
            good[:] = 0
            for i in range(n):
                values, line = stack[i, y, x0 : x0 + width], buffer[i]
                for k in range(np.uint64(width)):
                    bad = np.isnan(values[k])
                    line[k] = np.float32(np.inf) if bad else values[k]
                    good[k] += 0 if bad else 1
            for e in range(exchanges.shape[0]):
                below, above = buffer[exchanges[e, 0]], buffer[exchanges[e, 1]]
                for k in range(np.uint64(width)):
                    a, b = below[k], above[k]
                    below[k] = b if b < a else a
                    above[k] = a if b < a else b
            result = out[y, x0 : x0 + width]
            _pick(width, buffer, good, first, last, work, result)
            if lowest.size:
                low = lowest[y, x0 : x0 + width]
                for k in range(np.uint64(width)):
                    low[k] = buffer[np.uint64(0), k] if good[k] > 0 else result[k]


@kernel
def keep_quiet(
    stack: Stack,
    order: NDArray[np.int64],
    variances: NDArray[np.float64],
    numbers: NDArray[np.float32],
    ratio: float,
    noises: tuple[NDArray[np.float64], NDArray[np.float64]],
    weight: NDArray[np.float32],
    background: NDArray[np.float32],
    reference: NDArray[np.float32],
) -> None:
    """Leave the noisy images out of every pixel that two quiet ones cover.

    Two are enough to find what is in one alone.  A rule of the pixel's own images: nothing else
    decides.

    Parameters
    ----------
    stack : ndarray of float32, shape (n, ny, nx)
        NaN where an image is bad; becomes NaN where it is too noisy.
    order : ndarray of int64, shape (n,)
        Images, the quietest first.
    variances : ndarray of float64, shape (n,)
    numbers : ndarray of float32, shape (n,)
        What each is called.
    ratio : float
        Of an image's variance to that of the second quietest, beyond which it is too noisy.
    noises : tuple of ndarray of float64, shape (n,)
        Weight of a pixel of each image, and its background: see `choose_minimum`.
    weight, background : ndarray of float32, shape (ny, nx) or (0, 0)
        Receive those of as many images as are left, each like the second quietest.
    reference : ndarray of float32, shape (ny, nx)
        Receives the number of the second quietest image, or the only one; NaN where none is.
    """
    n, ny, nx = stack.shape
    count, told = np.empty(nx, np.int32), np.empty(nx, np.int32)
    limit = np.empty(nx)
    for y in range(ny):
        count[:], told[:], limit[:] = 0, 0, np.inf
        for r in range(n):
            i = order[r]
            values = stack[i, y]
            for x in range(np.uint64(nx)):
                values[x] = np.float32(np.nan) if variances[i] > limit[x] else values[x]
                count[x] += 0 if np.isnan(values[x]) else 1
                first = (count[x] <= 2) & (not np.isnan(values[x]))
                told[x] = i if first else told[x]
                limit[x] = ratio * variances[i] if first & (count[x] == 2) else limit[x]
        for x in range(np.uint64(nx)):
            reference[y, x] = numbers[told[x]] if count[x] > 0 else np.float32(np.nan)
        if weight.size:
            for x in range(np.uint64(nx)):
                weight[y, x] = count[x] * noises[0][told[x]]
                background[y, x] = count[x] * noises[1][told[x]]


@inline
def _pick(
    width: int,
    buffer: NDArray[np.float32],
    good: NDArray[np.int32],
    first: NDArray[np.int32],
    last: NDArray[np.int32],
    work: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]],
    out: NDArray[np.float32],
) -> None:
    """Average of the picked values: every value is looked at, for vector code cannot jump."""
    low, high, total = work
    for k in range(np.uint64(width)):
        low[k], high[k] = first[np.uint64(good[k])], last[np.uint64(good[k])]
        total[k] = 0.0
    for i in range(buffer.shape[0]):
        values = buffer[i]
        for k in range(np.uint64(width)):
            wanted = (low[k] <= i) & (i <= high[k])
            total[k] += np.float64(values[k]) if wanted else 0.0
    for k in range(np.uint64(width)):
        n = high[k] - low[k] + 1
        # In float64: processors divide a vector of float32 by an estimate, a single one truly.
        mean = np.float32(total[k] / np.float64(max(n, 1)))
        out[k] = mean if good[k] > 0 else out[k]


@kernel
def choose_minimum(
    median: NDArray[np.float32],
    lowest: NDArray[np.float32],
    weight: NDArray[np.float32],
    background: NDArray[np.float32],
    sigmas: tuple[float, float],
    grow: int,
) -> None:
    """Take the minimum where the median stands too far above it to be noise.

    Parameters
    ----------
    median, lowest : ndarray of float32, shape (ny, nx), electrons / s
        The median is replaced where the minimum stands in.
    weight : ndarray of float32, shape (ny, nx), s
        Sum of the weights of the images.
    background : ndarray of float32, shape (ny, nx), electrons
        Sky and read-noise variance of their sum.
    sigmas : tuple of float
        Limits in standard deviations of the median: alone, and beside a pixel beyond the first.
    grow : int
        Half side of the square that "beside" means.
    """
    ny, nx = median.shape
    far, unlike = np.zeros((ny, nx), np.uint8), np.zeros((ny, nx), np.uint8)
    limit, lower = sigmas[0] * sigmas[0], sigmas[1] * sigmas[1]
    for y in range(ny):
        m, low, w, behind, f, u = median[y], lowest[y], weight[y], background[y], far[y], unlike[y]
        for x in range(np.uint64(nx)):
            excess = (np.float64(m[x]) - np.float64(low[x])) * w[x]
            variance = max(np.float64(m[x]) * w[x] + behind[x], 0.0)
            # Neither is negative, so squares compare as they do.
            f[x] = excess * excess > limit * variance
            u[x] = excess * excess > lower * variance
    if grow == 0:
        unlike = far
    columns, near = np.zeros(nx, np.uint8), np.zeros(nx, np.uint8)
    for y in range(ny):
        columns[:] = 0
        for j in range(max(y - grow, 0), min(y + grow + 1, ny)):
            line = far[j]
            for x in range(np.uint64(nx)):
                columns[x] |= line[x]
        near[:] = columns
        for step in range(1, min(grow + 1, nx)):
            for x in range(np.uint64(nx - step)):
                near[x] |= columns[x + np.uint64(step)]
                near[x + np.uint64(step)] |= columns[x]
        m, low, u = median[y], lowest[y], unlike[y]
        for x in range(np.uint64(nx)):
            m[x] = low[x] if near[x] & u[x] else m[x]
