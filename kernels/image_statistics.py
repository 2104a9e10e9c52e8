"""Clipped mean, median and mode of part of an image, as ``stsci.imagestats`` defines them.

Strategy: the image is never copied.  One pass over rows of pixels (`spans`), with a mask beside it,
sums the core of the values and sets aside tails and a band about the median (``image_split``);
clippings then look at the tails alone, and the exact median is found in the band.  Where that does
not hold, passes of vector code over the whole do the same.  The mode is the peak of a histogram
whose bins are a fraction of the standard deviation.

Two conventions: our own, and upstream's (``upstream=True``), which differs where ImageStats has
quirks: means and deviations are rounded to float32, positions in the histogram are told in
units of the bin asked for and not of the bin used, so a mode comes out too low by up to a bin.

Not here: which pixels are used (`hapdask.drizzling.sky_levels`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels import image_passes as passes
from hapdask.kernels.image_passes import Image, Spans, Use
from hapdask.kernels.image_split import Split, make_split

#: Pixels in the sample that tells where the median is about.
_SAMPLE = 1 << 14
#: Half width of the band around the sample's median, in standard errors of its rank.
_WIDTHS = (5.0, 40.0)
#: ImageStats' smallest width of bin and of range.
_NARROWEST = 10.0 * float(np.finfo(np.float32).eps)
#: Histograms of more bins than this are refused: they are made of noise.
_MOST_BINS = 1 << 24


class Clipping(NamedTuple):
    """How pixels are rejected.

    Attributes
    ----------
    iterations : int
        Clippings; the statistics are of what the last one leaves.
    lower_sigma, upper_sigma : float
        Distance of the limits from the mean, standard deviations.
    lower, upper : float
        Values outside never count.
    """

    iterations: int = 5
    lower_sigma: float = 4.0
    upper_sigma: float = 4.0
    lower: float = -math.inf
    upper: float = math.inf


class Clipped(NamedTuple):
    """What clipping leaves.

    Attributes
    ----------
    n : int
        Pixels left; 0 and NaNs where there are none.
    mean, stddev : float
        Of them; n - 1 in the denominator.
    low, high : float
        Limits that they lie in, both included.
    split : Split or None
        Parts of the distribution, for the median.
    """

    n: int
    mean: float
    stddev: float
    low: float
    high: float
    split: Split | None = None


def whole(shape: tuple[int, int]) -> Spans:
    """Spans of a whole image: rows of (y, first x, x after the last), shape (ny, 3)."""
    ny, nx = shape
    return np.stack([np.arange(ny), np.zeros(ny, np.int64), np.full(ny, nx)], axis=1)


def clip(
    image: Image, use: Use, spans: Spans, clipping: Clipping, *, upstream: bool = False
) -> Clipped:
    """Clip the used pixels of some spans about their mean.

    Parameters
    ----------
    image : ndarray of float32, shape (ny, nx)
        Values that are not finite are left out.
    use : ndarray of bool, shape (ny, nx)
    spans : ndarray of int64, shape (n, 3)
        Rows of (y, first x, x after the last), within the image.
    clipping : Clipping
    upstream : bool
        Round as ImageStats does.

    Returns
    -------
    Clipped

    Notes
    -----
    Limits are taken anew about each mean and may widen again.  Source: stsci.imagestats 1.8.4.
    """
    least = max(clipping.lower, -passes.LARGEST)
    most = min(clipping.upper, passes.LARGEST)
    low, high = np.float32(least), np.float32(most)
    sigmas = clipping.lower_sigma, clipping.upper_sigma
    split = make_split(image, use, spans, (least, most), sigmas, clipping.iterations)
    pivot = np.float32(0.0) if split else _any_value(image, use, spans)
    for k in range(clipping.iterations + 1):
        if split and split.is_within(float(low), float(high)):
            pivot = split.pivot
            n, total, squares = split.sums(low, high)
        else:
            n, total, squares = passes.sums(image, use, spans, low, high, pivot)
        if n == 0:
            return Clipped(0, math.nan, math.nan, float(low), float(high))
        mean, stddev = _mean_and_stddev(n, total, squares, float(pivot))
        if upstream:
            mean, stddev = float(np.float32(mean)), float(np.float32(stddev))
        if k == clipping.iterations:
            break
        before = low, high
        low = np.float32(max(least, mean - sigmas[0] * stddev))
        high = np.float32(min(most, mean + sigmas[1] * stddev))
        if (low, high) == before:
            break
        pivot = np.float32(mean)
    return Clipped(n, mean, stddev, float(low), float(high), split)


def _any_value(image: Image, use: Use, spans: Spans) -> np.float32:
    """Return a value that is about as large as the others: sums about it keep their digits."""
    near = passes.sample(image, use, spans, 64)
    return np.float32(near[near.size // 2]) if near.size else np.float32(0.0)


def _mean_and_stddev(n: int, total: float, squares: float, pivot: float) -> tuple[float, float]:
    """From sums about a pivot."""
    variance = (squares - total * total / n) / max(n - 1, 1)
    return pivot + total / n, math.sqrt(max(variance, 0.0))


def median(image: Image, use: Use, spans: Spans, clipped: Clipped) -> float:
    """Exact median of the pixels left; NaN if there are none.

    Parameters
    ----------
    image, use, spans : see `clip`
    clipped : Clipped
        What `clip` said of them.
    """
    if clipped.n == 0:
        return math.nan
    split = clipped.split
    if split and split.is_within(clipped.low, clipped.high):
        found = split.middle(clipped.low, ((clipped.n - 1) // 2, clipped.n // 2))
        if not math.isnan(found):
            return found
    low, high = np.float32(clipped.low), np.float32(clipped.high)
    near = passes.sample(image, use, spans, _SAMPLE)
    near = near[(near >= low) & (near <= high)]
    for width in _WIDTHS:
        reach = 0.5 * width * math.sqrt(near.size) + 1.0
        first, last = int(0.5 * near.size - reach), math.ceil(0.5 * near.size + reach)
        if first < 0 or last >= near.size:
            break
        found = _median_in_band(image, use, spans, clipped, near[first], near[last])
        if not math.isnan(found):
            return found
    return _median_in_band(image, use, spans, clipped, low, high)


def _median_in_band(
    image: Image, use: Use, spans: Spans, clipped: Clipped, low: np.float32, high: np.float32
) -> float:
    """Median, if it lies in a band of values; else NaN."""
    below, inside = passes.count(image, use, spans, np.float32(clipped.low), low, high)
    first, last = (clipped.n - 1) // 2 - below, clipped.n // 2 - below
    if first < 0 or last >= inside:
        return math.nan
    if low == high:
        return float(low)
    values = np.empty(inside + 1, np.float32)
    passes.gather(image, use, spans, low, high, values)
    ordered = np.partition(values[:inside], (first, last))
    return 0.5 * (float(ordered[first]) + float(ordered[last]))


def mode(
    image: Image,
    use: Use,
    spans: Spans,
    clipped: Clipped,
    *,
    binwidth: float = 0.1,
    upstream: bool = False,
) -> tuple[float, int]:
    """Peak of the histogram of the pixels left, by a parabola through three bins.

    Parameters
    ----------
    image, use, spans : see `clip`
    clipped : Clipped
        What `clip` said of them.
    binwidth : float
        Of the histogram, standard deviations.
    upstream : bool
        As ImageStats, whose bins are stretched to end at the largest value (which has one to
        itself), whose peak is told in bins that are not, and whose last bin counts what was
        clipped; where the first pixel was clipped, its limit is taken for an extreme.

    Returns
    -------
    mode : float
        NaN if no pixel is left.
    bins : int
        Of the histogram; 1 where the values hardly differ.

    Raises
    ------
    ValueError
        If there would be more than 2**24 bins.
    """
    if clipped.n == 0:
        return math.nan, 0
    low, high = np.float32(clipped.low), np.float32(clipped.high)
    least, most = (_value(key) for key in passes.extremes(image, use, spans, low, high))
    if upstream:
        # Its search begins with the first pixel, brought inside the limits.
        first = min(max(_first_value(image, use, spans), float(low)), float(high))
        least, most = min(least, first), max(most, first)
    width, span = binwidth * clipped.stddev, most - least
    if width < _NARROWEST or span < _NARROWEST or width > span:
        return least + 0.5 * width, 1
    bins = int(span / width) + 1
    if bins > _MOST_BINS:
        raise ValueError(f"a histogram of {bins} bins: the bins are too narrow for the range")
    scale, end = np.float32(1.0 / width), high
    if upstream:
        step = np.float32(span / (bins - 1))
        scale = np.float32(1.0) / step
        end = _upstream_end(np.float32(least), step, scale, bins)
    counts = np.zeros((4, bins), np.int64)
    passes.histogram(image, use, spans, np.float32(least), end, scale, counts)
    return least + (_peak(counts.sum(axis=0)) + 0.5) * width, bins


def _first_value(image: Image, use: Use, spans: Spans) -> float:
    """Value of the first used pixel, of which there is one."""
    for y, x0, x1 in spans:
        if use[y, x0:x1].any():
            return float(image[y, x0 + int(np.argmax(use[y, x0:x1]))])
    return math.nan


def _upstream_end(least: np.float32, step: np.float32, scale: np.float32, bins: int) -> np.float32:
    """Return the largest value that ImageStats' histogram counts, in its own float32 steps."""
    end = np.float32(least + np.float32(step * np.float32(bins)))
    if int(np.float32(scale * np.float32(end - least))) == bins:
        return np.float32(min(end, np.float32(end * np.float32(1.0 - 2.0**-23))))
    return np.float32(np.nextafter(end, np.float32(-np.inf)))


def _peak(counts: NDArray[np.int64]) -> float:
    """Position of the highest bin, bins; the middle of the first one is 0."""
    p = int(np.argmax(counts))
    if counts.size == 2 and counts[0] == counts[1]:
        return 0.5
    if p in (0, counts.size - 1):
        return float(p)
    left, right = int(counts[p] - counts[p - 1]), int(counts[p] - counts[p + 1])
    return p + 0.5 * (left - right) / (left + right) if left + right else float(p)


def _value(key: int) -> float:
    """Float of a key of `_extremes`."""
    return float(np.array(key ^ ((key >> 31) & passes.FLIP), np.int32).view(np.float32))
