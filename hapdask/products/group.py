"""The zarr group of one mosaic: created, recognised, found, its arrays opened.

Here: everything that touches zarr metadata. Not here: what a group holds (`layout`), and when
its chunks are written (`writer`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.errors import StoreError
from hapdask.products.layout import MARK, ArraySpec, Layout, variable_specs
from hapdask.products.objects import Objects, storage_errors
from hapdask.schema import VARIABLES

if TYPE_CHECKING:
    import zarr


def read_attributes(url: str) -> dict[str, Any] | None:
    """Attributes of a group that hapdask made whole; None if there is none such.

    Raises
    ------
    StoreError
        The path cannot be read.
    """
    import zarr

    with storage_errors(url):
        try:
            group = zarr.open_group(Objects(url).zarr_store(read_only=True), mode="r")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{url}/zarr.json is damaged: {error} (remove the folder and run again)"
            ) from error
    attributes = dict(group.attrs)
    # The mark is written last: without it the creation was cut short.
    return attributes if MARK in attributes else None


def read_layout(url: str) -> Layout | None:
    """Layout of a working store's group; None if there is no group.

    Raises
    ------
    StoreError
        The group is damaged, of another version, or no working store.
    """
    attributes = read_attributes(url)
    return None if attributes is None else Layout.from_attributes(attributes, url)


def create_group(url: str, layout: Layout, subgroups: Iterable[str]) -> None:
    """Create a group, or make sure that the one there is the same.

    Any number of processes may do this at once: all write the same bytes.

    Parameters
    ----------
    url : str
        The group.
    layout : Layout
        What it holds.
    subgroups : iterable of str
        Folders for files that are not zarr's: as groups of their own, zarr tools that list
        this group find nothing strange in it.

    Raises
    ------
    StoreError
        The group exists with another layout, or the path cannot be written.
    """
    import zarr

    existing = read_layout(url)
    if existing is not None:
        _check_same(url, existing, layout)
        return
    with storage_errors(url):
        group = zarr.open_group(Objects(url).zarr_store(read_only=False), mode="a", zarr_format=3)
        for name in subgroups:
            group.require_group(name)
        specs = variable_specs(layout.variables, layout.flux_unit)
        create_arrays(group, specs, layout.array_frame.shape, layout.chunk)
        group.update_attributes(layout.to_attributes())


def create_arrays(
    group: zarr.Group, specs: Iterable[ArraySpec], shape: tuple[int, int], chunk: int
) -> None:
    """Create those arrays that are not there: shuffled lz4, empty chunks unwritten.

    zarr keeps Blosc to one thread, so equal planes give equal bytes.
    """
    from zarr.codecs import BloscCodec

    for spec in specs:
        if spec.name in group:
            continue
        variable = VARIABLES.get(spec.name)
        shuffle = variable.shuffle if variable else "shuffle"
        codec = BloscCodec(cname="lz4", clevel=5, shuffle=shuffle)
        group.create_array(
            spec.name,
            shape=shape,
            chunks=(chunk, chunk),
            dtype=spec.dtype,
            fill_value=spec.fill,
            compressors=codec,
            dimension_names=("y", "x"),
            config={"write_empty_chunks": False},
            attributes=dict(spec.attributes),
        )


def open_array(url: str, name: str, *, writable: bool = False) -> zarr.Array[Any]:
    """Open an array of a group."""
    import zarr

    mode: Any = "r+" if writable else "r"
    return zarr.open_array(Objects(url).zarr_store(read_only=not writable), path=name, mode=mode)


def find_mosaics(root: str) -> list[str]:
    """Paths of the mosaics below a local directory, sorted: two or three levels down."""
    if "://" in root:
        return []
    below = (path for depth in ("*/*", "*/*/*") for path in Path(root).glob(f"{depth}/zarr.json"))
    folders = sorted({str(path.parent) for path in below})
    return [folder for folder in folders if read_attributes(folder) is not None]


def _check_same(url: str, existing: Layout, wanted: Layout) -> None:
    for field in ("frame", "layer", "tile", "chunk", "variables", "flux_unit"):
        old, new = getattr(existing, field), getattr(wanted, field)
        if old != new:
            raise StoreError(
                f"{url}: the store has {field} {old}, not {new} (write to another path, or "
                "delete it)"
            )
