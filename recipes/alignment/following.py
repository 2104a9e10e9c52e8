"""Exposures with too few sources: they follow the others of their visit, where these agree.

One whose own sources contradict a fit never follows.  Not here: how (`astrometry.following`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.following.followers import Leader, follow
from hapdask.config.alignment import AlignmentParameters
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.detecting import Detected
from hapdask.recipes.alignment.held import place_held
from hapdask.recipes.alignment.placing import TIED
from hapdask.recipes.alignment.planning import Planned


def let_follow(
    planned: Planned, detected: Mapping[str, Detected], placements: Mapping[str, Placement]
) -> dict[str, Placement]:
    """Give the placements of all exposures, with those that follow others.

    Parameters
    ----------
    planned : Planned
    detected : mapping of str to Detected
        By the name of the exposure.
    placements : mapping of str to Placement
        By the name; those that a published release holds may be absent.
    """
    found = dict(placements)
    if planned.release is not None:
        held = (e for e in planned.exposures if e.name in planned.held)
        found |= {e.name: place_held(e, planned.release) for e in held}
    leaders = [Leader(e, found[e.name]) for e in planned.exposures if found[e.name].status in TIED]
    followers = [
        e for e in planned.exposures if _is_untold(planned, e, detected[e.name], found[e.name])
    ]
    for e in followers:
        rules, count = planned.of(e).matching, len(detected[e.name].sources)
        few = f"{count} of the {_least(rules)} sources that a fit needs" if count else "no source"
        alone = replace(found[e.name], reason=few)
        placed = follow(e, alone, leaders, header_rotation=rules.header_rotation)
        if placed is not alone:  # there are others to follow, whether it does or not
            found[e.name] = placed
    return found


def _is_untold(
    planned: Planned, record: ExposureRecord, detected: Detected, placement: Placement
) -> bool:
    """Whether an exposure was looked at, and has too few sources to tell anything."""
    if record.name in planned.held or placement.status != "unaligned":
        return False
    if detected.error is not None or detected.aside or detected.guiding.trailed:
        return False
    resolved = planned.of(record)
    if resolved.tweakreg is not None or resolved.matching.upstream:
        return False  # those leave an exposure without a fit where its header has it
    return len(detected.sources) < _least(resolved.matching)


def _least(rules: AlignmentParameters) -> int:
    """Tell how many matches the simplest geometry needs."""
    return min(rules.least(g) for g in rules.geometries)
