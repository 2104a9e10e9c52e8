"""From a plan to results: the graph of a mosaic, and the runner.

This module and `step_graphs` are the only ones that make graphs.

Strategy: one fused task per tile reads the detector rows that it needs and drizzles them; nothing
is shipped between tasks.  A lazy Dataset has that task and one getter per variable; a stored run
has tasks that write their tile themselves and return a short outcome, a few in flight at a time.
"""

from __future__ import annotations

import logging
import operator
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.hits import ChipHits
from hapdask.drizzling.palette import Palette
from hapdask.drizzling.plan import Plan, TilePlan
from hapdask.drizzling.running import run_tasks
from hapdask.drizzling.step_graphs import Rejected
from hapdask.drizzling.tile import ALGORITHM, TileSums, drizzle_tile
from hapdask.drizzling.warm import compile_kernels
from hapdask.errors import HapdaskError
from hapdask.observe.record import ExposureRecord
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph
    from distributed import Client

log = logging.getLogger(__name__)

#: Name of the palette among the results of a tile's task.
_PALETTE = "palette"


class Sink(Protocol):
    """Where finished tiles go; picklable."""

    def write_tile(
        self,
        index: tuple[int, int],
        frame: Frame,
        planes: Iterable[tuple[str, NDArray[Any]]],
        receipt: Mapping[str, Any],
    ) -> None:
        """Write the planes of a tile, then its receipt."""


@dataclass(frozen=True)
class TileTask:
    """The work of one tile; picklable, holds paths and small arrays only."""

    exposures: tuple[ExposureRecord, ...]
    frame: Frame
    parameters: DrizzleParameters
    variables: tuple[str, ...]

    def sums(self, rejected: Iterable[ChipHits] = ()) -> TileSums:
        """Drizzle the tile."""
        return drizzle_tile(self.exposures, self.frame, self.parameters, self.variables, rejected)

    def __call__(self, rejected: Iterable[Iterable[ChipHits]] = ()) -> dict[str, Any]:
        """Drizzle the tile and return all its planes, and as ``palette`` what `ctx` stands for.

        ``rejected`` are bad pixels that no mask holds yet, in several lists.
        """
        sums = self.sums(chain.from_iterable(rejected))
        return {**dict(sums.planes()), _PALETTE: sums.palette}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the task of one tile ended."""

    index: tuple[int, int]
    seconds: float
    error: HapdaskError | None = None


@dataclass(frozen=True)
class StoreTask:
    """Make one tile and write it to a sink."""

    tile: TilePlan
    work: TileTask
    sink: Sink

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""
        return f"hapdask-store-{self.tile.index[0]}-{self.tile.index[1]}-{self.tile.digest[:16]}"

    def __call__(self) -> Outcome:
        """Return the outcome; an error of hapdask's is part of it, so other tiles go on."""
        start = time.perf_counter()
        try:
            sums = self.work.sums()
            self.sink.write_tile(
                self.tile.index, self.tile.frame, sums.planes(), self._receipt(sums)
            )
        except HapdaskError as error:
            return Outcome(self.tile.index, time.perf_counter() - start, error)
        return Outcome(self.tile.index, time.perf_counter() - start)

    def _receipt(self, sums: TileSums) -> dict[str, Any]:
        palette = sums.palette
        return {
            "digest": self.tile.digest,
            "algorithm": ALGORITHM,
            "inputs": palette.inputs,
            "palette": palette,
            "statistics": sums.statistics(),
        }


def tile_task(plan: Plan, tile: TilePlan) -> TileTask:
    """Make the task of one tile of a plan."""
    return TileTask(plan.inputs_of(tile), tile.frame, plan.parameters, plan.variables)


def window_task(plan: Plan, window: Frame) -> TileTask:
    """Make the task of any window of a plan's frame, with the exposures whose tiles it touches."""
    touched = [tile for tile in plan.tiles if not (tile.frame & window).empty]
    wanted = {(item.exposure, item.extver) for tile in touched for item in tile.inputs}
    return TileTask(plan.records_of(wanted), window, plan.parameters, plan.variables)


def lazy_planes(plan: Plan, rejected: Rejected | None = None) -> dict[str, da.Array]:
    """Lazy arrays of a plan's variables: one block per tile, nothing computed.

    Parameters
    ----------
    plan : Plan
    rejected : Rejected, optional
        The nodes that find the pixels to be left out.

    Returns
    -------
    dict of str to dask.array.Array
        Each of the shape of ``plan.frame``; blocks end on tile borders.
    """
    import dask.array as da

    rows, columns = _spans(plan)
    names = {name: _key(name, plan, rejected) for name in plan.variables}
    graph = _graph(plan, names, rejected)
    return {
        name: da.Array(graph, key, (rows, columns), dtype=VARIABLES[name].dtype)
        for name, key in names.items()
    }


