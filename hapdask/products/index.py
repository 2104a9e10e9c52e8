"""`FrameIndex`: lazy `ra` and `dec` of a Dataset on a frame, and selection by sky position.

A mosaic of 450 000 pixels on a side has both for nothing. Not here: how the coordinates are
evaluated (`coordinates`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.core.indexing import IndexSelResult
from xarray.indexes import CoordinateTransformIndex

from hapdask.errors import FrameError
from hapdask.products.coordinates import CoordinateVariable, FrameTransform, LazyCoordinate
from hapdask.sky.frame import Frame

DIMS = ("y", "x")
_ATTRIBUTES = {
    "ra": {"standard_name": "right_ascension", "units": "deg", "reference_system": "ICRS"},
    "dec": {"standard_name": "declination", "units": "deg", "reference_system": "ICRS"},
}

T = TypeVar("T", xr.Dataset, xr.DataArray)


class FrameIndex(CoordinateTransformIndex):
    """Index of the lazy two-dimensional coordinates ``ra`` and ``dec`` of a frame.

    Slices give an index on the window, ``sel(ra=..., dec=..., method="nearest")`` gives pixels;
    two objects align if and only if they are on the same window of the same grid.

    Parameters
    ----------
    frame : Frame or FrameTransform
        The grid of the dims ``y``, ``x``.
    """

    transform: FrameTransform

    def __init__(self, frame: Frame | FrameTransform) -> None:
        transform = FrameTransform(frame) if isinstance(frame, Frame) else frame
        super().__init__(transform)

    @property
    def frame(self) -> Frame:
        """Frame of the array.

        Raises
        ------
        FrameError
            The array skips or mirrors pixels.
        """
        window = self.transform.window
        if window is None:
            raise FrameError("an array of every n-th pixel has no frame (slice it with step 1)")
        return window

    def create_variables(
        self, variables: Mapping[Any, xr.Variable] | None = None
    ) -> dict[Any, xr.Variable]:
        """Make the lazy coordinates."""
        made = super().create_variables(variables)
        result: dict[Any, xr.Variable] = {}
        for name, var in made.items():
            dims = tuple(map(str, var.dims))
            data = LazyCoordinate(self.transform, name, dims)
            result[name] = CoordinateVariable(dims, data, var.attrs)
        return result

    def isel(self, indexers: Mapping[Any, Any]) -> FrameIndex | None:
        """Index of a window; None (plain coordinates of the pixels picked) for other picks."""
        y_name, x_name = self.transform.dims
        picks = (indexers.get(y_name, slice(None)), indexers.get(x_name, slice(None)))
        if not all(isinstance(pick, slice) for pick in picks):
            return None
        rows, columns = self.transform.rows[picks[0]], self.transform.columns[picks[1]]
        transform = FrameTransform(self.transform.frame, rows, columns)
        transform.coord_names, transform.dims = self.transform.coord_names, self.transform.dims
        transform.dim_size = {y_name: len(rows), x_name: len(columns)}
        return FrameIndex(transform)

    def sel(
        self, labels: dict[Any, Any], method: str | None = None, tolerance: object = None
    ) -> IndexSelResult:
        """Pixels that hold sky positions: scalars, or arrays of equal shape (pointwise).

        Raises
        ------
        ValueError
            A method other than "nearest", a tolerance, or one of ``ra``, ``dec`` missing.
        KeyError
            A position outside the frame.
        """
        names = self.transform.coord_names
        if method != "nearest" or tolerance is not None:
            raise ValueError(
                'pixels are selected with method="nearest" and no tolerance: '
                'ds.sel(ra=..., dec=..., method="nearest")'
            )
        if set(labels) != set(names):
            raise ValueError(f"select with both of {', '.join(map(str, names))}, not one")
        ra, dec = (labels[name] for name in names)
        dims = _shared_dims(ra, dec)
        y, x = self.nearest(_values(ra), _values(dec))
        if not dims:
            picks: dict[str, Any] = {"y": int(y), "x": int(x)}
        else:
            picks = {"y": xr.Variable(dims, y), "x": xr.Variable(dims, x)}
        return IndexSelResult(dict(zip(self.transform.dims, picks.values(), strict=True)))

    def nearest(
        self, ra: npt.ArrayLike, dec: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Array positions (y, x) of the pixels that hold sky positions.

        Parameters
        ----------
        ra, dec : array_like
            ICRS degrees.

        Raises
        ------
        KeyError
            A position outside the frame; says how many and which first.
        """
        names, dims = self.transform.coord_names, self.transform.dims
        ra, dec = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
        position = self.transform.reverse({names[0]: ra, names[1]: dec})
        y, x = (np.floor(np.asarray(position[dim]) + 0.5) for dim in dims)
        ny, nx = (self.transform.dim_size[dim] for dim in dims)
        inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)  # False for NaN
        if not np.all(inside):
            first = np.argmin(inside)
            raise KeyError(
                f"{np.size(inside) - np.count_nonzero(inside)} of {np.size(inside)} positions "
                f"are outside the frame, the first at RA {ra.flat[first]}, Dec {dec.flat[first]}"
            )
        return y.astype(np.int64), x.astype(np.int64)


