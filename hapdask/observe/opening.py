"""The exposures of a file from its headers: the primary header, checked, and its chips.

Not here: lists of files (`exposure`), the chips themselves (`chips`), pixels (`pixels`).
"""

from __future__ import annotations

import os
import re

from hapdask.errors import InputError
from hapdask.observe.cards import Cards, Value, number_of, text_of
from hapdask.observe.chips import TableCache, export_cards, read_chips
from hapdask.observe.fits import FitsFile, scan_source
from hapdask.observe.instruments import (
    Instrument,
    filter_elements,
    filter_name,
    find_instrument,
    flux_unit,
)
from hapdask.observe.lookup import short_tables
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity
from hapdask.observe.selection import Select, Verdict, judge, judge_pixels
from hapdask.observe.solutions.cards import with_primary
from hapdask.observe.solutions.choose import Solutions, judge_wcs, suggesting
from hapdask.observe.source import open_source

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}$")
_SECONDS_PER_DAY = 86400.0
#: The primary WCS.
USUAL = Solutions()
NO_CHANGES: Cards = {}
_TIMES = ("EXPTIME", "EXPSTART", "EXPEND", "DATE-OBS", "TIME-OBS")


def open_exposure(
    url: str,
    cache: TableCache,
    solutions: Solutions = USUAL,
    changes: Cards = NO_CHANGES,
    *,
    select: Select = True,
) -> tuple[ExposureRecord | Verdict, ...]:
    """Open one file by its headers.

    Parameters
    ----------
    url : str
        Resolved address.
    cache : dict
        See `TableCache`.
    solutions : Solutions
        Which WCS is used.
    changes : mapping
        Cards that stand in place of those of the primary header.
    select : bool or "visit", default True
        Whether what does not belong into a layer is rejected, or only warned of; see `judge`.

    Returns
    -------
    tuple of ExposureRecord or Verdict
        One exposure, or one for each imset of a STIS file; a verdict in its place where the
        header rejects it.

    Raises
    ------
    InputError
        If the file is no exposure, or a broken one.
    """
    with open_source(url) as source:
        file = scan_source(source)
        if changes:
            file = with_primary(file, changes)
        primary = file.hdus[0].header
        instrument = find_instrument(primary, url)
        sets = _imsets(file, instrument)
        verdicts = [judge({**primary, **times}, instrument, select=select) for _, times in sets]
        if all(verdict.status == "rejected" for verdict in verdicts):
            return tuple(verdicts)
        file = solutions.apply(source, file)
        with suggesting(file):
            chips = read_chips(source, file, instrument, cache)
    found: list[ExposureRecord | Verdict] = []
    for (extver, times), verdict in zip(sets, verdicts, strict=True):
        own = tuple(c for c in chips if extver in (None, c.extver))
        if verdict.status == "rejected":
            found.append(verdict)
        elif not own:
            found.append(Verdict("rejected", "no chip lies behind this filter's quadrant"))
        elif (empty := judge_pixels([dict(c.keywords) for c in own])) is not None:
            found.append(empty)
        else:
            imset = f"-{extver}" if len(sets) > 1 else ""
            found.append(_record(file, instrument, own, {**primary, **times}, verdict, imset))
    return tuple(found)


def _imsets(file: FitsFile, instrument: Instrument) -> list[tuple[int | None, dict[str, Value]]]:
    """EXTVER (None: all of the file) and cards of times of each exposure in a file."""
    whole: list[tuple[int | None, dict[str, Value]]] = [(None, {})]
    if not instrument.imsets_are_exposures:
        return whole
    found = {h.extver: h.header for h in reversed(file.hdus) if h.name == instrument.ext_names[0]}
    return [
        (extver, {key: header[key] for key in _TIMES if key in header})
        for extver, header in sorted(found.items())
    ] or whole


def _record(
    file: FitsFile,
    instrument: Instrument,
    chips: tuple[ChipRecord, ...],
    cards: Cards,
    verdict: Verdict,
    imset: str,
) -> ExposureRecord:
    """Put a record together.

    ``cards`` are PRIMARY's with the exposure's own times; ``imset`` ends its name.
    """
    url, primary = file.path, file.hdus[0].header
    name = _rootname(primary, url) + imset
    exptime = _number(cards, "EXPTIME", url)
    start = _number(cards, "EXPSTART", url)
    end = _number(cards, "EXPEND", url, start + exptime / _SECONDS_PER_DAY)
    science = dict(chips[0].keywords)
    units = {
        flux_unit(dict(c.keywords).get("BUNIT"), instrument, url, f"SCI,{c.extver}") for c in chips
    }
    if len(units) > 1:
        raise InputError(
            url,
            f"the chips have different units: {sorted(units)}",
            ext="SCI",
            remedy="mend BUNIT in the headers",
        )
    return ExposureRecord(
        name=name,
        url=url,
        identity=FileIdentity(file.size, file.header_hash, file.stamp),
        instrument=instrument.hap_instrument,
        detector=instrument.hap_detector,
        filter=filter_name(filter_elements(primary, instrument), url),
        exptime=exptime,
        expstart=start,
        expend=end,
        unit=units.pop(),
        proposal=text_of(primary, "PROPOSID"),
        visit=name[:6],
        target=text_of(primary, "TARGNAME"),
        suffix=_suffix(url, primary),
        wcsname=text_of(science, "WCSNAME"),
        verdict=judge_wcs(file, _warned(verdict, chips, instrument)),
        chips=chips,
        keywords=export_cards(cards),
    )


def _warned(verdict: Verdict, chips: tuple[ChipRecord, ...], instrument: Instrument) -> Verdict:
    """Add what the chips have to tell."""
    if instrument.ext_names[1] and any(chip.err is None for chip in chips):
        verdict = verdict.warned("no ERR extension: errors come from a noise model")
    if any(chip.dq is None for chip in chips):
        verdict = verdict.warned(f"no data quality: {_where_dq(instrument)}")
    short = {short[0] for chip in chips for short in short_tables(chip.distortion)}
    if short:
        verdict = verdict.warned(
            f"look-up tables ({', '.join(sorted(short))}) do not reach over the subarray: beyond "
            "their end their last value holds, as in AstroDrizzle"
        )
    return verdict


def _where_dq(instrument: Instrument) -> str:
    pair = instrument.companion
    return f"there is no {pair.other[1:]} file beside the {pair.suffix[1:]}" if pair else "no DQ"


def _rootname(primary: Cards, url: str) -> str:
    """ROOTNAME, else the start of the file's name: it names the exposure in every product."""
    words = os.path.basename(url).split(".")[0].split("_")
    in_name = words[-2] if words[0] == "hst" and len(words) > 2 else words[0]  # HAP's names
    name = (text_of(primary, "ROOTNAME") or in_name).lower()
    if not _SAFE_NAME.match(name):
        raise InputError(url, f"ROOTNAME = {name!r} is no name", remedy="mend the primary header")
    return name


def _suffix(url: str, primary: Cards) -> str:
    for suffix in ("flc", "flt"):
        if url.removesuffix(".gz").endswith(f"_{suffix}.fits"):
            return suffix
    return "flc" if text_of(primary, "PCTECORR").upper() == "COMPLETE" else "flt"


def _number(primary: Cards, key: str, url: str, default: float | None = None) -> float:
    value = number_of(primary, key) if key in primary else default
    if value is None:
        raise InputError(
            url,
            f"{key} = {primary.get(key)!r} is not a number",
            ext="PRIMARY",
            remedy="mend the header",
        )
    return value
