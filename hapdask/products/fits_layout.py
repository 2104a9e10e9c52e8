"""Which images a product has, and in which files they stand.

A product is one file with extensions, or a file per image (`build=False` of AstroDrizzle).
Not here: the bytes (`fits_file`), where pixels come from (`fits_export`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hapdask.products.checksum import checksummed
from hapdask.products.fits_cards import BLOCK, Card
from hapdask.products.fits_file import FitsFile, Image, primary_structure
from hapdask.products.hdrtab import hdrtab
from hapdask.products.header_source import HeaderSource
from hapdask.products.headers import ProductCards
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from hapdask.products.coverage import Statistics

_FLOAT, _INT = np.dtype(">f4"), np.dtype(">i4")
CONTEXT = "CTX"
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


@dataclass(frozen=True)
class Sheet:
    """One file of a product: its images, and what its headers say.

    Attributes
    ----------
    path : Path
    images : tuple of Image
    cards : ProductCards
    tail : bytes
        HDRTAB, or nothing.
    """

    path: Path
    images: tuple[Image, ...]
    cards: ProductCards
    tail: bytes

    @property
    def alone(self) -> bool:
        """Whether its one image stands in the primary HDU."""
        return self.images[0].primary

    def primary(self, statistics: Statistics | None) -> list[Card]:
        """Cards of a PRIMARY without data."""
        return self.cards.primary(statistics, len(self.images) + bool(self.tail))

    def image(self, name: str, statistics: Statistics | None, s_region: str | None) -> list[Card]:
        """Cards of an image."""
        if self.alone:
            return self.cards.alone(name, statistics, s_region)
        return self.cards.image(name, s_region)

    def open(self, *, overwrite: bool) -> FitsFile:
        """Make the writer of the file."""
        images = []
        for image in self.images:
            room = _room([*image.structure(), *self.image(image.name, None, "")])
            room += _S_REGION_BLOCKS if image.name == "SCI" or self.alone else 0
            images.append(replace(image, room=room))
        room = 0 if self.alone else _room([*primary_structure(), *self.primary(None)])
        return FitsFile(self.path, room, images, self.tail, overwrite=overwrite)

    def finish(self, file: FitsFile, statistics: Statistics, s_region: str) -> None:
        """Give the headers to the writer."""
        headers = {i.name: self.image(i.name, statistics, s_region) for i in self.images}
        file.finish([] if self.alone else self.primary(statistics), headers)


def lay_out(
    path: Path,
    source: HeaderSource,
    frame: Frame,
    planes: Sequence[str],
    context_planes: int,
    *,
    separate: bool,
) -> list[Sheet]:
    """Decide on the files of a product.

    Parameters
    ----------
    path : Path
        The file; of separate ones, the name to which ``_sci`` and so on are added.
    source : HeaderSource
    frame : Frame
    planes : sequence of str
        Names of `EXTENSIONS`, in order.
    context_planes : int
        Planes of CTX, which follows WHT as in upstream's products; 0 for none.
    separate : bool
        One file per image.

    Returns
    -------
    list of Sheet
    """
    images = [Image(*EXTENSIONS[name], frame.shape, 0) for name in planes]
    if context_planes:
        shape = frame.shape if context_planes == 1 else (context_planes, *frame.shape)
        place = 1 + max((k for k, image in enumerate(images) if image.name == "WHT"), default=-1)
        images.insert(place, Image(CONTEXT, _INT, shape, 0))
    table = hdrtab(source)
    if not separate:
        cards = ProductCards(source, frame, path.name, {i.name: path.name for i in images})
        return [Sheet(path, tuple(images), cards, table)]
    names = {image.name: separate_path(path, image.name) for image in images}
    cards = ProductCards(source, frame, path.name, {k: p.name for k, p in names.items()})
    sheets = []
    for number, image in enumerate(images):
        tail = table if number == 0 else b""
        alone = replace(image, primary=True, extended=bool(tail))
        sheets.append(Sheet(names[image.name], (alone,), cards, tail))
    return sheets


def separate_path(path: Path, name: str) -> Path:
    """Name the file of one image: ``x_drz.fits`` and SCI give ``x_drz_sci.fits``."""
    return path.with_name(f"{path.stem}_{name.lower()}{path.suffix}")


def separate_paths(path: Path) -> dict[str, Path]:
    """Name the separate files that a product can have, by the name of their image."""
    names = [extension for extension, _ in EXTENSIONS.values()] + [CONTEXT]
    return {name: separate_path(path, name) for name in names}


def _room(cards: Sequence[Card]) -> int:
    """Give the blocks that a header takes; values that come later take no more."""
    return len(checksummed(cards, 1, 0xFFFFFFFF)) // BLOCK
