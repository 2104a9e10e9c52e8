"""Cosmic rays found by comparing every exposure with the median of the stack, tile by tile.

A tile of the median frame decides on the detector pixels whose centres fall into it, each in one
tile alone; with a halo around it for what decides beside a pixel, so tiles of any size give the
same masks.  Nothing between the exposures and their masks is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.cosmic_ray_test import CosmicRayTest as CosmicRayTest
from hapdask.drizzling.cosmic_ray_test import chip_levels, grown, typical_variance
from hapdask.drizzling.hits import ChipHits
from hapdask.drizzling.inputs import ReachingChip, block_columns, block_rows
from hapdask.drizzling.median import Combination, Combined, StackMember, combine_exposures
from hapdask.drizzling.uncovered import cut, find_uncovered, padded_box
from hapdask.drizzling.unlike import Compared, shortest_time, with_noise_of_median
from hapdask.drizzling.weighting import electron_gain
from hapdask.kernels import blotting, rejection
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Stack:
    """Exposures that are compared with each other, and how.

    Attributes
    ----------
    exposures : tuple of ExposureRecord
        With sky levels.
    members : tuple of StackMember
        Of the same exposures.
    parameters : DrizzleParameters
        Of the separate drizzle.
    combination : Combination
    test : CosmicRayTest
    images : int
        Exposures of the whole stack, of which this may be a part.
    typical : float or None, (electrons / s)**2
        `typical_variance` of the whole stack; found from the exposures where it is not given.
    shortest : float or None, s
        `shortest_time` of the whole stack; the same.
    """

    exposures: tuple[ExposureRecord, ...]
    members: tuple[StackMember, ...]
    parameters: DrizzleParameters
    combination: Combination
    test: CosmicRayTest
    images: int
    typical: float | None = None
    shortest: float | None = None

    def __post_init__(self) -> None:
        if self.typical is None:
            object.__setattr__(self, "typical", typical_variance(self.exposures))
        if self.shortest is None:
            object.__setattr__(self, "shortest", shortest_time(self.members, self.combination))

    @property
    def combines(self) -> bool:
        """Whether there are enough exposures to compare them with each other."""
        return self.images > 1 and self.combination.leaves(self.images)

    @property
    def reach_of_blot(self) -> int:
        """Pixels of the median around a position from which a blot is interpolated."""
        return blotting.reach(blotting.CODES[self.test.interp]) + 1

    def reach_of_test(self, pixel_scale: float) -> int:
        """Pixels around a tile into which the detector pixels beside its own can fall.

        Turned by 45 degrees and stretched by 40 %, a pixel reaches twice its nominal side.
        """
        scale = max((c.idcscale for e in self.exposures for c in e.chips), default=0.0)
        return math.ceil(2.0 * self.test.halo * scale / pixel_scale) + 1

    def halo(self, pixel_scale: float) -> int:
        """Pixels around a tile in which lies all that decides on the cosmic rays in it."""
        return self.reach_of_test(pixel_scale) + self.reach_of_blot + self.combination.halo

    def median(self, frame: Frame) -> Image:
        """Median on a frame, electrons / s; a pixel's bits do not depend on the frame."""
        return self.combined(frame).sci

    def combined(self, frame: Frame) -> Combined:
        """Median on a frame, and where exposures are unlike, whose noise it has."""
        return combine_exposures(
            self.exposures,
            self.members,
            frame,
            self.parameters,
            self.combination,
            images=self.images,
            shortest=self.shortest or 0.0,
            alone=self.test.by_shape,
        )


def find_cosmic_rays(stack: Stack, tile: Frame) -> list[ChipHits]:
    """Find the cosmic rays among the detector pixels whose centres fall into a tile.

    Parameters
    ----------
    stack : Stack
    tile : Frame
        Part of the median frame.

    Returns
    -------
    list of ChipHits
        One for each chip that has pixels here, also where none is bad.

    Raises
    ------
    InputError
        If an exposure cannot be read.
    """
    near = tile.pad(stack.reach_of_test(tile.pixel_scale))
    found = [
        reaching
        for exposure in stack.exposures
        for chip in exposure.chips
        if (reaching := ReachingChip.find(exposure, chip, near, stack.parameters)) is not None
    ]
    if not found:
        return []
    padded = near.pad(stack.reach_of_blot)
    median = stack.combined(padded)
    return [_test_chip(chip, stack, tile, padded, median) for chip in found]


