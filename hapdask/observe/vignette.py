"""Pixels of a chip that see no light of their filter, whatever their data quality says.

Two causes: the shadow of WFPC2's pyramid along the two inner edges of a chip, and the other
quadrants of a quad filter.  Both are geometry, known from the record; no pixel is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.parts import ChipRecord


def vignetted_rows(chip: ChipRecord, row0: int, row1: int) -> NDArray[np.bool_] | None:
    """Mask what a chip's shadow and its filter's quadrant leave out.

    Parameters
    ----------
    chip : ChipRecord
    row0, row1 : int
        First row and the row after the last, 0-based, within the chip.

    Returns
    -------
    ndarray of bool, shape (row1 - row0, nx), or None
        True = not to be used; None where every pixel of the chip may be used.
    """
    shape = (row1 - row0, chip.shape[1])
    if not chip.shadow and not chip.window:
        return None
    bad = np.zeros(shape, np.bool_)
    if chip.shadow:
        bad |= _shadow(chip, row0, row1)
    if chip.window:
        x0, x1, y0, y1 = chip.window
        inside = np.zeros(shape, np.bool_)
        inside[max(y0 - row0, 0) : max(y1 - row0, 0), x0:x1] = True
        bad |= ~inside
    return bad


def _shadow(chip: ChipRecord, row0: int, row1: int) -> NDArray[np.bool_]:
    """WFPC2's functional mask.

    An unbinned pixel is lit where it lies at least half a pixel beyond both edges: the lower
    one a polynomial of the column, the left one of the row.  A binned pixel is lit where all
    its pixels are.

    Source: polynomials of STSDAS wmosaic (``get_edge2``).  AstroDrizzle evaluates each at the
    pixel's own coordinate, which straightens the edges; along the chip they then miss those of
    the pipeline's static mask by up to six pixels, these by two.
    """
    side = chip.bin
    x = np.arange(chip.shape[1] * side, dtype=np.float64)
    y = np.arange(row0 * side, row1 * side, dtype=np.float64)
    low, left = chip.shadow[:3], chip.shadow[3:]
    lit = (y[:, None] >= _polynomial(low, x) + 0.5) & (x >= _polynomial(left, y)[:, None] + 0.5)
    binned = lit.reshape(row1 - row0, side, chip.shape[1], side)
    dark: NDArray[np.bool_] = ~np.logical_and.reduce(binned, axis=(1, 3))
    return dark


def _polynomial(c: tuple[float, ...], t: NDArray[np.float64]) -> NDArray[np.float64]:
    return c[0] + t * (c[1] + t * c[2])
