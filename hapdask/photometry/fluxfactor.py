"""Flux factors: every chip of a layer in one photometric system.

PHOTFLAM drifts with time and differs between chips and gains.  A chip's factor is its PHOTFLAM
over that of its layer, and multiplies SCI and ERR.  The layer's figure is fixed: published with
the archive, else packaged, else frozen when the layer is first made; so a later visit moves
nothing.  PHTRATIO plays no part: where FLUXCORR is complete, the pipeline has applied it, and
PHOTFLAM says so.
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


@cache
def packaged_photflam() -> Mapping[str, float]:
    """Read the packaged figures by layer name, erg / cm2 / Angstrom / electron."""
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
        Figures already published; they go before the packaged ones.

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
        In the order given.  A chip without PHOTFLAM keeps the factor 1, and its exposure's
        verdict warns of it.

    Raises
    ------
    ParameterError
        If a given figure is not a positive number.
    """
    records = list(exposures)
    figures = layer_photflams(records, layer_photflam)
    return [_scaled(record, figures.get(record.layer_name)) for record in records]


def _scaled(record: ExposureRecord, figure: float | None) -> ExposureRecord:
    factors = {
        chip.extver: chip.photflam / figure if figure and chip.photflam > 0 else 1.0
        for chip in record.chips
    }
    scaled = record.with_flux_factors(factors)
    if all(chip.photflam > 0 for chip in record.chips):
        return scaled
    return scaled.with_verdict(scaled.verdict.warned(_MISSING, "PHOTFLAM"))
