"""Masks and inverse-variance maps of chips, kept beside the exposures and never in them.

Each is one ``.npy`` file per chip and kind: a mask of uint8 (1 = bad), a map of float32.  Its
record holds a hash per block of 64 detector rows, so that a change touches only the tiles that
those rows reach, and so that a file that was changed behind a record's back is noticed when it is
read.
Not here: what users give (`masking`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.parts import MaskRef
from hapdask.observe.source import open_source, resolve

#: Detector rows per hash.
BLOCK_ROWS = 64
_HEADER_BYTES = 4096  # more than any header of a plain array
_MASK, _MAP = np.dtype(np.uint8), np.dtype(np.float32)
_NOUNS = {_MASK: "mask", _MAP: "map of inverse variances"}


def mask_hashes(rows: NDArray[Any]) -> tuple[str, ...]:
    """One hash per block of 64 rows; empty text for a block of zeros.

    Parameters
    ----------
    rows : ndarray of uint8 (1 = bad) or float32, shape (ny, nx)
    """
    return tuple(_hash(rows[row : row + BLOCK_ROWS]) for row in range(0, rows.shape[0], BLOCK_ROWS))


def _hash(block: NDArray[Any]) -> str:
    if not block.any():
        return ""
    shape = repr(block.shape).encode()
    return hashlib.blake2b(block.tobytes(), digest_size=16, key=shape).hexdigest()


def write_mask(path: str | os.PathLike[str], mask: ArrayLike, kind: str) -> MaskRef:
    """Write a chip's mask; it appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Local file, replaced if it exists; ``.npy`` by custom.
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
    return _write(path, np.ascontiguousarray(np.asarray(mask) != 0, dtype=_MASK), kind)


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


def _write(path: str | os.PathLike[str], array: NDArray[Any], kind: str) -> MaskRef:
    noun = _NOUNS[array.dtype]
    if array.ndim != 2:
        raise ParameterError(f"a {noun} has two axes (y, x), not the shape {array.shape}")
    final = resolve(path)
    temporary = f"{final}.{secrets.token_hex(4)}.tmp"
    try:
        try:
            with open(temporary, "xb") as file:
                npy.write_array(file, array, version=(1, 0), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise StoreError(f"{final}: the {noun} cannot be written: {error.strerror}") from error
    return MaskRef(kind, final, mask_hashes(array))


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
    bad: NDArray[np.bool_] = _read(mask, shape, row0, row1, _MASK) != 0
    return bad


def read_ivm_rows(
    ivm: MaskRef, shape: tuple[int, int], row0: int, row1: int
) -> NDArray[np.float32]:
    """Read rows of an inverse-variance map, 1 / (SCI units)**2; see `read_mask_rows`."""
    return _read(ivm, shape, row0, row1, _MAP)


def _read(
    mask: MaskRef, shape: tuple[int, int], row0: int, row1: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    ny, nx = shape
    noun = _NOUNS[dtype]
    first, last = row0 // BLOCK_ROWS, -(-row1 // BLOCK_ROWS)
    if len(mask.hashes) != -(-ny // BLOCK_ROWS):
        raise InputError(mask.url, f"the {noun} has not the shape {shape} of its chip")
    if not any(mask.hashes[first:last]):
        return np.zeros((row1 - row0, nx), dtype)  # nothing to read
    start, stop = first * BLOCK_ROWS, min(last * BLOCK_ROWS, ny)
    with open_source(mask.url) as source:
        header = source.read_near(0, _HEADER_BYTES)
        offset = _check_header(header, mask.url, shape, dtype) + start * nx * dtype.itemsize
        raw = source.read(offset, (stop - start) * nx * dtype.itemsize)
    rows: NDArray[Any] = np.frombuffer(raw, dtype=dtype).reshape(-1, nx)
    if mask_hashes(rows) != mask.hashes[first:last]:
        raise InputError(
            mask.url,
            f"the {noun} is not the one of the record (rows {start} to {stop})",
            remedy=f"attach the {noun} again, so that the record learns of the change",
        )
    return rows[row0 - start : row1 - start]


def _check_header(start: bytes, url: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> int:
    """Offset of the data, when the file holds that type and shape."""
    file = io.BytesIO(start)
    remedy = f"write it with hapdask.observe.masks.write_{'mask' if dtype == _MASK else 'ivm'}"
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        found, by_column, stored = npy.read_array_header_1_0(file, max_header_size=_HEADER_BYTES)
    except ValueError as error:
        raise InputError(url, f"is not a {_NOUNS[dtype]}: {error}", remedy=remedy) from error
    if found != shape or by_column or stored != dtype:
        raise InputError(
            url,
            f"is not a {_NOUNS[dtype]} of this chip: {stored} of shape {found}, expected "
            f"{dtype} of {shape}",
            remedy=remedy,
        )
    return file.tell()
