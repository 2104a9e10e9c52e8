"""The exposures of one field: lists of positions in, placements out.

The small barrier of a visit.  Not here: the fits (`hapdask.astrometry.fitting`), detection, the
joint solution (`joining`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hapdask.astrometry.fitting.lists import places_of_sources
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.result import apply_correction, compose, inverse
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.references.finding import Inquiry
from hapdask.config.tweakreg_presets import ResolvedAlignment
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.detecting import Detected
from hapdask.recipes.alignment.fields import Field, outline_of
from hapdask.recipes.alignment.referring import Desk, Library


@dataclass(frozen=True, eq=False)
class Placed:
    """A field after its barrier.

    Attributes
    ----------
    field : Field
    placements : dict of str to Placement
        By the name of the exposure.
    catalogs : dict of str to ReferenceCatalog
        Those that were tried, by name, at the field's date.
    inquiries : tuple of Inquiry
    """

    field: Field
    placements: dict[str, Placement]
    catalogs: dict[str, ReferenceCatalog]
    inquiries: tuple[Inquiry, ...]

    @property
    def is_tied(self) -> bool:
        """Whether every exposure with sources is tied to a catalog."""
        return all(p.status in ("aligned", "confirmed") for p in self.placements.values())

    def after(self, first: Placed) -> Placed:
        """Take this one as the second try: all that was tried and asked before stays known."""
        placements = {}
        for name, p in self.placements.items():
            before = first.placements[name]
            tied = p.status in ("aligned", "confirmed")
            kept = p if tied or before.status not in ("aligned", "confirmed") else before
            placements[name] = replace(kept, attempts=(*before.attempts, *p.attempts))
        catalogs = first.catalogs | self.catalogs
        return Placed(self.field, placements, catalogs, first.inquiries + self.inquiries)


def place_field(
    field: Field,
    detected: Mapping[str, Detected],
    library: Library,
    resolved: ResolvedAlignment,
) -> Placed:
    """Align the exposures of a field to each other and to a catalog.

    Parameters
    ----------
    field : Field
    detected : mapping of str to Detected
        Of all its exposures, by name.
    library : Library
    resolved : ResolvedAlignment

    Returns
    -------
    Placed
        Exposures that trail or could not be read are not aligned, and hold no other back.
    """
    good = [e for e in field.exposures if _set_aside(detected[e.name]) is None]
    desk = Desk(field, library)
    found = align_visit(
        [places_of_sources(detected[e.name].sources, e) for e in good],
        _known(desk.draw(), good),
        resolved.matching,
        outlines=[outline_of(e) for e in good],
        pixel_scale=field.pixel_scale,
    )
    if resolved.options.general.enforce_user_order:
        found = _anchored(found)
    placements = {p.exposure: _told(p, desk) for p in found}
    for e in field.exposures:
        reason = _set_aside(detected[e.name])
        if reason is not None:
            placements[e.name] = Placement(e.name, reason=reason)
    return Placed(field, placements, desk.catalogs, tuple(desk.inquiries))


def _known(drawn: Iterator[Places], exposures: list[ExposureRecord]) -> Iterator[Places]:
    """Ask nobody where there is nothing to align."""
    if exposures:
        yield from drawn


def _set_aside(detected: Detected) -> str | None:
    """Why an exposure is not aligned at all."""
    if detected.error is not None:
        return f"it cannot be read: {detected.error}"
    if detected.guiding.trailed:
        return f"set aside: {detected.guiding.reason}"
    return None


def _told(placement: Placement, desk: Desk) -> Placement:
    """Say that there was no catalog, where that is why an exposure has no tie to one."""
    if placement.status in ("aligned", "confirmed") or not desk.why_none:
        return placement
    if placement.reason == "no source":
        return placement
    reason = placement.reason.replace("; nothing was tried", "")
    reason = "" if reason == "nothing was tried" else f"{reason}; "
    return replace(placement, reason=f"{reason}{desk.why_none}")


def _anchored(placements: list[Placement]) -> list[Placement]:
    """Let the first exposure of those tied to each other alone stay where its header has it."""
    first: dict[str, Correction] = {}
    for p in placements:
        if p.status == "relative" and p.correction is not None:
            first.setdefault(p.reference, p.correction)
    moved = []
    for p in placements:
        if p.status == "relative" and p.correction is not None:
            anchor = inverse(first[p.reference])
            total = compose(anchor, p.correction)
            p = replace(p, correction=total, header_mas=math.nan)
        moved.append(p)
    return moved


def displacement(record: ExposureRecord, correction: Correction | None) -> float:
    """How far a correction moves an exposure, rms over its outline, mas.

    Parameters
    ----------
    record : ExposureRecord
        As opened.
    correction : Correction or None
    """
    if correction is None:
        return 0.0
    points = Places.make("outline", *outline_of(record), 0.0).in_plane(correction.center).xy
    moved = apply_correction(correction, points) - points
    return 1000.0 * float(np.sqrt((moved**2).sum(axis=1).mean()))
