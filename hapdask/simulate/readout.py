"""From the rate of light on a chip to a calibrated image: SCI, ERR, DQ (and SAMP, TIME).

What lives here: exposing a CCD and a ramp-fitted infrared array. The single effects are in
``effects`` and ``bleeding``; persistence would join them there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.simulate.bleeding import bleed
from hapdask.simulate.detectors import Detector
from hapdask.simulate.effects import (
    BoolArray,
    Defects,
    FlagArray,
    Float32Array,
    FloatArray,
    cosmic_rays,
    flag_cosmic_rays,
    make_defects,
)
from hapdask.simulate.modes import Window
from hapdask.simulate.motion import STILL, Motion

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
    drift : float
        Fraction of the sensitivity that is lost in a year; the nominal one is that of 2010-01-01.
        PHOTFLAM of the headers goes with it.
    pedestals : float
        Rms of the offset of each amplifier in each exposure, electrons / pixel.
    focus : float
        Rms of the focus from exposure to exposure, micron of the secondary mirror; 3 is typical.
    spikes : bool
        Diffraction spikes of bright stars, fixed to the telescope's roll.
    bleeding : bool
        Charge above the full well of a CCD runs along its column; without `saturation`, nothing.
    motion : Motion
        How the telescope moved: drift, jitter, a lock lost and found again.
    diffraction : bool
        Images of stars with rings and aberrations, unlike over the field; else round Gaussians.

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
    drift: float = 0.0
    pedestals: float = 0.0
    focus: float = 0.0
    spikes: bool = False
    bleeding: bool = False
    motion: Motion = STILL
    diffraction: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.flag_cosmic_rays <= 1.0:
            raise ParameterError(f"flag_cosmic_rays={self.flag_cosmic_rays} is not in 0 to 1")
        if self.sky is not None and not (math.isfinite(self.sky) and self.sky >= 0.0):
            raise ParameterError(f"sky={self.sky} must be 0 or more electrons / s / pixel")
        if not -1.0 < self.drift < 1.0:
            raise ParameterError(f"drift={self.drift}: a fraction per year between -1 and 1")
        for name in ("pedestals", "focus"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ParameterError(f"{name}={value} must be 0 or more: it is a scatter")

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
    light, reading, particles, flags, amps : numpy.random.Generator
        For photon noise, read noise, cosmic rays, their detection and amplifier pedestals.
    """

    light: np.random.Generator
    reading: np.random.Generator
    particles: np.random.Generator
    flags: np.random.Generator
    amps: np.random.Generator

    @classmethod
    def of(cls, seed: int, extver: int) -> Streams:
        """Streams of a chip for an exposure's seed."""
        children = np.random.SeedSequence([seed, extver]).spawn(5)
        return cls(*map(np.random.default_rng, children))


