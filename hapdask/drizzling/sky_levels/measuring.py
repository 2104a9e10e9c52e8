"""The sky statistic of a chip's pixels, of all of them or of those of some spans."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.sampling import Sample
from hapdask.kernels.image_statistics import Clipping, clip, median, mode
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord


class Level(NamedTuple):
    """A statistic of some pixels, in a stated unit.

    Attributes
    ----------
    value : float
        NaN where no pixel is left.
    n : int
        Pixels that clipping left.
    variance : float
        Of the value, by the scatter of the pixels alone.
    """

    value: float
    n: int
    variance: float

    def scaled(self, factor: float) -> Level:
        """Return it in another unit."""
        return Level(self.value * factor, self.n, self.variance * factor * factor)


def brightness_factor(exposure: ExposureRecord, chip: ChipRecord, *, flux_scaling: bool) -> float:
    """Surface brightness (per second and square arcsecond) per unit of SCI and pixel.

    With ``flux_scaling`` it is in the system of the layer: one sky gives unlike counts on chips of
    unlike sensitivity.
    """
    seconds = 1.0 if exposure.unit.endswith("/ s") else exposure.exptime
    return (chip.flux_factor if flux_scaling else 1.0) / (chip.idcscale**2 * seconds)


def measure_spans(sample: Sample, spans: NDArray[np.int64], parameters: SkyParameters) -> Level:
    """Measure the sky statistic of a chip's usable pixels in some spans, in the unit of SCI."""
    clipping = Clipping(
        parameters.clip,
        parameters.lsigma,
        parameters.usigma,
        -math.inf if parameters.lower is None else parameters.lower,
        math.inf if parameters.upper is None else parameters.upper,
    )
    sci, use, spans = sample.sci, sample.use, sample.spans(spans)
    clipped = clip(sci, use, spans, clipping, upstream=parameters.upstream)
    if clipped.n == 0:
        return Level(math.nan, 0, math.inf)
    variance = _inefficiency(parameters) * clipped.stddev**2 / clipped.n
    if parameters.stat == "mean":
        value = clipped.mean
    elif parameters.stat == "median":
        value = median(sci, use, spans, clipped)
    else:
        value, _ = mode(
            sci, use, spans, clipped, binwidth=parameters.width, upstream=parameters.upstream
        )
    return Level(value, clipped.n, variance)


def _inefficiency(parameters: SkyParameters) -> float:
    """Variance of the statistic over that of a mean, for many pixels of normal noise.

    A mode is the top of a parabola through three bins of width h (in standard deviations) with
    counts c = n h / sqrt(2 pi); their noise sqrt(c) moves the top by sqrt(c / 2) / (c h^2) bins.
    """
    if parameters.stat == "mode":
        return math.sqrt(2.0 * math.pi) / (2.0 * parameters.width**3)
    return math.pi / 2.0 if parameters.stat == "median" else 1.0
