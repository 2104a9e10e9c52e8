"""The stage that finds the cosmic rays of a whole stack, and keeps them as masks of its exposures.

Tiles of the median frame are tested one by one, on threads or a cluster; what comes back are short
lists of pixels.  The masks are part of the records, so a mosaic on another frame finds them there.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.cosmic_rays import Stack, find_cosmic_rays
from hapdask.drizzling.hits import ChipHits
from hapdask.drizzling.inputs import blocks_in, chip_reach, make_drop
from hapdask.drizzling.running import run_tasks
from hapdask.errors import HapdaskError, InputError
from hapdask.observe.masks import write_mask
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

#: Kind of the masks, see `hapdask.observe.parts.MaskRef`.
KIND = "cosmic rays"
#: Bytes of the images of one tile's stack, and of what is made of them.
_BUDGET = 200_000_000
_BYTES_PER_PIXEL = 20
_LARGEST, _SMALLEST = 2048, 256


@dataclass(frozen=True)
class TileTest:
    """The test of one tile, with the part of the stack that it needs."""

    stack: Stack
    tile: Frame

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""
        return "hapdask-cosmic-rays-{}-{}-{}-{}".format(*self.tile.box)

    def __call__(self) -> list[ChipHits] | HapdaskError:
        """Find the cosmic rays; an error of hapdask's is a result, so that the caller decides."""
        try:
            return find_cosmic_rays(self.stack, self.tile)
        except HapdaskError as error:
            return error


@dataclass(frozen=True)
class Rejection:
    """What became of a stack: exposures with their masks, and those that could not be read."""

    exposures: tuple[ExposureRecord, ...]
    failures: tuple[InputError, ...] = ()


def tile_tests(stack: Stack, frame: Frame) -> Iterator[TileTest]:
    """Cut the median frame into tiles that fit the memory, each with its part of the stack."""
    reaches = []
    for exposure in stack.exposures:
        drops = [make_drop(chip, frame, stack.parameters) for chip in exposure.chips]
        reaches.append(
            [
                (chip_reach(chip, frame, drop), drop)
                for chip, drop in zip(exposure.chips, drops, strict=True)
            ]
        )
    widest = max((d.patch(r.extent) for chips in reaches for r, d in chips), default=0)
    # The tile, its halo, and the halo of that halo's median.
    halo = 2 * stack.test.halo * widest + stack.combination.halo + 16

    def reaching(window: Frame) -> list[int]:
        return [
            i for i, chips in enumerate(reaches) if any(blocks_in(r, window).size for r, _ in chips)
        ]

    deepest = max((len(reaching(part)) for _, part in frame.tiles(_LARGEST)), default=0)
    side = _LARGEST
    while side > _SMALLEST and deepest * _BYTES_PER_PIXEL * side**2 > _BUDGET:
        side //= 2
    for _, part in frame.tiles(side):
        if chosen := reaching(part.pad(halo)):
            yield TileTest(
                replace(
                    stack,
                    exposures=tuple(stack.exposures[i].strip() for i in chosen),
                    members=tuple(stack.members[i] for i in chosen),
                ),
                part,
            )


def reject_cosmic_rays(
    stack: Stack,
    frame: Frame,
    where: str | Path,
    *,
    client: Client | None = None,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Rejection:
    """Find the cosmic rays of all exposures of a stack and attach them as masks.

    Parameters
    ----------
    stack : Stack
    frame : Frame
        Of the median; pixels outside it are not tested.
    where : path
        Folder for the masks; the workers of a cluster must see it.
    client : distributed.Client, optional
    threads : int
    progress : callable, optional
        Called with the number of tiles done.

    Returns
    -------
    Rejection
        Without the exposures that cannot be read: the others are compared without them.

    Raises
    ------
    StoreError
        If a mask cannot be written.
    """
    failures: list[InputError] = []
    while True:
        pixels, failed = _run(stack, frame, client, threads, progress)
        if failed is None:
            break
        log.warning("left out: %s", failed)
        failures.append(failed)
        kept = [
            pair
            for pair in zip(stack.exposures, stack.members, strict=True)
            if failed.path not in pair[0].files
        ]
        if len(kept) == len(stack.exposures):
            raise failed
        exposures, members = zip(*kept, strict=True) if kept else ((), ())
        stack = replace(stack, exposures=exposures, members=members, images=len(exposures))
    folder = Path(where)
    folder.mkdir(parents=True, exist_ok=True)
    masked = tuple(_with_masks(exposure, pixels, folder) for exposure in stack.exposures)
    return Rejection(masked, tuple(failures))


Pixels = dict[tuple[str, int], list[NDArray[np.int64]]]


def _run(
    stack: Stack,
    frame: Frame,
    client: Client | None,
    threads: int,
    progress: Callable[[int], None] | None,
) -> tuple[Pixels, InputError | None]:
    """Bad pixels of every chip, or the first exposure that cannot be read."""
    pixels: Pixels = defaultdict(list)
    results = run_tasks(tile_tests(stack, frame), client, threads)
    for done, result in enumerate(results, 1):
        if isinstance(result, InputError):
            return pixels, result
        if isinstance(result, HapdaskError):
            raise result
        for hits in result:
            pixels[hits.name, hits.extver].append(hits.pixels)
        if progress is not None:
            progress(done)
    return pixels, None


def _with_masks(exposure: ExposureRecord, pixels: Pixels, folder: Path) -> ExposureRecord:
    for chip in exposure.chips:
        mask = np.zeros(chip.shape, np.uint8)
        for found in pixels.get((exposure.name, chip.extver), ()):
            mask.reshape(-1)[found] = 1
        path = folder / f"{exposure.name}_sci{chip.extver}_crmask.npy"
        exposure = exposure.with_mask(chip.extver, write_mask(path, mask, KIND))
    return exposure
