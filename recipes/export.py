"""From stored layers to files: FITS with the archive's names, pictures, plain zarr.

All layers of one place (a sky cell at one scale, or a frame of the user's) go together: those of
a cell are trimmed to the common box of their data, as the archive does, and up to three make a
colour picture.  Files that are up to date are not written again.  Not here: making the layers
(`sky_cells`), and the writers themselves (`hapdask.products`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.products.export_zarr import write_zarr
from hapdask.products.fits_export import FitsOptions, file_names, write_fits
from hapdask.products.header_source import HeaderSource
from hapdask.products.names import ProductName, Suffix, colour_name, product_suffix, sky_cell_name
from hapdask.products.overview import filter_wavelength
from hapdask.products.reader import open_mosaic
from hapdask.products.store import MosaicStore
from hapdask.products.trimming import Box, common_box
from hapdask.recipes.pictures import PICTURES, Album, choose_three, picture_files
from hapdask.recipes.sky_cells import Place
from hapdask.recipes.stamps import Stamps, stamp_of

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

FORMATS = ("fits", "jpg", "png", "zarr")
FITS = FitsOptions()


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported file.

    Attributes
    ----------
    path : Path
    kind : {"fits", "jpg", "thumbnail", "png", "colour", "zarr"}
    place, layer, scale : str
        ``layer`` lists the layers of a colour picture.
    written : bool
        False where the file was up to date.
    """

    path: Path
    kind: str
    place: str
    layer: str
    scale: str
    written: bool


@dataclass(frozen=True)
class _Layer:
    """A stored layer on the window of a place; ``tiles`` is a hash of the tiles it is made of."""

    dataset: xr.Dataset
    source: HeaderSource
    product: ProductName
    tiles: str

    @property
    def name(self) -> str:
        return "_".join(self.dataset.attrs[key] for key in ("instrument", "detector", "filter"))

    @property
    def wavelength(self) -> float:
        return filter_wavelength(self.dataset.attrs["filter"], self.dataset.attrs["detector"])


@dataclass(frozen=True)
class _File:
    """A file to be exported, perhaps with others: what it is made from, and how."""

    name: str
    kind: str
    layers: tuple[_Layer, ...]
    options: tuple[object, ...]
    write: Callable[[Path], object]
    others: tuple[str, ...] = ()


def export_place(
    place: Place,
    stores: Sequence[str],
    folder: str | Path,
    *,
    formats: Sequence[str] = ("fits", "jpg"),
    fits: FitsOptions = FITS,
    progress: Callable[[Exported], None] | None = None,
) -> list[Exported]:
    """Export all layers of one place.

    Parameters
    ----------
    place : Place
    stores : sequence of str
        Groups of its layers.
    folder : path
        Where the files go; made when missing.
    formats : sequence of {"fits", "jpg", "png", "zarr"}
        With ``jpg`` (a preview and a thumbnail) and ``png``, a colour picture is made of up to
        three layers too.
    fits : FitsOptions
    progress : callable, optional
        Called with each file.

    Returns
    -------
    list of Exported
        Empty where no layer has data in the place's window.

    Raises
    ------
    StoreError
        If a layer cannot be read or a file cannot be written.
    """
    layers = [layer for url in stores if (layer := _open(place, url)) is not None]
    layers.sort(key=lambda layer: (layer.wavelength, layer.name))
    stamps = Stamps(folder)
    box = _box(place, layers, stamps) if layers else None
    if box is None:
        return []
    corners = (box[0].start, box[0].stop, box[1].start, box[1].stop)
    done = []
    for file in _files(place, layers, box, formats, fits):
        tiles = [layer.tiles for layer in file.layers]
        stamp = stamp_of(_version(), file.kind, tiles, corners, file.options)
        stale = not stamps.fresh(file.name, stamp, file.others)
        if stale:
            stamps.write(file.name, stamp, file.write, file.others)
        title = " + ".join(layer.name for layer in file.layers)
        path = stamps.folder / file.name
        scale = place.scale if place.cell else "custom"
        done.append(Exported(path, file.kind, place.name, title, scale, stale))
        if progress is not None:
            progress(done[-1])
    return done


def count_files(layers: int, formats: Sequence[str]) -> int:
    """Say how many files `export_place` makes of so many layers that have data."""
    shown = sum(len(PICTURES.get(form, ())) for form in set(formats))
    plain = len(set(formats) - set(PICTURES))
    return layers * plain + shown * (layers + (layers > 1))


