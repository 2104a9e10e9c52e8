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
_TUPLES = ("shape", "shadow", "window")


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
    """A mask of bad pixels of one chip, or its inverse-variance map, by reference; see `masks`.

    Attributes
    ----------
    kind : str
        What it is for: ``static``, ``user``, ``cosmic_ray``, ``trail``, ..., or ``ivm``.
    url : str
    hashes : tuple of str
        One per block of 64 detector rows; empty text for a block of zeros.
    """

    kind: str
    url: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PixelSource:
    """Where one array of a chip stands in a file.

    Attributes
    ----------
    offset : int
        First byte.
    dtype : str
        NumPy's name of the stored, big-endian type.
    bscale, bzero : float
    constant : float or None
        The value of all pixels where the file stores no array but NPIX1, NPIX2 and PIXVALUE.
    url : str
        A companion file (WFPC2's c1m); empty for the exposure's own file.
    identity : FileIdentity or None
        Of the companion.
    """

    offset: int
    dtype: str
    bscale: float = 1.0
    bzero: float = 0.0
    constant: float | None = None
    url: str = ""
    identity: FileIdentity | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PixelSource:
        """Rebuild the source that `dataclasses.asdict` was called on."""
        identity = data["identity"]
        return cls(**(dict(data) | {"identity": identity and FileIdentity(**identity)}))


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
    removed : float
        Sky per pixel, SCI units, that was subtracted before the file was written: it made noise.
    flux_factor : float
        Multiplies SCI and ERR: PHOTFLAM of the chip over that of the layer.
    photflam : float
        0 where the file has none.
    idcscale : float, arcsec / pixel
        Of the pixels as they are in the file, binned or not.
    gain : float, electrons / SCI count
        1 where SCI is in electrons.
    read_noise : float, electrons
        Of one pixel as it is in the file; 0 where it is not known.
    dark : float, electrons / pixel
        Over the whole exposure.
    shadow : tuple of float
        The six coefficients of WFPC2's functional mask (`vignette`); empty for other detectors.
    bin : int
        Detector pixels per side of an image pixel.
    window : tuple of int
        (x0, x1, y0, y1), the pixels that may be used, 0-based, ends excluded: a quad filter's
        own quadrant (`vignette`); empty for the whole chip.
    tail : int
        Where charge that was left behind on the way to the amplifier lies along a column: 1 in
        higher rows, -1 in lower ones, 0 where there is none to speak of.
    hdu : int
        Number of the SCI extension in its file, the primary header's being 0; 0 where it is not
        known.
    masks : tuple of MaskRef
        They hold whatever flags are accepted.
    ivm : MaskRef or None
        A user's inverse-variance map, 1 / (SCI units)**2, in place of the one made from the figures
        above.
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
    removed: float = 0.0
    flux_factor: float = 1.0
    photflam: float = 0.0
    idcscale: float = 0.0
    gain: float = 1.0
    read_noise: float = 0.0
    dark: float = 0.0
    shadow: tuple[float, ...] = ()
    bin: int = 1
    window: tuple[int, ...] = ()
    tail: int = 0
    hdu: int = 0
    masks: tuple[MaskRef, ...] = ()
    ivm: MaskRef | None = None
    keywords: Keywords = ()

    def border(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Trace the outline on the sky of what may be used: ra, dec in degrees, (4 * steps,)."""
        ny, nx = self.shape
        x0, x1, y0, y1 = self.window or (0, nx, 0, ny)
        t = np.arange(_EDGE_STEPS) / _EDGE_STEPS
        x = np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t)]) * (x1 - x0) + x0 - 0.5
        y = np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t]) * (y1 - y0) + y0 - 0.5
        return self.distortion.pixel_to_sky(x, y)

    def to_dict(self, *, whole: bool = True) -> dict[str, Any]:
        """Make plain data for JSON; without ``whole``, the distortion's digest stands for it."""
        skipped = ("distortion", "masks", "ivm", "keywords", *_TUPLES, *_SOURCES)
        data = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in skipped}
        sources = {k: getattr(self, k) for k in _SOURCES}
        return data | {
            **{k: list(getattr(self, k)) for k in _TUPLES},
            "distortion": pack_distortion(self.distortion) if whole else self.distortion.digest,
            **{k: None if s is None else asdict(s) for k, s in sources.items()},
            "masks": [listed(asdict(mask)) for mask in self.masks],
            "ivm": None if self.ivm is None else listed(asdict(self.ivm)),
            "keywords": [list(card) for card in self.keywords],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChipRecord:
        """Rebuild the chip that `to_dict` was called on; KeyError, TypeError or ValueError."""
        ny, nx = data["shape"]
        sources = {k: data[k] for k in _SOURCES}
        changed = {
            **{k: tuple(data[k]) for k in _TUPLES},
            "shape": (int(ny), int(nx)),
            "distortion": unpack_distortion(data["distortion"]),
            **{k: None if s is None else PixelSource.from_dict(s) for k, s in sources.items()},
            "masks": tuple(MaskRef(**tupled(mask)) for mask in data["masks"]),
            "ivm": None if data["ivm"] is None else MaskRef(**tupled(data["ivm"])),
            "keywords": tuple((k, v) for k, v in data["keywords"]),
        }
        return cls(**(dict(data) | changed))


def listed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tuples of a mapping into lists, as JSON has them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}


def tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists of a mapping into tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
