"""The median of a stack of exposures on a frame: what the sky looks like without cosmic rays.

Exposures are drizzled one after another on the same sums, and only a plane of float32 is kept of
each; what minmed must know of their noise is summed on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip
from hapdask.drizzling.separate import add_chips, find_chips, make_sums, spans_of
from hapdask.drizzling.unlike import keep_quiet, without_saturated
from hapdask.errors import ParameterError
from hapdask.kernels import combining
from hapdask.kernels.alone import find_alone
from hapdask.kernels.singles import Judgement, fold
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Image = NDArray[np.float32]

#: Least width of an area that one exposure alone covers; half of it twice is less than the margin
#: that a blot has (`Stack.reach_of_blot` and `Stack.reach_of_test`).
_WIDE = 5

_NONE: Image = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Combination:
    """How a stack is combined (AstroDrizzle's step 4, its names without ``combine_``).

    Attributes
    ----------
    type : {"minmed", "iminmed", "median", "imedian", "mean", "imean", "sum"}
        With an ``i``, a pixel without any good image takes the value of the last exposure that
        covers it, bad as it is, instead of 0: what upstream's documentation says.  (Its code takes
        the first value that is not 0, and only in the first column.)  The sum is of all values,
        good or bad.
    nlow, nhigh : int
        Lowest and highest values of a pixel that are left out; minmed leaves out the highest.
    lthresh, hthresh : float or None, electrons / s
        Values below the one, or not below the other, are bad; not for minmed.  (Upstream's are in
        units of the input, and it multiplies them by gain or time once for every image.)
    maskpt : float
        An image is bad where its weight is less than this part of its mean weight; 0 looks at no
        weight.  Where it has none it is never good.  (Upstream without masks takes 0 there.)
    nsigma : tuple of float
        See `hapdask.kernels.combining.choose_minimum`.
    grow : int, pixels
    wt_scl : float
        Factor of the weights; only minmed's noise knows it.
    quiet : float
        Where two exposures cover a pixel, one with more than so many times their variance stays
        out of it: its noise would be the median's.  Infinite: none does, as upstream.
    """

    type: str = "minmed"
    nlow: int = 0
    nhigh: int = 0
    lthresh: float | None = None
    hthresh: float | None = None
    maskpt: float = 0.3
    nsigma: tuple[float, float] = (4.0, 3.0)
    grow: int = 1
    wt_scl: float = 1.0
    quiet: float = math.inf

    @property
    def minmed(self) -> bool:
        """Whether the minimum may stand in for the median."""
        return self.type.endswith("minmed")

    @property
    def takes_last(self) -> bool:
        """Whether a bad value is better than 0."""
        return self.type.startswith("i")

    @property
    def halo(self) -> int:
        """Pixels around a pixel that decide on it."""
        return self.grow if self.minmed else 0

    def leaves(self, images: int) -> bool:
        """Whether anything is left of so many images without the lowest and highest values."""
        return self.minmed or self.type == "sum" or images - self.nlow - self.nhigh >= 1

    def check(self, images: int) -> None:
        """Raise a ParameterError if nothing would be left of so many images."""
        if images and not self.leaves(images):
            raise ParameterError(
                f"combine_nlow + combine_nhigh = {self.nlow + self.nhigh} leave nothing of "
                f"{images} exposures"
            )

    def judge(self, member: StackMember) -> Judgement:
        """Which values of an exposure count, and what they add to the noise."""
        low, high, floor = self.lthresh, self.hthresh, self.maskpt * member.mean_weight
        if self.minmed:
            low, high = None, None
        if self.type == "sum":
            low, high, floor = None, None, -np.inf
        return Judgement(
            floor,
            -np.inf if low is None else low,
            np.inf if high is None else high,
            self.wt_scl / member.area,
            member.sky,
            member.read_noise**2 * member.area,
        )

    def picks(self, good: int, images: int) -> combining.Picks:
        """Which of up to so many good values are averaged."""
        if self.minmed:
            pair = images == 2
            return combining.make_picks(good, 0, 0 if pair else 1, median=not pair)
        median = self.type.endswith("median")
        return combining.make_picks(good, self.nlow, self.nhigh, median=median)


@dataclass(frozen=True, slots=True)
class StackMember:
    """What must be known of an exposure before any tile of the median.

    Attributes
    ----------
    mean_weight : float
        Of the pixels that it covers.
    sky : float, electrons / s / pixel
        Of the frame's pixels.
    read_noise : float, electrons
        Of a detector pixel.
    area : float
        Detector pixels per pixel of the frame.  So many give a pixel of the frame their weight, and
        their noise; its light is counted once.
    variance : float, (electrons / s)**2
        Of the background of a detector pixel.
    exptime : float, s
    """

    mean_weight: float
    sky: float
    read_noise: float
    area: float = 1.0
    variance: float = 0.0
    exptime: float = 0.0


@dataclass(frozen=True, slots=True)
class Combined:
    """A stack combined.

    Attributes
    ----------
    sci : ndarray of float32, shape of the frame, electrons / s
        0 where no image is good.
    reference : ndarray of float32, shape of the frame or (0, 0)
        Element of ``exposures`` whose noise is that of the pixel; NaN where no image is good.
        Empty where the exposures are alike.
    alone : ndarray of bool, shape of the frame or (0, 0)
        True where one exposure alone is good, for 5 pixels at least.  Empty where it was not asked
        for.
    """

    sci: Image
    reference: Image
    alone: NDArray[np.bool_]


def combine_exposures(
    exposures: Sequence[ExposureRecord],
    members: Sequence[StackMember],
    frame: Frame,
    parameters: DrizzleParameters,
    how: Combination,
    *,
    images: int,
    shortest: float = 0.0,
    alone: bool = False,
) -> Combined:
    """Combine exposures on a frame; with unlike ones, the quiet ones.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        At least those that reach the frame, in the order of the stack.
    members : sequence of StackMember
        Of the same exposures.
    frame : Frame
        A pixel's bits do not depend on it.
    parameters : DrizzleParameters
        Of the separate drizzle.
    how : Combination
    images : int
        Exposures of the whole stack, also those that do not reach the frame.
    shortest : float, s
        Exposure time of the shortest of the whole stack where they are unlike; 0 where they are
        alike.  What saturates in a longer one is only the least that it may be, and stays out.
    alone : bool
        Whether to tell where one exposure alone is good.

    Returns
    -------
    Combined

    Raises
    ------
    ParameterError
        If nothing would be left of so many images.
    InputError
        If an exposure cannot be read.
    """
    how.check(images)
    padded = frame.pad(how.halo)
    found, kept = [], []
    for k, exposure in enumerate(exposures):
        if chips := find_chips(exposure, padded, parameters):
            found.append(chips)
            kept.append(k)
    if not found:
        none = np.full(frame.shape if shortest else (0, 0), np.nan, np.float32)
        nowhere = np.zeros(frame.shape if alone else (0, 0), np.bool_)
        return Combined(np.zeros(frame.shape, np.float32), none, nowhere)
    noise = padded.shape if how.minmed else (0, 0)
    weight, background = np.zeros(noise, np.float32), np.zeros(noise, np.float32)
    latest = np.zeros(padded.shape if how.takes_last else (0, 0), np.float32)
    own = [(exposures[k], members[k]) for k in kept]
    stack = _planes(own, found, padded, parameters, how, shortest, (weight, background, latest))
    inner, reference, lonely = frame.slices_in(padded), _NONE, np.zeros((0, 0), np.bool_)
    if alone:
        one = np.empty(padded.shape, np.bool_)
        find_alone(stack, _WIDE, one.view(np.uint8))
        lonely = one[inner]
    if shortest:
        judged = [member for _, member in own]
        reference = keep_quiet(stack, judged, kept, how, weight, background)
        reference = np.ascontiguousarray(reference[inner])
    out = _combine(stack, latest, weight, background, how, images)
    return Combined(np.ascontiguousarray(out[inner]), reference, lonely)


def _planes(
    own: Sequence[tuple[ExposureRecord, StackMember]],
    found: Sequence[Sequence[ReachingChip]],
    padded: Frame,
    parameters: DrizzleParameters,
    how: Combination,
    shortest: float,
    totals: tuple[Image, Image, Image],
) -> Image:
    """Drizzle exposures one after another: planes that are NaN where they are bad.

    ``totals`` are those of `fold`: weight, background, latest.
    """
    border = max(chip.patch for chips in found for chip in chips)
    sums = make_sums(padded, border)
    stack = np.empty((len(found), *padded.shape), np.float32)
    for plane, chips, (exposure, member) in zip(stack, found, own, strict=True):
        strict, rule = without_saturated(exposure, parameters, how, shortest)
        add_chips(chips, padded, strict, border, sums)
        spans = spans_of(chips, padded, border)
        fold(sums, border, spans, rule.judge(member), plane, *totals)
    return stack


def _combine(
    stack: Image, latest: Image, weight: Image, background: Image, how: Combination, images: int
) -> Image:
    """Combine planes that are NaN where they are bad."""
    shape = stack.shape[1:]
    if how.type == "sum":
        total: Image = np.zeros(shape, np.float32)
        for plane in stack:
            total += np.nan_to_num(plane)
        return total
    out: Image = latest if latest.size else np.zeros(shape, np.float32)
    lowest = np.empty(shape if how.minmed else (0, 0), np.float32)
    exchanges = combining.network(len(stack))
    combining.combine(stack, exchanges, *how.picks(len(stack), images), out, lowest)
    if how.minmed:
        combining.choose_minimum(out, lowest, weight, background, how.nsigma, how.grow)
    return out
