"""All that one run makes of a set of exposures: planned, measured, made, exported, reported.

The commands ``plan``, ``mosaic`` and ``demo`` are this recipe with different faces.  An exposure
that cannot be used is left out and named in the report; the rest is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.drizzling.build import Outcome
from hapdask.drizzling.plan import TILE
from hapdask.drizzling.warm import compile_kernels
from hapdask.errors import PlanError
from hapdask.observe.exposure import Exposures
from hapdask.observe.masking.sources import Maps, Masks
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict
from hapdask.products.fits_export import FitsOptions
from hapdask.products.objects import storage_errors
from hapdask.recipes.export import FITS, Exported
from hapdask.recipes.prepare import Prepared
from hapdask.recipes.reporting import LeftOut, Listener, Step, rejected, silence, timed
from hapdask.recipes.sky_cells import (
    Job,
    Place,
    Result,
    cells_touched,
    plan_jobs,
    prepare,
    run_job,
)
from hapdask.recipes.store_export import export_places
from hapdask.sky.cells import SkyCell
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to make.

    Attributes
    ----------
    out : Path
        Root of the store; exports go to a folder per place below it.
    cells : tuple of SkyCell
        All cells touched where there are neither cells nor a frame.
    frame : Frame or None
        A custom frame, called ``name``.
    name : str
    layers, scales : tuple of str
        Only these; all where empty.
    preset, parameter_file, overrides
        See `hapdask.config.load_parameters`.
    masks, ivm
        See `hapdask.measure`.
    tile : int
        Side of the tiles, pixels.
    formats : tuple of str
        Of `hapdask.recipes.export.FORMATS`; nothing is exported where empty.
    fits : FitsOptions
    strict : bool
        Whether an input that must be left out is an error.
    threads : int
    """

    out: Path
    cells: tuple[SkyCell, ...] = ()
    frame: Frame | None = None
    name: str = "mosaic"
    layers: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()
    preset: str = "default"
    parameter_file: str | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    masks: Masks = ()
    ivm: Maps = ()
    tile: int = TILE
    formats: tuple[str, ...] = ("fits", "jpg")
    fits: FitsOptions = FITS
    strict: bool = False
    threads: int = 1


@dataclass(frozen=True)
class Batch:
    """A request, planned.

    Attributes
    ----------
    request : Request
        With the cells that are made.
    jobs : tuple of Job
    left_out : tuple of LeftOut
    seconds : mapping of str to float
        Wall time by part so far.
    given : Exposures
        All inputs with their verdicts; those that were measured as measured.
    masks : tuple of (str, Verdict)
        Address and verdict of every mask and inverse-variance map that was attached.
    """

    request: Request
    jobs: tuple[Job, ...]
    left_out: tuple[LeftOut, ...]
    seconds: Mapping[str, float]
    given: Exposures
    masks: tuple[tuple[str, Verdict], ...] = ()

    @property
    def warnings(self) -> tuple[LeftOut, ...]:
        """What is used, but should be looked at: exposures, headerlets, masks."""
        verdicts = dict.fromkeys((*self.given.verdicts, *self.masks))
        return tuple(LeftOut(url, v.reason) for url, v in verdicts if v.status == "warning")


@dataclass(frozen=True)
class Report:
    """What a run made of a batch; ``seconds`` is the wall time by part."""

    results: tuple[Result, ...]
    files: tuple[Exported, ...]
    left_out: tuple[LeftOut, ...]
    seconds: Mapping[str, float]
    batch: Batch


