"""Exposures that a published release has: they are put where it has them, once.

Not here: new exposures, which are tied to those (`joining`).
"""

from __future__ import annotations

import math

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.standing import other_wcs, standing_of
from hapdask.observe.record import ExposureRecord


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
    standing = standing_of(opened, solved)
    if standing.wcs == "other":
        return Placement(opened.name, reason=other_wcs(opened, standing, version))
    tied = solved.tie != "header"
    there = standing.wcs == "solution"
    return Placement(
        opened.name,
        status=("confirmed" if there else "aligned") if tied else "relative",
        reason=f"held as in release {version}" + (", whose WCS it has" if there else ""),
        correction=None if there else solved.correction,
        catalog=f"release{version}",
        method="joint",
        geometry=solved.geometry,
        matches=solved.used,
        rms_mas=math.hypot(*solved.rms),
        error_mas=math.sqrt(2.0) * solved.error_mas(),
        header_mas=0.0 if there else math.nan,
        grade=1 if solved.tie == "references" else 2,
    )
