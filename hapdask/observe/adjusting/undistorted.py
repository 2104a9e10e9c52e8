"""Exposures without their distortion (AstroDrizzle's ``coeffs`` off)."""

from __future__ import annotations

import math
from dataclasses import replace

from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord


def without_distortion(exposure: ExposureRecord) -> ExposureRecord:
    """Leave the distortion of an exposure out.

    Parameters
    ----------
    exposure : ExposureRecord

    Returns
    -------
    ExposureRecord
        With `Distortion.undistorted` chips, whose scale is that of their CD matrix: the length of
        its first column, as AstroDrizzle takes it.

    Notes
    -----
    Every step then goes without.  AstroDrizzle 3.11 makes its frames without the distortion, but
    drops it from the chips only in blot: its separate images have it, and so has its mosaic if
    there was no blot.
    """
    return replace(exposure, chips=tuple(_plain(chip) for chip in exposure.chips))


def _plain(chip: ChipRecord) -> ChipRecord:
    cd11, _, cd21, _ = chip.distortion.cd
    return replace(
        chip, distortion=chip.distortion.undistorted(), idcscale=3600.0 * math.hypot(cd11, cd21)
    )
