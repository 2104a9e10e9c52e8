"""Files of many places in one go: of a run, of a working store, of an exported zarr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.errors import StoreError
from hapdask.products.accessor import HapAccessor
from hapdask.products.export_zarr import is_export
from hapdask.products.fits_export import FitsOptions, file_names
from hapdask.products.group import read_attributes
from hapdask.products.objects import clean_url
from hapdask.products.reader import open_mosaic
from hapdask.recipes.export import FITS, Exported, count_files, export_place
from hapdask.recipes.inventory import stored_places
from hapdask.recipes.pictures import PICTURES, Album
from hapdask.recipes.reporting import Listener, Step, silence
from hapdask.recipes.sky_cells import Place
from hapdask.recipes.stamps import Stamps, stamp_of
from hapdask.sky.cells import SkyCell

if TYPE_CHECKING:
    import xarray as xr


def export_places(
    stores: Mapping[Place, Sequence[str]],
    out: str | Path,
    *,
    formats: Sequence[str] = ("fits", "jpg"),
    fits: FitsOptions = FITS,
    threads: int = 1,
    progress: Listener = silence,
) -> list[Exported]:
    """Export places, each into a folder of its name.

    Parameters
    ----------
    stores : mapping of Place to sequence of str
        Groups of the layers of each place.
    out : path
        Where the folders are.
    formats, fits
        See `export_place`.
    threads : int
        Blocks are read by threads of this process, even where a cluster made them.
    progress : callable, optional

    Returns
    -------
    list of Exported
    """
    import dask

    files: list[Exported] = []
    tell = _teller(sum(count_files(len(urls), formats) for urls in stores.values()), progress)
    with dask.config.set(scheduler="threads", num_workers=threads):
        for place, urls in stores.items():
            folder = Path(out) / place.name
            files += export_place(place, urls, folder, formats=formats, fits=fits, progress=tell)
    return files


def export_store(
    path: str | Path,
    out: str | Path,
    cells: Sequence[SkyCell] = (),
    *,
    formats: Sequence[str] = ("fits",),
    fits: FitsOptions = FITS,
    threads: int = 1,
    progress: Listener = silence,
) -> list[Exported]:
    """Export what a store holds.

    Parameters
    ----------
    path : path
        Root of a working store, a folder or a layer in it, or an exported zarr.
    out : path
        Where the files go; those of a working store in a folder per place.
    cells : sequence of SkyCell
        Only these; all places that runs were made for where empty.
    formats, fits
        See `export_place`.
    threads : int
    progress : callable, optional

    Returns
    -------
    list of Exported

    Raises
    ------
    StoreError
        If there is no store, nothing to export in it, or a file cannot be written.
    """
    attributes = read_attributes(clean_url(path))
    if attributes is not None and is_export(attributes):
        return _export_zarr(Path(path), Path(out), formats, fits)
    places = stored_places(path, cells)
    files = export_places(
        places, out, formats=formats, fits=fits, threads=threads, progress=progress
    )
    if not files:
        asked = ", ".join(cell.name for cell in cells) or "any place"
        raise StoreError(f"{path}: no finished tile of {asked} (make it with `mosaic` first)")
    return files


def _teller(total: int, progress: Listener) -> Callable[[Exported], None]:
    """Make a listener of files that tells steps."""
    done = moved = kept = 0

    def tell(file: Exported) -> None:
        nonlocal done, moved, kept
        done += 1
        kept += not file.written
        moved += file.path.stat().st_size if file.written and file.path.is_file() else 0
        progress(Step("write files", done, total, "files", moved, kept))

    if total:
        progress(Step("write files", 0, total, "files"))
    return tell


def _export_zarr(
    path: Path, out: Path, formats: Sequence[str], fits: FitsOptions
) -> list[Exported]:
    """Export an exported zarr under its own name."""
    if "zarr" in formats:
        raise StoreError(f"{path} is an exported zarr already (copy it)")
    dataset, stamps, files = open_mosaic(path), Stamps(out), []
    layer = "_".join(str(dataset.attrs.get(k)) for k in ("instrument", "detector", "filter"))
    stamp = stamp_of(str(path.absolute()), path.stat().st_mtime_ns, astuple(fits))

    album = Album(lambda _: dataset, ())
    for form in formats:
        for kind in PICTURES.get(form, (form,)):
            name = f"{path.stem}_thumb.{form}" if kind == "thumbnail" else f"{path.stem}.{form}"
            write = _zarr_writer(dataset, kind, album, name, fits)
            name, *others = file_names(dataset, name, fits) if kind == "fits" else [name]
            stale = not stamps.fresh(name, stamp, others)
            if stale:
                stamps.write(name, stamp, write, others)
            place, scale = str(dataset.attrs.get("place", "")), str(dataset.attrs.get("scale", ""))
            files.append(Exported(stamps.folder / name, kind, place, layer, scale, stale))
    return files


def _zarr_writer(
    dataset: xr.Dataset, kind: str, album: Album, name: str, fits: FitsOptions
) -> Callable[[Path], object]:
    if kind == "fits":
        return lambda path: HapAccessor(dataset).to_fits(
            path.with_name(name), overwrite=True, **asdict(fits)
        )
    if kind == "thumbnail":
        return lambda path: album.picture([""]).thumbnail().save(path)
    return lambda path: album.picture([""]).save(path)
