"""What a run will do, as plain data: for each tile its inputs, bytes, memory, cost and digest.

Footprints need headers only; nothing is read and nothing of Dask enters.  A tile's digest is the
hash of everything that can change its bytes: the parts of the records that reach it, the
parameters, the grid and the version of the algorithm.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import block_rows, blocks_in, chip_reach, make_drop
from hapdask.drizzling.tile import ALGORITHM
from hapdask.errors import PlanError
from hapdask.kernels.blocks import BLOCK, ChipReach
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.schema import ALL, VARIABLES
from hapdask.sky.frame import Frame

#: Side of a tile, pixels: a few seconds of work and a quarter of a gigabyte of sums.
TILE = 2048
#: A layer of all filters, as the archive calls the detection image of a visit.
EVERY_FILTER = "total"
#: Rough cost of one detector pixel and of one output pixel, seconds on one core; for plans only.
_SECONDS_PER_INPUT = 5e-8
_SECONDS_PER_OUTPUT = 2e-7
#: Sums per output pixel: four sums, weight seen, epoch, set, slot; and a fifth as much in reserve.
_SUM_BYTES = 4 * 8 + 8 + 8 + 4 + 4 + 14
#: Bytes held per detector pixel while a chip is drizzled: SCI, ERR, DQ, mask, weight, doubt.
_INPUT_BYTES = 4 + 4 + 2 + 1 + 4 + 2


@dataclass(frozen=True, slots=True)
class Layer:
    """Instrument, detector, filter and scale (``fine``, ``coarse`` or a name of the user's).

    The filter `EVERY_FILTER` stands for all.
    """

    instrument: str
    detector: str
    filter: str
    scale: str = "fine"

    @property
    def name(self) -> str:
        """For example ``wfc3_uvis_f475w``."""
        return f"{self.instrument}_{self.detector}_{self.filter}"

    def holds(self, exposure: ExposureRecord) -> bool:
        """Whether an exposure belongs to the layer, whatever its scale."""
        same = (self.instrument, self.detector) == (exposure.instrument, exposure.detector)
        return same and self.filter in (EVERY_FILTER, exposure.filter)

    @classmethod
    def of(cls, exposure: ExposureRecord, scale: str = "fine") -> Layer:
        """Layer that an exposure belongs to."""
        return cls(exposure.instrument, exposure.detector, exposure.filter, scale)


@dataclass(frozen=True, slots=True)
class TileInput:
    """Detector rows of one chip that reach a tile: ``pixels`` of them, in drops of ``patch``."""

    exposure: int
    extver: int
    row0: int
    row1: int
    pixels: int
    patch: int


@dataclass(frozen=True, slots=True)
class TilePlan:
    """What will be done for one tile.

    Attributes
    ----------
    index : tuple of int
        (ty, tx): the tile's number on the root grid.
    frame : Frame
    inputs : tuple of TileInput
        ``exposure`` counts in ``Plan.exposures``.
    digest : str
    bytes_in, bytes_out : int
        Read from the inputs; written before compression.
    peak_memory : int, bytes
        Held at most by the task.
    seconds : float
        Estimated work of one core.
    """

    index: tuple[int, int]
    frame: Frame
    inputs: tuple[TileInput, ...]
    digest: str
    bytes_in: int
    bytes_out: int
    peak_memory: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A run on one window of one layer.

    Attributes
    ----------
    frame : Frame
        The window.
    layer : Layer
    parameters : DrizzleParameters
    variables : tuple of str
    tile : int
        Side of the tiles on the root grid, pixels.
    exposures : tuple of ExposureRecord
        Inputs, sorted; those that reach no tile are gone.
    tiles : tuple of TilePlan
        Tiles that have inputs, by index.
    missed : tuple of str
        Names of exposures of the layer that reach no tile.
    """

    frame: Frame
    layer: Layer
    parameters: DrizzleParameters
    variables: tuple[str, ...]
    tile: int
    exposures: tuple[ExposureRecord, ...]
    tiles: tuple[TilePlan, ...]
    missed: tuple[str, ...] = ()

    def inputs_of(self, tile: TilePlan) -> tuple[ExposureRecord, ...]:
        """Give stripped records, with only the chips that reach the tile, in the plan's order."""
        return self.records_of((item.exposure, item.extver) for item in tile.inputs)

    def records_of(self, chips: Iterable[tuple[int, int]]) -> tuple[ExposureRecord, ...]:
        """Give stripped records with these chips, by number of the exposure and EXTVER."""
        extvers: dict[int, set[int]] = defaultdict(set)
        for exposure, extver in chips:
            extvers[exposure].add(extver)
        return tuple(
            replace(
                stripped := self.exposures[i].strip(),
                chips=tuple(c for c in stripped.chips if c.extver in wanted),
            )
            for i, wanted in sorted(extvers.items())
        )

    @property
    def digests(self) -> dict[tuple[int, int], str]:
        """Digest of every tile by index."""
        return {tile.index: tile.digest for tile in self.tiles}

    @property
    def flux_unit(self) -> str:
        """Unit of the layer's pixels: rates of what the inputs count."""
        counts = any(exposure.unit.startswith("count") for exposure in self.exposures)
        return "count / s" if counts else "electron / s"

    @property
    def patches(self) -> frozenset[int]:
        """Patch sizes of the drops: each is a compilation of its own."""
        return frozenset(item.patch for tile in self.tiles for item in tile.inputs)

    @property
    def bytes_in(self) -> int:
        """Bytes read from the inputs."""
        return sum(tile.bytes_in for tile in self.tiles)

    @property
    def bytes_out(self) -> int:
        """Bytes written, before compression."""
        return sum(tile.bytes_out for tile in self.tiles)

    @property
    def peak_memory(self) -> int:
        """Bytes that the most demanding task holds; each thread runs one task at a time."""
        return max((tile.peak_memory for tile in self.tiles), default=0)

    @property
    def seconds(self) -> float:
        """Estimated work, seconds of one core."""
        return sum(tile.seconds for tile in self.tiles)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (
            "Plan",
            self.frame.__dask_tokenize__(),
            self.variables,
            self.tile,
            tuple((t.index, t.digest) for t in self.tiles),
        )


def sort_exposures(exposures: Iterable[ExposureRecord]) -> list[ExposureRecord]:
    """Put exposures in the order in which their pixels are summed: by start time, then by name."""
    return sorted(exposures, key=lambda e: (e.expstart, e.name))


def make_plan(
    exposures: Iterable[ExposureRecord],
    frame: Frame,
    layer: Layer,
    parameters: DrizzleParameters,
    *,
    tile: int = TILE,
    variables: Sequence[str] = ALL,
    whole_tiles: bool = False,
) -> Plan:
    """Plan a window of a layer.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        Those of other layers are left aside.
    frame : Frame
        The window.
    layer : Layer
    parameters : DrizzleParameters
    tile : int
        Side of the tiles, pixels; tiles are anchored to the root grid.
    variables : sequence of str
    whole_tiles : bool
        Plan all of each tile that the window touches, as a store needs it.

    Returns
    -------
    Plan

    Raises
    ------
    PlanError
        On an unknown variable, or two exposures of one name.
    """
    if unknown := set(variables) - set(VARIABLES):
        raise PlanError(f"unknown variables {sorted(unknown)}; there are {', '.join(VARIABLES)}")
    chosen = sort_exposures(e for e in exposures if layer.holds(e))
    names = [e.name for e in chosen]
    if len(set(names)) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise PlanError(f"exposures given twice: {', '.join(twice)}")
    window = frame.whole_tiles(tile) if whole_tiles else frame
    found = _inputs_by_tile(chosen, window, tile, parameters)
    used = sorted({item.exposure for items in found.values() for item in items})
    number = {old: new for new, old in enumerate(used)}
    kept = tuple(chosen[i] for i in used)
    tiles = []
    for index, part in window.tiles(tile):
        if items := found.get(index):
            inputs = tuple(replace(item, exposure=number[item.exposure]) for item in items)
            tiles.append(_tile_plan(index, part, inputs, kept, parameters, tuple(variables)))
    missed = tuple(name for i, name in enumerate(names) if i not in number)
    return Plan(window, layer, parameters, tuple(variables), tile, kept, tuple(tiles), missed)


def _inputs_by_tile(
    exposures: Sequence[ExposureRecord], window: Frame, tile: int, parameters: DrizzleParameters
) -> dict[tuple[int, int], list[TileInput]]:
    """Which chips reach which tiles: block by block, from their bounds alone."""
    found: dict[tuple[int, int], list[TileInput]] = defaultdict(list)
    y0, y1, x0, x1 = window.box
    for number, exposure in enumerate(exposures):
        for chip in exposure.chips:
            drop = make_drop(chip, window, parameters)
            reach = chip_reach(chip, window, drop)
            if not blocks_in(reach, window).size:
                continue
            for ty, tx in _tiles_touched(reach, window, tile):
                part = window[
                    max(ty * tile - y0, 0) : min((ty + 1) * tile, y1) - y0,
                    max(tx * tile - x0, 0) : min((tx + 1) * tile, x1) - x0,
                ]
                blocks = blocks_in(reach, part)
                if blocks.size:
                    found[ty, tx].append(
                        _tile_input(number, chip, blocks, drop.patch(reach.extent))
                    )
    return found


def _tiles_touched(reach: ChipReach, window: Frame, tile: int) -> list[tuple[int, int]]:
    """Tiles of a window that the box around all blocks of a chip touches."""
    real = reach.bounds[reach.bounds[..., 0] < reach.bounds[..., 1]]
    y0, y1, x0, x1 = window.box
    low_x, high_x = max(int(real[:, 0].min()), x0), min(int(real[:, 1].max()), x1)
    low_y, high_y = max(int(real[:, 2].min()), y0), min(int(real[:, 3].max()), y1)
    return [
        (ty, tx)
        for ty in range(low_y // tile, (high_y - 1) // tile + 1)
        for tx in range(low_x // tile, (high_x - 1) // tile + 1)
    ]


def _tile_input(number: int, chip: ChipRecord, blocks: NDArray[np.int64], patch: int) -> TileInput:
    row0, row1 = block_rows(blocks, chip)
    pixels = blocks.shape[0] * BLOCK[0] * BLOCK[1]
    return TileInput(number, chip.extver, row0, row1, pixels, patch)


def _tile_plan(
    index: tuple[int, int],
    frame: Frame,
    inputs: tuple[TileInput, ...],
    exposures: Sequence[ExposureRecord],
    parameters: DrizzleParameters,
    variables: tuple[str, ...],
) -> TilePlan:
    pixels_out = frame.shape[0] * frame.shape[1]
    bytes_in = largest = 0
    for item in inputs:
        chip = exposures[item.exposure].chip(item.extver)
        rows = (item.row1 - item.row0) * chip.shape[1]
        widths = [np.dtype(s.dtype).itemsize for s in (chip.sci, chip.err, chip.dq) if s]
        bytes_in += rows * sum(widths)
        largest = max(largest, rows * (_INPUT_BYTES + sum(widths)))
    plane = max(VARIABLES[name].dtype.itemsize for name in variables)
    return TilePlan(
        index=index,
        frame=frame,
        inputs=inputs,
        digest=_tile_digest(frame, inputs, exposures, parameters, variables),
        bytes_in=bytes_in,
        bytes_out=pixels_out * sum(VARIABLES[name].dtype.itemsize for name in variables),
        # The sums and a few planes at a time: one finished, one being compressed, set numbers.
        peak_memory=pixels_out * (_SUM_BYTES + 2 * plane + 4) + largest,
        seconds=_SECONDS_PER_INPUT * sum(i.pixels for i in inputs)
        + _SECONDS_PER_OUTPUT * pixels_out,
    )


def _tile_digest(
    frame: Frame,
    inputs: tuple[TileInput, ...],
    exposures: Sequence[ExposureRecord],
    parameters: DrizzleParameters,
    variables: tuple[str, ...],
) -> str:
    content = {
        "algorithm": ALGORITHM,
        "grid": [frame.root_key, frame.origin, frame.shape],
        "parameters": parameters.digest_items(),
        "variables": variables,
        "inputs": [_input_facts(exposures[i.exposure], i, parameters) for i in inputs],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _input_facts(
    exposure: ExposureRecord, item: TileInput, parameters: DrizzleParameters
) -> list[object]:
    """Everything of an exposure that can change the tile: only masks of blocks that reach it.

    What the noise is made of counts where it is made (no ERR), or is the weight.
    """
    chip = exposure.chip(item.extver)
    identity = exposure.identity
    first, last = item.row0 // BLOCK[0], -(-item.row1 // BLOCK[0])
    by_background = parameters.weight == "IVM"
    return [
        exposure.name,
        item.extver,
        [identity.size, identity.header_hash, identity.stamp],
        [exposure.exptime, exposure.expstart, exposure.expend, exposure.unit],
        chip.distortion.digest,
        [chip.sky, chip.flux_factor, chip.idcscale],
        [chip.gain, chip.bin, chip.shadow, chip.window],
        [chip.read_noise, chip.dark, chip.removed] if by_background or chip.err is None else None,
        [astuple(s.identity) for s in (chip.sci, chip.err, chip.dq) if s and s.identity],
        sorted([m.kind, *m.hashes[first:last]] for m in chip.masks if any(m.hashes[first:last])),
        chip.ivm.hashes[first:last] if by_background and chip.ivm else None,
    ]
