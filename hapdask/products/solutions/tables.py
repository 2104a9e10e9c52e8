"""Look-up tables of a distortion, and headerlets inside a file, as the bytes of extensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hapdask.kernels.chains import LookupTable
from hapdask.observe.distortion import Distortion
from hapdask.products.checksum import add_words, checksummed
from hapdask.products.fits_cards import BLOCK, Card
from hapdask.products.solutions.cards import KINDS

#: EXTVER of a table by the name of its extension and the axis that it corrects.
Numbers = dict[tuple[str, int], int]


def number_tables(distortions: Sequence[Distortion]) -> list[Numbers]:
    """Give numbers to the look-up tables of chips in their order, as stwcs expects them."""
    counters, found = dict.fromkeys(KINDS, 0), []
    for distortion in distortions:
        numbers: Numbers = {}
        for extname, (*_, names, _) in KINDS.items():
            for axis, name in enumerate(names, start=1):
                if getattr(distortion, name) is not None:
                    counters[extname] += 1
                    numbers[extname, axis] = counters[extname]
        found.append(numbers)
    return found


def table_hdus(distortion: Distortion, numbers: Numbers) -> list[bytes]:
    """Make the extensions of a chip's look-up tables."""
    hdus = []
    for (extname, axis), number in sorted(numbers.items(), key=lambda item: item[0][::-1]):
        table = getattr(distortion, KINDS[extname][4][axis - 1])
        hdus.append(_table_hdu(table, extname, number))
    return hdus


def _table_hdu(table: LookupTable, extname: str, number: int) -> bytes:
    single = table.values.astype(">f4")
    exact = np.array_equal(single, table.values)
    values = single if exact else table.values.astype(">f8")
    ny, nx = values.shape
    cards = [
        Card("XTENSION", "IMAGE", "image extension"),
        Card("BITPIX", -8 * values.itemsize, "array data type"),
        Card("NAXIS", 2, "number of array dimensions"),
        Card("NAXIS1", nx, ""),
        Card("NAXIS2", ny, ""),
        Card("PCOUNT", 0, "number of parameters"),
        Card("GCOUNT", 1, "number of groups"),
        Card("EXTNAME", extname, "extension name"),
        Card("EXTVER", number, "extension version"),
    ]
    for axis in (1, 2):
        step, start = table.step[axis - 1], table.start[axis - 1]
        cards.append(Card(f"CRPIX{axis}", 0.0, "reference pixel of the table"))
        cards.append(Card(f"CRVAL{axis}", start - step + 1.0, "detector pixel there"))
        cards.append(Card(f"CDELT{axis}", step, "detector pixels between entries"))
    data = padded(values.tobytes())
    return checksummed(cards, 1, add_words(0, data)) + data


def padded(data: bytes) -> bytes:
    """Fill data to whole blocks."""
    return data + bytes(-len(data) % BLOCK)
