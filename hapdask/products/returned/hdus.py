"""A copy of a FITS file in which some HDUs are changed, and all others are the same bytes.

Of a changed HDU, cards that are not named stay as they stand, to the byte; its checksums are made
anew, and long strings are announced (LONGSTRN).  Not here: what is changed (`copies`).
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
from hapdask.products.fits_cards import BLOCK, LONG_STRINGS, Card, render
from hapdask.products.side_file import appearing

Values = npt.NDArray[Any]

_STEP = 8 << 20
#: Cards of an image whose pixels all have one value, which no pixels are stored for.
_CONSTANT = ("NPIX1", "NPIX2", "PIXVALUE")


@dataclass(frozen=True)
class Change:
    """What changes in one HDU.

    Attributes
    ----------
    cards : tuple of Card
        Each takes the place of that of its keyword, or comes at the end.
    values : callable, optional
        Gives the new pixels for the old ones; both as they are meant, not as they are stored.
    """

    cards: tuple[Card, ...] = ()
    values: Callable[[Values], Values] | None = None


@dataclass(frozen=True)
class Changes:
    """What changes in a file, by the first byte of the data of each HDU.

    Attributes
    ----------
    header_hash : str
        Of the file that was meant: it must not have changed since.
    """

    header_hash: str
    by_offset: Mapping[int, Change] = field(default_factory=dict)


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
    ends = [hdu.header_offset for hdu in file.hdus[1:]] + [source.size]
    for hdu, end in zip(file.hdus, ends, strict=True):
        change = changes.by_offset.get(hdu.data_offset)
        start = hdu.header_offset
        if change is not None:
            start = _write_changed(source, hdu, change, out)
        for offset in range(start, end, _STEP):
            out.write(source.read(offset, min(_STEP, end - offset), ext=hdu.label))


def _write_changed(source: ByteSource, hdu: Hdu, change: Change, out: BinaryIO) -> int:
    """Write one HDU; the byte of the input after it."""
    header = source.read(hdu.header_offset, hdu.data_offset - hdu.header_offset, ext=hdu.label)
    cards = [header[at : at + CARD] for at in range(0, len(header), CARD)]
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
    text = b"".join([*cards, b"END"])
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


def _with_axes(cards: list[bytes], shape: tuple[int, ...]) -> list[bytes]:
    """Turn the header of an image of one value into that of an image."""
    ny, nx = shape
    axes = [Card("NAXIS", 2, "number of axes")]
    axes += [Card(f"NAXIS{k}", n, f"length of axis {k}") for k, n in ((1, nx), (2, ny))]
    kept = [card for card in cards if _keyword(card) not in _CONSTANT]
    at = next(k for k, card in enumerate(kept) if _keyword(card) == "NAXIS")
    return [*kept[:at], *map(_image, axes), *kept[at + 1 :]]


def _with_cards(cards: list[bytes], wanted: list[Card]) -> list[bytes]:
    """Set cards where they stand, or after the others; END goes."""
    end = next(k for k, card in enumerate(cards) if card.rstrip() == b"END")
    kept = cards[:end]
    while kept and not kept[-1].strip():
        kept.pop()
    where = {_keyword(card): k for k, card in reversed(list(enumerate(kept)))}
    for card in wanted:
        if card.keyword in where:
            kept[where[card.keyword]] = _image(card)
        else:
            kept.append(_image(card))
    return kept


def _with_long_strings(cards: list[bytes]) -> list[bytes]:
    """Announce strings that go on in CONTINUE cards, where the input does not."""
    at = next((k for k, card in enumerate(cards) if card.startswith(b"CONTINUE")), 0)
    if not at or any(_keyword(card) == LONG_STRINGS.keyword for card in cards):
        return cards
    return [*cards[: at - 1], _image(LONG_STRINGS), *cards[at - 1 :]]


def _keyword(card: bytes) -> str:
    return card[:8].decode("ascii", "replace").rstrip()


def _image(card: Card) -> bytes:
    return render([card])[:CARD]
