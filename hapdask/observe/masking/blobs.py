"""Blobs: round patches of low response that came to stay on a given day (WFC3/IR).

A table of ``x``, ``y``, ``radius`` and ``mjd``, one row a blob: 1-based pixels of the whole
calibrated detector image, and the first day on which it is there; ``mjd_end`` where it went again.
The DQ flag of blobs, 512, stays what the parameters make of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.masking.detector import Inside, fill, physical_axes
from hapdask.observe.masking.sources import MaskSource
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import open_source

Floats = NDArray[np.float64]

_COLUMNS = ("x", "y", "radius", "mjd")
_DETECTORS = ("wfc3/ir",)


@dataclass(frozen=True)
class BlobMask:
    """A table of blobs: x, y, radius (pixels), first and last MJD; shape (n,) each."""

    source: MaskSource
    x: Floats
    y: Floats
    radius: Floats
    first: Floats
    last: Floats

    @classmethod
    def open(cls, source: MaskSource) -> BlobMask:
        """Read a table.

        Raises
        ------
        InputError
            If it cannot be read, or a column is missing or holds what is no number.
        """
        from astropy.table import Table

        with open_source(source.url) as file:
            text = file.read(0, file.size)
        try:
            table = Table.read(text.decode("utf-8").splitlines(), format="ascii", guess=True)
        except (ValueError, LookupError, OSError) as error:  # LookupError: an empty file
            raise InputError(
                source.url, f"is no table: {error}", remedy="write a CSV file"
            ) from error
        names = {name.lower(): name for name in table.colnames}
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise InputError(
                source.url,
                f"a table of blobs without column {', '.join(missing)}",
                remedy=f"it needs {', '.join(_COLUMNS)}",
            )
        columns = {}
        for name in (*_COLUMNS, "mjd_end"):
            if name in names:
                columns[name] = _numbers(table[names[name]].tolist(), name, source.url)
        last = columns.get("mjd_end", np.full(len(table), np.inf))
        x, y, radius, first = (columns[name] for name in _COLUMNS)
        return cls(source, x, y, radius, first, last)

    def is_for(self, exposure: ExposureRecord) -> bool:
        """Whether it is of the detector of the blobs, WFC3/IR where nothing else was said."""
        if self.source.exposures:
            return self.source.chooses(exposure)
        return f"{exposure.instrument}/{exposure.detector}" in _DETECTORS

    def bad(self, exposure: ExposureRecord, chip: ChipRecord) -> NDArray[np.bool_] | None:
        """Pixels whose centre lies in a blob that was there at the middle of the exposure."""
        if self.source.chip and self.source.chip != chip.extver:
            return None
        bad = np.zeros(chip.shape, bool)
        axes = physical_axes(chip)
        there = (self.first <= exposure.mid_mjd) & (exposure.mid_mjd < self.last)
        for x, y, r in zip(self.x[there], self.y[there], self.radius[there], strict=True):
            fill(bad, axes, (x - r, x + r, y - r, y + r), _disc(x, y, r))
        return bad


def _disc(x: float, y: float, radius: float) -> Inside:
    def inside(px: Floats, py: Floats) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.hypot(px - x, py - y) <= radius
        return found

    return inside


def _numbers(values: list[object], name: str, url: str) -> Floats:
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            url, f"column {name} holds what is no number", remedy="mend the table"
        ) from error
    if not np.isfinite(found).all():
        raise InputError(url, f"column {name} has gaps", remedy="mend the table")
    return found
