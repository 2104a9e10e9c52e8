"""Blotting: an image on the sky interpolated back to the pixels of a detector.

Every interpolation is a product of two 1-D ones, so a row of detector pixels is one row of
positions, a few weights per pixel along each axis, and a sum over a small patch of the image.
Positions are float64; weights and sums float32, as the image is.

Source: facts of AstroDrizzle's ``tblot``: poly3 and poly5 are Everett's central-difference
formulae, which are the Lagrange polynomials through 4 and 6 points; sinc has 15 tapered points.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.areas import Length
from hapdask.kernels.blocks import BLOCK, ROW
from hapdask.kernels.jit import inline, kernel
from hapdask.kernels.mapping import PixelMap, map_row
from hapdask.kernels.vectors import prefetch, sum_patch

_ROW = np.uint64(ROW)
NEAREST, LINEAR, POLY3, POLY5, SINC = range(5)
CODES = {"nearest": NEAREST, "linear": LINEAR, "poly3": POLY3, "poly5": POLY5, "sinc": SINC}
#: Image pixels that each interpolation needs along an axis, and how many of them lie before.
TAPS = {NEAREST: 1, LINEAR: 2, POLY3: 4, POLY5: 6, SINC: 15}
_BEFORE = {NEAREST: 0, LINEAR: 0, POLY3: 1, POLY5: 2, SINC: 7}
_HALF = 7  # points of the sinc on either side
#: Closer to a pixel than this, sinc takes the pixel.
_CLOSE = 1e-3


def reach(code: int) -> int:
    """Image pixels needed beyond the one in which a position lies."""
    return TAPS[code] - _BEFORE[code]


@inline
def _near(n: int, x: Any, code: int, weights: Any, base: Any) -> None:
    for k in range(np.uint64(n)):
        first = np.floor(x[k] + 0.5) if code == NEAREST else np.floor(x[k])
        s = x[k] - first
        base[k] = np.int32(first)
        weights[k] = 1.0 if code == NEAREST else 1.0 - s
        if code == LINEAR:
            weights[_ROW + k] = s


@inline
def _poly3(n: int, x: Any, weights: Any, base: Any) -> None:
    for k in range(np.uint64(n)):
        first = np.floor(x[k])
        s = x[k] - first
        t = 1.0 - s
        a, b = t * (t * t - 1.0) / 6.0, s * (s * s - 1.0) / 6.0
        base[k] = np.int32(first) - 1
        weights[k] = a
        weights[_ROW + k] = t - 2.0 * a + b
        weights[np.uint64(2) * _ROW + k] = s - 2.0 * b + a
        weights[np.uint64(3) * _ROW + k] = b


@inline
def _poly5(n: int, x: Any, weights: Any, base: Any) -> None:
    for k in range(np.uint64(n)):
        first = np.floor(x[k])
        s = x[k] - first
        t = 1.0 - s
        a, b = t * (t * t - 1.0) / 6.0, s * (s * s - 1.0) / 6.0
        c, d = a * (t * t - 4.0) / 20.0, b * (s * s - 4.0) / 20.0
        base[k] = np.int32(first) - 2
        weights[k] = c
        weights[_ROW + k] = a - 4.0 * c + d
        weights[np.uint64(2) * _ROW + k] = t - 2.0 * a + b + 6.0 * c - 4.0 * d
        weights[np.uint64(3) * _ROW + k] = s - 2.0 * b + a - 4.0 * c + 6.0 * d
        weights[np.uint64(4) * _ROW + k] = b + c - 4.0 * d
        weights[np.uint64(5) * _ROW + k] = d


@inline
def _sinc(n: int, x: Any, scale: float, weights: Any, base: Any) -> None:
    for k in range(n):
        nearest = math.floor(x[k] + 0.5)
        base[k] = nearest - _HALF
        total = 0.0
        for j in range(-_HALF, _HALF + 1):
            distance = (x[k] - nearest - j) * scale
            d = 0.5 * math.pi / _HALF * j
            taper = 1.0 - 0.49670 * d**2 + 0.03705 * d**4
            if abs(x[k] - nearest) < _CLOSE:
                weight = 1.0 if j == 0 else 0.0
            else:
                weight = math.sin(math.pi * distance) / (math.pi * distance) * taper * taper
            weights[(j + _HALF) * ROW + k] = weight
            total += weight
        for j in range(2 * _HALF + 1):
            weights[j * ROW + k] /= total


@inline
def _axis(n: int, x: Any, code: int, scale: float, weights: Any, base: Any) -> None:
    if code == POLY5:
        _poly5(n, x, weights, base)
    elif code == POLY3:
        _poly3(n, x, weights, base)
    elif code == SINC:
        _sinc(n, x, scale, weights, base)
    else:
        _near(n, x, code, weights, base)


@inline
def _interpolate(
    n: int, taps: Length, wx: Any, wy: Any, base: Any, image: NDArray[np.float32], out: Any
) -> None:
    last_y, last_x = image.shape[0] - len(taps), image.shape[1] - len(taps)
    flat, width = image.reshape(-1), np.uint64(image.shape[1])
    for k in range(np.uint64(n)):
        x0, y0 = base[k], base[_ROW + k]
        if x0 < 0 or y0 < 0 or x0 > last_x or y0 > last_y:
            out[k] = np.float32(np.nan)
            continue
        place = np.uint64(y0) * width + np.uint64(x0)
        if k & np.uint64(15) == 0:
            prefetch(flat, place + np.uint64(len(taps)) * width)
            prefetch(flat, place - width)
        out[k] = sum_patch(taps, (wx, wy), k, flat, place, width)


@kernel
def blot(
    pixel_map: PixelMap,
    chip: tuple[int, int],
    blocks: NDArray[np.int64],
    image: NDArray[np.float32],
    origin: tuple[int, int],
    code: int,
    scale: float,
    taps: Length,
    first: tuple[int, int],
    box: tuple[int, int, int, int],
    out: NDArray[np.float32],
    own: NDArray[np.uint8],
) -> None:
    """Interpolate an image at the centres of the detector pixels of some blocks.

    Parameters
    ----------
    pixel_map : PixelMap
        From the chip to the root grid of the image.
    chip : tuple of int
        Detector rows and columns.
    blocks : ndarray of int64, shape (n, 2)
    image : ndarray of float32, shape (ny, nx)
        With `reach` pixels around all that is to be interpolated.
    origin : tuple of int
        Root-grid row and column of ``image[0, 0]``.
    code : int
        One of `CODES`.
    scale : float
        Of the sinc.
    taps : tuple of int, length TAPS[code]
    first : tuple of int
        Detector row and column of element [0, 0] of ``out``.
    box : tuple of int
        Root-grid rows y0, y1 and columns x0, x1 (ends excluded).
    out : ndarray of float32, shape (rows, columns)
        Receives the values; NaN for pixels whose patch is not within the image.
    own : ndarray of uint8, shape (rows, columns)
        Receives 1 for pixels whose centre falls into the box: each in one of many boxes.
    """
    x, y = np.empty(ROW), np.empty(ROW)
    wx, wy = np.zeros(len(taps) * ROW, np.float32), np.zeros(len(taps) * ROW, np.float32)
    base = np.zeros(2 * ROW, np.int32)
    for b in range(blocks.shape[0]):
        row0, col0 = blocks[b, 0] * BLOCK[0], blocks[b, 1] * BLOCK[1]
        rows, n = min(BLOCK[0], chip[0] - row0), min(BLOCK[1], chip[1] - col0)
        for row in range(row0, row0 + rows):
            map_row(pixel_map, np.float64(col0), np.float64(row), n, x, y)
            line, column = row - first[0], col0 - first[1]
            mine = own[line, column : column + n]
            for k in range(np.uint64(n)):
                i, j = np.floor(x[k] + 0.5), np.floor(y[k] + 0.5)
                mine[k] = (j >= box[0]) & (j < box[1]) & (i >= box[2]) & (i < box[3])
                x[k] -= origin[1]
                y[k] -= origin[0]
            _axis(n, x, code, scale, wx, base[:ROW])
            _axis(n, y, code, scale, wy, base[ROW:])
            _interpolate(n, taps, wx, wy, base, image, out[line, column : column + n])
