"""The header of the first input as the template of a product's, without what is not true there.

Cards keep their order and sections; those of the detector's WCS and distortion go.  Not here:
the values (`header_rules`), the product's own cards (`headers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from hapdask.observe.cards import Value
from hapdask.observe.parts import Keywords
from hapdask.products.fits_cards import Card
from hapdask.products.header_rules import Rules, comment_of

_WCS = re.compile(
    r"(WCSAXES|WCSNAME|WCSTYPE|WCSCDATE|RADESYS|LONPOLE|LATPOLE|RESTFRQ|RESTWAV|HDRNAME|SIPNAME"
    r"|RMS_RA|RMS_DEC|NMATCH|CATALOG|(CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA|CRDER)[12]"
    r"|(CD|PC)[12]_[12])[A-Z]?$"
)
_DISTORTION = re.compile(
    r"([AB]P?_(\d+_\d+|ORDER|DMAX)|IDC(?!TAB$).*|OC[XY]\d\d|SCD\d_\d|(SCTYPE|SCRVAL|SNAXIS|SCRPIX)\d"
    r"|D2IM(ERR|DIS|EXT|NAME).*|(DP|DQ|CPDIS|CPERR|CPERROR|CQDIS|CQERR)\d.*|TDD.*|NPOLEXT|NPOLNAME|DGEOEXT"
    r"|AXISCORR|WCSKEY)$"
)
#: Of the input alone (its outline, unit, file, place in its file), or structure.
_OWN = frozenset(
    {
        "S_REGION",
        "SKYCELL",
        "BUNIT",
        "OBJECT",
        "FILENAME",
        "ROOTNAME",
        "FILETYPE",
        "DATE",
        "IRAF-TLM",
    }
    | {"EXTNAME", "EXTVER", "EXTLEVEL", "EXTEND", "NEXTEND", "INHERIT", "VAFACTOR", "ORIENTAT"}
    | {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT"}
)


class CardList:
    """Cards in order, each keyword once; titles of sections are cards too."""

    def __init__(self, cards: Iterable[Card] = ()) -> None:
        self._cards = {card.keyword or str(card.value): card for card in cards}

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards.values())

    def __contains__(self, keyword: str) -> bool:
        return keyword in self._cards

    def put(self, keyword: str, value: Value, comment: str = "", after: str = "") -> None:
        """Set a card where it stands, else behind another one, else at the end."""
        card = Card(keyword, value, comment or comment_of(keyword))
        if keyword in self._cards or after not in self._cards:
            self._cards[keyword] = card
            return
        cards = list(self._cards.items())
        cards.insert(list(self._cards).index(after) + 1, (keyword, card))
        self._cards = dict(cards)

    def drop(self, keyword: str) -> None:
        """Remove a card, if it is there."""
        self._cards.pop(keyword, None)


def fill_template(
    template: Keywords, blended: Mapping[str, Value], rules: Rules, dropped: Iterable[str] = ()
) -> CardList:
    """Make the cards that a product takes from its inputs.

    Parameters
    ----------
    template : tuple of (str, value)
        Cards of the first input, with titles of sections as ``("/ TITLE", None)``.
    blended : mapping of str to value
        See `Rules.blend`; keywords that the template lacks follow at the end.
    rules : Rules
    dropped : iterable of str
        More keywords that do not belong here.

    Returns
    -------
    CardList
    """
    unwanted = rules.removed | _OWN | set(dropped)
    values = {k: v for k, v in blended.items() if k not in _OWN and not _geometry(k)}
    values = {k: v for k, v in values.items() if k not in set(dropped)}
    cards: list[Card] = []
    title, in_removed = "", False
    for keyword, value in template:
        if keyword.startswith("/"):
            title, in_removed = keyword, keyword in rules.removed
            continue
        blended_here = keyword in values and not in_removed
        if not blended_here and (keyword in unwanted or in_removed or _geometry(keyword)):
            continue
        if title:
            cards.append(Card("", title, ""))
            title = ""
        shown = values.get(keyword, value)
        cards.append(Card(keyword, shown, comment_of(keyword)))
    filled = CardList(cards)
    for keyword, value in values.items():
        filled.put(keyword, value)
    return filled


def _geometry(keyword: str) -> bool:
    return bool(_WCS.match(keyword) or _DISTORTION.match(keyword))
