"""From opened exposures to records that are ready to be drizzled: flux factors and sky levels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from hapdask.config import Resolved, load_parameters
from hapdask.drizzling.sky import set_sky
from hapdask.errors import InputError
from hapdask.observe.record import ExposureRecord
from hapdask.photometry.fluxfactor import apply_flux_factors, layer_photflams

log = logging.getLogger(__name__)

#: Returns the record of an exposure as measured before, or None.
Recall = Callable[[ExposureRecord, Resolved], ExposureRecord | None]


@dataclass(frozen=True)
class Prepared:
    """Records ready to be drizzled, parameters and PHOTFLAM of each layer, what was left out."""

    exposures: tuple[ExposureRecord, ...]
    parameters: Mapping[str, Resolved]
    failures: tuple[InputError, ...] = ()
    photflams: Mapping[str, float] = field(default_factory=dict)


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
    only : collection of str, optional
        Names of the exposures to measure and return.  Flux factors are of all that are given.
    photflams : mapping of layer name to float, optional
        PHOTFLAM of layers that have been made before; see `hapdask.photometry.fluxfactor`.
    threads : int
    recall : callable, optional
        Gives an exposure as measured by an earlier run, so that its pixels are not read again.
    strict : bool
        Raise where pixels cannot be read, instead of leaving the exposure out.
    progress : callable, optional
        Called with the numbers of exposures measured and to be measured.

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        With ``strict``, where pixels cannot be read.
    """
    records = list(exposures)
    known = parameters or layer_parameters(records)
    scaled = [e for e in records if known[e.layer_name].parameters.flux_scaling]
    figures = layer_photflams(scaled, photflams)
    layers = {e.layer_name for e in scaled}
    figures = {layer: figure for layer, figure in figures.items() if layer in layers}
    factors = {e.name: e for e in apply_flux_factors(scaled, figures)}
    records = [factors.get(e.name, e) for e in records if only is None or e.name in only]

    with ThreadPoolExecutor(threads) as pool:
        results = []
        for result in pool.map(lambda e: _attempt(e, known[e.layer_name], recall), records):
            results.append(result)
            if progress is not None:
                progress(len(results), len(records))
    failures = tuple(r for r in results if isinstance(r, InputError))
    if failures and strict:
        raise failures[0]
    for error in failures:
        log.warning("left out: %s", error)
    measured = tuple(r for r in results if isinstance(r, ExposureRecord))
    return Prepared(measured, known, failures, figures)


def _attempt(
    exposure: ExposureRecord, resolved: Resolved, recall: Recall | None
) -> ExposureRecord | InputError:
    """Recall or measure the sky of an exposure; an error is a result, so that others go on."""
    before = recall(exposure, resolved) if recall else None
    if before is not None:
        return exposure.with_sky({c.extver: c.sky for c in before.chips})
    try:
        return set_sky(exposure, resolved.parameters)
    except InputError as error:
        return error
