"""The mosaic of a run in the units that were asked for, with its values for missing pixels.

AstroDrizzle's ``final_units``, ``proc_unit``, ``final_fillval``, ``final_maskval`` and the number
in ``final_wt_scl``: nothing but a factor per plane, so it is done block by block, lazily.  It
stands among the products because it makes Datasets.  Not here: what the headers say of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.errors import ParameterError
from hapdask.observe.record import ExposureRecord
from hapdask.photometry.fluxfactor import layer_gain
from hapdask.products.header_source import GAIN
from hapdask.products.layout import variable_attributes
from hapdask.products.told import fill_value, weight_scale

_RATE = " / s"

Array = npt.NDArray[np.float32]


def finish_mosaic(
    dataset: xr.Dataset, exposures: Sequence[ExposureRecord], parameters: AstroDrizzleParameters
) -> xr.Dataset:
    """Bring a mosaic to the units and fill values of a run; nothing is computed.

    Parameters
    ----------
    dataset : Dataset
        ``sci``, ``wht`` and, where there is one, ``err``, in counts or electrons per second (see
        its attribute ``flux_unit``), NaN where nothing has weight.
    exposures : sequence of ExposureRecord
        Those of the mosaic, each once: they say the exposure time and the gain.
    parameters : AstroDrizzleParameters

    Returns
    -------
    Dataset
        The same planes and attributes, with ``flux_unit`` (and ``electrons_per_count`` where
        counts became electrons) as they are now.

        - ``proc_unit`` "electrons": counts are multiplied by the gain.
        - ``final_units`` "counts": ``sci`` and ``err`` are multiplied by the total exposure time.
        - ``final_fillval``, else ``final_maskval``: ``sci`` where nothing has weight.  It is
          written as given (AstroDrizzle multiplies it with the image); ``err`` stays NaN there.
        - a number in ``final_wt_scl`` multiplies ``wht`` of type EXP.

    Raises
    ------
    ParameterError
        The dataset's flux is no rate: it has been finished before.

    Notes
    -----
    Source: drizzlepac 3.11.0, adrizzle.run_driz (order and meaning).
    """
    unit = str(dataset.attrs.get("flux_unit", "electron / s"))
    if not unit.endswith(_RATE) or GAIN in dataset.attrs:
        raise ParameterError(f"a mosaic in {unit} has its final units already: take one of rates")
    gain = _gain(unit, exposures, parameters)
    counts = parameters.final.final_units == "counts"
    time = total_exptime(exposures) if counts else 1.0
    electrons = parameters.general.proc_unit == "electrons"
    new_unit = unit.replace("count", "electron") if electrons else unit
    new_unit = new_unit.removesuffix(_RATE) if counts else new_unit
    changed = _planes(dataset, gain * time, fill_value(parameters), weight_scale(parameters))
    for name in ("sci", "err"):
        if name in dataset:
            array = changed.get(name, dataset[name])
            changed[name] = array.assign_attrs(variable_attributes(name, new_unit))
    attributes = {"flux_unit": new_unit} | ({GAIN: gain} if gain != 1.0 else {})
    return dataset.assign(changed).assign_attrs(attributes)


def total_exptime(exposures: Sequence[ExposureRecord]) -> float:
    """Total exposure time, s: every exposure counts once, however many chips it has."""
    return math.fsum({e.name: e.exptime for e in exposures}.values())


def _gain(
    unit: str, exposures: Sequence[ExposureRecord], parameters: AstroDrizzleParameters
) -> float:
    wanted = parameters.general.proc_unit == "electrons" and unit.startswith("count")
    return layer_gain(exposures) if wanted and exposures else 1.0


def _planes(
    dataset: xr.Dataset, factor: float, fill: float | None, scale: float
) -> dict[str, xr.DataArray]:
    """Give the planes that change."""
    changed = {}
    if factor != 1.0 or fill is not None:
        options: Mapping[str, object] = {"factor": factor, "fill": fill}
        changed["sci"] = _lazily(_scaled_and_filled, dataset["sci"], dataset["wht"], **options)
    if factor != 1.0 and "err" in dataset:
        changed["err"] = _lazily(_scaled, dataset["err"], factor=factor)
    if scale != 1.0:
        changed["wht"] = _lazily(_scaled, dataset["wht"], factor=scale)
    return changed


def _lazily(
    function: Callable[..., Array], *arrays: xr.DataArray, **options: object
) -> xr.DataArray:
    """Apply a function block by block, and keep attributes."""
    result: xr.DataArray = xr.apply_ufunc(
        function,
        *arrays,
        kwargs=options,
        dask="parallelized",
        output_dtypes=[np.float32],
    )
    return result.assign_attrs(arrays[0].attrs)


def _scaled(array: Array, *, factor: float) -> Array:
    return array * np.float32(factor)


def _scaled_and_filled(sci: Array, wht: Array, *, factor: float, fill: float | None) -> Array:
    out = sci * np.float32(factor)
    if fill is not None:
        out[wht == 0] = np.float32(fill)
    return out
