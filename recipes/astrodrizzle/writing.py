"""The products of a run: the mosaic, and on request what the steps made and what inputs get back.

The cosmic rays are found first, so that no tile is compared twice.  Not here: the writers
(`hapdask.products`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.drizzling.warm import compile_kernels
from hapdask.errors import ParameterError
from hapdask.observe.record import ExposureRecord
from hapdask.products.names import product_suffix
from hapdask.products.returned.copies import write_clean, write_copies
from hapdask.products.returned.dq_zarr import write_dq_zarr
from hapdask.products.returned.flags import FlagChange
from hapdask.products.run_product import product_path, write_product
from hapdask.products.steps import writing as step_files
from hapdask.recipes.astrodrizzle.final import final_blocks
from hapdask.recipes.reporting import LeftOut, Step, timed
from hapdask.schema import ALL

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.drizzling.plan import Plan
    from hapdask.products.blocks import Blocks
    from hapdask.products.header_source import HeaderSource
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
FORMATS = ("fits", "zarr")
#: Planes of a FITS product, beside CTX.
PLANES = ("sci", "wht", "err")
FINAL = "Final Drizzle"
KEEPING = "Kept images"


@dataclass(frozen=True, slots=True)
class Written:
    """What a run wrote, in order: folders of zarr groups among the files."""

    files: tuple[Path, ...]


def write_run(
    run: AstroDrizzleRun,
    out: str | Path,
    *,
    keep: Collection[str] = (),
    per_exposure: bool = False,
    formats: Collection[str] = ("fits",),
    planes: Sequence[str] = PLANES,
    dq_copies: bool = False,
    dq_zarr: bool = False,
    overwrite: bool = True,
) -> Written:
    """Make the products of a run.

    Parameters
    ----------
    run : AstroDrizzleRun
    out : path
        Folder, made if need be.
    keep : collection of str
        Images of the steps to be kept as AstroDrizzle's files; names of `KEPT`.
    per_exposure : bool
        Make the mosaic of each exposure alone, too.
    formats : collection of str
        Of the mosaics; of `FORMATS`.
    planes : sequence of str
        Of FITS files, beside CTX, which ``context`` decides on.
    dq_copies : bool
        Write copies of the inputs with ``crbit`` set in DQ, below ``updated``.
    dq_zarr : bool
        Write the flags of all exposures as one zarr group.
    overwrite : bool
        Replace products that are there.

    Raises
    ------
    ParameterError
        If something unknown is asked for, or a step that is off.
    StoreError
        If something cannot be written.
    InputError, PlanError
        If inputs cannot be read, or none is left.
    """
    _check(run, keep, formats, planes)
    run.reject()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    with timed(run.seconds, KEEPING):
        for name in KEPT:
            if name in keep and makes(run.parameters, name):  # losses may have turned a step off
                options = {"overwrite": overwrite, "threads": run.threads}
                files += _KEEPERS[name](run, folder, **options)
        if run.parameters.cosmic_rays.driz_cr_corr and run.parameters.cosmic_rays.driz_cr:
            files += _keep_clean(run, folder, overwrite)
    if run.parameters.final.driz_combine:
        with timed(run.seconds, FINAL):
            products = [(run.output, run.exposures)]
            if per_exposure:
                products += [(e.name, [e]) for e in run.exposures if e.name != run.output]
            for done, (root, exposures) in enumerate(products):
                run.progress(Step("mosaics", done, len(products), "mosaics"))
                files += _write_mosaic(run, root, exposures, folder, formats, planes, overwrite)
            run.progress(Step("mosaics", len(products), len(products), "mosaics"))
    files += _write_flags(run, folder, dq_copies, dq_zarr, overwrite)
    return Written(tuple(files))


def _check(
    run: AstroDrizzleRun, keep: Collection[str], formats: Collection[str], planes: Sequence[str]
) -> None:
    """Refuse what is unknown before any pixel is read, and steps that are off."""
    for what, given, known in (
        ("keep", keep, tuple(KEPT)),
        ("formats", formats, FORMATS),
        ("planes", planes, PLANES),
    ):
        if unknown := set(given) - set(known):
            raise ParameterError(
                f"{what}: {', '.join(sorted(unknown))} unknown; there are {', '.join(known)}"
            )
    for name in keep:
        if not makes(run.parameters, name):
            run.require(KEPT[name])


def makes(parameters: AstroDrizzleParameters, name: str) -> bool:
    """Whether a run makes images of a step of `KEPT`."""
    alone = name == "crmask" and parameters.cosmic_rays.driz_cr_single
    return alone or bool(parameters.values()[KEPT[name]])


def _write_mosaic(
    run: AstroDrizzleRun,
    root: str,
    exposures: Sequence[ExposureRecord],
    folder: Path,
    formats: Collection[str],
    planes: Sequence[str],
    overwrite: bool,
) -> list[Path]:
    general, suffix = run.parameters.general, product_suffix(exposures)
    files: list[Path] = []
    if "fits" in formats:
        variables = tuple(name for name in PLANES if name in planes) + ("ctx",) * general.context
        blocks, source = _blocks(run, exposures, variables)
        files += write_product(
            blocks,
            folder,
            root,
            suffix,
            source,
            build=general.build,
            context=general.context,
            overwrite=overwrite,
        )
    if "zarr" in formats:
        from hapdask.products.export_zarr import write_zarr

        _warm(run.plan_of(exposures, ALL))
        path = product_path(folder, root, suffix, extension=".zarr")
        write_zarr(run.mosaic_of(exposures), path, overwrite=overwrite)
        files.append(path)
    return files


def _blocks(
    run: AstroDrizzleRun, exposures: Sequence[ExposureRecord], variables: Sequence[str]
) -> tuple[Blocks, HeaderSource]:
    """Make ready to write the mosaic of some of the exposures."""
    plan = run.plan_of(exposures, variables)
    _warm(plan)
    used = {each.name for each in plan.exposures}
    return final_blocks(
        plan,
        [e for e in run.exposures if e.name in used],
        run.resolved,
        run.planned.notes,
        threads=run.threads,
        client=run.client,
    )


def _warm(plan: Plan) -> None:
    compile_kernels(plan.patches, plan.parameters.kernel, plan.variables)


def _write_flags(
    run: AstroDrizzleRun, folder: Path, copies: bool, zarr: bool, overwrite: bool
) -> list[Path]:
    """Write what inputs get back, into files of its own."""
    change = _change(run)
    files: list[Path] = []
    if copies:
        done = write_copies(run.exposures, folder / "updated", change, overwrite=overwrite)
        files += done.paths
        run.lose(LeftOut.of(error) for error in done.failures)
    if zarr:
        path = folder / f"{run.output}_dq.zarr"
        write_dq_zarr(run.exposures, path, change, overwrite=overwrite)
        files.append(path)
    return files


def _change(run: AstroDrizzleRun) -> FlagChange:
    general = run.parameters.general
    return FlagChange(crbit=general.crbit, resetbits=general.resetbits or 0)


def _keep_single(run: AstroDrizzleRun, folder: Path, **options: Any) -> Iterator[Path]:
    for e in run.exposures:
        single = run[e.name].single
        yield from step_files.write_single(single, folder, e, run.median_frame, **options)


def _keep_median(run: AstroDrizzleRun, folder: Path, **options: Any) -> Iterator[Path]:
    yield step_files.write_median(
        run.median, folder, run.output, run.exposures, run.median_frame, **options
    )


def _keep_staticmask(run: AstroDrizzleRun, folder: Path, **options: Any) -> Iterator[Path]:
    seen = set()
    for e in run.exposures:
        for extver, mask in _of_chips(run[e.name].staticmask, e):
            if (mask.shape, extver) not in seen:
                seen.add((mask.shape, extver))
                yield step_files.write_static_mask(mask, folder, run.output, e, extver, **options)


def _keep_chips(
    name: str, write: Callable[..., Path], run: AstroDrizzleRun, folder: Path, **options: Any
) -> Iterator[Path]:
    for e in _shown(run, name):
        for extver, image in _of_chips(getattr(run[e.name], name), e):
            yield write(image, folder, e, extver, **options)


def _keep_clean(run: AstroDrizzleRun, folder: Path, overwrite: bool) -> Iterator[Path]:
    for e in _shown(run, "blot"):
        blots = dict(_of_chips(run[e.name].blot, e))
        yield write_clean(e, folder, blots, _change(run), overwrite=overwrite)


def _shown(run: AstroDrizzleRun, name: str) -> list[ExposureRecord]:
    """Give the exposures that have an image of a step: those in no median have no blot."""
    return [e for e in run.exposures if name != "blot" or run[e.name].has_partner]


def _of_chips(image: xr.DataArray, exposure: ExposureRecord) -> Iterator[tuple[int, xr.DataArray]]:
    """Take chips from one another, each with its EXTVER and without what pads it."""
    for k, chip in enumerate(exposure.chips):
        yield chip.extver, image[k, : chip.shape[0], : chip.shape[1]]


_KEEPERS: dict[str, Callable[..., Iterator[Path]]] = {
    "single": _keep_single,
    "median": _keep_median,
    "blot": partial(_keep_chips, "blot", step_files.write_blot),
    "crmask": partial(_keep_chips, "crmask", partial(step_files.write_chip_mask, what="crmask")),
    "staticmask": _keep_staticmask,
    "skymask": partial(_keep_chips, "skymask", partial(step_files.write_chip_mask, what="skymask")),
}
