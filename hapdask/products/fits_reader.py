"""`open_fits`: a FITS product as the lazy Dataset that it was written from.

Reads files of one product with extensions, or the separate files of one, ours or upstream's.
CTX planes become keys of sets of chips again, by the names in HDRTAB.  Not here: writing
(`fits_export`), exposures (`hapdask.observe`).
"""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from hapdask.drizzling.palette import Input, Palette
from hapdask.errors import StoreError
from hapdask.products.context import keys_of_planes
from hapdask.products.fits_layout import CONTEXT, EXTENSIONS, separate_paths
from hapdask.products.hdrtab import NAME as HDRTAB
from hapdask.products.index import attach_frame
from hapdask.products.layout import variable_attributes
from hapdask.products.planes import pixel_area, tile_chunks
from hapdask.products.provenance import TiledPalette
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from astropy.io import fits

_CHUNK = 2048
_UNITS = {
    "ELECTRONS/S": "electron / s",
    "COUNTS/S": "count / s",
    "ELECTRONS": "electron",
    "COUNTS": "count",
}


@dataclass(frozen=True, slots=True)
class _Image:
    """Where the pixels of an image stand; picklable, opened anew for every block."""

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    stamp: int

    def read(self, rows: slice, columns: slice) -> npt.NDArray[Any]:
        stored = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        block = np.asarray(stored[..., rows, columns])
        return block.astype(block.dtype.newbyteorder("="))


