"""The parts of an exposure record: a file's identity, addresses of pixels, masks, chips.

Small, immutable, serialisable as plain data.  `record` puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.cards import Value
from hapdask.observe.distortion import Distortion
from hapdask.observe.plain import pack_distortion, unpack_distortion

Keywords = tuple[tuple[str, Value], ...]

_EDGE_STEPS = 16  # points per chip edge in a footprint: an edge bends by less than 0.05 pixel
_SOURCES = ("sci", "err", "dq")


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells whether a file is still the one that was opened.

    Attributes
    ----------
    size : int, bytes
    header_hash : str
        SHA-256 of all headers.
    stamp : str
        ETag, or modification time in ns.
    """

    size: int
    header_hash: str
    stamp: str


@dataclass(frozen=True, slots=True)
class MaskRef:
    """A mask of bad pixels of one chip, by reference; see `masks`.

    Attributes
    ----------
    kind : str
        What it is for: ``static``, ``user``, ``cosmic_ray``, ``trail``, ...
    url : str
    hashes : tuple of str
        One per block of 64 detector rows; empty text for a block without bad pixels.
    """

    kind: str
    url: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PixelSource:
    """Where one array of a chip stands in the file.

    Attributes
    ----------
    offset : int
        First byte.
    dtype : str
        NumPy's name of the stored, big-endian type.
    bscale, bzero : float
    constant : float or None
        The value of all pixels where the file stores no array but NPIX1, NPIX2 and PIXVALUE.
    """

    offset: int
    dtype: str
    bscale: float = 1.0
    bzero: float = 0.0
    constant: float | None = None


@dataclass(frozen=True)
class ChipRecord:
    """One SCI extension with its ERR and DQ.

    Attributes
    ----------
    extver, chip : int
        EXTVER and CCDCHIP.
    shape : tuple of int
        (ny, nx), pixels.
    distortion : Distortion
        With the exposure's correction applied.
    sci, err, dq : PixelSource or None
    sky : float
        Per pixel, SCI units, to be subtracted.
    flux_factor : float
        Multiplies SCI and ERR: PHOTFLAM of the chip over that of the layer.
    photflam : float
        0 where the file has none.
    idcscale : float, arcsec / pixel
    masks : tuple of MaskRef
    keywords : tuple of (str, value)
        Cards of this SCI extension, for export; gone after `ExposureRecord.strip`.
    """

    extver: int
    chip: int
    shape: tuple[int, int]
    distortion: Distortion
    sci: PixelSource | None
    err: PixelSource | None
    dq: PixelSource | None
    sky: float = 0.0
    flux_factor: float = 1.0
    photflam: float = 0.0
    idcscale: float = 0.0
    masks: tuple[MaskRef, ...] = ()
    keywords: Keywords = ()

    def border(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Trace the chip's outline on the sky: ra, dec in degrees, shape (4 * steps,)."""
        ny, nx = self.shape
        t = np.arange(_EDGE_STEPS) / _EDGE_STEPS
        x = np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t)]) * nx - 0.5
        y = np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t]) * ny - 0.5
        return self.distortion.pixel_to_sky(x, y)

    def to_dict(self, *, whole: bool = True) -> dict[str, Any]:
        """Make plain data for JSON; without ``whole``, the distortion's digest stands for it."""
        skipped = ("distortion", "masks", "keywords", "shape", *_SOURCES)
        data = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in skipped}
        sources = {k: getattr(self, k) for k in _SOURCES}
        return data | {
            "shape": list(self.shape),
            "distortion": pack_distortion(self.distortion) if whole else self.distortion.digest,
            **{k: None if s is None else asdict(s) for k, s in sources.items()},
            "masks": [listed(asdict(mask)) for mask in self.masks],
            "keywords": [list(card) for card in self.keywords],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChipRecord:
        """Rebuild the chip that `to_dict` was called on; KeyError, TypeError or ValueError."""
        ny, nx = data["shape"]
        sources = {k: data[k] for k in _SOURCES}
        changed = {
            "shape": (int(ny), int(nx)),
            "distortion": unpack_distortion(data["distortion"]),
            **{k: None if s is None else PixelSource(**s) for k, s in sources.items()},
            "masks": tuple(MaskRef(**tupled(mask)) for mask in data["masks"]),
            "keywords": tuple((k, v) for k, v in data["keywords"]),
        }
        return cls(**(dict(data) | changed))


def listed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tuples of a mapping into lists, as JSON has them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}


def tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists of a mapping into tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
