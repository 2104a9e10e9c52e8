"""What a header says, read with the row of its detector: filter, unit, binning, noise."""

from __future__ import annotations

import re
from typing import NamedTuple

from hapdask.errors import InputError
from hapdask.observe.cards import Cards, Value, number_of, text_of
from hapdask.observe.instruments.instrument import ChipFacts, Instrument
from hapdask.observe.instruments.table import ROWS

_UNITS = {
    "electrons": "electron",
    "electron": "electron",
    "e-": "electron",
    "counts": "count",
    "count": "count",
    "dn": "count",
}
_MODES = {"FULL": 1, "AREA": 2}  # of WFPC2
_SAFE_FILTER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)?$")


class Electronics(NamedTuple):
    """Gain (electrons per SCI count), read noise and dark of a pixel (electrons)."""

    gain: float
    read_noise: float
    dark: float


def find_instrument(primary: Cards, path: str) -> Instrument:
    """Find the row of a file's detector.

    Raises
    ------
    InputError
        If the header names none in the table; the message lists those that it has.
    """
    instrume = text_of(primary, "INSTRUME").upper()
    for row in ROWS:
        if row.instrume == instrume and (
            not row.told_by or text_of(primary, row.told_by).upper() == (row.told or row.detector)
        ):
            return row
    told_by = next((row.told_by for row in ROWS if row.instrume == instrume), "DETECTOR")
    parts = [part for part in (instrume, text_of(primary, told_by).upper()) if part]
    named = "/".join(parts) or f"INSTRUME and {told_by} are missing"
    raise InputError(
        path,
        f"{named}: not a detector that can be processed",
        remedy=f"known are {', '.join(row.label for row in ROWS)}",
    )


def filter_elements(primary: Cards, instrument: Instrument) -> tuple[str, ...]:
    """List the filter wheels' elements, upper case, clear positions included."""
    names = (text_of(primary, key).upper() for key in instrument.filter_keywords)
    return tuple(name for name in names if name)


def filter_name(elements: tuple[str, ...], path: str) -> str:
    """Name the filter as HAP products do, for example ``f606w-pol0v``.

    Source: facts of HAP's ``determine_filter_name``: clear positions are dropped, a polariser
    comes last.

    Raises
    ------
    InputError
        If no element is named, or a name could not stand in a file name.
    """
    if not elements:
        raise InputError(path, "no filter keyword has a value", remedy="mend the primary header")
    parts = [e.lower() for e in elements[:2]]
    parts = [e for e in parts if "clear" not in e and "n/a" not in e] or ["clear"]
    if parts[0].startswith("pol"):
        parts.reverse()
    name = "-".join(parts)
    if not _SAFE_FILTER.match(name):
        raise InputError(path, f"filter {name!r} is no filter name", remedy="mend the header")
    return name


def flux_unit(bunit: Value, instrument: Instrument, path: str, ext: str) -> str:
    """``electron`` or ``count``, perhaps ``/ s``, from BUNIT or else from the table.

    Raises
    ------
    InputError
        If BUNIT is some other unit, or not one of this detector's.
    """
    text = str(bunit or "").strip().lower().replace(" ", "")
    if not text:
        return instrument.unit
    per_second = text.endswith("/s")
    quantity = _UNITS.get(text.removesuffix("/s"))
    expected = instrument.unit.split()[0]
    if quantity != expected:
        raise InputError(
            path,
            f"BUNIT = {bunit!r}: not {expected}s or {expected}s/s",
            ext=ext,
            remedy="calibrate the exposure with the instrument's pipeline",
        )
    return f"{quantity} / s" if per_second else quantity


def binning(
    primary: Cards, science: Cards, instrument: Instrument, *, path: str = "", ext: str = ""
) -> int:
    """Detector pixels per side of an image pixel.

    Raises
    ------
    InputError
        If the two sides differ, or a value is no binning.
    """
    sides = []
    for key in instrument.bin_keywords:
        value = science.get(key, primary.get(key, 1))
        if isinstance(value, str):
            value = _MODES.get(value.strip().upper())
        if isinstance(value, bool) or not isinstance(value, int | float) or value not in (1, 2, 3):
            raise InputError(
                path, f"{key} = {value!r} is no binning", ext=ext, remedy="mend the header"
            )
        sides.append(int(value))
    if len(set(sides)) > 1:
        raise InputError(
            path,
            f"binned {sides[0]} x {sides[1]}: pixels that are not square",
            ext=ext,
            remedy="leave the exposure out",
        )
    return sides[0] if sides else 1


def electronics(
    primary: Cards,
    science: Cards,
    instrument: Instrument,
    chip: ChipFacts,
    *,
    path: str = "",
) -> Electronics:
    """Gain, read noise and dark of the pixels of a chip, as they are in the file.

    Raises
    ------
    InputError
        If ATODGAIN is a setting that the detector has not.
    """
    cards = {**primary, **science}
    gain = _mean(cards, instrument.gain_keywords) or instrument.gain
    read_noise = _mean(cards, instrument.read_noise_keywords) or instrument.read_noise
    if chip.amplifiers:
        gain, read_noise = _amplifier(cards.get("ATODGAIN"), chip, path)
    dark = number_of(cards, instrument.dark_keyword)
    if dark is None:
        time = number_of(cards, "DARKTIME") or number_of(cards, "EXPTIME") or 0.0
        dark = instrument.dark_rate * time * binning(primary, science, instrument, path=path) ** 2
    return Electronics(gain, read_noise, max(dark, 0.0))


def tail(primary: Cards, instrument: Instrument, chip: ChipFacts) -> int:
    """Where a chip's charge tails lie (`ChipRecord.tail`), by the amplifier that read it."""
    amplifier = text_of(primary, "CCDAMP").upper()[:1]
    turned = amplifier and amplifier in instrument.turning_amplifiers
    return -chip.tail if turned else chip.tail


def _amplifier(setting: Value, chip: ChipFacts, path: str) -> tuple[float, float]:
    for known, gain, read_noise in chip.amplifiers:
        if setting == known:
            return gain, read_noise
    settings = " or ".join(f"{known:g}" for known, _, _ in chip.amplifiers)
    raise InputError(
        path,
        f"ATODGAIN = {setting!r}, expected {settings}",
        ext="PRIMARY",
        remedy="mend the header",
    )


def _mean(cards: Cards, keys: tuple[str, ...]) -> float:
    """Mean of the positive values; 0 if there is none."""
    values = [v for v in (number_of(cards, key) for key in keys) if v is not None and v > 0]
    return sum(values) / len(values) if values else 0.0
