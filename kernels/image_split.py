"""The distribution of an image's values in three parts, so that clipping reads the image once.

Clipping at some sigma never touches the core of a distribution: its sums serve every pass, and only
the tails, a few per cent, are looked at again.  A band of values about the median is set aside in
the same pass.  A sample tells where all this is; where it is wrong, or the image is small, callers
read the image again: the result is the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels import image_passes as passes
from hapdask.kernels.image_passes import Image, Spans, Use

#: Pixels in the sample, and pixels below which no image is worth a split.
_SAMPLE, _SMALL = 1 << 15, 1 << 17
#: The core reaches this part of the way from the middle to the limits that the sample predicts.
_CORE = 0.7
#: Half width of the band, standard errors of the rank of the sample's median.
_WIDTH = 5.0
#: Room for tails and band: so much more than the sample predicts, and this part of all pixels.
_ROOM, _LEAST_ROOM = 1.2, 0.005
#: Tails of more than this part of the pixels are not worth it.
_MOST_TAILS = 0.3


class Split(NamedTuple):
    """The parts.

    Attributes
    ----------
    low, high : float32
        Of the core, included.
    pivot : float32
    n, total, squares : int, float, float
        Of the core, about the pivot.
    tails : ndarray of float32, shape (1, n)
        Values outside the core.
    below : int
        Values of the core that lie below the band.
    band : ndarray of float32
        Empty where it had no room.
    """

    low: np.float32
    high: np.float32
    pivot: np.float32
    n: int
    total: float
    squares: float
    tails: Image
    below: int
    band: Image

    def is_within(self, low: float, high: float) -> bool:
        """Whether the core lies within limits."""
        return bool(low <= self.low and self.high <= high)

    def sums(self, low: np.float32, high: np.float32) -> tuple[int, float, float]:
        """Count, sum and sum of squares about the pivot inside limits that hold the core."""
        n, total, squares = passes.sums(*self._tails(), low, high, self.pivot)
        return self.n + n, self.total + total, self.squares + squares

    def middle(self, low: float, ranks: tuple[int, int]) -> float:
        """Mean of the values of two ranks above a limit below the core; NaN beyond the band."""
        under, _ = passes.count(*self._tails(), np.float32(low), self.low, self.high)
        first, last = (rank - under - self.below for rank in ranks)
        if first < 0 or last >= self.band.size:
            return math.nan
        ordered = np.partition(self.band, (first, last))
        return 0.5 * (float(ordered[first]) + float(ordered[last]))

    def _tails(self) -> tuple[Image, Use, Spans]:
        size = self.tails.shape[1]
        return self.tails, np.ones((1, size), np.bool_), np.array([[0, 0, size]])


def make_split(
    image: Image,
    use: Use,
    spans: Spans,
    limits: tuple[float, float],
    sigmas: tuple[float, float],
    iterations: int,
) -> Split | None:
    """Split the used pixels of some spans; None where it is not worth it.

    Parameters
    ----------
    image, use, spans : see `hapdask.kernels.image_passes`
    limits : tuple of float
        Values outside never count.
    sigmas, iterations : tuple of float, int
        Of the clipping to come.
    """
    pixels = int((spans[:, 2] - spans[:, 1]).sum())
    if pixels < _SMALL:
        return None
    least, most = np.float32(limits[0]), np.float32(limits[1])
    near = passes.sample(image, use, spans, _SAMPLE)
    near = near[(near >= least) & (near <= most)]
    kept, low, high = _clipped(near, sigmas, iterations)
    reach = 0.5 * _WIDTH * math.sqrt(kept.size) + 1.0
    first, last = int(0.5 * kept.size - reach), math.ceil(0.5 * kept.size + reach)
    if first < 0 or last >= kept.size:
        return None
    centre, band = float(kept[kept.size // 2]), (kept[first], kept[last])
    low = max(float(least), centre + _CORE * (low - centre))
    high = min(float(most), centre + _CORE * (high - centre))
    core = min(np.float32(low), band[0]), max(np.float32(high), band[1])
    outside = 1.0 - np.count_nonzero((near >= core[0]) & (near <= core[1])) / near.size
    if outside > _MOST_TAILS:
        return None
    in_band = np.count_nonzero((near >= band[0]) & (near <= band[1])) / near.size
    tails, middle = (
        np.empty(int(pixels * (_ROOM * part + _LEAST_ROOM)), np.float32)
        for part in (outside, in_band)
    )
    pivot = np.float32(centre)
    n, total, squares, below, n_tails, n_band = passes.split(
        image, use, spans, (least, most), core, band, pivot, tails, middle
    )
    if n_tails > tails.size:
        return None
    values = middle[: n_band if n_band <= middle.size else 0].copy()
    aside = tails[:n_tails].reshape(1, -1).copy()
    return Split(*core, pivot, n, total, squares, aside, below, values)


def _clipped(
    near: Image, sigmas: tuple[float, float], iterations: int
) -> tuple[NDArray[np.float32], float, float]:
    """Clip a sample: what is left, and the limits."""
    kept, low, high = near, -math.inf, math.inf
    for _ in range(max(iterations, 1)):
        if kept.size == 0:
            break
        mean, stddev = float(kept.mean(dtype=np.float64)), float(kept.std(dtype=np.float64))
        low, high = mean - sigmas[0] * stddev, mean + sigmas[1] * stddev
        kept = near[(near >= low) & (near <= high)]
    return kept, low, high
