"""The direct images' correction carried over to the dispersed exposures of their visit.

What is wrong with a header's WCS is the place of the guide stars: one shift and one small turn, the
same for all exposures that are guided by the same stars.  So the nearest direct exposure in time
tells the correction, where the telescope looked the same way; and where there are several, how much
they differ tells how far it can be trusted.  Nothing is measured on dispersed light.

Direct and dispersed exposures must start from WCSs of one basis (both as the distortion gives them,
or both corrected by one guide-star catalog): a direct exposure that starts from another is taken by
the one of its WCSs that does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hapdask.astrometry.following.guide_stars import (
    MOST_SCATTER,
    place_of,
    pointing_of,
    same_way,
    scatter_of,
)
from hapdask.astrometry.grism.between import correction_between, shift_at
from hapdask.astrometry.grism.names import basis_of, is_fitted
from hapdask.astrometry.headers.facts import WcsFacts, correction_history
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord

#: Without a second direct exposure to compare with, only one within an orbit's time is believed,
#: days: the guide stars may be others.
_ORBIT = 96.0 / 1440.0
#: A correction that leaves more of the difference of two WCSs belongs to another distortion, mas.
_MOST_REST = 5.0
_METHOD = "carried over from direct images"


@dataclass(frozen=True, slots=True)
class Direct:
    """A direct exposure that was aligned.

    Attributes
    ----------
    starts : tuple of ExposureRecord
        As it was opened, with each of the WCSs that it may have started from.
    solved : ExposureRecord
    facts : WcsFacts or None
        Of its solution; None where that is the header's own, which was confirmed.
    """

    starts: tuple[ExposureRecord, ...]
    solved: ExposureRecord
    facts: WcsFacts | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a dispersed exposure.

    Attributes
    ----------
    record : ExposureRecord
        Corrected, with the WCSNAME; or as it was, with a warning that says why.
    facts : WcsFacts or None
        Of the new WCS; None where it keeps the header's.
    source : str
        The direct exposure that it follows; empty where there is none.
    minutes : float
        Between the two.
    scatter_mas : float or None
        Largest difference between what the direct exposures of the visit would give it.
    told : str
        What was done and why, for people.
    """

    record: ExposureRecord
    facts: WcsFacts | None = None
    source: str = ""
    minutes: float = math.nan
    scatter_mas: float | None = None
    told: str = ""


@dataclass(frozen=True, slots=True)
class _Offer:
    """What one direct exposure would give to a dispersed one; ``stays``: the header as it is."""

    direct: Direct
    correction: Correction
    days: float
    shift: tuple[float, float]
    stays: bool


def carry_over(grism: Iterable[ExposureRecord], direct: Sequence[Direct]) -> list[Carried]:
    """Give dispersed exposures the correction of direct ones.

    Parameters
    ----------
    grism : iterable of ExposureRecord
        As they were opened.
    direct : sequence of Direct
        The aligned exposures of the same visits and detectors.

    Returns
    -------
    list of Carried
        In the order given.  The direct exposures are as they were.
    """
    return [_carry(record, direct) for record in grism]


def _carry(record: ExposureRecord, direct: Sequence[Direct]) -> Carried:
    if is_fitted(record.wcsname) or record.correction is not None:
        return Carried(record, told=f"it has a fit of its own: {record.wcsname}")
    mine = [d for d in direct if place_of(d.solved) == place_of(record)]
    offers = [o for o in (_offer(record, d) for d in mine) if o is not None]
    if not offers:
        return _kept(record, _why_none(record, mine))
    nearest = min(offers, key=lambda o: (o.days, o.direct.solved.name))
    scatter, minutes = scatter_of([o.shift for o in offers]), nearest.days * 1440.0
    problem = _problem(nearest, scatter)
    if problem:
        return replace(_kept(record, problem), minutes=minutes, scatter_mas=scatter)
    name = nearest.direct.solved.name
    if nearest.stays:
        told = f"it keeps its WCS, as {name} does, {minutes:.0f} min apart, whose header was "
        return Carried(
            record, None, name, minutes, scatter, f"{told}confirmed{_agreement(offers, scatter)}"
        )
    facts = _facts(record, nearest)
    moved = replace(record.corrected(nearest.correction), wcsname=facts.wcsname)
    told = f"given the correction of {name}, {minutes:.0f} min apart" + _agreement(offers, scatter)
    return Carried(moved, facts, name, minutes, scatter, told)


def _kept(record: ExposureRecord, why: str) -> Carried:
    told = f"it keeps its a-priori WCS: {why}"
    return Carried(record.with_verdict(record.verdict.warned(told)), told=told)


def _offer(record: ExposureRecord, direct: Direct) -> _Offer | None:
    """Give what a direct exposure tells, where the telescope looked the same way."""
    start = _start(record, direct.starts)
    if start is None or not same_way(record, start):
        return None
    found = correction_between(start, direct.solved)
    if found.rms_mas > _MOST_REST:
        return None
    east, north = shift_at(found.correction, *pointing_of(record)).tolist()
    days = abs(record.mid_mjd - direct.solved.mid_mjd)
    stays = direct.facts is None and start.wcsname == direct.solved.wcsname
    return _Offer(direct, found.correction, days, (east, north), stays)


def _start(record: ExposureRecord, starts: Iterable[ExposureRecord]) -> ExposureRecord | None:
    basis = basis_of(record.wcsname)
    return next((each for each in starts if basis_of(each.wcsname) == basis), None)


def _problem(nearest: _Offer, scatter: float | None) -> str:
    if scatter is None:
        if nearest.days <= _ORBIT:
            return ""
        minutes = nearest.days * 1440.0
        return (
            f"the only direct exposure, {nearest.direct.solved.name}, is {minutes:.0f} min away, "
            "and no other tells whether the guiding was the same"
        )
    if scatter <= MOST_SCATTER:
        return ""
    return f"the corrections of the direct exposures differ by {scatter:.0f} mas"


def _why_none(record: ExposureRecord, mine: Sequence[Direct]) -> str:
    if not mine:
        return "no direct exposure of its visit and detector was aligned"
    if all(_start(record, d.starts) is None for d in mine):
        return f"no direct exposure has a WCS of the same basis ({record.wcsname or 'none'})"
    return "no aligned direct exposure was pointed as it was"


def _agreement(offers: Sequence[_Offer], scatter: float | None) -> str:
    if scatter is None:
        return ""
    return f"; the {len(offers)} direct exposures agree within {scatter:.1f} mas"


def _facts(record: ExposureRecord, offer: _Offer) -> WcsFacts:
    """Tell the solution as that of the direct image, whose matches are not this exposure's."""
    solved = offer.direct.solved
    base, basis = record.wcsname.partition("-")[0].strip(), solved.wcsname.partition("-")[2]
    return WcsFacts(
        f"{base}-{basis}" if base and basis else solved.wcsname or "FIT_SVM_DIRECT",
        catalog=offer.direct.facts.catalog if offer.direct.facts else "",
        method=_METHOD,
        history=(
            f"correction carried over from the direct exposure {solved.name}",
            *correction_history(offer.correction),
        ),
    )
