"""Exposures whose pixels are all zero or NaN: a readout that failed, whatever its header says.

A good chip is known by its first rows that are looked at; only an empty one is read whole.
"""

from __future__ import annotations

import numpy as np

from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict

_ROWS = 64


def judge_zeros(record: ExposureRecord) -> Verdict:
    """Judge an exposure by whether its pixels are all zero, or no numbers.

    Parameters
    ----------
    record : ExposureRecord

    Returns
    -------
    Verdict
        That of the record; rejected where no chip has a pixel that is neither zero nor NaN, and
        with one more warning where one chip has none.

    Raises
    ------
    InputError
        If the file is gone, truncated or not the one that the record was made from.
    """
    found = ((chip.extver, _emptiness(record, chip)) for chip in record.chips)
    empty = {extver: what for extver, what in found if what}
    if not empty:
        return record.verdict
    what = " or ".join(sorted({each for what in empty.values() for each in what}, reverse=True))
    if len(empty) == len(record.chips):
        return Verdict("rejected", f"all pixels of SCI are {what}")
    names = ", ".join(f"SCI,{extver}" for extver in empty)
    return record.verdict.warned(f"all pixels of {names} are {what}")


def _emptiness(record: ExposureRecord, chip: ChipRecord) -> set[str]:
    """Say which of zero and NaN all pixels are, from the middle of the chip on; else nothing."""
    found: set[str] = set()
    blocks = range(0, chip.shape[0], _ROWS)
    middle = len(blocks) // 2
    with open_chip(record, chip) as reader:
        for row in (*blocks[middle:], *blocks[:middle]):
            sci = reader.read(row, row + _ROWS, errors=False, flags=False).sci
            blank = np.isnan(sci)
            if bool(np.any((sci != 0.0) & ~blank)):
                return set()
            if bool(blank.any()):
                found.add("NaN")
            if not bool(blank.all()):
                found.add("zero")
    return found
