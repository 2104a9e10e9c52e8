"""From the rate of light on a chip to a calibrated image: SCI, ERR, DQ (and SAMP, TIME).

What lives here: exposing a CCD and a ramp-fitted infrared array. The single effects are in
``effects``; amplifier pedestals, bleeding and persistence would join them there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.simulate.detectors import Detector
from hapdask.simulate.effects import (
    DQ_SATURATED,
    BoolArray,
    Defects,
    FlagArray,
    Float32Array,
    FloatArray,
    cosmic_rays,
    flag_cosmic_rays,
    make_defects,
)

_SHORTEST_RAMP = 2.911756  # s: SAMPZERO, the first read of an infrared ramp


@dataclass(frozen=True, slots=True)
class Options:
    """What is simulated besides the light of the sources.

    Parameters
    ----------
    sky : float or None
        Background, electrons / s / pixel; None for the filter's typical one.
    noise : bool
        Poisson and read noise.
    cosmic_rays : bool
        Cosmic-ray tracks (what the ramp fit leaves, in the infrared).
    defects : bool
        Hot, warm and bad pixels.
    saturation : bool
        A finite full well.
    flag_cosmic_rays : float
        Fraction of the truly hit pixels that carry DQ 4096, as the pipeline's test would set it.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """

    sky: float | None = None
    noise: bool = True
    cosmic_rays: bool = True
    defects: bool = True
    saturation: bool = True
    flag_cosmic_rays: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.flag_cosmic_rays <= 1.0:
            raise ParameterError(f"flag_cosmic_rays={self.flag_cosmic_rays} is not in 0 to 1")
        if self.sky is not None and not (math.isfinite(self.sky) and self.sky >= 0.0):
            raise ParameterError(f"sky={self.sky} must be 0 or more electrons / s / pixel")

    @classmethod
    def noise_free(cls, sky: float = 0.0) -> Options:
        """Only the expected light: no noise, cosmic rays or defects; an infinite well.

        Parameters
        ----------
        sky : float
            Background, electrons / s / pixel.

        Returns
        -------
        Options
        """
        return cls(sky, noise=False, cosmic_rays=False, defects=False, saturation=False)


@dataclass(frozen=True)
class Streams:
    """Independent random streams of one chip of one exposure.

    Parameters
    ----------
    light, reading, particles, flags : numpy.random.Generator
        For photon noise, read noise, cosmic rays and their detection.
    """

    light: np.random.Generator
    reading: np.random.Generator
    particles: np.random.Generator
    flags: np.random.Generator

    @classmethod
    def of(cls, seed: int, extver: int) -> Streams:
        """Streams of a chip for an exposure's seed."""
        children = np.random.SeedSequence([seed, extver]).spawn(4)
        return cls(*map(np.random.default_rng, children))


@dataclass(frozen=True)
class Readout:
    """A calibrated chip.

    Parameters
    ----------
    sci, err : ndarray of float32, shape (ny, nx)
        In the detector's unit (electrons or electrons / s).
    dq : ndarray of int16, shape (ny, nx)
        HST flags.
    hit : ndarray of bool, shape (ny, nx)
        True cosmic-ray pixels.
    dark : float
        Dark counts that were subtracted, electrons (MEANDARK).
    time : ndarray of float32 or None
        Infrared: seconds used by the ramp fit in each pixel.
    """

    sci: Float32Array
    err: Float32Array
    dq: FlagArray
    hit: BoolArray
    dark: float
    time: Float32Array | None = None


def expose(
    light: FloatArray,
    exptime: float,
    detector: Detector,
    extver: int,
    read_noise: npt.NDArray[np.float32] | float,
    options: Options,
    streams: Streams,
) -> Readout:
    """Expose and calibrate one chip.

    Parameters
    ----------
    light : ndarray of float64, shape (ny, nx)
        Expected electrons / s from sources and sky, after flat-fielding.
    exptime : float
        Seconds.
    detector : Detector
        Its figures.
    extver : int
        The chip.
    read_noise : ndarray of float32 or float
        Electrons per reading (infrared: of the whole ramp fit).
    options : Options
        What is simulated.
    streams : Streams
        Random streams.

    Returns
    -------
    Readout
    """
    shape = light.shape[0], light.shape[1]
    defects = make_defects(detector, extver, shape) if options.defects else None
    dq = np.zeros(shape, np.int16) if defects is None else defects.dq.copy()
    well = detector.full_well if options.saturation else math.inf
    if defects is not None:
        light = light * defects.response
    seconds = _seconds(light, exptime, detector, defects, well, dq)
    electrons = _collect(light, seconds, detector, defects, options, streams)
    hit = np.zeros(shape, bool)
    if options.cosmic_rays:
        charge, hit = cosmic_rays(shape, detector.cosmic_rays * exptime, streams.particles)
        electrons += charge
        flag_cosmic_rays(dq, hit, options.flag_cosmic_rays, streams.flags)
    if not detector.rate:
        dq[electrons >= well] |= DQ_SATURATED
    np.minimum(electrons, well, out=electrons)
    if options.noise:
        electrons += read_noise * streams.reading.standard_normal(shape, dtype=np.float32)
    dark = detector.dark * exptime
    variance = np.maximum(electrons, 0.0) + np.float32(dark) + np.square(read_noise)
    if defects is not None:
        variance += defects.current * np.float32(exptime)
    err: Float32Array = np.sqrt(variance).astype(np.float32, copy=False)
    if detector.rate:
        time: Float32Array = np.broadcast_to(seconds, shape).astype(np.float32)
        return Readout(electrons / time, err / time, dq, hit, dark, time)
    return Readout(electrons, err, dq, hit, dark)


def _seconds(
    light: FloatArray,
    exptime: float,
    detector: Detector,
    defects: Defects | None,
    well: float,
    dq: FlagArray,
) -> npt.NDArray[np.float64] | float:
    """Time that counts: a ramp that saturates is fitted on its reads before that (DQ 256)."""
    if not detector.rate or not math.isfinite(well):
        return exptime
    total = light + detector.dark
    if defects is not None:
        total = total + defects.current
    saturated = total * exptime >= well
    dq[saturated] |= DQ_SATURATED
    shortest = min(_SHORTEST_RAMP, exptime)
    return np.where(saturated, np.maximum(well / np.maximum(total, 1e-9), shortest), exptime)


def _collect(
    light: FloatArray,
    seconds: npt.NDArray[np.float64] | float,
    detector: Detector,
    defects: Defects | None,
    options: Options,
    streams: Streams,
) -> Float32Array:
    """Electrons after dark subtraction, with photon noise of light and dark."""
    if not options.noise:
        return (light * seconds).astype(np.float32)
    thermal = np.float64(detector.dark)
    if defects is None:
        mean = (light + thermal) * seconds
        return (streams.light.poisson(mean) - thermal * seconds).astype(np.float32)
    current = defects.current + thermal
    counts = streams.light.poisson((light + current) * seconds)
    return (counts - (current - defects.residual) * seconds).astype(np.float32)
