"""The final step of a run: its plan, and the lazy mosaic in the units that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle
from hapdask.drizzling import steps
from hapdask.drizzling.plan import EVERY_FILTER, TILE, Layer, Plan, make_plan
from hapdask.errors import PlanError
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.mosaic import dataset_of
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.drizzling.step_graphs import Rejected


def plan_final(
    exposures: Sequence[ExposureRecord],
    frame: Frame,
    parameters: AstroDrizzleParameters,
    variables: Sequence[str],
) -> Plan:
    """Plan a mosaic of exposures of one detector, whatever their filters.

    Raises
    ------
    PlanError
        If none of them reaches the frame.
    """
    layer = Layer.of(exposures[0], "custom")
    if len({exposure.filter for exposure in exposures}) > 1:
        layer = replace(layer, filter=EVERY_FILTER)
    final = steps.final_parameters(parameters)
    plan = make_plan(exposures, frame, layer, final, tile=TILE, variables=variables)
    if not plan.tiles:
        raise PlanError("no exposure reaches the frame of the product: check final_* or frame")
    return plan


def final_mosaic(
    plan: Plan,
    exposures: Sequence[ExposureRecord],
    resolved: ResolvedAstroDrizzle,
    notes: tuple[str, ...],
    rejected: Rejected | None,
) -> xr.Dataset:
    """Make the lazy mosaic of a plan.

    Parameters
    ----------
    plan : Plan
    exposures : sequence of ExposureRecord
        Of the plan, in the order of the run, with their header cards.
    resolved : ResolvedAstroDrizzle
    notes : tuple of str
        For the headers of the product.
    rejected : Rejected or None
        Nodes that find cosmic rays, where masks do not hold them yet.
    """
    from hapdask.products.finishing import finish_mosaic
    from hapdask.products.told import run_attributes

    records = {exposure.name: exposure for exposure in exposures}
    dataset = dataset_of(plan, rejected).assign_attrs(
        run_attributes(resolved, notes) | {"records": records}
    )
    return finish_mosaic(dataset, exposures, resolved.parameters)