def open_fits(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a FITS product as a lazy Dataset; no pixel is read.

    Parameters
    ----------
    path : path
        The file; of separate files the one of SCI (``x_drz_sci.fits``).

    Returns
    -------
    Dataset
        Dims ``y``, ``x``; those of ``sci``, ``wht``, ``err``, ``nexp`` and so on that are there;
        ``ctx`` where there are CTX and HDRTAB, with its palette; ``pixel_area``.  Its grid is a
        frame of its own; ``ds.attrs["header"]`` is PRIMARY's, as a dictionary.

    Raises
    ------
    StoreError
        The file cannot be read, or is no product on an undistorted TAN grid.
    """
    from hapdask.products import accessor  # noqa: F401  (registers ds.hap)

    path = Path(path)
    images, headers, chips = _find(path)
    if "SCI" not in images:
        raise StoreError(f"{path}: no SCI image in it (name a drizzled product)")
    shape = images["SCI"].shape
    frame = Frame.from_header(headers["SCI"], shape=(shape[-2], shape[-1]))
    chunks = tile_chunks(frame, _CHUNK)
    unit = _UNITS.get(str(headers["SCI"].get("BUNIT", "")).upper(), "electron / s")
    variables: dict[str, Any] = {}
    for name, (extension, _) in EXTENSIONS.items():
        if extension in images:
            data = _lazy(images[extension], chunks, name, ())
            variables[name] = (("y", "x"), data, dict(variable_attributes(name, unit)))
    if CONTEXT in images and chips:
        attributes: dict[str, Any] = dict(variable_attributes("ctx", unit))
        attributes["palette"] = FilePalette(images[CONTEXT], chips, frame)
        variables["ctx"] = (("y", "x"), _lazy(images[CONTEXT], chunks, "ctx", chips), attributes)
    variables["pixel_area"] = pixel_area(frame, chunks)
    attrs = _attributes(headers["PRIMARY"]) | {"flux_unit": unit, "store": str(path)}
    return attach_frame(xr.Dataset(variables, attrs=attrs), frame)


class FilePalette(TiledPalette):
    """Palette of a FITS product: the sets of chips that its CTX planes tell."""

    def __init__(self, image: _Image, chips: tuple[Input, ...], frame: Frame) -> None:
        self._image, self._chips, self._frame = image, chips, frame
        self._window = frame

    def within(self, window: Frame) -> FilePalette:
        """Palette of a window: that of its own pixels."""
        part = FilePalette(self._image, self._chips, self._frame)
        part._window = window & self._window
        return part

    def parts(self) -> tuple[Palette, ...]:
        """Read the planes of the window, in strips."""
        rows, columns = self._window.slices_in(self._frame)
        starts = range(rows.start, rows.stop, _CHUNK)
        return tuple(
            self._strip(slice(y, min(y + _CHUNK, rows.stop)), columns) for y in starts
        ) or (Palette.merge(()),)

    def _strip(self, rows: slice, columns: slice) -> Palette:
        planes = _cube(self._image.read(rows, columns))
        keys, first = np.unique(keys_of_planes(planes, self._chips), return_index=True)
        words = planes.reshape(len(planes), -1)[:, first[keys != 0]].astype("<i4")
        bits = np.ascontiguousarray(words.T).view(np.uint8)
        return Palette(self._chips, keys[keys != 0], bits[:, : -(-len(self._chips) // 8)])

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilePalette) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"<palette of {len(self._chips)} chips of {self._image.path}>"

    @property
    def _identity(self) -> tuple[object, ...]:
        return (self._image, self._window.box)


def _find(path: Path) -> tuple[dict[str, _Image], dict[str, dict[str, Any]], tuple[Input, ...]]:
    """Images and headers by EXTNAME, and the chips of HDRTAB."""
    from astropy.io import fits

    images: dict[str, _Image] = {}
    headers: dict[str, dict[str, Any]] = {}
    chips: tuple[Input, ...] = ()
    for name, file in _files(path).items():
        try:
            with fits.open(file) as hdus:
                for hdu in hdus:
                    if hdu.name == HDRTAB:
                        chips = _chips(hdu)
                    elif hdu.header["NAXIS"]:
                        extension = name or hdu.name
                        images[extension] = _image(file, hdu)
                        headers[extension] = dict(hdu.header)
                headers.setdefault("PRIMARY", dict(hdus[0].header))
        except (OSError, TypeError, ValueError, KeyError) as error:
            raise StoreError(f"{file}: not a readable FITS product: {error}") from error
    return images, headers, chips


def _files(path: Path) -> dict[str, Path]:
    """Files of a product, by the name of their image; one of them has no name if it has all."""
    if not path.stem.endswith("_sci"):
        return {"": path}
    whole = path.with_name(path.name.removesuffix(f"_sci{path.suffix}") + path.suffix)
    found = separate_paths(whole)
    return {name: file for name, file in found.items() if name == "SCI" or file.exists()}


def _image(file: Path, hdu: fits.ImageHDU) -> _Image:
    header, dtype = hdu.header, {-32: ">f4", -64: ">f8", 16: ">i2", 32: ">i4"}
    shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
    stored = dtype[header["BITPIX"]]
    return _Image(str(file), hdu.fileinfo()["datLoc"], stored, shape, file.stat().st_mtime_ns)


def _chips(hdu: fits.BinTableHDU) -> tuple[Input, ...]:
    names, extvers = hdu.data["ROOTNAME"], hdu.data["EXTVER"]
    return tuple((str(n).strip(), int(e)) for n, e in zip(names, extvers, strict=True))


def _cube(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return block[None] if block.ndim == 2 else block


def _lazy(image: _Image, chunks: Any, name: str, chips: tuple[Input, ...]) -> Any:
    """Lazy array of an image, or of the keys that CTX planes tell where there are chips."""
    import dask.array as da
    from dask.base import tokenize

    dtype = VARIABLES[name].dtype

    def read(block_info: Any = None) -> npt.NDArray[Any]:
        (y0, y1), (x0, x1) = block_info[None]["array-location"]
        block = image.read(slice(y0, y1), slice(x0, x1))
        return (keys_of_planes(_cube(block), chips) if chips else block).astype(dtype)

    return da.map_blocks(
        read,
        chunks=chunks,
        dtype=dtype,
        meta=np.empty((0, 0), dtype),
        name=f"hapdask-fits-{name}-{tokenize(astuple(image), chips)}",
    )


def _attributes(header: dict[str, Any]) -> dict[str, Any]:
    """Tell the layer, as the attributes of a mosaic do."""
    words = {
        "instrument": str(header.get("INSTRUME", "")).lower(),
        "detector": str(header.get("DETECTOR", "")).lower(),
        "filter": str(header.get("FILTER", "")).lower().replace(";", "-"),
    }
    plain = {k: v for k, v in header.items() if k and isinstance(v, str | int | float | bool)}
    return words | {"header": plain}
