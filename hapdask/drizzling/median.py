"""The median of a stack of exposures on a frame: what the sky looks like without cosmic rays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.separate import Single
from hapdask.errors import ParameterError
from hapdask.kernels import combining

#: Kinds of combination; ``i``, as in imedian, is accepted by the parameters and means the same.
KINDS = ("minmed", "median", "mean", "sum")

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Combination:
    """How a stack is combined (AstroDrizzle's step 4, its names without ``combine_``).

    Attributes
    ----------
    type : {"minmed", "median", "mean", "sum"}
    nlow, nhigh : int
        Lowest and highest values of a pixel that are left out.
    lthresh, hthresh : float or None, flux per second
        Values below the one, or not below the other, are left out.
    maskpt : float
        An image is left out where its weight is less than this part of its mean weight.
    nsigma : tuple of float
        See `hapdask.kernels.combining.choose_minimum`.
    grow : int, pixels
    """

    type: str = "minmed"
    nlow: int = 0
    nhigh: int = 0
    lthresh: float | None = None
    hthresh: float | None = None
    maskpt: float = 0.3
    nsigma: tuple[float, float] = (4.0, 3.0)
    grow: int = 1

    @property
    def halo(self) -> int:
        """Pixels around a pixel that decide on it."""
        return self.grow if self.type == "minmed" else 0


@dataclass(frozen=True, slots=True)
class StackMember:
    """What must be known of an exposure before any tile of the median.

    Attributes
    ----------
    mean_weight : float
        Of the pixels that it covers.
    sky : float, electrons / s / pixel
    read_noise : float, electrons
    """

    mean_weight: float
    sky: float
    read_noise: float


def combine_singles(
    singles: Sequence[Single],
    members: Sequence[StackMember],
    shape: tuple[int, int],
    how: Combination,
    *,
    images: int,
) -> Image:
    """Combine exposures that were drizzled alone.

    Parameters
    ----------
    singles : sequence of Single
        Those that reach the frame.
    members : sequence of StackMember
        Of the same exposures.
    shape : tuple of int
        Of the frame.
    how : Combination
    images : int
        Exposures of the whole stack, also those that do not reach the frame.

    Returns
    -------
    ndarray of float32, flux per second
        0 where no image is good.  Not right within `Combination.halo` pixels of the border.

    Raises
    ------
    ParameterError
        If nothing would be left of so many images.
    """
    minmed = how.type == "minmed"
    low, high = (0, 1) if minmed else (how.nlow, how.nhigh)
    if not minmed and images - low - high < 1:
        raise ParameterError(
            f"combine_nlow + combine_nhigh = {low + high} leave nothing of {images} exposures"
        )
    out = np.zeros(shape, np.float32)
    if not singles:
        return out
    stack = _stack(singles, members, how)
    if how.type == "sum":
        for single in singles:
            out += np.nan_to_num(single.sci)
        return out
    pair = minmed and images == 2
    picks = combining.make_picks(
        len(singles),
        0 if pair else low,
        0 if pair else high,
        median=how.type != "mean" and not pair,
    )
    lowest = np.zeros(shape if minmed else (0, 0), np.float32)
    count = np.empty(shape, np.int32)
    exchanges = combining.network(len(singles))
    combining.combine(stack, exchanges, *picks, out, lowest, count)
    if not minmed:
        return out
    weight, background = _noise(singles, members, stack)
    chosen = np.empty_like(out)
    combining.choose_minimum(out, lowest, weight, background, how.nsigma, how.grow, chosen)
    return chosen


def _stack(singles: Sequence[Single], members: Sequence[StackMember], how: Combination) -> Image:
    """Stack the images, NaN where one is bad."""
    stack = np.stack([single.sci for single in singles])
    for plane, single, member in zip(stack, singles, members, strict=True):
        bad = single.wht < how.maskpt * member.mean_weight
        if how.lthresh is not None:
            bad |= plane < how.lthresh
        if how.hthresh is not None:
            bad |= plane >= how.hthresh
        plane[bad] = np.nan
    return stack


def _noise(
    singles: Sequence[Single], members: Sequence[StackMember], stack: Image
) -> tuple[Image, Image]:
    """Sum of the weights, and the variance of sky and read noise in it."""
    weight = np.zeros(stack.shape[1:], np.float32)
    background = np.zeros_like(weight)
    for plane, single, member in zip(stack, singles, members, strict=True):
        weight += single.wht
        background += single.wht * np.float32(member.sky)
        background += np.isfinite(plane) * np.float32(member.read_noise**2)
    return weight, background
