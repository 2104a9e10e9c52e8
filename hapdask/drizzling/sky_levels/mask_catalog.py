"""AstroDrizzle's ``skymask_cat``: a list of masks that hold for the sky alone.

A line names an image, perhaps some of its extensions, and one mask for each: ::

    ib4606c5q_flc.fits{('sci',1),('sci',2)}, mask1.fits[0],, mask2.fits

In a mask 1 is used and 0 is not.  Extensions of images are SCI, of masks the first one, unless
said otherwise; an empty name or None is no mask.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.sky_levels.given import read_text
from hapdask.errors import InputError
from hapdask.observe.fits import Hdu, read_image_rows, scan_source
from hapdask.observe.masking.sources import PathLike
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import open_source, resolve

#: An item: a name, in quotes or not, and perhaps extensions in brackets.
_ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^\[\]{},"']*))\s*(\[[^\]]*\]|\{[^}]*\})?\s*""")
_EXTENSION = re.compile(
    r"""\(?\s*(?:['"]?([A-Za-z]\w*)['"]?\s*(?:,\s*(\d+|\*))?|(\d+))\s*\)?\s*(?:,|$)"""
)


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension as users write it: a number, or a name and a version (0 for all)."""

    number: int = -1
    name: str = ""
    version: int = 0

    def is_of(self, hdu: Hdu, index: int) -> bool:
        """Whether it means that HDU."""
        if self.number >= 0:
            return self.number == index
        return hdu.name == self.name and self.version in (0, hdu.extver)


_ALL_SCI = (Extension(name="SCI"),)


@dataclass(frozen=True, slots=True)
class CatalogMask:
    """Sky masks of one image: a `hapdask.observe.masking.sources.ChipMask`.

    Attributes
    ----------
    catalog, image : str
    extensions : tuple of Extension
        Of the image.
    masks : tuple of (str, Extension) or None
        One for each, in order of the chips; None for no mask.
    """

    catalog: str
    image: str
    extensions: tuple[Extension, ...]
    masks: tuple[tuple[str, Extension] | None, ...]

    def is_for(self, exposure: ExposureRecord) -> bool:
        """Whether the image is the exposure's file, or its rootname."""
        name = os.path.basename(self.image)
        return name in (os.path.basename(exposure.url), exposure.name)

    def bad(self, exposure: ExposureRecord, chip: ChipRecord) -> NDArray[np.bool_] | None:
        """Pixels of a chip that are not used; None where it has no mask.

        Raises
        ------
        InputError
            If a mask cannot be read or has another shape, or there are more masks than chips.
        """
        chips = [v for e in self.extensions for v in self._versions(exposure, e)]
        if len(self.masks) > len(chips):
            raise InputError(
                self.catalog, f"{len(self.masks)} masks for {len(chips)} chips of {self.image}"
            )
        chosen = [m for v, m in zip(chips, self.masks, strict=False) if v == chip.extver]
        if not chosen or chosen[-1] is None:
            return None
        url, extension = chosen[-1]
        with open_source(url) as source:
            for index, hdu in enumerate(scan_source(source).hdus):
                if hdu.is_image and extension.is_of(hdu, index):
                    if tuple(hdu.shape) != chip.shape:
                        raise InputError(url, f"the mask has not the shape {chip.shape}")
                    return np.asarray(read_image_rows(source, hdu, 0, chip.shape[0]) == 0)
        raise InputError(url, "there is no such extension", remedy=f"mend {self.catalog}")

    def _versions(self, exposure: ExposureRecord, extension: Extension) -> list[int]:
        """EXTVER of the chips that an extension of the image means."""
        if extension.number < 0:
            known = [chip.extver for chip in exposure.chips]
            return [v for v in known if extension.version in (0, v)]
        with open_source(exposure.url) as source:
            hdus = scan_source(source).hdus
        return [h.extver for i, h in enumerate(hdus) if extension.is_of(h, i)]


def read_mask_catalog(path: PathLike) -> tuple[CatalogMask, ...]:
    """Read a catalog of sky masks; names are relative to its folder.

    Raises
    ------
    InputError
        If it cannot be read, or a line is not understood.
    """
    catalog = os.fspath(path)
    found = []
    for number, line in enumerate(read_text(path), start=1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        try:
            items = list(_items(text))
            (image, extensions), *rest = items
            masks = [_mask(catalog, *item) for item in rest]
            while masks and masks[-1] is None:
                masks.pop()
            found.append(CatalogMask(catalog, image, extensions or _ALL_SCI, tuple(masks)))
        except ValueError as error:
            raise InputError(
                catalog,
                f"line {number} is not understood: {error}",
                remedy="write image.fits{('sci',1),('sci',2)},mask1.fits[0],mask2.fits[0]",
            ) from error
    return tuple(found)


def _items(text: str) -> Iterator[tuple[str, tuple[Extension, ...]]]:
    """Names and their extensions."""
    place = 0
    while place <= len(text):
        item = _ITEM.match(text, place)
        if item is None or (item.end() < len(text) and text[item.end()] != ","):
            raise ValueError(repr(text[place : place + 60]))
        name = next((n for n in item.groups()[:3] if n is not None), "").strip()
        many = (item[4] or "").startswith("{")
        yield name, tuple(_extensions((item[4] or "")[1:-1], many=many))
        place = item.end() + 1


def _extensions(text: str, *, many: bool) -> Iterator[Extension]:
    place = 0
    while text[place:].strip():
        found = _EXTENSION.match(text, place) or _EXTENSION.match(text.lstrip(), place)
        if found is None:
            raise ValueError(f"extension {text!r}")
        name, version, number = found.groups()
        if number is not None:
            yield Extension(number=int(number))
        else:
            every = version == "*" or (version is None and many)
            yield Extension(name=name.upper(), version=0 if every else int(version or 1))
        place = found.end()


def _mask(
    catalog: str, name: str, extensions: tuple[Extension, ...]
) -> tuple[str, Extension] | None:
    if name in ("", "None"):
        return None
    if len(extensions) > 1:
        raise ValueError(f"{name} is one mask, and has {len(extensions)} extensions")
    url = resolve(os.path.join(os.path.dirname(catalog), name))
    return url, extensions[0] if extensions else Extension(number=0)
