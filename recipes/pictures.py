"""Which pictures a place gets, and their making with each layer read once.

As the archive has them: a preview and a thumbnail of every layer, and of a colour picture of up to
three.  Not here: how a picture is made (`hapdask.products.preview`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import xarray as xr

from hapdask.products.names import ProductName
from hapdask.products.overview import Overview, make_overview
from hapdask.products.preview import Picture, colour_picture, grey_picture

T = TypeVar("T")

#: Formats of pictures, and the kinds of files that each stands for.
PICTURES = {"jpg": ("jpg", "thumbnail"), "png": ("png",)}


@dataclass(frozen=True)
class PictureFile:
    """A picture to be written: its file name, its kind, how."""

    name: str
    kind: str
    write: Callable[[Path], Path]


class Album:
    """The overviews of the layers of one place.

    Each is made when first asked for; those of the colour picture stay, of the others only the
    last, so memory does not grow with the number of layers.

    Parameters
    ----------
    show : callable
        Gives the Dataset of a layer's name.
    kept : collection of str
        Layers of the colour picture.
    """

    def __init__(self, show: Callable[[str], xr.Dataset], kept: Collection[str]) -> None:
        self._show, self._kept = show, frozenset(kept)
        self._overviews: dict[str, Overview] = {}
        self._last: tuple[tuple[str, ...], Picture] | None = None

    def picture(self, layers: Sequence[str]) -> Picture:
        """Make the picture of one layer, or the colour picture of several."""
        key = tuple(layers)
        if self._last is None or self._last[0] != key:
            overviews = [self._overview(name) for name in key]
            made = grey_picture(overviews[0]) if len(key) == 1 else colour_picture(overviews)
            self._last = (key, made)
        return self._last[1]

    def _overview(self, name: str) -> Overview:
        if name not in self._overviews:
            kept = {key: value for key, value in self._overviews.items() if key in self._kept}
            self._overviews = kept | {name: make_overview(self._show(name))}
        return self._overviews[name]


def picture_files(
    album: Album, layers: Sequence[str], product: ProductName, formats: Sequence[str]
) -> Iterator[PictureFile]:
    """List the pictures of one layer, or the colour pictures of several.

    Parameters
    ----------
    album : Album
    layers : sequence of str
    product : ProductName
        What the files are called.
    formats : sequence of str
        Those that are no pictures are passed over.
    """
    names = {"jpg": product.jpg, "thumbnail": product.thumbnail, "png": product.png}
    for form in formats:
        for kind in PICTURES.get(form, ()):
            shown = "colour" if len(layers) > 1 and kind != "thumbnail" else kind

            def write(path: Path, small: bool = kind == "thumbnail") -> Path:
                picture = album.picture(layers)
                return (picture.thumbnail() if small else picture).save(path)

            yield PictureFile(names[kind], shown, write)


def choose_three(layers: Sequence[T]) -> tuple[T, ...]:
    """Choose the bluest, a middle one and the reddest of layers in order of wavelength."""
    if len(layers) <= 3:
        return tuple(layers)
    return (layers[0], layers[len(layers) // 2], layers[-1])
