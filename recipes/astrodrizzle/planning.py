"""What a run will do, decided from headers alone; what contradicts itself is refused here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle, load_astrodrizzle
from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling import steps
from hapdask.drizzling.frame_request import FrameRequest
from hapdask.drizzling.output_frame import output_frame
from hapdask.drizzling.sky_levels.given import read_sky_file
from hapdask.drizzling.sky_levels.mask_catalog import read_mask_catalog
from hapdask.drizzling.weighting import needs_error
from hapdask.errors import ParameterError, PlanError
from hapdask.observe.adjusting.adjust import adjust
from hapdask.observe.adjusting.naming import run_name
from hapdask.observe.adjusting.together import check_together, refuse_mixture
from hapdask.observe.exposure import Exposures, open_exposures
from hapdask.observe.masking.sources import Maps, Masks
from hapdask.observe.record import ExposureRecord
from hapdask.photometry.fluxfactor import apply_flux_factors, apply_gain_factors
from hapdask.products.names import Suffix, product_suffix
from hapdask.recipes.mosaic import frame_of_place
from hapdask.recipes.reporting import LeftOut, none_left, rejected
from hapdask.sky.cells import SkyCell
from hapdask.sky.frame import Frame
from hapdask.sky.wcs_cards import HeaderLike

Files = str | os.PathLike[str]
#: General parameters that only change the product.
OF_PRODUCT = frozenset({"build", "context", "proc_unit", "crbit"})
Place = Frame | SkyCell | str | HeaderLike


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks of a run; see `hapdask.recipes.astrodrizzle.run.astrodrizzle`."""

    preset: str = "default"
    file: str | Path | None = None
    overrides: Mapping[str, object]
    frame: Place | None = None
    output: str = ""
    track: object = None
    masks: Masks = ()
    ivm: Maps = ()


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run, planned.

    Attributes
    ----------
    request : Request
    opened : Exposures
        As they were given.
    exposures : Exposures
        In the order of the run, changed as the parameters ask, with flux factors.
    resolved : ResolvedAstroDrizzle
    median_frame, frame : Frame
        Of the separate images and of the product.
    output : str
        Root of the products' names.
    suffix : {"drz", "drc", "drw"}
    notes : tuple of str
        What a user should know of the whole.
    left_out : tuple of LeftOut
    """

    request: Request
    opened: Exposures
    exposures: Exposures
    resolved: ResolvedAstroDrizzle
    median_frame: Frame
    frame: Frame
    output: str
    suffix: Suffix
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def parameters(self) -> AstroDrizzleParameters:
        """Parameters of all steps."""
        return self.resolved.parameters


def plan_run(
    given: Files | Iterable[Files] | Iterable[ExposureRecord], request: Request
) -> Planned:
    """Plan a run.

    Parameters
    ----------
    given : Exposures, records, or files
        Files as `hapdask.open_exposures` takes them.
    request : Request

    Raises
    ------
    PlanError
        If no exposure can be used, or they do not belong together.
    ParameterError
        If parameters are unknown or contradict each other.
    InputError
        If a file that a parameter names cannot be used.
    """
    opened = _opened(given)
    left_out = tuple(rejected(opened))
    if not opened:
        raise none_left(left_out)
    refuse_mixture(opened)
    first = opened[0]
    resolved = load_astrodrizzle(
        first.instrument,
        first.detector,
        len(opened),
        preset=request.preset,
        binned=any(exposure.binned for exposure in opened),
        filter_name=first.filter,
        expstart=min(exposure.expstart for exposure in opened),
        file=request.file,
        overrides=request.overrides,
    )
    p = resolved.parameters
    _check_sky_files(p)
    if request.frame is not None and p.final.frame is not None:
        raise ParameterError(
            "a frame and parameters of the final frame (final_scale, final_rot, ...) contradict "
            "each other: give one of them"
        )
    records = adjust(opened, p, track=request.track, inputs=opened.inputs)
    records = _in_one_system(records, p)
    _check_weights(records, steps.final_parameters(p))
    exposures = opened.with_records(records)
    frame = (
        _frame(records, FrameRequest.from_parameters(p.final.frame), p)
        if request.frame is None
        else frame_of_place(request.frame)
    )
    if not any(exposure.footprint.overlaps(frame.footprint) for exposure in records):
        raise PlanError("no exposure reaches the frame of the product: check final_* or frame")
    return Planned(
        request=request,
        opened=opened,
        exposures=exposures,
        resolved=resolved,
        median_frame=_frame(records, FrameRequest.from_parameters(p.separate.frame), p),
        frame=frame,
        output=request.output or run_name(opened.inputs, opened),
        suffix=product_suffix(exposures[:1] if _is_upstreams(request) else exposures),
        notes=check_together(records),  # as they lie once a track has moved them
        left_out=left_out,
    )


def _is_upstreams(request: Request) -> bool:
    """Whether products are named as AstroDrizzle does: drc where the first input is a FLC."""
    return request.preset.startswith("compat")


def check_unchanged(before: AstroDrizzleParameters, after: AstroDrizzleParameters) -> None:
    """Refuse parameters that change what comes before the final step.

    Raises
    ------
    ParameterError
    """
    changes = after.values()
    last = {*OF_PRODUCT, *(field.name for field in fields(after.final))}
    for name, value in before.values().items():
        if name not in last and changes[name] != value:
            raise ParameterError(
                f"again() changes the final step alone, {name} = {changes[name]!r} one before it: "
                "start a new run with hapdask.astrodrizzle"
            )


def _opened(given: Files | Iterable[Files] | Iterable[ExposureRecord]) -> Exposures:
    """Open what are files; AstroDrizzle takes moving targets and much else that layers do not."""
    if isinstance(given, Exposures):
        return given
    items = [given] if isinstance(given, str | os.PathLike) else list(given)
    records = [item for item in items if isinstance(item, ExposureRecord)]
    files = [item for item in items if not isinstance(item, ExposureRecord)]
    if records and files:
        raise ParameterError("give files, or exposures that are open, not both")
    if files:
        return open_exposures(files, select=False)
    return Exposures(records, ((e.url, e.verdict) for e in records))


def _in_one_system(
    exposures: Iterable[ExposureRecord], p: AstroDrizzleParameters
) -> tuple[ExposureRecord, ...]:
    """Bring chips together by PHOTFLAM, or by their gains alone."""
    scale = apply_flux_factors if p.general.flux_scaling else apply_gain_factors
    return tuple(scale(exposures))


def _frame(
    exposures: Iterable[ExposureRecord], request: FrameRequest, p: AstroDrizzleParameters
) -> Frame:
    return output_frame(tuple(exposures), request, coeffs=p.general.coeffs)


def _check_sky_files(p: AstroDrizzleParameters) -> None:
    """Read the files that parameters of the sky name, so that a bad one costs no time."""
    levels = p.sky.skyfile or (p.sky.skyuser[1:] if p.sky.skyuser.startswith("@") else "")
    if levels:
        read_sky_file(levels)
    if p.sky.skymask_cat:
        read_mask_catalog(p.sky.skymask_cat)


def _check_weights(exposures: Iterable[ExposureRecord], final: DrizzleParameters) -> None:
    """Refuse a weight that the files cannot give, before any pixel is read."""
    for exposure in exposures:
        for chip in exposure.chips:
            wanted = final.weight == "ERR" or (
                final.weight == "IVM" and needs_error(exposure, chip)
            )
            if wanted and chip.err is None and chip.read_noise == 0:
                raise ParameterError(
                    f"final_wht_type = {final.weight}, but {exposure.url} SCI,{chip.extver} has "
                    "neither ERR nor a known read noise: use EXP"
                )
