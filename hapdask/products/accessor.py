"""The accessor ``ds.hap``: what a mosaic can do beyond what xarray does.

Here: frame, footprint, positions, cutouts, inputs of a pixel, and the doors to zarr, FITS and
pictures. It holds no algorithm, and computes only in `inputs`, `to_zarr`, `to_fits` and `plot`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt
import xarray as xr

from hapdask.errors import FrameError, ParameterError, StoreError
from hapdask.products.export_zarr import write_zarr
from hapdask.products.index import frame_index, frame_of
from hapdask.products.names import inside, product_suffix, sky_cell_name
from hapdask.products.provenance import TiledPalette
from hapdask.products.receipts import Chip
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hapdask.products.header_source import HeaderSource
    from hapdask.sky.cells import SkyCell


class Extent(NamedTuple):
    """Size in pixels."""

    ny: int
    nx: int


@xr.register_dataset_accessor("hap")  # type: ignore[no-untyped-call]
class HapAccessor:
    """What ``ds.hap`` offers for a mosaic on a frame."""

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    @property
    def frame(self) -> Frame:
        """Pixel grid of the Dataset.

        Raises
        ------
        FrameError
            It has none: a single pixel, picked rows, or data from elsewhere.
        """
        return frame_of(self._ds)

    @property
    def footprint(self) -> Footprint:
        """Outline of the frame on the sky."""
        return self.frame.footprint

    def at(self, ra: npt.ArrayLike | xr.DataArray, dec: npt.ArrayLike | xr.DataArray) -> xr.Dataset:
        """Pixels that hold sky positions, lazily.

        Parameters
        ----------
        ra, dec : float, array_like or DataArray
            ICRS degrees; arrays of one shape are taken point by point (dim ``points``, or the
            dims of the DataArrays).

        Raises
        ------
        FrameError
            A position outside the mosaic.
        """
        frame_of(self._ds)
        try:
            return self._ds.sel(ra=ra, dec=dec, method="nearest")
        except KeyError as error:
            raise FrameError(f"{error.args[0]} ({self._where()})") from error

    def cutout(self, ra: float, dec: float, size: Any = "20 arcsec") -> xr.Dataset:
        """Window around a sky position, lazily; clipped at the edges of the mosaic.

        Parameters
        ----------
        ra, dec : float
            Centre, ICRS degrees.
        size : str, Quantity, float or pair of these, default "20 arcsec"
            Side, or (along x, along y); a number is in arcsec.

        Returns
        -------
        Dataset
            The window, with its frame.

        Raises
        ------
        FrameError
            The window has no pixel of the mosaic.
        ParameterError
            A size that is no positive angle.
        """
        frame = self.frame
        extent = _extent(size, frame.pixel_scale)
        x, y = (float(value) for value in frame.sky_to_pixel(ra, dec))
        rows, columns = _span(y, extent.ny, frame.shape[0]), _span(x, extent.nx, frame.shape[1])
        if rows is None or columns is None:
            raise FrameError(
                f"no pixel within {size} of RA {ra}, Dec {dec} is in the mosaic ({self._where()})"
            )
        return self._ds.isel(y=rows, x=columns)

    def inputs(self, ra: float, dec: float) -> tuple[Chip, ...]:
        """Chips that went into the pixel at a sky position; computes that pixel of `ctx`.

        Returns
        -------
        tuple of (exposure, extver)
            Sorted; empty where there are no data.

        Raises
        ------
        FrameError
            The position is outside the mosaic.
        StoreError
            The mosaic has no `ctx`, or no palette for it.
        """
        palette = self._ds["ctx"].attrs.get("palette") if "ctx" in self._ds else None
        if palette is None:
            raise StoreError("this mosaic does not know its inputs: it has no ctx with a palette")
        key = int(self._ds[["ctx"]].hap.at(ra, dec)["ctx"].values)
        if key and isinstance(palette, TiledPalette):
            y, x = (int(i) for i in frame_index(self._ds).nearest(ra, dec))
            palette = palette.within(self.frame[y : y + 1, x : x + 1])
        try:
            chips: tuple[Chip, ...] = palette[key] if key else ()
        except KeyError as error:
            raise StoreError(
                "the palette lacks this pixel's key (open the mosaic again: it was remade)"
            ) from error
        return chips

    def to_zarr(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Compute the mosaic and write it as a zarr group that appears whole.

        See `hapdask.products.export_zarr.write_zarr`.
        """
        return write_zarr(self._ds, path, overwrite=overwrite)

    def to_fits(
        self,
        path: str | os.PathLike[str],
        *,
        header_source: HeaderSource | None = None,
        **options: Any,
    ) -> Path:
        """Compute the mosaic and write it as FITS.

        Parameters
        ----------
        path : str or path-like
            A file, or, where the frame is that of a sky cell, a directory: the file then has
            the archive's name.
        header_source : HeaderSource, optional
            Inputs and parameters for the headers; from the records of the mosaic where not
            given.
        **options
            See `hapdask.products.fits_export.write_fits`: ``planes``, ``context``,
            ``separate``, ``overwrite``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        StoreError
            The mosaic has no records, a directory for what is no sky cell, or see `write_fits`.
        """
        from hapdask.products.fits_export import write_fits

        source = self._header_source() if header_source is None else header_source
        target = Path(path)
        if target.is_dir():
            target = inside(target, self._product_name(source))
        return write_fits(self._ds, target, header_source=source, **options)

    def plot(self, variable: str = "sci", *, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw a variable with an asinh stretch; computes it.

        See `hapdask.products.quicklook.draw` for the options.
        """
        from hapdask.products.quicklook import draw

        return draw(self._ds, variable, ax=ax, **options)

    def _header_source(self) -> HeaderSource:
        from hapdask.products.header_source import HeaderSource

        if not self._ds.attrs.get("records"):
            raise StoreError(
                "this mosaic has no records of its exposures (give header_source=HeaderSource(...))"
            )
        cell = self._sky_cell()
        name = "" if cell is None else cell.name
        return HeaderSource.of_mosaic(self._ds.attrs, self.frame, cell=name)

    def _sky_cell(self) -> SkyCell | None:
        """Sky cell whose frame this is."""
        from hapdask.sky.grid import SkyGrid

        frame, scale = self.frame, self._ds.attrs.get("scale")
        if scale not in ("fine", "coarse"):
            return None
        ra, dec = frame.center
        cells = (cell for cell in SkyGrid().at(ra=ra, dec=dec) if cell.frame(scale) == frame)
        return next(cells, None)

    def _product_name(self, source: HeaderSource) -> str:
        if not source.cell:
            raise StoreError("only a whole sky cell has a name of its own (give a file name)")
        attrs = self._ds.attrs
        return sky_cell_name(
            source.cell,
            attrs["instrument"],
            attrs["detector"],
            attrs["filter"],
            scale=attrs["scale"],
            suffix=product_suffix(source.exposures),
        ).fits

    def _where(self) -> str:
        frame = frame_index(self._ds).frame
        ra, dec = frame.center
        ny, nx = frame.shape
        side = frame.pixel_scale / 60.0
        return (
            f"it is centred on RA {ra:.5f}, Dec {dec:.5f} and is "
            f"{nx * side:.2f} x {ny * side:.2f} arcmin wide"
        )


def _extent(size: Any, scale: float) -> Extent:
    """Size in pixels of an angle, or of a pair of angles along x and y."""
    pair = size if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2:
        raise ParameterError(f"size {size!r}: give one angle, or two, along x and y")
    nx, ny = (max(1, round(_arcsec(side) / scale)) for side in pair)
    return Extent(ny, nx)


def _arcsec(size: Any) -> float:
    from astropy.units import Quantity, UnitConversionError, arcsec

    if isinstance(size, int | float):
        value = float(size)
    else:
        try:
            value = float(Quantity(size).to_value(arcsec))
        except (TypeError, ValueError, UnitConversionError) as error:
            raise ParameterError(
                f"size {size!r} is no angle (give for example '20 arcsec')"
            ) from error
    if not 0.0 < value < 360.0 * 3600.0:
        raise ParameterError(f"size {size!r} must be a positive angle")
    return value


def _span(centre: float, n: int, size: int) -> slice | None:
    """Pixels of a window of n around a centre, clipped to the axis; None if none is left."""
    if not abs(centre) < 2.0**31:  # NaN too: the other side of the sky
        return None
    # The small term makes a window of even size around the very centre of a pixel definite.
    start = math.floor(centre - 0.5 * n + 1.0 + 1e-6)
    low, high = max(start, 0), min(start + n, size)
    return slice(low, high) if low < high else None
