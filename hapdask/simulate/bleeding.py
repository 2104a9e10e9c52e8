"""Bleeding: charge above the full well runs along the columns until it finds room.

What lives here: a pure function on electrons. When it is called is decided in ``readout``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def bleed(electrons: npt.NDArray[np.float32], well: float) -> None:
    """Let the charge above the full well run up and down its column, in place.

    Parameters
    ----------
    electrons : ndarray of float32, shape (ny, nx)
        On return no pixel holds more than the well; pixels filled hold exactly that.
    well : float
        Electrons that a pixel can hold.

    Notes
    -----
    Half the excess of a run of full pixels goes each way and fills the next pixels to the brim,
    the last one in part; charge that reaches the end of the column is lost. Runs that meet go on
    filling beyond each other, so the sum of a column is kept while it has room.
    """
    for column in np.flatnonzero((electrons > well).any(axis=0)).tolist():
        values = electrons[:, column].astype(np.float64)
        above = np.concatenate([[0], values > well, [0]]).astype(np.int8)
        firsts, ends = (np.flatnonzero(np.diff(above) == sign) for sign in (1, -1))
        excess = np.add.reduceat(np.maximum(values - well, 0.0), firsts)
        np.minimum(values, well, out=values)
        for first, end, charge in zip(firsts, ends, excess, strict=True):
            _pour(values[:first][::-1], 0.5 * charge, well)
            _pour(values[end:], 0.5 * charge, well)
        electrons[:, column] = values


def _pour(values: npt.NDArray[np.float64], charge: float, well: float) -> None:
    """Fill pixels in their order, in place, until the charge is spent; full ones are passed."""
    room = well - values
    before = np.cumsum(room) - room
    filled = charge >= before + room
    values += np.clip(charge - before, 0.0, room)
    values[filled] = well
