"""Exposures that were placed, as the joint solution takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.astrometry.sources import SourceList
from hapdask.observe.record import ExposureRecord

Floats = NDArray[np.float64]
Sky = tuple[Floats, Floats]

#: Placements that the joint solution may start from: those that are tied to the sky.
_STARTS = ("aligned", "confirmed")


def joint_geometry(placement: Placement) -> str:
    """Give the geometry that the joint solution fits to an exposure.

    The one that the matches were shown to ask for: a scale that is not there costs accuracy.  A
    roll is always wrong by something, and the header's error of it is known.
    """
    return placement.geometry if placement.geometry in ("rscale", "general") else "rshift"


@dataclass(frozen=True, eq=False)
class Member:
    """An exposure that was placed.

    Attributes
    ----------
    placement : Placement
    sources : ExposureSources
        By the header, with the placement's correction as the start.
    outline : tuple of ndarray of float64, degrees
        RA and Dec of points around it by the header.
    """

    placement: Placement
    sources: ExposureSources
    outline: Sky

    @classmethod
    def of(
        cls,
        record: ExposureRecord,
        sources: SourceList,
        placement: Placement,
        *,
        galaxy: NDArray[np.bool_] | None = None,
    ) -> Member:
        """Take a record as opened, the sources found on it, and where it was placed.

        Raises
        ------
        ParameterError
            If the record carries a correction, or the sources are another exposure's.
        """
        borders = [chip.border() for chip in record.chips]
        ra, dec = (np.concatenate([b[k] for b in borders]) for k in (0, 1))
        given = ExposureSources.of(
            record,
            sources,
            galaxy=galaxy,
            start=placement.correction,
            geometry=joint_geometry(placement),
        )
        return cls(placement, given, (ra, dec))

    @property
    def starts(self) -> bool:
        """Whether it takes part."""
        return self.placement.status in _STARTS and len(self.sources) > 0
