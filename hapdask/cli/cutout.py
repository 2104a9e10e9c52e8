"""``hapdask cutout``: a window around a position, from one stored mosaic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapdask.errors import StoreError

_SUFFIXES = (".fits", ".png", ".jpg", ".zarr")


def cutout(
    path: Annotated[
        Path,
        typer.Argument(metavar="MOSAIC", help="The stored layer, or an exported zarr."),
    ],
    ra: Annotated[float, typer.Argument(metavar="RA", help="Centre, ICRS degrees.")],
    dec: Annotated[float, typer.Argument(metavar="DEC")],
    size: Annotated[
        str, typer.Argument(metavar="SIZE", help="Side: arcsec, or with a unit: 0.5arcmin.")
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE", help="x.fits, x.png, x.jpg or x.zarr."),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Replace the file if it is there.")
    ] = False,
) -> None:
    """Cut a window out of a mosaic. Only its tiles are read."""
    if out.suffix not in _SUFFIXES:
        raise typer.BadParameter(
            f"{out.name}: end it with one of {', '.join(_SUFFIXES)}", param_hint="-o"
        )
    if out.exists() and not overwrite:
        raise StoreError(f"{out} exists (choose another name, or --overwrite)")
    from hapdask.products.accessor import HapAccessor
    from hapdask.products.objects import storage_errors
    from hapdask.products.reader import open_mosaic

    window = HapAccessor(open_mosaic(path)).cutout(ra, dec, _size(size))
    with storage_errors(str(out.parent)):
        out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".fits":
        window.hap.to_fits(out, overwrite=overwrite)
    elif out.suffix == ".zarr":
        window.hap.to_zarr(out, overwrite=overwrite)
    else:
        from hapdask.products.overview import make_overview
        from hapdask.products.preview import grey_picture

        grey_picture(make_overview(window)).save(out)
    ny, nx = window.hap.frame.shape
    typer.echo(f"{out}  {nx} x {ny} pixels")


def _size(text: str) -> float | str:
    """Read a bare number, which is arcsec; leave the rest to the library."""
    try:
        return float(text)
    except ValueError:
        return text
