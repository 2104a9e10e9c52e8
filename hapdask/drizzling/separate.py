"""One exposure alone on a frame: what the median of a stack is made of.

A chip is read, weighed and dropped a few rows at a time, so that what is read stays in the
processor's cache, and a task holds no chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip, block_bands, block_columns, block_rows
from hapdask.drizzling.weighting import electron_gain, weigh, weigh_by_time
from hapdask.kernels.blocks import ChipPixels
from hapdask.kernels.singles import Judgement, drizzle_alone, fold
from hapdask.kernels.sums import spans_of_blocks
from hapdask.observe.pixels import ChipReader, open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Image = NDArray[np.float32]

#: Rows of blocks that are read together.
_BAND = 2
_NONE: Image = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Single:
    """An exposure drizzled alone.

    Attributes
    ----------
    sci : ndarray of float32, shape of the frame, electrons / s
        NaN where it has no weight.
    wht : ndarray of float32, shape of the frame
    """

    sci: Image
    wht: Image


def drizzle_single(
    exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters, *, scale: float = 1.0
) -> Single | None:
    """Drizzle one exposure onto a frame.

    Parameters
    ----------
    exposure : ExposureRecord
    frame : Frame
        A pixel's bits do not depend on it.
    parameters : DrizzleParameters
        Doubtful flags are left out: nothing stands in for a clean pixel here.
    scale : float
        Factor of the weights.

    Returns
    -------
    Single or None
        None where no chip reaches the frame.

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    found = find_chips(exposure, frame, parameters)
    if not found:
        return None
    border = max(chip.patch for chip in found)
    sums = make_sums(frame, border)
    add_chips(found, frame, parameters, border, sums)
    sci, wht = np.empty(frame.shape, np.float32), np.zeros(frame.shape, np.float32)
    everything = Judgement(-np.inf, -np.inf, np.inf, scale, 0.0, 0.0)
    fold(sums, border, spans_of(found, frame, border), everything, sci, wht, _NONE, _NONE)
    return Single(sci, wht)


def find_chips(
    exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters
) -> list[ReachingChip]:
    """Chips of an exposure that reach a frame."""
    found = [ReachingChip.find(exposure, chip, frame, parameters) for chip in exposure.chips]
    return [chip for chip in found if chip is not None]


def make_sums(frame: Frame, border: int) -> Image:
    """Make empty sums of one exposure on a frame with a border: float32, shape (ny, nx, 2)."""
    return np.zeros((frame.shape[0] + 2 * border, frame.shape[1] + 2 * border, 2), np.float32)


def spans_of(found: Sequence[ReachingChip], frame: Frame, border: int) -> NDArray[np.int64]:
    """Columns of each row of the sums of a frame that chips can reach: int64, shape (ny, 3)."""
    ny, nx = frame.shape[0] + 2 * border, frame.shape[1] + 2 * border
    spans = np.empty((ny, 3), np.int64)
    boxes = np.concatenate([chip.boxes for chip in found])
    spans_of_blocks(boxes, (frame.origin[0] - border, frame.origin[1] - border), nx, spans)
    return spans


def add_chips(
    found: Sequence[ReachingChip],
    frame: Frame,
    parameters: DrizzleParameters,
    border: int,
    sums: Image,
) -> None:
    """Drizzle chips of one exposure on the sums of a frame, electrons / s.

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    origin = (frame.origin[0] - border, frame.origin[1] - border)
    clean = replace(parameters, doubtful_bits=0)
    for chip in found:
        geometry = chip.geometry().smoothed()
        with open_chip(chip.exposure, chip.chip) as reader:
            for blocks in block_bands(chip.blocks, _BAND):
                pixels = _read(reader, chip, blocks, frame, clean)
                drizzle_alone(geometry, blocks, pixels, origin, sums)


def _read(
    reader: ChipReader,
    found: ReachingChip,
    blocks: NDArray[np.int64],
    frame: Frame,
    parameters: DrizzleParameters,
) -> ChipPixels:
    """Read and weigh the pixels of some blocks."""
    exposure, chip = found.exposure, found.chip
    first, last = block_rows(blocks, chip)
    left, right = block_columns(blocks, chip)
    gain = electron_gain(exposure, chip, frame)
    by_time = parameters.weight == "EXP"
    rows = reader.read(first, last, (left, right), errors=not by_time)
    if by_time:
        return weigh_by_time(rows, (first, left), exposure, chip, gain, parameters)
    return weigh(rows, first, exposure, chip, gain, parameters, errors=False, first_column=left)
