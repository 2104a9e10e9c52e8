"""Exposures that a published release has: they are put where it has them, once.

Not here: new exposures, which are tied to those (`joining`).
"""

from __future__ import annotations

import math

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.solution.inputs import middle_of
from hapdask.astrometry.solution.release import Release, SolvedExposure
from hapdask.observe.record import ExposureRecord
from hapdask.sky.tangent import project

#: Two places of the middle of an exposure that are nearer than this are one, mas.
_SAME_MAS = 1.0


def place_held(opened: ExposureRecord, published: Release) -> Placement:
    """Place an exposure where a published release has it.

    A release tells how far an exposure moves from the WCS that it was solved with.  One that is
    opened with the WCS of the release itself (an updated copy, an input changed in place) stays;
    one with any other WCS cannot be placed.

    Parameters
    ----------
    opened : ExposureRecord
    published : Release
        That has it.
    """
    solved, version = published[opened.name], published.version
    if solved.verdict.status == "rejected":
        return Placement(opened.name, reason=f"release {version}: {solved.verdict.reason}")
    correction = solved.correction
    east, north = _from_middle(opened, solved)
    moved = math.hypot(east - 1000.0 * correction.shift[0], north - 1000.0 * correction.shift[1])
    off = math.hypot(east, north)
    if min(off, moved) > _SAME_MAS:
        return Placement(
            opened.name,
            reason=f"release {version} was solved with another WCS, {off:.0f} mas from "
            f"{opened.wcsname or 'this one'} (give the exposure with the WCS that it had then)",
        )
    tied = solved.tie != "header"
    there = moved < off  # it carries the solution already
    return Placement(
        opened.name,
        status=("confirmed" if there else "aligned") if tied else "relative",
        reason=f"held as in release {version}" + (", whose WCS it has" if there else ""),
        correction=None if there else correction,
        catalog=f"release{version}",
        method="joint",
        geometry=solved.geometry,
        matches=solved.used,
        rms_mas=math.hypot(*solved.rms),
        error_mas=math.sqrt(2.0) * solved.error_mas(),
        header_mas=0.0 if there else math.nan,
        grade=1 if solved.tie == "references" else 2,
    )


def _from_middle(opened: ExposureRecord, solved: SolvedExposure) -> tuple[float, float]:
    """Where the middle of an exposure lies from that of the one that was solved, mas."""
    xi, eta = project(*middle_of(opened), *solved.center)
    return 3600.0e3 * float(xi), 3600.0e3 * float(eta)
