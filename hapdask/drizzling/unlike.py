"""Stacks of unlike exposures, such as of 10 s and of 1000 s: who may tell what the sky is like.

One noisy value is enough to make a median noisy, and one saturated value to make it low.  So where
two quiet exposures cover a pixel, noisy ones are left out of it, and the test takes the noise of
the median pixel by pixel.  Both only in our own test, and in stacks whose exposures are unlike:
alike ones are combined and tested as they are.

Not here: the median (`median`) and the test (`cosmic_rays`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.kernels import combining
from hapdask.kernels.rejection import ERROR, Levels
from hapdask.observe.instruments import instrument_of
from hapdask.observe.record import ExposureRecord

if TYPE_CHECKING:
    from hapdask.drizzling.median import Combination, StackMember

Image = NDArray[np.float32]

#: Variance of a combined pixel in units of one exposure's.  A pixel that is hit is the highest of
#: its stack, so it meets the middle of the others: 0.45 for three, times 0.45 for being drizzled.
#: It falls to 0.1 for eight exposures, and the root of 1 + this by 5 %: one figure does.
COMBINED = 0.2
#: An exposure so many times longer than the shortest saturates where that one does not.
_LONGER = 1.5
#: Part of the mean weight of a pixel that is nearly whole.
_WHOLE = 0.9
_EVERY = 0xFFFF


def shortest_time(members: Sequence[StackMember], how: Combination) -> float:
    """Exposure time of the shortest of unlike exposures, s; 0 where they are alike."""
    if not members or math.isinf(how.quiet):
        return 0.0
    variances, times = zip(*((m.variance, m.exptime) for m in members), strict=True)
    shortest = min(times)
    noisy = max(variances) > how.quiet * min(variances)
    return shortest if noisy or max(times) > _LONGER * shortest else 0.0


def without_saturated(
    exposure: ExposureRecord, parameters: DrizzleParameters, how: Combination, shortest: float
) -> tuple[DrizzleParameters, Combination]:
    """Leave out what is saturated in a longer exposure: a shorter one may know better.

    Parameters
    ----------
    exposure : ExposureRecord
    parameters : DrizzleParameters
        Of the separate drizzle.
    how : Combination
    shortest : float, s
        See `shortest_time`.

    Returns
    -------
    parameters : DrizzleParameters
    how : Combination
        Pixels must be nearly whole: beside a core that is left out, a part is the fainter part.
    """
    if not shortest or exposure.exptime <= _LONGER * shortest:
        return parameters, how
    flag = instrument_of(exposure.instrument, exposure.detector).saturated
    bits = _EVERY if parameters.good_bits is None else parameters.good_bits
    return (
        replace(parameters, good_bits=bits & ~flag),
        replace(how, maskpt=max(how.maskpt, _WHOLE)),
    )


def keep_quiet(
    stack: Image,
    members: Sequence[StackMember],
    numbers: Sequence[int],
    how: Combination,
    weight: Image,
    background: Image,
) -> Image:
    """Leave noisy exposures out where two quiet ones are.

    Parameters
    ----------
    stack : ndarray of float32, shape (n, ny, nx)
        NaN where a value is bad; becomes so where it is too noisy.
    members : sequence of StackMember, length n
    numbers : sequence of int, length n
        What each is called in the result.
    how : Combination
    weight, background : ndarray of float32, shape (ny, nx) or (0, 0)
        Those of minmed; become those of what is left.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Number of the exposure whose noise is that of the pixel; NaN where none is good.
    """
    variances = np.array([member.variance for member in members])
    judged = [(how.judge(member), member) for member in members]
    weights = np.array([member.mean_weight * judge.scale for judge, member in judged])
    behind = np.array([judge.variance for judge, _ in judged])
    behind += weights * np.array([judge.sky for judge, _ in judged])
    reference = np.empty(stack.shape[1:], np.float32)
    combining.keep_quiet(
        stack,
        np.argsort(variances, kind="stable"),
        variances,
        np.array(numbers, np.float32),
        how.quiet,
        (weights, behind),
        weight,
        background,
        reference,
    )
    return reference


@dataclass(frozen=True, slots=True)
class Compared:
    """An exposure and what it is compared with, at its own pixels.

    Attributes
    ----------
    exptime : float, s
        Of the exposure.
    blot : ndarray of float32
        The median, electrons / s by ``levels.counts``.
    reference : ndarray of float32, shape of the blot
        Number of the exposure whose noise is the median's; NaN where nothing is known.
    members : sequence of StackMember
    """

    exptime: float
    blot: Image
    reference: Image
    members: Sequence[StackMember]

    def variance(self, counts: float) -> NDArray[np.float64]:
        """Variance of the median, electrons**2 of the exposure; NaN where nothing is known."""
        known = np.isfinite(self.reference)
        number = np.where(known, self.reference, 0.0).astype(np.intp)
        variances = np.array([m.variance for m in self.members])[number]
        times = np.array([m.exptime for m in self.members])[number]
        light = np.maximum(self.blot.astype(np.float64) * counts, 0.0)
        noise = self.exptime**2 * variances + self.exptime / times * light
        return np.where(known, COMBINED * noise, np.nan)


def with_noise_of_median(
    sci: Image, err: Image | None, levels: Levels, compared: Compared
) -> tuple[Image, Levels]:
    """Put the noise of the median, which is not the same everywhere, into that of the exposure.

    Parameters
    ----------
    sci, err : ndarray of float32
        Of the exposure; None where it has no ERR.
    levels : Levels
        As for exposures that are alike.
    compared : Compared

    Returns
    -------
    err : ndarray of float32
        NaN, which marks nothing, where no median is known.
    levels : Levels
        That take the noise from it.
    """
    charge = np.maximum(sci.astype(np.float64) * levels.electrons, 0.0)
    rest = np.full(sci.shape, levels.floor)
    if err is not None:
        given = np.square(err.astype(np.float64) * levels.electrons) - charge
        rest = np.maximum(given, levels.floor)
    noise = np.sqrt(charge + rest + compared.variance(levels.counts)) / levels.electrons
    return noise.astype(np.float32), levels._replace(kind=ERROR, factor=1.0, floor=0.0)
