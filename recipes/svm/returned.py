"""What the exposures of a visit get back: headerlets, and aligned copies with their cosmic rays.

An exposure whose alignment failed gets a copy with the WCS that it has, and no headerlet.  Not
here: how files are changed (`hapdask.products.returned`, `hapdask.products.solutions`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import headerlet_name
from hapdask.errors import InputError
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import VisitTree
from hapdask.products.names import inside
from hapdask.products.returned.collected import Found
from hapdask.products.returned.copies import write_copies
from hapdask.products.returned.flags import FlagChange
from hapdask.products.solutions.files import write_headerlet
from hapdask.products.solutions.telling import with_facts
from hapdask.products.svm.copies import copy_changes, copy_names
from hapdask.products.svm.names import exposure_names
from hapdask.recipes.reporting import LeftOut
from hapdask.recipes.svm.ledger import digest_of
from hapdask.recipes.svm.mosaics import Studio

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Returned:
    """Files of one exposure: its copy, and its headerlet where it has a new WCS.

    Attributes
    ----------
    exposure : str
    files : tuple of Path
    kept : bool
        Whether they were there before.
    """

    exposure: str
    files: tuple[Path, ...]
    kept: bool


def named_facts(tree: VisitTree, record: ExposureRecord, facts: WcsFacts) -> WcsFacts:
    """Name the headerlet of a solution after the exposure's copy, as the archive does."""
    copy = exposure_names(tree, record).copy
    return replace(facts, hdrname=headerlet_name(copy, facts.wcsname))


def renamed(tree: VisitTree, record: ExposureRecord, facts: WcsFacts | None) -> ExposureRecord:
    """Let a record tell of its WCS as its copy does."""
    return record if facts is None else with_facts(record, facts)


def give_back(
    tree: VisitTree,
    records: Sequence[ExposureRecord],
    facts: Mapping[str, WcsFacts],
    flags: Mapping[str, FlagChange],
    studio: Studio,
) -> tuple[list[Returned], list[LeftOut]]:
    """Write the copies and headerlets of exposures.

    Parameters
    ----------
    tree : VisitTree
    records : sequence of ExposureRecord
        Aligned, with the masks and skies that were found.
    facts : mapping of str to WcsFacts
        Of new WCSs, by the name of the exposure.
    flags : mapping of str to FlagChange
        How DQ changes; not at all in an exposure that is not named.
    studio : Studio

    Returns
    -------
    list of Returned, list of LeftOut
        In the order of the records; exposures that cannot be read any more.

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    failures: list[LeftOut] = []

    def attempt(record: ExposureRecord) -> Returned | LeftOut:
        try:
            return _give_back(tree, record, facts.get(record.name), flags.get(record.name), studio)
        except InputError as error:
            log.warning("no copy: %s", error)
            return LeftOut.of(error)

    with ThreadPoolExecutor(max(1, studio.threads)) as pool:
        found = list(pool.map(attempt, records))
    failures = [each for each in found if isinstance(each, LeftOut)]
    return [each for each in found if isinstance(each, Returned)], failures


def _give_back(
    tree: VisitTree,
    record: ExposureRecord,
    facts: WcsFacts | None,
    change: FlagChange | None,
    studio: Studio,
) -> Returned:
    names = exposure_names(tree, record)
    digest = digest_of(
        [record.digest, record.wcsname, names.copy],
        None if facts is None else asdict(facts),
        None if change is None else asdict(change),
    )
    held = studio.ledger.holds(names.copy, digest)
    if held is not None:
        return Returned(record.name, held, kept=True)
    own = {} if facts is None else {record.name: facts}
    files = []
    if facts is not None:
        path = inside(studio.out, names.headerlet)
        files.append(write_headerlet([record], own, path, overwrite=True))
    done = write_copies(
        [record],
        studio.out,
        change,
        solutions=Found(own),
        more={record.url: copy_changes(tree, record)},
        names=copy_names(tree, record),
        overwrite=True,
    )
    if done.failures:
        raise done.failures[0]
    files = [*done.paths, *files]
    studio.ledger.note(names.copy, digest, files)
    return Returned(record.name, tuple(files), kept=False)
