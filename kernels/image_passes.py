"""Single passes over part of an image: sums, counts, values gathered, extremes, a histogram.

All take ``image`` (float32, shape (ny, nx)), ``use`` (bool, of that shape) and ``spans`` (int64,
shape (n, 3): y, first x, x after the last), and look at used pixels of the spans; limits are
included.  NaN lies within no limits.  What is made of them is in ``image_statistics``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel

Image = NDArray[np.float32]
Use = NDArray[np.bool_]
Spans = NDArray[np.int64]

#: Largest float32; limits of it leave out what is not finite.
LARGEST = float(np.finfo(np.float32).max)
#: Bits that turn in a negative float's integer to put it in the order of the floats.
FLIP = 0x7FFFFFFF


@kernel
def sums(
    image: Image, use: Use, spans: Spans, low: np.float32, high: np.float32, pivot: np.float32
) -> tuple[int, float, float]:
    """Count, sum and sum of squares, about a pivot, of the values inside the limits."""
    values, good = image.ravel(), use.ravel()
    nx = np.uint64(image.shape[1])
    n, total, squares = 0, 0.0, 0.0
    for s in range(spans.shape[0]):
        row = np.uint64(spans[s, 0]) * nx
        some = np.int32(0)
        for k in range(row + np.uint64(spans[s, 1]), row + np.uint64(spans[s, 2])):
            inside = (values[k] >= low) & (values[k] <= high) & good[k]
            d = np.float64(values[k] if inside else pivot) - np.float64(pivot)
            some += np.int32(inside)
            total += d
            squares += d * d
        n += int(some)
    return n, total, squares


@kernel
def count(
    image: Image, use: Use, spans: Spans, least: np.float32, low: np.float32, high: np.float32
) -> tuple[int, int]:
    """How many values lie in [least, low), and how many in [low, high]."""
    values, good = image.ravel(), use.ravel()
    nx = np.uint64(image.shape[1])
    below, inside = 0, 0
    for s in range(spans.shape[0]):
        row = np.uint64(spans[s, 0]) * nx
        some, more = np.int32(0), np.int32(0)
        for k in range(row + np.uint64(spans[s, 1]), row + np.uint64(spans[s, 2])):
            some += np.int32((values[k] >= least) & (values[k] < low) & good[k])
            more += np.int32((values[k] >= low) & (values[k] <= high) & good[k])
        below += int(some)
        inside += int(more)
    return below, inside


@kernel
def gather(
    image: Image, use: Use, spans: Spans, low: np.float32, high: np.float32, out: Image
) -> None:
    """Copy the values in [low, high] to ``out``, which has room for one more."""
    values, good = image.ravel(), use.ravel()
    nx = np.uint64(image.shape[1])
    n = np.uint64(0)
    for s in range(spans.shape[0]):
        row = np.uint64(spans[s, 0]) * nx
        for k in range(row + np.uint64(spans[s, 1]), row + np.uint64(spans[s, 2])):
            # No branch: whether a pixel is inside cannot be foreseen.
            out[n] = values[k]
            n += np.uint64((values[k] >= low) & (values[k] <= high) & good[k])


@kernel
def extremes(
    image: Image, use: Use, spans: Spans, low: np.float32, high: np.float32
) -> tuple[int, int]:
    """Least and greatest value inside the limits, as integers of the same order (see `FLIP`).

    LLVM makes vector code of integers, NaN or not.
    """
    values, good = image.ravel(), use.ravel()
    bits = values.view(np.int32)
    nx = np.uint64(image.shape[1])
    least, most = FLIP, -FLIP
    for s in range(spans.shape[0]):
        row = np.uint64(spans[s, 0]) * nx
        for k in range(row + np.uint64(spans[s, 1]), row + np.uint64(spans[s, 2])):
            inside = (values[k] >= low) & (values[k] <= high) & good[k]
            key = int(bits[k])
            key = key ^ ((key >> 31) & FLIP)
            least = min(least, key if inside else FLIP)
            most = max(most, key if inside else -FLIP)
    return least, most


@kernel
def histogram(
    image: Image,
    use: Use,
    spans: Spans,
    low: np.float32,
    high: np.float32,
    scale: np.float32,
    counts: NDArray[np.int64],
) -> None:
    """Count the values in [low, high] bin by bin.

    Neighbouring pixels count in four histograms in turn: the processor need not wait for a bin.
    """
    values, good = image.ravel(), use.ravel()
    nx = np.uint64(image.shape[1])
    last = counts.shape[1] - 1
    for s in range(spans.shape[0]):
        row = np.uint64(spans[s, 0]) * nx
        for k in range(row + np.uint64(spans[s, 1]), row + np.uint64(spans[s, 2])):
            if (values[k] >= low) & (values[k] <= high) & good[k]:
                b = min(int((values[k] - low) * scale), last)
                counts[k & np.uint64(3), np.uint64(b)] += 1


@kernel
def take(image: Image, use: Use, spans: Spans, step: int, out: Image) -> int:
    """Copy every ``step``-th used, finite value to ``out``; return their number."""
    nx = image.shape[1]
    values, good = image.ravel(), use.ravel()
    n, ahead = 0, 0
    for s in range(spans.shape[0]):
        row = spans[s, 0] * nx
        k = row + spans[s, 1] + ahead
        while k < row + spans[s, 2]:
            if good[k] and abs(values[k]) <= LARGEST:
                out[n] = values[k]
                n += 1
            k += step
        ahead = k - (row + spans[s, 2])
    return n


@kernel
def split(
    image: Image,
    use: Use,
    spans: Spans,
    limits: tuple[np.float32, np.float32],
    core: tuple[np.float32, np.float32],
    middle: tuple[np.float32, np.float32],
    pivot: np.float32,
    tails: Image,
    band: Image,
) -> tuple[int, float, float, int, int, int]:
    """Sum the core of a distribution; set aside its tails, and a band in its middle.

    Vector code sums and marks; then marks are looked for, eight at a time, for they are few.

    Parameters
    ----------
    image, use, spans
    limits, core, middle : tuple of float32
        Lowest and highest value that counts, of the core, and of the band within it.
    pivot : float32
    tails, band : ndarray of float32
        Receive values of the limits outside the core, and values of the band, while there is room.

    Returns
    -------
    n, total, squares : int, float, float
        Of the core, about the pivot.
    below : int
        How many values of the core lie below the band.
    n_tails, n_band : int
        More than their arrays' sizes where these have no room.
    """
    values, good = image.ravel(), use.ravel()
    nx = np.uint64(image.shape[1])
    words = np.zeros(image.shape[1] // 8 + 1, np.uint64)
    marks = words.view(np.uint8)
    n, below, total, squares, n_tails, n_band = 0, 0, 0.0, 0.0, 0, 0
    for s in range(spans.shape[0]):
        start = np.uint64(spans[s, 0]) * nx + np.uint64(spans[s, 1])
        length = np.uint64(spans[s, 2] - spans[s, 1])
        words[length // np.uint64(8)] = np.uint64(0)
        some, under = np.int32(0), np.int32(0)
        for k in range(length):
            v, g = values[start + k], good[start + k]
            inside = (v >= core[0]) & (v <= core[1]) & g
            d = np.float64(v if inside else pivot) - np.float64(pivot)
            some += np.int32(inside)
            total += d
            squares += d * d
            under += np.int32(inside & (v < middle[0]))
            outside = (v >= limits[0]) & (v <= limits[1]) & ((v < core[0]) | (v > core[1])) & g
            in_band = inside & (v >= middle[0]) & (v <= middle[1])
            marks[k] = np.uint8(outside) | (np.uint8(in_band) << np.uint8(1))
        n += int(some)
        below += int(under)
        for w in range(length // np.uint64(8) + np.uint64(1)):
            word = words[w]
            if word != 0:
                for b in range(8):
                    mark = (word >> np.uint64(8 * b)) & np.uint64(255)
                    if mark == 1:
                        if n_tails < tails.size:
                            tails[n_tails] = values[start + np.uint64(8) * w + np.uint64(b)]
                        n_tails += 1
                    elif mark == 2:
                        if n_band < band.size:
                            band[n_band] = values[start + np.uint64(8) * w + np.uint64(b)]
                        n_band += 1
    return n, total, squares, below, n_tails, n_band


def sample(image: Image, use: Use, spans: Spans, size: int) -> Image:
    """Take an evenly spaced sample of the used, finite values, in order."""
    pixels = int((spans[:, 2] - spans[:, 1]).sum())
    # Odd, so that not all of them lie in the same columns.
    step = max(pixels // size, 1) | 1
    out = np.empty(pixels // step + 1, np.float32)
    return np.sort(out[: take(image, use, spans, step, out)])
