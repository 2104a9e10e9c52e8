"""The final step of a run: its plan, and the mosaic in the units that were asked for.

A user's mosaic is lazy, in tiles of the root grid.  The one that is written needs neither xarray
nor Dask: it is made in windows as wide as the frame, so that whole rows are read and written, and
of a height that the memory allows; a pixel's bits do not depend on its window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle
from hapdask.drizzling import steps
from hapdask.drizzling.build import TileTask, window_task
from hapdask.drizzling.palette import Palette
from hapdask.drizzling.plan import EVERY_FILTER, TILE, Layer, Plan, make_plan
from hapdask.drizzling.running import run_tasks
from hapdask.drizzling.tile import pixel_bytes
from hapdask.errors import PlanError
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.mosaic import dataset_of
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

    from hapdask.drizzling.step_graphs import Rejected
    from hapdask.products.blocks import Blocks, Visitor
    from hapdask.products.finishing import Finish
    from hapdask.products.header_source import HeaderSource

#: Bytes of the windows that are held at once, by all threads together.
_BUDGET = 800_000_000
#: Pixels of a window.
_LARGEST, _SMALLEST = 5_000_000, 1_000_000
#: Columns of a window: wider ones would have too few rows.
_WIDEST = 8192


def plan_final(
    exposures: Sequence[ExposureRecord],
    frame: Frame,
    parameters: AstroDrizzleParameters,
    variables: Sequence[str],
) -> Plan:
    """Plan a mosaic of exposures of one detector, whatever their filters.

    Raises
    ------
    PlanError
        If none of them reaches the frame.
    """
    layer = Layer.of(exposures[0], "custom")
    if len({exposure.filter for exposure in exposures}) > 1:
        layer = replace(layer, filter=EVERY_FILTER)
    final = steps.final_parameters(parameters)
    plan = make_plan(exposures, frame, layer, final, tile=TILE, variables=variables)
    if not plan.tiles:
        raise PlanError("no exposure reaches the frame of the product: check final_* or frame")
    return plan


def final_blocks(
    plan: Plan,
    exposures: Sequence[ExposureRecord],
    resolved: ResolvedAstroDrizzle,
    notes: tuple[str, ...],
    *,
    threads: int,
    client: Client | None = None,
) -> tuple[Blocks, HeaderSource]:
    """Make ready to write the mosaic of a plan.

    Parameters
    ----------
    plan, exposures, resolved, notes
        See `final_mosaic`; masks hold the cosmic rays.
    threads, client
        That make the windows; threads also write them.

    Returns
    -------
    Blocks, HeaderSource
    """
    from hapdask.products.blocks import Blocks
    from hapdask.products.finishing import Finish
    from hapdask.products.header_source import HeaderSource
    from hapdask.products.told import run_attributes

    finish = Finish.of(plan.flux_unit, exposures, resolved.parameters)
    records = {exposure.name: exposure for exposure in exposures}
    attributes = run_attributes(resolved, notes) | {"records": records} | finish.attributes
    windows = window_tasks(plan, threads)

    def visit(visitor: Visitor) -> None:
        if client is None:
            for _ in run_tasks((_Visit(w, finish, visitor) for w in windows), None, threads):
                pass
            return
        for window in run_tasks(windows, client):
            window.show(finish, visitor)

    source = HeaderSource.of_mosaic(attributes, plan.frame)
    return Blocks(plan.frame, plan.variables, visit), source


@dataclass(frozen=True)
class WindowTask:
    """One window of a mosaic: its place in the frame, and the planes."""

    place: tuple[int, int]
    work: TileTask

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""
        return "hapdask-final-{}-{}-{}-{}".format(*self.work.frame.box)

    def __call__(self) -> Window:
        """Make it."""
        sums = self.work.sums()
        planes = {n: sums.plane(n) for n in self.work.variables if n != "ctx"}
        if "ctx" not in self.work.variables:
            return Window(self.place, planes)
        return Window(self.place, {**planes, "ctx": sums.sets}, sums.palette, sums.keys)


@dataclass(frozen=True, slots=True)
class Window:
    """Planes of a window; ``ctx`` as numbers of sets of inputs, which have these keys."""

    place: tuple[int, int]
    planes: dict[str, NDArray[Any]]
    palette: Palette | None = None
    keys: NDArray[np.uint64] | None = None

    def show(self, finish: Finish, visitor: Visitor) -> None:
        """Give it in the final units to a visitor."""
        from hapdask.products.blocks import Block

        block = Block(*self.place, finish.planes(self.planes), keys=self.keys)
        visitor(block, self.palette)


@dataclass(frozen=True)
class _Visit:
    """A window that is finished and written by the thread that made it."""

    window: WindowTask
    finish: Finish
    visitor: Visitor

    @property
    def key(self) -> str:
        return self.window.key

    def __call__(self) -> None:
        self.window().show(self.finish, self.visitor)


def window_tasks(plan: Plan, threads: int) -> list[WindowTask]:
    """Cut a plan's frame into windows alike in size, as many as keep the threads busy.

    The most work comes first, so that threads end together.
    """
    ny, nx = plan.frame.shape
    most = _BUDGET / threads / pixel_bytes(plan.variables)
    columns = math.ceil(nx / _WIDEST)
    wide = -(-nx // columns)
    count = math.ceil(ny * wide / min(most, _LARGEST))
    share = math.ceil(ny * wide / _SMALLEST)
    # Threads end together: as many windows for each, unless they would be slivers.
    rows = max(min(-(-count // threads) * threads, share), count)
    tall = -(-ny // rows)
    tasks = []
    for y in range(0, ny, tall):
        for x in range(0, nx, wide):
            window = plan.frame[y : y + tall, x : x + wide]
            tasks.append(WindowTask((y, x), window_task(plan, window)))
    return sorted(tasks, key=lambda task: -_cost(plan, task.work.frame))


def _cost(plan: Plan, window: Frame) -> float:
    """Estimated work of a window: its share of that of the tiles that it touches."""
    total = 0.0
    for tile in plan.tiles:
        part = tile.frame & window
        if not part.empty:
            total += tile.seconds * math.prod(part.shape) / math.prod(tile.frame.shape)
    return total


def final_mosaic(
    plan: Plan,
    exposures: Sequence[ExposureRecord],
    resolved: ResolvedAstroDrizzle,
    notes: tuple[str, ...],
    rejected: Rejected | None,
) -> xr.Dataset:
    """Make the lazy mosaic of a plan.

    Parameters
    ----------
    plan : Plan
    exposures : sequence of ExposureRecord
        Of the plan, in the order of the run, with their header cards.
    resolved : ResolvedAstroDrizzle
    notes : tuple of str
        For the headers of the product.
    rejected : Rejected or None
        Nodes that find cosmic rays, where masks do not hold them yet.
    """
    from hapdask.products.finishing import finish_mosaic
    from hapdask.products.told import run_attributes

    records = {exposure.name: exposure for exposure in exposures}
    dataset = dataset_of(plan, rejected).assign_attrs(
        run_attributes(resolved, notes) | {"records": records}
    )
    return finish_mosaic(dataset, exposures, resolved.parameters)
