"""What hapdask knows of Hubble's detectors: one table (`table`), and headers read with it.

Not here: how exposures are selected (`hapdask.observe.selection`).
"""

from hapdask.observe.instruments.header import (
    Electronics,
    binning,
    electronics,
    filter_elements,
    filter_name,
    find_instrument,
    flux_unit,
    tail,
)
from hapdask.observe.instruments.instrument import ChipFacts, Companion, Instrument, Quadrant
from hapdask.observe.instruments.table import INSTRUMENTS, instrument_of

__all__ = [
    "INSTRUMENTS",
    "ChipFacts",
    "Companion",
    "Electronics",
    "Instrument",
    "Quadrant",
    "binning",
    "electronics",
    "filter_elements",
    "filter_name",
    "find_instrument",
    "flux_unit",
    "instrument_of",
    "tail",
]
