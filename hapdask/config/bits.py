"""The grammar in which sets of DQ bits are written: ``336``, ``"16+64+256"``, ``"~4096,8192"``.

Only the notation lives here; reading DQ arrays belongs to `hapdask.observe`.
"""

from __future__ import annotations

import re

from hapdask.errors import ParameterError

#: DQ arrays are unsigned 16-bit.
ALL_BITS = 0xFFFF

_NONE = {"", "none", "indef"}
_LIST = re.compile(r"\d+(?:\+\d+)*|\d+(?:,\d+)*")
_REMEDY = "write a number such as 336, a list such as '16+64+256' or '16,64,256', '~4096', or None"


def parse_bits(value: int | str | None) -> int | None:
    """Give the DQ bits that a user wrote, as one number.

    Parameters
    ----------
    value : int, str or None
        A sum of bits; a negative number ``-n``, read as two's complement (``-(4+8+1)`` is every
        bit but 4 and 8); a string of one number, or of single bits joined by ``+`` or by ``,``,
        optionally in parentheses and after ``~`` (every bit but these).  None, ``"None"``,
        ``"INDEF"`` and the empty string mean that DQ is not looked at; so does ``"~0"``.

    Returns
    -------
    int or None
        The bits, 0 to 65535, or None.

    Raises
    ------
    ParameterError
        If the value is not in the grammar, does not fit in 16 bits, or lists a number
        that is not a single bit.

    Examples
    --------
    >>> parse_bits("16+64+256")
    336
    >>> parse_bits("~4,8") == parse_bits(-13) == 65535 - 12
    True
    >>> parse_bits("~0") is None
    True
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ParameterError(f"{value!r} is not a set of DQ bits: {_REMEDY}")
    if isinstance(value, int):
        if not -ALL_BITS - 1 <= value <= ALL_BITS:
            raise ParameterError(f"{value} does not fit in the 16 bits of a DQ array")
        return value & ALL_BITS
    text = "".join(value.split())
    if text.lower() in _NONE:
        return None
    if re.fullmatch(r"-\d+", text):
        return parse_bits(int(text))
    inverted, text = text.startswith("~"), text.removeprefix("~")
    bits = _listed_bits(_without_parentheses(text), value)
    if not inverted:
        return bits
    return None if bits == 0 else ~bits & ALL_BITS


def _without_parentheses(text: str) -> str:
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _listed_bits(text: str, written: str) -> int:
    """Sum a list of bits; ``written`` is what the user wrote, for the message."""
    if not _LIST.fullmatch(text):
        raise ParameterError(f"{written!r} is not a set of DQ bits: {_REMEDY}")
    numbers = [int(n) for n in re.split(r"[+,]", text)]
    if max(numbers) > ALL_BITS:
        raise ParameterError(f"{written!r} does not fit in the 16 bits of a DQ array")
    if len(numbers) == 1:
        return numbers[0]
    bits = 0
    for number in numbers:
        if number.bit_count() > 1:
            raise ParameterError(
                f"{number} in {written!r} is not a single DQ bit (a power of two): {_REMEDY}"
            )
        bits |= number
    return bits
