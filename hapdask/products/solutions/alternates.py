"""What becomes of the WCSs that a file had: alternates under a key, or headerlets inside the file.

The primary WCS goes under the next free key, under its own name or a numbered one; key O is for
the telescope's pipeline alone.  FITS has room for one distortion in a header: where the new one
differs, every WCS that shared the old one is kept as a headerlet.

Source: stwcs's ``archive_wcs`` and ``apply_headerlet_as_primary``; DrizzlePac's TweakReg.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import (
    NAMELESS,
    PIPELINE_KEY,
    PIPELINE_NAME,
    headerlet_name,
    unique_name,
    wcs_type,
)
from hapdask.errors import InputError
from hapdask.observe.cards import Cards, text_of
from hapdask.observe.solutions.cards import is_linear, with_alternate
from hapdask.observe.solutions.headerlets import list_headerlets
from hapdask.products.fits_cards import Card
from hapdask.products.solutions.headerlet import HeaderletChip, NewHeaderlet
from hapdask.products.solutions.solved import Solved, SolvedChip, read_map

log = logging.getLogger(__name__)

_LONGEST = 60
_KEYWORD = 8
_VALUES = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")


@dataclass
class Archive:
    """What is kept of the WCSs that a file had.

    Attributes
    ----------
    cards : dict of int to list of Card
        By EXTVER: cards to be set in SCI.
    removed : dict of int to set of str
        By EXTVER: keywords of alternates that go.
    headerlets : list of NewHeaderlet
        To be put into the file.
    key, name : str
        Under which the primary WCS went; empty where it did not.
    """

    cards: dict[int, list[Card]] = field(default_factory=dict)
    removed: dict[int, set[str]] = field(default_factory=dict)
    headerlets: list[NewHeaderlet] = field(default_factory=list)
    key: str = ""
    name: str = ""


def archive(solved: Solved, *, reuse: bool) -> Archive:
    """Find a place for the primary WCS of a file that gets another, and for those beside it.

    Parameters
    ----------
    solved : Solved
    reuse : bool
        Whether the new WCS may have the name of one that the file has: the primary WCS of that
        name is replaced, an alternate one is numbered.

    Raises
    ------
    InputError
        If the name is taken and may not be used again.
    """
    new = solved.facts.wcsname
    names = alternate_names(solved.chips)
    old = _old_name(solved, names)
    if not reuse:
        _refuse_taken(solved, new, [old, *names.values()])
    kept = Archive()
    for key, name in names.items():
        if name.upper() == new.upper():
            _rename(kept, solved.chips, key, unique_name(name, [*names.values(), new, old]))
    if solved.same_model:
        _keep_primary(kept, solved, old, names)
    else:
        _keep_unlike(kept, solved, old, names)
    return kept


def alternate_names(chips: Sequence[SolvedChip]) -> dict[str, str]:
    """Names of the alternate WCSs that any chip has, by key."""
    found: dict[str, str] = {}
    for chip in chips:
        header = chip.hdu.header
        for keyword in header:
            if len(keyword) == 7 and keyword[:6] in ("CRVAL1", "CTYPE1") and keyword[6].isalpha():
                found.setdefault(keyword[6], text_of(header, f"WCSNAME{keyword[6]}"))
    return dict(sorted(found.items()))


def _old_name(solved: Solved, names: Mapping[str, str]) -> str:
    """Name of the primary WCS; one without distortion that has none is the pipeline's."""
    name = text_of(solved.chips[0].hdu.header, "WCSNAME")
    if name:
        return name
    return NAMELESS if _distorted(solved) or PIPELINE_KEY in names else PIPELINE_NAME


def _distorted(solved: Solved) -> bool:
    header = solved.chips[0].hdu.header
    return text_of(header, "CTYPE1").endswith("-SIP")


def _refuse_taken(solved: Solved, new: str, taken: Sequence[str]) -> None:
    if new.upper() in {name.upper() for name in taken}:
        raise InputError(
            solved.file.path,
            f"it has a WCS called {new!r} already",
            ext=solved.chips[0].hdu.label,
            remedy="choose another wcsname, or allow the name to be used again (reusename)",
        )