def plan_batch(
    exposures: Iterable[ExposureRecord],
    request: Request,
    *,
    read_pixels: bool = True,
    progress: Listener = silence,
) -> Batch:
    """Plan a request, and measure the exposures that it needs.

    Parameters
    ----------
    exposures : Exposures or iterable of ExposureRecord
        With the verdicts of `Exposures`, files that cannot be used are reported.
    request : Request
    read_pixels : bool
        Without it nothing is measured or written: a plan to look at, not to run.
    progress : callable, optional

    Raises
    ------
    PlanError
        Where no exposure can be used, or none touches what was asked for; with ``strict``,
        where any input must be left out.
    InputError
        With ``strict``, where pixels cannot be read.
    StoreError
        If ``out`` cannot be written.
    """
    seconds: dict[str, float] = {}
    left_out = rejected(exposures)
    records = list(exposures)
    if not records:
        raise PlanError("no exposure can be used" + _example(left_out))
    with timed(seconds, "plan"):
        prepared = _prepare(records, request)
        request = _with_cells(request, prepared)
        jobs = _plan(prepared, request, left_out)
        left_out += _elsewhere(prepared, jobs, request)
    if request.strict and left_out:
        raise PlanError(
            "some inputs cannot be used:" + "".join(f"\n  {i.error()}" for i in left_out)
        )
    if read_pixels:
        with storage_errors(str(request.out)):  # before time is spent on measuring
            request.out.mkdir(parents=True, exist_ok=True)
        needed = {e.name for job in jobs for e in job.plan.exposures}
        with timed(seconds, "measure"):
            prepared = _prepare(records, request, needed, progress)
        left_out += [LeftOut.of(error) for error in prepared.failures]
        with timed(seconds, "plan"):
            jobs = _plan(prepared, request, left_out)
    given = _given(exposures, records, prepared.exposures)
    return Batch(request, tuple(jobs), tuple(left_out), seconds, given, prepared.masks)


def run_batch(
    batch: Batch, *, client: Client | None = None, progress: Listener = silence
) -> Report:
    """Make what was planned, and export it.

    Parameters
    ----------
    batch : Batch
    client : distributed.Client, optional
        Tiles are made there; by threads of this process if absent.
    progress : callable, optional

    Raises
    ------
    PlanError
        Where no input can be read.
    StoreError
        If something cannot be written; what is finished stays, the next run goes on from there.
    InputError
        With ``strict``, where pixels cannot be read.
    """
    seconds = dict(batch.seconds)
    with timed(seconds, "compile"):
        progress(Step("compile kernels", 0, 1, "times"))
        for job in batch.jobs:
            compile_kernels(job.plan.patches, job.plan.parameters.kernel)
        progress(Step("compile kernels", 1, 1, "times"))
    with timed(seconds, "drizzle"):
        results = []
        for done, job in enumerate(batch.jobs):
            progress(Step("layers", done, len(batch.jobs), "layers"))
            results.append(_run(job, batch.request, client, progress))
        progress(Step("layers", len(batch.jobs), len(batch.jobs), "layers"))
    failures = [LeftOut.of(error) for result in results for error in result.failures]
    if not any(result.job.plan.tiles for result in results):
        raise PlanError("nothing can be made" + _example(failures))
    with timed(seconds, "export"):
        files = export_places(
            _stores(results) if batch.request.formats else {},
            batch.request.out,
            formats=batch.request.formats,
            fits=batch.request.fits,
            threads=batch.request.threads,
            progress=progress,
        )
    left_out = dict.fromkeys([*batch.left_out, *failures])
    return Report(tuple(results), tuple(files), tuple(left_out), seconds, batch)


def job_title(job: Job) -> str:
    """Name a job: place, layer, scale.

    The archive's own coarse grid, from which coarse FITS files are made, is told from ours.
    """
    return f"{job.place.name} {job.layer.name} {scale_title(job.place)}"


def scale_title(place: Place) -> str:
    """``fine``, ``coarse``, ``coarse*`` (the archive's own coarse grid) or ``custom``."""
    if place.cell is None:
        return "custom"
    return place.scale + "*" * place.group.startswith("custom/")


def _prepare(
    records: Sequence[ExposureRecord],
    request: Request,
    needed: Collection[str] | None = None,
    progress: Listener = silence,
) -> Prepared:
    """Resolve parameters; where it is told which exposures are needed, measure those too."""
    return prepare(
        records,
        None if needed is None else request.out,
        preset=request.preset,
        parameter_file=request.parameter_file,
        overrides=request.overrides,
        masks=request.masks,
        ivm=request.ivm,
        only=needed,
        threads=request.threads,
        strict=request.strict,
        read_pixels=needed is not None,
        progress=lambda done, total: progress(Step("measure sky levels", done, total, "exposures")),
    )


def _given(
    exposures: Iterable[ExposureRecord],
    records: Sequence[ExposureRecord],
    measured: Iterable[ExposureRecord],
) -> Exposures:
    """Put measured records in the place of those given."""
    if not isinstance(exposures, Exposures):
        exposures = Exposures(records, ((e.url, e.verdict) for e in records))
    latest = {e.name: e for e in measured}
    return exposures.with_records(latest.get(e.name, e) for e in records)


