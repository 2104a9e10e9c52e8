"""Cosmic rays found by comparing every exposure with the median of the stack, tile by tile.

A tile of the median frame decides on the detector pixels whose centres fall into it, each in one
tile alone; with a halo around it for what decides beside a pixel, so tiles of any size give the
same masks.  Nothing between the exposures and their masks is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip, block_rows, flux_gain
from hapdask.drizzling.median import Combination, StackMember, combine_singles
from hapdask.drizzling.separate import drizzle_single
from hapdask.drizzling.weighting import to_electrons
from hapdask.kernels import blotting, rejection
from hapdask.kernels.blocks import BLOCK
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CosmicRayTest:
    """How pixels are compared with the blotted median (AstroDrizzle's steps 5 and 6).

    Attributes
    ----------
    interp : {"nearest", "linear", "poly3", "poly5", "sinc"}
    sinscl : float
        Scale of the sinc.
    snr, scale : tuple of float
        Factors of noise and slope, of the first and of the stricter second test.
    grow : int, pixels
        Side of the square that is marked about a bad pixel.
    upstream : bool
        Count the sky twice and compare borders with zero, as AstroDrizzle does.
    """

    interp: str = "poly5"
    sinscl: float = 1.0
    snr: tuple[float, float] = (3.5, 3.0)
    scale: tuple[float, float] = (1.2, 0.7)
    grow: int = 1
    upstream: bool = False

    @property
    def halo(self) -> int:
        """Detector pixels around a pixel that decide on it."""
        return 2 + self.grow


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
    """

    exposures: tuple[ExposureRecord, ...]
    members: tuple[StackMember, ...]
    parameters: DrizzleParameters
    combination: Combination
    test: CosmicRayTest
    images: int

    def median(self, frame: Frame) -> Image:
        """Median on a frame, flux per second; a pixel's bits do not depend on the frame."""
        halo = self.combination.halo
        padded = frame.pad(halo)
        singles, members = [], []
        for exposure, member in zip(self.exposures, self.members, strict=True):
            single = drizzle_single(exposure, padded, self.parameters)
            if single is not None:
                singles.append(single)
                members.append(member)
        median = combine_singles(
            singles, members, padded.shape, self.combination, images=self.images
        )
        return np.ascontiguousarray(median[frame.slices_in(padded)])


@dataclass(frozen=True)
class ChipHits:
    """Cosmic rays of one chip: flat indices of pixels, int64, in order."""

    name: str
    extver: int
    pixels: NDArray[np.int64]


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
    near = tile.pad(_halo(stack, tile))
    found = [
        reaching
        for exposure in stack.exposures
        for chip in exposure.chips
        if (reaching := ReachingChip.find(exposure, chip, near, stack.parameters)) is not None
    ]
    if not found:
        return []
    padded = near.pad(blotting.reach(blotting.CODES[stack.test.interp]) + 1)
    median = stack.median(padded)
    return [_test_chip(chip, stack.test, tile, padded, median) for chip in found]


def _halo(stack: Stack, tile: Frame) -> int:
    """Pixels around a tile that the detector pixels beside its own can fall into."""
    patches = [
        reaching.patch
        for exposure in stack.exposures
        for chip in exposure.chips
        if (reaching := ReachingChip.find(exposure, chip, tile, stack.parameters)) is not None
    ]
    # A detector pixel is not wider than the patch of its drop.
    return stack.test.halo * max(patches, default=0)


def _test_chip(
    found: ReachingChip, test: CosmicRayTest, tile: Frame, padded: Frame, median: Image
) -> ChipHits:
    """Compare the blocks of one chip with the median, and tell the tile's own bad pixels."""
    exposure, chip = found.exposure, found.chip
    row0, row1 = block_rows(found.blocks, chip)
    col0 = int(found.blocks[:, 1].min()) * BLOCK[1]
    col1 = min((int(found.blocks[:, 1].max()) + 1) * BLOCK[1], chip.shape[1])
    rows = read_chip_rows(exposure, chip, row0, row1)
    electrons = to_electrons(exposure, chip)
    sci = rows.sci[:, col0:col1] * np.float32(electrons)
    blot, own = _blot(found, test, tile, padded, median, (row0, col0), sci.shape)
    counts = electrons / flux_gain(exposure, chip, tile)
    blot = blot * np.float32(counts) + np.float32(chip.sky * electrons)
    err = None if rows.err is None else rows.err[:, col0:col1] * np.float32(electrons)
    variance = _variance(found, test, sci, err, blot, electrons)
    y, x = np.nonzero(_mark(test, sci, blot, variance) & own)
    flat = (y + row0) * chip.shape[1] + x + col0
    return ChipHits(exposure.name, chip.extver, flat.astype(np.int64))


def _blot(
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
        found.geometry().pixel_map,
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


def _variance(
    found: ReachingChip,
    test: CosmicRayTest,
    sci: Image,
    err: Image | None,
    blot: Image,
    electrons: float,
) -> Image:
    """Variance that a pixel would have without a cosmic ray, electrons**2."""
    chip = found.chip
    read_noise = np.float32(chip.read_noise**2)
    if test.upstream:
        sky = np.float32(chip.sky * electrons)
        doubled: Image = np.abs(blot + sky) + read_noise
        return doubled
    light: Image = np.maximum(blot, np.float32(0.0))
    if err is None:
        light += read_noise + np.float32(max(chip.dark, 0.0))
        return light
    # What ERR holds beside the pixel's own counts, a cosmic ray's among them.
    light += np.maximum(err * err - np.maximum(sci, np.float32(0.0)), read_noise)
    return light


def _mark(test: CosmicRayTest, sci: Image, blot: Image, variance: Image) -> NDArray[np.uint8]:
    """Mark bad pixels, grown."""
    steep = np.empty_like(blot)
    rejection.slope(blot, test.upstream, steep)
    first, second, bad = (np.empty(sci.shape, np.uint8) for _ in range(3))
    limits = (test.scale[0], test.snr[0], test.scale[1], test.snr[1])
    rejection.differing(sci, blot, steep, variance, limits, first, second)
    rejection.join(first, second, bad)
    if test.grow > 1:
        before, after = (test.grow - 1) // 2, test.grow // 2
        grown = np.empty_like(bad)
        rejection.grow(bad, (-before, after), (-before, after), grown)
        bad = grown
    return bad
