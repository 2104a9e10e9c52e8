"""Fields: the exposures of one visit and detector that lie together on the sky.

What is aligned as one.  Two targets of a visit are two fields, and so is an exposure whose header
is wrong by a degree.  Not here: which exposures see the same stars (`astrometry.fitting`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.references.region import Cone, bounding_cone
from hapdask.observe.record import ExposureRecord
from hapdask.sky.footprint import Cap

Floats = NDArray[np.float64]

#: Exposures so far apart, degrees, are no neighbours whatever their headers' errors.
_APART = 60.0 / 3600.0


@dataclass(frozen=True)
class Field:
    """Exposures that are aligned as one.

    Attributes
    ----------
    exposures : tuple of ExposureRecord
        As opened, in the order given.
    apart : float, degrees
        From the nearest other exposure of the visit and detector, which is too far to be of this
        field; NaN where there is none.
    """

    exposures: tuple[ExposureRecord, ...]
    apart: float = math.nan

    @property
    def name(self) -> str:
        """Visit and detector, for people."""
        first = self.exposures[0]
        return f"{first.visit} {first.instrument}/{first.detector}"

    @property
    def mjd(self) -> float:
        """Mean of the middles of the exposures, the same bits for any order of them."""
        return math.fsum(e.mid_mjd for e in self.exposures) / len(self.exposures)

    @property
    def pixel_scale(self) -> float:
        """Of the detector, arcsec."""
        return self.exposures[0].chips[0].distortion.pixel_scale

    def cone(self, margin: float) -> Cone:
        """Circle around it.

        Parameters
        ----------
        margin : float, arcsec
        """
        footprint = reduce(or_, (e.footprint for e in self.exposures))
        return bounding_cone(footprint, margin / 3600.0)


def fields_of(records: Sequence[ExposureRecord], *, together: bool = False) -> list[Field]:
    """Group exposures into fields, in the order of their first ones.

    Parameters
    ----------
    records : sequence of ExposureRecord
    together : bool
        Whatever their visits and detectors, as TweakReg takes them.
    """
    caps = [record.footprint.bounding_cap for record in records]
    by_visit: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, record in enumerate(records):
        key = "" if together else f"{record.instrument}/{record.detector}"
        by_visit["" if together else record.visit, key].append(k)
    groups = [
        (group, _nearest(group, [m for m in members if m not in group], caps))
        for members in by_visit.values()
        for group in _connected(members, caps)
    ]
    return [Field(tuple(records[k] for k in group), apart) for group, apart in sorted(groups)]


def outline_of(record: ExposureRecord) -> tuple[Floats, Floats]:
    """Points around an exposure: RA and Dec of its chips' borders, degrees."""
    borders = [chip.border() for chip in record.chips]
    return np.concatenate([b[0] for b in borders]), np.concatenate([b[1] for b in borders])


def _connected(members: list[int], caps: Sequence[Cap]) -> list[list[int]]:
    """Put together those whose circles nearly touch."""
    groups: list[list[int]] = []
    for k in members:
        near = [group for group in groups if any(_touch(caps[k], caps[m]) for m in group)]
        groups = [group for group in groups if group not in near]
        groups.append(sorted([k, *(m for group in near for m in group)]))
    return groups


def _nearest(group: list[int], others: list[int], caps: Sequence[Cap]) -> float:
    return min((_away(caps[a], caps[b]) for a in group for b in others), default=math.nan)


def _touch(one: Cap, other: Cap) -> bool:
    return _away(one, other) < one.radius + other.radius + _APART


def _away(one: Cap, other: Cap) -> float:
    """Tell the distance of the middles of two circles, degrees."""
    chord = float(np.linalg.norm(one.vector - other.vector))
    return math.degrees(2.0 * math.asin(min(0.5 * chord, 1.0)))
