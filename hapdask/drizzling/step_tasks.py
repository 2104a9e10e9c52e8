"""The tasks behind the lazy images of AstroDrizzle's steps: small, picklable, each a pure function.

Not here: which of them a block needs (`step_graphs`), and the algorithms (`separate`, `median`,
`cosmic_rays`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.cosmic_rays import CosmicRayTest, Stack, blot_blocks, find_cosmic_rays
from hapdask.drizzling.hits import ChipHits
from hapdask.drizzling.inputs import ReachingChip
from hapdask.drizzling.separate import Single, drizzle_single
from hapdask.drizzling.weighting import electron_gain
from hapdask.kernels.blocks import BLOCK
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MedianTile:
    """The median on a tile."""

    stack: Stack
    tile: Frame

    def __call__(self) -> Image:
        """Make it."""
        return self.stack.median(self.tile)


@dataclass(frozen=True, slots=True)
class KeptTile:
    """The median on a tile that was made before: a file of NumPy's."""

    path: str

    def __call__(self) -> Image:
        """Open it; only the part that is looked at is read."""
        image: Image = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return image


@dataclass(frozen=True, slots=True)
class SingleTile:
    """An exposure alone on a tile."""

    exposure: ExposureRecord
    tile: Frame
    parameters: DrizzleParameters
    scale: float

    def __call__(self) -> Single:
        """Drizzle it; empty where the exposure misses the tile."""
        single = drizzle_single(self.exposure, self.tile, self.parameters, scale=self.scale)
        if single is not None:
            return single
        shape = self.tile.shape
        return Single(np.full(shape, np.nan, np.float32), np.zeros(shape, np.float32))


@dataclass(frozen=True, slots=True)
class Hits:
    """The cosmic rays among the detector pixels that fall into a tile."""

    stack: Stack
    tile: Frame

    def __call__(self) -> list[ChipHits]:
        """Find them."""
        return find_cosmic_rays(self.stack, self.tile)


@dataclass(frozen=True, slots=True)
class HitRows:
    """Cosmic rays of some rows of a chip, out of those of many tiles."""

    name: str
    extver: int
    columns: int
    rows: tuple[int, int]

    def __call__(self, tiles: Iterable[Sequence[ChipHits]]) -> NDArray[np.bool_]:
        """Mark them: bool, shape (rows, columns)."""
        row0, row1 = self.rows
        bad = np.zeros((row1 - row0, self.columns), np.bool_)
        for hits in tiles:
            for hit in hits:
                if (hit.name, hit.extver) == (self.name, self.extver):
                    flat = hit.pixels.astype(np.int64) - row0 * self.columns
                    bad.reshape(-1)[flat[(flat >= 0) & (flat < bad.size)]] = True
        return bad


@dataclass(frozen=True, slots=True)
class BlotRows:
    """The median at some rows of a chip, in the unit of SCI, with the sky that was subtracted.

    ``tiles`` are the frames of the medians that it is called with.
    """

    exposure: ExposureRecord
    extver: int
    parameters: DrizzleParameters
    test: CosmicRayTest
    rows: tuple[int, int]
    window: Frame
    tiles: tuple[Frame, ...]

    def __call__(self, medians: Sequence[Image]) -> Image:
        """Interpolate: float32, shape (rows, columns)."""
        chip, (row0, row1) = self.exposure.chip(self.extver), self.rows
        median = np.zeros(self.window.shape, np.float32)
        for tile, image in zip(self.tiles, medians, strict=True):
            part = tile & self.window
            median[part.slices_in(self.window)] = image[part.slices_in(tile)]
        blot = np.zeros((row1 - row0, chip.shape[1]), np.float32)
        found = ReachingChip.find(self.exposure, chip, self.window, self.parameters)
        if found is None:
            return blot
        inside = (found.blocks[:, 0] * BLOCK[0] >= row0) & (found.blocks[:, 0] * BLOCK[0] < row1)
        found = found.with_blocks(inside)
        blot, _ = blot_blocks(
            found, self.test, self.window, self.window, median, (row0, 0), blot.shape
        )
        gain = np.float32(1.0 / electron_gain(self.exposure, chip, self.window))
        return blot * gain + np.float32(self.test.level(chip))
