"""The fields of a visit: exposures that lie together, and share a grid.

A visit that looked at targets far apart has a grid for each: one around all would be empty sky.
Not here: the grid of a field (`hapdask.drizzling.visit_frame`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hapdask.drizzling.visit_frame import visit_frame
from hapdask.errors import PlanError
from hapdask.observe.adjusting.together import overlapping
from hapdask.observe.record import ExposureRecord

#: A frame of more pixels must be filled by this part at least by the areas of its exposures.
_LARGE, _FILLED = 150_000_000, 0.25

Records = Sequence[ExposureRecord]


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
    try:
        pixels = math.prod(visit_frame(records).shape)
    except PlanError:  # beyond any tangent plane
        return False
    own = sum(chip.shape[0] * chip.shape[1] for record in records for chip in record.chips)
    return pixels <= _LARGE or own >= _FILLED * pixels
