"""Flags of the data-quality arrays that the code names.

The grammar of sets of flags is in `hapdask.config.bits`; which bits count as good, in the presets.
"""

from __future__ import annotations

COSMIC_RAY = 4096  # found by comparing exposures
