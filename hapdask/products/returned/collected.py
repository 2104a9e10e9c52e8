"""What changes in every file of a run: flags, skies and WCSs put together, as data.

Not here: which flags (`flags`), what a new WCS changes (`hapdask.products.solutions.changing`),
writing (`copies`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.errors import InputError
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.products.fits_cards import Card
from hapdask.products.returned.flags import FlagChange
from hapdask.products.returned.hdus import Change, Changes, Values
from hapdask.products.solutions.changing import wcs_changes

log = logging.getLogger(__name__)

_SKY = "sky level that hapdask subtracts, SCI units"


@dataclass(frozen=True)
class Found:
    """What is known of the new WCSs of exposures.

    Attributes
    ----------
    facts : mapping of str to WcsFacts
        By the name of the record; a file none of whose exposures is named keeps its WCS.
    reuse : bool
        Whether a WCSNAME that a file has may be used again (TweakReg's ``reusename``).
    attach : bool
        Whether the headerlet of the solution comes into the file.
    """

    facts: Mapping[str, WcsFacts]
    reuse: bool = True
    attach: bool = True


@dataclass(frozen=True)
class _Flagged:
    """Puts cosmic rays into flags."""

    change: FlagChange
    chip: ChipRecord

    def __call__(self, flags: Values) -> Values:
        return self.change.apply(flags, self.chip)


def changes_by_file(
    exposures: Iterable[ExposureRecord], change: FlagChange | None, solutions: Found | None
) -> tuple[dict[str, Changes], list[InputError]]:
    """Give what changes in every file, and the files of which that cannot be told."""
    by_url: dict[str, list[ExposureRecord]] = defaultdict(list)
    for exposure in exposures:
        by_url[exposure.url].append(exposure)
    found: dict[str, Changes] = {}
    failures = []
    for url, records in by_url.items():
        try:
            parts = [_flag_changes(records, change)] if change is not None else []
            if solutions is not None and any(r.name in solutions.facts for r in records):
                facts, options = solutions.facts, (solutions.reuse, solutions.attach)
                own = wcs_changes(records, facts, reuse=options[0], attach=options[1])
                parts.append({url: own})
        except InputError as error:
            log.warning("no copy: %s", error)
            failures.append(error)
            continue
        for part in parts:
            for path, changes in part.items():
                found[path] = found[path] | changes if path in found else changes
    return found, failures


def _flag_changes(exposures: Sequence[ExposureRecord], change: FlagChange) -> dict[str, Changes]:
    """Give what a run found in the pixels of a file: skies, and flags where they lie."""
    hashes: dict[str, str] = {}
    changes: dict[str, dict[int, Change]] = defaultdict(dict)
    for exposure in exposures:
        hashes[exposure.url] = exposure.identity.header_hash
        for chip in exposure.chips:
            if chip.sci is not None:
                sky = Card("MDRIZSKY", chip.sky, _SKY)
                changes[exposure.url][chip.sci.offset] = Change((sky,))
            if chip.dq is None:
                log.warning("%s[SCI,%d] has no flags to update", exposure.url, chip.extver)
                continue
            url = chip.dq.url or exposure.url
            if chip.dq.identity is not None:
                hashes[url] = chip.dq.identity.header_hash
            changes[url][chip.dq.offset] = Change(values=_Flagged(change, chip))
    return {url: Changes(hashes[url], found) for url, found in changes.items()}
