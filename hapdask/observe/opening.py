"""One exposure from the headers of its file: the primary header, checked, and its chips.

Not here: lists of files (`exposure`), the chips themselves (`chips`), pixels (`pixels`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping

from hapdask.errors import InputError
from hapdask.observe.cards import Value
from hapdask.observe.chips import TableCache, export_cards, read_chips
from hapdask.observe.fits import FitsFile, scan_source
from hapdask.observe.instruments import (
    Instrument,
    filter_elements,
    filter_name,
    find_instrument,
    flux_unit,
)
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity
from hapdask.observe.selection import Verdict, judge
from hapdask.observe.source import open_source

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}$")
_SECONDS_PER_DAY = 86400.0


def open_exposure(url: str, cache: TableCache) -> ExposureRecord | Verdict:
    """Open one file by its headers; a verdict instead of a record where its header rejects it."""
    with open_source(url) as source:
        file = scan_source(source)
        primary = file.hdus[0].header
        instrument = find_instrument(primary, url)
        verdict = judge(primary, instrument)
        if verdict.status == "rejected":
            return verdict
        chips = read_chips(source, file, instrument, cache)
    if any(chip.err is None for chip in chips):
        verdict = verdict.warned("no ERR extension: ERR weights and err planes need a noise model")
    return _record(file, instrument, chips, verdict)


def _record(
    file: FitsFile, instrument: Instrument, chips: tuple[ChipRecord, ...], verdict: Verdict
) -> ExposureRecord:
    url, primary = file.path, file.hdus[0].header
    name = _rootname(primary, url)
    exptime = _number(primary, "EXPTIME", url)
    start = _number(primary, "EXPSTART", url)
    end = _number(primary, "EXPEND", url, start + exptime / _SECONDS_PER_DAY)
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
    quoted = export_cards(primary)
    known = {"EXTNAME", "EXTVER", *(key for key, _ in quoted)}
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
        proposal=_text(primary, "PROPOSID"),
        visit=name[:6],
        target=_text(primary, "TARGNAME"),
        suffix=_suffix(url, primary),
        wcsname=_text(science, "WCSNAME"),
        verdict=verdict,
        chips=chips,
        keywords=quoted + tuple((k, v) for k, v in chips[0].keywords if k not in known),
    )


def _rootname(primary: Mapping[str, Value], url: str) -> str:
    """ROOTNAME, else the start of the file's name: it names the exposure in every product."""
    stem = os.path.basename(url).split("_")[0].split(".")[0]
    name = (_text(primary, "ROOTNAME") or stem).lower()
    if not _SAFE_NAME.match(name):
        raise InputError(url, f"ROOTNAME = {name!r} is no name", remedy="mend the primary header")
    return name


def _suffix(url: str, primary: Mapping[str, Value]) -> str:
    for suffix in ("flc", "flt"):
        if url.endswith(f"_{suffix}.fits"):
            return suffix
    return "flc" if _text(primary, "PCTECORR").upper() == "COMPLETE" else "flt"


def _text(cards: Mapping[str, Value], key: str) -> str:
    value = cards.get(key)
    return "" if value is None else str(value).strip()


def _number(
    primary: Mapping[str, Value], key: str, url: str, default: float | None = None
) -> float:
    value = primary.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(
            url, f"{key} = {value!r} is not a number", ext="PRIMARY", remedy="mend the header"
        )
    return float(value)
