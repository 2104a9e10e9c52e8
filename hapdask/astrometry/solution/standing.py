"""Which WCS an exposure comes with, beside the one that a joint solution started from.

A solution tells how far an exposure moves from the WCS that it was solved with: it must not be
applied to any other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from hapdask.astrometry.solution.inputs import middle_of
from hapdask.observe.record import ExposureRecord
from hapdask.sky.tangent import project

if TYPE_CHECKING:
    from hapdask.astrometry.solution.release import SolvedExposure

#: Two places of the middle of an exposure that are nearer than this are one, mas.
_SAME_MAS = 1.0


class Standing(NamedTuple):
    """Where an exposure stands: with the WCS that was solved, the solution itself, or another.

    ``off_mas`` is the distance of its middle from the place that was solved.
    """

    wcs: Literal["start", "solution", "other"]
    off_mas: float


def standing_of(opened: ExposureRecord, solved: SolvedExposure) -> Standing:
    """Tell which WCS an exposure was opened with.

    Parameters
    ----------
    opened : ExposureRecord
        Without a correction.
    solved : SolvedExposure
        Of the same exposure.
    """
    xi, eta = project(*middle_of(opened), *solved.center)
    east, north = 3600.0e3 * float(xi), 3600.0e3 * float(eta)
    shift = solved.correction.shift
    moved = math.hypot(east - 1000.0 * shift[0], north - 1000.0 * shift[1])
    off = math.hypot(east, north)
    if min(off, moved) > _SAME_MAS:
        return Standing("other", off)
    return Standing("solution" if moved < off else "start", off)


def other_wcs(opened: ExposureRecord, standing: Standing, version: int) -> str:
    """Say why an exposure cannot be put where a release has it."""
    return (
        f"release {version} was solved with another WCS, {standing.off_mas:.0f} mas from "
        f"{opened.wcsname or 'this one'} (give the exposure with the WCS that it had then)"
    )
