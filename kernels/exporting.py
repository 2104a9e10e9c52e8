"""What an export does to every pixel: byte order with checksum, sets of chips, figures.

Each is one pass over a block, so that writing costs little beside making the pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel


@kernel
def swap_words(words: NDArray[np.uint32], out: NDArray[np.uint32]) -> int:
    """Turn 4-byte words round, and add them up as the FITS checksum does.

    Parameters
    ----------
    words : ndarray of uint32, shape (ny, nx)
        Pixels of any 4-byte type in the byte order of a little-endian machine.
    out : ndarray of uint32, shape (ny, nx)
        Receives the same in big-endian order.

    Returns
    -------
    int
        Sum of the words, without carrying beyond 32 bits; fits 64 for fewer than 2**32 words.
    """
    total = np.uint64(0)
    ny, nx = words.shape
    low, high = np.uint32(0x0000FF00), np.uint32(0x00FF0000)
    for j in range(ny):
        for i in range(nx):
            w = words[j, i]
            total += np.uint64(w)
            out[j, i] = (
                (w << np.uint32(24))
                | ((w << np.uint32(8)) & high)
                | ((w >> np.uint32(8)) & low)
                | (w >> np.uint32(24))
            )
    return int(total)


@kernel
def find_rows(
    keys: NDArray[np.uint64],
    known: NDArray[np.uint64],
    rows: NDArray[np.int32],
    used: NDArray[np.bool_],
) -> int:
    """Find where the keys of pixels stand in a sorted list; neighbours are mostly equal.

    Parameters
    ----------
    keys : ndarray of uint64, shape (ny, nx)
    known : ndarray of uint64, shape (n,)
        Ascending.
    rows : ndarray of int32, shape (ny, nx)
        Receives the place of each key; n for key 0, which stands for no chip.
    used : ndarray of bool, shape (n + 1,)
        Is set where a place occurs.

    Returns
    -------
    int
        Number of pixels whose key is not in the list.
    """
    n = known.size
    ny, nx = keys.shape
    unknown = 0
    last, row = np.uint64(0), n
    for j in range(ny):
        for i in range(nx):
            key = keys[j, i]
            if key != last:
                low, high = 0, n
                while low < high:
                    middle = (low + high) // 2
                    if known[middle] < key:
                        low = middle + 1
                    else:
                        high = middle
                last = key
                row = n if key == np.uint64(0) else low
                if key != np.uint64(0) and (low == n or known[low] != key):
                    unknown += 1
                    last, row = np.uint64(0), n
            rows[j, i] = row
            used[row] = True
    return unknown


@kernel
def spread_words(
    rows: NDArray[np.int32],
    place: NDArray[np.int32],
    words: NDArray[np.uint32],
    plane: NDArray[np.uint32],
) -> None:
    """Fill a plane with the word of each pixel's row.

    Parameters
    ----------
    rows : ndarray of int32, shape (ny, nx)
    place : ndarray of int32, shape (rows,)
        Where the word of a row stands.
    words : ndarray of uint32, shape (n,)
    plane : ndarray of uint32, shape (ny, nx)
        Receives them.
    """
    for j in range(plane.shape[0]):
        for i in range(plane.shape[1]):
            plane[j, i] = words[place[rows[j, i]]]


@kernel
def add_weights(
    wht: NDArray[np.float32],
    bits: NDArray[np.uint32],
    y0: int,
    x0: int,
    step: int,
    cells: NDArray[np.bool_],
    histogram: NDArray[np.int64],
    shift: int,
) -> tuple[int, float]:
    """Add the pixels of a block that have weight to a coarse map and to a histogram.

    Parameters
    ----------
    wht : ndarray of float32, shape (ny, nx)
    bits : ndarray of uint32, shape (ny, nx)
        The same memory.
    y0, x0 : int
        Where the first pixel lies in the plane, 0-based.
    step : int
        Pixels per side of a cell of the map.
    cells : ndarray of bool
        Is set where a cell has a pixel with weight.
    histogram : ndarray of int64
        Bin: the bits of the weight, shifted.
    shift : int
        Bits that the histogram does not look at.

    Returns
    -------
    pixels, weight
        Number of pixels with weight, and their sum.
    """
    count, total = 0, 0.0
    ny, nx = wht.shape
    for j in range(ny):
        row = (y0 + j) // step
        column, left = x0 // step, step - x0 % step
        for i in range(nx):
            if wht[j, i] > 0.0:
                count += 1
                total += np.float64(wht[j, i])
                histogram[bits[j, i] >> np.uint32(shift)] += 1
                cells[row, column] = True
            left -= 1
            if left == 0:
                column, left = column + 1, step
    return count, total
