"""The sky floor: pixel grids, regions of sky, and the all-sky tessellation.

`Frame` is a pixel grid, `Footprint` a region, `SkyGrid`, `ProjectionCell` and `SkyCell` the
tessellation. Nothing here knows of exposures, pixels' values or files.
"""

from __future__ import annotations

from hapdask.sky.cells import ProjectionCell, SkyCell
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid

__all__ = ["Footprint", "Frame", "ProjectionCell", "SkyCell", "SkyGrid"]
