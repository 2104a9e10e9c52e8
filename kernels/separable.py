"""Kernels that are a product of two 1-D shapes about the mapped pixel centre.

Turbo, point, gaussian and Lanczos: a drop has the same shape wherever it falls, so a row of drops
is one row of positions and, along each axis, a few taps per drop.  The loops below have no
branches and no calls, so that LLVM turns them into vector code; the functions of a tap are
polynomials for the same reason.

Rules (Fruchter & Hook 2002; facts of the C library ``drizzle``), with s the output over the
detector pixel's side, p = pixfrac and d a distance along one axis in output pixels:

- turbo: overlap of a segment of p/s about the centre with the pixel, over p/s;
- point: 1 in the nearest pixel, an exact half going up;
- gaussian: exp(-e d^2) sqrt(e / pi), e = 2.3548^2 s^2 / (2 p^2), in the pixels from
  round(x - h) to round(x + h), h = max(2.5 p / (2.3548 s), 1.2 / s): not normalised;
- lanczosN: sinc(u) sinc(u / N), u = d s / p, where |u| < N: not normalised, partly negative.  (The
  C library reads it from a table; here it is computed.)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.adding import add_doubtful_row, add_row, row_values
from hapdask.kernels.areas import Length
from hapdask.kernels.blocks import BLOCK, PLANE, ROW, ChipPixels
from hapdask.kernels.jit import inline, kernel
from hapdask.kernels.mapping import PixelMap, map_row
from hapdask.kernels.sums import Reserve

_PLANE = np.uint64(PLANE)
TURBO, POINT, GAUSSIAN, LANCZOS2, LANCZOS3 = range(5)
CODES = {
    "turbo": TURBO,
    "point": POINT,
    "gaussian": GAUSSIAN,
    "lanczos2": LANCZOS2,
    "lanczos3": LANCZOS3,
}

#: Full width at half maximum of a Gaussian over its sigma, as drizzle has it.
_FWHM = 2.3548
#: Halvings of an exponent before the polynomial, undone by as many squarings.
_HALVINGS = 8
#: Beyond this exponent a Gaussian tap is nothing.
_FAINT = 50.0
#: Taylor coefficients in x**2 of sin(pi x) / (pi x) and of cos(pi x): 1e-15 for |x| <= 1.
_SINC = tuple((-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(14))
_COS = tuple((-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k) for k in range(15))


class Shape(NamedTuple):
    """A 1-D shape: its code, half width (output pixels), and exponent of a Gaussian."""

    code: int
    half: float
    rate: float


def make_shape(name: str, pixfrac: float, scale: float) -> Shape:
    """Give the shape of a kernel; ``scale`` is the side of an output over a detector pixel."""
    code = CODES[name]
    if code == TURBO:
        return Shape(code, 0.5 * pixfrac / scale, 0.0)
    if code == POINT:
        return Shape(code, 0.0, 0.0)
    if code == GAUSSIAN:
        half = max(2.5 * pixfrac / _FWHM, 1.2) / scale
        return Shape(code, half, 0.5 * (_FWHM * scale / pixfrac) ** 2)
    order = 2.0 if code == LANCZOS2 else 3.0
    return Shape(code, order * pixfrac / scale, 0.0)


def taps_of(shape: Shape) -> int:
    """Output pixels along an axis that a drop can touch."""
    if shape.code in (LANCZOS2, LANCZOS3):
        return math.ceil(2 * shape.half)
    return 1 if shape.code == POINT else int(2 * shape.half) + 2


@inline
def _even(c: tuple[float, ...], z: float) -> float:
    """Sum of c[k] z**k, by Horner's rule."""
    total: float = c[-1]
    for k in range(len(c) - 2, -1, -1):
        total = total * z + c[k]
    return total


@inline
def _exponential(x: float) -> float:
    """exp(-x) for x >= 0, to 1e-12 of its value up to x = 16; 2e-22 where it is less."""
    z = -min(x, _FAINT) / 2**_HALVINGS
    e: float = 1.0 + z * (
        1.0 + z * (1 / 2 + z * (1 / 6 + z * (1 / 24 + z * (1 / 120 + z * (1 / 720 + z / 5040)))))
    )
    for _ in range(_HALVINGS):
        e *= e
    return e


@inline
def _turbo(n: int, x: Any, half: float, taps: Length, weights: Any, base: Any) -> None:
    inverse = 0.5 / half
    for k in range(np.uint64(n)):
        low, high = x[k] - half, x[k] + half
        first = np.floor(low + 0.5)
        base[k] = np.int32(first)
        for t in range(len(taps)):
            border = first + (t - 0.5)
            overlap = min(high, border + 1.0) - max(low, border)
            weights[np.uint64(t) * _PLANE + k] = max(overlap, 0.0) * inverse


@inline
def _point(n: int, x: Any, weights: Any, base: Any) -> None:
    for k in range(np.uint64(n)):
        base[k] = np.int32(np.floor(x[k] + 0.5))
        weights[k] = 1.0


@inline
def _gaussian(
    n: int, x: Any, half: float, rate: float, taps: Length, weights: Any, base: Any
) -> None:
    height = math.sqrt(rate / math.pi)
    for k in range(np.uint64(n)):
        first, last = np.floor(x[k] - half + 0.5), np.floor(x[k] + half + 0.5)
        base[k] = np.int32(first)
        for t in range(len(taps)):
            at = first + t
            d = at - x[k]
            weight = height * _exponential(rate * d * d)
            weights[np.uint64(t) * _PLANE + k] = weight if at <= last else 0.0


