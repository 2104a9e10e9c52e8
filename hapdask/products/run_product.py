"""The product of a run: one mosaic under AstroDrizzle's names.

``<root>_drz.fits`` with its extensions, or ``<root>_drz_sci.fits``, ``_wht``, ``_ctx`` and
``_err``; ``_drc`` for inputs with corrected charge transfer, ``_drw`` for WFPC2's.  Not here: the
writer (`fits_export`), names of Hubble Advanced Products (`names`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.errors import StoreError
from hapdask.products.blocks import Blocks
from hapdask.products.fits_export import write_blocks, write_fits
from hapdask.products.fits_layout import CONTEXT, EXTENSIONS, separate_path
from hapdask.products.names import ProductName, Suffix, inside

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.products.header_source import HeaderSource

#: Planes of the product, as far as the mosaic has them.
PLANES = ("sci", "wht", "err")

_GIVEN_SUFFIX = re.compile(r"_dr[zcw]$")


def product_path(
    folder: str | Path, root: str, suffix: Suffix | None, *, extension: str = ".fits"
) -> Path:
    """Name the product of a run.

    Parameters
    ----------
    folder : path
    root : str
        What the user called it: ``final``, ``final_drz.fits`` or, without any suffix,
        ``final.fits``.
    suffix : {"drz", "drc", "drw"}
        Of the run; takes the place of one that is given.
    extension : str
        Of the file, or of a folder: ``.zarr``.

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If the root cannot be a plain file name.

    Examples
    --------
    >>> product_path("out", "final", "drc").name, product_path("out", "m51.fits", "drz").name
    ('final_drc.fits', 'm51.fits')
    """
    stem = root.removesuffix(".fits")
    bare = _GIVEN_SUFFIX.sub("", stem)
    if suffix is None or (stem != root and bare == stem):
        return inside(folder, ProductName(stem).stem + extension)
    return inside(folder, ProductName(bare, suffix).fits.removesuffix(".fits") + extension)


def product_files(path: Path, planes: tuple[str, ...], *, build: bool, context: bool) -> list[Path]:
    """Name the files of a product, that of SCI first."""
    if build:
        return [path]
    images = [EXTENSIONS[plane][0] for plane in planes] + [CONTEXT] * context
    return [separate_path(path, image) for image in images]


def write_product(
    mosaic: xr.Dataset | Blocks,
    folder: str | Path,
    root: str,
    suffix: Suffix | None,
    source: HeaderSource,
    *,
    build: bool,
    context: bool,
    overwrite: bool = False,
    threads: int | None = None,
) -> list[Path]:
    """Compute the mosaic of a run and write it.

    Parameters
    ----------
    mosaic : Dataset or Blocks
        As `hapdask.products.finishing` gives it; those of `PLANES` that it has are written.
    folder : path
        Made when missing.
    root, suffix
        See `product_path`.
    source : HeaderSource
        With all exposures of the run in its order, ``level=None`` and its parameters;
        ``HeaderSource.of_mosaic(dataset.attrs, frame)`` makes one.
    build : bool
        One file with extensions, or a file per image (HDRTAB then goes with that of SCI).
    context : bool
        Whether CTX is written; ``ctx`` must be in the dataset.
    overwrite : bool
    threads : int, optional
        That compute and write; as many as Dask would take if None.

    Returns
    -------
    list of Path
        That of SCI first.

    Raises
    ------
    StoreError
        See `hapdask.products.fits_export.write_fits`.
    """
    path = product_path(folder, root, suffix)
    held = mosaic.variables if isinstance(mosaic, Blocks) else mosaic
    planes = tuple(name for name in PLANES if name in held)
    if "sci" not in planes:
        raise StoreError(f"{path}: the mosaic has no sci (make it with it)")
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(mosaic, Blocks):
        write_blocks(
            mosaic,
            path,
            header_source=source,
            context=context,
            separate=not build,
            overwrite=overwrite,
        )
    else:
        write_fits(
            mosaic,
            path,
            header_source=source,
            planes=planes,
            context=context,
            separate=not build,
            overwrite=overwrite,
            threads=threads,
        )
    return product_files(path, planes, build=build, context=context)
