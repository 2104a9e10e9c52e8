"""Detector coordinates: pixels of the whole detector, whatever part of it was read out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import ParameterError
from hapdask.observe.cards import number_of
from hapdask.observe.parts import ChipRecord

Floats = NDArray[np.float64]
#: Whether points lie inside a shape: x, y, 1-based, broadcast.
Inside = Callable[[Floats, Floats], NDArray[np.bool_]]
#: x0, x1, y0, y1 that hold a shape.
Box = tuple[float, float, float, float]


def physical_axes(chip: ChipRecord) -> tuple[Floats, Floats]:
    """Detector coordinates, 1-based, of a chip's columns and rows: (image - LTV) / LTM.

    Raises
    ------
    ParameterError
        If the record has lost its cards.
    """
    if not chip.keywords:
        raise ParameterError(
            "detector coordinates need the header cards: attach masks before strip"
        )
    cards = dict(chip.keywords)
    ny, nx = chip.shape
    axes = []
    for axis, size in ((1, nx), (2, ny)):
        offset = number_of(cards, f"LTV{axis}") or 0.0
        step = number_of(cards, f"LTM{axis}_{axis}") or 1.0
        axes.append((np.arange(1.0, size + 1.0) - offset) / step)
    return axes[0], axes[1]


def image_axes(chip: ChipRecord) -> tuple[Floats, Floats]:
    """Image coordinates, 1-based, of a chip's columns and rows."""
    ny, nx = chip.shape
    return np.arange(1.0, nx + 1.0), np.arange(1.0, ny + 1.0)


def fill(bad: NDArray[np.bool_], axes: tuple[Floats, Floats], box: Box, inside: Inside) -> None:
    """Set the pixels whose centres lie inside a shape; only those of its box are looked at."""
    x, y = axes
    columns, rows = (
        np.flatnonzero((values >= low) & (values <= high))
        for values, low, high in ((x, box[0], box[1]), (y, box[2], box[3]))
    )
    if columns.size and rows.size:
        part = bad[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part |= inside(x[columns][np.newaxis, :], y[rows][:, np.newaxis])
