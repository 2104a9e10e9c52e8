"""Which exposures enter a mosaic, judged by their header cards alone.

The rules are two tables, one of cards and one of filter elements, in order of precedence; the
first that rejects decides, and warnings add up.  Facts of HAP's ``analyze`` module, plus quad
filters, ramps and dispersers, which never enter a layer, and which a visit keeps beside its
products.  Not here: judgements that need pixels (guiding) or alignment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hapdask.observe.cards import Cards, number_of, text_of
from hapdask.observe.instruments import Instrument, filter_elements

Status = Literal["accepted", "rejected", "warning"]
#: What for: ``True`` a layer of a mosaic, ``"visit"`` a visit, ``False`` whatever can be drizzled.
Select = bool | Literal["visit"]
Test = Callable[[str], bool]

_SHORTEST = 1e-5  # seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about an exposure, and on what ground.

    Attributes
    ----------
    status : {"accepted", "rejected", "warning"}
        A warning means: used, but look at it.
    reason : str
        For people; empty when accepted.
    keyword, value : str
        The card that decided, if one did.
    """

    status: Status
    reason: str = ""
    keyword: str = ""
    value: str = ""

    def warned(self, reason: str, keyword: str = "", value: str = "") -> Verdict:
        """Add one more warning to a verdict; the first keyword stays."""
        if not self.reason:
            status: Status = "warning" if self.status == "accepted" else self.status
            return Verdict(status, reason, keyword, value)
        if reason in self.reason.split("; "):
            return self
        return Verdict(self.status, f"{self.reason}; {reason}", self.keyword, self.value)


ACCEPTED = Verdict("accepted")


@dataclass(frozen=True, slots=True)
class CardRule:
    """A value of a card that speaks against an exposure.

    Attributes
    ----------
    keyword : str
    is_bad : callable
        Whether a value (upper case; empty where there is no card) is bad.
    reason : str
    status : {"rejected", "warning"}
    only, but : tuple of str
        INSTRUMEs for which alone, or for which not, the rule holds; empty for all, for none.
    dispersed : bool
        Whether it holds for dispersed light in a visit, whose header says that it is no image.
    """

    keyword: str
    is_bad: Test
    reason: str
    status: Status = "rejected"
    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    dispersed: bool = True

    def holds_for(self, instrument: Instrument) -> bool:
        """Whether the rule is one for this instrument."""
        name = instrument.instrume
        return (not self.only or name in self.only) and name not in self.but


@dataclass(frozen=True, slots=True)
class ElementRule:
    """First letters of a filter element that speak against an exposure.

    Attributes
    ----------
    start : str
    reason : str
    status : {"rejected", "warning"}
    in_visit : str
        What a visit does with such an exposure, instead of rejecting it.
    """

    start: str
    reason: str
    status: Status = "rejected"
    in_visit: str = ""


def one_of(*values: str) -> Test:
    """Is one of these."""
    return lambda text: text in values


def none_of(*values: str) -> Test:
    """Is something, and none of these."""
    return lambda text: bool(text) and text not in values


def contains(*parts: str) -> Test:
    """Has one of these in it."""
    return lambda text: any(part in text for part in parts)


def starts_otherwise(start: str) -> Test:
    """Is something that does not begin so."""
    return lambda text: bool(text) and not text.startswith(start)


_CARDS = (
    CardRule("OBSTYPE", none_of("IMAGING"), "not an imaging observation", dispersed=False),
    CardRule("IMAGETYP", none_of("EXT"), "not an exposure of the sky", only=("WFPC2", "NICMOS")),
    CardRule("OBSMODE", contains("ACQ"), "a target acquisition", only=("STIS", "NICMOS")),
    CardRule(
        "DRIZCORR",
        one_of("OMIT", "SKIPPED"),
        "the pipeline says not to drizzle it",
        dispersed=False,
    ),
    CardRule("MTFLAG", one_of("T", "TRUE"), "a moving target"),
    CardRule("SCAN_TYP", one_of("C", "D"), "a spatial scan"),
    CardRule(
        "TARGNAME",
        contains("DARK", "TUNG", "BIAS", "FLAT", "DEUT", "EARTH-CAL"),
        "a calibration target",
        but=("WFPC2",),  # its IMAGETYP says it better: a target may be called DARK-CLOUD
    ),
    CardRule("CHINJECT", none_of("NONE"), "charge injection"),
    CardRule("QUALITY", contains("GSFAIL", "TDF-DOWN"), "guiding failed"),
    CardRule("OPT_ELEM", starts_otherwise("MIR"), "a grating or a prism", only=("STIS",)),
    CardRule(
        "FGSLOCK",
        contains("GY", "COARSE"),
        "guided without fine lock: it may be trailed",
        "warning",
    ),
)

