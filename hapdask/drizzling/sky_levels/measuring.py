"""Usable pixels of a chip, and the sky statistic of all of them or of those of some spans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.static_mask import KIND as STATIC
from hapdask.kernels.image_statistics import Clipping, clip, median, mode
from hapdask.observe.masking.sources import ChipMask
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import read_chip_rows
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


def read_usable(
    exposure: ExposureRecord,
    chip: ChipRecord,
    parameters: SkyParameters,
    masks: Sequence[ChipMask] = (),
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a chip, and tell which of its pixels count for the sky.

    Of the record's masks the static one alone is looked at: another mask changes the tiles that it
    touches, not the sky of all.

    Parameters
    ----------
    exposure, chip : ExposureRecord, ChipRecord
    parameters : SkyParameters
    masks : sequence of ChipMask
        Opened masks (`hapdask.observe.masking.attach.open_mask`), for the sky alone.

    Returns
    -------
    sci : ndarray of float32, shape (ny, nx)
    use : ndarray of bool, shape (ny, nx)

    Raises
    ------
    InputError
        If pixels or masks cannot be read.
    """
    kept = tuple(m for m in chip.masks if parameters.use_static and m.kind == STATIC)
    dq = None if parameters.bits is None else chip.dq
    rows = read_chip_rows(exposure, replace(chip, masks=kept, err=None, dq=dq), 0, chip.shape[0])
    use = np.ones(chip.shape, np.bool_)
    if rows.dq is not None and parameters.bits is not None:
        use = (rows.dq & np.uint16(~parameters.bits & 0xFFFF)) == 0
    if rows.masked is not None:
        use &= ~rows.masked
    for mask in masks:
        bad = mask.bad(exposure, chip) if mask.is_for(exposure) else None
        if bad is not None:
            use &= ~bad
    return rows.sci, use


def measure_spans(
    sci: NDArray[np.float32],
    use: NDArray[np.bool_],
    spans: NDArray[np.int64],
    parameters: SkyParameters,
) -> Level:
    """Measure the sky statistic of the usable pixels of some spans, in the unit of SCI."""
    clipping = Clipping(
        parameters.clip,
        parameters.lsigma,
        parameters.usigma,
        -math.inf if parameters.lower is None else parameters.lower,
        math.inf if parameters.upper is None else parameters.upper,
    )
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
