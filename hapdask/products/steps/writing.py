"""The files of AstroDrizzle's steps, each one image, streamed block by block.

Units and values are AstroDrizzle's: separate images and median in electrons per second, a blotted
image in the units of its exposure with the sky, masks 1 where good.  Not here: names (`names`),
cards (`cards`), the copy of an exposure without cosmic rays (`hapdask.products.returned`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hapdask.observe.record import ExposureRecord
from hapdask.products.blocks import blocks_of
from hapdask.products.checksum import checksummed
from hapdask.products.fits_cards import BLOCK, Card
from hapdask.products.fits_file import FitsFile, Image, publish
from hapdask.products.steps import names
from hapdask.products.steps.cards import chip_cards, frame_cards
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import xarray as xr

_FLOAT, _SHORT, _BYTE = np.dtype(">f4"), np.dtype(">i2"), np.dtype("u1")
_MEMORY = 64 << 20
_RATE = "electron / s"


def write_single(
    single: xr.Dataset,
    folder: str | Path,
    exposure: ExposureRecord,
    frame: Frame,
    *,
    overwrite: bool = False,
    threads: int | None = None,
) -> list[Path]:
    """Write an exposure drizzled by itself: ``<root>_single_sci.fits`` and ``_single_wht.fits``.

    Parameters
    ----------
    single : Dataset
        ``sci`` (its attribute ``units``, else electron / s) and ``wht`` on dims ``y``, ``x``, lazy
        or not.
    folder : path
        There already.
    exposure : ExposureRecord
    frame : Frame
        Of the separate images.
    overwrite : bool
    threads : int, optional

    Returns
    -------
    list of Path

    Raises
    ------
    StoreError
        If a file is there already, or cannot be written.
    """
    written = []
    for plane in ("sci", "wht"):
        path = names.single_path(folder, exposure.name, plane)
        unit = _unit(single[plane]) if plane == "sci" else ""
        cards = frame_cards(frame, path.name, unit, plane, [exposure])
        written.append(
            write_image(path, single[plane], cards, _FLOAT, overwrite=overwrite, threads=threads)
        )
    return written


def write_median(
    median: xr.DataArray,
    folder: str | Path,
    root: str,
    exposures: Sequence[ExposureRecord],
    frame: Frame,
    *,
    overwrite: bool = False,
    threads: int | None = None,
) -> Path:
    """Write the median of a run (electron / s on dims ``y``, ``x``): ``<root>_med.fits``."""
    path = names.median_path(folder, root)
    cards = frame_cards(frame, path.name, _unit(median), "sci", exposures)
    return write_image(path, median, cards, _FLOAT, overwrite=overwrite, threads=threads)


def write_blot(
    blot: xr.DataArray,
    folder: str | Path,
    exposure: ExposureRecord,
    extver: int,
    *,
    overwrite: bool = False,
    threads: int | None = None,
) -> Path:
    """Write a blotted image of a chip (its SCI units): ``<root>_sci<n>_blt.fits``."""
    path = names.chip_path(folder, exposure.name, extver, "blt")
    cards = chip_cards(exposure, extver, path.name, exposure.unit)
    return write_image(path, blot, cards, _FLOAT, overwrite=overwrite, threads=threads)


def write_chip_mask(
    bad: xr.DataArray,
    folder: str | Path,
    exposure: ExposureRecord,
    extver: int,
    *,
    what: str,
    overwrite: bool = False,
    threads: int | None = None,
) -> Path:
    """Write a mask of a chip (True = bad): ``<root>_sci<n>_<what>.fits``.

    ``what`` is ``crmask`` for cosmic rays, ``skymask`` for what the sky was not measured on:
    AstroDrizzle removes that one, and calls it ``<root>_skymatch_mask_<n>.fits`` before.
    """
    path = names.chip_path(folder, exposure.name, extver, what)
    return _write_mask(path, bad, exposure, extver, _BYTE, overwrite, threads)


def write_static_mask(
    static: xr.DataArray,
    folder: str | Path,
    root: str,
    exposure: ExposureRecord,
    extver: int,
    *,
    overwrite: bool = False,
    threads: int | None = None,
) -> Path:
    """Write a static mask (True = bad): ``<root>_<ny>x<nx>_<n>_staticMask.fits``.

    Parameters
    ----------
    static : DataArray of bool, dims ``y``, ``x``
    folder : path
    root : str
        Of the product, whose exposures share the mask of an EXTVER: write it once.
    exposure : ExposureRecord
        Any of those that share it.
    extver : int
    overwrite : bool
    threads : int, optional
    """
    shape = (static.sizes["y"], static.sizes["x"])
    path = names.static_mask_path(folder, root, shape, extver)
    return _write_mask(path, static, exposure, extver, _SHORT, overwrite, threads)


def _unit(image: xr.DataArray) -> str:
    return str(image.attrs.get("units", _RATE))


def _write_mask(
    path: Path,
    bad: xr.DataArray,
    exposure: ExposureRecord,
    extver: int,
    dtype: np.dtype[Any],
    overwrite: bool,
    threads: int | None,
) -> Path:
    cards = chip_cards(exposure, extver, path.name, "")
    cards.append(Card("COMMENT", "1 is good, 0 is bad", ""))
    good = ~bad.astype(bool)
    return write_image(path, good, cards, dtype, overwrite=overwrite, threads=threads)


def write_image(
    path: Path,
    array: xr.DataArray,
    cards: Sequence[Card],
    dtype: np.dtype[Any],
    *,
    overwrite: bool = False,
    threads: int | None = None,
) -> Path:
    """Compute an array block by block and write it as the primary image of a FITS file.

    Parameters
    ----------
    path : Path
        It appears whole or not at all.
    array : DataArray, dims ``y``, ``x``
        Lazy or not.
    cards : sequence of Card
        After the structure of the header.
    dtype : numpy dtype
        ``>f4``, ``>i4``, ``>i2`` or ``u1``.
    overwrite : bool
    threads : int, optional
        See `hapdask.products.blocks.blocks_of`.

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If the file is there already, or cannot be written.
    """
    import xarray as xr

    shape = (array.sizes["y"], array.sizes["x"])
    image = Image("IMAGE", dtype, shape, 0, primary=True)
    room = len(checksummed([*image.structure(), *cards], 1, 0xFFFFFFFF)) // BLOCK
    image = Image("IMAGE", dtype, shape, room, primary=True)
    plain = xr.Dataset({"image": array.variable})
    with FitsFile(path, 0, [image], overwrite=overwrite) as file:
        for block in blocks_of(plain, _MEMORY, threads=threads, ordered=False):
            file.write("IMAGE", block.data["image"], block.y0, block.x0)
        file.finish([], {"IMAGE": cards})
        publish([file])
    return path
