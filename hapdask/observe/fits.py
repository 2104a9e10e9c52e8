"""The structure of a FITS file from its headers, and pixel rows by byte range.

A scan visits every header, skips every data unit, and checks that the file is long enough for
what its headers claim.  Sizes are bounded before anything is read.  Lives here: FITS.  Not
here: what makes a file an exposure (`exposure`, `chips`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.cards import CARD, Value, parse_cards
from hapdask.observe.source import ByteSource, open_source, resolve

BLOCK = 2880
MAX_HDUS = 200
MAX_HEADER_BLOCKS = 2000
#: All headers of one file together; the largest seen in the archive have some 300 blocks.
MAX_FILE_HEADER_BLOCKS = 8000
_MAX_AXES = 999
_DTYPES = {8: "|u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_END = b"END" + b" " * (CARD - 3)
_REMEDY = "fetch the file again, or make it again with the calibration pipeline"


@dataclass(frozen=True, slots=True)
class Hdu:
    """One header and the address of its data.

    Attributes
    ----------
    index : int
        Position in the file, 0 for the primary.
    name : str
        EXTNAME in upper case; ``PRIMARY`` for the first where it has none.
    extver : int
    header : mapping
        Cards, see `cards.parse_cards`.
    shape : tuple of int
        Axes slowest first, as NumPy's; empty without data.
    dtype : str
        NumPy's name of the big-endian type.
    data_offset : int
        First byte of the data.
    bscale, bzero : float
    header_offset : int
        First byte of the header.
    values : ndarray or None
        The data themselves where they are not in this file: tables that a headerlet brings.
    """

    index: int
    name: str
    extver: int
    header: Mapping[str, Value]
    shape: tuple[int, ...]
    dtype: str
    data_offset: int
    bscale: float
    bzero: float
    header_offset: int = 0
    values: NDArray[np.generic] | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The extension as errors name it, for example ``SCI,1``."""
        return self.name if self.index == 0 else f"{self.name or self.index},{self.extver}"

    @property
    def is_image(self) -> bool:
        """Whether the data are a plain array."""
        return self.index == 0 or self.header.get("XTENSION") == "IMAGE"


@dataclass(frozen=True, slots=True)
class FitsFile:
    """What a scan found: identity and HDUs.

    Attributes
    ----------
    path : str
        Resolved address.
    size : int, bytes
    stamp : str
        ETag or modification time, see `source.ByteSource`.
    header_hash : str
        SHA-256 of the bytes of all headers.
    hdus : tuple of Hdu
    """

    path: str
    size: int
    stamp: str
    header_hash: str
    hdus: tuple[Hdu, ...]

    def find(self, name: str, extver: int = 1) -> Hdu | None:
        """Return the first HDU of that name and version, or None."""
        for hdu in self.hdus:
            if hdu.name == name and hdu.extver == extver:
                return hdu
        return None


def scan(path: str) -> FitsFile:
    """Read the headers of a FITS file, local or over HTTP.

    Raises
    ------
    InputError
        If the file cannot be opened, is no FITS file, is truncated, or its headers are broken
        or beyond `MAX_HDUS` and `MAX_HEADER_BLOCKS`.
    """
    with open_source(resolve(path)) as source:
        return scan_source(source)


