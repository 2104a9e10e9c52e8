"""Plain data of an alignment as JSON for people too: figures of few digits, lists on one line.

Not here: what is told (`result`, `matches`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

#: Digits of figures, and of those that are near to 1 or whose last digits count.
_DIGITS, _MANY = 6, 10
_FINE = frozenset(("rotation", "scale"))
#: These stay as they are: a solution follows from them.
_EXACT = frozenset(("correction",))


def rounded(value: Any, name: str = "") -> Any:
    """Give plain data with figures of few digits, and None for those that JSON does not have.

    Parameters
    ----------
    value : number, str, mapping or list of these
    name : str
        Under which it stands: a correction stays as it is.

    Examples
    --------
    >>> rounded({"rms_mas": 1.23456789, "error_mas": float("nan"), "scale": 1.0000012})
    {'rms_mas': 1.23457, 'error_mas': None, 'scale': 1.0000012}
    """
    if name in _EXACT:
        return value
    if isinstance(value, float):
        digits = _MANY if name in _FINE else _DIGITS
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(each, key) for key, each in value.items()}
    return [rounded(each, name) for each in value] if isinstance(value, list | tuple) else value


def json_text(value: Any, indent: str = "") -> str:
    """Write JSON: an entry a line, but a list of numbers or words on one.

    Examples
    --------
    >>> print(json_text({"x": [1.5, 2.5], "n": 2}))
    {
     "x": [1.5, 2.5],
     "n": 2
    }
    """
    deeper = f"{indent} "
    if isinstance(value, Mapping) and value:
        opening, closing = "{", "}"
        inner = [f"{json.dumps(str(k))}: {json_text(v, deeper)}" for k, v in value.items()]
    elif isinstance(value, list | tuple) and any(
        isinstance(each, Mapping | list | tuple) for each in value
    ):
        opening, closing = "[", "]"
        inner = [json_text(each, deeper) for each in value]
    else:
        return json.dumps(value, allow_nan=False, default=str)
    lines = f",\n{deeper}".join(inner)
    return f"{opening}\n{deeper}{lines}\n{indent}{closing}"
