"""Pixels of a chip that count for the sky: all usable ones, or an even part of a large chip.

AstroDrizzle's convention looks at every pixel.  Our own takes about a million of a larger chip:
their median is sure to some thousandths of the noise, and it takes an eighth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.static_mask import KIND as STATIC
from hapdask.observe.masking.sources import ChipMask
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord

#: Pixels that are enough, and the largest distance of two of them along a row.
_ENOUGH, _FARTHEST = 1 << 20, 8
#: From row to row the sample moves by so many pixels, so that no column is looked at alone.
_STAGGER = 3
#: Rows read at a time, a multiple of `_FARTHEST`: memory that small is used again.
_ROWS = 128


class Sample(NamedTuple):
    """Some pixels of a chip.

    Attributes
    ----------
    sci : ndarray of float32, shape (ny, ceil(nx / step))
    use : ndarray of bool, same shape
        Which of them count.
    step : int
        Element (y, i) is the pixel ``i * step + (3 * y) % step`` of row y.
    """

    sci: NDArray[np.float32]
    use: NDArray[np.bool_]
    step: int

    def spans(self, spans: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the elements whose pixels lie in some spans of the chip.

        Parameters
        ----------
        spans : ndarray of int64, shape (n, 3)
            Rows of (y, first x, x after the last).
        """
        if self.step == 1:
            return spans
        first = _first(spans[:, 0], self.step)
        ends = -((first[:, np.newaxis] - spans[:, 1:]) // self.step)
        return np.column_stack([spans[:, 0], ends])


def _first(y: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Column of the first pixel of some rows."""
    return np.asarray((_STAGGER * y) % step)


def read_usable(
    exposure: ExposureRecord,
    chip: ChipRecord,
    parameters: SkyParameters,
    masks: Sequence[ChipMask] = (),
    *,
    every: bool = False,
) -> Sample:
    """Read a chip, and tell which of its pixels count for the sky.

    Of the record's masks the static one alone is looked at: another mask changes the tiles that it
    touches, not the sky of all.

    Parameters
    ----------
    exposure, chip : ExposureRecord, ChipRecord
    parameters : SkyParameters
    masks : sequence of ChipMask
        Opened masks (`hapdask.observe.masking.attach.open_mask`), for the sky alone.
    every : bool
        Every pixel, whatever the convention.

    Returns
    -------
    Sample

    Raises
    ------
    InputError
        If pixels or masks cannot be read.
    """
    ny, nx = chip.shape
    step = 1
    while not (every or parameters.upstream) and step < _FARTHEST and ny * nx > step * _ENOUGH:
        step *= 2
    kept = tuple(m for m in chip.masks if parameters.use_static and m.kind == STATIC)
    dq = None if parameters.bits is None else chip.dq
    wanted = replace(chip, masks=kept, err=None, dq=dq)
    given = [m.bad(exposure, chip) for m in masks if m.is_for(exposure)]
    sci = np.zeros((ny, -(-nx // step)), np.float32)
    use = np.zeros(sci.shape, np.bool_)
    with open_chip(exposure, wanted) as reader:
        for row in range(0, ny, _ROWS):
            rows = reader.read(row, row + _ROWS)
            bad = [rows.masked, *(b[row : row + _ROWS] for b in given if b is not None)]
            for k in range(min(step, len(rows.sci))):
                picked = slice(k, None, step), slice((_STAGGER * k) % step, None, step)
                some = rows.sci[picked]
                good = np.ones(some.shape, np.bool_)
                if rows.dq is not None and parameters.bits is not None:
                    good = (rows.dq[picked] & np.uint16(~parameters.bits & 0xFFFF)) == 0
                for each in bad:
                    if each is not None:
                        good &= ~each[picked]
                sci[row + k : row + _ROWS : step, : some.shape[1]] = some
                use[row + k : row + _ROWS : step, : some.shape[1]] = good
    return Sample(sci, use, step)
