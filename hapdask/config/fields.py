"""Fields of dataclasses that check themselves: what a value may be, and how a text is read.

A field says its default, its kind and its limits once; `Declared` brings every value, whether
from Python, TOML, a command line or a .cfg file, into one form, or refuses it by name.  Not here:
the parameters themselves (`hapdask.config.astrodrizzle`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from hapdask.config.bits import parse_bits
from hapdask.errors import ParameterError

Reader = Callable[[str, object], object]

_BLANKS = ("", "none", "indef")
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Declared:
    """A frozen dataclass whose fields are made by the functions of this module.

    Raises
    ------
    ParameterError
        If a value has the wrong type or is out of its range; the message begins with its name.
    """

    def __post_init__(self) -> None:
        for declared in fields(self):
            value = declared.metadata["read"](declared.name, getattr(self, declared.name))
            object.__setattr__(self, declared.name, value)
        self._check()

    def _check(self) -> None:
        """Refuse values that contradict each other."""


def switch(default: bool) -> Any:
    """Declare a field that is true or false; as a text also yes, no, on, off, 1, 0."""

    def read(name: str, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in _WORDS:
            return _WORDS[value.strip().lower()]
        raise ParameterError(f"{name} must be true or false, not {value!r}")

    return _declare(default, read)


def whole(default: int | None, low: int, high: int) -> Any:
    """Declare an integer field between two limits, inclusive; may be None where the default is."""

    def read(name: str, value: object) -> int | None:
        if default is None and is_blank(value):
            return None
        given = _as_number(value)
        if given is None or given != int(given):
            raise ParameterError(f"{name} must be a whole number, not {value!r}")
        if not low <= given <= high:
            raise ParameterError(f"{name} must be from {low} to {high}, not {value!r}")
        return int(given)

    return _declare(default, read)


def number(
    default: float | None,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
) -> Any:
    """Declare a finite number between two limits; may be None where the default is.

    ``above`` leaves out the lower limit itself.
    """

    def read(name: str, value: object) -> float | None:
        if default is None and is_blank(value):
            return None
        return read_number(name, value, low, high, above=above)

    return _declare(default, read)


def read_number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
) -> float:
    """Read a finite number between two limits; ``above`` leaves out the lower one itself.

    Raises
    ------
    ParameterError
        If it is none.
    """
    given = _as_number(value)
    if given is None:
        raise ParameterError(f"{name} must be a finite number, not {value!r}")
    if not low <= given <= high or (above and given == low):
        raise ParameterError(f"{name} must be {_range(low, high, above)}, not {value!r}")
    return float(given) + 0.0  # no negative zero: it is equal to zero, and hashes otherwise


def choice(default: str, choices: tuple[str, ...], refused: dict[str, str] | None = None) -> Any:
    """Declare one of some words, in any case; ``refused`` tells why others are not among them."""
    canonical = {word.lower(): word for word in choices}
    reasons = refused or {}

    def read(name: str, value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in reasons:
            raise ParameterError(f"{name} = {value!r} is refused: {reasons[word]}")
        if word not in canonical:
            listed = ", ".join(repr(each) for each in choices)
            raise ParameterError(f"{name} must be one of {listed}, not {value!r}")
        return canonical[word]

    return _declare(default, read)


def words(default: tuple[str, ...], choices: tuple[str, ...] = ()) -> Any:
    """Declare some words in order, each once and of ``choices`` if given; at least one.

    A text has blanks or commas between them.
    """

    def read(name: str, value: object) -> tuple[str, ...]:
        parts = _SEPARATORS.split(value.strip()) if isinstance(value, str) else value
        right = isinstance(parts, list | tuple) and bool(parts)
        if not right or not all(isinstance(p, str) and p for p in parts):  # type: ignore[attr-defined]
            raise ParameterError(f"{name} must be one or more words, not {value!r}")
        found: tuple[str, ...] = tuple(parts)  # type: ignore[arg-type]
        if len(set(found)) < len(found) or (choices and not set(found) <= set(choices)):
            listed = f" of {', '.join(choices)}" if choices else ""
            raise ParameterError(f"{name} must be different words{listed}, not {value!r}")
        return found

    return _declare(default, read)


def text(default: str = "", pattern: str = ".*", wanted: str = "a text") -> Any:
    """Declare a text, stripped; None, "None" and "INDEF" are the empty one.

    What is not empty must match ``pattern``, whose meaning ``wanted`` tells.
    """

    def read(name: str, value: object) -> str:
        if is_blank(value):
            return ""
        given = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(given, str) or not re.fullmatch(pattern, given.strip(), re.IGNORECASE):
            raise ParameterError(f"{name} must be {wanted}, not {value!r}")
        return given.strip()

    return _declare(default, read)


def bits(default: int | None) -> Any:
    """Declare DQ bits, in the grammar of `hapdask.config.bits`; None does not look at DQ."""

    def read(name: str, value: object) -> int | None:
        try:
            return parse_bits(value)  # type: ignore[arg-type]  # it refuses other types itself
        except ParameterError as error:
            raise ParameterError(f"{name}: {error}") from None

    return _declare(default, read)


def pair(first: float, second: float) -> Any:
    """Declare two positive numbers, of a first and a second pass; a text has blanks or commas."""

    def read(name: str, value: object) -> tuple[float, float]:
        parts = _numbers(value)
        if len(parts) != 2 or not all(0 < part < math.inf for part in parts):
            raise ParameterError(
                f"{name} must be two positive numbers such as '{first} {second}', not {value!r}"
            )
        return parts[0], parts[1]

    return _declare((first, second), read)


def figures() -> Any:
    """Declare no number at all (blank), or some positive ones, whose mean is meant."""

    def read(name: str, value: object) -> tuple[float, ...]:
        if is_blank(value) or value == ():
            return ()
        parts = _numbers(value)
        if not parts or not all(0 <= part < math.inf for part in parts) or not any(parts):
            raise ParameterError(f"{name} must be a positive number, or some, not {value!r}")
        return parts

    return _declare((), read)


def weight_scale(default: str = "exptime") -> Any:
    """Declare ``exptime``, ``expsq`` or a positive number."""

    def read(name: str, value: object) -> str | float:
        if isinstance(value, str) and value.strip().lower() in ("exptime", "expsq"):
            return value.strip().lower()
        given = _as_number(value)
        if given is None or given <= 0:
            raise ParameterError(
                f"{name} must be 'exptime', 'expsq' or a positive number, not {value!r}"
            )
        return float(given)

    return _declare(default, read)


def is_blank(value: object) -> bool:
    """Whether a value is None, or a text that says so."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _BLANKS)


def _declare(default: object, read: Reader) -> Any:
    return field(default=default, metadata={"read": read})


def _as_number(value: object) -> int | float | None:
    """Give a number, or the one that a text holds; None where it is none or not finite."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _numbers(value: object) -> tuple[float, ...]:
    """Give the numbers of a text or sequence; NaN for what is none."""
    if isinstance(value, str):
        value = _SEPARATORS.split(value.strip())
    elif isinstance(value, int | float):
        value = [value]
    if not isinstance(value, list | tuple):
        return ()
    found = (_as_number(part) for part in value)
    return tuple(math.nan if part is None else float(part) for part in found)


def _range(low: float, high: float, above: bool) -> str:
    from_ = f"above {low:g}" if above else f"at least {low:g}"
    to = f"at most {high:g}"
    if math.isinf(high):
        return from_
    return to if math.isinf(low) else f"{from_} and {to}"