def _open(place: Place, url: str) -> _Layer | None:
    """Open a stored layer on the window of a place; None if it has no tile there."""
    store = MosaicStore.open(url)
    planned = [
        (index, digest)
        for index, digest in sorted(store.manifest().planned.items())
        if not (store.layout.tile_frame(index) & place.window).empty
    ]
    tiles = [tile for tile in planned if store.finished(*tile)]
    if not tiles:
        return None
    if missing := len(planned) - len(tiles):
        log.warning(
            "%s: %d of %d planned tiles of %s are not finished and will be empty in its files "
            "(run it again to make them, then export again)",
            url, missing, len(planned), place.name,
        )  # fmt: skip
    with warnings.catch_warnings():
        # Runs of other places in the same array may be unfinished: not the caller's question.
        warnings.simplefilter("ignore", UserWarning)
        dataset = open_mosaic(url, place.window)
    source = HeaderSource.of_mosaic(
        dataset.attrs,
        place.window,
        cell=place.cell.name if place.cell else "",
        full_shape=place.window.shape,
    )
    if not source.exposures:
        return None
    attrs = dataset.attrs
    product = sky_cell_name(
        place.cell.name if place.cell else "",
        attrs["instrument"],
        attrs["detector"],
        attrs["filter"],
        scale="coarse" if place.scale == "coarse" else "fine",
        suffix=product_suffix(source.exposures),
        prefix=None if place.cell else place.name,
    )
    return _Layer(dataset, source, product, stamp_of(tiles))


def _box(place: Place, layers: Sequence[_Layer], stamps: Stamps) -> Box | None:
    """Give the window to export: all of a frame of the user's, else where any layer has data."""
    if place.cell is None:
        return slice(0, place.window.shape[0]), slice(0, place.window.shape[1])
    name = f"box of {place.name} {place.scale}"
    stamp = stamp_of([layer.tiles for layer in layers], place.window.box)
    known = stamps.value(name, stamp)
    if known is not None:
        y0, y1, x0, x1 = known
        return slice(y0, y1), slice(x0, x1)
    box = common_box(layer.dataset["wht"] for layer in layers)
    if box is not None:
        corners = [box[0].start, box[0].stop, box[1].start, box[1].stop]
        stamps.remember(name, stamp, corners)
    return box


def _files(
    place: Place, layers: Sequence[_Layer], box: Box, formats: Sequence[str], fits: FitsOptions
) -> Iterator[_File]:
    datasets = {layer.name: layer.dataset.isel(y=box[0], x=box[1]) for layer in layers}
    chosen = choose_three(layers)
    album = Album(datasets.__getitem__, [c.name for c in chosen])
    for layer in layers:
        yield from _files_of(layer, datasets[layer.name], formats, fits)
        for picture in picture_files(album, [layer.name], layer.product, formats):
            yield _File(picture.name, picture.kind, (layer,), (), picture.write)
    if len(layers) > 1:
        names = [c.name for c in chosen]
        for picture in picture_files(album, names, _colour_product(place, chosen), formats):
            yield _File(picture.name, picture.kind, chosen, (), picture.write)


def _files_of(
    layer: _Layer, dataset: xr.Dataset, formats: Sequence[str], fits: FitsOptions
) -> Iterator[_File]:
    name = layer.product

    def export_fits(path: Path) -> object:
        return write_fits(
            dataset,
            path.with_name(name.fits),
            header_source=layer.source,
            overwrite=True,
            **asdict(fits),
        )

    if "fits" in formats:
        first, *others = file_names(dataset, name.fits, fits)
        yield _File(first, "fits", (layer,), astuple(fits), export_fits, tuple(others))
    if "zarr" in formats:
        folder = f"{name.stem}_{name.suffix}.zarr"
        write = partial(write_zarr, dataset, overwrite=True)
        yield _File(folder, "zarr", (layer,), (), write)


def _colour_product(place: Place, layers: Sequence[_Layer]) -> ProductName:
    prefix = None if place.cell and place.scale == "fine" else place.name
    if place.cell and prefix:
        prefix = f"hst_{place.name}_{place.scale}"
    suffixes = {layer.product.suffix for layer in layers}
    mixed: Suffix = "drc" if "drc" in suffixes else "drz"
    return colour_name(
        place.name,
        [layer.dataset.attrs["filter"] for layer in layers],
        prefix=prefix,
        suffix=suffixes.pop() if len(suffixes) == 1 else mixed,
    )


def _version() -> str:
    from hapdask import __version__

    return __version__
