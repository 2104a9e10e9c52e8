"""A direct exposure without sources follows the others of its visit, where these agree.

Not here: which exposures may follow (the recipe knows why they have no fit).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.following.guide_stars import (
    MOST_SCATTER,
    error_beside,
    place_of,
    pointing_of,
    same_way,
    scatter_of,
)
from hapdask.astrometry.grism.between import shift_at
from hapdask.astrometry.grism.names import basis_of, is_fitted
from hapdask.observe.record import ExposureRecord

#: Method of a placement that was taken over from other exposures.
FOLLOWED = "followed"
#: Exposures that must agree.
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Leader:
    """An exposure that is tied to a catalog.

    Attributes
    ----------
    record : ExposureRecord
        As opened.
    placement : Placement
    """

    record: ExposureRecord
    placement: Placement


def follow(
    record: ExposureRecord,
    placement: Placement,
    leaders: Sequence[Leader],
    *,
    header_rotation: float,
) -> Placement:
    """Place an exposure by others of its visit and detector that were guided alike.

    It takes the correction of the nearest in time, where at least two agree within `MOST_SCATTER`
    on how far its middle moves.

    Parameters
    ----------
    record : ExposureRecord
        As opened.
    placement : Placement
        Its own, unaligned.
    leaders : sequence of Leader
        Of any visits, itself not among them.
    header_rotation : float, degrees
        Uncertainty of its roll.

    Returns
    -------
    Placement
        ``relative``, with the nearest one's stated error and that beside it (`error_beside`); or
        as it was, with a reason that says why it does not follow.
    """
    if is_fitted(record.wcsname) or record.correction is not None:
        return placement  # its error is not that of the guide stars
    able = [each for each in leaders if _leads(each, record)]
    if not able:
        return placement
    middle = pointing_of(record)
    scatter = scatter_of([_shift(each, middle) for each in able])
    if scatter is None or len(able) < _LEAST:
        why = f"{able[0].record.name} alone does not tell where it is"
    elif scatter > MOST_SCATTER:
        why = f"the {len(able)} others of its visit differ by {scatter:.0f} mas"
    else:
        return _following(record, placement, able, scatter, header_rotation)
    return replace(placement, reason=f"{placement.reason}; {why}")


def _leads(leader: Leader, record: ExposureRecord) -> bool:
    other = leader.record
    return (
        place_of(other) == place_of(record)
        and basis_of(other.wcsname) == basis_of(record.wcsname)
        and same_way(record, other)
    )


def _shift(leader: Leader, middle: tuple[float, float]) -> tuple[float, float]:
    """How far the correction of an exposure moves a place, mas; nothing where it stays."""
    correction = leader.placement.correction
    if correction is None:
        return 0.0, 0.0
    east, north = shift_at(correction, *middle).tolist()
    return east, north


def _following(
    record: ExposureRecord,
    placement: Placement,
    able: Sequence[Leader],
    scatter: float,
    header_rotation: float,
) -> Placement:
    nearest = min(able, key=lambda e: (abs(e.record.mid_mjd - record.mid_mjd), e.record.name))
    led, name = nearest.placement, nearest.record.name
    minutes = 1440.0 * abs(nearest.record.mid_mjd - record.mid_mjd)
    beside = error_beside(record, minutes=minutes, scatter=scatter, header_rotation=header_rotation)
    told = f"follows {name}" + ("" if led.correction is not None else ", which stays")
    return replace(
        placement,
        status="relative",
        reason=f"{told}: the {len(able)} others of its visit agree within {scatter:.1f} mas; "
        f"{placement.reason}",
        correction=led.correction,
        method=FOLLOWED,
        geometry=led.geometry,
        error_mas=math.hypot(led.error_mas, beside),
        relative_mas=beside,
        header_mas=math.nan if led.correction is not None else 0.0,
        reference=name,
    )
