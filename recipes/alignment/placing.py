"""The exposures of one field: lists of positions in, placements out.

The small barrier of a visit.  Not here: the fits (`hapdask.astrometry.fitting`), detection, the
joint solution (`joining`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hapdask.astrometry.fitting.lists import places_of_sources
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.result import apply_correction, compose, inverse
from hapdask.astrometry.fitting.tweaked import TweakRegRun
from hapdask.astrometry.fitting.tweakreg import run_tweakreg
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.references.finding import Inquiry
from hapdask.config.tweakreg_presets import ResolvedAlignment
from hapdask.drizzling.output_frame import output_frame
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.detecting import Detected
from hapdask.recipes.alignment.fields import Field, outline_of
from hapdask.recipes.alignment.referring import Desk, Library

#: Tied to a catalog, so that nothing is left to be done.
TIED = ("aligned", "confirmed")
_NOTHING = "nothing was tried"
#: Why an exposure that is the reference image stays.
REFERENCE = "it is the reference image"


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
    run : TweakRegRun or None
        Where it was aligned as TweakReg does.
    """

    field: Field
    placements: dict[str, Placement]
    catalogs: dict[str, ReferenceCatalog]
    inquiries: tuple[Inquiry, ...]
    run: TweakRegRun | None = None

    @property
    def is_tied(self) -> bool:
        """Whether every exposure is tied to a catalog."""
        return all(p.status in TIED for p in self.placements.values())

    def after(self, first: Placed, common: float) -> Placed:
        """Take this one as the second try: all that was tried and asked before stays known.

        Parameters
        ----------
        first : Placed
        common : float, mas
            Error that all stars of the second try share.
        """
        placements = {}
        for name, p in self.placements.items():
            before = first.placements[name]
            kept = before
            if p.status in TIED and before.status not in TIED:
                kept = replace(p, error_mas=math.hypot(p.error_mas, common))
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
    places = [places_of_sources(detected[e.name].sources, e) for e in good]
    desk = Desk(field, library)
    run = None
    if resolved.tweakreg is not None:
        run = _as_tweakreg(good, places, desk, resolved)
        found = [] if run is None else run.placements
    else:
        found = align_visit(
            places,
            desk.draw(),
            resolved.matching,
            outlines=[outline_of(e) for e in good],
            pixel_scale=field.pixel_scale,
        )
        if resolved.options.general.enforce_user_order:
            found = _anchored(found)
    placements = {p.exposure: _told(_as_verdict(p, desk), desk) for p in found}
    for e in field.exposures:
        reason = _set_aside(detected[e.name])
        if reason is not None:
            placements[e.name] = Placement(e.name, reason=reason)
    return Placed(field, placements, desk.catalogs, tuple(desk.inquiries), run)


def _as_tweakreg(
    exposures: list[ExposureRecord],
    places: list[Places],
    desk: Desk,
    resolved: ResolvedAlignment,
) -> TweakRegRun | None:
    """Go TweakReg's way with the first catalog that has stars; None without an exposure."""
    assert resolved.tweakreg is not None
    if not exposures:
        return None
    return run_tweakreg(
        places,
        next(iter(desk.draw()), None),
        resolved.tweakreg,
        frame=output_frame(exposures),
        rules=resolved.matching if resolved.options.general.verify else None,
        outlines=[outline_of(e) for e in exposures],
    )


def _as_verdict(placement: Placement, desk: Desk) -> Placement:
    """Say what a tie is to: a catalog, an image that stays where it is, or exposures alone."""
    if placement.exposure in desk.catalogs:
        return replace(
            placement,
            status="confirmed",
            reason=REFERENCE,
            correction=None,
            catalog=placement.exposure,
            error_mas=0.0,
            header_mas=0.0,
        )
    if placement.status in TIED and not desk.catalogs:
        return replace(placement, status="relative", catalog="", error_mas=math.nan)
    return placement


def _set_aside(detected: Detected) -> str | None:
    """Why an exposure is not aligned at all."""
    if detected.error is not None:
        return f"it cannot be read: {detected.error}"
    if detected.aside:
        return detected.aside
    if detected.guiding.trailed:
        return f"set aside: {detected.guiding.reason}"
    return None


def _told(placement: Placement, desk: Desk) -> Placement:
    """Say what may be why an exposure has no tie: there was no catalog, or it lies by itself."""
    if placement.status in TIED:
        return placement
    reasons = [placement.reason]
    if desk.why_none and placement.reason != "no source":
        reasons = [placement.reason.replace(f"; {_NOTHING}", "").replace(_NOTHING, "")]
        reasons.append(desk.why_none)
    if math.isfinite(apart := desk.field.apart):
        reasons.append(f"its header puts it {apart:.2g} deg from the other exposures of its visit")
    return replace(placement, reason="; ".join(filter(None, reasons)))


def _anchored(placements: list[Placement]) -> list[Placement]:
    """Let the first exposure of those tied to each other alone stay where its header has it."""
    first: dict[str, Correction] = {}
    moved = []
    for p in placements:
        if p.status == "relative" and p.correction is not None:
            anchor = first.setdefault(p.reference, p.correction)
            total = compose(inverse(anchor), p.correction)
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
