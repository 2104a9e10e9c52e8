"""Which window of a sky cell is exported: the box that holds the data of all its layers.

The archive trims its cells so, and all layers of a cell alike.  Not here: the export itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xarray as xr

from hapdask.products.blocks import blocks_of
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame

Box = tuple[slice, slice]

_MEMORY = 64 << 20


def common_box(layers: Iterable[xr.DataArray]) -> Box | None:
    """Give the smallest box of pixels that holds the data of every layer of a cell.

    Parameters
    ----------
    layers : iterable of DataArray
        ``wht`` or ``nexp`` of each layer, on one frame, lazy or not; pixels above 0 have data.

    Returns
    -------
    tuple of slice, or None
        Rows and columns, for ``dataset.isel(y=..., x=...)`` and ``frame[rows, columns]``; None
        if no layer has data.
    """
    low, high = [math.inf, math.inf], [-1, -1]
    for layer in layers:
        for block in blocks_of(layer.to_dataset(name="depth"), _MEMORY):
            mask = block.data["depth"] > 0
            for axis, start in enumerate((block.y0, block.x0)):
                hits = np.flatnonzero(mask.any(axis=1 - axis))
                if hits.size:
                    low[axis] = min(low[axis], start + int(hits[0]))
                    high[axis] = max(high[axis], start + int(hits[-1]) + 1)
    if high[0] < 0:
        return None
    return slice(int(low[0]), high[0]), slice(int(low[1]), high[1])


def footprint_box(footprints: Iterable[Footprint], frame: Frame) -> Box | None:
    """Give the box of a frame that some footprints cover, from their corners alone.

    Nothing is computed: this is how a cell is trimmed before its pixels exist.

    Parameters
    ----------
    footprints : iterable of Footprint
        Of all exposures of all layers of a cell.
    frame : Frame
        The whole cell.

    Returns
    -------
    tuple of slice, or None
        As `common_box`, from which it differs by few pixels; None if nothing overlaps.
    """
    boxes = []
    for footprint in footprints:
        for ra, dec in footprint.polygons:
            x, y = frame.sky_to_pixel(ra, dec)
            if np.isfinite(x).all() and np.isfinite(y).all():
                boxes.append(_clip(y, frame.shape[0]) + _clip(x, frame.shape[1]))
    boxes = [box for box in boxes if box[0] < box[1] and box[2] < box[3]]
    if not boxes:
        return None
    low, high = np.min(boxes, axis=0).tolist(), np.max(boxes, axis=0).tolist()
    return slice(low[0], high[1]), slice(low[2], high[3])


def _clip(positions: npt.NDArray[np.float64], n: int) -> tuple[int, int]:
    """Give the pixels between the extremes of some positions: first, and last plus one."""
    first, last = np.clip(np.rint([positions.min(), positions.max()]), -1, n)
    return max(int(first), 0), min(int(last) + 1, n)
