"""Masks of bad pixels, kept beside the exposures and never in them.

A mask is one ``.npy`` file of uint8 (1 = bad) per chip and kind.  Its record holds a hash per
block of 64 detector rows, so that a change of a mask touches only the tiles that those rows
reach, and so that a mask that was changed behind a record's back is noticed when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.parts import MaskRef
from hapdask.observe.source import open_source, resolve

#: Detector rows per hash.
BLOCK_ROWS = 64
_HEADER_BYTES = 4096  # more than any header of a plain array


def mask_hashes(mask: NDArray[np.uint8]) -> tuple[str, ...]:
    """One hash per block of 64 rows; empty text for a block without bad pixels.

    Parameters
    ----------
    mask : ndarray of uint8, shape (ny, nx)
        1 = bad.
    """
    return tuple(_hash(mask[row : row + BLOCK_ROWS]) for row in range(0, mask.shape[0], BLOCK_ROWS))


def _hash(block: NDArray[np.uint8]) -> str:
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
    array = np.ascontiguousarray(np.asarray(mask) != 0, dtype=np.uint8)
    if array.ndim != 2:
        raise ParameterError(f"a mask has two axes (y, x), not the shape {array.shape}")
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
        raise StoreError(f"{final}: the mask cannot be written: {error.strerror}") from error
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
    ny, nx = shape
    first, last = row0 // BLOCK_ROWS, -(-row1 // BLOCK_ROWS)
    if len(mask.hashes) != -(-ny // BLOCK_ROWS):
        raise InputError(mask.url, f"the mask has not the shape {shape} of its chip")
    out = np.zeros((row1 - row0, nx), dtype=bool)
    if not any(mask.hashes[first:last]):
        return out  # nothing to read: no pixel of these rows is bad
    start, stop = first * BLOCK_ROWS, min(last * BLOCK_ROWS, ny)
    with open_source(mask.url) as source:
        data_offset = _check_header(source.read_near(0, _HEADER_BYTES), mask.url, shape)
        raw = source.read(data_offset + start * nx, (stop - start) * nx)
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(-1, nx)
    if mask_hashes(rows) != mask.hashes[first:last]:
        raise InputError(
            mask.url,
            f"the mask is not the one of the record (rows {start} to {stop})",
            remedy="attach the mask again, so that the record learns of the change",
        )
    out[:] = rows[row0 - start : row1 - start] != 0
    return out


def _check_header(start: bytes, url: str, shape: tuple[int, int]) -> int:
    """Offset of the data, when the file holds uint8 of that shape."""
    file = io.BytesIO(start)
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        found, by_column, dtype = npy.read_array_header_1_0(file, max_header_size=_HEADER_BYTES)
    except ValueError as error:
        raise InputError(
            url, f"is not a mask: {error}", remedy="write masks with write_mask"
        ) from error
    if found != shape or by_column or dtype != np.uint8:
        raise InputError(
            url,
            f"is not a mask of this chip: {dtype} of shape {found}, expected uint8 of {shape}",
            remedy="write masks with write_mask",
        )
    return file.tell()
