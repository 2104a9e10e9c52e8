"""What changes in the file of an exposure that gets a new WCS, as data; nothing is written.

SCI gets the new primary WCS and keeps the old one under a key (`alternates`); ERR, DQ and the like
follow where they have a WCS; PRIMARY names the models; the headerlet of the solution comes into
the file, and WCSCORR tells of it.  Not here: copying (`hapdask.products.returned`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.errors import InputError
from hapdask.observe.fits import FitsFile, Hdu, scan_source
from hapdask.observe.record import ExposureRecord
from hapdask.observe.solutions.cards import (
    MODELS,
    REFERENCES,
    TABLES,
    is_distortion,
)
from hapdask.observe.solutions.headerlets import list_headerlets
from hapdask.observe.source import ByteSource, open_source
from hapdask.products.fits_cards import Card
from hapdask.products.returned.hdus import Change, Changes
from hapdask.products.solutions.alternates import Archive, archive
from hapdask.products.solutions.cards import (
    OF_A_FIT,
    distortion_cards,
    fit_cards,
    linear_cards,
    quoted,
    relative_cards,
)
from hapdask.products.solutions.headerlet import (
    headerlet_name_of,
    new_headerlet,
    version_cards,
)
from hapdask.products.solutions.solved import Solved, SolvedChip, solve_file
from hapdask.products.solutions.tables import Numbers, number_tables, table_hdus
from hapdask.products.solutions.wcscorr import NAME as WCSCORR
from hapdask.products.solutions.wcscorr import wcscorr_hdu
from hapdask.sky.sregion import write as write_region

_FOLLOWERS = ("ERR", "DQ", "SAMP", "TIME")
_RECORDS = ("D2IM1", "D2IM2", "DP1", "DP2")  # their cards are read under names with a point
_OF_CHIP = (
    *("IDCSCALE", "IDCTHETA", "IDCV2REF", "IDCV3REF", "IDCXREF", "IDCYREF"),
    *("OCX10", "OCX11", "OCY10", "OCY11"),
)


def wcs_changes(
    records: Sequence[ExposureRecord],
    facts: Mapping[str, WcsFacts],
    *,
    reuse: bool = True,
    attach: bool = True,
) -> Changes:
    """Say what changes in a file with the solutions of its exposures.

    Parameters
    ----------
    records : sequence of ExposureRecord
        All exposures of one file: their chips' distortions are the new WCSs.
    facts : mapping of str to WcsFacts
        By the name of the exposure.
    reuse : bool
        Whether a WCSNAME that the file has may be used again, see `alternates.archive`.
    attach : bool
        Whether the headerlet of the solution comes into the file.

    Raises
    ------
    InputError
        If the file cannot be read, was changed, or has the name already.
    """
    with open_source(records[0].url) as source:
        file = scan_source(source)
        solved = solve_file(source, file, records, facts)
        if not solved.chips:
            raise InputError(file.path, "there is no SCI extension", remedy="give an exposure")
        return _changes(source, solved, reuse=reuse, attach=attach)


def _changes(source: ByteSource, solved: Solved, *, reuse: bool, attach: bool) -> Changes:
    file, kept = solved.file, archive(solved, reuse=reuse)
    numbers = number_tables([chip.distortion for chip in solved.chips])
    changes: dict[int, Change] = {}
    for chip, own in zip(solved.chips, numbers, strict=True):
        changes[chip.hdu.data_offset] = _chip_change(solved, chip, own, kept)
        for hdu in file.hdus:
            if hdu.name in _FOLLOWERS and hdu.extver == chip.hdu.extver and "CRVAL1" in hdu.header:
                changes[hdu.data_offset] = _following(chip)
    dropped = {hdu.data_offset for hdu in file.hdus if hdu.name == WCSCORR}
    added = []
    if not solved.same_model:
        dropped |= {hdu.data_offset for hdu in file.hdus if hdu.name in TABLES}
        for chip, own in zip(solved.chips, numbers, strict=True):
            added += table_hdus(chip.distortion, own)
    added.append(wcscorr_hdu(source, solved, kept))
    lets = [*kept.headerlets, *([new_headerlet(solved)] if attach else [])]
    outdated = _same_headerlets(file, [let.hdrname for let in lets])
    last = max((hdu.extver for hdu in file.hdus if _is_headerlet(hdu)), default=0)
    added += [let.to_extension(last + k) for k, let in enumerate(lets, start=1)]
    dropped |= outdated
    count = len(file.hdus) - 1 - len(dropped) + len(added)
    changes[file.hdus[0].data_offset] = _primary_change(solved, count)
    return Changes(file.header_hash, changes, frozenset(dropped), tuple(added))


def _chip_change(solved: Solved, chip: SolvedChip, numbers: Numbers, kept: Archive) -> Change:
    header, extver = chip.hdu.header, chip.hdu.extver
    cards = linear_cards(chip.distortion)
    if "WCSAXES" not in header:  # which would have to come before WCSs that are there
        cards = [card for card in cards if card.keyword != "WCSAXES"]
    removed = {*OF_A_FIT, *kept.removed.get(extver, ())}
    if not solved.same_model:
        removed |= {name for name in header if is_distortion(name)} | set(_RECORDS)
        cards += distortion_cards(chip.distortion, numbers, chip.cards)
        cards += quoted(chip.cards, _OF_CHIP)
    if "LATPOLE" in header:
        cards.append(Card("LATPOLE", chip.distortion.crval[1], "[deg] native latitude of pole"))
    cards += fit_cards(chip.facts, headerlet_name_of(solved))
    if chip.facts.geometry or chip.facts.relative:
        cards += relative_cards(chip.facts, header)
    if "S_REGION" in header:
        region = write_region([_corners(chip)])
        cards.append(Card("S_REGION", region, "outline of the chip on the sky"))
    return Change((*cards, *kept.cards.get(extver, ())), removed=frozenset(removed))


def _corners(chip: SolvedChip) -> tuple[tuple[float, ...], tuple[float, ...]]:
    ny, nx = chip.distortion.shape
    x, y = np.array([0.0, 0.0, nx - 1.0, nx - 1.0]), np.array([0.0, ny - 1.0, ny - 1.0, 0.0])
    ra, dec = chip.distortion.pixel_to_sky(x, y)
    return tuple(ra.tolist()), tuple(dec.tolist())


def _following(chip: SolvedChip) -> Change:
    """Move the WCS of ERR, DQ and the like; whether it has a distortion stays as it is."""
    skipped = ("WCSAXES", "CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2")
    cards = [card for card in linear_cards(chip.distortion) if card.keyword not in skipped]
    return Change(tuple(cards))


def _primary_change(solved: Solved, extensions: int) -> Change:
    primary, cards = solved.primary, version_cards()
    if "NEXTEND" in solved.file.hdus[0].header:
        cards.append(Card("NEXTEND", extensions, "number of standard extensions"))
    if not solved.same_model:
        cards += quoted(primary, (*REFERENCES, *MODELS))
    return Change(tuple(cards))


def _is_headerlet(hdu: Hdu) -> bool:
    return hdu.header.get("XTENSION") == "HDRLET"


def _same_headerlets(file: FitsFile, names: Sequence[str]) -> set[int]:
    """Find headerlets in a file that others of their names take the place of."""
    wanted = {name.lower() for name in names}
    found = [let for let in list_headerlets(file) if let.hdrname.lower() in wanted]
    return {let.hdu.data_offset for let in found if let.hdu is not None}
