"""The products of a run: the mosaic, and on request what the steps made and what inputs get back.

The cosmic rays are found first, so that no tile is compared twice.  An exposure whose file changes
after that is left out, and the others are drizzled with the masks that they have.  Not here: the
images of the steps (`keeping`), the writers (`hapdask.products`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.drizzling.warm import compile_kernels
from hapdask.errors import InputError, ParameterError
from hapdask.observe.pixels import check_unchanged
from hapdask.observe.record import ExposureRecord
from hapdask.products.names import Suffix, product_suffix
from hapdask.products.returned.copies import write_copies
from hapdask.products.returned.dq_zarr import write_dq_zarr
from hapdask.products.returned.flags import FlagChange
from hapdask.products.run_product import product_path, write_product
from hapdask.recipes.astrodrizzle.ahead import loading_ahead
from hapdask.recipes.astrodrizzle.final import final_blocks
from hapdask.recipes.astrodrizzle.keeping import KEPT, keep_images, makes, makes_clean, outlive
from hapdask.recipes.reporting import LeftOut, Step, timed
from hapdask.schema import ALL

if TYPE_CHECKING:
    from hapdask.drizzling.plan import Plan
    from hapdask.products.blocks import Blocks
    from hapdask.products.header_source import HeaderSource
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun

FORMATS = ("fits", "zarr")
#: Planes of a FITS product, beside CTX.
PLANES = ("sci", "wht", "err")
FINAL = "Final Drizzle"
KEEPING = "Kept images"
_NOTHING_ELSE = (
    "nothing else is asked for: set driz_combine=True, or keep images of the steps (--keep) or "
    "masks (--dq-copies, --dq-zarr)"
)
_MISSED = "it does not reach the frame of the product: no mosaic of it alone is made"


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
        Make the mosaic of each exposure alone, too; of those that reach the frame.
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
    check_products(
        run, keep=keep, formats=formats, planes=planes, dq_copies=dq_copies, dq_zarr=dq_zarr
    )
    with loading_ahead(run, _variables(run, planes)):
        _ = run.measured
    run.reject()
    look_again(run)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with timed(run.seconds, KEEPING):
        files = keep_images(run, folder, keep, _change(run), overwrite=overwrite)
    if run.parameters.final.driz_combine:
        with timed(run.seconds, FINAL):
            each = _made_alone(run) if per_exposure else []
            for done, name in enumerate([None, *each]):
                run.progress(Step("mosaics", done, 1 + len(each), "mosaics"))
                files += _write_mosaics(run, name, folder, formats, planes, overwrite)
            run.progress(Step("mosaics", 1 + len(each), 1 + len(each), "mosaics"))
    files += _write_flags(run, folder, dq_copies, dq_zarr, overwrite)
    return Written(tuple(files))


def _made_alone(run: AstroDrizzleRun) -> list[str]:
    """Name the exposures that get a mosaic of their own; those that miss the frame are told."""
    missed = run.plan.missed
    run.warn(missed, _MISSED)
    return [e.name for e in run.exposures if e.name not in {run.output, *missed}]


def look_again(run: AstroDrizzleRun) -> None:
    """Leave out exposures whose files have changed meanwhile, before any product has them."""

    def attempt(exposure: ExposureRecord) -> InputError | None:
        try:
            check_unchanged(exposure)
        except InputError as error:
            return error
        return None

    with ThreadPoolExecutor(run.threads) as pool:
        found = [error for error in pool.map(attempt, run.exposures) if error is not None]
    for error in found:
        if any(error.path in exposure.files for exposure in run.exposures):
            run.leave_out(error)  # else gone with another of the same file


def check_products(
    run: AstroDrizzleRun,
    *,
    keep: Collection[str] = (),
    formats: Collection[str] = ("fits",),
    planes: Sequence[str] = PLANES,
    dq_copies: bool = False,
    dq_zarr: bool = False,
) -> None:
    """Refuse what cannot be asked of a run, before any pixel is read; see `write_run`.

    Raises
    ------
    ParameterError
        If something is unknown, a step is off, or nothing at all would be written.
    """
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
    mosaic = bool(formats) and run.parameters.final.driz_combine
    if not (mosaic or keep or dq_copies or dq_zarr or makes_clean(run.parameters)):
        why = "driz_combine is False" if formats else "the mosaic is asked for in no format"
        raise ParameterError(f"nothing would be written: {why}, and {_NOTHING_ELSE}")


def _write_mosaics(
    run: AstroDrizzleRun,
    name: str | None,
    folder: Path,
    formats: Collection[str],
    planes: Sequence[str],
    overwrite: bool,
) -> list[Path]:
    """Write the mosaic of an exposure, or of all; what cannot be read any more is left out."""
    files: list[Path] = []
    for write in [_FORMATS[each] for each in FORMATS if each in formats]:

        def attempt(write: Callable[..., list[Path]] = write) -> list[Path]:
            exposures = [e for e in run.exposures if name in (None, e.name)]
            if not exposures:
                return []  # it was lost on the way
            suffix = run.suffix if name is None else product_suffix(exposures)
            target = _Target(folder, name or run.output, suffix, overwrite)
            return write(run, exposures, target, planes)

        files += outlive(run, attempt)
    return files


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a mosaic goes."""

    folder: Path
    root: str
    suffix: Suffix
    overwrite: bool


def _write_fits(
    run: AstroDrizzleRun,
    exposures: Sequence[ExposureRecord],
    target: _Target,
    planes: Sequence[str],
) -> list[Path]:
    general = run.parameters.general
    blocks, source = _blocks(run, exposures, _variables(run, planes))
    return write_product(
        blocks,
        target.folder,
        target.root,
        target.suffix,
        source,
        build=general.build,
        context=general.context,
        overwrite=target.overwrite,
    )


def _variables(run: AstroDrizzleRun, planes: Sequence[str]) -> tuple[str, ...]:
    """Variables of a mosaic that FITS files hold."""
    context = ("ctx",) * run.planned.parameters.general.context
    return tuple(name for name in PLANES if name in planes) + context


def _write_zarr(
    run: AstroDrizzleRun,
    exposures: Sequence[ExposureRecord],
    target: _Target,
    planes: Sequence[str],
) -> list[Path]:
    """Write all planes: it is the Dataset as it is."""
    from hapdask.products.export_zarr import write_zarr

    _warm(run.plan_of(exposures, ALL))
    path = product_path(target.folder, target.root, target.suffix, extension=".zarr")
    write_zarr(run.mosaic_of(exposures), path, overwrite=target.overwrite)
    return [path]


#: What writes a mosaic in a format.
_FORMATS: dict[str, Callable[..., list[Path]]] = {"fits": _write_fits, "zarr": _write_zarr}


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
