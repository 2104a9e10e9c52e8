"""Parameters: what may be set, the packaged presets, and where each value came from.

Bits of DQ arrays are written in the grammar of `hapdask.config.bits`.
"""

from __future__ import annotations

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.config.astrodrizzle_presets import (
    ASTRODRIZZLE_PRESETS,
    ResolvedAstroDrizzle,
    load_astrodrizzle,
    parse_astrodrizzle_setting,
)
from hapdask.config.bits import parse_bits
from hapdask.config.cfg_file import read_cfg
from hapdask.config.parameters import DrizzleParameters
from hapdask.config.presets import (
    PRESETS,
    Resolved,
    load_parameters,
    load_photflams,
    parse_setting,
)

__all__ = [
    "ASTRODRIZZLE_PRESETS",
    "PRESETS",
    "AstroDrizzleParameters",
    "DrizzleParameters",
    "Resolved",
    "ResolvedAstroDrizzle",
    "load_astrodrizzle",
    "load_parameters",
    "load_photflams",
    "parse_astrodrizzle_setting",
    "parse_bits",
    "parse_setting",
    "read_cfg",
]
