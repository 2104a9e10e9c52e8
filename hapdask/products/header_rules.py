"""The one table of what a product takes from its inputs' headers, and how it is combined.

A rule reads one keyword of every input (an exposure for PRIMARY, a chip for SCI) and gives one
card.  Not here: cards about the product itself (`headers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from hapdask.observe.cards import Value
from hapdask.products.fits_cards import Card

Row = dict[str, Value]


class Rule(NamedTuple):
    """One keyword of a product, combined from one keyword of its inputs."""

    target: str
    source: str
    function: str
    comment: str


def _rules(*rows: str) -> tuple[Rule, ...]:
    """Read rows ``target < source, function, comment``; the source is the target if left out."""
    rules = []
    for row in rows:
        names, function, comment = (part.strip() for part in row.split(",", 2))
        target, _, source = (part.strip() for part in names.partition("<"))
        rules.append(Rule(target, source or target, function, comment))
    return tuple(rules)


#: By extension.  PRIMARY combines exposures, SCI combines chips; upstream's functions.
RULES: dict[str, tuple[Rule, ...]] = {
    "PRIMARY": _rules(
        "TELESCOP, first, telescope used to acquire data",
        "INSTRUME, first, instrument",
        "DETECTOR, first, detector",
        "APERTURE, multi, aperture name",
        "FILTER < HAPFILT, first, filter elements",
        "OBSTYPE, first, observation type",
        "TARGNAME, first, proposer's target name of the first input",
        "RA_TARG, first, right ascension of that target (deg)",
        "DEC_TARG, first, declination of that target (deg)",
        "EQUINOX, first, equinox of celestial coord. system",
        "PROPOSID, joined, proposals of the inputs",
        "DATE-OBS, first, UT date of the first input",
        "FGSLOCK, multi, commanded FGS lock",
        "CAL_VER, multi, calibration code version",
        "EXPSTART, min, start of the first exposure (MJD)",
        "EXPEND, max, end of the last exposure (MJD)",
        "EXPTIME, sum, total exposure time (s)",
        "TEXPTIME < EXPTIME, sum, total exposure time (s)",
    ),
    "SCI": _rules(
        "PHOTMODE, first, observation configuration",
        "PHOTFLAM, mean, inverse sensitivity (erg/cm2/A/electron)",
        "PHOTFNU, mean, inverse sensitivity (Jy s/electron)",
        "PHOTZPT, mean, ST magnitude zero point",
        "PHOTPLAM, mean, pivot wavelength (Angstrom)",
        "PHOTBW, mean, RMS bandwidth of filter and detector (Angstrom)",
        "WCSNAME, first, solution of the first input",
    ),
}


def combine(rules: Iterable[Rule], rows: Sequence[Row]) -> list[Card]:
    """Apply rules to the headers of the inputs.

    Parameters
    ----------
    rules : iterable of Rule
        In the order of the cards.
    rows : sequence of dict
        Keywords and values of every input, in input order; inputs without a keyword are passed
        over, and a rule that finds none gives no card.

    Returns
    -------
    list of Card
    """
    cards = []
    for rule in rules:
        values = [v for row in rows if (v := row.get(rule.source)) is not None]
        if values:
            cards.append(Card(rule.target, _FUNCTIONS[rule.function](values), rule.comment))
    return cards


def _common(values: Sequence[Value]) -> Value:
    return values[0] if all(value == values[0] for value in values) else "MULTIPLE"


def _joined(values: Sequence[Value]) -> Value:
    return "; ".join(sorted({str(value) for value in values}, key=lambda v: (len(v), v)))


def _numbers(values: Sequence[Value]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)] or [0.0]


_FUNCTIONS: dict[str, Callable[[Sequence[Value]], Value]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "multi": _common,
    "joined": _joined,
    "min": lambda values: min(_numbers(values)),
    "max": lambda values: max(_numbers(values)),
    "sum": lambda values: sum(_numbers(values)),
    "mean": lambda values: fmean(_numbers(values)),
}
