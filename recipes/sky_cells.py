"""From exposures to stored layers and their exports, for sky cells or a frame of the user's.

For each place and layer: plan, make what is not there yet, then export.  An exposure that turns
out to be unreadable halfway is left out, the layer is planned again without it, and the run goes
on: tiles that it had reached are remade.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.config import Resolved, load_photflams
from hapdask.drizzling.build import Outcome, run
from hapdask.drizzling.plan import TILE, Layer, Plan, make_plan
from hapdask.errors import HapdaskError, InputError, PlanError
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.observe.masking.sources import Maps, Masks
from hapdask.observe.record import ExposureRecord
from hapdask.products.store import MosaicStore
from hapdask.recipes.prepare import Prepared, layer_parameters, measure
from hapdask.recipes.recall import Recall
from hapdask.sky.cells import SkyCell
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mosaic is made: a window of a root frame, and what to call it.

    Attributes
    ----------
    window, root : Frame
    group : str
        Group of the store: ``p1889`` or ``custom/<name>``.
    scale : str
    cell : SkyCell or None
        None for a custom frame.
    """

    window: Frame
    root: Frame
    group: str
    scale: str
    cell: SkyCell | None = None

    @property
    def name(self) -> str:
        """``skycell-p1889x07y19`` or the name of the custom frame."""
        return self.cell.name if self.cell else self.group.rpartition("/")[2]

    @classmethod
    def of_cell(cls, cell: SkyCell, scale: str) -> Place:
        """Make the place of a sky cell at one scale."""
        root = cell.projection_cell.frame(scale)
        return cls(cell.frame(scale), root, cell.projection_cell.name, scale, cell)

    @classmethod
    def of_archive_coarse(cls, cell: SkyCell) -> Place:
        """Make the place of the archive's coarse file of that cell: a root grid of its own."""
        frame = cell.upstream_coarse_frame()
        return cls(frame, frame, f"custom/{cell.name}-coarse", "coarse", cell)

    @classmethod
    def of_frame(cls, frame: Frame, name: str) -> Place:
        """Make the place of a frame of the user's."""
        return cls(frame, frame, f"custom/{name}", "fine")


@dataclass(frozen=True)
class Job:
    """One layer at one place."""

    place: Place
    layer: Layer
    plan: Plan
    parameters: Resolved


@dataclass
class Result:
    """What became of a job.

    Attributes
    ----------
    job : Job
        As planned in the end.
    store : str
        Group of the layer.
    made, kept : int
        Tiles made in this run, and found finished.
    failures : list of HapdaskError
        Inputs left out.
    planned_seconds, seconds : float
        Estimated and measured work of the tiles made, summed over tasks.
    """

    job: Job
    store: str
    made: int = 0
    kept: int = 0
    failures: list[HapdaskError] = field(default_factory=list)
    planned_seconds: float = 0.0
    seconds: float = 0.0


def cells_touched(exposures: Iterable[ExposureRecord]) -> list[SkyCell]:
    """Every sky cell that any of the exposures overlaps, by name."""
    grid = SkyGrid()
    found = {cell.name: cell for e in exposures for cell in grid.overlapping(e.footprint)}
    return [found[name] for name in sorted(found)]


