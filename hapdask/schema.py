"""The variables of a mosaic, each told once: dtype, fill value, units, meaning.

Stores, Datasets, FITS exports and the documentation all read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, slots=True)
class Variable:
    """One plane of a mosaic; dims are always ``(y, x)``.

    ``units`` may hold ``{flux}``, replaced by the layer's flux unit (``electron / s``).
    """

    name: str
    dtype: np.dtype
    fill: float
    units: str
    meaning: str

    @property
    def shuffle(self) -> Literal["bitshuffle", "shuffle"]:
        """Filter before compression: bits for noise, bytes (half the time) for all else."""
        return "bitshuffle" if self.name in ("sci", "wht") else "shuffle"


def _variable(name: str, dtype: str, fill: float, units: str, meaning: str) -> Variable:
    return Variable(name, np.dtype(dtype), fill, units, meaning)


_NAN = float("nan")

VARIABLES: dict[str, Variable] = {
    v.name: v
    for v in (
        _variable("sci", "float32", _NAN, "{flux}", "weighted mean flux per output pixel"),
        _variable("wht", "float32", 0.0, "", "sum of overlap times weight"),
        _variable("err", "float32", _NAN, "{flux}", "standard deviation of sci, one pixel alone"),
        _variable("noise_ratio", "float32", _NAN, "", "rms of large-box noise over err"),
        _variable("ctx", "uint64", 0, "", "key of the set of chips in the pixel; see the palette"),
        _variable("nexp", "uint16", 0, "", "number of exposures in the pixel"),
        _variable("exptime", "float32", 0.0, "s", "total exposure time of those exposures"),
        _variable("epoch", "float64", _NAN, "d", "weight-averaged mid-exposure MJD"),
        _variable("epoch_min", "float64", _NAN, "d", "earliest mid-exposure MJD"),
        _variable("epoch_max", "float64", _NAN, "d", "latest mid-exposure MJD"),
        _variable("quality", "uint16", 0, "", "OR of DQ flags used for want of a clean pixel"),
    )
}

#: What AstroDrizzle makes; the other planes cost a little more time and memory.
BASIC = ("sci", "wht", "ctx")
ALL = tuple(VARIABLES)
