"""Whether some exposures can be made into one mosaic, told before any pixel is read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from hapdask.errors import PlanError
from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)

_NAMED = 3  # exposures named of a group


def check_together(exposures: Sequence[ExposureRecord]) -> tuple[str, ...]:
    """Check that exposures belong together.

    Parameters
    ----------
    exposures : sequence of ExposureRecord

    Returns
    -------
    tuple of str
        What a user should know: several filters, exposures with and without CTE correction, groups
        that do not overlap.

    Raises
    ------
    PlanError
        As `refuse_mixture`.
    """
    refuse_mixture(exposures)
    warnings = []
    filters = _groups(exposures, lambda e: e.filter)
    if len(filters) > 1:
        warnings.append(f"several filters go into one mosaic: {_told(filters)}")
    suffixes = _groups(exposures, lambda e: e.suffix)
    if len(suffixes) > 1:
        warnings.append(f"some exposures are CTE-corrected (flc), others not: {_told(suffixes)}")
    apart = overlapping(exposures)
    if len(apart) > 1:
        groups = "; ".join(f"{number}: {_few(each)}" for number, each in enumerate(apart, 1))
        warnings.append(
            f"the exposures are {len(apart)} groups that do not overlap each other ({groups}): "
            "their skies cannot be matched, and an exposure alone has no partner to find its "
            "cosmic rays by"
        )
    for warning in warnings:
        log.warning("%s", warning)
    return tuple(warnings)


def refuse_mixture(exposures: Sequence[ExposureRecord]) -> None:
    """Refuse exposures that no mosaic can be made of.

    Raises
    ------
    PlanError
        If there is none; if they are of several detectors or units; if two have one name.
    """
    if not exposures:
        raise PlanError("no exposure is left: see the verdicts for why each was left out")
    _refuse_several(exposures, _detector, "detectors")
    _refuse_several(exposures, lambda e: e.unit, "units")
    _refuse_repeated(exposures)


def overlapping(exposures: Sequence[ExposureRecord]) -> tuple[tuple[ExposureRecord, ...], ...]:
    """Sort exposures into groups that do not touch each other, by their footprints.

    Parameters
    ----------
    exposures : sequence of ExposureRecord

    Returns
    -------
    tuple of tuple of ExposureRecord
        In their order; within a group every exposure is reached from every other over overlaps.
    """
    footprints = [exposure.footprint for exposure in exposures]
    caps = [footprint.bounding_cap for footprint in footprints]
    middles = np.array([cap.vector for cap in caps]).reshape(-1, 3)
    radii = np.radians([cap.radius for cap in caps])
    unseen = np.ones(len(footprints), dtype=np.bool_)
    groups = []
    for start in range(len(footprints)):
        if not unseen[start]:
            continue
        unseen[start] = False
        group = [start]
        for here in group:  # it grows as overlaps are found
            reach = radii[here] + radii
            near = np.linalg.norm(middles - middles[here], axis=1) <= reach  # chords are shorter
            found = [
                int(k)
                for k in np.flatnonzero(near & unseen)
                if footprints[here].overlaps(footprints[k])
            ]
            unseen[found] = False
            group += found
        groups.append(tuple(exposures[k] for k in sorted(group)))
    return tuple(groups)


def _detector(exposure: ExposureRecord) -> str:
    return f"{exposure.instrument}/{exposure.detector}".upper()


def _groups(
    exposures: Sequence[ExposureRecord], key: Callable[[ExposureRecord], str]
) -> dict[str, list[ExposureRecord]]:
    found: defaultdict[str, list[ExposureRecord]] = defaultdict(list)
    for exposure in exposures:
        found[key(exposure)].append(exposure)
    return dict(found)


def _refuse_several(
    exposures: Sequence[ExposureRecord], key: Callable[[ExposureRecord], str], what: str
) -> None:
    found = _groups(exposures, key)
    if len(found) > 1:
        raise PlanError(
            f"one mosaic cannot be made of several {what}: {_told(found)}. Make a run for each"
        )


def _refuse_repeated(exposures: Sequence[ExposureRecord]) -> None:
    for name, same in _groups(exposures, lambda e: e.name).items():
        if len(same) > 1:
            urls = ", ".join(exposure.url for exposure in same)
            raise PlanError(
                f"{len(same)} exposures have the name {name} (ROOTNAME): {urls}. Leave all but one "
                "out, or mend the headers"
            )


def _told(groups: dict[str, list[ExposureRecord]]) -> str:
    """Tell some groups, each with an exposure of it."""
    return ", ".join(f"{key or 'none'} ({_few(each, 1)})" for key, each in groups.items())


def _few(exposures: Sequence[ExposureRecord], most: int = _NAMED) -> str:
    names = ", ".join(exposure.name for exposure in exposures[:most])
    more = len(exposures) - most
    return f"{names} and {more} more" if more > 0 else names
