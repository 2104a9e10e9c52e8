"""Parameters: what may be set, the packaged presets, and where each value came from.

Bits of DQ arrays are written in the grammar of `hapdask.config.bits`.
"""

from __future__ import annotations

from hapdask.config.bits import parse_bits
from hapdask.config.parameters import DrizzleParameters
from hapdask.config.presets import (
    PRESETS,
    Resolved,
    load_parameters,
    load_photflams,
    parse_setting,
)

__all__ = [
    "PRESETS",
    "DrizzleParameters",
    "Resolved",
    "load_parameters",
    "load_photflams",
    "parse_bits",
    "parse_setting",
]
