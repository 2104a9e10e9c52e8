"""What of a frame has data: figures and outline, added up block by block.

Strategy: exact counts of distinct values for the means and medians of depth and exposure time,
a histogram fine enough for the median of the weight, and a coarse map whose outline becomes
S_REGION.  None of them grows with the number of pixels.  Not here: headers, reading.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hapdask.kernels.exporting import add_weights
from hapdask.products.outline import outline_polygons
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame

#: Longest side of the map of data, pixels.
_MAP_SIDE = 1024
#: Bits of a positive float32 that its histogram looks at: 8 of exponent, 12 of mantissa.
_BITS = 20
#: Outlines are simplified to this tolerance, pixels, and to so many corners at most.
_TOLERANCE = 10.0
_CORNERS = 120
#: Degrees are written to this many decimals: 0.04 mas.
_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class Statistics:
    """Keywords of the multi-visit products, over pixels with weight; None where not known."""

    npixfrac: float
    meanexpt: float | None
    medexpt: float | None
    meannexp: float | None
    mednexp: float | None
    meanwht: float | None
    medwht: float | None


class Coverage:
    """Adds up what is known of the pixels with data of one frame.

    Parameters
    ----------
    frame : Frame
        Of the product.
    figures : bool
        Whether depth and exposure time are looked at; the outline needs the weight alone.
    """

    def __init__(self, frame: Frame, *, figures: bool = True) -> None:
        self._frame, self._figures = frame, figures
        self._step = max(1, math.ceil(max(frame.shape) / _MAP_SIDE))
        self._map = np.zeros([-(-n // self._step) for n in frame.shape], dtype=bool)
        self._pixels = 0
        self._weights: list[float] = []  # of each block: their order must not count
        self._histogram = np.zeros(1 << _BITS, dtype=np.int64)
        self._depth: Counter[float] = Counter()
        self._exptime: Counter[float] = Counter()

    def add(
        self,
        y0: int,
        x0: int,
        wht: npt.NDArray[np.float32],
        depth: npt.NDArray[np.generic] | None = None,
        exptime: npt.NDArray[np.generic] | None = None,
        depth_of: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]] | None = None,
    ) -> None:
        """Add one block; blocks may come in any order but must not overlap.

        Parameters
        ----------
        y0, x0 : int
            Position of the block in the frame.
        wht : ndarray of float32, shape (ny, nx)
            Weight; pixels with weight above 0 have data.
        depth : ndarray, shape (ny, nx), optional
            Number of chips, or what `depth_of` turns into it.
        exptime : ndarray, shape (ny, nx), optional
            Exposure time, s.
        depth_of : callable, optional
            Gives the numbers of chips of an array of distinct values of ``depth``.
        """
        wht = np.ascontiguousarray(wht)
        pixels, weight = add_weights(
            wht,
            wht.view(np.uint32),
            y0,
            x0,
            self._step,
            self._map,
            self._histogram,
            31 - _BITS,
        )
        if not pixels:
            return
        self._pixels += pixels
        self._weights.append(weight)
        for counter, plane, convert in (
            (self._depth, depth, depth_of),
            (self._exptime, exptime, None),
        ):
            if plane is not None and self._figures:
                values, counts = _distinct(plane[wht > 0])
                numbers = values if convert is None else convert(values)
                _count(counter, numbers, counts)

    def statistics(self, full_pixels: int) -> Statistics:
        """Give the figures.

        Parameters
        ----------
        full_pixels : int
            Pixels of the whole sky cell, of which NPIXFRAC is a fraction.

        Returns
        -------
        Statistics
            Medians of depth and exposure time are exact, that of the weight within 2e-4 of
            itself; means are rounded to 9 digits, so that they do not tell the order of blocks.
        """
        meanexpt, medexpt = _mean_and_median(self._exptime)
        meannexp, mednexp = _mean_and_median(self._depth)
        return Statistics(
            npixfrac=_rounded(self._pixels / full_pixels if full_pixels else 0.0),
            meanexpt=meanexpt,
            medexpt=medexpt,
            meannexp=meannexp,
            mednexp=mednexp,
            meanwht=_rounded(math.fsum(self._weights) / self._pixels) if self._pixels else None,
            medwht=self._median_weight() if self._pixels else None,
        )

    def s_region(self) -> str:
        """Give the outline of the data as an S_REGION string; empty where there are none.

        Holes are not cut out.  The outline is good to about the larger of 10 pixels and 1/1024
        of the frame's longer side.
        """
        polygons = outline_polygons(self._map, self._step, _TOLERANCE, _CORNERS)
        if self._frame.cd[0] * self._frame.cd[3] > self._frame.cd[1] * self._frame.cd[2]:
            polygons = [polygon[::-1] for polygon in polygons]  # keep them anticlockwise
        on_sky = []
        for polygon in polygons:
            ra, dec = self._frame.pixel_to_sky(polygon[:, 0], polygon[:, 1])
            on_sky.append(
                (tuple(np.round(ra, _DECIMALS).tolist()), tuple(np.round(dec, _DECIMALS).tolist()))
            )
        return Footprint(tuple(on_sky)).to_sregion() if on_sky else ""

    def _median_weight(self) -> float:
        ranks = np.array([(self._pixels - 1) // 2, self._pixels // 2])
        bins = np.searchsorted(np.cumsum(self._histogram), ranks, side="right").astype(np.uint32)
        middle = np.uint32(1 << (30 - _BITS))
        values = ((bins << np.uint32(31 - _BITS)) | middle).view(np.float32)
        return _rounded(float(values.astype(np.float64).mean()))


def slice_cells(y0: int, x0: int, shape: tuple[int, ...], step: int) -> tuple[slice, slice]:
    """Give the cells of a map of ``step`` x ``step`` pixels that a block of pixels touches."""
    rows, columns = (
        slice(start // step, (start + n - 1) // step + 1)
        for start, n in zip((y0, x0), shape, strict=True)
    )
    return rows, columns


def reduce_blocks(
    function: np.ufunc, block: npt.NDArray[np.generic], y0: int, x0: int, step: int
) -> npt.NDArray[np.generic]:
    """Reduce a block of pixels to the cells of ``step`` x ``step`` pixels of its frame.

    Parameters
    ----------
    function : ufunc
        ``np.add`` or ``np.logical_or``, for instance.
    block : ndarray, shape (ny, nx)
        Pixels, the first at ``y0``, ``x0`` of the frame; its borders may cut cells.
    y0, x0, step : int
        Pixels.

    Returns
    -------
    ndarray
        Shape of `slice_cells`.
    """
    for axis, start in enumerate((y0, x0)):
        n = block.shape[axis]
        first = -(start % step)
        edges = np.maximum(np.arange(first, n, step), 0)
        block = function.reduceat(block, edges, axis=axis)
    return block


def _distinct(
    values: npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int64]]:
    """Count distinct values, by runs: neighbouring pixels are mostly equal."""
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    lengths = np.diff(np.append(starts, values.size))
    distinct, which = np.unique(values[starts], return_inverse=True)
    return distinct, np.bincount(which, weights=lengths).astype(np.int64)


def _count(
    counter: Counter[float], values: npt.NDArray[np.generic], counts: npt.NDArray[np.int64]
) -> None:
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        counter[float(value)] += count


def _mean_and_median(counter: Counter[float]) -> tuple[float | None, float | None]:
    """Mean and median of counted values; the median of an even number is between the middle two."""
    total = sum(counter.values())
    if not total:
        return None, None
    mean = math.fsum(value * count for value, count in counter.items()) / total
    ranks = {(total - 1) // 2, total // 2}
    middle = [_ranked(counter, rank) for rank in ranks]
    return _rounded(mean), _rounded(sum(middle) / len(middle))


def _ranked(counter: Counter[float], rank: int) -> float:
    seen = 0
    for value in sorted(counter):
        seen += counter[value]
        if seen > rank:
            return value
    raise IndexError(rank)


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
