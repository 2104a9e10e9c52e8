"""`write_fits`: a mosaic as FITS files of the Hubble Advanced Products.

Strategy: blocks of pixels stream from the Dataset into `fits_file.FitsFile`, all planes of a
block computed together with the palette of its tiles, a few blocks at a time; figures are added
up on the way and go into the headers at the end.  No whole plane is ever held.  Not here: names
(`names`), cards (`headers`), files (`fits_layout`), which window of a cell is exported
(`trimming`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from hapdask.drizzling.palette import Palette
from hapdask.errors import StoreError
from hapdask.products.blocks import Beside, Block, Blocks, Visitor, blocks_of
from hapdask.products.context import ContextBits
from hapdask.products.coverage import Coverage
from hapdask.products.fits_file import FitsFile, publish
from hapdask.products.fits_layout import (
    CONTEXT,
    EXTENSIONS,
    Sheet,
    lay_out,
    separate_path,
    separate_paths,
)
from hapdask.products.header_source import HeaderSource
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

log = logging.getLogger(__name__)

#: Written where nothing else is asked for, as far as the Dataset has them.
PLANES = ("sci", "wht", "err", "nexp")


@dataclass(frozen=True, slots=True)
class FitsOptions:
    """What a FITS product holds, and how: see `write_fits`."""

    context: bool | None = None
    separate: bool = False


def file_names(dataset: xr.Dataset, name: str, options: FitsOptions) -> list[str]:
    """Name the files that a product of a sky cell has: that of SCI first."""
    if not options.separate:
        return [name]
    images = [EXTENSIONS[plane][0] for plane in PLANES if plane in dataset]
    images += [CONTEXT] * bool(options.context)
    return [separate_path(Path(name), image).name for image in images]


def write_fits(
    dataset: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    header_source: HeaderSource,
    frame: Frame | None = None,
    planes: Sequence[str] | None = None,
    context: bool | None = None,
    separate: bool = False,
    overwrite: bool = False,
    memory: int = 256 << 20,
    threads: int | None = None,
) -> Path:
    """Write a mosaic as FITS with checksums.

    Parameters
    ----------
    dataset : Dataset
        Variables of `hapdask.schema` on dims ``y``, ``x``, lazy or not.  MEANNEXP counts chips
        by the ``palette`` of ``ctx``, else exposures by ``nexp``; MEANEXPT is by ``exptime``.
    path : path
        The file; it appears whole or not at all.
    header_source : HeaderSource
    frame : Frame, optional
        The one that the Dataset carries if None.
    planes : sequence of str, optional
        Names of `EXTENSIONS`, in order.  Those of `PLANES` that the Dataset has if None.
    context : bool, optional
        Whether there is CTX: a bit per row of HDRTAB, int32 planes (planes, ny, nx), or (ny, nx).
        If None, all products but those of sky cells have it (as in the archive).
    separate : bool
        Write a file per image: ``x_drz.fits`` becomes ``x_drz_sci.fits`` and so on; that of SCI
        appears last: where it is, the others are those of the same making.
    overwrite : bool
        Replace files that are there; those of images that the product has no more are removed.
    memory, threads
        See `hapdask.products.blocks.blocks_of`.

    Returns
    -------
    Path
        The (first) file.

    Raises
    ------
    StoreError
        If the Dataset lacks a plane or does not fit the frame, or a file cannot be written.
    """
    from hapdask.products.index import frame_of

    path = Path(path)
    frame = frame_of(dataset) if frame is None else frame
    wanted = _planes(dataset, planes, path)
    ctx = _wants_context(dataset, header_source, context)
    read = dataset[_variables(dataset, wanted, ctx, header_source, path)]
    _check_shape(read, frame, path)
    walk = partial(blocks_of, read, memory, threads=threads, ordered=False)

    def visit(visitor: Visitor) -> None:
        for block, palette in _with_palettes(walk, read, frame):
            visitor(block, palette)

    return write_blocks(
        Blocks(frame, wanted, visit),
        path,
        header_source=header_source,
        context=ctx,
        separate=separate,
        overwrite=overwrite,
    )


def write_blocks(
    blocks: Blocks,
    path: Path,
    *,
    header_source: HeaderSource,
    context: bool,
    separate: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a mosaic that is made block by block, as `write_fits` writes a Dataset.

    Parameters
    ----------
    blocks : Blocks
        All variables that are in `EXTENSIONS` are planes; every block has ``wht`` too, and
        ``ctx`` where there is a context.
    path, header_source, separate, overwrite
        See `write_fits`.
    context : bool
        Whether there is CTX.

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    bits = ContextBits(header_source.chips, str(path))
    planes = [name for name in blocks.variables if name in EXTENSIONS]
    sheets = lay_out(
        path, header_source, blocks.frame, planes, bits.planes * context, separate=separate
    )
    outdated = _outdated(path, sheets, overwrite) if separate else []
    coverage = Coverage(blocks.frame, figures=header_source.level is not None)
    adding = Lock()
    with ExitStack() as stack:
        files = [stack.enter_context(sheet.open(overwrite=overwrite)) for sheet in sheets]
        pairs = list(zip(sheets, files, strict=True))

        def visitor(block: Block, palette: Palette | None) -> None:
            _write(pairs, block, bits, palette)
            with adding:
                _add(coverage, block, bits, palette)

        blocks.visit(visitor)
        statistics = coverage.statistics(prod(header_source.full_shape or blocks.frame.shape))
        s_region = coverage.s_region()
        with ThreadPoolExecutor(len(files)) as pool:  # they wait for the disk
            ends = [pool.submit(sheet.finish, f, statistics, s_region) for sheet, f in pairs]
            for end in ends:
                end.result()
        publish(files, outdated)
    log.info("wrote %s", ", ".join(str(sheet.path) for sheet in sheets))
    return sheets[0].path


def _outdated(path: Path, sheets: Sequence[Sheet], overwrite: bool) -> list[Path]:
    """Find separate files of a former product of that name, which had other images."""
    written = {sheet.path for sheet in sheets}
    found = [p for p in separate_paths(path).values() if p not in written and p.exists()]
    if found and not overwrite:
        raise StoreError(f"{found[0]} exists already (ask to overwrite it, or name another)")
    return found


def _with_palettes(
    walk: Callable[..., Iterator[Block]], dataset: xr.Dataset, frame: Frame
) -> Iterator[tuple[Block, Palette | None]]:
    """Compute blocks, each together with the palette of its tiles."""
    palettes = _Palettes(dataset["ctx"].attrs["palette"], frame) if "ctx" in dataset else None
    for block in walk(None if palettes is None else palettes.beside):
        yield block, None if palettes is None else palettes.of(block)


@dataclass
class _Palettes:
    """Palettes of blocks: of the tiles that they touch, or one for all."""

    palette: Any
    frame: Frame
    _whole: Palette | None = None

    @property
    def beside(self) -> Beside | None:
        """What to compute together with a block."""
        return self._parts if self._tiled else None

    @property
    def _tiled(self) -> bool:
        from hapdask.products.provenance import TiledPalette

        return isinstance(self.palette, TiledPalette)

    def _parts(self, rows: slice, columns: slice) -> Any:
        return self.palette.within(self.frame[rows, columns]).parts()

    def of(self, block: Block) -> Palette:
        """Palette of a block that was computed."""
        if self._tiled:
            from hapdask.products.provenance import united

            return united(block.beside)
        if self._whole is None:
            self._whole = Palette.from_mapping(self.palette)
        return self._whole


def _planes(dataset: xr.Dataset, planes: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    """Give the variables to be written."""
    if planes is None:
        return tuple(name for name in PLANES if name in dataset)
    for name in planes:
        if name not in EXTENSIONS:
            raise StoreError(f"{path}: no plane {name!r}; there are {', '.join(EXTENSIONS)}")
    if not planes or len(set(planes)) != len(planes):
        raise StoreError(f"{path}: name each plane to be written once, not {list(planes)}")
    return tuple(planes)


def _wants_context(dataset: xr.Dataset, source: HeaderSource, context: bool | None) -> bool:
    if context is None:
        return source.kind != "cell" and _has_palette(dataset)
    return context


def _has_palette(dataset: xr.Dataset) -> bool:
    return "ctx" in dataset and "palette" in dataset["ctx"].attrs


def _variables(
    dataset: xr.Dataset, planes: Sequence[str], ctx: bool, source: HeaderSource, path: Path
) -> list[str]:
    """Give the variables to read: what is written, and what figures are made of."""
    needed = [*planes, "wht", *["ctx"] * ctx]
    missing = [name for name in needed if name not in dataset]
    if missing:
        raise StoreError(
            f"{path}: the mosaic has no {', '.join(missing)} (make it with them, or leave them out)"
        )
    if ctx and not _has_palette(dataset):
        raise StoreError(f"{path}: CTX asked for, but ctx has no palette (store the mosaic first)")
    depth = "ctx" if _has_palette(dataset) else "nexp"
    wanted = needed if source.level is None else [*needed, depth, "exptime"]
    return [name for name in dict.fromkeys(wanted) if name in dataset]


def _check_shape(dataset: xr.Dataset, frame: Frame, path: Path) -> None:
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    if frame.empty or shape != frame.shape:
        raise StoreError(f"{path}: a Dataset of {shape} pixels does not fit {frame.shape}")


def _write(
    pairs: Sequence[tuple[Sheet, FitsFile]],
    block: Block,
    bits: ContextBits,
    palette: Palette | None,
) -> None:
    variables = {extension: name for name, (extension, _) in EXTENSIONS.items()}
    for sheet, file in pairs:
        for image in sheet.images:
            if image.name != CONTEXT:
                plane = block.data[variables[image.name]]
                file.write(image.name, plane, block.y0, block.x0)
            elif palette is not None:
                for number, plane in enumerate(_context(block, bits, palette)):
                    file.write(CONTEXT, plane, block.y0, block.x0, number)


def _context(block: Block, bits: ContextBits, palette: Palette) -> Iterator[npt.NDArray[np.int32]]:
    if block.keys is None:
        return bits.planes_of(block.data["ctx"], palette)
    return bits.planes_of_sets(block.data["ctx"], block.keys, palette)


def _add(coverage: Coverage, block: Block, bits: ContextBits, palette: Palette | None) -> None:
    depth = block.data.get("nexp") if palette is None else block.data["ctx"]

    def chips(contexts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        keys = contexts if block.keys is None else block.keys[contexts]
        return np.zeros(0) if palette is None else bits.count(keys, palette)

    coverage.add(
        block.y0,
        block.x0,
        block.data["wht"],
        depth=depth,
        exptime=block.data.get("exptime"),
        depth_of=None if palette is None else chips,
    )
