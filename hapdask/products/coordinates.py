"""Sky coordinates as functions of the pixel: evaluated for what is asked, never held whole.

Here: the transform between pixels and sky that xarray's coordinate machinery takes, and the lazy
arrays made of it. Not here: the index that selects by them (`index`), the maths (`hapdask.sky`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self

import numpy as np
import xarray as xr
from xarray.core.indexing import CoordinateTransformIndexingAdapter, OuterIndexer
from xarray.indexes import CoordinateTransform

from hapdask.sky.frame import Frame

#: Pixels whose coordinates are evaluated together.
_AT_ONCE = 1 << 20


class FrameTransform(CoordinateTransform):
    """Pixels of a frame, or of every n-th row and column of it, to the sky and back.

    Parameters
    ----------
    frame : Frame
        The grid.
    rows, columns : range, optional
        Pixels of the frame that the array holds; all of them where not given.
    """

    def __init__(
        self, frame: Frame, rows: range | None = None, columns: range | None = None
    ) -> None:
        self.frame = frame
        self.rows = range(frame.shape[0]) if rows is None else rows
        self.columns = range(frame.shape[1]) if columns is None else columns
        sizes = {"y": len(self.rows), "x": len(self.columns)}
        super().__init__(("ra", "dec"), sizes, np.dtype(np.float64))

    @property
    def window(self) -> Frame | None:
        """Frame of the array; None if it skips or mirrors pixels."""
        if self.rows.step != 1 or self.columns.step != 1:
            return None
        rows = slice(self.rows.start, self.rows.stop)
        return self.frame[rows, self.columns.start : self.columns.stop]

    def forward(self, dim_positions: dict[str, Any]) -> dict[Hashable, Any]:
        """Array positions ``y``, ``x`` to ``ra``, ``dec`` in ICRS degrees."""
        y_name, x_name = self.dims
        y = self.rows.start + self.rows.step * np.asarray(dim_positions[y_name])
        x = self.columns.start + self.columns.step * np.asarray(dim_positions[x_name])
        ra_name, dec_name = self.coord_names
        ra, dec = self.frame.pixel_to_sky(x, y)
        return {ra_name: ra, dec_name: dec}

    def reverse(self, coord_labels: dict[Hashable, Any]) -> dict[str, Any]:
        """``ra``, ``dec`` in ICRS degrees to array positions ``y``, ``x`` (NaN where none)."""
        ra_name, dec_name = self.coord_names
        x, y = self.frame.sky_to_pixel(coord_labels[ra_name], coord_labels[dec_name])
        y_name, x_name = self.dims
        return {
            y_name: (y - self.rows.start) / self.rows.step,
            x_name: (x - self.columns.start) / self.columns.step,
        }

    def equals(
        self, other: CoordinateTransform, *, exclude: frozenset[Hashable] | None = None
    ) -> bool:
        """Whether both give the same sky positions for the same array positions."""
        return isinstance(other, FrameTransform) and self._key() == other._key()

    def _key(self) -> tuple[object, ...]:
        (y0, x0), rows, columns = self.frame.origin, self.rows, self.columns
        return (
            self.frame.root_key,
            self.coord_names,
            self.dims,
            (y0 + rows.start, rows.step, len(rows)),
            (x0 + columns.start, columns.step, len(columns)),
        )


class LazyCoordinate(CoordinateTransformIndexingAdapter):
    """A coordinate evaluated where it is looked at.

    xarray's own keeps an axis that an integer picked next to a list (``isel(y=[0, 5], x=7)``).
    """

    def _oindex_get(self, indexer: Any) -> Any:
        values = super()._oindex_get(indexer)
        picked = [
            axis
            for axis, pick in enumerate(indexer.tuple)
            if np.ndim(pick) == 0 and not isinstance(pick, slice)
        ]
        return values.squeeze(tuple(picked))

    def __getitem__(self, indexer: Any) -> Any:
        return self._oindex_get(indexer)

    def get_duck_array(self) -> Any:
        """Evaluate all of it, some rows at a time: the maths needs room for many arrays."""
        out = np.empty(self.shape, self.dtype)
        step = max(1, _AT_ONCE // max(1, self.shape[1]))
        for start in range(0, self.shape[0], step):
            rows = np.arange(start, min(start + step, self.shape[0]))
            out[rows] = self._oindex_get(OuterIndexer((rows, slice(None))))
        return out


class CoordinateVariable(xr.Variable):
    """A coordinate that stays lazy when the Dataset around it is computed."""

    def load(self, **options: Any) -> Self:
        """Load what is not lazy by design."""
        lazy = isinstance(self._data, LazyCoordinate)
        return self if lazy else super().load(**options)
