"""Gain, read noise and exposure time that a user gives in place of the headers' figures.

They are AstroDrizzle's instrument parameters.

Not here: the figures as the headers and the table of detectors have them
(`hapdask.observe.instruments`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from hapdask.config.astrodrizzle import InstrumentFigures
from hapdask.errors import InputError, ParameterError
from hapdask.observe.cards import Cards, text_of
from hapdask.observe.instruments import Instrument, instrument_of
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)

_IN_ELECTRONS = "SCI is in electrons: a gain changes nothing"
_SETTING_ALONE = "the header has the gain's setting alone: keywords of gain and noise are not read"


def with_figures(exposure: ExposureRecord, figures: InstrumentFigures) -> ExposureRecord:
    """Put a user's figures in place of those of the headers.

    Parameters
    ----------
    exposure : ExposureRecord
        With its header cards, where a keyword is to be read.
    figures : InstrumentFigures
        Values, or keywords to take them from: those of PRIMARY, then of the chip; of several
        values the mean of those that are not zero.

    Returns
    -------
    ExposureRecord
        With a warning where a figure that was given is not used.

    Raises
    ------
    InputError
        If a keyword is missing or no number, or gives a gain or a time that is not positive.
    ParameterError
        If a keyword is to be read and the record has been stripped of its cards.

    Notes
    -----
    A gain is used where SCI is in counts; detectors whose SCI is in electrons have none left.
    WFPC2's header has the setting of the gain alone, so its table of gains and read noises stands
    before keywords, as in AstroDrizzle.  Values are used for every detector; AstroDrizzle refuses
    a gain for WFPC2, and overlooks values for SBC, NICMOS (gain) and the MAMAs.
    """
    row = instrument_of(exposure.instrument, exposure.detector)
    notes: list[str] = []
    chips = [
        replace(
            chip,
            gain=_gain(exposure, chip, row, figures, notes),
            read_noise=_read_noise(exposure, chip, row, figures, notes),
        )
        for chip in exposure.chips
    ]
    changed = replace(exposure, chips=tuple(chips))
    for note in dict.fromkeys(notes):
        log.warning("%s: %s", exposure.name, note)
        changed = changed.with_verdict(changed.verdict.warned(note))
    return _with_time(changed, row, figures)


def _gain(
    exposure: ExposureRecord,
    chip: ChipRecord,
    row: Instrument,
    figures: InstrumentFigures,
    notes: list[str],
) -> float:
    if not figures.gain and not figures.gnkeyword:
        return chip.gain
    if not exposure.unit.startswith("count"):
        notes.append(_IN_ELECTRONS)
        return chip.gain
    if figures.gain:
        return mean_of(figures.gain)
    if row.chip(chip.chip).amplifiers:
        notes.append(_SETTING_ALONE)
        return chip.gain
    return _positive(exposure, chip, figures.gnkeyword)


def _read_noise(
    exposure: ExposureRecord,
    chip: ChipRecord,
    row: Instrument,
    figures: InstrumentFigures,
    notes: list[str],
) -> float:
    if figures.rdnoise:
        return mean_of(figures.rdnoise)
    if not figures.rnkeyword:
        return chip.read_noise
    if row.chip(chip.chip).amplifiers:
        notes.append(_SETTING_ALONE)
        return chip.read_noise
    value = _of_keywords(exposure, chip, figures.rnkeyword)
    if value < 0:
        raise _no_figure(exposure, chip, figures.rnkeyword, f"gives {value:g}")
    return value


def _with_time(
    exposure: ExposureRecord, row: Instrument, figures: InstrumentFigures
) -> ExposureRecord:
    """Change the exposure time; a dark that was a rate times it goes with it."""
    if figures.exptime:
        seconds = mean_of(figures.exptime)
    elif figures.expkeyword:
        times = {_positive(exposure, chip, figures.expkeyword) for chip in exposure.chips}
        if len(times) > 1:
            raise InputError(
                exposure.url,
                f"expkeyword = {figures.expkeyword!r} gives the chips different times: "
                f"{', '.join(f'{time:g} s' for time in sorted(times))}",
                remedy="name a keyword of the primary header",
            )
        (seconds,) = times
    else:
        return exposure
    chips = exposure.chips
    if not row.dark_keyword and "DARKTIME" not in dict(exposure.keywords):
        longer = seconds / exposure.exptime
        chips = tuple(replace(chip, dark=chip.dark * longer) for chip in chips)
    return replace(exposure, exptime=seconds, chips=chips)


def mean_of(values: Sequence[float]) -> float:
    """Mean of the values that are not zero; 0 where all are."""
    counted = [value for value in values if value != 0.0]
    return sum(counted) / len(counted) if counted else 0.0


def _positive(exposure: ExposureRecord, chip: ChipRecord, keywords: str) -> float:
    value = _of_keywords(exposure, chip, keywords)
    if not value > 0:
        raise _no_figure(exposure, chip, keywords, f"gives {value:g}")
    return value


def _of_keywords(exposure: ExposureRecord, chip: ChipRecord, keywords: str) -> float:
    """Average what some keywords of PRIMARY, else of the chip, say."""
    if not exposure.keywords and not chip.keywords:
        raise ParameterError(
            f"{exposure.name} has no header cards to read {keywords} from: give the record as it "
            "was opened, before it is stripped"
        )
    cards = {**dict(chip.keywords), **dict(exposure.keywords)}
    names = [name.strip().upper() for name in keywords.split(",") if name.strip()]
    return mean_of([_number(exposure, chip, cards, name) for name in names])


def _number(exposure: ExposureRecord, chip: ChipRecord, cards: Cards, name: str) -> float:
    if name not in cards:
        raise _no_figure(exposure, chip, name, "is missing")
    try:
        return float(text_of(cards, name))
    except ValueError:
        raise _no_figure(exposure, chip, name, f"= {cards[name]!r} is no number") from None


def _no_figure(exposure: ExposureRecord, chip: ChipRecord, name: str, problem: str) -> InputError:
    return InputError(
        exposure.url,
        f"{name} {problem}",
        ext=f"PRIMARY and SCI,{chip.extver}",
        remedy="name another keyword, or give the value itself",
    )
