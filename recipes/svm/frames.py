"""The grid that the products of a detector share: north up, around all its exposures.

A visit that looked at targets far apart has a grid for each: one around all would be empty sky.
Not here: grids of runs of AstroDrizzle (`hapdask.drizzling.output_frame`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hapdask.drizzling.frame_request import FrameRequest
from hapdask.drizzling.output_frame import output_frame
from hapdask.observe.adjusting.together import overlapping
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

#: A frame of more pixels must be filled by this part at least by the areas of its exposures.
_LARGE, _FILLED = 150_000_000, 0.25

Records = Sequence[ExposureRecord]


def visit_frame(records: Records, scale: float | None = None) -> Frame:
    """Give the grid of some exposures of one detector.

    Parameters
    ----------
    records : sequence of ExposureRecord
        With their header cards, in HAP's order: the first chip of the first gives the scale.
    scale : float, arcsec / pixel, optional
        In place of that of the first chip.

    Returns
    -------
    Frame
        North up, around all chips.

    Raises
    ------
    PlanError
        If the records reach too far for one tangent plane, or have no header cards.

    Notes
    -----
    Source: `make_mosaic_wcs` of DrizzlePac 3.11 (facts; no code).
    """
    return output_frame(records, FrameRequest(rotation=0.0, scale=scale))


def fields_of(records: Records) -> tuple[tuple[ExposureRecord, ...], ...]:
    """Sort the exposures of one detector into fields, each of which has a grid.

    Parameters
    ----------
    records : sequence of ExposureRecord

    Returns
    -------
    tuple of tuple of ExposureRecord
        The one with most exposures first; nearly always one.
    """
    groups = overlapping(records)
    if len(groups) < 2 or _is_reasonable(records):
        return (tuple(records),)
    return tuple(sorted(groups, key=len, reverse=True))


def _is_reasonable(records: Records) -> bool:
    """Whether one grid around all is not mostly empty."""
    from hapdask.errors import PlanError

    try:
        pixels = math.prod(visit_frame(records).shape)
    except PlanError:  # beyond any tangent plane
        return False
    own = sum(chip.shape[0] * chip.shape[1] for record in records for chip in record.chips)
    return pixels <= _LARGE or own >= _FILLED * pixels
