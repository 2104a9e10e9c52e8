"""Cosmic rays in the pixels of one exposure by their shape, chip by chip or in any part of one.

Here pixels get their light and noise, and those are left out whose shape means nothing.  Not here:
how a hit differs from a star (`sharpness`), whole exposures (`single_image`), and which parts of
an exposure have to be judged so (`uncovered`).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.sharpness import SharpTest, StarShape, find_sharp
from hapdask.drizzling.weighting import dark_variance, to_electrons
from hapdask.kernels.sharpness import spoil
from hapdask.observe.instruments import instrument_of
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import ChipReader, ChipRows, open_chip
from hapdask.observe.record import ExposureRecord

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Flagged pixels in a square of 3 that make an area, as one saturated pixel does; and pixels around
#: it whose shape it spoils.
_AREA, _SPOILT = 4, 2
#: Pixels around a pixel that decide whether an area spoils it.
_FLAGS = _SPOILT + 2
#: Rows that are looked at together.
_BAND = 256

_TEST = SharpTest()
#: Pixels around a pixel that decide on it.
HALO = _TEST.halo + _FLAGS


def find_in_chip(exposure: ExposureRecord, chip: ChipRecord, *, good_bits: int | None = 0) -> Mask:
    """Find the cosmic rays of a chip by their shape.

    Parameters
    ----------
    exposure, chip : ExposureRecord, ChipRecord
    good_bits : int or None
        Flags of pixels that are looked at; None for all.  Saturated ones never are.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True = cosmic ray.

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    ny = chip.shape[0]
    mask = np.zeros(chip.shape, np.bool_)
    with open_chip(exposure, chip) as reader:
        known = chip if chip.sky else replace(chip, sky=_level(reader, ny))
        for row0 in range(0, ny, _BAND):
            row1, first = min(row0 + _BAND, ny), max(row0 - HALO, 0)
            rows = reader.read(first, min(row1 + HALO, ny))
            found = find_in_rows(rows, exposure, known, good_bits)
            mask[row0:row1] = found[row0 - first : row1 - first]
    return mask


def find_in_rows(
    rows: ChipRows, exposure: ExposureRecord, chip: ChipRecord, good_bits: int | None
) -> Mask:
    """Find cosmic rays in any part of a chip.

    Parameters
    ----------
    rows : ChipRows
        With flags.  What lies within `HALO` of a border that is not the chip's may come out
        otherwise than in the middle of a larger part.
    exposure, chip : ExposureRecord, ChipRecord
        Their sky is taken away; what has more light than that all around is no cosmic ray.
    good_bits : int or None
        See `find_in_chip`.

    Returns
    -------
    ndarray of bool, shape of the rows
        True = cosmic ray.
    """
    instrument = instrument_of(exposure.instrument, exposure.detector)
    holes, unusable = _unusable(rows, good_bits, instrument.saturated)
    if unusable.all():
        return np.zeros(rows.sci.shape, np.bool_)
    electrons = to_electrons(exposure, chip)
    level = chip.sky * electrons
    image = rows.sci * np.float32(electrons)
    image[~np.isfinite(image)] = level
    noise = np.sqrt(_variance(rows, exposure, chip, image))
    facts = instrument.chip(chip.chip)
    slack = facts.slack * math.sqrt(max(level, 0.0) + dark_variance(exposure, chip))
    star = StarShape(facts.star, facts.told_from, slack)
    return find_sharp(image - np.float32(level), noise, holes, unusable, _TEST, star)


def _level(reader: ChipReader, ny: int) -> float:
    """Sky of a chip that has none, SCI units: the median of some of its rows."""
    some = [reader.read(row, row + 1, flags=False).sci for row in range(0, ny, _BAND // 4)]
    values = np.concatenate(some)
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0


def _variance(rows: ChipRows, exposure: ExposureRecord, chip: ChipRecord, image: Image) -> Image:
    """Variance of every pixel, electrons**2: from ERR where there is one."""
    made: Image = np.maximum(image, np.float32(0.0)) + np.float32(dark_variance(exposure, chip))
    if rows.err is None:
        return made
    given = np.square(rows.err * np.float32(to_electrons(exposure, chip)))
    variance: Image = np.where(given > 0.0, given, made)
    return variance


def _unusable(rows: ChipRows, good_bits: int | None, saturated: int) -> tuple[Mask, Mask]:
    """Pixels without a value or with a flag: single ones, and all with those around areas."""
    bad: Mask = ~np.isfinite(rows.sci)
    if rows.masked is not None:
        bad |= rows.masked
    counts = bad.astype(np.uint8)
    if rows.dq is not None:
        good = 0xFFFF if good_bits is None else good_bits
        bad |= (rows.dq & np.uint16((~good | saturated) & 0xFFFF)) != 0
        counts[bad] = 1
        # Charge runs along one column first: its ends are sharper than any star.
        counts[(rows.dq & np.uint16(saturated)) != 0] = _AREA
    around = np.empty(bad.shape, np.bool_)
    spoil(counts, _AREA, _SPOILT, around.view(np.uint8))
    return bad & ~around, bad | around
