"""The aligned copy of an exposure of a visit: what changes in it besides its WCS and its flags.

Not here: how a copy is written (`hapdask.products.returned`), its cards (`headers`).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from hapdask.observe.fits import scan
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import VisitTree
from hapdask.products.returned.hdus import Change, Changes
from hapdask.products.svm.headers import chip_cards, copy_cards
from hapdask.products.svm.names import exposure_names


def copy_names(tree: VisitTree, record: ExposureRecord) -> dict[str, str]:
    """Name the copies of an exposure's files, by their addresses.

    A companion that holds its flags (WFPC2's c1m) is named as the copy is, so that it is found.
    """
    name = exposure_names(tree, record).copy
    found = {record.url: name}
    for chip in record.chips:
        if chip.dq is not None and chip.dq.url:
            suffix = PurePosixPath(chip.dq.url.removesuffix(".gz")).stem.rpartition("_")[2]
            found[chip.dq.url] = f"{name.rpartition('_')[0]}_{suffix}.fits"
    return found


def copy_changes(tree: VisitTree, record: ExposureRecord) -> Changes:
    """Give what changes in the copy of an exposure's file.

    Parameters
    ----------
    tree : VisitTree
    record : ExposureRecord
        Aligned; one of its exposures.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    name = exposure_names(tree, record).copy
    primary = scan(record.url).hdus[0].data_offset
    changes = {primary: Change(tuple(copy_cards(record, name)))}
    for chip in record.chips:
        if chip.sci is not None:
            changes[chip.sci.offset] = Change(tuple(chip_cards(record, chip)))
    return Changes(record.identity.header_hash, changes)
