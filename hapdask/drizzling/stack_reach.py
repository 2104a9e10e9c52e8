"""Which exposures of a stack reach which windows of the median frame, from headers alone.

Here: the part of a stack that a window needs, and the window that some detector pixels need.  Not
here: what is made of them (`cosmic_rays`, `median`), graphs (`step_graphs`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.cosmic_rays import Stack
from hapdask.drizzling.inputs import blocks_in, chip_reach, make_drop
from hapdask.kernels.blocks import BLOCK, ChipReach
from hapdask.sky.frame import Frame

#: Bytes of the stacks that are held at once, by all threads together.
_BUDGET = 900_000_000
#: Bytes per pixel of a tile: of every exposure, and of what is made of them.
_EACH, _COMMON = 4, 44
#: Side of the smallest tiles, however deep the stack.
_SMALLEST = 256
#: Name of the exposure and EXTVER.
Chip = tuple[str, int]
Box = tuple[int, int, int, int]


class StackReach:
    """A stack on a root grid.

    Parameters
    ----------
    stack : Stack
    frame : Frame
        Any window of the grid.

    Attributes
    ----------
    stack : Stack
        Without the header cards of its exposures.
    chips : mapping of (exposure, EXTVER) to ChipReach
    """

    def __init__(self, stack: Stack, frame: Frame) -> None:
        self.stack = replace(stack, exposures=tuple(e.strip() for e in stack.exposures))
        self._frame = frame
        self.chips: dict[Chip, ChipReach] = {}
        for exposure in stack.exposures:
            for chip in exposure.chips:
                drop = make_drop(chip, frame, stack.parameters)
                self.chips[exposure.name, chip.extver] = chip_reach(chip, frame, drop)

    def within(self, window: Frame) -> Stack:
        """Take the exposures that reach a window."""
        chosen = [
            k
            for k, exposure in enumerate(self.stack.exposures)
            if any(
                blocks_in(self.chips[exposure.name, c.extver], window).size for c in exposure.chips
            )
        ]
        return replace(
            self.stack,
            exposures=tuple(self.stack.exposures[k] for k in chosen),
            members=tuple(self.stack.members[k] for k in chosen),
        )

    def side_of_tiles(self, largest: int, threads: int) -> int:
        """Side of tiles of the frame of which every thread can hold the stack."""
        deepest = max(
            (len(self.within(part).exposures) for _, part in self._frame.tiles(largest)), default=0
        )
        pixels = _BUDGET / threads / (deepest * _EACH + _COMMON)
        return min(max(math.isqrt(int(pixels)), _SMALLEST), largest)

    @property
    def halo(self) -> int:
        """Pixels around a tile in which lies all that decides on the cosmic rays in it."""
        return self.stack.halo(self._frame.pixel_scale)

    @cached_property
    def box(self) -> Box:
        """Root-grid rows y0, y1 and columns x0, x1 that hold all that any chip reaches."""
        boxes = [b for reach in self.chips.values() if (b := _around(_real(reach.bounds)))]
        if not boxes:
            return self._frame.box
        y0, y1, x0, x1 = zip(*boxes, strict=True)
        return min(y0), max(y1), min(x0), max(x1)

    def window(self, box: Box) -> Frame:
        """Make the window of a box."""
        y0, y1, x0, x1 = box
        whole = self._frame
        return Frame(whole.crval, whole.crpix, whole.cd, (y1 - y0, x1 - x0), (y0, x0))

    def box_of_rows(self, chip: Chip, row0: int, row1: int) -> Box | None:
        """Box of all that detector rows of a chip can reach; None if they reach nothing."""
        first, last = row0 // BLOCK[0], -(-row1 // BLOCK[0])
        return _around(_real(self.chips[chip].bounds[first:last]))

    def tiles_of_blocks(
        self, chip: Chip, blocks: NDArray[np.int64], tile: int
    ) -> set[tuple[int, int]]:
        """Index of the tiles into which pixels of some blocks of a chip can fall."""
        bounds = _real(self.chips[chip].bounds[blocks[:, 0], blocks[:, 1]])
        found: set[tuple[int, int]] = set()
        for x0, x1, y0, y1 in bounds.tolist():
            found.update(tiles_of_box((y0, y1, x0, x1), tile))
        return found


def tiles_of_box(box: Box, tile: int) -> Sequence[tuple[int, int]]:
    """Index of the tiles that a box touches."""
    y0, y1, x0, x1 = box
    return [
        (ty, tx)
        for ty in range(y0 // tile, -(-y1 // tile))
        for tx in range(x0 // tile, -(-x1 // tile))
    ]


def _real(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bounds x0, x1, y0, y1 of blocks, without those behind the tangent plane."""
    real: NDArray[np.int64] = bounds[bounds[..., 0] < bounds[..., 1]]
    return real


def _around(bounds: NDArray[np.int64]) -> Box | None:
    if not bounds.size:
        return None
    (x0, _, y0, _), (_, x1, _, y1) = bounds.min(axis=0).tolist(), bounds.max(axis=0).tolist()
    return y0, y1, x0, x1
