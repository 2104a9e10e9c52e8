"""Header cards as the bytes of a FITS header.

Not here: which cards a product has (`headers`), where a header stands in a file (`fits_file`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from hapdask.errors import StoreError
from hapdask.observe.cards import Value

BLOCK = 2880
_CARD = 80
_PIECE = 67  # characters of a string in one of its CONTINUE cards
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_SHORT = 48  # characters of a string that leave room for some of a comment


class Card(NamedTuple):
    """One header card; None is an undefined value, no keyword makes a title of a section."""

    keyword: str
    value: Value
    comment: str


#: Announces strings that go on in CONTINUE cards.
LONG_STRINGS = Card("LONGSTRN", "OGIP 1.0", "long strings go on in CONTINUE cards")


def render(cards: Sequence[Card], blocks: int = 1) -> bytes:
    """Give the bytes of a header.

    Parameters
    ----------
    cards : sequence of Card
        In order, without END.  Characters that FITS does not allow become ``?``; numbers that
        are not finite are left out, for FITS cannot write them.
    blocks : int
        Least number of 2880-byte blocks; room that is left over is filled with blank cards
        before END, as the standard provides.

    Returns
    -------
    bytes
        A multiple of 2880.
    """
    images = "".join(_with_long_strings([_image(card) for card in cards if _finite(card.value)]))
    blocks = max(blocks, -(-(len(images) + _CARD) // BLOCK))
    return (images.ljust(blocks * BLOCK - _CARD) + "END".ljust(_CARD)).encode("ascii")


def card_images(card: Card) -> list[bytes]:
    """Give a card as it stands in a header: 80 bytes, and more where its text goes on."""
    text = _image(card).encode("ascii")
    return [text[at : at + _CARD] for at in range(0, len(text), _CARD)]


def _with_long_strings(images: list[str]) -> list[str]:
    """Announce strings that go on in CONTINUE cards, before the first of them."""
    for number, image in enumerate(images):
        if image[_CARD : _CARD + 8] == "CONTINUE":
            return [*images[:number], _image(LONG_STRINGS), *images[number:]]
    return images


def _image(card: Card) -> str:
    """Give one card, or several where a string goes on in CONTINUE cards."""
    keyword, value, comment = card.keyword, card.value, ascii_text(card.comment)
    if keyword in ("HISTORY", "COMMENT"):
        return _commentary(keyword, ascii_text(str(value)))
    if not keyword:
        return _title(ascii_text(str(value)))
    if not _KEYWORD.fullmatch(keyword):
        return _unusual(card._replace(comment=comment))
    if isinstance(value, str):
        return _text(keyword, ascii_text(value), comment)
    text = f"{keyword:<8}= {_plain(value):>20}"
    if len(text) > _CARD:
        raise StoreError(f"{keyword} = {value} cannot be written to a FITS header")
    return f"{text} / {comment}"[:_CARD].ljust(_CARD) if comment else text.ljust(_CARD)


def _plain(value: Value) -> str:
    """Write a value that is no text; repr is exact, so that a WCS does not move."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "T" if value else "F"
    return _number(value) if isinstance(value, float) else str(value)


def _title(text: str) -> str:
    """Give the title of a section, between blank cards."""
    return " " * _CARD + f"{'':14}{text}"[:_CARD].ljust(_CARD) + " " * _CARD


def _text(keyword: str, value: str, comment: str) -> str:
    """Give the card of a text, or several where it goes on in CONTINUE cards."""
    quoted = value.replace("'", "''")
    if len(quoted) <= _SHORT:
        shown = f"'{quoted:<8}'"
        text = f"{keyword:<8}= {shown:<20}"
        return f"{text} / {comment}"[:_CARD].ljust(_CARD) if comment else text.ljust(_CARD)
    room = _CARD - 15 - len(quoted)
    comment = comment if len(comment) <= room else ""
    start = f"{keyword:<8}= "
    if len(quoted) + len(start) + 2 <= _CARD:
        text = f"{start}'{quoted}'"
        return f"{text} / {comment}"[:_CARD].ljust(_CARD) if comment else text.ljust(_CARD)
    pieces = _pieces(value)
    heads = [start] + ["CONTINUE  "] * (len(pieces) - 1)
    ends = ["&'"] * (len(pieces) - 1) + ["'"]
    rows = zip(heads, pieces, ends, strict=True)
    return "".join(f"{head}'{piece}{end}".ljust(_CARD) for head, piece, end in rows)


def _unusual(card: Card) -> str:
    """Give a card whose keyword only conventions allow (HIERARCH)."""
    from astropy.io import fits  # slow to import

    value = ascii_text(card.value) if isinstance(card.value, str) else card.value
    image = str(fits.Card(card.keyword, value, card.comment).image)
    if len(image) % _CARD:
        raise StoreError(f"keyword {card.keyword!r} cannot be written to a FITS header")
    return image


def _pieces(value: str) -> list[str]:
    """Cut a text so that each piece fits a card, and no doubled quote is cut in two."""
    pieces = [""]
    for character in value:
        quoted = "''" if character == "'" else character
        if len(pieces[-1]) + len(quoted) > _PIECE:
            pieces.append("")
        pieces[-1] += quoted
    if value.endswith("&"):  # which would be taken for the sign that the text goes on
        pieces.append("")
    return pieces


def _commentary(keyword: str, text: str) -> str:
    width = _CARD - 8
    lines = [text[start : start + width] for start in range(0, max(len(text), 1), width)]
    return "".join(f"{keyword:<8}{line}".ljust(_CARD) for line in lines)


def _number(value: float) -> str:
    text = repr(value).upper()
    return text if "." in text or "E" not in text else text.replace("E", ".0E")


def _finite(value: Value) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def ascii_text(text: str) -> str:
    """Replace what FITS does not allow in texts by ``?``."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