@dataclass(frozen=True)
class Readout:
    """A calibrated chip.

    Parameters
    ----------
    sci, err : ndarray of float32, shape (ny, nx)
        In the detector's unit (electrons or counts, or those / s).
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
    window: Window,
    read_noise: npt.NDArray[np.float32] | float,
    options: Options,
    streams: Streams,
    *,
    gain: float = 1.0,
    pedestal: npt.NDArray[np.float32] | None = None,
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
    window : Window
        The pixels of which chip.
    read_noise : ndarray of float32 or float
        Electrons per reading (infrared: of the whole ramp fit).
    options : Options
        What is simulated.
    streams : Streams
        Random streams.
    gain : float
        Electrons per count; 1 where files are in electrons.
    pedestal : ndarray of float32 or None
        Offset that the bias calibration left, electrons.

    Returns
    -------
    Readout
    """
    defects = None
    if options.defects:
        defects = make_defects(detector, window.extver, detector.shape).cut(window)
        light = light * defects.response
    dq = np.zeros(window.shape, np.int16) if defects is None else defects.dq.copy()
    pixels = window.binning**2
    dark = detector.dark * pixels
    well = detector.full_well * pixels if options.saturation else math.inf
    seconds = _seconds(light, exptime, detector, dark, defects, well, dq)
    electrons = _collect(light, seconds, dark, defects, options, streams)
    hit = _hit(electrons, dq, exptime, detector, window, options, streams)
    _saturate(electrons, dq, well, gain, detector, options)
    if options.noise:
        electrons += read_noise * streams.reading.standard_normal(window.shape, dtype=np.float32)
    variance = np.maximum(electrons, 0.0) + np.float32(dark * exptime) + np.square(read_noise)
    if defects is not None:
        variance += defects.current * np.float32(exptime)
    if detector.counting:  # as the pipeline: no pixel is surer than one photon
        variance = np.maximum(electrons, 1.0)
    err: Float32Array = np.sqrt(variance).astype(np.float32, copy=False)
    if pedestal is not None:
        electrons += pedestal
    time: Float32Array | None = None
    if detector.rate:
        time = np.broadcast_to(seconds, window.shape).astype(np.float32)
        electrons, err = electrons / time, err / time
    if gain != 1.0:
        electrons, err = electrons / np.float32(gain), err / np.float32(gain)
    return Readout(electrons, err, dq, hit, dark * exptime, time)


def _hit(
    electrons: Float32Array,
    dq: FlagArray,
    exptime: float,
    detector: Detector,
    window: Window,
    options: Options,
    streams: Streams,
) -> BoolArray:
    """Add cosmic rays in place, flag those that are found, and tell where they truly are."""
    if not (options.cosmic_rays and detector.cosmic_rays):
        return np.zeros(window.shape, bool)
    hits = detector.cosmic_rays * exptime * window.share(detector.shape)
    charge, touched = cosmic_rays(window.detector_shape, hits, streams.particles)
    electrons += window.bin(charge, np.sum)
    hit = window.bin(touched, np.any)
    bit = detector.flags.cosmic_ray
    flag_cosmic_rays(dq, hit, options.flag_cosmic_rays, streams.flags, bit)
    return hit


def _saturate(
    electrons: Float32Array,
    dq: FlagArray,
    well: float,
    gain: float,
    detector: Detector,
    options: Options,
) -> None:
    """Keep to the full well and the converter's range, in place; a ramp is flagged by its time."""
    if not detector.rate:
        if options.bleeding and math.isfinite(well):
            bleed(electrons, well)
        if options.saturation:
            well = min(well, detector.counts * gain)
        dq[electrons >= well] |= detector.flags.saturated
    np.minimum(electrons, well, out=electrons)


def _seconds(
    light: FloatArray,
    exptime: float,
    detector: Detector,
    dark: float,
    defects: Defects | None,
    well: float,
    dq: FlagArray,
) -> npt.NDArray[np.float64] | float:
    """Time that counts: a ramp that saturates is fitted on its reads before that (DQ 256)."""
    if not detector.rate or not math.isfinite(well):
        return exptime
    total = light + dark
    if defects is not None:
        total = total + defects.current
    saturated = total * exptime >= well
    dq[saturated] |= detector.flags.saturated
    shortest = min(_SHORTEST_RAMP, exptime)
    return np.where(saturated, np.maximum(well / np.maximum(total, 1e-9), shortest), exptime)


def _collect(
    light: FloatArray,
    seconds: npt.NDArray[np.float64] | float,
    dark: float,
    defects: Defects | None,
    options: Options,
    streams: Streams,
) -> Float32Array:
    """Electrons after dark subtraction, with photon noise of light and dark."""
    if not options.noise:
        return (light * seconds).astype(np.float32)
    thermal = np.float64(dark)
    if defects is None:
        mean = (light + thermal) * seconds
        return (streams.light.poisson(mean) - thermal * seconds).astype(np.float32)
    current = defects.current + thermal
    counts = streams.light.poisson((light + current) * seconds)
    return (counts - (current - defects.residual) * seconds).astype(np.float32)
