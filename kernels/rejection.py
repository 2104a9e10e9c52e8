"""Cosmic rays in one exposure, against what the others say it should be.

A pixel is bad where it differs from the blotted median by more than its noise and the local slope
of that median allow; beside such pixels a stricter limit holds.  All in electrons.

Source: facts of AstroDrizzle's ``driz_cr``.  Differences, on purpose: the slope at a chip's border
looks at the neighbours that are there (upstream compares with zeros, so borders hide anything), and
the caller says what the noise is (upstream counts the sky twice).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel

Image = NDArray[np.float32]
Flags = NDArray[np.uint8]


@kernel
def slope(image: Image, zero_borders: bool, out: Image) -> None:
    """Largest difference of every pixel from its four neighbours, NaN ones left aside.

    Parameters
    ----------
    image, out : ndarray of float32, shape (ny, nx)
    zero_borders : bool
        Take 0 beyond the image, as upstream does, instead of nothing.
    """
    ny, nx = image.shape
    zero = np.zeros(nx, np.float32)
    for y in range(ny):
        here, result = image[y], out[y]
        below = image[y - 1] if y > 0 else (zero if zero_borders else here)
        above = image[y + 1] if y < ny - 1 else (zero if zero_borders else here)
        for x in range(np.uint64(nx)):
            a, b = abs(here[x] - below[x]), abs(here[x] - above[x])
            a = a if a >= 0.0 else np.float32(0.0)
            result[x] = b if b > a else a
        for x in range(np.uint64(1), np.uint64(nx)):
            d = abs(here[x] - here[x - np.uint64(1)])
            result[x] = d if d > result[x] else result[x]
        for x in range(np.uint64(nx - 1)):
            d = abs(here[x] - here[x + np.uint64(1)])
            result[x] = d if d > result[x] else result[x]
        if zero_borders:
            result[0] = max(result[0], abs(here[0]))
            result[nx - 1] = max(result[nx - 1], abs(here[nx - 1]))


@kernel
def differing(
    sci: Image,
    blot: Image,
    steep: Image,
    variance: Image,
    limits: tuple[float, float, float, float],
    first: Flags,
    second: Flags,
) -> None:
    """Mark pixels beyond the first and beyond the second limit.

    Parameters
    ----------
    sci, blot : ndarray of float32, shape (ny, nx), electrons
        Both with sky; NaN in ``blot`` where nothing is known: never marked.
    steep : ndarray of float32, shape (ny, nx)
        From `slope`.
    variance : ndarray of float32, shape (ny, nx), electrons**2
    limits : tuple of float
        Slope and noise factor of the first test, then of the second.
    first, second : ndarray of uint8, shape (ny, nx)
    """
    scale1, snr1, scale2, snr2 = limits
    for y in range(sci.shape[0]):
        a, b, s, v, f, g = sci[y], blot[y], steep[y], variance[y], first[y], second[y]
        for x in range(np.uint64(sci.shape[1])):
            difference = np.float64(abs(a[x] - b[x]))
            noise = math.sqrt(np.float64(v[x]))
            f[x] = difference > scale1 * s[x] + snr1 * noise
            g[x] = difference > scale2 * s[x] + snr2 * noise


@kernel
def join(first: Flags, second: Flags, out: Flags) -> None:
    """Mark what is beyond the second limit and has a pixel beyond the first in its 3 x 3."""
    ny, nx = first.shape
    columns = np.empty(nx, np.uint8)
    for y in range(ny):
        below, here, above = first[max(y - 1, 0)], first[y], first[min(y + 1, ny - 1)]
        strict, result = second[y], out[y]
        for x in range(np.uint64(nx)):
            columns[x] = below[x] | here[x] | above[x]
        result[0] = strict[0] & (columns[0] | columns[min(1, nx - 1)])
        result[nx - 1] = strict[nx - 1] & (columns[nx - 1] | columns[max(nx - 2, 0)])
        for x in range(np.uint64(1), np.uint64(nx - 1)):
            near = columns[x - np.uint64(1)] | columns[x] | columns[x + np.uint64(1)]
            result[x] = strict[x] & near


@kernel
def grow(bad: Flags, rows: tuple[int, int], columns: tuple[int, int], out: Flags) -> None:
    """Mark every pixel that has a marked one among its neighbours.

    Parameters
    ----------
    bad, out : ndarray of uint8, shape (ny, nx)
    rows, columns : tuple of int
        First and last offset, included, of the neighbours that are looked at.
    """
    ny, nx = bad.shape
    for y in range(ny):
        for x in range(nx):
            found = np.uint8(0)
            for j in range(max(y + rows[0], 0), min(y + rows[1], ny - 1) + 1):
                for i in range(max(x + columns[0], 0), min(x + columns[1], nx - 1) + 1):
                    found |= bad[j, i]
            out[y, x] = found
