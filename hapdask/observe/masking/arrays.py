"""Masks and maps as images: FITS files with one image per chip, and NumPy files of one chip."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.fits import Hdu, read_image_rows, scan_source
from hapdask.observe.masking.sources import MaskSource
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import ByteSource, open_source

_NAMES = ("MASK", "SCI")  # preferred where several images have a chip's EXTVER
_NPY_HEADER = 1 << 14  # more than any header of a plain array
_NPY_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_REMEDY = "give one image per chip, by EXTVER, of the chip's shape"


@dataclass(frozen=True)
class ImageMask:
    """An image file, read when a chip asks for it."""

    source: MaskSource

    def is_for(self, exposure: ExposureRecord) -> bool:
        """Whether ``exposures`` lists the exposure, or else the file is named after it."""
        if self.source.exposures:
            return self.source.chooses(exposure)
        return self.source.names(exposure)

    def bad(self, exposure: ExposureRecord, chip: ChipRecord) -> NDArray[np.bool_] | None:
        """Bad pixels of a chip; NaN is bad."""
        values = self.values(exposure, chip)
        if values is None:
            return None
        level = self.source.threshold
        bad = values != 0 if level is None else values >= level
        if self.source.invert:
            bad = ~bad
        out: NDArray[np.bool_] = bad | np.isnan(values) if values.dtype.kind == "f" else bad
        return out

    def values(self, exposure: ExposureRecord, chip: ChipRecord) -> NDArray[Any] | None:
        """Read the image of a chip, as it is; None where the file is of another chip.

        Raises
        ------
        InputError
            If it cannot be read, is ambiguous, or has another shape.
        """
        only = self.source.chip
        if only and only != chip.extver:
            return None
        with open_source(self.source.url) as source:
            if self.source.suffix == ".npy":
                self._require_one_chip(exposure)
                return _read_npy(source, chip)
            file = scan_source(source)
            hdu = self._choose([h for h in file.hdus if h.is_image and h.shape], exposure, chip)
            if hdu is None:
                return None
            _require_shape(hdu.shape, chip, source.url, hdu.label)
            return read_image_rows(source, hdu, 0, hdu.shape[0])

    def _require_one_chip(self, exposure: ExposureRecord) -> None:
        if not self.source.chip and len(exposure.chips) > 1:
            raise InputError(
                self.source.url,
                f"{exposure.name} has {len(exposure.chips)} chips, and the file does not say which "
                "one it is for",
                remedy="name it ..._sci1..., or give extver",
            )

    def _choose(self, images: list[Hdu], exposure: ExposureRecord, chip: ChipRecord) -> Hdu | None:
        """Find the image of a chip among those of the file."""
        if self.source.ext:
            images = [h for h in images if h.name == self.source.ext.upper()]
        if not images:
            named = f" named {self.source.ext}" if self.source.ext else ""
            raise InputError(self.source.url, f"there is no image{named}", remedy=_REMEDY)
        if len(images) == 1 and (self.source.chip or len(exposure.chips) == 1):
            return images[0]
        mine = [h for h in images if h.extver == chip.extver and h.name != "PRIMARY"]
        if len(mine) > 1:
            mine = [h for name in _NAMES for h in mine if h.name == name][:1] or mine
        if len(mine) > 1:
            raise InputError(
                self.source.url,
                f"several images have EXTVER {chip.extver}: {', '.join(h.label for h in mine)}",
                remedy="say which by ext",
            )
        return mine[0] if mine else None


def _read_npy(source: ByteSource, chip: ChipRecord) -> NDArray[Any]:
    """Read a plain array; nothing is unpickled, nor is memory taken for what is not there."""
    start = io.BytesIO(source.read_near(0, _NPY_HEADER))
    try:
        version = npy.read_magic(start)
        if version not in _NPY_READERS:
            raise ValueError(f"version {version} of the format")
        shape, by_column, dtype = _NPY_READERS[version](start)
        if dtype.kind not in "biuf":
            raise ValueError(f"values of type {dtype}")
    except ValueError as error:
        raise InputError(source.url, f"is no plain array: {error}", remedy=_REMEDY) from error
    _require_shape(shape, chip, source.url)
    raw = source.read(start.tell(), math.prod(shape) * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if by_column else "C")


def _require_shape(
    shape: tuple[int, ...], chip: ChipRecord, url: str, ext: str | None = None
) -> None:
    if shape != chip.shape:
        ny, nx = chip.shape
        raise InputError(
            url,
            f"has the shape {shape}; SCI,{chip.extver} has {nx} x {ny} pixels",
            ext=ext,
            remedy=_REMEDY,
        )
