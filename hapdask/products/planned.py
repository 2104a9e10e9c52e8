"""The palette of a mosaic that is not stored: made with its tiles, when it is asked for."""

from __future__ import annotations

from typing import Any

from hapdask.drizzling.build import lazy_palettes
from hapdask.drizzling.plan import Plan
from hapdask.products.provenance import Identified, TiledPalette
from hapdask.sky.frame import Frame


class PlannedPalette(Identified, TiledPalette):
    """Palette of a plan.

    Computed together with the mosaic's variables (as exports do), no tile is made twice; asked
    by itself, the tiles in question are made for it.

    Parameters
    ----------
    plan : Plan
    window : Frame, optional
        Only the tiles that touch it.
    palettes : dask.array.Array, optional
        What `lazy_palettes` gave for the plan, where not for the plan alone.
    """

    def __init__(self, plan: Plan, window: Frame | None = None, palettes: Any = None) -> None:
        self._plan = plan
        self._window = plan.frame if window is None else window & plan.frame
        self._palettes = lazy_palettes(plan) if palettes is None else palettes

    def within(self, window: Frame) -> PlannedPalette:
        """Palette of the tiles that touch a window."""
        return PlannedPalette(self._plan, window & self._window, self._palettes)

    def parts(self) -> Any:
        """Lazy array of the palettes of the tiles."""
        whole, tile = self._plan.frame.box, self._plan.tile
        box = self._window.box
        if self._window.empty:
            return ()
        rows, columns = (
            slice(box[k] // tile - whole[k] // tile, -(-box[k + 1] // tile) - whole[k] // tile)
            for k in (0, 2)
        )
        return self._palettes[rows, columns]

    def __repr__(self) -> str:
        return f"<palette of {len(self._plan.tiles)} planned tiles>"

    @property
    def _identity(self) -> tuple[object, ...]:
        return ("PlannedPalette", self._palettes.name, self._window.box)
