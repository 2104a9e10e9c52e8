"""What inputs get back from an alignment: headerlets, updated copies, or the new WCSs in place.

Every exposure that may be used gets a copy, and every one that is tied to anything a headerlet,
also where the header's WCS was confirmed: a set without gaps for whoever comes next.  A file is
dealt with whole: of several exposures in one (STIS) some may keep the WCS that they have.  Not
here: how files are changed (`hapdask.products.returned`, `hapdask.products.solutions`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import NAMELESS
from hapdask.config.tweakreg import TweakRegParameters
from hapdask.errors import InputError
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import storage_errors
from hapdask.products.returned.collected import Found
from hapdask.products.returned.copies import update_inputs, write_copies
from hapdask.products.returned.hdus import Changes
from hapdask.products.solutions.files import write_headerlet
from hapdask.recipes.alignment.outcome import signed
from hapdask.recipes.reporting import LeftOut

if TYPE_CHECKING:
    from hapdask.recipes.alignment.result import Aligned, Alignment

log = logging.getLogger(__name__)

#: A longer name is no card.
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Back:
    """Files that were written, and exposures of which none could be."""

    files: tuple[Path, ...] = ()
    failures: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class _InputFile:
    """A file with all its exposures, one of which at least may be used."""

    members: tuple[Aligned, ...]

    @property
    def url(self) -> str:
        return self.members[0].opened.url

    @property
    def records(self) -> list[ExposureRecord]:
        return [e.record for e in self.members]

    @property
    def is_changed(self) -> bool:
        """Whether an exposure has a new WCS."""
        return any(e.facts is not None for e in self.members)

    @property
    def is_tied(self) -> bool:
        """Whether the WCS of an exposure is new, or was confirmed."""
        return self.is_changed or any(e.placement.status != "unaligned" for e in self.members)

    @property
    def as_it_is(self) -> Changes:
        """No change of it."""
        return Changes(self.members[0].opened.identity.header_hash)


def write_headerlets(
    alignment: Alignment, options: TweakRegParameters, folder: Path, *, overwrite: bool
) -> Back:
    """Write the headerlets of all exposures that are tied to anything.

    Raises
    ------
    StoreError
        If one is there already, or cannot be written.
    """
    tied = [file for file in _input_files(alignment) if file.is_tied]
    if tied:
        with storage_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
    paths, failures = [], []
    for file in tied:
        facts = _facts([file], options)
        try:
            paths.append(write_headerlet(file.records, facts, folder, overwrite=overwrite))
        except InputError as error:
            log.warning("no headerlet: %s", error)
            failures.append(LeftOut.of(error))
    return Back(tuple(paths), tuple(failures))


def write_updated(
    alignment: Alignment, options: TweakRegParameters, folder: Path, *, overwrite: bool
) -> Back:
    """Write copies of the inputs with the WCSs that the exposures have now.

    Raises
    ------
    StoreError
        If one is there already, or cannot be written.
    """
    files = _input_files(alignment)
    changed = [file for file in files if file.is_changed]
    confirmed = [file for file in files if file.is_tied and not file.is_changed]
    kept = {file.url: file.as_it_is for file in files if not file.is_tied}
    done = []
    if changed:
        found = _found(changed, options, reuse=options.header.reusename)
        done.append(
            write_copies(_records(changed), folder, None, solutions=found, overwrite=overwrite)
        )
    if confirmed or kept:  # whose WCS has its name already
        found = _found(confirmed, options, reuse=True)
        done.append(
            write_copies(
                _records(confirmed), folder, None, solutions=found, more=kept, overwrite=overwrite
            )
        )
    paths = tuple(path for copies in done for path in copies.paths)
    return Back(paths, tuple(LeftOut.of(e) for copies in done for e in copies.failures))


def update_in_place(alignment: Alignment, options: TweakRegParameters) -> tuple[Path, ...]:
    """Put new WCSs into the inputs; files whose exposures all keep theirs are not touched.

    Raises
    ------
    InputError, StoreError
        See `hapdask.products.returned.copies.update_inputs`.
    """
    changed = [file for file in _input_files(alignment) if file.is_changed]
    found = _found(changed, options, reuse=options.header.reusename)
    return update_inputs(_records(changed), None, solutions=found)


def _input_files(alignment: Alignment) -> list[_InputFile]:
    by_url: dict[str, list[Aligned]] = defaultdict(list)
    for each in alignment:
        by_url[each.opened.url].append(each)
    return [_InputFile(tuple(m)) for m in by_url.values() if any(e.usable for e in m)]


def _records(files: Sequence[_InputFile]) -> list[ExposureRecord]:
    return [record for file in files for record in file.records]


def _found(files: Sequence[_InputFile], options: TweakRegParameters, *, reuse: bool) -> Found:
    letter = options.headerlet
    return Found(_facts(files, options), reuse=reuse, attach=letter.headerlet and letter.attach)


def _facts(files: Sequence[_InputFile], options: TweakRegParameters) -> dict[str, WcsFacts]:
    """Tell of the WCS of every exposure, be it new or the header's."""
    return {e.opened.name: _facts_of(e, options) for file in files for e in file.members}


def _facts_of(aligned: Aligned, options: TweakRegParameters) -> WcsFacts:
    if aligned.facts is not None:
        return aligned.facts
    placement, tied = aligned.placement, aligned.fits
    fit = placement.fit if tied else None
    kept = WcsFacts(
        wcsname=(aligned.opened.wcsname.strip() or NAMELESS)[:_LONGEST_NAME],
        catalog=placement.catalog if tied else "",
        matches=placement.matches if tied else 0,
        rms_mas=fit.rms_mas if fit is not None else None,
        method=placement.method if tied else "",
        history=(f"the WCS of the header, which alignment left as it is: {placement.status}",),
    )
    return signed(kept, options, named=False)
