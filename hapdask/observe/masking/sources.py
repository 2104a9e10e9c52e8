"""What a user gives as a mask: a file, what it means, and for which exposures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import ParameterError
from hapdask.observe.inputs.expand import read_files
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import PathLike as PathLike
from hapdask.observe.source import resolve

#: WFC3's persistence products: predicted persistence, all of it or from earlier visits.
_PERSISTENCE = re.compile(r"_(persist|extper)\.fits(\.gz)?$")
#: Predicted electrons / s that make a pixel bad.
#: Source: WFC3 Data Handbook, section 8.3, "an acceptable level of persistence, e.g. 0.01 e-/sec".
PERSISTENCE_LEVEL = 0.01
_TABLES = (".csv", ".ecsv")
_CHIP_IN_NAME = re.compile(r"_sci(\d+)(?![a-z0-9])")
_KIND = re.compile(r"[a-z][a-z_]{0,31}$")


@dataclass(frozen=True, slots=True)
class MaskSource:
    """A mask as a user gives it.

    Attributes
    ----------
    url : str
        A FITS file with one image per chip (by EXTVER), a ``.npy`` file of one chip, a ``.reg``
        file of DS9 regions, or a ``.csv`` or ``.ecsv`` table of blobs.
    kind : str
        ``user``, ``persistence``, ``blob`` or another word; told by the file's name where empty.
    exposures : tuple of str
        Rootnames or ``instrument/detector``, with ``*`` and ``?``: the exposures that it is for.
        Where empty: images and regions in pixels are for the exposure whose rootname begins the
        file's name, regions on the sky for every exposure, blobs for ``wfc3/ir``.
    extver : int
        The chip, for a file of one chip; 0: as ``_sciN`` in the file's name says, or the only one.
    ext : str
        Name of the FITS extensions to read; where empty, the only images with a chip's EXTVER,
        or those named MASK or SCI.
    invert : bool
        0 is bad, anything else good.
    threshold : float or None
        Bad from this value on, instead of non-zero; persistence products have 0.01 electrons / s.
    """

    url: str
    kind: str = ""
    exposures: tuple[str, ...] = ()
    extver: int = 0
    ext: str = ""
    invert: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        given: object = self.exposures
        if isinstance(given, str):
            raise ParameterError("exposures of a mask must be several names: ('ia0a01*',)")
        if self.kind and not _KIND.match(self.kind):
            raise ParameterError(f"{self.kind!r} is no kind of mask: a word in small letters")

    @property
    def suffix(self) -> str:
        """Ending of the file's name, small letters, without .gz."""
        name = os.path.basename(self.url).lower()
        return os.path.splitext(name.removesuffix(".gz"))[1]

    @property
    def chip(self) -> int:
        """EXTVER that it is for, as given or named; 0 where it does not say."""
        named = _CHIP_IN_NAME.search(os.path.basename(self.url).lower())
        return self.extver or (int(named[1]) if named else 0)

    def completed(self) -> MaskSource:
        """Fill in what the file's name tells."""
        if _PERSISTENCE.search(self.url.lower()) and self.kind in ("", "persistence"):
            level = PERSISTENCE_LEVEL if self.threshold is None else self.threshold
            return replace(self, kind="persistence", threshold=level)
        kind = "blob" if self.suffix in _TABLES else "user"
        return replace(self, kind=self.kind or kind)

    def names(self, exposure: ExposureRecord) -> bool:
        """Whether the file's name begins with the exposure's."""
        name = os.path.basename(self.url).lower()
        return re.match(re.escape(exposure.name) + r"(?![a-z0-9])", name) is not None

    def chooses(self, exposure: ExposureRecord) -> bool:
        """Whether ``exposures`` lists it."""
        known = (exposure.name, f"{exposure.instrument}/{exposure.detector}")
        return any(fnmatchcase(n, p.lower()) for n in known for p in self.exposures)


class ChipMask(Protocol):
    """A mask that has been opened."""

    def is_for(self, exposure: ExposureRecord) -> bool:
        """Whether it is meant for an exposure."""

    def bad(self, exposure: ExposureRecord, chip: ChipRecord) -> NDArray[np.bool_] | None:
        """Bad pixels of a chip, shape of the chip; None where it says nothing of the chip."""


#: What users may give: one or several.
Masks = PathLike | MaskSource | Iterable[PathLike | MaskSource]
Maps = Mapping[str, PathLike] | PathLike | Iterable[PathLike]


def list_sources(masks: Masks) -> list[MaskSource]:
    """Expand paths and patterns.

    Raises
    ------
    InputError
        Where a pattern matches nothing.
    """
    given = [masks] if isinstance(masks, str | os.PathLike | MaskSource) else list(masks)
    found: list[MaskSource] = []
    for item in given:
        source = item if isinstance(item, MaskSource) else MaskSource(os.fspath(item))
        found += [replace(source, url=url).completed() for url in read_files(source.url)]
    return found


def list_maps(maps: Maps) -> list[MaskSource]:
    """Expand inverse-variance maps; a mapping gives one per rootname."""
    if isinstance(maps, Mapping):
        return [
            MaskSource(resolve(path), "ivm", exposures=(name.lower(),))
            for name, path in maps.items()
        ]
    return [replace(source, kind="ivm") for source in list_sources(maps)]
