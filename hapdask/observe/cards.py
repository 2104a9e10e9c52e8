"""FITS header cards to a plain dictionary, safely.

A header is untrusted text: what does not read as a card of the FITS standard 4.0 is left out,
nothing is evaluated and nothing is handed to a WCS library.  Astropy reads the same values (the
tests compare) but ten times slower.  Lives here: text to values, and values as what they should
be.  Not here: finding headers in a file (`fits`), judging values (`selection`, `chips`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

#: What a card can hold.
Value = str | int | float | bool | None
#: A header.
Cards = Mapping[str, Value]

CARD = 80
_TITLE = " " * 14 + "/ "
_VALUE = re.compile(
    r" *(?:'(?P<string>(?:[^']|'')*)'"
    r"|(?P<logical>[TF])"
    r"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?|[+-]?(?i:nan|inf|infinity))"
    r")? *(?:/.*)?$"
)
_STRING = re.compile(r" *'((?:[^']|'')*)' *(?:/.*)?$")
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}$")
_RECORD_KEYWORD = re.compile(r"(?:DP|DQ|D2IM)\d$")
_RECORD = re.compile(
    r"([A-Za-z]\w*(?:\.\w+)*): +([+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?)\s*$", re.ASCII
)


def parse_cards(raw: bytes) -> dict[str, Value]:
    """Read the cards of one header.

    Parameters
    ----------
    raw : bytes
        Whole cards of 80 bytes; reading stops at END.

    Returns
    -------
    dict
        Keyword to value, in file order.  The first of repeated keywords counts, as in astropy.
        Record-valued cards appear as ``DP1.EXTVER`` (float).  Comments, unreadable cards and
        texts with characters that FITS forbids are left out; an undefined value is None.
        Titles of sections, which stand in cards without a keyword, appear as ``/ TITLE`` (None).

    Notes
    -----
    Source: FITS standard 4.0 sections 4.1 and 4.2 (with CONTINUE), and the record-valued
    keywords of FITS WCS Paper IV (draft) as used by stwcs.
    """
    text = raw.decode("latin-1")
    cards: dict[str, Value] = {}
    long: dict[str, list[str]] = {}  # pieces of the strings that go on in CONTINUE cards
    unfinished: list[str] | None = None
    for start in range(0, len(text) - CARD + 1, CARD):
        card = text[start : start + CARD]
        keyword = card[:8].rstrip()
        if keyword == "END":
            break
        if keyword == "CONTINUE":
            unfinished = _continue(unfinished, card)
            continue
        unfinished = None
        if card.startswith(_TITLE) and _printable(card):
            cards.setdefault(card.strip(), None)
        if card[8:10] != "= " or not _KEYWORD.match(keyword):
            continue
        readable, value = _value(card[10:])
        if not readable:
            continue
        if isinstance(value, str) and _RECORD_KEYWORD.match(keyword):
            record = _RECORD.match(value)
            if record is not None:
                cards.setdefault(f"{keyword}.{record[1].upper()}", _float(record[2]))
                continue
        if keyword not in cards:
            cards[keyword] = value
            if isinstance(value, str) and value.endswith("&"):
                unfinished = long[keyword] = [value]
    return cards | {keyword: "".join(pieces) for keyword, pieces in long.items()}


def text_of(cards: Cards, key: str) -> str:
    """Value of a card as text without blanks around it; empty where it has none."""
    value = cards.get(key)
    if isinstance(value, bool):
        return "T" if value else "F"
    return "" if value is None else str(value).strip()


def number_of(cards: Cards, key: str) -> float | None:
    """Value of a card, or None where it is no finite number."""
    value = cards.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _value(field: str) -> tuple[bool, Value]:
    """Whether a value field can be read, and its value."""
    match = _VALUE.match(field)
    if match is None:
        return False, None
    kind = match.lastgroup
    if kind is None:
        return True, None
    text = match[kind]
    if kind == "logical":
        return True, text == "T"
    if kind == "number":
        return True, int(text) if text.lstrip("+-").isdigit() else _float(text)
    return _printable(text), text.replace("''", "'").rstrip()


def _continue(pieces: list[str] | None, card: str) -> list[str] | None:
    """Lengthen a string that ended in ``&``; return its pieces while it goes on."""
    match = _STRING.match(card[8:])
    if pieces is None or match is None or not _printable(match[1]):
        return None
    pieces[-1] = pieces[-1][:-1]
    pieces.append(match[1].replace("''", "'").rstrip())
    return pieces if pieces[-1].endswith("&") else None


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _float(text: str) -> float:
    return float(text.upper().replace("D", "E"))
