"""A chip as the input of a tile: which of its blocks reach, its geometry, pixels and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels import square
from hapdask.kernels.mapping import Chain
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame


def chain_to_root(chip: ChipRecord, frame: Frame) -> Chain:
    """Exact map from a chip to the root grid of a frame."""
    return chip.distortion.chain_to(frame.crval, frame.crpix, frame.cd)


def chip_reach(chip: ChipRecord, frame: Frame) -> square.ChipReach:
    """Find what each block of a chip can reach on the root grid of a frame."""
    return square.chip_reach(chain_to_root(chip, frame), chip.shape)


def blocks_in(reach: square.ChipReach, frame: Frame) -> NDArray[np.int64]:
    """Blocks that can reach a frame, ordered along the chip: int64, shape (n, 2)."""
    return square.blocks_reaching(reach, *frame.box)


def block_rows(blocks: NDArray[np.int64], chip: ChipRecord) -> tuple[int, int]:
    """Detector rows of some blocks: first, and the one after the last."""
    first, last = int(blocks[:, 0].min()), int(blocks[:, 0].max()) + 1
    return first * square.BLOCK[0], min(last * square.BLOCK[0], chip.shape[0])


def flux_gain(exposure: ExposureRecord, chip: ChipRecord, frame: Frame) -> float:
    """Factor from SCI units to flux per second and output pixel.

    Surface brightness is kept: one constant, (output scale / IDCSCALE)**2, never the local
    Jacobian (science.md "Flux").
    """
    ratio = frame.pixel_scale / chip.idcscale
    per_second = 1.0 / exposure.exptime if exposure.unit == "electron" else 1.0
    return chip.flux_factor * per_second * ratio * ratio


@dataclass(frozen=True)
class ReachingChip:
    """A chip that reaches a frame: small, until its geometry is made and its pixels are read."""

    exposure: ExposureRecord
    chip: ChipRecord
    chain: Chain
    reach: square.ChipReach
    blocks: NDArray[np.int64]

    @classmethod
    def find(cls, exposure: ExposureRecord, chip: ChipRecord, frame: Frame) -> Self | None:
        """Return the chip, or None where it misses the frame."""
        chain = chain_to_root(chip, frame)
        reach = square.chip_reach(chain, chip.shape)
        blocks = blocks_in(reach, frame)
        return cls(exposure, chip, chain, reach, blocks) if blocks.size else None

    def geometry(self, pixfrac: float) -> square.ChipGeometry:
        """Make the map of the blocks: megabytes, so one chip at a time."""
        return square.make_geometry(self.chain, self.chip.shape, pixfrac, self.reach, self.blocks)