def prepare(
    exposures: Iterable[ExposureRecord],
    out: str | Path | None = None,
    *,
    preset: str = "default",
    parameter_file: str | None = None,
    overrides: Mapping[str, object] | None = None,
    masks: Masks = (),
    ivm: Maps = (),
    only: Collection[str] | None = None,
    threads: int = 1,
    strict: bool = False,
    read_pixels: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Resolve parameters and measure exposures; what a store in ``out`` knows is not read again.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    out : path, optional
        Root of the store.
    preset, parameter_file, overrides
        See `hapdask.config.load_parameters`; the file may have a table ``[photflam]``.
    masks, ivm
        See `hapdask.measure`; what is made of them lies beside the store.
    only : collection of str, optional
        Names of the exposures to measure and return; parameters and flux factors are of all
        that are given.
    threads : int
    strict : bool
        Raise where pixels cannot be read.
    read_pixels : bool
        Measure; without it the records stay as they are, as for a plan that needs no digests.
    progress : callable, optional
        Called with the numbers of exposures measured and to be measured.
    """
    records = list(exposures)
    known = layer_parameters(records, preset=preset, file=parameter_file, overrides=overrides)
    if not read_pixels:
        return Prepared(tuple(records), known)
    recall = Recall(out) if out is not None else None
    given = load_photflams(parameter_file) if parameter_file is not None else {}
    prepared = measure(
        records,
        known,
        masks=masks,
        ivm=ivm,
        where=recall.masks if recall else None,
        only=only,
        # What is published goes before what the user says: its pixels are scaled to it.
        photflams=given | (recall.photflams() if recall else {}),
        threads=threads,
        recall=recall.sky if recall else None,
        strict=strict,
        progress=progress,
    )
    if recall is not None:
        recall.remember_skies(prepared.exposures, known)
        recall.remember_photflams(prepared.photflams)
    return prepared


def plan_jobs(
    prepared: Prepared,
    cells: Sequence[SkyCell] = (),
    frame: Frame | None = None,
    *,
    name: str = "mosaic",
    layers: Sequence[str] = (),
    scales: Sequence[str] = (),
    tile: int = TILE,
    archive_coarse: bool = False,
) -> list[Job]:
    """Plan every layer at every place; jobs without any input are left out.

    Parameters
    ----------
    prepared : Prepared
    cells : sequence of SkyCell
    frame : Frame, optional
        A custom frame instead of sky cells, called ``name``.
    layers, scales : sequence of str
        Only these; all where empty.
    tile : int
    archive_coarse : bool
        Plan coarse layers of sky cells on the archive's own grid too, as FITS files need it.

    Raises
    ------
    PlanError
        Where a layer that was asked for has no exposure.
    """
    by_layer: dict[str, ExposureRecord] = {e.layer_name: e for e in prepared.exposures}
    if unknown := set(layers) - set(by_layer):
        raise PlanError(
            f"no exposure of layer {', '.join(sorted(unknown))}; "
            f"there are {', '.join(sorted(by_layer)) or 'none'}"
        )
    jobs = []
    for layer_name in sorted(layers or by_layer):
        example = by_layer[layer_name]
        resolved = prepared.parameters[layer_name]
        places = _places(example, cells, frame, name, scales)
        extra = [Place.of_archive_coarse(c) for c in _coarse_cells(places)]
        for place in places + extra * archive_coarse:
            plan = make_plan(
                prepared.exposures,
                place.window,
                Layer.of(example, place.scale),
                resolved.parameters,
                tile=tile,
                whole_tiles=True,
            )
            if plan.tiles:
                jobs.append(Job(place, plan.layer, plan, resolved))
    return jobs


def _places(
    exposure: ExposureRecord,
    cells: Sequence[SkyCell],
    frame: Frame | None,
    name: str,
    scales: Sequence[str],
) -> list[Place]:
    if frame is not None:
        return [Place.of_frame(frame, name)]
    known = INSTRUMENTS[exposure.instrument.upper(), exposure.detector.upper()].scales
    wanted = [scale for scale in known if not scales or scale in scales]
    return [Place.of_cell(cell, scale) for cell in cells for scale in wanted]


def _coarse_cells(places: Iterable[Place]) -> list[SkyCell]:
    return [place.cell for place in places if place.cell and place.scale == "coarse"]


def run_job(
    job: Job,
    out: str | Path,
    *,
    client: Client | None = None,
    threads: int = 1,
    progress: Callable[[Job, Outcome], None] | None = None,
    strict: bool = False,
) -> Result:
    """Make the tiles of a job that are not there yet.

    Parameters
    ----------
    job : Job
    out : path
        Root of the store.
    client : distributed.Client, optional
    threads : int
    progress : callable, optional
        Called with the job and each tile's outcome.
    strict : bool
        Raise where an input cannot be read, instead of planning again without it.

    Raises
    ------
    StoreError
        If the store cannot be written; what is finished stays, the next run goes on from there.
    InputError
        With ``strict``.
    """
    tile = job.plan.tile
    store = MosaicStore.create_or_open(
        out,
        job.place.root,
        job.layer,
        tile,
        place=job.place.group,
        variables=job.plan.variables,
        flux_unit=job.plan.flux_unit,
    )
    result = Result(job, store.url)
    made: set[tuple[int, int]] = set()
    while True:
        plan = result.job.plan
        with store:
            store.begin(plan.digests, plan.frame, about=_about(result.job), records=plan.exposures)
            outcomes = run(
                plan,
                store,
                skip=store.finished,
                client=client,
                threads=threads,
                progress=None if progress is None else lambda o: progress(result.job, o),
            )
            result.seconds += sum(o.seconds for o in outcomes)
            errors = [o.error for o in outcomes if o.error is not None]
            if not errors:
                store.end()
                break
        result.job = _without_broken(result.job, errors, strict)
        result.failures += _distinct(errors)
        made |= {o.index for o in outcomes if o.error is None}
    made |= {o.index for o in outcomes}
    planned = {tile.index for tile in result.job.plan.tiles}
    result.made, result.kept = len(made & planned), len(planned - made)
    tiles = result.job.plan.tiles
    result.planned_seconds = sum(tile.seconds for tile in tiles if tile.index in made)
    return result


def _distinct(errors: Iterable[HapdaskError]) -> list[HapdaskError]:
    return list({str(error): error for error in errors}.values())


def _without_broken(job: Job, errors: Sequence[HapdaskError], strict: bool) -> Job:
    """Plan a job again without the exposures that could not be read."""
    broken = {error.path for error in errors if isinstance(error, InputError)}
    other = [error for error in errors if not isinstance(error, InputError)]
    if other or strict:
        raise (other or list(errors))[0]
    for error in _distinct(errors):
        log.warning("left out, planning again: %s", error)
    kept = [e for e in job.plan.exposures if not e.files & broken]
    if len(kept) == len(job.plan.exposures):
        raise errors[0]
    plan = make_plan(
        kept,
        job.place.window,
        job.layer,
        job.plan.parameters,
        tile=job.plan.tile,
        variables=job.plan.variables,
        whole_tiles=True,
    )
    return Job(job.place, job.layer, plan, job.parameters)


def _about(job: Job) -> dict[str, Any]:
    return {
        "parameters": dict(job.parameters.parameters.digest_items()),
        "parameter_origin": dict(job.parameters.origin),
        "place": job.place.name,
    }
