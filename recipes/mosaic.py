"""A lazy mosaic of one layer: nothing is read before it is looked at."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import TILE, Layer, Plan, make_plan
from hapdask.errors import PlanError
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.prepare import layer_parameters
from hapdask.schema import ALL
from hapdask.sky.cells import SkyCell
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid
from hapdask.sky.wcs_cards import HeaderLike

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.drizzling.step_graphs import Rejected


def mosaic(
    exposures: Iterable[ExposureRecord],
    where: Frame | SkyCell | str | HeaderLike,
    layer: Layer | str | None = None,
    *,
    scale: str = "fine",
    parameters: DrizzleParameters | None = None,
    tile: int = TILE,
    variables: Sequence[str] = ALL,
) -> xr.Dataset:
    """Make the lazy mosaic of a layer on a sky cell or any other frame.

    Nothing is computed: sky levels and flux factors are those of the records; see
    `hapdask.measure`.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        Those of other layers are left aside.
    where : Frame, SkyCell, str or mapping
        The grid: see `frame_of_place`.
    layer : Layer or str, optional
        For example ``"wfc3_uvis_f475w"``; may be left out where all exposures are of one layer.
    scale : {"fine", "coarse"}
        Scale of a sky cell.
    parameters : DrizzleParameters, optional
        The default preset of the layer if absent.
    tile : int
        Side of the blocks, pixels.
    variables : sequence of str
        See `hapdask.schema`.

    Returns
    -------
    xarray.Dataset
        Dims ``y``, ``x``; Dask-backed variables, lazy coordinates ``ra`` and ``dec``,
        ``pixel_area``; ``ds.hap`` has its frame, cutouts and exports.

    Raises
    ------
    PlanError
        Where no exposure is of the layer, or the layer is not told and there are several.
    """
    records = list(exposures)
    wanted = _choose_layer(records, layer, scale)
    frame = frame_of_place(where, scale)
    if parameters is None:
        parameters = layer_parameters(records)[wanted.name].parameters
    if parameters.sky == "measure" and not any(c.sky for e in records for c in e.chips):
        warnings.warn(
            "the exposures' sky levels are not measured and stay in the mosaic "
            "(hapdask.measure(exposures).exposures has them)",
            stacklevel=2,
        )
    return dataset_of(make_plan(records, frame, wanted, parameters, tile=tile, variables=variables))


def dataset_of(plan: Plan, rejected: Rejected | None = None) -> xr.Dataset:
    """Make the lazy Dataset of a plan; without the pixels that are found bad on the way."""
    import xarray as xr

    from hapdask.drizzling.build import lazy_palettes, lazy_planes
    from hapdask.products import accessor  # noqa: F401  (registers ds.hap)
    from hapdask.products.index import attach_frame
    from hapdask.products.layout import variable_attributes
    from hapdask.products.planes import pixel_area, tile_chunks
    from hapdask.products.planned import PlannedPalette

    unit = plan.flux_unit
    data: dict[str, Any] = {
        name: (("y", "x"), array, dict(variable_attributes(name, unit)))
        for name, array in lazy_planes(plan, rejected).items()
    }
    if "ctx" in data:
        palettes = lazy_palettes(plan, rejected)
        data["ctx"][2]["palette"] = PlannedPalette(plan, palettes=palettes)
    parameters = dict(plan.parameters.digest_items())
    variables = {**data, "pixel_area": pixel_area(plan.frame, tile_chunks(plan.frame, plan.tile))}
    attrs = {
        "instrument": plan.layer.instrument,
        "detector": plan.layer.detector,
        "filter": plan.layer.filter,
        "scale": plan.layer.scale,
        "flux_unit": unit,
        "tile": plan.tile,
        "parameters": parameters,
        "parameter_origin": dict.fromkeys(parameters, "the plan"),
        "records": {exposure.name: exposure for exposure in plan.exposures},
    }
    return attach_frame(xr.Dataset(variables, attrs=attrs), plan.frame)


def _choose_layer(
    exposures: Sequence[ExposureRecord], layer: Layer | str | None, scale: str
) -> Layer:
    found = {e.layer_name: e for e in exposures}
    if isinstance(layer, Layer):
        name = layer.name
    elif layer is not None:
        name = layer.lower()
    elif len(found) == 1:
        (name,) = found
    else:
        raise PlanError(f"say which layer: there are {', '.join(sorted(found)) or 'no exposures'}")
    if name not in found:
        raise PlanError(f"no exposure of layer {name}; there are {', '.join(sorted(found))}")
    return layer if isinstance(layer, Layer) else Layer.of(found[name], scale)


def frame_of_place(where: Frame | SkyCell | str | HeaderLike, scale: str = "fine") -> Frame:
    """Give the frame that a user means.

    Parameters
    ----------
    where : Frame, SkyCell, str or mapping
        A sky cell may be given by its name, any grid by its WCS header.
    scale : {"fine", "coarse"}
        Of a sky cell.

    Raises
    ------
    PlanError
        If it is a whole projection cell.
    FrameError, ParameterError
        If the header is no tangent plane, or there is no such cell.
    """
    if isinstance(where, Frame):
        return where
    if not isinstance(where, SkyCell | str):
        return Frame.from_header(where)
    cell = SkyGrid()[where] if isinstance(where, str) else where
    if not isinstance(cell, SkyCell):
        raise PlanError(f"{where!r} is a whole projection cell; take its frame({scale!r})")
    return cell.frame(scale)
