"""Where the tiles of a plan are and how deep: the maps that are printed and drawn.

One map per grid (projection cell and scale, or frame): all layers and all its sky cells together,
for they are windows of one grid.  Depth counts exposures, whatever their layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hapdask.cli.console import plural

if TYPE_CHECKING:
    from hapdask.observe.record import ExposureRecord
    from hapdask.recipes.sky_cells import Job, Place

Index = tuple[int, int]


@dataclass
class PlanMap:
    """The tiles of one grid.

    Attributes
    ----------
    places : list of Place
        Its sky cells, or the frame.
    tile : int
        Side of a tile, pixels.
    inputs : dict of (ty, tx) to set of str
        Names of the exposures of each tile.
    exposures : dict of str to ExposureRecord
    """

    tile: int
    places: list[Place] = field(default_factory=list)
    inputs: dict[Index, set[str]] = field(default_factory=dict)
    exposures: dict[str, ExposureRecord] = field(default_factory=dict)

    @property
    def deepest(self) -> int:
        """Exposures of the deepest tile."""
        return max(len(names) for names in self.inputs.values())

    @property
    def title(self) -> str:
        """What the map shows."""
        frame = self.places[0].root
        names = ", ".join(place.name.removeprefix("skycell-") for place in self.places[:4])
        more = f" and {len(self.places) - 4} more" if len(self.places) > 4 else ""
        side = self.tile * frame.pixel_scale / 60.0
        return (
            f"{names}{more}: {plural(len(self.inputs), 'tile')} of {self.tile} pixels of "
            f"{frame.pixel_scale:.4g} arcsec ({side:.2g} arcmin), exposures in each; "
            + ("north up, east left" if self.places[0].cell else "y up, x to the right")
        )

    def rows(self, width: int) -> list[list[int]]:
        """Depth by rows, the top one first; tiles are joined until a row has that many at most."""
        step = 1
        while True:
            joined: dict[Index, int] = {}
            for (ty, tx), names in self.inputs.items():
                index = (ty // step, tx // step)
                joined[index] = max(joined.get(index, 0), len(names))
            ys, xs = {y for y, _ in joined}, {x for _, x in joined}
            if max(xs) - min(xs) < width:
                break
            step *= 2
        columns = range(min(xs), max(xs) + 1)
        return [[joined.get((y, x), 0) for x in columns] for y in range(max(ys), min(ys) - 1, -1)]


def plan_maps(jobs: Sequence[Job]) -> list[PlanMap]:
    """Make one map per grid of some jobs.

    The archive's own coarse grids repeat what the coarse layers show, and are left out.
    """
    maps: dict[object, PlanMap] = {}
    for job in jobs:
        place = job.place
        if place.cell is not None and place.group.startswith("custom/"):
            continue
        part = maps.setdefault(place.root.root_key, PlanMap(job.plan.tile))
        if place not in part.places:
            part.places.append(place)
        for exposure in job.plan.exposures:
            part.exposures[exposure.name] = exposure
        for tile in job.plan.tiles:
            names = {job.plan.exposures[i.exposure].name for i in tile.inputs}
            part.inputs.setdefault(tile.index, set()).update(names)
    return list(maps.values())