@inline
def _lanczos2(n: int, x: Any, half: float, taps: Length, weights: Any, base: Any) -> None:
    inverse = 1.0 / half
    for k in range(np.uint64(n)):
        first = np.floor(x[k] - half) + 1.0
        base[k] = np.int32(first)
        for t in range(len(taps)):
            v = (first + t - x[k]) * inverse
            z = min(v * v, 1.0)
            sinc = _even(_SINC, z)
            # sinc(2 v) sinc(v), by the sine of twice an angle.
            weight = sinc * sinc * _even(_COS, z)
            weights[np.uint64(t) * _PLANE + k] = weight if v * v < 1.0 else 0.0


@inline
def _lanczos3(n: int, x: Any, half: float, taps: Length, weights: Any, base: Any) -> None:
    inverse = 1.0 / half
    for k in range(np.uint64(n)):
        first = np.floor(x[k] - half) + 1.0
        base[k] = np.int32(first)
        for t in range(len(taps)):
            v = (first + t - x[k]) * inverse
            z = min(v * v, 1.0)
            sinc = _even(_SINC, z)
            square = sinc * sinc
            # sinc(3 v) sinc(v), by the sine of three times an angle.
            weight = square - (4 / 3 * math.pi**2) * z * square * square
            weights[np.uint64(t) * _PLANE + k] = weight if v * v < 1.0 else 0.0


@inline
def axis_taps(n: int, x: Any, shape: Shape, taps: Length, weights: Any, base: Any) -> None:
    """Taps of a row of drops along one axis: plane t of ``weights``, from pixel ``base`` on."""
    if shape.code == TURBO:
        _turbo(n, x, shape.half, taps, weights, base)
    elif shape.code == POINT:
        _point(n, x, weights, base)
    elif shape.code == GAUSSIAN:
        _gaussian(n, x, shape.half, shape.rate, taps, weights, base)
    elif shape.code == LANCZOS2:
        _lanczos2(n, x, shape.half, taps, weights, base)
    else:
        _lanczos3(n, x, shape.half, taps, weights, base)


@inline
def overlaps(n: int, taps: Length, wx: Any, wy: Any, areas: Any) -> None:
    """Overlap of every drop with every pixel of its patch, as `areas.drop_areas` leaves it."""
    for r in range(len(taps)):
        row = np.uint64(r) * _PLANE
        for c in range(len(taps)):
            column = np.uint64(c) * _PLANE
            out = (np.uint64(r) * np.uint64(len(taps)) + np.uint64(c)) * _PLANE
            for k in range(np.uint64(n)):
                areas[out + k] = wy[row + k] * wx[column + k]


@inline
def _spread_totals(n: int, taps: Length, wx: Any, wy: Any, spread: Any, totals: Any) -> None:
    """Multiply u by the total overlap of each drop, which is 1 for turbo and point alone."""
    for k in range(np.uint64(n)):
        sum_x, sum_y = 0.0, 0.0
        for t in range(len(taps)):
            sum_x += wx[np.uint64(t) * _PLANE + k]
            sum_y += wy[np.uint64(t) * _PLANE + k]
        totals[k] = spread[k] * (sum_x * sum_y)


@kernel
def drizzle_blocks(
    pixel_map: PixelMap,
    chip: tuple[int, int],
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    shape: Shape,
    taps: Length,
    origin: tuple[int, int],
    clean: NDArray[np.float64],
    reserve: Reserve,
) -> None:
    """Drop the pixels of some blocks of a chip; see `hapdask.kernels.drizzle.drizzle_chip`."""
    x, y = np.empty(ROW), np.empty(ROW)
    wx, wy = np.zeros(len(taps) * PLANE), np.zeros(len(taps) * PLANE)
    areas = np.zeros(len(taps) * len(taps) * PLANE)
    base = np.zeros(2 * PLANE, np.int32)
    values, flat = np.zeros((4, ROW)), clean.reshape(-1)
    for b in range(blocks.shape[0]):
        row0, col0 = blocks[b, 0] * BLOCK[0], blocks[b, 1] * BLOCK[1]
        rows, n = min(BLOCK[0], chip[0] - row0), min(BLOCK[1], chip[1] - col0)
        for row in range(row0, row0 + rows):
            map_row(pixel_map, np.float64(col0), np.float64(row), n, x, y)
            axis_taps(n, x, shape, taps, wx, base[:PLANE])
            axis_taps(n, y, shape, taps, wy, base[PLANE:])
            line = row - pixels.first_row
            column = col0 - pixels.first_column
            weight = pixels.weight[line, column : column + n]
            doubt = pixels.doubt[line, column : column + n]
            n_doubtful = row_values(pixels, line, column, n, values)
            if pixels.err.size:
                _spread_totals(n, taps, wx, wy, values[2], values[3])
            overlaps(n, taps, wx, wy, areas)
            drops, flags = (areas, base), (weight, doubt)
            flux, plain, spread, totals = values[0], values[1], values[2], values[3]
            if clean.shape[2] == 4:
                noisy = (flux, plain, totals, spread)
                add_row(n, taps, drops, flags, noisy, origin, clean.shape, flat)
            else:
                add_row(n, taps, drops, flags, (flux, plain), origin, clean.shape, flat)
            if n_doubtful:
                add_doubtful_row(n, taps, (*drops, *flags, values), origin, clean, reserve)
