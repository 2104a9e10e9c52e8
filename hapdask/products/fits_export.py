"""`write_fits`: a mosaic as a FITS file of the Hubble Advanced Products.

Strategy: blocks of pixels stream from the Dataset into `fits_file.FitsFile`, all planes of a
block computed together, a few blocks at a time; figures are added up on the way and go into the
headers at the end.  No whole plane is ever held.  Not here: names (`names`), cards (`headers`),
which window of a cell is exported (`trimming`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import xarray as xr

from hapdask.errors import StoreError
from hapdask.products.blocks import Block, blocks_of
from hapdask.products.context import ContextBits
from hapdask.products.coverage import Coverage
from hapdask.products.fits_cards import BLOCK, Card
from hapdask.products.fits_file import FitsFile, Image, checksummed, primary_structure
from hapdask.products.headers import HeaderSource, ProductCards
from hapdask.products.index import frame_of
from hapdask.sky.frame import Frame

log = logging.getLogger(__name__)

_FLOAT, _INT = np.dtype(">f4"), np.dtype(">i4")
#: Variables that can be images: name and dtype of the extension.
EXTENSIONS = {
    "sci": ("SCI", _FLOAT),
    "wht": ("WHT", _FLOAT),
    "err": ("ERR", _FLOAT),
    "noise_ratio": ("RATIO", _FLOAT),
    "exptime": ("EXPTIME", _FLOAT),
    "nexp": ("NEXP", _INT),
    "quality": ("QUALITY", _INT),
}
#: Header blocks kept free for S_REGION, which is known last: 120 corners take most of them.
_S_REGION_BLOCKS = 2


def write_fits(
    dataset: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    header_source: HeaderSource,
    frame: Frame | None = None,
    planes: Sequence[str] = ("sci", "wht", "err"),
    ctx: bool = False,
    overwrite: bool = False,
    memory: int = 256 << 20,
) -> Path:
    """Write a mosaic as a FITS file with checksums, and give its path.

    Parameters
    ----------
    dataset : Dataset
        Variables of `hapdask.schema` on dims ``y``, ``x``, lazy or not.  Where ``ctx`` has a
        ``palette`` among its attributes, MEANNEXP counts chips by it, else exposures by
        ``nexp``; MEANEXPT is told where there is ``exptime``.
    path : path
        The file; it appears whole or not at all.
    header_source : HeaderSource
        Inputs and parameters, for the headers.
    frame : Frame, optional
        Of the Dataset; the one that it carries if None.
    planes : sequence of str
        Variables to write, in order; names of `EXTENSIONS`.
    ctx : bool
        Whether a CTX extension follows: one bit per chip in input order, signed int32 planes of
        shape (planes, ny, nx), or (ny, nx) where there is one.
    overwrite : bool
        Whether a file that is there already may be replaced.
    memory : int
        Bytes of blocks held at a time; what the Dataset needs to compute them comes on top.

    Raises
    ------
    StoreError
        If the Dataset lacks a plane or does not fit the frame, the file is there already, or
        it cannot be written; says which file and what to do.
    """
    path = Path(path)
    frame = frame_of(dataset) if frame is None else frame
    read = dataset[_variables(dataset, planes, ctx, path)]
    _check_shape(read, frame, path)
    bits = _context_bits(read, header_source, path)
    extensions = [EXTENSIONS[name][0] for name in planes] + ["CTX"] * ctx
    cards = ProductCards(header_source, frame, path.name, extensions)
    images = _images(cards, planes, frame.shape, bits.planes if ctx and bits else 0)
    room = _room([*primary_structure(), *cards.primary(None)])
    coverage = Coverage(frame)
    with FitsFile(path, room, images, overwrite=overwrite) as file:
        for block in blocks_of(read, memory):
            _write(file, block, planes, bits if ctx else None)
            _add(coverage, block, bits)
        s_region = coverage.s_region()
        statistics = coverage.statistics(prod(header_source.full_shape or frame.shape))
        headers = {name: cards.image(name, s_region) for name in extensions}
        file.finish(cards.primary(statistics), headers)
    log.info("wrote %s", path)
    return path


def _variables(dataset: xr.Dataset, planes: Sequence[str], ctx: bool, path: Path) -> list[str]:
    """Give the variables to read: what is written, and what figures are made of."""
    for name in planes:
        if name not in EXTENSIONS:
            raise StoreError(f"{path}: no plane {name!r}; there are {', '.join(EXTENSIONS)}")
    if not planes or len(set(planes)) != len(planes):
        raise StoreError(f"{path}: name each plane to be written once, not {list(planes)}")
    needed = [*planes, "wht", *["ctx"] * ctx]
    missing = [name for name in needed if name not in dataset]
    if missing:
        raise StoreError(
            f"{path}: the mosaic has no {', '.join(missing)} (make it with them, or leave them out)"
        )
    if ctx and "palette" not in dataset["ctx"].attrs:
        raise StoreError(f"{path}: CTX asked for, but ctx has no palette (store the mosaic first)")
    depth = "ctx" if "ctx" in dataset and "palette" in dataset["ctx"].attrs else "nexp"
    wanted = [*needed, depth, "exptime"]
    return [name for name in dict.fromkeys(wanted) if name in dataset]


def _check_shape(dataset: xr.Dataset, frame: Frame, path: Path) -> None:
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    if frame.empty or shape != frame.shape:
        raise StoreError(f"{path}: a Dataset of {shape} pixels does not fit {frame.shape}")


def _context_bits(dataset: xr.Dataset, source: HeaderSource, path: Path) -> ContextBits | None:
    if "ctx" not in dataset:
        return None
    return ContextBits(dataset["ctx"].attrs["palette"], source.chips, str(path))


def _images(
    cards: ProductCards, planes: Sequence[str], shape: tuple[int, int], ctx_planes: int
) -> list[Image]:
    images = [Image(*EXTENSIONS[name], shape, 0) for name in planes]
    if ctx_planes:
        cube = shape if ctx_planes == 1 else (ctx_planes, *shape)
        images.append(Image("CTX", _INT, cube, 0))
    for number, image in enumerate(images):
        room = _room([*image.structure(), *cards.image(image.name, "")])
        room += _S_REGION_BLOCKS if image.name == "SCI" else 0
        images[number] = replace(image, room=room)
    return images


def _room(cards: Sequence[Card]) -> int:
    """Give the blocks that a header takes; values that come later take no more."""
    return len(checksummed(cards, 1, 0xFFFFFFFF)) // BLOCK


def _write(file: FitsFile, block: Block, planes: Sequence[str], bits: ContextBits | None) -> None:
    for name in planes:
        file.write(EXTENSIONS[name][0], block.data[name], block.y0, block.x0)
    if bits is not None:
        for number, plane in enumerate(bits.planes_of(block.data["ctx"])):
            file.write("CTX", plane, block.y0, block.x0, number)


def _add(coverage: Coverage, block: Block, bits: ContextBits | None) -> None:
    depth = block.data.get("nexp") if bits is None else block.data["ctx"]
    coverage.add(
        block.y0,
        block.x0,
        block.data["wht"],
        depth=depth,
        exptime=block.data.get("exptime"),
        depth_of=None if bits is None else bits.count,
    )
