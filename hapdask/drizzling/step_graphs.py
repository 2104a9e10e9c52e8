"""The graph of AstroDrizzle's steps: every intermediate image as a lazy array.

Strategy: one node per tile of the median frame makes the median, one finds the cosmic rays of the
detector pixels that fall into the tile; rows of a chip take what they need of either, and so do
the tiles of a mosaic (`Rejected`, for `hapdask.drizzling.build`).  What goes from node to node is a
tile of the median, or a list of pixels; exposures are drizzled inside the nodes, so memory does not
grow with their number.  Not here: the nodes' work (`step_tasks`).
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Hashable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hapdask.drizzling.cosmic_rays import Stack
from hapdask.drizzling.inputs import blocks_in, chip_reach, make_drop
from hapdask.drizzling.plan import Plan, TilePlan
from hapdask.drizzling.stack_reach import StackReach, tiles_of_box
from hapdask.drizzling.step_tasks import (
    BlotRows,
    HitRows,
    Hits,
    KeptTile,
    MedianTile,
    SingleTile,
)
from hapdask.kernels.blocks import BLOCK
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import dask.array as da

#: Side of the tiles of the median, and rows of a chip that are made together.
TILE = 1024
ROWS = 8 * BLOCK[0]

Index = tuple[int, int]
Layer = dict[Any, Any]


class StepGraphs:
    """The lazy images of a stack.

    Parameters
    ----------
    stack : Stack
    frame : Frame
        Of the median; detector pixels outside it are not tested.
    tile : int
        Side of its tiles, pixels; smaller ones where a stack is too deep for them.
    threads : int
        That will compute the images.
    """

    def __init__(self, stack: Stack, frame: Frame, tile: int = TILE, threads: int = 1) -> None:
        self._reach = StackReach(stack, frame)
        self.frame, self.tile = frame, self._reach.side_of_tiles(tile, threads)
        self._token = _tokenize(self._reach.stack, frame, self.tile)

    def median(self) -> da.Array:
        """Median of the stack on the frame, float32, electron (or count) / s."""
        layers: Layer = {}
        name = f"hapdask-median-{self._token}"
        for (j, i), index, part in self._blocks():
            whole = self._tile_frame(index)
            layers[name, j, i] = (operator.getitem, (self._medians, *index), part.slices_in(whole))
        parts = {self._medians: self._median_tiles, name: layers}
        return self._array(name, parts, {name: {self._medians}}, np.float32)

    def single(self, exposure: ExposureRecord) -> dict[str, da.Array]:
        """Give ``sci`` and ``wht`` of any exposure alone on the frame, float32."""
        from dask.base import tokenize

        stack = self._reach.stack
        scale = stack.combination.wt_scl
        base = f"hapdask-single-{exposure.name}-{tokenize(exposure, self._token)}"
        tiles: Layer = {}
        planes: dict[str, Layer] = {"sci": {}, "wht": {}}
        for (j, i), _, part in self._blocks():
            tiles[base, j, i] = (SingleTile(exposure, part, stack.parameters, scale),)
            for plane, layer in planes.items():
                layer[f"{base}-{plane}", j, i] = (operator.attrgetter(plane), (base, j, i))
        return {
            plane: self._array(
                f"{base}-{plane}",
                {base: tiles, f"{base}-{plane}": layer},
                {f"{base}-{plane}": {base}},
                np.float32,
            )
            for plane, layer in planes.items()
        }

    def blot(self, name: str, extver: int) -> da.Array:
        """Median at the pixels of a chip, float32, in the unit of SCI, its sky added."""
        stack = self._reach.stack
        around = stack.reach_of_blot
        exposure = self._exposure(name)

        def rows(row0: int, row1: int) -> tuple[Any, ...]:
            box = self._reach.box_of_rows((name, extver), row0, row1)
            window = self._reach.window(box or (0, 0, 0, 0)).pad(around)
            indices = tiles_of_box(window.box, self.tile) if box else []
            frames = tuple(self._tile_frame(index) for index in indices)
            task = BlotRows(
                exposure, extver, stack.parameters, stack.test, (row0, row1), window, frames
            )
            return task, [(self._medians, *index) for index in indices]

        return self._of_chip(
            f"hapdask-blot-{name}-{extver}-{self._token}",
            exposure.chip(extver),
            rows,
            {self._medians: self._median_tiles},
            np.float32,
        )

    def cosmic_rays(self, name: str, extver: int) -> da.Array:
        """Cosmic rays of a chip: bool, True = hit."""
        chip = self._exposure(name).chip(extver)

        def rows(row0: int, row1: int) -> tuple[Any, ...]:
            box = self._reach.box_of_rows((name, extver), row0, row1)
            indices = self._tested(tiles_of_box(box, self.tile) if box else [])
            task = HitRows(name, extver, chip.shape[1], (row0, row1))
            return task, [(self._hits, *index) for index in indices]

        layers = {self._hits: self._hit_tiles}
        return self._of_chip(
            f"hapdask-crmask-{name}-{extver}-{self._token}", chip, rows, layers, np.bool_
        )

    def reading(self, folder: str) -> tuple[StepGraphs, dict[str, MedianTile]]:
        """Give the same images of medians that a folder will hold, and what makes each file.

        Tiles that no exposure reaches are as quick to make as to read: they are not kept.
        """
        tiles = {
            os.path.join(folder, f"{key[1]}_{key[2]}.npy"): (key, task)
            for key, (task,) in self._median_tiles.items()
            if task.stack.exposures
        }
        other = copy(self)
        other._token = _tokenize(self._token, folder)
        other.__dict__.pop("_hit_tiles", None)  # they bear the token in their names
        kept = {key: (KeptTile(path),) for path, (key, _) in tiles.items()}
        other._median_tiles = {
            (other._medians, *key[1:]): kept.get(key, node)
            for key, node in self._median_tiles.items()
        }
        return other, {path: task for path, (_, task) in tiles.items()}

    def rejected(self, plan: Plan) -> Rejected:
        """Tell a plan's tiles the cosmic rays that they must leave out."""
        return Rejected(plan, self)

    def hits_of_tile(self, plan: Plan, tile: TilePlan) -> list[Hashable]:
        """Keys of the nodes that find the cosmic rays of a mosaic's tile."""
        found: set[Index] = set()
        for item in tile.inputs:
            exposure = plan.exposures[item.exposure]
            chip = exposure.chip(item.extver)
            if (exposure.name, chip.extver) not in self._reach.chips:
                continue
            reach = chip_reach(chip, plan.frame, make_drop(chip, plan.frame, plan.parameters))
            blocks = blocks_in(reach, tile.frame)
            found |= self._reach.tiles_of_blocks((exposure.name, chip.extver), blocks, self.tile)
        return [(self._hits, *index) for index in self._tested(found)]

    @property
    def hit_layers(self) -> dict[str, Layer]:
        """The nodes that find cosmic rays."""
        return {self._hits: self._hit_tiles}

    @property
    def _medians(self) -> str:
        return f"hapdask-median-tile-{self._token}"

    @property
    def _hits(self) -> str:
        return f"hapdask-hits-{self._token}"

    @cached_property
    def _median_tiles(self) -> Layer:
        """Medians of all tiles that any chip reaches, of the frame or not: blots look beyond it."""
        around = self._reach.stack.reach_of_blot
        boxes = (self._reach.window(self._reach.box).pad(around).box, self.frame.box)
        tiles: Layer = {}
        for box in boxes:
            for index in tiles_of_box(box, self.tile):
                frame = self._tile_frame(index)
                halo = self._reach.stack.combination.halo
                task = MedianTile(self._reach.within(frame.pad(halo)), frame)
                tiles[self._medians, *index] = (task,)
        return tiles

    @cached_property
    def _hit_tiles(self) -> Layer:
        halo = self._reach.halo
        return {
            (self._hits, *index): (Hits(self._reach.within(part.pad(halo)), part),)
            for index, part in self.frame.tiles(self.tile)
        }

    def _tested(self, indices: Any) -> list[Index]:
        """Tiles of some that are of the frame, in order."""
        tiles = self._hit_tiles
        return sorted(index for index in set(indices) if (self._hits, *index) in tiles)

    def _exposure(self, name: str) -> ExposureRecord:
        return next(e for e in self._reach.stack.exposures if e.name == name)

    def _tile_frame(self, index: Index) -> Frame:
        (ty, tx), n = index, self.tile
        return self._reach.window((ty * n, ty * n + n, tx * n, tx * n + n))

    def _blocks(self) -> list[tuple[Index, Index, Frame]]:
        """Blocks of the frame: position, index of the tile, frame."""
        first = self.frame.origin[0] // self.tile, self.frame.origin[1] // self.tile
        return [
            ((ty - first[0], tx - first[1]), (ty, tx), part)
            for (ty, tx), part in self.frame.tiles(self.tile)
        ]

    def _array(
        self, name: str, layers: Mapping[str, Layer], needs: Mapping[str, set[str]], dtype: Any
    ) -> da.Array:
        import dask.array as da

        blocks = self._blocks()
        rows = tuple(part.shape[0] for (_, i), _, part in blocks if i == 0)
        columns = tuple(part.shape[1] for (j, _), _, part in blocks if j == 0)
        return da.Array(_graph(layers, needs), name, (rows, columns), dtype=dtype)

    def _of_chip(
        self,
        name: str,
        chip: ChipRecord,
        rows: Callable[[int, int], tuple[Any, ...]],
        layers: Mapping[str, Layer],
        dtype: Any,
    ) -> da.Array:
        """Array of a chip in bands of rows."""
        import dask.array as da

        bands = [(r, min(r + ROWS, chip.shape[0])) for r in range(0, chip.shape[0], ROWS)]
        nodes = {(name, k, 0): rows(*band) for k, band in enumerate(bands)}
        chunks = (tuple(b - a for a, b in bands), (chip.shape[1],))
        graph = _graph({**layers, name: nodes}, {name: set(layers)})
        return da.Array(graph, name, chunks, dtype=dtype)


@dataclass(frozen=True)
class Rejected:
    """What a mosaic's graph needs to leave cosmic rays out that no mask holds yet."""

    plan: Plan
    steps: StepGraphs

    @property
    def layers(self) -> dict[str, Layer]:
        """Layers of the graph that the keys stand in."""
        return self.steps.hit_layers

    def keys(self, tile: TilePlan) -> list[Hashable]:
        """Keys of the lists of cosmic rays that a tile's task is called with."""
        return self.steps.hits_of_tile(self.plan, tile)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("Rejected", tuple(self.steps.hit_layers))


def _graph(layers: Mapping[str, Layer], needs: Mapping[str, set[str]]) -> Any:
    from dask.highlevelgraph import HighLevelGraph

    return HighLevelGraph(dict(layers), {name: needs.get(name, set()) for name in layers})


def _tokenize(*parts: object) -> str:
    from dask.base import tokenize

    return str(tokenize(*parts))
