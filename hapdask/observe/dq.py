"""Flags of the data-quality arrays that we name, and the grammar in which sets of them are written.

The grammar is AstroDrizzle's and lives with the parameters (`hapdask.config.bits`).  Which bits
count as good is the business of presets and of the instrument table, not of this module.
"""

from __future__ import annotations

from hapdask.config.bits import parse_bits as parse_bits

HOT = 16
WARM = 64
SATURATED = 256
BLOB = 512
COSMIC_RAY = 4096  # found by comparing exposures
CALIBRATION_COSMIC_RAY = 8192  # found by the calibration's CR-SPLIT or ramp fit
