"""Cosmic rays as lists of pixels: what goes from the tiles that find them to what leaves them out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ChipHits:
    """Cosmic rays of one chip: flat indices of pixels, int64, in order."""

    name: str
    extver: int
    pixels: NDArray[np.int64]
