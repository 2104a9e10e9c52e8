"""Images of the steps that a run keeps on request, each as AstroDrizzle's file.

An exposure that cannot be read any more is left out of what is still to be made.  Not here: how a
file is written (`hapdask.products.steps`), mosaics and what inputs get back (`writing`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.drizzling.kept_medians import kept_medians
from hapdask.errors import InputError
from hapdask.observe.record import ExposureRecord
from hapdask.products.returned.copies import write_clean
from hapdask.products.returned.flags import FlagChange
from hapdask.products.steps import writing as step_files
from hapdask.recipes.astrodrizzle.exposure_steps import ExposureSteps

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.drizzling.step_graphs import StepGraphs
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun

#: Images of the steps that can be kept, and the step that makes each.
KEPT = {
    "single": "driz_separate",
    "median": "median",
    "blot": "blot",
    "crmask": "driz_cr",
    "staticmask": "static",
    "skymask": "skysub",
}

Made = TypeVar("Made")
Keeper = Callable[[ExposureRecord], Iterable[Path]]


def makes(parameters: AstroDrizzleParameters, name: str) -> bool:
    """Whether a run makes images of a step of `KEPT`."""
    alone = name == "crmask" and parameters.cosmic_rays.driz_cr_single
    return alone or bool(parameters.values()[KEPT[name]])


def makes_clean(parameters: AstroDrizzleParameters) -> bool:
    """Whether a run makes copies of exposures without their cosmic rays."""
    return parameters.cosmic_rays.driz_cr_corr and parameters.cosmic_rays.driz_cr


def keep_images(
    run: AstroDrizzleRun,
    folder: Path,
    keep: Collection[str],
    change: FlagChange,
    *,
    overwrite: bool,
) -> list[Path]:
    """Write images of the steps of a run whose cosmic rays have been found.

    Parameters
    ----------
    run : AstroDrizzleRun
    folder : Path
        There already.
    keep : collection of str
        Names of `KEPT`; steps that losses have turned off are passed over.
    change : FlagChange
        Of the copies without cosmic rays, which ``driz_cr_corr`` asks for.
    overwrite : bool

    Returns
    -------
    list of Path

    Raises
    ------
    StoreError
        If a file cannot be written.
    PlanError
        If no exposure is left.
    """
    wanted = {name for name in keep if makes(run.parameters, name)}
    options = {"overwrite": overwrite, "threads": run.threads}
    files: list[Path] = []
    for name, keeper in _OF_EXPOSURES.items():
        if name in wanted:
            files += _of_each(run, partial(keeper, run, folder, options))
    if "staticmask" in wanted:
        files += _static_masks(run, folder, options)
    if "blot" in wanted or makes_clean(run.parameters):
        return files + _of_blots(run, folder, wanted, options, change)
    if "median" in wanted:
        files += outlive(run, lambda: _median(run, folder, options, run.graphs))
    return files


def _of_blots(
    run: AstroDrizzleRun,
    folder: Path,
    wanted: Collection[str],
    options: Mapping[str, Any],
    change: FlagChange,
) -> list[Path]:
    """Write what looks at the median, which is made once for all of it."""
    files: list[Path] = []
    with ExitStack() as stack:

        def keep() -> StepGraphs | None:
            if not run.stack.combines:
                return None
            kept = kept_medians(run.graphs, run.where, client=run.client, threads=run.threads)
            return stack.enter_context(kept)

        graphs = outlive(run, keep)
        if graphs is None:
            return files
        if "median" in wanted:
            files += _median(run, folder, options, graphs)
        if "blot" in wanted:
            files += _of_each(run, partial(_blots, run, folder, options, graphs))
        if makes_clean(run.parameters):
            files += _of_each(run, partial(_clean, run, folder, options, graphs, change))
    return files


def outlive(run: AstroDrizzleRun, make: Callable[[], Made]) -> Made:
    """Make something of all exposures of a run, again without those that cannot be read any more.

    Raises
    ------
    InputError
        If something else cannot be read.
    PlanError
        If no exposure is left.
    """
    while True:
        try:
            return make()
        except InputError as error:
            run.leave_out(error)


def _of_each(run: AstroDrizzleRun, make: Keeper) -> list[Path]:
    """Write files of each exposure; those that cannot be read any more are left out."""
    files: list[Path] = []
    for exposure in tuple(run.exposures):
        if exposure.name not in {left.name for left in run.exposures}:
            continue  # lost with another of its file
        try:
            files += make(exposure)
        except InputError as error:
            run.leave_out(error)
    return files


def _single(
    run: AstroDrizzleRun, folder: Path, options: Mapping[str, Any], exposure: ExposureRecord
) -> list[Path]:
    single = run[exposure.name].single
    return step_files.write_single(single, folder, exposure, run.median_frame, **options)


def _median(
    run: AstroDrizzleRun, folder: Path, options: Mapping[str, Any], graphs: StepGraphs
) -> list[Path]:
    if not run.stack.combines:
        return []
    median, frame = run.median_by(graphs), run.median_frame
    exposures = run.stack.exposures
    return [step_files.write_median(median, folder, run.output, exposures, frame, **options)]


def _mask(
    what: str,
    run: AstroDrizzleRun,
    folder: Path,
    options: Mapping[str, Any],
    exposure: ExposureRecord,
) -> Iterator[Path]:
    """Write a mask of all chips: ``crmask`` or ``skymask``."""
    for extver, mask in _of_chips(getattr(run[exposure.name], what), exposure):
        yield step_files.write_chip_mask(mask, folder, exposure, extver, what=what, **options)


def _blots(
    run: AstroDrizzleRun,
    folder: Path,
    options: Mapping[str, Any],
    graphs: StepGraphs,
    exposure: ExposureRecord,
) -> Iterator[Path]:
    """Write the blots of all chips; an exposure in no median has none."""
    images = ExposureSteps(run, exposure.name, graphs)
    if images.has_partner:
        for extver, blot in _of_chips(images.blot, exposure):
            yield step_files.write_blot(blot, folder, exposure, extver, **options)


def _clean(
    run: AstroDrizzleRun,
    folder: Path,
    options: Mapping[str, Any],
    graphs: StepGraphs,
    change: FlagChange,
    exposure: ExposureRecord,
) -> list[Path]:
    images = ExposureSteps(run, exposure.name, graphs)
    if not images.has_partner:
        return []
    blots = dict(_of_chips(images.blot, exposure))
    return [write_clean(exposure, folder, blots, change, overwrite=options["overwrite"])]


def _static_masks(run: AstroDrizzleRun, folder: Path, options: Mapping[str, Any]) -> Iterator[Path]:
    """Write the static masks, each once: exposures share them."""
    seen = set()
    for e in run.exposures:
        for extver, mask in _of_chips(run[e.name].staticmask, e):
            if (mask.shape, extver) not in seen:
                seen.add((mask.shape, extver))
                yield step_files.write_static_mask(mask, folder, run.output, e, extver, **options)


def _of_chips(image: xr.DataArray, exposure: ExposureRecord) -> Iterator[tuple[int, xr.DataArray]]:
    """Take chips from one another, each with its EXTVER and without what pads it."""
    for k, chip in enumerate(exposure.chips):
        yield chip.extver, image[k, : chip.shape[0], : chip.shape[1]]


_OF_EXPOSURES: dict[str, Callable[..., Iterable[Path]]] = {
    "single": _single,
    "crmask": partial(_mask, "crmask"),
    "skymask": partial(_mask, "skymask"),
}
