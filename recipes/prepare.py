"""From opened exposures to records that are ready to be drizzled.

Flux factors, masks, inverse-variance maps and sky levels, in this order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from hapdask.config import Resolved, load_parameters
from hapdask.drizzling.sky import set_sky
from hapdask.drizzling.weighting import needs_error
from hapdask.errors import InputError, ParameterError
from hapdask.observe.masking.attach import Attached, attach_ivm, attach_masks
from hapdask.observe.masking.sources import Maps, Masks
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict
from hapdask.observe.source import PathLike
from hapdask.photometry.fluxfactor import apply_flux_factors, apply_gain_factors, layer_photflams

log = logging.getLogger(__name__)

_NO_READ_NOISE = "the read noise is not known: weight IVM takes ERR, which biases bright sources"

#: Returns the record of an exposure as measured before, or None.
Recall = Callable[[ExposureRecord, Resolved], ExposureRecord | None]


@dataclass(frozen=True)
class Prepared:
    """Records ready to be drizzled.

    Attributes
    ----------
    exposures : tuple of ExposureRecord
    parameters : mapping of layer name to Resolved
    failures : tuple of InputError
        What was left out.
    photflams : mapping of layer name to float
        PHOTFLAM of layers whose fluxes are scaled.
    masks : tuple of (str, Verdict)
        Address and verdict of every mask and inverse-variance map that was given.
    """

    exposures: tuple[ExposureRecord, ...]
    parameters: Mapping[str, Resolved]
    failures: tuple[InputError, ...] = ()
    photflams: Mapping[str, float] = field(default_factory=dict)
    masks: tuple[tuple[str, Verdict], ...] = ()


def layer_parameters(
    exposures: Iterable[ExposureRecord],
    *,
    preset: str = "default",
    file: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> dict[str, Resolved]:
    """Resolve the parameters of every layer that some exposures belong to, by layer name."""
    by_layer: dict[str, list[ExposureRecord]] = {}
    for exposure in exposures:
        by_layer.setdefault(exposure.layer_name, []).append(exposure)
    return {
        name: load_parameters(
            members[0].instrument,
            members[0].detector,
            len(members),
            preset=preset,
            file=file,
            overrides=overrides,
        )
        for name, members in by_layer.items()
    }


def measure(
    exposures: Iterable[ExposureRecord],
    parameters: Mapping[str, Resolved] | None = None,
    *,
    masks: Masks = (),
    ivm: Maps = (),
    where: PathLike | None = None,
    only: Collection[str] | None = None,
    photflams: Mapping[str, float] | None = None,
    threads: int = 1,
    recall: Recall | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Measure what must be known of every exposure before any tile is planned.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    parameters : mapping of layer name to Resolved, optional
        The defaults if absent.
    masks : path, MaskSource, or several
        Pixels that are not to be used; see `hapdask.observe.masking.sources.MaskSource`.
    ivm : path or several, or mapping of rootname to path
        Weights of pixels, for weight IVM; see `hapdask.observe.masking.attach.attach_ivm`.
    where : path, optional
        Folder for what is made of masks and maps; every worker must see it.
    only : collection of str, optional
        Names of the exposures to measure and return.  Flux factors are of all that are given.
    photflams : mapping of layer name to float, optional
        PHOTFLAM of layers, published or the user's; see `hapdask.photometry.fluxfactor`.
    threads : int
    recall : callable, optional
        Gives an exposure as measured by an earlier run, so that its pixels are not read again.
    strict : bool
        Raise where pixels or masks cannot be read, instead of leaving the exposure out.
    progress : callable, optional
        Called with the numbers of exposures measured and to be measured.

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        If regions, blobs or a pattern of masks cannot be read; with ``strict``, where pixels or
        masks cannot be read.
    ParameterError
        If masks are given without a folder, or inverse-variance maps and no layer has weight IVM.
    """
    records = list(exposures)
    known = parameters or layer_parameters(records)
    records, figures = _in_one_system(records, known, photflams)
    records = [e for e in records if only is None or e.name in only]
    weighted = {n for n, resolved in known.items() if resolved.parameters.weight == "IVM"}
    attached = attach_given(records, weighted, masks, ivm, where)
    if attached.failures and strict:
        raise attached.failures[0]
    results = _set_skies(attached.exposures, known, recall, threads, progress)
    failures = tuple(r for r in results if isinstance(r, InputError))
    if failures and strict:
        raise failures[0]
    for error in failures:
        log.warning("left out: %s", error)
    measured = tuple(
        _checked(r, known[r.layer_name]) for r in results if isinstance(r, ExposureRecord)
    )
    lost = lost_by_masks(records, attached)
    return Prepared(measured, known, lost + failures, figures, attached.verdicts)