def _with_cells(request: Request, prepared: Prepared) -> Request:
    if request.cells or request.frame is not None:
        return request
    return replace(request, cells=tuple(cells_touched(_wanted(prepared, request))))


def _wanted(prepared: Prepared, request: Request) -> list[ExposureRecord]:
    layers = request.layers
    return [e for e in prepared.exposures if not layers or e.layer_name in layers]


def _plan(prepared: Prepared, request: Request, left_out: Sequence[LeftOut]) -> list[Job]:
    """Plan the jobs; those that reach only what lies around a window are dropped."""
    jobs = plan_jobs(
        prepared,
        request.cells,
        request.frame,
        name=request.name,
        layers=request.layers,
        scales=request.scales,
        tile=request.tile,
        archive_coarse=bool(request.formats),
    )
    touching = _overlaps(jobs)
    jobs = [job for job in jobs if any(job.place in touching[e.name] for e in job.plan.exposures)]
    if not jobs:
        raise PlanError(_nothing(prepared, request, left_out))
    return jobs


def _overlaps(jobs: Sequence[Job]) -> dict[str, set[Place]]:
    """Tell the places whose windows each exposure touches, by its name."""
    outlines = {job.place: job.place.window.footprint for job in jobs}
    exposures = {e.name: e for job in jobs for e in job.plan.exposures}
    touched = {}
    for name, exposure in exposures.items():
        footprint = exposure.footprint
        touched[name] = {p for p, outline in outlines.items() if footprint.overlaps(outline)}
    return touched


def _nothing(prepared: Prepared, request: Request, left_out: Sequence[LeftOut]) -> str:
    """Say why there is nothing to make."""
    wanted = _wanted(prepared, request)
    if not wanted:
        return "no exposure can be used" + _example(left_out)
    if request.frame is not None:
        places = sorted(
            {"RA {:.3f}, Dec {:.3f}".format(*e.chips[0].distortion.crval) for e in wanted}
        )
        more = f" and {len(places) - 3} more places" if len(places) > 3 else ""
        return (
            f"no exposure touches the frame {request.name}; "
            f"those given lie at {'; '.join(places[:3])}{more}"
        )
    touched = {cell.name for cell in cells_touched(wanted)}
    if request.scales and touched & {cell.name for cell in request.cells}:
        return f"no layer of these exposures has the scale {', '.join(request.scales)}"
    asked = ", ".join(cell.name for cell in request.cells)
    return (
        f"no exposure touches {asked}; those given touch {', '.join(sorted(touched)) or 'no cell'}"
    )


def _elsewhere(prepared: Prepared, jobs: Sequence[Job], request: Request) -> list[LeftOut]:
    """Name the exposures that touch nothing of what was asked for."""
    touching = _overlaps(jobs)
    what = "the frame" if request.frame is not None else "any cell asked for"
    return [
        LeftOut(e.url, f"it does not touch {what}", "leave it out of the list, or ask for more")
        for e in _wanted(prepared, request)
        if not touching.get(e.name)
    ]


def _example(left_out: Sequence[LeftOut]) -> str:
    return f"; for example {left_out[0].error()}" if left_out else ""


def _run(job: Job, request: Request, client: Client | None, progress: Listener) -> Result:
    sizes = {tile.index: tile.bytes_in + tile.bytes_out for tile in job.plan.tiles}
    title, total = job_title(job), len(job.plan.tiles)
    done = moved = 0

    def tell(_: Job, outcome: Outcome) -> None:
        nonlocal done, moved
        done += outcome.error is None
        moved += sizes.get(outcome.index, 0)
        progress(Step(title, min(done, total - 1), total, "tiles", moved))

    progress(Step(title, 0, total, "tiles"))
    result = run_job(
        job,
        request.out,
        client=client,
        threads=request.threads,
        progress=tell,
        strict=request.strict,
    )
    progress(Step(title, total, total, "tiles", moved, result.kept))
    return result


def _stores(results: Sequence[Result]) -> dict[Place, list[str]]:
    """Group the layers to be exported by place; coarse cells are exported on the archive's grid."""
    stores: dict[Place, list[str]] = {}
    for result in results:
        if result.job.plan.tiles and scale_title(result.job.place) != "coarse":
            stores.setdefault(result.job.place, []).append(result.store)
    return stores
