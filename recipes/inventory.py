"""What is stored in a folder: layers, the places they were made for, how far they are.

Nothing here reads a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hapdask.errors import ParameterError, StoreError
from hapdask.products.export_zarr import is_export
from hapdask.products.group import find_mosaics, read_attributes
from hapdask.products.objects import clean_url
from hapdask.products.store import MosaicStore
from hapdask.recipes.sky_cells import Place
from hapdask.sky.cells import SkyCell
from hapdask.sky.grid import SkyGrid


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """One layer of a working store.

    Attributes
    ----------
    url : str
    name : str
        For example ``wfc3_uvis_f475w``.
    scale : str
    places : tuple of str
        Sky cells, or the custom frame, that runs were made for.
    planned, finished : int
        Tiles.
    """

    url: str
    name: str
    scale: str
    places: tuple[str, ...]
    planned: int
    finished: int


def stored_layers(path: str | Path) -> list[StoredLayer]:
    """List the layers stored at or below a path.

    Raises
    ------
    StoreError
        If one is damaged.
    """
    return [_describe(store) for store in open_stores(path)]


def stored_places(path: str | Path, cells: Sequence[SkyCell] = ()) -> dict[Place, list[str]]:
    """Find what can be exported from a working store.

    Parameters
    ----------
    path : path
        Its root, a folder in it, or the group of one layer.
    cells : sequence of SkyCell
        Only these; every place that runs were made for where empty.

    Returns
    -------
    dict of Place to list of str
        The groups of the layers of each place.  Coarse layers of sky cells are those on the
        archive's own coarse grid.

    Raises
    ------
    StoreError
        If there is no store, or one is damaged.
    """
    found: dict[Place, list[str]] = {}
    stores = open_stores(path)
    if not stores:
        raise StoreError(f"{path}: no mosaic of hapdask there (name the DIR of `mosaic -o DIR`)")
    for store in stores:
        for place in _places_of(store, cells):
            found.setdefault(place, []).append(store.url)
    order = sorted(found, key=lambda place: (place.name, place.scale != "fine"))
    return {place: found[place] for place in order}


def open_stores(path: str | Path) -> list[MosaicStore]:
    """Open the working stores at a path, or below it.

    Raises
    ------
    StoreError
        If one is damaged.
    """
    url = clean_url(path)
    if _is_store(url):
        return [MosaicStore.open(url)]
    below = [] if "://" in url else [str(p.parent) for p in sorted(Path(url).glob("*/zarr.json"))]
    candidates = dict.fromkeys([*below, *find_mosaics(url)])
    return [MosaicStore.open(candidate) for candidate in candidates if _is_store(candidate)]


def _is_store(url: str) -> bool:
    attributes = read_attributes(url)
    return attributes is not None and not is_export(attributes)


def _describe(store: MosaicStore) -> StoredLayer:
    manifest = store.manifest()
    finished = sum(store.finished(index, digest) for index, digest in manifest.planned.items())
    words = store.layout.layer
    return StoredLayer(
        store.url, "_".join(words[:3]), words[3], _names(store), len(manifest.planned), finished
    )


def _names(store: MosaicStore) -> tuple[str, ...]:
    """Names of the places that runs were made for."""
    names = (str(run.about.get("place", "")) for run in store.manifest().runs)
    return tuple(dict.fromkeys(name for name in names if name))


def places_made(store: MosaicStore) -> list[Place]:
    """Give the places that runs were made for, coarse ones on our own grid among them."""
    return list(_places_of(store, (), every=True))


def _places_of(
    store: MosaicStore, cells: Sequence[SkyCell], *, every: bool = False
) -> Iterable[Place]:
    grid, frame = SkyGrid(), store.layout.frame
    for named in cells or _names(store):
        try:
            cell = grid[named] if isinstance(named, str) else named
        except ParameterError:  # a custom frame
            yield Place.of_frame(frame, str(named))
            continue
        places = [Place.of_cell(cell, "fine"), Place.of_archive_coarse(cell)]
        if every:
            places.append(Place.of_cell(cell, "coarse"))
        for place in places:
            if place.root.root_key == frame.root_key:
                yield place