def _rename(kept: Archive, chips: Sequence[SolvedChip], key: str, name: str) -> None:
    for chip in chips:
        kept.cards.setdefault(chip.hdu.extver, []).append(
            Card(f"WCSNAME{key}", name, "coordinate system title")
        )


def _keep_primary(kept: Archive, solved: Solved, old: str, names: Mapping[str, str]) -> None:
    """Put the primary WCS under a key."""
    if old.upper() == solved.facts.wcsname.upper():
        return
    for key, name in names.items():
        if name.upper() == old.upper() and all(_equal(c.hdu.header, key) for c in solved.chips):
            kept.key, kept.name = key, name
            return
    if old.upper() == PIPELINE_NAME and PIPELINE_KEY not in names:
        key, name = PIPELINE_KEY, PIPELINE_NAME
    else:
        free = [k for k in ascii_uppercase if k not in names and k != PIPELINE_KEY]
        if not free:
            log.warning("%s: no key is free for its WCS %s", solved.file.path, old)
            _keep_as_headerlet(kept, solved, "", old)
            return
        key = free[0]
        name = unique_name(old, [*names.values(), solved.facts.wcsname])
    kept.key, kept.name = key, name
    for chip in solved.chips:
        kept.cards.setdefault(chip.hdu.extver, []).extend(_keyed(chip.hdu.header, key, name))


def _keep_unlike(kept: Archive, solved: Solved, old: str, names: Mapping[str, str]) -> None:
    """Keep WCSs whose distortion goes as headerlets; those without any stay where they are."""
    for key, name in names.items():
        if any(text_of(c.hdu.header, f"CTYPE1{key}").endswith("-SIP") for c in solved.chips):
            _keep_as_headerlet(kept, solved, key, name or f"{old}{key}")
            for chip in solved.chips:
                gone = {k for k in chip.hdu.header if k.endswith(key) and is_linear(k[:-1])}
                kept.removed.setdefault(chip.hdu.extver, set()).update(gone)
    if _distorted(solved):
        if old.upper() != solved.facts.wcsname.upper():
            _keep_as_headerlet(kept, solved, "", old)
    else:
        _keep_primary(kept, solved, old, names)


def _keep_as_headerlet(kept: Archive, solved: Solved, key: str, name: str) -> None:
    """Keep a WCS as a headerlet, if it is whole and the file has none of its name."""
    header = solved.chips[0].hdu.header
    hdrname = text_of(header, f"HDRNAME{key}") or headerlet_name(solved.file.path, name)
    if any(h.answers_to(hdrname) or h.answers_to(name) for h in list_headerlets(solved.file)):
        return
    chips = []
    for chip in solved.chips:
        cards = with_alternate(chip.hdu.header, key) if key else chip.hdu.header
        found = read_map(chip.hdu, cards, solved.tables, solved.file.path)
        if found is None:
            log.warning("%s: its WCS %s is broken and cannot be kept", solved.file.path, name)
            return
        told = (
            Card("WCSNAME", name, "coordinate system title"),
            Card("WCSTYPE", wcs_type(name), "what the WCS was made with"),
            Card("HDRNAME", hdrname, "headerlet of this WCS"),
        )
        chips.append(HeaderletChip(chip.hdu.extver, found, cards, told))
    facts = WcsFacts(name[:_LONGEST], hdrname=hdrname, date=solved.facts.date)
    kept.headerlets.append(NewHeaderlet(hdrname, facts, chips, solved.file.hdus[0].header))


def _equal(header: Cards, key: str) -> bool:
    """Whether an alternate WCS is the primary one."""
    return all(header.get(name) == header.get(f"{name}{key}") for name in _VALUES)


def _keyed(header: Cards, key: str, name: str) -> list[Card]:
    """Give the primary WCS's cards under a key."""
    values = {k: v for k, v in header.items() if is_linear(k) and v is not None}
    if "NMATCHES" in values:
        values.setdefault("NMATCH", values["NMATCHES"])  # which has room for a key
    values |= {"WCSNAME": name, "WCSTYPE": values.get("WCSTYPE") or wcs_type(name)}
    return [Card(k + key, v, "") for k, v in values.items() if len(k + key) <= _KEYWORD]
