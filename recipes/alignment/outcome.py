"""From a placement to the exposure that goes on: record, facts of its WCS, verdict.

Not here: how it was placed (`placing`, `joining`, `held`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.following.followers import FOLLOWED
from hapdask.astrometry.headers.facts import Relative, WcsFacts, correction_history
from hapdask.astrometry.headers.names import fitted_name
from hapdask.astrometry.solution.parameters import floor_of
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.solving import JointSolution
from hapdask.config.preset_tables import read_text
from hapdask.config.tweakreg import TweakRegParameters
from hapdask.config.tweakreg_presets import ResolvedAlignment
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict
from hapdask.products.solutions.telling import with_facts
from hapdask.recipes.alignment.detecting import Detected
from hapdask.recipes.alignment.held import place_held
from hapdask.recipes.alignment.placing import Placed, displacement
from hapdask.recipes.alignment.result import Aligned

#: Stands in a WCSNAME for a catalog where there is none: the visit's own exposures.
_NO_CATALOG = "NONE"
#: A longer text is no path of a file.
_LONGEST_PATH = 1024


def aligned_of(
    opened: ExposureRecord,
    placement: Placement | None,
    detected: Detected,
    placed: Placed,
    resolved: ResolvedAlignment,
    solution: JointSolution | None,
    published: Release | None,
) -> Aligned:
    """Give the exposure with its verdict.

    Parameters
    ----------
    opened : ExposureRecord
    placement : Placement or None
        None where a published release holds it.
    detected : Detected
    placed : Placed
        Its field.
    resolved : ResolvedAlignment
    solution : JointSolution or None
    published : Release or None
    """
    if placement is None:
        assert published is not None
        placement = place_held(opened, published)
    if math.isnan(placement.header_mas) and placement.correction is not None:
        placement = replace(placement, header_mas=displacement(opened, placement.correction))
    floor = floor_of(f"{opened.instrument}.{opened.detector}")
    placement = replace(placement, floor_mas=floor)
    facts = _facts(opened, placement, resolved.options)
    record = opened.corrected(placement.correction)
    if facts is not None:
        record = with_facts(record, facts)
    record = record.with_verdict(_verdict(record.verdict, placement, detected))
    residuals = None
    if solution is not None and opened.name in solution.residuals.exposure:
        residuals = solution.residuals.of(opened.name)
    return Aligned(
        record=record,
        opened=opened,
        placement=placement,
        facts=facts,
        sources=detected.sources,
        guiding=detected.guiding,
        residuals=residuals,
        catalog=placed.catalogs.get(placement.catalog)
        or next(iter(placed.catalogs.values()), None),
        inquiries=placed.inquiries,
    )


def _verdict(before: Verdict, placement: Placement, detected: Detected) -> Verdict:
    """Say in the record what mosaics must know."""
    if detected.guiding.trailed:
        return Verdict("rejected", detected.guiding.reason, "GUIDING", "trailed")
    if placement.status == "unaligned":
        return before.warned(f"not aligned: {placement.reason}")
    if placement.method == FOLLOWED:
        return before.warned(f"not aligned by its own sources: {placement.reason}")
    if placement.status == "relative":
        return before.warned("aligned to the exposures of its visit alone")
    return before


def _facts(
    opened: ExposureRecord, placement: Placement, options: TweakRegParameters
) -> WcsFacts | None:
    """Tell of the new WCS; None where the header's stays."""
    if placement.correction is None:
        return None
    catalog = placement.catalog if placement.status == "aligned" else ""
    label = options.header.label or ("IMG" if placement.reference == "" else "REL")
    name = fitted_name(opened.wcsname, label, catalog or _NO_CATALOG)
    fit = placement.fit
    rms = fit.rms_mas if fit is not None else None
    if placement.method == "joint" and math.isfinite(placement.rms_mas):
        rms = (placement.rms_mas / math.sqrt(2.0),) * 2
    relative = None
    if placement.reference and placement.reference != opened.name and rms is not None:
        relative = Relative(placement.geometry, placement.matches, rms, placement.reference)
    facts = WcsFacts(
        wcsname=name,
        catalog=catalog,
        matches=placement.matches,
        rms_mas=rms,
        geometry=placement.geometry,
        method=placement.method,
        relative=relative,
        history=correction_history(placement.correction),
    )
    return signed(facts, options)


def signed(facts: WcsFacts, options: TweakRegParameters, *, named: bool = True) -> WcsFacts:
    """Let a new WCS be told as the user asks: its name, author, catalog, history.

    Parameters
    ----------
    facts : WcsFacts
    options : TweakRegParameters
    named : bool
        Whether it may be called by the user's ``wcsname``.
    """
    letter = options.headerlet
    return replace(
        facts,
        wcsname=(options.header.wcsname if named else "") or facts.wcsname,
        catalog=letter.catalog or facts.catalog,
        hdrname=letter.hdrname,
        author=letter.author,
        descrip=letter.descrip,
        history=(*facts.history, *_own_history(letter.history)),
    )


def _own_history(text: str) -> tuple[str, ...]:
    """Give the lines of a file, or of the text itself."""
    path = Path(text)
    if text and len(text) < _LONGEST_PATH and path.is_file():
        text = read_text(path)
    return tuple(text.splitlines())