def _test_chip(
    found: ReachingChip, stack: Stack, tile: Frame, padded: Frame, median: Combined
) -> ChipHits:
    """Compare the blocks of one chip with the median, and tell the tile's own bad pixels."""
    exposure, chip, test = found.exposure, found.chip, stack.test
    box = *block_rows(found.blocks, chip), *block_columns(found.blocks, chip)
    at = (box[0], box[2]), (box[1] - box[0], box[3] - box[2])
    blot, own = blot_blocks(found, test, tile, padded, median.sci, *at)
    nearest = replace(test, interp="nearest")
    alone = _find_alone(found, nearest, tile, padded, median.alone, *at)
    around = box if alone is None else padded_box(box, chip.shape)
    with open_chip(exposure, chip) as reader:
        read = reader.read(*around[:2], around[2:], flags=alone is not None)
    rows = cut(read, box, around)
    gain = electron_gain(exposure, chip, tile)
    has_err = rows.err is not None
    levels = chip_levels(exposure, chip, gain, test, stack.typical or 0.0, has_err=has_err)
    bad = np.empty_like(own)
    err = rows.sci if rows.err is None else rows.err
    if stack.shortest:
        reference, _ = blot_blocks(found, nearest, tile, padded, median.reference, *at)
        compared = Compared(exposure.exptime, blot, reference, stack.members)
        err, levels = with_noise_of_median(rows.sci, rows.err, levels, compared)
    rejection.find(rows.sci, err, blot, levels, test.limits, bad)
    # NumPy finds true values many times faster than numbers that are not zero.
    hit = (grown(bad, chip, test) & own).view(np.bool_)
    if alone is not None:
        hit |= find_uncovered(read, box, alone, exposure, chip, stack.parameters.good_bits)
    y, x = np.divmod(np.flatnonzero(hit), bad.shape[1])
    flat = (y + box[0]) * chip.shape[1] + x + box[2]
    return ChipHits(exposure.name, chip.extver, flat.astype(np.int64))


def _find_alone(
    found: ReachingChip,
    nearest: CosmicRayTest,
    tile: Frame,
    padded: Frame,
    alone: NDArray[np.bool_],
    first: tuple[int, int],
    shape: tuple[int, int],
) -> NDArray[np.bool_] | None:
    """Tell the tile's own pixels whose sky one exposure alone covers; None where there is none.

    Most blocks lie where others are, and are not mapped.
    """
    y0, x0 = padded.origin
    boxes = np.maximum(found.boxes - (x0, x0, y0, y0), 0).tolist()
    near = np.array([alone[bottom:top, left:right].any() for left, right, bottom, top in boxes])
    if not near.any():
        return None
    blocks, image = found.with_blocks(near), alone.astype(np.float32)
    value, own = blot_blocks(blocks, nearest, tile, padded, image, first, shape)
    wanted: NDArray[np.bool_] = (value == 1.0) & own.view(np.bool_)
    return wanted if wanted.any() else None


def blot_blocks(
    found: ReachingChip,
    test: CosmicRayTest,
    tile: Frame,
    padded: Frame,
    median: Image,
    first: tuple[int, int],
    shape: tuple[int, ...],
) -> tuple[Image, NDArray[np.uint8]]:
    """Interpolate the median at the pixels of the blocks; and which of them are the tile's own."""
    code = blotting.CODES[test.interp]
    blot, own = np.full(shape, np.nan, np.float32), np.zeros(shape, np.uint8)
    blotting.blot(
        found.geometry().smoothed().pixel_map,
        found.chip.shape,
        found.blocks,
        median,
        padded.origin,
        code,
        test.sinscl,
        tuple(range(blotting.TAPS[code])),
        first,
        tile.box,
        blot,
        own,
    )
    return blot, own
