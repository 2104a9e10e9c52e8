"""The parameters of sky levels, by AstroDrizzle's names without their ``sky``."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hapdask.config.bits import parse_bits
from hapdask.errors import ParameterError

METHODS = ("localmin", "globalmin", "match", "globalmin+match")
STATISTICS = ("median", "mean", "mode")
CONVENTIONS = ("own", "upstream")

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyParameters:
    """How the sky level of each exposure is found.

    Parameters
    ----------
    method : {"localmin", "globalmin", "match", "globalmin+match"}
        The lowest level among the chips of each exposure, or of all; differences from overlaps;
        or both.
    stat : {"median", "mean", "mode"}
    width : float
        Bins of the mode's histogram, standard deviations.
    lower, upper : float or None
        Usable values, in the unit of SCI.
    clip : int
        Clippings.
    lsigma, usigma : float
        Their limits, standard deviations.
    bits : int, str or None
        DQ bits that do no harm; None does not look at DQ at all.
    use_static : bool
        Leave out what the static mask says.
    convention : {"own", "upstream"}
        AstroDrizzle's statistics, weights, pairs and zero levels, or our own: see
        `hapdask.drizzling.sky_levels`.
    partners : int
        Overlaps per exposure that ``match`` measures, the largest; not upstream's.

    Raises
    ------
    ParameterError
        If a value has the wrong type or is out of its range.
    """

    method: str = "localmin"
    stat: str = "median"
    width: float = 0.1
    lower: float | None = None
    upper: float | None = None
    clip: int = 5
    lsigma: float = 4.0
    usigma: float = 4.0
    bits: int | None = 0
    use_static: bool = True
    convention: str = "own"
    partners: int = 6

    def __post_init__(self) -> None:
        for name, choices in (
            ("method", METHODS),
            ("stat", STATISTICS),
            ("convention", CONVENTIONS),
        ):
            if getattr(self, name) not in choices:
                listed = ", ".join(repr(choice) for choice in choices)
                raise ParameterError(f"sky {name} must be one of {listed}, not {self._told(name)}")
        for name in ("width", "lsigma", "usigma"):
            self._require(name, _is_number(getattr(self, name)) and getattr(self, name) > 0, "> 0")
        for name in ("lower", "upper"):
            value = getattr(self, name)
            self._require(name, value is None or _is_number(value), "a finite number or None")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ParameterError(f"sky lower = {self.lower} is not below upper = {self.upper}")
        self._require("clip", _is_count(self.clip, 0), "a whole number, 0 or more")
        self._require("partners", _is_count(self.partners, 1), "a whole number, 1 or more")
        self._require("use_static", isinstance(self.use_static, bool), "true or false")
        try:
            object.__setattr__(self, "bits", parse_bits(self.bits))
        except ParameterError as error:
            raise ParameterError(f"sky bits: {error}") from None

    def _told(self, name: str) -> str:
        return repr(getattr(self, name))

    def _require(self, name: str, right: bool, wanted: str) -> None:
        if not right:
            raise ParameterError(f"sky {name} must be {wanted}, not {self._told(name)}")

    @property
    def upstream(self) -> bool:
        """Whether AstroDrizzle's convention holds."""
        return self.convention == "upstream"

    @property
    def matches(self) -> bool:
        """Whether overlaps are measured."""
        return self.method.endswith("match")

    def digest_items(self) -> tuple[tuple[str, Value], ...]:
        """Give every name and value in a fixed order, for hashing and for products."""
        return tuple((n, getattr(self, n)) for n in sorted(field.name for field in fields(self)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
