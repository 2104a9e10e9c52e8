"""A small table as the bytes of a FITS binary table extension.

Columns are lists of plain values; their type follows from what they hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hapdask.observe.cards import Value
from hapdask.products.checksum import add_words, checksummed
from hapdask.products.fits_cards import BLOCK, Card, ascii_text

_INT64 = 2**63
_SHORT = {"I": ">i2", "J": ">i4"}
_ROWS = "rows: chips, in the order of their bits in CTX"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
    values : sequence of value
        One per row; None where there is none.
    unit, comment : str
    width : int
        Least number of characters of a column of texts.
    form : str
        ``I`` or ``J`` for whole numbers of 2 or 4 bytes; else the type follows from the values.
    """

    name: str
    values: Sequence[Value]
    unit: str = ""
    comment: str = ""
    width: int = 1
    form: str = ""

    def encoded(self) -> tuple[str, npt.NDArray[Any]]:
        """Give TFORM and the values as they stand in the file.

        Texts are ``A``, logical values ``L``, whole numbers ``K``, all other numbers ``D``; so
        are whole and logical ones where some are missing, which become NaN.
        """
        if self.form:
            return f"1{self.form}", np.array(self.values, dtype=_SHORT[self.form])
        kinds = {type(value) for value in self.values}
        if str in kinds:
            texts = [b"" if v is None else ascii_text(str(v)).encode() for v in self.values]
            width = max(self.width, *(len(text) for text in texts))
            return f"{width}A", np.array(texts, dtype=f"S{width}")
        if kinds == {bool}:
            return "1L", np.array([b"T" if v else b"F" for v in self.values], dtype="S1")
        if kinds == {int} and all(-_INT64 <= int(v or 0) < _INT64 for v in self.values):
            return "1K", np.array(self.values, dtype=">i8")
        numbers = [math.nan if v is None else float(v) for v in self.values]
        return "1D", np.array(numbers, dtype=">f8")


def table_hdu(
    name: str, columns: Sequence[Column], *, rows_are: str = _ROWS, told: Sequence[Card] = ()
) -> bytes:
    """Make the whole extension, with checksums.

    Parameters
    ----------
    name : str
        EXTNAME.
    columns : sequence of Column
        At least one, all of one length.
    rows_are : str
        Comment of the number of rows.
    told : sequence of Card
        Further cards.

    Returns
    -------
    bytes
        A multiple of 2880.
    """
    forms = [column.encoded() for column in columns]
    fields = [(f"c{number}", values.dtype) for number, (_, values) in enumerate(forms)]
    rows = np.zeros(len(columns[0].values), dtype=fields)
    for (field, _), (_, values) in zip(fields, forms, strict=True):
        rows[field] = values
    data = rows.tobytes()
    data += bytes(-len(data) % BLOCK)
    cards = [
        Card("XTENSION", "BINTABLE", "binary table extension"),
        Card("BITPIX", 8, "array data type"),
        Card("NAXIS", 2, "number of array dimensions"),
        Card("NAXIS1", rows.dtype.itemsize, "bytes of a row"),
        Card("NAXIS2", rows.size, rows_are),
        Card("PCOUNT", 0, "no varying arrays"),
        Card("GCOUNT", 1, "one group"),
        Card("TFIELDS", len(columns), "columns"),
        Card("EXTNAME", name, "extension name"),
        Card("EXTVER", 1, "extension version"),
    ]
    for number, (column, (form, _)) in enumerate(zip(columns, forms, strict=True), start=1):
        cards.append(Card(f"TTYPE{number}", column.name, column.comment))
        cards.append(Card(f"TFORM{number}", form, ""))
        if column.unit:
            cards.append(Card(f"TUNIT{number}", column.unit, ""))
    return checksummed([*cards, *told], 1, add_words(0, data)) + data
