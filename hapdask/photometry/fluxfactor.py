"""Flux factors: every chip of a layer in one photometric system.

PHOTFLAM drifts with time and differs between chips and gains.  A chip's factor is its PHOTFLAM
over that of its layer, and multiplies SCI and ERR.  The layer's figure is fixed: published with
the archive, else the user's, else packaged, else frozen when the layer is first made; so a later
visit moves nothing.  PHTRATIO plays no part: where FLUXCORR is complete, the pipeline has applied
it, and PHOTFLAM says so.

SCI in counts (WFPC2, STIS, NICMOS) stays in counts, and so does PHOTFLAM, which is per count at
the chip's own gain: the factor needs nothing more.  Without flux scaling, or where a layer has no
PHOTFLAM at all, the gains alone bring the chips together: gain(chip) / gain(layer), the latter that
of the last chip of the last exposure, as AstroDrizzle does.
"""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from statistics import median_low

from hapdask.errors import ParameterError
from hapdask.observe.record import ExposureRecord

_MISSING = "PHOTFLAM is missing: the flux is not brought to the layer's system"
_ABSURD = "PHOTFLAM is absurd beside the layer's: the flux is not brought to its system"
_ONLY_GAINS = "PHOTFLAM is missing from the whole layer: chips are brought together by gain alone"


#: No two chips of a filter differ so much, at whatever gain.
_FAR = 1000.0


@cache
def packaged_photflam() -> Mapping[str, float]:
    """Read the packaged figures by layer name, erg / cm2 / Angstrom / electron (WFPC2: count)."""
    text = files("hapdask.photometry").joinpath("photflam.toml").read_text("utf-8")
    return {str(k): float(v) for k, v in tomllib.loads(text)["photflam"].items()}


def layer_photflams(
    exposures: Iterable[ExposureRecord], known: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Decide the PHOTFLAM of the layers of some exposures.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    known : mapping of layer name to float, optional
        Figures published or given by the user; they go before the packaged ones.

    Returns
    -------
    dict of layer name to float
        erg / cm2 / Angstrom / electron.  For a layer neither published nor packaged, the (low)
        median of its chips: it does not depend on their order.  A layer whose chips have no
        PHOTFLAM at all is left out.

    Raises
    ------
    ParameterError
        If a given figure is not a positive number.
    """
    fixed = {**packaged_photflam(), **(known or {})}
    for layer, value in fixed.items():
        if not (math.isfinite(value) and value > 0):
            raise ParameterError(f"PHOTFLAM of {layer} must be a positive number, not {value}")
    chips: dict[str, list[float]] = defaultdict(list)
    layers = set()
    for exposure in exposures:
        layers.add(exposure.layer_name)
        chips[exposure.layer_name] += [c.photflam for c in exposure.chips if c.photflam > 0]
    chosen = {layer: fixed[layer] for layer in layers if layer in fixed}
    return chosen | {
        layer: median_low(values)
        for layer, values in chips.items()
        if values and layer not in chosen
    }


def apply_flux_factors(
    exposures: Iterable[ExposureRecord], layer_photflam: Mapping[str, float] | None = None
) -> list[ExposureRecord]:
    """Give every chip its flux factor, PHOTFLAM(chip) / PHOTFLAM(layer).

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    layer_photflam : mapping of layer name to float, optional
        Published figures, see `layer_photflams`.

    Returns
    -------
    list of ExposureRecord
        In the order given.  A chip without a credible PHOTFLAM keeps the factor 1 (that of its
        gain where the layer has no figure), and its exposure's verdict warns of it.

    Raises
    ------
    ParameterError
        If a given figure is not a positive number.
    """
    records = list(exposures)
    figures = layer_photflams(records, layer_photflam)
    without = [record for record in records if record.layer_name not in figures]
    by_gain = {id(old): new for old, new in zip(without, apply_gain_factors(without), strict=True)}
    return [
        _warned(by_gain[id(record)])
        if record.layer_name not in figures
        else _scaled(record, figures[record.layer_name])
        for record in records
    ]


def apply_gain_factors(exposures: Iterable[ExposureRecord]) -> list[ExposureRecord]:
    """Give every chip the factor gain(chip) / gain(layer): 1 where SCI is in electrons.

    Parameters
    ----------
    exposures : iterable of ExposureRecord

    Returns
    -------
    list of ExposureRecord
        In the order given.
    """
    records = list(exposures)
    layers: dict[str, list[ExposureRecord]] = defaultdict(list)
    for record in records:
        layers[record.layer_name].append(record)
    gains = {layer: layer_gain(members) for layer, members in layers.items()}
    return [_by_gain(record, gains[record.layer_name]) for record in records]


def layer_gain(exposures: Iterable[ExposureRecord]) -> float:
    """Give the gain of a mosaic of exposures, electrons per count: that of the last chip.

    The last in time, so that the order in which exposures are given plays no part.
    """
    return max(exposures, key=lambda e: (e.expstart, e.name)).chips[-1].gain


def _by_gain(record: ExposureRecord, layer: float) -> ExposureRecord:
    return record.with_flux_factors({c.extver: c.gain / layer for c in record.chips})


def _scaled(record: ExposureRecord, figure: float) -> ExposureRecord:
    factors, verdict = {}, record.verdict
    for chip in record.chips:
        factor = chip.photflam / figure
        if not 1.0 / _FAR < factor < _FAR:
            verdict = verdict.warned(_ABSURD if factor else _MISSING, "PHOTFLAM")
            factor = 1.0
        factors[chip.extver] = factor
    return record.with_flux_factors(factors).with_verdict(verdict)


def _warned(record: ExposureRecord) -> ExposureRecord:
    reason = _ONLY_GAINS if record.unit.startswith("count") else _MISSING
    return record.with_verdict(record.verdict.warned(reason, "PHOTFLAM"))
