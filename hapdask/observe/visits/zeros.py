"""Exposures whose pixels are all zero: a readout that failed, whatever its header says.

A good chip is known by its first rows that are looked at; only an empty one is read whole.
"""

from __future__ import annotations

import numpy as np

from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict

_ROWS = 64
_ALL = "all pixels of SCI are zero"


def judge_zeros(record: ExposureRecord) -> Verdict:
    """Judge an exposure by whether its pixels are all zero.

    Parameters
    ----------
    record : ExposureRecord

    Returns
    -------
    Verdict
        That of the record; rejected where no chip has a pixel that is not zero, and with one more
        warning where one chip has none.

    Raises
    ------
    InputError
        If the file is gone, truncated or not the one that the record was made from.
    """
    empty = [chip.extver for chip in record.chips if _is_empty(record, chip)]
    if len(empty) == len(record.chips):
        return Verdict("rejected", _ALL)
    if not empty:
        return record.verdict
    names = ", ".join(f"SCI,{extver}" for extver in empty)
    return record.verdict.warned(f"all pixels of {names} are zero")


def _is_empty(record: ExposureRecord, chip: ChipRecord) -> bool:
    """Look for a pixel that is neither zero nor NaN, from the middle of the chip on."""
    blocks = range(0, chip.shape[0], _ROWS)
    middle = len(blocks) // 2
    with open_chip(record, chip) as reader:
        for row in (*blocks[middle:], *blocks[:middle]):
            sci = reader.read(row, row + _ROWS, errors=False, flags=False).sci
            if bool(np.any(np.nan_to_num(sci) != 0.0)):
                return False
    return True
