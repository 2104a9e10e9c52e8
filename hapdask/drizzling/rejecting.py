"""The stage that finds the cosmic rays of a whole stack, and keeps them as masks of its exposures.

Tiles of the median frame are tested one by one, on threads or a cluster; what comes back are short
lists of pixels, spooled until all tiles are done.  The masks are part of the records, so a mosaic
on another frame finds them there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.cosmic_rays import Stack, find_cosmic_rays
from hapdask.drizzling.hits import ChipHits, HitSpool
from hapdask.drizzling.running import run_tasks
from hapdask.drizzling.stack_reach import StackReach
from hapdask.errors import HapdaskError, InputError
from hapdask.kernels.blocks import BLOCK
from hapdask.observe.masks import SUFFIX, mask_folder, write_mask
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

#: Kind of the masks, see `hapdask.observe.parts.MaskRef`.
KIND = "cosmic rays"
#: Root of the pixels of the largest tiles that are tested at once.
_LARGEST = 2816
#: Pixels of an exposure on an axis that tell how much of it a frame holds.
_SAMPLES = 24
#: Part of an exposure outside the median frame that is worth a word.
_OUTSIDE = 0.03
_TOO_FEW = "too few exposures could be read to compare it with: its cosmic rays are still there"


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


def tile_tests(stack: Stack, frame: Frame, *, threads: int = 1) -> Iterator[TileTest]:
    """Cut the median frame into tiles that fit the memory, each with its part of the stack."""
    reach = StackReach(stack, frame)
    side = reach.side_of_tiles(_LARGEST, threads)
    tall, wide = _tile_shape(frame.shape, side * side, reach.halo, threads)
    for y in range(0, frame.shape[0], tall):
        for x in range(0, frame.shape[1], wide):
            part = frame[y : y + tall, x : x + wide]
            near = reach.within(part.pad(reach.halo))
            if near.exposures:
                yield TileTest(near, part)


def _tile_shape(shape: tuple[int, int], pixels: int, halo: int, threads: int) -> tuple[int, int]:
    """Rows and columns of tiles alike in size, of which the least is done twice.

    Along every cut between two tiles that are halos, and the blocks of detector pixels that it
    crosses: long ones, so that broad tiles are best, as far as the memory allows.
    """
    ny, nx = shape
    around = 2 * halo
    found: dict[tuple[int, int], float] = {}
    for columns in range(1, math.ceil(nx / math.isqrt(pixels)) + 1):
        wide = -(-nx // columns)
        rows = -(-ny // max(pixels // (wide + around) - around, 1))
        if rows * columns > 1:  # threads end together
            rows = -(-rows // threads) * threads
        cuts = (rows - 1) * nx * (BLOCK[0] + around), (columns - 1) * ny * (BLOCK[1] + around)
        found[-(-ny // rows), wide] = sum(cuts)
    return min(found, key=lambda tile: found[tile])


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
        Of the median.  Pixels outside it are not tested; an exposure of which more than a few per
        cent lie there gets a warning.
    where : path
        Folder for the masks; the workers of a cluster must see it.
    client : distributed.Client, optional
    threads : int
    progress : callable, optional
        Called with the number of tiles done; from 1 again after an exposure that cannot be read.

    Returns
    -------
    Rejection
        Without the exposures that cannot be read: the others are compared without them, and keep
        their cosmic rays where they have become too few.

    Raises
    ------
    ParameterError
        If nothing would be left of all exposures without the lowest and highest values.
    StoreError
        If a mask cannot be written.
    """
    failures: list[InputError] = []
    folder = mask_folder(where)
    while True:
        with HitSpool(folder) as spool:
            failed = _run(stack, frame, spool, client, threads, progress)
            if failed is None:
                masked = _all_with_masks(stack, spool, folder, threads)
                break
        log.warning("left out: %s", failed)
        failures.append(failed)
        stack = _without(stack, failed)
        if not stack.combines:
            return Rejection(tuple(_alone(e) for e in stack.exposures), tuple(failures))
    return Rejection(tuple(_told(exposure, frame) for exposure in masked), tuple(failures))


