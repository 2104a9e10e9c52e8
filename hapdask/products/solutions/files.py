"""Headerlets as files of their own: written for exposures, and taken up for others to use.

Not here: what stands in them (`headerlet`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import stem_of
from hapdask.errors import InputError
from hapdask.observe.cards import Cards, number_of, text_of
from hapdask.observe.exposure import open_exposures
from hapdask.observe.fits import scan, scan_source
from hapdask.observe.record import ExposureRecord
from hapdask.observe.solutions.headerlets import Headerlet, scan_headerlet
from hapdask.observe.source import PathLike, open_source, resolve
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import appearing
from hapdask.products.solutions.headerlet import new_headerlet
from hapdask.products.solutions.solved import solve_file

_MAS = 3.6e6
_LARGEST = 3600.0  # mas: CRDER is in other units where it seems to be more


@dataclass(frozen=True)
class Applied:
    """Exposures of a file with the WCS of a headerlet, and what it tells of it.

    Attributes
    ----------
    exposures : tuple of ExposureRecord
    facts : dict of str to WcsFacts
        By the name of the exposure.
    """

    exposures: tuple[ExposureRecord, ...]
    facts: dict[str, WcsFacts]


def make_headerlet(records: Sequence[ExposureRecord], facts: Mapping[str, WcsFacts]) -> bytes:
    """Make the headerlet of a file's solution; the file is read, and not changed.

    Parameters
    ----------
    records : sequence of ExposureRecord
        All exposures of one file: their chips' distortions are the WCSs.
    facts : mapping of str to WcsFacts
        By the name of the exposure.

    Raises
    ------
    InputError
        If the file cannot be read, or was changed after the records were opened.
    """
    with open_source(records[0].url) as source:
        solved = solve_file(source, scan_source(source), records, facts)
        return new_headerlet(solved).to_bytes()


def headerlet_name(url: str) -> str:
    """Name the headerlet of an exposure's file."""
    return f"{stem_of(url)}_hlet.fits"


def write_headerlet(
    records: Sequence[ExposureRecord],
    facts: Mapping[str, WcsFacts],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the headerlet of a file's solution.

    Parameters
    ----------
    records, facts
        As for `make_headerlet`.
    target : path
        A file, or a folder for ``<name of the exposure's file>_hlet.fits``.
    overwrite : bool

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the exposure cannot be read, or was changed after the records were opened.
    StoreError
        If the headerlet is there already, or cannot be written.
    """
    content, path = make_headerlet(records, facts), Path(target)
    if path.is_dir():
        path = path / headerlet_name(records[0].url)
    with appearing(path, overwrite=overwrite) as out, storage_errors(str(path)):
        out.write(content)
    return path


def apply_headerlet(path: PathLike, headerlet: PathLike) -> Applied:
    """Open an exposure with the WCS of a headerlet file; neither file is changed.

    The result is for `hapdask.products.returned.copies`, which write it into a copy, or in place.

    Raises
    ------
    InputError
        If one of the files cannot be read, or the headerlet is for another exposure.
    """
    known = scan_headerlet(resolve(headerlet))
    root = text_of(scan(str(path)).hdus[0].header, "ROOTNAME").lower()
    if known.destim != root:
        raise InputError(
            known.url,
            f"this headerlet is for {known.destim}, not for {root or 'a file without ROOTNAME'} "
            f"({resolve(path)})",
            remedy="give the headerlet of this exposure",
        )
    exposures = tuple(open_exposures(path, headerlets=known.url, strict=True, select=False))
    facts = _facts(scan(known.url).hdus[0].header, dict(exposures[0].chips[0].keywords), known)
    return Applied(exposures, {exposure.name: facts for exposure in exposures})


def _facts(cards: Cards, science: Cards, known: Headerlet) -> WcsFacts:
    """Take up what a headerlet tells of its solution.

    RMS_RA of PRIMARY is in degrees in some and in mas in others; CRDER is in degrees, where it is
    no more than that.
    """
    rms = [round(_MAS * (number_of(science, f"CRDER{axis}") or 0.0), 9) for axis in (1, 2)]
    matches = number_of(cards, "NMATCH") or 0
    facts = WcsFacts(
        wcsname=known.wcsname or known.hdrname,
        hdrname=known.hdrname,
        catalog=text_of(cards, "CATALOG"),
        matches=int(matches) if 0 <= matches < 2**31 else 0,
        rms_mas=(rms[0], rms[1]) if 0 < min(rms) <= max(rms) < _LARGEST else None,
        geometry=text_of(science, "FITGEOM"),
        method=text_of(cards, "FITMETH"),
        author=text_of(cards, "AUTHOR"),
        descrip=text_of(cards, "DESCRIP"),
    )
    date = text_of(cards, "DATE")
    return replace(facts, date=date) if date else facts
