"""The file of an exposure beside the solution found for it: old and new map of every chip.

Not here: cards (`cards`), archiving the old WCS (`alternates`), files.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import stem_of
from hapdask.errors import InputError, ParameterError
from hapdask.observe.cards import Cards, text_of
from hapdask.observe.distortion import Distortion
from hapdask.observe.fits import FitsFile, Hdu
from hapdask.observe.lookup import LookupTables
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.solutions.cards import MODELS, REFERENCES, science
from hapdask.observe.source import ByteSource

log = logging.getLogger(__name__)

_NONE = ("", "N/A", "NONE", "INDEF")
_NO_MODEL = "NOMODEL"
_ROUNDED = 1e-12


@dataclass(frozen=True)
class SolvedChip:
    """One SCI extension.

    Attributes
    ----------
    hdu : Hdu
        In the file.
    distortion : Distortion
        The new map.
    old : Distortion or None
        That of the file's primary WCS; None where it is broken.
    cards : mapping
        Those of the file, under those that the record has.
    facts : WcsFacts
    """

    hdu: Hdu
    distortion: Distortion
    old: Distortion | None
    cards: Cards
    facts: WcsFacts

    @property
    def same_model(self) -> bool:
        """Whether the new map differs from the old one in CRVAL and CD alone."""
        return self.old is not None and _same_model(self.old, self.distortion)


@dataclass(frozen=True)
class Solved:
    """A file with its solution.

    Attributes
    ----------
    file : FitsFile
    chips : tuple of SolvedChip
        All SCI extensions, by EXTVER.
    primary : mapping
        Cards of PRIMARY, under those that the record has.
    tables : LookupTables
        Those of the file; they are read while it is open.
    """

    file: FitsFile
    chips: tuple[SolvedChip, ...]
    primary: Cards
    tables: LookupTables

    @property
    def facts(self) -> WcsFacts:
        """Those of the first chip, which are told of the file."""
        return self.chips[0].facts

    @property
    def same_model(self) -> bool:
        """Whether the distortion is that of the file, so that alternate WCSs can share it."""
        return all(chip.same_model for chip in self.chips)


def solve_file(
    source: ByteSource,
    file: FitsFile,
    records: Sequence[ExposureRecord],
    facts: Mapping[str, WcsFacts],
) -> Solved:
    """Put the records of a file beside it.

    A chip that no record has (behind a quad filter) moves by the correction of the file's only
    exposure, or stays.

    Parameters
    ----------
    source : ByteSource
        The file, open.
    file : FitsFile
        Its scan.
    records : sequence of ExposureRecord
        All of this file, not stripped.
    facts : mapping of str to WcsFacts
        By the name of the record.

    Raises
    ------
    InputError
        If the file was changed since the records were opened.
    ParameterError
        If a record was stripped, or nothing is known of its solution.
    """
    by_extver: dict[int, tuple[ExposureRecord, ChipRecord]] = {}
    for record in records:
        if record.identity.header_hash != file.header_hash:
            raise InputError(file.path, "it was changed after it was opened", remedy="run again")
        if not record.keywords:
            raise ParameterError(f"{record.name} was stripped of its header; give it as opened")
        if record.name not in facts:
            raise ParameterError(f"no facts are given on the WCS of {record.name}")
        by_extver |= {chip.extver: (record, chip) for chip in record.chips}
    tables, first = LookupTables(source, file, {}), records[0]
    chips = []
    for hdu in sorted(science(file), key=lambda hdu: hdu.extver):
        old = read_map(hdu, hdu.header, tables, file.path)
        if hdu.extver in by_extver:
            record, chip = by_extver[hdu.extver]
            cards = {**hdu.header, **dict(chip.keywords)}
            chips.append(SolvedChip(hdu, chip.distortion, old, cards, facts[record.name]))
        elif old is not None and len(records) == 1:
            moved = old.corrected(first.correction)
            chips.append(SolvedChip(hdu, moved, old, hdu.header, facts[first.name]))
    primary = {"ROOTNAME": first.name, **file.hdus[0].header, **dict(first.keywords)}
    return Solved(file, tuple(chips), primary, tables)


def _same_model(one: Distortion, two: Distortion) -> bool:
    """Whether two maps share their distortion; stwcs rounds what it writes to 15 digits."""
    if (one.shape, one.crpix) != (two.shape, two.crpix):
        return False
    for name in ("sip_a", "sip_b"):
        sip = getattr(one, name), getattr(two, name)
        if sip[0].shape != sip[1].shape or not np.allclose(*sip, rtol=_ROUNDED, atol=0.0):
            return False
    for name in ("d2im_x", "d2im_y", "npol_x", "npol_y"):
        a, b = getattr(one, name), getattr(two, name)
        if (a is None) != (b is None):
            return False
        if a is not None and (a.start, a.step) != (b.start, b.step):
            return False
        if a is not None and not np.array_equal(a.values, b.values):
            return False
    return True


def read_map(hdu: Hdu, cards: Cards, tables: LookupTables, path: str) -> Distortion | None:
    """Read the primary WCS in some cards of an SCI extension; None where it is broken."""
    shape = hdu.shape if len(hdu.shape) == 2 else (cards.get("NPIX2"), cards.get("NPIX1"))
    try:
        sized = {**cards, "NAXIS1": shape[1], "NAXIS2": shape[0]}
        return Distortion.from_header(sized, tables, path=path, ext=hdu.label)
    except InputError as error:
        log.info("%s: a WCS cannot be kept: %s", path, error.problem)
        return None


def model_names(primary: Cards, *, distorted: bool = True) -> dict[str, str]:
    """Name the distortion model of a file as stwcs does.

    Parameters
    ----------
    primary : mapping
        Cards of PRIMARY.
    distorted : bool
        Whether its chips have SIP coefficients.

    Returns
    -------
    dict
        IDCTAB, NPOLFILE and D2IMFILE as headers have them; SIPNAME, NPOLNAME, D2IMNAME,
        DISTNAME.
    """
    names = {key: text_of(primary, key) or "N/A" for key in REFERENCES[:3]}
    idc = _root(names["IDCTAB"], "_idc")
    sip = text_of(primary, "SIPNAME")
    if idc and idc not in sip:
        sip = f"{text_of(primary, 'ROOTNAME').lower()}_{idc}"
    elif not idc:
        sip = "UNKNOWN" if distorted else _NO_MODEL
    names["SIPNAME"] = sip
    names["NPOLNAME"] = _root(names["NPOLFILE"], "_npl") or _NO_MODEL
    names["D2IMNAME"] = _root(names["D2IMFILE"], "_d2i") or _NO_MODEL
    whole = f"{sip}-{names['NPOLNAME']}-{names['D2IMNAME']}"
    names["DISTNAME"] = text_of(primary, MODELS[0]) or whole
    return names


def _root(name: str, ending: str) -> str:
    """Name of a reference table without folder and ending; empty where there is none."""
    if name.strip().upper() in _NONE:
        return ""
    return stem_of(re.split(r"[$/]", name)[-1]).removesuffix(ending)
