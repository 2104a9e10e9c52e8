"""Header cards as the bytes of a FITS header.

Not here: which cards a product has (`headers`), where a header stands in a file (`fits_file`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hapdask.errors import StoreError
from hapdask.observe.cards import Value

if TYPE_CHECKING:
    from astropy.io import fits

BLOCK = 2880
_CARD = 80
_SHORT = 48  # characters of a string that leave room for some of a comment


class Card(NamedTuple):
    """One header card; None is an undefined value, no keyword makes a title of a section."""

    keyword: str
    value: Value
    comment: str


_LONG_STRINGS = Card("LONGSTRN", "OGIP 1.0", "long strings go on in CONTINUE cards")


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


def _with_long_strings(images: list[str]) -> list[str]:
    """Announce strings that go on in CONTINUE cards, before the first of them."""
    for number, image in enumerate(images):
        if image[_CARD : _CARD + 8] == "CONTINUE":
            return [*images[:number], _image(_LONG_STRINGS), *images[number:]]
    return images


def _image(card: Card) -> str:
    """Give one card, or several where a string goes on in CONTINUE cards."""
    from astropy.io import fits

    keyword, value, comment = card.keyword, card.value, ascii_text(card.comment)
    if keyword in ("HISTORY", "COMMENT"):
        return _commentary(keyword, ascii_text(str(value)))
    if isinstance(value, float):
        # repr is exact; astropy would cut a number to 20 characters, and so move a WCS.
        text = f"{keyword:<8}= {_number(value):>20}"
        return f"{text} / {comment}"[:_CARD].ljust(_CARD) if comment else text.ljust(_CARD)
    if isinstance(value, str):
        value = ascii_text(value)
        quoted = value.replace("'", "''")
        if not keyword:
            return " " * _CARD + f"{'':14}{value}"[:_CARD].ljust(_CARD) + " " * _CARD
        if len(quoted) <= _SHORT and len(keyword) <= 8:
            shown = f"'{quoted:<8}'"
            text = f"{keyword:<8}= {shown:<20}"
            return f"{text} / {comment}"[:_CARD].ljust(_CARD) if comment else text.ljust(_CARD)
        room = _CARD - 15 - max(len(quoted), 18)
        comment = comment if len(comment) <= room else ""
    return _checked(fits.Card(keyword, value, comment))


def _checked(card: fits.Card) -> str:
    image = str(card.image)
    if len(image) % _CARD:
        raise StoreError(f"keyword {card.keyword!r} cannot be written to a FITS header")
    return image


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