def scan_source(source: ByteSource) -> FitsFile:
    """Read the headers of an open source; see `scan`."""
    digest = hashlib.sha256()
    hdus: list[Hdu] = []
    offset = blocks = 0
    while offset < source.size or not hdus:
        if hdus and not b"XTENSION".startswith(source.read_near(offset, 8)):
            break  # what follows the last extension is not ours (FITS 4.0 section 3.5)
        if len(hdus) == MAX_HDUS:
            raise InputError(source.url, f"more than {MAX_HDUS} extensions", remedy=_REMEDY)
        raw = _header_bytes(source, offset, len(hdus), MAX_FILE_HEADER_BLOCKS - blocks)
        digest.update(raw)
        blocks += len(raw) // BLOCK
        hdu, length = _make_hdu(source, raw, len(hdus), offset)
        hdus.append(hdu)
        offset = hdu.data_offset + -(-length // BLOCK) * BLOCK
    return FitsFile(source.url, source.size, source.stamp, digest.hexdigest(), tuple(hdus))


def _header_bytes(source: ByteSource, offset: int, index: int, allowed: int) -> bytes:
    """Read the blocks of one header, up to and with the one that holds END."""
    if index == 0:
        _require_fits(source)
    blocks: list[bytes] = []
    while len(blocks) < min(MAX_HEADER_BLOCKS, allowed):
        block = source.read_near(offset + BLOCK * len(blocks), BLOCK)
        if len(block) < BLOCK:
            raise InputError(
                source.url, f"the file ends inside header {index}: it is truncated", remedy=_REMEDY
            )
        blocks.append(block)
        end = block.find(_END)
        while end >= 0:
            if end % CARD == 0:
                return b"".join(blocks)
            end = block.find(_END, end + 1)
    raise InputError(
        source.url, f"header {index} has no END within {len(blocks)} blocks", remedy=_REMEDY
    )


def _require_fits(source: ByteSource) -> None:
    start = source.read_near(0, 30)
    if start.startswith(b"SIMPLE  ="):
        return
    if not start:
        raise InputError(source.url, "the file is empty", remedy=_REMEDY)
    if start.startswith((b"\x1f\x8b", b"\x1f\x9d", b"BZh", b"PK\x03\x04")):
        raise InputError(
            source.url,
            "the file is compressed, and its pixels cannot be read by byte range",
            remedy=f"decompress it first: gunzip {source.url}",
        )
    raise InputError(source.url, "this is not a FITS file", remedy="name a FITS file")


def _make_hdu(source: ByteSource, raw: bytes, index: int, start: int) -> tuple[Hdu, int]:
    """Check the header that starts there; return its HDU and the length of its data in bytes."""
    header, offset = parse_cards(raw), start + len(raw)
    name = str(header.get("EXTNAME") or ("PRIMARY" if index == 0 else "")).strip().upper()
    extver = _integer(source, header, "EXTVER", f"{name},?", 1)
    label = name if index == 0 else f"{name or index},{extver}"
    bitpix = _integer(source, header, "BITPIX", label)
    if bitpix not in _DTYPES:
        raise InputError(source.url, f"BITPIX = {bitpix}", ext=label, remedy=_REMEDY)
    naxis = _integer(source, header, "NAXIS", label)
    if not 0 <= naxis <= _MAX_AXES:
        raise InputError(source.url, f"NAXIS = {naxis}", ext=label, remedy=_REMEDY)
    shape = tuple(_integer(source, header, f"NAXIS{k}", label) for k in range(naxis, 0, -1))
    groups = _integer(source, header, "GCOUNT", label, 1)
    heap = _integer(source, header, "PCOUNT", label, 0)
    if min((*shape, groups, heap), default=0) < 0:
        raise InputError(source.url, "a negative size", ext=label, remedy=_REMEDY)
    length = abs(bitpix) // 8 * groups * (heap + math.prod(shape)) if shape else 0
    if offset + length > source.size:
        raise InputError(
            source.url,
            f"the file is truncated: its data end at byte {offset + length}, "
            f"the file at {source.size}",
            ext=label,
            remedy=_REMEDY,
        )
    scale, zero = (_number(header.get(k), d) for k, d in (("BSCALE", 1.0), ("BZERO", 0.0)))
    dtype = _DTYPES[bitpix]
    return Hdu(index, name, extver, header, shape, dtype, offset, scale, zero, start), length


def _integer(
    source: ByteSource, header: Mapping[str, Value], key: str, ext: str, default: int | None = None
) -> int:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(
            source.url, f"{key} = {value!r} is not an integer", ext=ext, remedy=_REMEDY
        )
    return value


def _number(value: Value, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def read_rows(path: str, hdu: Hdu, row0: int, row1: int) -> NDArray[np.generic]:
    """Read rows of a two-dimensional image by byte range.

    Parameters
    ----------
    path : str
        The file that ``hdu`` was scanned from.
    hdu : Hdu
    row0, row1 : int
        First row and the row after the last, 0-based.

    Returns
    -------
    ndarray, shape (row1 - row0, nx), native byte order
        Scaled by BSCALE and BZERO, see `decode`.

    Raises
    ------
    InputError
        If the bytes are not all there, or the HDU is no such image.
    """
    if not hdu.is_image or len(hdu.shape) != 2:
        raise InputError(path, "is not an image of two axes", ext=hdu.label, remedy=_REMEDY)
    with open_source(resolve(path)) as source:
        return read_image_rows(source, hdu, row0, row1)


def read_image_rows(source: ByteSource, hdu: Hdu, row0: int, row1: int) -> NDArray[np.generic]:
    """Read rows of an image of two axes from an open source; see `read_rows`."""
    ny, nx = hdu.shape
    row0 = min(max(row0, 0), ny)
    row1 = min(max(row1, row0), ny)
    if hdu.values is not None:
        return hdu.values[row0:row1]
    row_bytes = nx * np.dtype(hdu.dtype).itemsize
    offset = hdu.data_offset + row0 * row_bytes
    raw = source.read(offset, (row1 - row0) * row_bytes, ext=hdu.label)
    return decode(raw, hdu.dtype, hdu.bscale, hdu.bzero).reshape(row1 - row0, nx)


def decode(
    raw: bytes | NDArray[np.uint8], dtype: str, bscale: float, bzero: float
) -> NDArray[np.generic]:
    """Turn stored bytes into values, in native byte order; an array of bytes is used up.

    Integers with BZERO of half their range are the FITS form of unsigned ones and stay integers;
    any other scaling gives float64.
    """
    stored: NDArray[np.generic] = np.frombuffer(raw, dtype=dtype)
    if isinstance(raw, np.ndarray) and not stored.dtype.isnative:
        native = stored.byteswap(inplace=True).view(stored.dtype.newbyteorder("="))
    else:
        native = stored.astype(stored.dtype.newbyteorder("="))
    return scaled(native, bscale, bzero)


def scaled(native: NDArray[np.generic], bscale: float, bzero: float) -> NDArray[np.generic]:
    """Apply BSCALE and BZERO to values in native byte order, as `decode` does."""
    if (bscale, bzero) == (1.0, 0.0):
        return native
    kind = native.dtype
    if kind.kind == "i" and bscale == 1.0 and bzero == 2.0 ** (8 * kind.itemsize - 1):
        unsigned = np.dtype(f"u{kind.itemsize}")
        shifted: NDArray[np.generic] = native.view(unsigned) ^ unsigned.type(
            1 << (8 * kind.itemsize - 1)
        )
        return shifted
    return native.astype(np.float64) * bscale + bzero