def _in_one_system(
    exposures: Iterable[ExposureRecord],
    known: Mapping[str, Resolved],
    photflams: Mapping[str, float] | None,
) -> tuple[list[ExposureRecord], dict[str, float]]:
    """Give flux factors by PHOTFLAM where fluxes are scaled, by gain elsewhere."""
    records = list(exposures)
    scaled = [e for e in records if known[e.layer_name].parameters.flux_scaling]
    rest = [e for e in records if not known[e.layer_name].parameters.flux_scaling]
    figures = layer_photflams(scaled, photflams)
    changed = [*apply_flux_factors(scaled, figures), *apply_gain_factors(rest)]
    by_name = {record.name: record for record in changed}
    return [by_name[record.name] for record in records], figures


def attach_given(
    exposures: Iterable[ExposureRecord],
    weighted: Collection[str],
    masks: Masks,
    ivm: Maps,
    where: PathLike | None,
) -> Attached:
    """Attach masks, and maps where they are weights.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    weighted : collection of str
        Names of the layers of weight IVM.
    masks, ivm, where
        See `measure`.

    Raises
    ------
    ParameterError
        If they have no folder, or maps no layer to weigh.
    """
    done = Attached(tuple(exposures))
    if not masks and not ivm:
        return done
    if where is None:
        raise ParameterError("masks need a folder for what is made of them: give where")
    if masks:
        done = attach_masks(done.exposures, masks, where)
    if ivm:
        wanted = [e for e in done.exposures if e.layer_name in weighted]
        if done.exposures and not wanted:
            raise ParameterError('inverse-variance maps are used by weight = "IVM" alone: set it')
        maps = attach_ivm(wanted, ivm, where)
        by_name = {e.name: e for e in maps.exposures}
        done = Attached(
            tuple(by_name.get(e.name, e) for e in done.exposures if e.name not in maps.left_out),
            done.verdicts + maps.verdicts,
            done.failures + maps.failures,
            done.left_out + maps.left_out,
        )
    return done


def lost_by_masks(
    exposures: Iterable[ExposureRecord], attached: Attached
) -> tuple[InputError, ...]:
    """Name the exposures that are left out for their masks."""
    urls = {e.name: e.url for e in exposures}
    return tuple(
        InputError(
            urls[name],
            f"its mask or map {error.path} cannot be used: {error.problem}",
            remedy=error.remedy,
        )
        for name, error in zip(attached.left_out, attached.failures, strict=True)
    )


def _set_skies(
    exposures: Sequence[ExposureRecord],
    known: Mapping[str, Resolved],
    recall: Recall | None,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> list[ExposureRecord | InputError]:
    """Recall or measure sky levels; an error is a result, so that others go on."""
    results = []
    with ThreadPoolExecutor(threads) as pool:
        for result in pool.map(lambda e: _attempt(e, known[e.layer_name], recall), exposures):
            results.append(result)
            if progress is not None:
                progress(len(results), len(exposures))
    return results


def _checked(exposure: ExposureRecord, resolved: Resolved) -> ExposureRecord:
    """Warn where the weight must fall back on another."""
    if resolved.parameters.weight == "IVM" and any(
        needs_error(exposure, c) for c in exposure.chips
    ):
        return exposure.with_verdict(exposure.verdict.warned(_NO_READ_NOISE))
    return exposure


def _attempt(
    exposure: ExposureRecord, resolved: Resolved, recall: Recall | None
) -> ExposureRecord | InputError:
    before = recall(exposure, resolved) if recall else None
    if before is not None:
        return exposure.with_sky({c.extver: c.sky for c in before.chips})
    try:
        return set_sky(exposure, resolved.parameters)
    except InputError as error:
        return error
