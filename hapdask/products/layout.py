"""Layout of one group of a mosaic store: names, attributes, tiles. Pure data.

Here: what a group holds and how a frame is written into attributes. Not here: the zarr group
on disk (`group`), the order in which tiles are written (`writer`), reading them (`reader`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from hapdask.errors import FrameError, StoreError
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame

#: Version of the layout described here; stores of another version are refused.
SCHEMA_VERSION = 1
#: Side of a zarr chunk, pixels.
CHUNK = 1024
#: Name of the attribute that marks a group as one of ours.
MARK = "hapdask"
LAYER_FIELDS = ("instrument", "detector", "filter", "scale")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)
_CELL = re.compile(r"p\d{4}")


class LayerLike(Protocol):
    """Anything that says which layer it is, in lower-case archive words (``wfc3``, ``uvis``)."""

    @property
    def instrument(self) -> str: ...  # noqa: D102
    @property
    def detector(self) -> str: ...  # noqa: D102
    @property
    def filter(self) -> str: ...  # noqa: D102
    @property
    def scale(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Layout:
    """What one group holds.

    Parameters
    ----------
    frame : Frame
        The whole root frame: a projection cell, or a custom frame.
    layer : tuple of str
        Instrument, detector, filter, scale.
    tile, chunk : int
        Sides in pixels; a tile is a whole number of chunks, so no two tiles share one.
    variables : tuple of str
        Names of `hapdask.schema.VARIABLES`.
    flux_unit : str
        Stands for ``{flux}`` in the units of the variables.

    Raises
    ------
    StoreError
        Sides that do not fit, or an unknown variable.
    """

    frame: Frame
    layer: tuple[str, str, str, str]
    tile: int
    chunk: int
    variables: tuple[str, ...]
    flux_unit: str

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.tile < 1 or self.tile % self.chunk:
            raise StoreError(f"tiles of {self.tile} pixels are not whole chunks of {self.chunk}")
        unknown = sorted(set(self.variables) - set(VARIABLES))
        if unknown or not self.variables:
            raise StoreError(f"unknown variables {unknown} (known: {', '.join(VARIABLES)})")
        if self.frame.empty:
            raise StoreError("the root frame of a store has no pixels")

    @property
    def array_frame(self) -> Frame:
        """Frame of the arrays: the root frame extended to whole tiles."""
        return self.frame.whole_tiles(self.tile)

    def tile_frame(self, index: tuple[int, int]) -> Frame:
        """Frame of a whole tile.

        Raises
        ------
        StoreError
            The tile is outside the root frame.
        """
        origin = (index[0] * self.tile, index[1] * self.tile)
        frame = replace(self.frame, origin=origin, shape=(self.tile, self.tile), name="")
        if (frame & self.frame).empty:
            raise StoreError(f"tile {index} is outside the frame of the store {self.frame.box}")
        return frame

    def slices(self, index: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a whole tile in the arrays."""
        return self.tile_frame(index).slices_in(self.array_frame)

    def part(self, index: tuple[int, int], frame: Frame) -> tuple[slice, slice]:
        """Rows and columns of a frame in its whole tile.

        Raises
        ------
        StoreError
            The frame is not all of the tile that is inside the root frame.
        """
        tile = self.tile_frame(index)
        needed = tile & self.frame
        fits = frame.root_key == tile.root_key and (frame & tile).box == frame.box
        if not fits or (needed & frame).box != needed.box:
            raise StoreError(
                f"tile {index} must cover {needed.box}, not {frame.box} of another window or "
                "grid (plan on frame.whole_tiles(tile))"
            )
        return frame.slices_in(tile)

    def chunk_rows(self, y0: int, y1: int) -> range:
        """Rows of chunks of the tiles that touch the root pixel rows y0 to y1 (exclusive)."""
        top = self.array_frame.origin[0]
        first, last = y0 // self.tile * self.tile - top, -(-y1 // self.tile) * self.tile - top
        return range(first // self.chunk, last // self.chunk)

    def to_attributes(self) -> dict[str, Any]:
        """Return the attributes of the group, plain JSON."""
        return {
            MARK: {
                "schema": SCHEMA_VERSION,
                "tile": self.tile,
                "chunk": self.chunk,
                "variables": list(self.variables),
            },
            **dict(zip(LAYER_FIELDS, self.layer, strict=True)),
            "flux_unit": self.flux_unit,
            **frame_attributes(self.frame),
        }

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], where: str) -> Layout:
        """Read the attributes of a group.

        Raises
        ------
        StoreError
            They are not ours, of another version, or damaged.
        """
        mark = attributes.get(MARK)
        if not isinstance(mark, Mapping):
            raise StoreError(f"{where} is not a mosaic of hapdask")
        if mark.get("schema") != SCHEMA_VERSION:
            raise StoreError(
                f"{where} has layout version {mark.get('schema')}, this hapdask reads "
                f"{SCHEMA_VERSION} (make it anew, or use the hapdask that wrote it)"
            )
        try:
            instrument, detector, band, scale = (str(attributes[key]) for key in LAYER_FIELDS)
            return cls(
                frame_from_attributes(attributes),
                (instrument, detector, band, scale),
                int(mark["tile"]),
                int(mark["chunk"]),
                tuple(mark["variables"]),
                str(attributes["flux_unit"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{where} has damaged attributes: {error!r}") from error


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of a group."""

    name: str
    dtype: np.dtype[Any]
    fill: float
    attributes: Mapping[str, Any]


def group_name(place: str, layer: tuple[str, str, str, str]) -> str:
    """Return the path of a group below the root of a store.

    Parameters
    ----------
    place : str
        ``"p1889"`` for a projection cell, ``"custom/<name>"`` for anything else.
    layer : tuple of str
        Instrument, detector, filter, scale.

    Raises
    ------
    StoreError
        A name that cannot be a folder.

    Examples
    --------
    >>> group_name("p1889", ("wfc3", "uvis", "f475w", "fine"))
    'p1889/wfc3_uvis_f475w/fine'
    """
    parts = place.split("/")
    custom = parts[0] == "custom"
    if len(parts) != (2 if custom else 1) or not (custom or _CELL.fullmatch(place)):
        raise StoreError(f"place {place!r} is neither a cell ('p1889') nor 'custom/<name>'")
    parts.append("_".join(layer[:3]))
    if not custom:
        parts.append(layer[3])
    for part in parts:
        if not _NAME.fullmatch(part) or ".." in part:
            raise StoreError(f"{part!r} cannot be the name of a folder (letters, digits, . _ -)")
    return "/".join(parts)


def layer_tuple(layer: LayerLike) -> tuple[str, str, str, str]:
    """Return instrument, detector, filter and scale of a layer, in lower case."""
    words = (layer.instrument, layer.detector, layer.filter, layer.scale)
    instrument, detector, band, scale = (str(word).lower() for word in words)
    return (instrument, detector, band, scale)


def frame_attributes(frame: Frame) -> dict[str, Any]:
    """Write a frame as attributes: a FITS header string for everybody, exact numbers for us.

    FITS cards hold 16 digits of a negative exponent number, so the string alone would not
    give back the same bits.
    """
    from astropy.io import fits

    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, frame.shape[1], frame.shape[0]
    for name, value in frame.to_header().items():
        header[name] = value
    return {
        "wcs": header.tostring(sep="\n", endcard=False, padding=False),
        "frame": {
            "crval": list(frame.crval),
            "crpix": list(frame.crpix),
            "cd": list(frame.cd),
            "shape": list(frame.shape),
            "origin": list(frame.origin),
            "name": frame.name,
        },
    }


def frame_from_attributes(attributes: Mapping[str, Any]) -> Frame:
    """Read the frame that `frame_attributes` wrote.

    Raises
    ------
    StoreError
        There is none, or it is damaged.
    """
    try:
        fields = attributes["frame"]
        ra, dec = fields["crval"]
        crpix_x, crpix_y = fields["crpix"]
        cd11, cd12, cd21, cd22 = fields["cd"]
        ny, nx = fields["shape"]
        y0, x0 = fields["origin"]
        return Frame(
            (ra, dec),
            (crpix_x, crpix_y),
            (cd11, cd12, cd21, cd22),
            (ny, nx),
            (y0, x0),
            str(fields["name"]),
        )
    except (KeyError, TypeError, ValueError, FrameError) as error:
        raise StoreError(f"no readable frame in the attributes: {error!r}") from error


def variable_attributes(name: str, flux_unit: str) -> dict[str, str]:
    """Units and meaning of a variable, as attributes."""
    variable = VARIABLES[name]
    return {"long_name": variable.meaning, "units": variable.units.format(flux=flux_unit)}


def variable_specs(names: Iterable[str], flux_unit: str) -> list[ArraySpec]:
    """Arrays of variables of `hapdask.schema`."""
    return [
        ArraySpec(
            name, VARIABLES[name].dtype, VARIABLES[name].fill, variable_attributes(name, flux_unit)
        )
        for name in names
    ]