def attach_frame(ds: T, frame: Frame) -> T:
    """Give a Dataset (or DataArray) on dims ``y``, ``x`` its lazy sky coordinates.

    Parameters
    ----------
    ds : Dataset or DataArray
        Its sizes of ``y`` and ``x`` must be the frame's shape.
    frame : Frame
        The pixel grid.

    Returns
    -------
    Dataset or DataArray
        With coordinates ``ra`` and ``dec``, ICRS degrees, and their `FrameIndex`.

    Raises
    ------
    FrameError
        The shapes differ.
    """
    sizes = tuple(ds.sizes.get(dim, 0) for dim in DIMS)
    if sizes != frame.shape:
        raise FrameError(f"data of shape {sizes} are not on a frame of shape {frame.shape}")
    index = FrameIndex(frame)
    coordinates = xr.Coordinates.from_xindex(index)
    result = ds.drop_vars(["ra", "dec"], errors="ignore").assign_coords(coordinates)
    for name, attributes in _ATTRIBUTES.items():
        result[name].attrs.update(attributes)
    return result


def frame_of(ds: xr.Dataset | xr.DataArray) -> Frame:
    """Frame of a Dataset or DataArray.

    Raises
    ------
    FrameError
        It has none.
    """
    index = ds.xindexes.get("ra")
    if not isinstance(index, FrameIndex):
        raise FrameError(
            "these data have no frame: single pixels and picked rows have none, and other data "
            "get one with hapdask.products.index.attach_frame(ds, frame)"
        )
    return index.frame


def frame_index(ds: xr.Dataset | xr.DataArray) -> FrameIndex:
    """`FrameIndex` of a Dataset or DataArray; raises FrameError if it has none."""
    frame_of(ds)
    index = ds.xindexes["ra"]
    assert isinstance(index, FrameIndex)
    return index


def _values(label: Any) -> Any:
    return label.values if isinstance(label, xr.DataArray | xr.Variable) else label


def _shared_dims(*labels: Any) -> tuple[Hashable, ...]:
    """Dims of the labels: their own, or ``points`` for plain arrays; () for scalars."""
    dims = {
        tuple(label.dims)
        if isinstance(label, xr.DataArray | xr.Variable)
        else ("points",) * np.ndim(label)
        for label in labels
    }
    if len(dims) != 1 or len({np.shape(_values(label)) for label in labels}) != 1:
        raise ValueError("ra and dec must be scalars, or arrays of one shape")
    (shared,) = dims
    if len(shared) > 1 and set(shared) == {"points"}:
        raise ValueError("give ra and dec as DataArrays with named dims if they have several")
    return shared
