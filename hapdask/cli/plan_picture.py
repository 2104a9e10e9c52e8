"""A plan as a picture: tiles coloured by depth, outlines of exposures and sky cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hapdask.cli.plan_map import PlanMap, plan_maps
from hapdask.products.objects import storage_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hapdask.recipes.sky_cells import Job
    from hapdask.sky.footprint import Footprint

_SIDE = 6.5  # inches of one map
_COLOURS = ("#e8590c", "#1971c2", "#c2255c", "#2f9e44", "#6741d9", "#e67700")


def draw_plan(jobs: Sequence[Job], path: Path) -> Path:
    """Draw the maps of some jobs into one picture.

    Parameters
    ----------
    jobs : sequence of Job
    path : Path
        Of the picture; its suffix says of which kind (png, pdf, svg).

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    from matplotlib.figure import Figure

    maps = plan_maps(jobs)
    figure = Figure(figsize=(_SIDE * len(maps) + 0.8, _SIDE), layout="constrained")
    deepest = max(part.deepest for part in maps)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    layers = sorted({e.layer_name for part in maps for e in part.exposures.values()})
    colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(layers)}
    for panel, part in zip(panels, maps, strict=True):
        image = _draw_map(panel, part, deepest)
        _draw_footprints(panel, part, colours)
        _draw_places(panel, part)
    ticks = np.unique(np.linspace(1, deepest, min(deepest, 9)).round())
    figure.colorbar(image, ax=list(panels), label="exposures in a tile", ticks=ticks, shrink=0.8)
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    return path


def _draw_map(panel: Axes, part: PlanMap, deepest: int) -> Any:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    squares = [
        Rectangle((tx * part.tile - 0.5, ty * part.tile - 0.5), part.tile, part.tile)
        for ty, tx in part.inputs
    ]
    tiles = PatchCollection(squares, cmap="YlGnBu", edgecolor="white", linewidth=0.8, alpha=0.6)
    tiles.set_array(np.array([len(names) for names in part.inputs.values()]))
    tiles.set_clim(0, deepest)
    panel.add_collection(tiles)
    index = np.array(list(part.inputs))
    low, high = index.min(axis=0) * part.tile, (index.max(axis=0) + 1) * part.tile
    margin = 0.05 * float((high - low).max())
    panel.set_xlim(low[1] - margin, high[1] + margin)
    panel.set_ylim(low[0] - margin, high[0] + margin)
    panel.set_aspect("equal")
    panel.ticklabel_format(useOffset=False, style="plain")
    panel.tick_params(labelsize=8)
    scale = part.places[0].root.pixel_scale
    panel.set_title(f"{part.places[0].group.rpartition('/')[2]}, {scale:.4g} arcsec", fontsize=11)
    panel.set_xlabel("x of the whole grid (pixel)")
    panel.set_ylabel("y (pixel)")
    return tiles


def _draw_footprints(panel: Axes, part: PlanMap, colours: Mapping[str, str]) -> None:
    told = set()
    for exposure in part.exposures.values():
        name = exposure.layer_name
        for x, y in _outlines(exposure.footprint, part):
            label = None if name in told else name
            panel.plot(x, y, color=colours[name], linewidth=1.0, label=label)
            told.add(name)
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, fontsize=9, frameon=False)


def _draw_places(panel: Axes, part: PlanMap) -> None:
    """Outline the windows, each with its name at the top of the part that is seen."""
    (low_x, high_x), high_y = panel.get_xlim(), panel.get_ylim()[1]
    for place in part.places:
        y0, y1, x0, x1 = place.window.box
        panel.plot(
            [x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0],
            color="0.25", linewidth=1.6, linestyle=(0, (6, 3)), scalex=False, scaley=False,
        )  # fmt: skip
        if place.cell is not None:
            middle = (max(x0, low_x) + min(x1, high_x)) / 2
            panel.annotate(
                place.cell.id, (middle, min(y1, high_y)), (0, -4),
                textcoords="offset points", fontsize=9, ha="center", va="top",
            )  # fmt: skip


def _outlines(footprint: Footprint, part: PlanMap) -> list[tuple[Any, Any]]:
    """Give closed outlines in the pixels of the whole grid."""
    root = part.places[0].root
    (y0, x0), found = root.origin, []
    for ra, dec in footprint.polygons:
        x, y = root.sky_to_pixel(ra, dec)
        found.append((np.append(x, x[0]) + x0, np.append(y, y[0]) + y0))
    return found
