"""The verdicts of an alignment as lines of a report.

Not here: how they look (`hapdask.products.report`), the table (`verdicts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.guiding import Guiding
from hapdask.astrometry.references.finding import Inquiry
from hapdask.observe.record import ExposureRecord
from hapdask.products.report.model import AlignmentLine, AttemptLine


def verdict_word(placement: Placement, guiding: Guiding) -> str:
    """Name the verdict in one word; an exposure that trails has no other."""
    return "trailed" if guiding.trailed else placement.status


def alignment_line(
    record: ExposureRecord,
    placement: Placement,
    guiding: Guiding,
    inquiries: Iterable[Inquiry] = (),
) -> AlignmentLine:
    """Tell the alignment of one exposure.

    Parameters
    ----------
    record : ExposureRecord
        With the WCSNAME that it has now.
    placement : Placement
    guiding : Guiding
    inquiries : iterable of Inquiry
        Of the catalogs that were asked for its visit.
    """
    return AlignmentLine(
        name=record.name,
        visit=record.visit,
        detector=f"{record.instrument}/{record.detector} {record.filter}",
        status=verdict_word(placement, guiding),
        reason=placement.reason,
        catalog=placement.catalog,
        method=placement.method,
        geometry=placement.geometry,
        guiding=guiding.status,
        wcsname=record.wcsname,
        matches=placement.matches,
        rms=_known(placement.rms_mas),
        error=_known(placement.error_mas),
        moved=_known(placement.header_mas),
        attempts=tuple(
            AttemptLine(
                catalog=a.catalog,
                method=a.method,
                geometry=a.geometry,
                matches=a.matches,
                rms=_known(a.rms),
                accepted=a.accepted,
                reason=a.reason,
            )
            for a in placement.attempts
        ),
        catalogs=tuple(_asked(inquiry) for inquiry in inquiries),
    )


def _asked(inquiry: Inquiry) -> str:
    told = f"{inquiry.source}: {inquiry.status}, {inquiry.stars} stars"
    more = [inquiry.reason, *inquiry.notes, f"of {inquiry.date}" if inquiry.date else ""]
    more.append("from the cache" if inquiry.cached else "")
    return "; ".join([told, *(each for each in more if each)])


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
