"""Masks and inverse-variance maps of chips, kept beside the exposures and never in them.

Each is one small file per chip and kind: a header, then blocks of 64 detector rows, a mask packed
to bits and compressed, a map as float32.  A reader touches only the blocks of its rows, and a block
of zeros takes no room.  The record holds a hash per block, so that a change touches only the tiles
that those rows reach, and so that a file that was changed behind a record's back is noticed when
it is read.
Not here: what users give (`masking`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.parts import MaskRef
from hapdask.observe.source import ByteSource, open_source, resolve

#: Detector rows per block.
BLOCK_ROWS = 64
#: Of the files, by custom.
SUFFIX = ".mask"
_MASK, _MAP = np.dtype(np.bool_), np.dtype("<f4")
_NOUNS = {_MASK: "mask", _MAP: "map of inverse variances"}
#: How each is told apart, and compressed: maps are noise.
_CODES, _LEVELS = {_MASK: b"bits", _MAP: b"f4le"}, {_MASK: 1, _MAP: 0}
#: Magic, code, ny, nx; then the length of every block, little-endian uint32.
_START = struct.Struct("<8s4sII")
_MAGIC = b"HAPMASK1"


def mask_hashes(rows: NDArray[Any]) -> tuple[str, ...]:
    """One hash per block of 64 rows; empty text for a block of zeros.

    Parameters
    ----------
    rows : ndarray of bool, uint8 (1 = bad) or float32, shape (ny, nx)
    """
    return tuple(_hash(block.shape, _content(block)) for block in _blocks(rows))


def mask_folder(where: str | os.PathLike[str]) -> Path:
    """Make a folder for masks if need be.

    Raises
    ------
    StoreError
        If it cannot be made.
    """
    folder = Path(where)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot keep masks: {error.strerror}; give another folder"
        ) from error
    return folder


def write_mask(path: str | os.PathLike[str], mask: ArrayLike, kind: str) -> MaskRef:
    """Write a chip's mask; it appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Local file, replaced if it exists; `SUFFIX` by custom.
    mask : array_like of bool or integer, shape (ny, nx)
        Non-zero = bad.
    kind : str
        See `MaskRef`.

    Returns
    -------
    MaskRef

    Raises
    ------
    ParameterError
        If the mask has not two axes.
    StoreError
        If the file cannot be written.
    """
    return _write(path, np.ascontiguousarray(np.asarray(mask) != 0), kind)


def write_ivm(path: str | os.PathLike[str], ivm: ArrayLike) -> MaskRef:
    """Write a chip's inverse-variance map, like a mask.

    Parameters
    ----------
    path : str or path-like
    ivm : array_like of float, shape (ny, nx), 1 / (SCI units)**2
        What is not a positive number becomes 0: the pixel weighs nothing.

    Raises
    ------
    ParameterError, StoreError
        See `write_mask`.
    """
    values = np.array(ivm, dtype=_MAP)
    values[~(np.isfinite(values) & (values > 0))] = 0
    return _write(path, values, "ivm")


def read_mask_rows(
    mask: MaskRef, shape: tuple[int, int], row0: int, row1: int
) -> NDArray[np.bool_]:
    """Read rows of a mask, and check them against the record.

    Parameters
    ----------
    mask : MaskRef
    shape : tuple of int
        Of the chip, (ny, nx).
    row0, row1 : int
        First row and the row after the last, within the chip.

    Returns
    -------
    ndarray of bool, shape (row1 - row0, nx)
        True = bad.

    Raises
    ------
    InputError
        If the file is missing, of another shape, or not what the record says.
    """
    return _read(mask, shape, row0, row1, _MASK)


def read_ivm_rows(
    ivm: MaskRef, shape: tuple[int, int], row0: int, row1: int
) -> NDArray[np.float32]:
    """Read rows of an inverse-variance map, 1 / (SCI units)**2; see `read_mask_rows`."""
    return _read(ivm, shape, row0, row1, _MAP)


def _blocks(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return [rows[row : row + BLOCK_ROWS] for row in range(0, rows.shape[0], BLOCK_ROWS)]


def _content(block: NDArray[Any]) -> bytes:
    """Bytes of a block as they are hashed and stored; none for zeros."""
    if not block.any():
        return b""
    if block.dtype in (np.bool_, np.uint8):
        return np.packbits(block.view(np.bool_), axis=1).tobytes()
    return block.tobytes()


def _hash(shape: tuple[int, ...], content: bytes) -> str:
    if not content:
        return ""
    return hashlib.blake2b(content, digest_size=16, key=repr(shape).encode()).hexdigest()


def _size(rows: int, nx: int, dtype: np.dtype[Any]) -> int:
    """Bytes of a block's content."""
    return rows * (-(-nx // 8) if dtype == _MASK else nx * dtype.itemsize)


def _write(path: str | os.PathLike[str], array: NDArray[Any], kind: str) -> MaskRef:
    noun = _NOUNS[array.dtype]
    if array.ndim != 2:
        raise ParameterError(f"a {noun} has two axes (y, x), not the shape {array.shape}")
    contents = [_content(block) for block in _blocks(array)]
    stored = [c and zlib.compress(c, _LEVELS[array.dtype]) for c in contents]
    start = _START.pack(_MAGIC, _CODES[array.dtype], *array.shape)
    lengths = np.array([len(block) for block in stored], "<u4").tobytes()
    final = resolve(path)
    temporary = f"{final}.{secrets.token_hex(4)}.tmp"
    try:
        try:
            with open(temporary, "xb") as file:
                file.writelines([start, lengths, *stored])
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise StoreError(f"{final}: the {noun} cannot be written: {error.strerror}") from error
    shapes = [block.shape for block in _blocks(array)]
    return MaskRef(kind, final, tuple(map(_hash, shapes, contents)))


def _read(
    mask: MaskRef, shape: tuple[int, int], row0: int, row1: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    ny, nx = shape
    _check_blocks(mask, shape, dtype)
    rows = np.zeros((row1 - row0, nx), dtype)
    if not _any_in(mask, row0, row1):
        return rows  # nothing to read
    with open_source(mask.url) as source:
        offsets = _check_header(source, shape, dtype)
        for top, content in _contents(mask, source, offsets, shape, (row0, row1), dtype):
            low, high = max(top, row0), min(top + BLOCK_ROWS, ny, row1)
            block = _unpack(content, nx, dtype)
            rows[low - row0 : high - row0] = block[low - top : high - top]
    return rows


class OpenMasks:
    """Masks of one chip as one, their files open until a stack of contexts closes.

    Parameters
    ----------
    masks : sequence of MaskRef
    shape : tuple of int
        Of the chip, (ny, nx).
    stack : ExitStack
    """

    def __init__(
        self, masks: Sequence[MaskRef], shape: tuple[int, int], stack: contextlib.ExitStack
    ) -> None:
        self._masks, self._shape, self._stack = masks, shape, stack
        self._files: dict[MaskRef, tuple[ByteSource, NDArray[np.int64]]] = {}
        #: The blocks that were read so far, and all rows as bits.
        self._read: set[int] = set()
        self._packed = np.empty((0, 0), np.uint8)

    def rows(self, row0: int, row1: int) -> NDArray[np.bool_] | None:
        """Read rows, and check them against the record: True where any mask says bad.

        Parameters
        ----------
        row0, row1 : int
            First row and the row after the last, within the chip.

        Returns
        -------
        ndarray of bool, shape (row1 - row0, nx), or None
            None where no mask has anything there.

        Raises
        ------
        InputError
            See `read_mask_rows`.
        """
        for mask in self._masks:
            _check_blocks(mask, self._shape, _MASK)
        if not any(_any_in(mask, row0, row1) for mask in self._masks):
            return None
        first, last = row0 // BLOCK_ROWS, -(-row1 // BLOCK_ROWS)
        while first in self._read and first < last:
            first += 1
        while last - 1 in self._read and first < last:
            last -= 1
        if first < last:
            self._read_blocks(first, last)
        packed = self._packed[row0:row1]
        return np.unpackbits(packed, axis=1, count=self._shape[1]).view(np.bool_)

    def _read_blocks(self, first: int, last: int) -> None:
        """Keep some blocks as bits, so that rows of one may be asked for again and again."""
        ny, nx = self._shape
        if not self._packed.size:
            self._packed = np.zeros((ny, -(-nx // 8)), np.uint8)
        for mask in self._masks:
            rows = first * BLOCK_ROWS, min(last * BLOCK_ROWS, ny)
            if not _any_in(mask, *rows):
                continue
            source, offsets = self._opened(mask)
            for top, content in _contents(mask, source, offsets, self._shape, rows, _MASK):
                block = self._packed[top : top + BLOCK_ROWS]
                block |= np.frombuffer(content, np.uint8).reshape(block.shape)
        self._read.update(range(first, last))

    def _opened(self, mask: MaskRef) -> tuple[ByteSource, NDArray[np.int64]]:
        if mask not in self._files:
            source = self._stack.enter_context(open_source(mask.url))
            self._files[mask] = source, _check_header(source, self._shape, _MASK)
        return self._files[mask]


def _check_blocks(mask: MaskRef, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    if len(mask.hashes) != -(-shape[0] // BLOCK_ROWS):
        raise InputError(mask.url, f"the {_NOUNS[dtype]} has not the shape {shape} of its chip")


def _any_in(mask: MaskRef, row0: int, row1: int) -> bool:
    return any(mask.hashes[row0 // BLOCK_ROWS : -(-row1 // BLOCK_ROWS)])


def _contents(
    mask: MaskRef,
    source: ByteSource,
    offsets: NDArray[np.int64],
    shape: tuple[int, int],
    rows: tuple[int, int],
    dtype: np.dtype[Any],
) -> Iterator[tuple[int, bytes]]:
    """First row and content of the blocks of some rows that are not all zeros, as recorded."""
    ny, nx = shape
    first, last = rows[0] // BLOCK_ROWS, -(-rows[1] // BLOCK_ROWS)
    raw = source.read(int(offsets[first]), int(offsets[last] - offsets[first]))
    for k in range(first, last):
        begin, end = (int(offsets[j] - offsets[first]) for j in (k, k + 1))
        top, bottom = k * BLOCK_ROWS, min((k + 1) * BLOCK_ROWS, ny)
        content = _inflate(raw[begin:end], _size(bottom - top, nx, dtype))
        if _hash((bottom - top, nx), content) != mask.hashes[k]:
            noun = _NOUNS[dtype]
            raise InputError(
                mask.url,
                f"the {noun} is not the one of the record (rows {top} to {bottom})",
                remedy=f"attach the {noun} again, so that the record learns of the change",
            )
        if content:
            yield top, content


def _inflate(stored: bytes, size: int) -> bytes:
    """Give the content of a stored block: what is broken or of another size hashes otherwise."""
    if not stored:
        return b""
    try:
        return zlib.decompressobj().decompress(stored, size + 1)
    except zlib.error:
        return b"?"


def _unpack(content: bytes, nx: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype == _MAP:
        return np.frombuffer(content, dtype).reshape(-1, nx)
    packed = np.frombuffer(content, np.uint8).reshape(-1, -(-nx // 8))
    return np.unpackbits(packed, axis=1, count=nx).view(np.bool_)


def _check_header(
    source: ByteSource, shape: tuple[int, int], dtype: np.dtype[Any]
) -> NDArray[np.int64]:
    """Offsets of the blocks and of the end, when the file holds that type and shape."""
    noun, blocks = _NOUNS[dtype], -(-shape[0] // BLOCK_ROWS)
    remedy = f"write it with hapdask.observe.masks.write_{'mask' if dtype == _MASK else 'ivm'}"
    start = source.read_near(0, _START.size + 4 * blocks)
    if len(start) < _START.size or not start.startswith(_MAGIC):
        raise InputError(source.url, f"is not a {noun}", remedy=remedy)
    _, code, ny, nx = _START.unpack_from(start)
    if code != _CODES[dtype] or (ny, nx) != shape:
        raise InputError(
            source.url,
            f"is not a {noun} of this chip: {code!r} of shape {(ny, nx)}, expected "
            f"{_CODES[dtype]!r} of {shape}",
            remedy=remedy,
        )
    if len(start) == _START.size + 4 * blocks:
        lengths = np.frombuffer(start, "<u4", blocks, _START.size).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]) + len(start)
        if int(offsets[-1]) == source.size:
            return offsets
    raise InputError(source.url, f"the {noun} is truncated, or longer than it says", remedy=remedy)
