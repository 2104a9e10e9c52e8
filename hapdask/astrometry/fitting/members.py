"""Exposures that were placed, as the joint solution takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.solution.geometry import LEVER
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.astrometry.sources import SourceList
from hapdask.observe.record import ExposureRecord

Floats = NDArray[np.float64]
Sky = tuple[Floats, Floats]

#: Geometries that leave the header's scale as it is; no geometry: the header stays altogether.
_UNSCALED = ("", "shift", "rshift")
#: Placements that the joint solution may start from: those that are tied to the sky.
_STARTS = ("aligned", "confirmed")


def joint_geometry(placement: Placement) -> str:
    """Give the geometry that the joint solution fits to an exposure.

    Roll and scale are always wrong by something, and how far headers may be is known: to leave
    out a scale that the matches alone did not prove is an error that nobody states.
    """
    return "general" if placement.geometry == "general" else "rscale"


def unscaled_mas(geometry: str, xi: Floats, eta: Floats, given: Mapping[str, Any]) -> float:
    """Give the error of a header's scale, rms over an exposure, that a fit leaves there, mas.

    Parameters
    ----------
    geometry : str
        Of the fit.
    xi, eta : ndarray of float64, arcsec
        Places all over the exposure.
    given : mapping
        `JointParameters` as plain data: how wrong a scale may be.
    """
    if geometry not in _UNSCALED:
        return 0.0
    away = float(np.sqrt(np.mean((xi - xi.mean()) ** 2 + (eta - eta.mean()) ** 2)))
    return math.hypot(given["header_scale"], given["exposure_scale"]) * away / LEVER


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
