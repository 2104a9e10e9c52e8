"""Sky levels: one constant per chip, measured once and kept in the records.

Each exposure has its own level, measured on its own pixels, so the zero level of a layer never
depends on which visit arrived later.  Masks do not enter (flags do, and pixels without light): the
median is robust, and a mask given later must change the tiles that it touches, no others.
Matching levels across exposures is a solution of its own.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

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
        absent) or ``"none"``.  Where fluxes are scaled, brightness is in the layer's system:
        one sky gives unlike counts on chips of unlike sensitivity.

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
    counts = {  # per chip, of one surface brightness
        c.extver: c.idcscale**2 / (c.flux_factor if parameters.flux_scaling else 1.0)
        for c in exposure.chips
    }
    brightness = (measure_sky(exposure, c, parameters) / counts[c.extver] for c in exposure.chips)
    known = [value for value in brightness if math.isfinite(value)]
    if not known:
        log.warning("%s: no pixel left to measure the sky on; taken as 0", exposure.url)
    level = min(known, default=0.0)
    return exposure.with_sky({extver: level * count for extver, count in counts.items()})


def measure_sky(exposure: ExposureRecord, chip: ChipRecord, parameters: DrizzleParameters) -> float:
    """Clipped median of the clean pixels of a chip, in SCI units; NaN if there are none."""
    rows = read_chip_rows(exposure, replace(chip, masks=()), 0, chip.shape[0])
    if rows.dq is None or parameters.good_bits is None:
        use = np.ones(rows.sci.shape, bool)
    else:
        use = (rows.dq & np.uint16(~parameters.good_bits & 0xFFFF)) == 0
    if rows.masked is not None:
        use &= ~rows.masked
    return clipped_median(rows.sci, use)[0]
