"""Which exposures enter a mosaic, judged by their primary header alone.

The rules are one table in order of precedence; the first that speaks decides.  Facts of HAP's
``analyze`` module, plus quad filters, ramps and dispersers, which never enter a layer.  Not
here: judgements that need pixels (guiding) or alignment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from hapdask.observe.cards import Value
from hapdask.observe.instruments import Instrument, filter_elements

Cards = Mapping[str, Value]
Status = Literal["accepted", "rejected", "warning"]

_CALIBRATION_TARGETS = ("DARK", "TUNG", "BIAS", "FLAT", "DEUT", "EARTH-CAL")
_SHORTEST = 1e-5  # seconds
_BAD_FILTERS = (  # first letters of a filter element, why it is left out
    ("G", "a grism"),
    ("PR", "a prism"),
    ("BLOCK", "no light passes this element"),
    ("FR", "a ramp filter: its wavelength varies over the field"),
    ("FQ", "a quad filter: four filters share the field"),
)


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


def judge(primary: Cards, instrument: Instrument) -> Verdict:
    """Judge one exposure by its primary header.

    Parameters
    ----------
    primary : mapping
        Cards of the primary header.
    instrument : Instrument

    Returns
    -------
    Verdict
    """
    for rule in _RULES:
        verdict = rule(primary, instrument)
        if verdict is not None:
            return verdict
    return ACCEPTED


def _text(primary: Cards, key: str) -> str:
    value = primary.get(key)
    if isinstance(value, bool):
        return "T" if value else "F"
    return str(value or "").strip().upper()


def _rejected(reason: str, keyword: str, value: object) -> Verdict:
    return Verdict("rejected", reason, keyword, str(value))


def _not_imaging(primary: Cards, _: Instrument) -> Verdict | None:
    kind = _text(primary, "OBSTYPE")
    if kind in ("", "IMAGING"):
        return None
    return _rejected("not an imaging observation", "OBSTYPE", kind)


def _not_to_drizzle(primary: Cards, _: Instrument) -> Verdict | None:
    switch = _text(primary, "DRIZCORR")
    if switch in ("OMIT", "SKIPPED"):
        return _rejected("the pipeline says not to drizzle it", "DRIZCORR", switch)
    return None


def _moving_target(primary: Cards, _: Instrument) -> Verdict | None:
    flag = _text(primary, "MTFLAG")
    return _rejected("a moving target", "MTFLAG", flag) if flag in ("T", "TRUE") else None


def _scan(primary: Cards, _: Instrument) -> Verdict | None:
    kind = _text(primary, "SCAN_TYP")
    return _rejected("a spatial scan", "SCAN_TYP", kind) if kind in ("C", "D") else None


def _calibration_target(primary: Cards, _: Instrument) -> Verdict | None:
    target = _text(primary, "TARGNAME")
    if any(name in target for name in _CALIBRATION_TARGETS):
        return _rejected("a calibration target", "TARGNAME", target)
    return None


def _no_exposure(primary: Cards, _: Instrument) -> Verdict | None:
    time = primary.get("EXPTIME")
    if time is None:
        return _rejected("the exposure time is missing", "EXPTIME", "")
    if isinstance(time, bool) or not isinstance(time, int | float) or not math.isfinite(time):
        return _rejected("the exposure time is not a number", "EXPTIME", time)
    if time < _SHORTEST:
        return _rejected("no exposure time", "EXPTIME", time)
    return None


def _charge_injection(primary: Cards, _: Instrument) -> Verdict | None:
    mode = _text(primary, "CHINJECT")
    return None if mode in ("", "NONE") else _rejected("charge injection", "CHINJECT", mode)


def _failed_guiding(primary: Cards, _: Instrument) -> Verdict | None:
    quality = _text(primary, "QUALITY")
    if "GSFAIL" in quality or "TDF-DOWN" in quality:
        return _rejected("guiding failed", "QUALITY", quality)
    return None


def _bad_filter(primary: Cards, instrument: Instrument) -> Verdict | None:
    for element in filter_elements(primary, instrument):
        for start, reason in _BAD_FILTERS:
            if element.startswith(start):
                return _rejected(reason, "/".join(instrument.filter_keywords), element)
    return None


def _doubtful_guiding(primary: Cards, _: Instrument) -> Verdict | None:
    lock = _text(primary, "FGSLOCK")
    if "GY" in lock or "COARSE" in lock:
        return Verdict("warning", "guided without fine lock: it may be trailed", "FGSLOCK", lock)
    return None


_RULES: tuple[Callable[[Cards, Instrument], Verdict | None], ...] = (
    _not_imaging,
    _not_to_drizzle,
    _moving_target,
    _scan,
    _calibration_target,
    _no_exposure,
    _charge_injection,
    _failed_guiding,
    _bad_filter,
    _doubtful_guiding,  # last: a warning must not hide a rejection
)