def lazy_palettes(plan: Plan, rejected: Rejected | None = None) -> da.Array:
    """Lazy array of the tiles' palettes, one `Palette` per tile, in rows and columns of tiles.

    Computed together with the `lazy_planes` of the same arguments, no tile is made twice.
    """
    import dask.array as da

    rows, columns = _spans(plan)
    key = _key(_PALETTE, plan, rejected)
    chunks = ((1,) * len(rows), (1,) * len(columns))
    return da.Array(_graph(plan, {_PALETTE: key}, rejected), key, chunks, dtype=object)


def _key(name: str, plan: Plan, rejected: Rejected | None) -> str:
    from dask.base import tokenize

    return f"hapdask-{name}-{tokenize(plan, rejected)}"


def _spans(plan: Plan) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pixels of each row and each column of tiles."""
    y0, y1, x0, x1 = plan.frame.box
    return _cuts(y0, y1, plan.tile), _cuts(x0, x1, plan.tile)


def _graph(plan: Plan, names: Mapping[str, str], rejected: Rejected | None) -> HighLevelGraph:
    """One task per tile, and for each result (by its key) one that takes it out of the tile's."""
    from dask.highlevelgraph import HighLevelGraph

    rows, columns = _spans(plan)
    by_index = {tile.index: tile for tile in plan.tiles}
    first = plan.frame.origin[0] // plan.tile, plan.frame.origin[1] // plan.tile
    tiles = _key("tile", plan, rejected)
    before = {} if rejected is None else rejected.layers
    graphs: dict[str, dict[Any, Any]] = {key: {} for key in (tiles, *names.values())}
    for j, ny in enumerate(rows):
        for i, nx in enumerate(columns):
            tile = by_index.get((first[0] + j, first[1] + i))
            if tile is not None:
                task = tile_task(plan, tile)
                found = () if rejected is None else (rejected.keys(tile),)
                graphs[tiles][tiles, j, i] = (task, *found)
            for name, key in names.items():
                graphs[key][key, j, i] = (
                    (_Empty(name, (ny, nx)),) if tile is None else (_taker(name), (tiles, j, i))
                )
    needs = {key: set(before) if key == tiles else {tiles} for key in graphs}
    alone: dict[str, set[str]] = {key: set() for key in before}
    return HighLevelGraph({**before, **graphs}, {**alone, **needs})


def _taker(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return _take_palette if name == _PALETTE else operator.itemgetter(name)


def _take_palette(results: Mapping[str, Any]) -> NDArray[Any]:
    return _one(results[_PALETTE])


def _one(palette: Palette) -> NDArray[Any]:
    """Make an array of one object."""
    array = np.empty((1, 1), object)
    array[0, 0] = palette
    return array


@dataclass(frozen=True, slots=True)
class _Empty:
    """A block that no exposure reaches."""

    name: str
    shape: tuple[int, int]

    def __call__(self) -> NDArray[Any]:
        if self.name == _PALETTE:
            return _one(Palette.merge(()))
        return np.full(self.shape, VARIABLES[self.name].fill, VARIABLES[self.name].dtype)


def _cuts(start: int, stop: int, tile: int) -> tuple[int, ...]:
    borders = [start, *range((start // tile + 1) * tile, stop, tile), stop]
    return tuple(b - a for a, b in pairwise(borders))


def run(
    plan: Plan,
    sink: Sink,
    *,
    skip: Callable[[tuple[int, int], str], bool] | None = None,
    client: Client | None = None,
    threads: int = 1,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Make the tiles of a plan and hand them to a sink.

    Parameters
    ----------
    plan : Plan
        On whole tiles where the sink needs them.
    sink : Sink
    skip : callable, optional
        ``skip(index, digest)`` tells that a tile is already there.
    client : distributed.Client, optional
        A cluster; its workers must see the inputs and the sink.  Threads of this process if absent.
    threads : int
        Number of threads without a client.
    progress : callable, optional
        Called with each outcome as it comes.

    Returns
    -------
    list of Outcome
        Of the tiles that were made, in the plan's order.
    """
    tiles = [t for t in plan.tiles if skip is None or not skip(t.index, t.digest)]
    if not tiles:
        return []
    compile_kernels(plan.patches, plan.parameters.kernel, plan.variables)
    tasks = (StoreTask(tile, tile_task(plan, tile), sink) for tile in tiles)
    outcomes = {}
    for outcome in run_tasks(tasks, client, threads):
        outcomes[outcome.index] = outcome
        if progress is not None:
            progress(outcome)
    return [outcomes[tile.index] for tile in tiles]
