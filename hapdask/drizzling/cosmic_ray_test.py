"""The test for cosmic rays: its settings, what noise a pixel may have, and what is marked around.

Not here: what a pixel is compared with, and where (`cosmic_rays`); the comparison (`kernels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.unlike import COMBINED
from hapdask.drizzling.weighting import background_variance, dark_variance, to_electrons
from hapdask.kernels import rejection
from hapdask.kernels.rejection import ERROR, LIGHT, UPSTREAM, Levels
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord

Flags = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CosmicRayTest:
    """How pixels are compared with the blotted median (AstroDrizzle's steps 5 and 6).

    Attributes
    ----------
    interp : {"nearest", "linear", "poly3", "poly5", "sinc"}
    sinscl : float
        Scale of the sinc.
    snr, scale : tuple of float
        Factors of noise and slope, of the first and of the stricter second test.
    grow : int, pixels
        Side of the square that is marked about a bad pixel.
    ctegrow : int, pixels
        Length of the tail that is marked, away from the amplifier.
    upstream : bool
        Test as AstroDrizzle does: see `chip_levels`, `grown`.
    sky : float or None, SCI units
        Level that is added to the blot; None for the sky of each chip.
    by_shape : bool
        Judge pixels whose sky one exposure alone covers by their shape.
    """

    interp: str = "poly5"
    sinscl: float = 1.0
    snr: tuple[float, float] = (4.0, 3.0)
    scale: tuple[float, float] = (1.5, 1.2)
    grow: int = 1
    ctegrow: int = 0
    upstream: bool = False
    sky: float | None = None
    by_shape: bool = False

    @property
    def halo(self) -> int:
        """Detector pixels around a pixel that decide on it.

        A neighbour beyond the first limit, whose slope its own neighbour tells; upstream's slopes
        know the end of the array from one pixel farther inside.
        """
        return 2 + self.upstream + self.grow // 2 + self.ctegrow

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Slope and noise factor of the first test, then of the second."""
        return self.scale[0], self.snr[0], self.scale[1], self.snr[1]

    def level(self, chip: ChipRecord) -> float:
        """Give what is added to the blot of a chip, SCI units."""
        return chip.sky if self.sky is None else self.sky


def rate_variance(exposure: ExposureRecord) -> float:
    """Variance of the background of one exposure, (electrons / s)**2, of its first chip."""
    chip = exposure.chips[0]
    per_second = to_electrons(exposure, chip) / exposure.exptime
    return background_variance(exposure, chip) * per_second**2


def typical_variance(exposures: Sequence[ExposureRecord]) -> float:
    """Median of `rate_variance`: the noise of a median is that of its middle exposures."""
    return float(np.median([rate_variance(e) for e in exposures])) if exposures else 0.0


def chip_levels(
    exposure: ExposureRecord,
    chip: ChipRecord,
    gain: float,
    test: CosmicRayTest,
    typical: float,
    *,
    has_err: bool,
) -> Levels:
    """Find what turns a chip and its blot into electrons, and its noise.

    Parameters
    ----------
    exposure, chip : ExposureRecord, ChipRecord
    gain : float
        From SCI units to those of the median (`electron_gain`).
    test : CosmicRayTest
        Upstream's counts the sky twice in the noise and, where SCI is in counts, takes the noise
        of electrons for that of counts.
    typical : float, (electrons / s)**2
        See `typical_variance`.
    has_err : bool
        Whether ERR is known.

    Returns
    -------
    Levels
    """
    electrons = to_electrons(exposure, chip)
    level = test.level(chip) * electrons
    scales = electrons, electrons / gain, level
    if test.upstream:
        read_noise, sky = chip.read_noise**2, (chip.sky + chip.removed) * electrons
        return Levels(UPSTREAM, *scales, read_noise, sky, chip.gain)
    own = rate_variance(exposure)
    factor = 1.0 + (COMBINED * typical / own if own > 0.0 else COMBINED)
    floor = dark_variance(exposure, chip)
    if has_err and exposure.unit.endswith("/ s"):
        floor = max(chip.dark, 0.0)  # a ramp's fit is less noisy than a read
    return Levels(ERROR if has_err else LIGHT, *scales, floor, max(level, 0.0), factor)


def grown(bad: Flags, chip: ChipRecord, test: CosmicRayTest) -> Flags:
    """Mark what is around bad pixels, and the tails that charge leaves on its way to the amplifier.

    Parameters
    ----------
    bad : ndarray of uint8, shape (ny, nx)
    chip : ChipRecord
    test : CosmicRayTest
        A square of an even side reaches farther to higher rows and columns, as upstream's does.
        (Its tails are mirrored at the chip's ends, where it marks some pixels more.)
        With a tail to be marked on a detector that has none, upstream marks every pixel.

    Returns
    -------
    ndarray of uint8, shape (ny, nx)
    """
    if test.ctegrow and not chip.tail and test.upstream:
        return np.ones_like(bad)
    result = bad
    if test.grow > 1:
        reach = (-(test.grow // 2), (test.grow - 1) // 2)
        result = np.empty_like(bad)
        rejection.grow(bad, reach, reach, result)
    if test.ctegrow and chip.tail:
        tails = np.empty_like(bad)
        rows = (-test.ctegrow, 0) if chip.tail > 0 else (0, test.ctegrow)
        rejection.grow(bad, rows, (0, 0), tails)
        result = result | tails
    return result


def cleaned(
    sci: NDArray[np.float32],
    blot: NDArray[np.float32],
    cosmic: NDArray[np.bool_],
    flagged: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Rows of a chip with the blot in place of cosmic rays (AstroDrizzle's ``crclean``).

    Parameters
    ----------
    sci, blot : ndarray of float32, shape (rows, nx), SCI units
        Both with sky.
    cosmic : ndarray of bool, shape (rows, nx)
        True = cosmic ray.
    flagged : ndarray of bool, optional
        Pixels with a flag other than that of cosmic rays: upstream replaces them as well.

    Returns
    -------
    ndarray of float32, shape (rows, nx)
        SCI stays where the blot is not known.
    """
    replaced = cosmic if flagged is None else cosmic | flagged
    return np.where(replaced & np.isfinite(blot), blot, sci)
