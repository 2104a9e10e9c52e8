"""A chip as the input of a tile: which of its blocks reach, its geometry, pixels and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.kernels import blocks as block_kernels
from hapdask.kernels.blocks import BLOCK, ChipReach
from hapdask.kernels.chains import Chain
from hapdask.kernels.drizzle import ChipGeometry, Drop, make_geometry
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame


def chain_to_root(chip: ChipRecord, frame: Frame) -> Chain:
    """Exact map from a chip to the root grid of a frame."""
    return chip.distortion.chain_to(frame.crval, frame.crpix, frame.cd)


def make_drop(chip: ChipRecord, frame: Frame, parameters: DrizzleParameters) -> Drop:
    """Shape in which pixels of a chip are dropped on a frame."""
    return Drop(parameters.kernel, parameters.pixfrac, frame.pixel_scale / chip.idcscale)


def chip_reach(chip: ChipRecord, frame: Frame, drop: Drop) -> ChipReach:
    """Find what each block of a chip can reach on the root grid of a frame."""
    return block_kernels.chip_reach(chain_to_root(chip, frame), chip.shape, drop.halo)


def blocks_in(reach: ChipReach, frame: Frame) -> NDArray[np.int64]:
    """Blocks that can reach a frame, ordered along the chip: int64, shape (n, 2)."""
    return block_kernels.blocks_reaching(reach, *frame.box)


def block_rows(blocks: NDArray[np.int64], chip: ChipRecord) -> tuple[int, int]:
    """Detector rows of some blocks: first, and the one after the last."""
    first, last = int(blocks[:, 0].min()), int(blocks[:, 0].max()) + 1
    return first * BLOCK[0], min(last * BLOCK[0], chip.shape[0])


def block_columns(blocks: NDArray[np.int64], chip: ChipRecord) -> tuple[int, int]:
    """Detector columns of some blocks: first, and the one after the last."""
    first, last = int(blocks[:, 1].min()), int(blocks[:, 1].max()) + 1
    return first * BLOCK[1], min(last * BLOCK[1], chip.shape[1])


def block_bands(blocks: NDArray[np.int64], rows: int) -> list[NDArray[np.int64]]:
    """Cut the blocks of a chip, which are in its order, into bands of so many rows of blocks."""
    band = blocks[:, 0] // rows
    return np.split(blocks, np.flatnonzero(np.diff(band)) + 1)


def flux_gain(exposure: ExposureRecord, chip: ChipRecord, frame: Frame) -> float:
    """Factor from SCI units to flux per second and output pixel.

    Surface brightness is kept: one constant, (output scale / IDCSCALE)**2, never the local
    Jacobian (science.md "Flux").
    """
    ratio = frame.pixel_scale / chip.idcscale
    per_second = 1.0 if exposure.unit.endswith("/ s") else 1.0 / exposure.exptime
    return chip.flux_factor * per_second * ratio * ratio


@dataclass(frozen=True)
class ReachingChip:
    """A chip that reaches a frame: small, until its geometry is made and its pixels are read.

    ``patch`` is the side of the square of output pixels that holds any drop, ``boxes`` are the
    bounds of the ``blocks`` (`ChipReach`), ``stepsize`` is that of the map.
    """

    exposure: ExposureRecord
    chip: ChipRecord
    chain: Chain
    drop: Drop
    patch: int
    blocks: NDArray[np.int64]
    boxes: NDArray[np.int64]
    stepsize: int = 0

    @classmethod
    def find(
        cls,
        exposure: ExposureRecord,
        chip: ChipRecord,
        frame: Frame,
        parameters: DrizzleParameters,
    ) -> Self | None:
        """Return the chip, or None where it misses the frame."""
        chain = chain_to_root(chip, frame)
        drop = make_drop(chip, frame, parameters)
        reach = block_kernels.chip_reach(chain, chip.shape, drop.halo)
        blocks = blocks_in(reach, frame)
        if not blocks.size:
            return None
        boxes = reach.bounds[blocks[:, 0], blocks[:, 1]]
        patch = drop.patch(reach.extent)
        return cls(exposure, chip, chain, drop, patch, blocks, boxes, parameters.stepsize)

    def with_blocks(self, chosen: NDArray[np.bool_]) -> Self:
        """Keep some of the blocks."""
        return replace(self, blocks=self.blocks[chosen], boxes=self.boxes[chosen])

    def geometry(self) -> ChipGeometry:
        """Make the map of the blocks: megabytes, so one chip at a time."""
        return make_geometry(
            self.chain, self.chip.shape, self.drop, self.patch, self.blocks, self.stepsize
        )