def _run(
    stack: Stack,
    frame: Frame,
    spool: HitSpool,
    client: Client | None,
    threads: int,
    progress: Callable[[int], None] | None,
) -> InputError | None:
    """Spool the bad pixels of every chip; gives the first exposure that cannot be read."""
    if stack.exposures:
        stack.combination.check(stack.images)
    threads = 1 if client is not None else threads
    results = run_tasks(tile_tests(stack, frame, threads=threads), client, threads)
    for done, result in enumerate(results, 1):
        if isinstance(result, InputError):
            return result
        if isinstance(result, HapdaskError):
            raise result
        for hits in result:
            spool.add(hits)
        if progress is not None:
            progress(done)
    return None


def _without(stack: Stack, failed: InputError) -> Stack:
    """Take out the exposure that cannot be read; the error itself where it is of none."""
    kept = [
        (exposure, member)
        for exposure, member in zip(stack.exposures, stack.members, strict=True)
        if failed.path not in exposure.files
    ]
    if len(kept) == len(stack.exposures):
        raise failed
    exposures, members = zip(*kept, strict=True) if kept else ((), ())
    return replace(
        stack,
        exposures=exposures,
        members=members,
        images=len(exposures),
        typical=None,
        shortest=None,
    )


def attach_mask(
    exposure: ExposureRecord, extver: int, mask: NDArray[np.uint8] | NDArray[np.bool_], folder: Path
) -> ExposureRecord:
    """Keep the cosmic rays of a chip as one of its masks."""
    path = folder / f"{exposure.name}_sci{extver}_crmask{SUFFIX}"
    return exposure.with_mask(extver, write_mask(path, mask, KIND))


def _all_with_masks(
    stack: Stack, spool: HitSpool, folder: Path, threads: int
) -> list[ExposureRecord]:
    """Write the masks of all exposures."""

    def with_masks(exposure: ExposureRecord) -> ExposureRecord:
        for chip in exposure.chips:
            mask = spool.mask(exposure.name, chip.extver, chip.shape)
            exposure = attach_mask(exposure, chip.extver, mask, folder)
        return exposure

    with ThreadPoolExecutor(threads) as pool:  # most of a mask's time is the disk's
        return list(pool.map(with_masks, stack.exposures))


def _alone(exposure: ExposureRecord) -> ExposureRecord:
    """Say in the verdict of an exposure that nothing is left to compare it with."""
    log.warning("%s: %s", exposure.name, _TOO_FEW)
    return exposure.with_verdict(exposure.verdict.warned(_TOO_FEW))


def _told(exposure: ExposureRecord, frame: Frame) -> ExposureRecord:
    """Say in the verdict of an exposure how much of it was not tested."""
    outside = float(np.mean([_outside(exposure, k, frame) for k in range(len(exposure.chips))]))
    if outside <= _OUTSIDE:
        return exposure
    reason = f"{outside:.0%} of it is outside the median frame: not tested for cosmic rays"
    log.warning("%s: %s", exposure.name, reason)
    return exposure.with_verdict(exposure.verdict.warned(reason))


def _outside(exposure: ExposureRecord, k: int, frame: Frame) -> float:
    """Part of a chip that lies outside a frame."""
    chip = exposure.chips[k]
    # Middles of equal parts: a frame may cut half a pixel off an edge, which is no part of these.
    y, x = ((np.arange(_SAMPLES) + 0.5) * n / _SAMPLES - 0.5 for n in chip.shape)
    ra, dec = chip.distortion.pixel_to_sky(np.tile(x, _SAMPLES), np.repeat(y, _SAMPLES))
    px, py = frame.sky_to_pixel(ra, dec)
    ny, nx = frame.shape
    inside = (px > -0.5) & (px < nx - 0.5) & (py > -0.5) & (py < ny - 0.5)
    return 1.0 - float(inside.mean())
