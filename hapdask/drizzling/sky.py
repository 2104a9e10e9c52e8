"""Sky levels: one constant per chip, measured once and kept in the records.

Each exposure has its own level, measured on its own pixels, so the zero level of a layer never
depends on which visit arrived later.  Matching levels across exposures is a solution of its own.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from hapdask.config.parameters import DrizzleParameters
from hapdask.kernels.statistics import clipped_median
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)


def set_sky(exposure: ExposureRecord, parameters: DrizzleParameters) -> ExposureRecord:
    """Give a record the sky levels that the parameters ask for.

    Parameters
    ----------
    exposure : ExposureRecord
    parameters : DrizzleParameters
        ``sky`` is ``"measure"`` (clipped median; the lowest surface brightness among the chips
        serves all of them, as AstroDrizzle's ``localmin``), ``"header"`` (MDRIZSKY, 0 where
        absent) or ``"none"``.

    Returns
    -------
    ExposureRecord

    Raises
    ------
    InputError
        If pixels cannot be read.
    """
    if parameters.sky == "none":
        return exposure.with_sky(0.0)
    if parameters.sky == "header":
        levels = exposure.header_sky()
        return exposure.with_sky({c.extver: levels.get(c.extver, 0.0) for c in exposure.chips})
    brightness = {
        chip.extver: measure_sky(exposure, chip, parameters) / chip.idcscale**2
        for chip in exposure.chips
    }
    known = [value for value in brightness.values() if math.isfinite(value)]
    if not known:
        log.warning("%s: no pixel left to measure the sky on; taken as 0", exposure.url)
    level = min(known, default=0.0)
    return exposure.with_sky({c.extver: level * c.idcscale**2 for c in exposure.chips})


def measure_sky(exposure: ExposureRecord, chip: ChipRecord, parameters: DrizzleParameters) -> float:
    """Clipped median of the clean pixels of a chip, in SCI units; NaN if there are none."""
    sci, _, dq = read_chip_rows(exposure, chip, 0, chip.shape[0])
    if dq is None or parameters.good_bits is None:
        use = np.ones(sci.shape, bool)
    else:
        use = (dq & np.uint16(~parameters.good_bits & 0xFFFF)) == 0
    return clipped_median(sci, use)[0]