_DISPERSED = "given the solution of the direct images, not drizzled"
_ALIGNED = "aligned, not drizzled"
_ELEMENTS = (
    ElementRule("G", "a grism", in_visit=_DISPERSED),
    ElementRule("PR", "a prism", in_visit=_DISPERSED),
    ElementRule("BLOCK", "no light passes this element"),
    ElementRule("BLANK", "no light passes this element"),
    ElementRule("FR", "a ramp filter: its wavelength varies over the field", in_visit=_ALIGNED),
    ElementRule("LRF", "a ramp filter: its wavelength varies over the field", in_visit=_ALIGNED),
    ElementRule("FQ", "a quad filter: four filters share the field", in_visit=_ALIGNED),
    ElementRule("POL", "a polariser: a layer should hold one angle at one roll", "warning"),
)


def judge(cards: Cards, instrument: Instrument, *, select: Select = True) -> Verdict:
    """Judge one exposure by its header.

    Parameters
    ----------
    cards : mapping
        Of the primary header; where each extension is an exposure, with its times.
    instrument : Instrument
    select : bool or "visit", default True
        Whether what does not belong into a layer is rejected.  Else it is warned of, and only what
        cannot be drizzled at all is rejected.  A visit keeps what it aligns (ramps, quads) and
        what shares its solution (grisms, prisms), with a warning, and rejects the rest.

    Returns
    -------
    Verdict
    """
    found = list(_findings(cards, instrument, in_visit=select == "visit"))
    for verdict in found:
        if verdict.status == "rejected" and (select or verdict.keyword == "EXPTIME"):
            return verdict
    total = ACCEPTED
    for verdict in found:
        total = total.warned(verdict.reason, verdict.keyword, verdict.value)
    return total


def judge_pixels(chips: Sequence[Cards]) -> Verdict | None:
    """Reject an exposure whose pixels are all bad, by what its SCI headers say; None if not."""
    good = [number_of(cards, "NGOODPIX") for cards in chips]
    if good and all(count == 0 for count in good):
        return Verdict("rejected", "no good pixel in any chip", "NGOODPIX", "0")
    return None


def _findings(cards: Cards, instrument: Instrument, *, in_visit: bool) -> Iterator[Verdict]:
    """Ask the rules in their order; warnings of the card rules come last."""
    rules = [rule for rule in _CARDS if rule.holds_for(instrument)]
    if in_visit and _is_dispersed(cards, instrument):
        rules = [rule for rule in rules if rule.dispersed]
    for rule in rules:
        if rule.status == "rejected" and rule.is_bad(value := text_of(cards, rule.keyword).upper()):
            yield Verdict("rejected", rule.reason, rule.keyword, value)
    if (problem := _exposure_time(cards)) is not None:
        yield problem
    yield from _elements(cards, instrument, in_visit=in_visit)
    for rule in rules:
        if rule.status == "warning" and rule.is_bad(value := text_of(cards, rule.keyword).upper()):
            yield Verdict("warning", rule.reason, rule.keyword, value)


def _exposure_time(cards: Cards) -> Verdict | None:
    time = cards.get("EXPTIME")
    if time is None:
        return Verdict("rejected", "the exposure time is missing", "EXPTIME")
    if isinstance(time, bool) or not isinstance(time, int | float) or not math.isfinite(time):
        return Verdict("rejected", "the exposure time is not a number", "EXPTIME", str(time))
    if time < _SHORTEST:
        return Verdict("rejected", "no exposure time", "EXPTIME", str(time))
    return None


def _is_dispersed(cards: Cards, instrument: Instrument) -> bool:
    starts = tuple(rule.start for rule in _ELEMENTS if rule.in_visit == _DISPERSED)
    return any(element.startswith(starts) for element in filter_elements(cards, instrument))


def _elements(cards: Cards, instrument: Instrument, *, in_visit: bool) -> Iterator[Verdict]:
    keyword = "/".join(instrument.filter_keywords)
    for element in filter_elements(cards, instrument):
        if (quadrant := instrument.quadrants.get(element)) is not None:
            reason = f"a quad filter: only its quadrant {quadrant.name} is used"
            yield Verdict("warning", reason, keyword, element)
            continue
        for rule in _ELEMENTS:
            if not element.startswith(rule.start):
                continue
            if in_visit and rule.in_visit:
                yield Verdict("warning", f"{rule.reason}: {rule.in_visit}", keyword, element)
            else:
                yield Verdict(rule.status, rule.reason, keyword, element)
