"""Pixels of an exposure with partners whose sky no partner covers: rims, gaps between chips.

The median there is the exposure itself, which tells nothing; the pixel's own neighbours do.  They
are detector pixels, so what is found depends neither on the tile nor on what is beside it, and only
rectangles around the pixels in question are looked at.

Not here: how a hit is told by its shape (`by_shape`), and which exposures have no partner at
all (`single_image.lone_exposures`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.by_shape import HALO, find_in_rows
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import ChipRows
from hapdask.observe.record import ExposureRecord

Mask = NDArray[np.bool_]
#: Rows y0, y1 and columns x0, x1.
Box = tuple[int, int, int, int]

#: Sides of the parts of which the rectangle around the wanted pixels is looked at.
_PART = (128, 256)


def padded_box(box: Box, shape: tuple[int, int]) -> Box:
    """Widen a box by what decides on its pixels, as far as the chip goes."""
    y0, y1, x0, x1 = box
    return max(y0 - HALO, 0), min(y1 + HALO, shape[0]), max(x0 - HALO, 0), min(x1 + HALO, shape[1])


def cut(rows: ChipRows, box: Box, around: Box) -> ChipRows:
    """Cut a box out of the rows and columns around it."""
    part = np.s_[box[0] - around[0] : box[1] - around[0], box[2] - around[2] : box[3] - around[2]]
    return ChipRows(
        np.ascontiguousarray(rows.sci[part]),
        None if rows.err is None else np.ascontiguousarray(rows.err[part]),
        None if rows.dq is None else rows.dq[part],
        None if rows.masked is None else rows.masked[part],
    )


def find_uncovered(
    rows: ChipRows,
    box: Box,
    wanted: Mask,
    exposure: ExposureRecord,
    chip: ChipRecord,
    good_bits: int | None,
) -> Mask:
    """Find the cosmic rays among some pixels of a chip by their shape.

    Parameters
    ----------
    rows : ChipRows
        Of ``padded_box(box)``, with flags.
    box : tuple of int
    wanted : ndarray of bool, shape of the box
        Pixels in question.
    exposure, chip : ExposureRecord, ChipRecord
    good_bits : int or None
        Flags of pixels that are looked at; None for all but the saturated.

    Returns
    -------
    ndarray of bool, shape of the box
        True = cosmic ray.
    """
    found = np.zeros(wanted.shape, np.bool_)
    known = padded_box(box, chip.shape)
    for y0, y1, x0, x1 in _parts(wanted):
        part = box[0] + y0, box[0] + y1, box[2] + x0, box[2] + x1
        top, _, left, _ = around = padded_box(part, chip.shape)
        hits = find_in_rows(cut(rows, around, known), exposure, chip, good_bits)
        inner = hits[part[0] - top : part[1] - top, part[2] - left : part[3] - left]
        found[y0:y1, x0:x1] = inner & wanted[y0:y1, x0:x1]
    return found


def _parts(wanted: Mask) -> Iterator[Box]:
    """Boxes around the wanted pixels of each part that has any."""
    for top in range(0, wanted.shape[0], _PART[0]):
        for left in range(0, wanted.shape[1], _PART[1]):
            part = wanted[top : top + _PART[0], left : left + _PART[1]]
            rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
            if rows.size:
                yield (
                    top + int(rows[0]),
                    top + int(rows[-1]) + 1,
                    left + int(columns[0]),
                    left + int(columns[-1]) + 1,
                )
