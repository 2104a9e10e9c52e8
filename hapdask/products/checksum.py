"""The FITS checksums DATASUM and CHECKSUM, added up piece by piece in any order.

Source: FITS Standard 4.0, section 4.4.2.7 and appendix J (32-bit ones'-complement sum of
big-endian words, and its 16-character ASCII form).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hapdask.products.fits_cards import Card, render

_WORD = 0xFFFFFFFF
_ASCII_ZERO = 0x30
_BLANK = "0" * 16  # stands for CHECKSUM while it is worked out
_NOT_ALPHANUMERIC = {*range(0x3A, 0x41), *range(0x5B, 0x61)}


def add_words(total: int, words: npt.NDArray[np.generic] | bytes) -> int:
    """Add 32-bit words to a checksum.

    The sum does not depend on the order of the words, so an image may be added block by block;
    zeros, such as the padding of a data unit, add nothing.

    Parameters
    ----------
    total : int
        Checksum so far; 0 at the start.
    words : ndarray of a big-endian 4-byte dtype, or bytes
        Data as they stand in the file; bytes come in multiples of 4.

    Returns
    -------
    int
        The new checksum, 0 to 2**32 - 1.
    """
    if isinstance(words, bytes):
        array = np.frombuffer(words, dtype=">u4")
    else:
        array = np.ascontiguousarray(words).view(">u4")
    return _fold(total + int(array.sum(dtype=np.uint64)))


def add_total(total: int, words: int) -> int:
    """Add to a checksum the plain sum of some words."""
    return _fold(total + int(words))


def add_rows(total: int, rows: npt.NDArray[np.generic], start: int, stride: int) -> int:
    """Add rows of pixels of any size, which need not begin at whole words, to a checksum.

    Parameters
    ----------
    total : int
        Checksum so far.
    rows : ndarray, shape (ny, nx)
        As they stand in the file: C order, big-endian.
    start : int
        Byte of the first row in its data unit.
    stride : int
        Bytes from one row to the next.
    """
    ny, nbytes = rows.shape[0], rows.shape[1] * rows.itemsize
    if not ny or not nbytes:
        return total
    if not (start | stride | nbytes) % 4:
        return add_words(total, rows)
    raw = rows.view(np.uint8).reshape(ny, nbytes)
    for first in range(min(ny, 4)):  # rows of one alignment; they repeat every four
        before = (start + first * stride) % 4
        part = raw[first::4]
        words = np.zeros((part.shape[0], -(-(before + nbytes) // 4) * 4), np.uint8)
        words[:, before : before + nbytes] = part
        total = add_words(total, words)
    return total


def encode(checksum: int) -> str:
    """Give the value of CHECKSUM for an HDU.

    Parameters
    ----------
    checksum : int
        Sum of the header, with CHECKSUM set to sixteen zeros, and of the data.

    Returns
    -------
    str
        Sixteen letters and digits that make the sum of the whole HDU -0.

    Examples
    --------
    >>> encode(868229149)
    'hcHjjc9ghcEghc9g'
    """
    complement = _WORD - checksum
    columns = [_characters(complement >> shift & 0xFF) for shift in (24, 16, 8, 0)]
    text = "".join(chr(column[row]) for row in range(4) for column in columns)
    return text[-1] + text[:-1]  # the value starts one byte before a word


def checksummed(cards: Sequence[Card], room: int, datasum: int) -> bytes:
    """Give a header with DATASUM and CHECKSUM after its other cards.

    Parameters
    ----------
    cards : sequence of Card
        All other cards.
    room : int
        Least number of 2880-byte blocks.
    datasum : int
        Checksum of the data.

    Returns
    -------
    bytes
    """
    return seal(render([*cards, *sums(datasum)], room), datasum)


def sums(datasum: int) -> list[Card]:
    """Make DATASUM, and CHECKSUM as it stands before `seal`."""
    return [
        Card("DATASUM", str(datasum), "data unit checksum"),
        Card("CHECKSUM", _BLANK, "HDU checksum"),
    ]


def seal(plain: bytes, datasum: int) -> bytes:
    """Write the value of CHECKSUM into a header that has the cards of `sums`."""
    text = encode(add_words(datasum, plain)).encode()
    before, _, after = plain.rpartition(_BLANK.encode())
    return before + text + after


def _characters(byte: int) -> list[int]:
    """Split a byte into four ASCII codes whose excess over ``0`` adds up to it."""
    quarter, rest = divmod(byte, 4)
    codes = [quarter + rest + _ASCII_ZERO] + [quarter + _ASCII_ZERO] * 3
    # Each pair keeps its sum while it moves apart, until both are letters or digits.
    for first in (0, 2):
        while _NOT_ALPHANUMERIC & {codes[first], codes[first + 1]}:
            codes[first] += 1
            codes[first + 1] -= 1
    return codes


def _fold(total: int) -> int:
    """Carry what exceeds 32 bits round to the other end."""
    while total > _WORD:
        total = (total & _WORD) + (total >> 32)
    return total
