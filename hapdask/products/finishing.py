"""The mosaic of a run in the units that were asked for, with its values for missing pixels.

AstroDrizzle's ``final_units``, ``proc_unit``, ``final_fillval``, ``final_maskval`` and the number
in ``final_wt_scl``: nothing but a factor per plane, so it is done block by block, lazily.  It
stands among the products because it makes Datasets.  Not here: what the headers say of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.errors import ParameterError
from hapdask.observe.record import ExposureRecord
from hapdask.photometry.fluxfactor import layer_gain
from hapdask.products.header_source import GAIN
from hapdask.products.layout import variable_attributes
from hapdask.products.told import fill_value, weight_scale

_RATE = " / s"

if TYPE_CHECKING:
    import xarray as xr

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
    import xarray as xr

    unit = str(dataset.attrs.get("flux_unit", "electron / s"))
    if not unit.endswith(_RATE) or GAIN in dataset.attrs:
        raise ParameterError(f"a mosaic in {unit} has its final units already: take one of rates")
    finish = Finish.of(unit, exposures, parameters)
    changed = {}
    for name, (function, inputs) in finish.functions.items():
        if name in dataset:
            arrays = [dataset[each] for each in inputs]
            result: xr.DataArray = xr.apply_ufunc(
                function, *arrays, dask="parallelized", output_dtypes=[np.float32]
            )
            changed[name] = result.assign_attrs(dataset[name].attrs)
    for name in ("sci", "err"):
        if name in dataset:
            array = changed.get(name, dataset[name])
            changed[name] = array.assign_attrs(variable_attributes(name, finish.unit))
    return dataset.assign(changed).assign_attrs(finish.attributes)


@dataclass(frozen=True, slots=True)
class Finish:
    """What is done to the planes of a mosaic.

    Attributes
    ----------
    unit : str
        Of ``sci`` and ``err`` afterwards.
    gain : float
        Electrons per count by which they are multiplied.
    time : float
        Exposure time by which they are.
    fill : float or None
        Value of ``sci`` where nothing has weight.
    scale : float
        Factor of ``wht``.
    """

    unit: str
    gain: float
    time: float
    fill: float | None
    scale: float

    @classmethod
    def of(
        cls, unit: str, exposures: Sequence[ExposureRecord], parameters: AstroDrizzleParameters
    ) -> Finish:
        """Tell what the parameters ask for: see `finish_mosaic`."""
        gain = _gain(unit, exposures, parameters)
        counts = parameters.final.final_units == "counts"
        electrons = parameters.general.proc_unit == "electrons"
        new_unit = unit.replace("count", "electron") if electrons else unit
        return cls(
            new_unit.removesuffix(_RATE) if counts else new_unit,
            gain,
            total_exptime(exposures) if counts else 1.0,
            fill_value(parameters),
            weight_scale(parameters),
        )

    @property
    def attributes(self) -> dict[str, object]:
        """Attributes of the mosaic afterwards."""
        return {"flux_unit": self.unit} | ({GAIN: self.gain} if self.gain != 1.0 else {})

    @property
    def functions(self) -> dict[str, tuple[Callable[..., Array], tuple[str, ...]]]:
        """For each plane that changes what makes it, and the planes that it is made of."""
        factor = self.gain * self.time
        found: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {}
        if factor != 1.0 or self.fill is not None:
            fill = partial(_scaled_and_filled, factor=factor, fill=self.fill)
            found["sci"] = fill, ("sci", "wht")
        if factor != 1.0:
            found["err"] = partial(_scaled, factor=factor), ("err",)
        if self.scale != 1.0:
            found["wht"] = partial(_scaled, factor=self.scale), ("wht",)
        return found

    def planes(self, planes: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Finish the planes of a block."""
        changed = {
            name: function(*(planes[each] for each in inputs))
            for name, (function, inputs) in self.functions.items()
            if name in planes
        }
        return {**planes, **changed}


def total_exptime(exposures: Sequence[ExposureRecord]) -> float:
    """Total exposure time, s: every exposure counts once, however many chips it has."""
    return math.fsum({e.name: e.exptime for e in exposures}.values())


def _gain(
    unit: str, exposures: Sequence[ExposureRecord], parameters: AstroDrizzleParameters
) -> float:
    wanted = parameters.general.proc_unit == "electrons" and unit.startswith("count")
    return layer_gain(exposures) if wanted and exposures else 1.0


def _scaled(array: Array, *, factor: float) -> Array:
    return array * np.float32(factor)


def _scaled_and_filled(sci: Array, wht: Array, *, factor: float, fill: float | None) -> Array:
    out = sci * np.float32(factor)
    if fill is not None:
        out[wht == 0] = np.float32(fill)
    return out
