"""What the detector does to an image: cosmic rays, defects, noise, saturation.

What lives here: pure functions from electrons to electrons and flags, each with its own random
stream, so that switching one effect leaves the others as they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.simulate.detectors import Detector
from hapdask.simulate.modes import Window

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
FlagArray = npt.NDArray[np.int16]

# Cosmic rays: a minimum-ionising particle frees about 80 electrons per micron of silicon; CCDs of
# UVIS and WFC are about 15 micron thick with pixels of 15 micron.
_ELECTRONS_PER_PIXEL_LENGTH = 80.0 * 15.0
_DIFFUSION = 0.30  # pixels
_PACKETS_PER_PIXEL = 8.0
_LONGEST_TRACK = 80.0  # pixels
_TOUCHED = 1.0  # electrons above which a pixel counts as hit


@dataclass(frozen=True)
class Defects:
    """Fixed pattern of one chip.

    Parameters
    ----------
    dq : ndarray of int16, shape (ny, nx)
        The detector's bits for bad, hot and warm pixels.
    current : ndarray of float32, shape (ny, nx)
        Excess dark current, electrons / s.
    residual : ndarray of float32, shape (ny, nx)
        Part of it that the dark calibration leaves, electrons / s.
    response : ndarray of float32, shape (ny, nx)
        Relative response: below 1 in bad pixels.
    """

    dq: FlagArray
    current: Float32Array
    residual: Float32Array
    response: Float32Array

    def cut(self, window: Window) -> Defects:
        """Take those of a window; binned pixels have the flags of all their parts."""
        return Defects(
            window.cut(self.dq, np.bitwise_or.reduce),
            window.cut(self.current, np.sum),
            window.cut(self.residual, np.sum),
            window.cut(self.response),
        )


def make_defects(detector: Detector, extver: int, shape: tuple[int, int]) -> Defects:
    """Make the hot, warm and bad pixels of a chip: the same in every exposure.

    Parameters
    ----------
    detector : Detector
        Sets the fractions.
    extver : int
        The chip.
    shape : tuple of int
        ``(ny, nx)``.

    Returns
    -------
    Defects
    """
    rng = np.random.default_rng([extver, *detector.template.encode()])
    draw = rng.random(shape, dtype=np.float32)
    hot = draw < detector.hot
    warm = (draw >= detector.hot) & (draw < detector.hot + detector.warm)
    bad = rng.random(shape, dtype=np.float32) < detector.bad
    if not (
        detector.rate or detector.counting
    ):  # charge traps of a CCD spoil a column from some row upwards
        for column in rng.integers(0, shape[1], 6):
            bad[rng.integers(0, shape[0]) :, column] = True
    current = np.zeros(shape, np.float32)
    # Pareto tail above the limit for hot pixels, the decade below it for warm ones
    current[hot] = detector.hot_current * (1.0 + rng.pareto(1.2, int(hot.sum()))).clip(max=2e3)
    current[warm] = detector.hot_current * rng.uniform(0.3, 1.0, int(warm.sum()))
    residual = np.zeros(shape, np.float32)
    leaky = hot | warm
    residual[leaky] = current[leaky] * rng.normal(0.0, 0.03, int(leaky.sum()))
    response = np.ones(shape, np.float32)
    response[bad] = rng.uniform(0.0, 0.7, int(bad.sum()))
    bits = detector.flags
    dq = hot * np.int16(bits.hot) | warm * np.int16(bits.warm) | bad * np.int16(bits.bad)
    return Defects(dq.astype(np.int16), current, residual, response)


def cosmic_rays(
    shape: tuple[int, int], hits: float, rng: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Draw cosmic-ray tracks.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)``.
    hits : float
        Expected number of particles.
    rng : numpy.random.Generator
        Random stream.

    Returns
    -------
    electrons : ndarray of float32, shape (ny, nx)
        Charge left in each pixel.
    touched : ndarray of bool, shape (ny, nx)
        Truth mask: pixels that got one electron or more.

    Notes
    -----
    An isotropic flux crosses a thin layer; a track's length in the image is tan(angle) times the
    layer's thickness, its charge is proportional to the path with Landau-like (Moyal) scatter.
    """
    number = int(rng.poisson(hits))
    ny, nx = shape
    cosine = np.sqrt(rng.random(number))  # flux through a plane: cos^2 is uniform
    length = np.minimum(np.sqrt(1.0 - cosine**2) / np.maximum(cosine, 1e-3), _LONGEST_TRACK)
    moyal = -np.log(rng.standard_normal(number) ** 2 + 1e-9)
    charge = _ELECTRONS_PER_PIXEL_LENGTH * np.hypot(1.0, length) * (1.0 + 0.2 * moyal).clip(0.3)
    packets = np.ceil(_PACKETS_PER_PIXEL * (1.0 + length)).astype(np.int64)
    track = np.repeat(np.arange(number), packets)
    along = rng.random(track.size) * length[track]
    angle = rng.uniform(0.0, 2.0 * np.pi, number)[track]
    start_x, start_y = rng.uniform(-0.5, nx - 0.5, number), rng.uniform(-0.5, ny - 0.5, number)
    x = start_x[track] + along * np.cos(angle) + rng.normal(0.0, _DIFFUSION, track.size)
    y = start_y[track] + along * np.sin(angle) + rng.normal(0.0, _DIFFUSION, track.size)
    ix, iy = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    weight = (charge / packets)[track]
    flat = np.bincount((iy * nx + ix)[inside], weight[inside], minlength=ny * nx)
    electrons = flat.reshape(shape).astype(np.float32)
    return electrons, electrons >= _TOUCHED


def flag_cosmic_rays(
    dq: FlagArray, touched: BoolArray, fraction: float, rng: np.random.Generator, bit: int
) -> None:
    """Set a DQ bit, in place, in a random fraction of the truly hit pixels.

    Parameters
    ----------
    dq : ndarray of int16, shape (ny, nx)
        Flags.
    touched : ndarray of bool, shape (ny, nx)
        Truth mask.
    fraction : float
        0 to 1.
    rng : numpy.random.Generator
        Random stream.
    bit : int
        The detector's bit for cosmic rays.
    """
    where = np.flatnonzero(touched)
    found = where[rng.random(where.size) < fraction] if fraction < 1.0 else where
    dq.reshape(-1)[found] |= bit


def amplifier_map(
    shape: tuple[int, int], amps: tuple[str, ...], figures: dict[str, float]
) -> Float32Array:
    """Spread a figure per amplifier over a chip.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)``.
    amps : tuple of str
        Rows of amplifiers, upper first; in a row, columns from left to right.
    figures : dict
        Figure (for example read noise, electrons) by amplifier.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
    """
    out = np.empty(shape, np.float32)
    rows = np.array_split(np.arange(shape[0]), len(amps))
    for band, names in zip(rows, reversed(amps), strict=True):
        columns = np.array_split(np.arange(shape[1]), len(names))
        for part, amp in zip(columns, names, strict=True):
            out[band[0] : band[-1] + 1, part[0] : part[-1] + 1] = figures[amp]
    return out
