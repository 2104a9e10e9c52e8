"""Dispersed exposures of an alignment: they take over what the direct ones beside them were given.

In the preset ``compat`` direct and dispersed exposures get one a-priori WCS instead, as HAP does.
Not here: which direct exposure is followed, and how (`hapdask.astrometry.grism`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.following.followers import FOLLOWED
from hapdask.astrometry.following.guide_stars import error_beside
from hapdask.astrometry.grism.carrying import Carried, Direct, carry_over
from hapdask.astrometry.grism.common import with_common_wcs
from hapdask.astrometry.grism.names import basis_of
from hapdask.astrometry.grism.starting import starts_of
from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.errors import InputError
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.roles import role_of
from hapdask.products.solutions.telling import with_facts
from hapdask.recipes.alignment.outcome import signed
from hapdask.recipes.alignment.placing import displacement
from hapdask.recipes.alignment.planning import Planned
from hapdask.recipes.alignment.result import Aligned

log = logging.getLogger(__name__)

_COMMON = "a-priori WCS of direct and dispersed exposures"


def with_dispersed(found: Sequence[Aligned], planned: Planned) -> list[Aligned]:
    """Give dispersed exposures what the direct ones of their visit and detector tell.

    Parameters
    ----------
    found : sequence of Aligned
        All exposures; the dispersed ones as they were opened.
    planned : Planned

    Returns
    -------
    list of Aligned
        In the same order.  A dispersed exposure is ``relative``, as whoever follows others is, or
        ``unaligned`` with the reason.
    """
    grism = [e.opened for e in found if _is_dispersed(e.opened)]
    if not grism:
        return list(found)
    by_name = {e.opened.name: e for e in found}
    carried = {c.record.name: c for c in carry_over(grism, _direct(found, grism))}
    given = [
        _following(e, carried[e.opened.name], by_name, planned) if _is_dispersed(e.opened) else e
        for e in found
    ]
    as_hap = any(planned.of(e.opened).matching.upstream for e in found)
    return _with_common_wcs(given, planned) if as_hap else given


def _is_dispersed(record: ExposureRecord) -> bool:
    return role_of(record.filter) == "dispersed"


def _direct(found: Sequence[Aligned], grism: Sequence[ExposureRecord]) -> list[Direct]:
    """List the direct exposures that are tied to a catalog, with the WCSs that they start from."""
    bases = {basis_of(record.wcsname) for record in grism}
    direct = []
    for each in found:
        if each.usable and each.fits:
            try:
                starts = starts_of(each.opened, bases)
            except InputError as error:
                log.warning("nothing follows %s: %s", each.opened.name, error)
                continue
            direct.append(Direct(starts, each.record, each.facts))
    return direct


def _following(
    aligned: Aligned, carried: Carried, by_name: dict[str, Aligned], planned: Planned
) -> Aligned:
    """Tell what became of one dispersed exposure."""
    opened, placement = aligned.opened, aligned.placement
    if not carried.source:
        kept = replace(placement, reason=f"{placement.reason}; {carried.told}")
        return replace(aligned, record=carried.record, placement=kept)
    record, facts = carried.record, carried.facts
    if facts is not None:
        facts = signed(facts, planned.of(opened).options)
        record = with_facts(record, facts)
    beside = error_beside(
        opened,
        minutes=carried.minutes,
        scatter=carried.scatter_mas,
        header_rotation=planned.of(opened).matching.header_rotation,
    )
    led = by_name[carried.source].placement
    placement = replace(
        placement,
        status="relative",
        reason=carried.told,
        correction=record.correction,
        method=FOLLOWED,
        geometry=led.geometry,
        error_mas=math.hypot(led.error_mas, beside),
        relative_mas=beside,
        header_mas=displacement(opened, record.correction),
        reference=carried.source,
    )
    return replace(aligned, record=record, facts=facts, placement=placement)


def _with_common_wcs(found: Sequence[Aligned], planned: Planned) -> list[Aligned]:
    """Give the exposures of a detector with dispersed ones the a-priori WCS of all of them."""
    usable = [e.opened for e in found if e.usable]
    grism = [record for record in usable if _is_dispersed(record)]
    changed = with_common_wcs(grism, [record for record in usable if record not in grism])
    return [
        _as_hap_does(e, changed[e.opened.name], planned) if e.opened.name in changed else e
        for e in found
    ]


def _as_hap_does(aligned: Aligned, record: ExposureRecord, planned: Planned) -> Aligned:
    """Put an exposure on the a-priori WCS, and say what it would have had."""
    before = aligned.placement
    reason = (
        f"as HAP does, it has the a-priori WCS {record.wcsname} that direct and dispersed ones "
        f"of its detector have in common, and no solution ({before.status}: {before.reason})"
    )
    placement = Placement(
        before.exposure,
        reason=reason,
        floor_mas=before.floor_mas,
        attempts=before.attempts,
    )
    facts = None
    if record.wcsname != aligned.opened.wcsname:
        facts = signed(
            WcsFacts(record.wcsname, method=_COMMON),
            planned.of(aligned.opened).options,
            named=False,
        )
        record = with_facts(record, facts)
    record = record.with_verdict(aligned.opened.verdict.warned(f"not aligned: {reason}"))
    return replace(aligned, record=record, placement=placement, facts=facts, residuals=None)
