"""A copy of a FITS file in which some HDUs are changed, and all others are the same bytes.

Of a changed HDU, cards that are not named stay as they stand, to the byte; its checksums are made
anew, and long strings are announced (LONGSTRN).  HDUs can be left out, and others added at the
end.  Not here: what is changed (`copies`, `hapdask.products.solutions`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hapdask.errors import InputError
from hapdask.observe.cards import CARD
from hapdask.observe.fits import FitsFile, Hdu, decode, scan_source
from hapdask.observe.source import ByteSource, open_source
from hapdask.products.checksum import add_words, seal, sums
from hapdask.products.fits_cards import BLOCK, LONG_STRINGS, Card, card_images
from hapdask.products.side_file import appearing

Values = npt.NDArray[Any]

_STEP = 8 << 20
#: Cards of an image whose pixels all have one value, which no pixels are stored for.
_CONSTANT = frozenset({"NPIX1", "NPIX2", "PIXVALUE"})
_COMMENTARY = ("HISTORY", "COMMENT")


@dataclass(frozen=True)
class Change:
    """What changes in one HDU.

    Attributes
    ----------
    cards : tuple of Card
        Each takes the place of that of its keyword, or comes at the end, as HISTORY always does.
    removed : frozenset of str
        Keywords whose cards go before others come, all of them where they are repeated.
    values : callable, optional
        Gives the new pixels for the old ones; both as they are meant, not as they are stored.
    """

    cards: tuple[Card, ...] = ()
    values: Callable[[Values], Values] | None = None
    removed: frozenset[str] = frozenset()

    def __or__(self, other: Change) -> Change:
        """Put two changes of one HDU together; at most one of them is of its pixels."""
        return Change(
            (*self.cards, *other.cards), self.values or other.values, self.removed | other.removed
        )


@dataclass(frozen=True)
class Changes:
    """What changes in a file, by the first byte of the data of each HDU.

    Attributes
    ----------
    header_hash : str
        Of the file that was meant: it must not have changed since.
    dropped : frozenset of int
        HDUs that are left out, by the first byte of their data.
    added : tuple of bytes
        Whole HDUs that come at the end.
    """

    header_hash: str
    by_offset: Mapping[int, Change] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()
    added: tuple[bytes, ...] = ()

    def __or__(self, other: Changes) -> Changes:
        """Put two sets of changes of one file together."""
        both = dict(self.by_offset)
        for offset, change in other.by_offset.items():
            both[offset] = both[offset] | change if offset in both else change
        dropped, added = self.dropped | other.dropped, (*self.added, *other.added)
        return Changes(self.header_hash, both, dropped, added)


def copy_changed(url: str, target: Path, changes: Changes, *, overwrite: bool) -> None:
    """Copy a FITS file with changes; a compressed one is copied without its compression.

    Parameters
    ----------
    url : str
        As `hapdask.observe.source.resolve` gives it.
    target : Path
        It appears whole or not at all.
    changes : Changes
    overwrite : bool

    Raises
    ------
    InputError
        If the input cannot be read, or is not the file that the changes are meant for.
    StoreError
        If the copy cannot be written.
    """
    with open_source(url) as source:
        file = scan_source(source)
        if file.header_hash != changes.header_hash:
            raise InputError(url, "it was changed after it was opened", remedy="run again")
        with appearing(target, overwrite=overwrite) as out:
            _copy(source, file, changes, out)


def _copy(source: ByteSource, file: FitsFile, changes: Changes, out: BinaryIO) -> None:
    last = _end(file.hdus[-1]) if changes.added else source.size
    ends = [*(hdu.header_offset for hdu in file.hdus[1:]), last]
    for hdu, end in zip(file.hdus, ends, strict=True):
        if hdu.data_offset in changes.dropped:
            continue
        change = changes.by_offset.get(hdu.data_offset)
        start = hdu.header_offset
        if change is not None:
            start = _write_changed(source, hdu, change, out)
        for offset in range(start, end, _STEP):
            out.write(source.read(offset, min(_STEP, end - offset), ext=hdu.label))
    for added in changes.added:
        out.write(added)


def _end(hdu: Hdu) -> int:
    """First byte after an HDU: what a file has after its last one must not come between."""
    heap, groups = (hdu.header.get(key) for key in ("PCOUNT", "GCOUNT"))
    size = int(np.prod(hdu.shape, dtype=np.int64)) + (heap if isinstance(heap, int) else 0)
    size *= (groups if isinstance(groups, int) else 1) * np.dtype(hdu.dtype).itemsize
    return hdu.data_offset + -(-size * bool(hdu.shape) // BLOCK) * BLOCK


def _write_changed(source: ByteSource, hdu: Hdu, change: Change, out: BinaryIO) -> int:
    """Write one HDU; the byte of the input after it."""
    header = source.read(hdu.header_offset, hdu.data_offset - hdu.header_offset, ext=hdu.label)
    cards = _without(_split(header), change.removed)
    length = int(np.prod(hdu.shape, dtype=np.int64)) * np.dtype(hdu.dtype).itemsize
    length *= bool(hdu.shape)
    raw = source.read(hdu.data_offset, length, ext=hdu.label)
    if change.values is not None:
        shape = hdu.shape or _constant_shape(hdu)
        old = _pixels(hdu, raw, shape)
        new = change.values(old)
        if hdu.shape or not np.array_equal(old, new):
            raw = _stored(hdu, new)
            cards = cards if hdu.shape else _with_axes(cards, shape)
    data = raw + bytes(-len(raw) % BLOCK)
    datasum = add_words(0, data)
    cards = _with_long_strings(_with_cards(cards, [*change.cards, *sums(datasum)]))
    text = b"".join([*(part for card in cards for part in card), b"END"])
    out.write(seal(text.ljust(-(-len(text) // BLOCK) * BLOCK), datasum))
    out.write(data)
    return hdu.data_offset + -(-length // BLOCK) * BLOCK


def _constant_shape(hdu: Hdu) -> tuple[int, ...]:
    return tuple(int(str(hdu.header[f"NPIX{axis}"])) for axis in (2, 1))


def _pixels(hdu: Hdu, raw: bytes, shape: tuple[int, ...]) -> Values:
    if not hdu.shape:
        return np.full(shape, hdu.header["PIXVALUE"], np.dtype(hdu.dtype).newbyteorder("="))
    return decode(raw, hdu.dtype, hdu.bscale, hdu.bzero).reshape(shape)


def _stored(hdu: Hdu, values: Values) -> bytes:
    """Turn pixels into the bytes that stand for them; flags wrap round as unsigned ones do."""
    dtype = np.dtype(hdu.dtype)
    if (hdu.bscale, hdu.bzero) != (1.0, 0.0):
        values = np.rint((values.astype(np.float64) - hdu.bzero) / hdu.bscale)
    elif dtype.kind == "i" and values.dtype.kind == "f":
        values = np.rint(values)
    if dtype.kind == "i":
        values = values.astype(np.int64)
    return values.astype(dtype).tobytes()


def _split(header: bytes) -> list[list[bytes]]:
    """Cut a header into cards, each with the CONTINUE cards that its text goes on in; no END."""
    cards: list[list[bytes]] = []
    for at in range(0, len(header), CARD):
        card = header[at : at + CARD]
        if card.rstrip() == b"END":
            break
        if cards and _keyword([card]) == "CONTINUE":
            cards[-1].append(card)
        else:
            cards.append([card])
    while cards and not cards[-1][0].strip():
        cards.pop()
    return cards


def _without(cards: list[list[bytes]], removed: frozenset[str]) -> list[list[bytes]]:
    return [card for card in cards if _keyword(card) not in removed]


def _with_axes(cards: list[list[bytes]], shape: tuple[int, ...]) -> list[list[bytes]]:
    """Turn the header of an image of one value into that of an image."""
    ny, nx = shape
    axes = [Card("NAXIS", 2, "number of axes")]
    axes += [Card(f"NAXIS{k}", n, f"length of axis {k}") for k, n in ((1, nx), (2, ny))]
    kept = _without(cards, _CONSTANT)
    at = next(k for k, card in enumerate(kept) if _keyword(card) == "NAXIS")
    return [*kept[:at], *map(card_images, axes), *kept[at + 1 :]]


def _with_cards(cards: list[list[bytes]], wanted: list[Card]) -> list[list[bytes]]:
    """Set cards where they stand, or after the others."""
    kept = list(cards)
    where = {_keyword(card): k for k, card in reversed(list(enumerate(kept)))}
    for card in wanted:
        if card.keyword in where and card.keyword not in _COMMENTARY:
            kept[where[card.keyword]] = card_images(card)
        else:
            kept.append(card_images(card))  # each of those of records, which share a keyword
    return kept


def _with_long_strings(cards: list[list[bytes]]) -> list[list[bytes]]:
    """Announce strings that go on in CONTINUE cards, where the input does not."""
    at = next((k for k, card in enumerate(cards) if _goes_on(card)), -1)
    if at < 0 or any(_keyword(card) == LONG_STRINGS.keyword for card in cards):
        return cards
    return [*cards[:at], card_images(LONG_STRINGS), *cards[at:]]


def _goes_on(card: list[bytes]) -> bool:
    return len(card) > 1 and _keyword(card[1:]) == "CONTINUE"


def _keyword(card: list[bytes]) -> str:
    return card[0][:8].decode("ascii", "replace").rstrip()
