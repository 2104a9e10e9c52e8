"""Cosmic rays in one exposure, against what the others say it should be.

A pixel is bad where it stands above the blotted median by more than its noise and the local slope
of that median allow; beside such pixels a stricter limit holds.  All in electrons. A particle
only adds charge: what lies low is a bad pixel, or good where the median has caught a cosmic ray.
(Upstream's test marks it as well.)

Strategy: one pass over the rows.  Of every array only the rows around the present one are kept, so
that what is compared stays in the processor's first cache.

Source: facts of AstroDrizzle's ``driz_cr``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel

Image = NDArray[np.float32]
Flags = NDArray[np.uint8]

#: How the noise of a pixel is told: from ERR, from its light alone, as AstroDrizzle does.
ERROR, LIGHT, UPSTREAM = range(3)
_ONE = np.uint64(1)


class Levels(NamedTuple):
    """What turns the arrays into electrons, and the noise of a pixel without light.

    Attributes
    ----------
    kind : int
        ``ERROR``, ``LIGHT`` or ``UPSTREAM``.
    electrons : float
        Per unit of ``sci`` and ``err``.
    counts : float
        Electrons per unit of ``blot``.
    sky : float, electrons
        Added to ``blot``.
    floor : float, electrons**2
        Variance of a pixel without light; for ``ERROR`` the least that is believed.
    light : float, electrons
        Least light whose noise a pixel has: a median that fell low by its own noise does not make
        a pixel quieter.  For ``UPSTREAM``: added to the light once more, in the noise alone.
    factor : float
        Of the variance, for the noise of what is compared with.  For ``UPSTREAM`` the gain, which
        multiplies the light and divides the noise.
    """

    kind: int
    electrons: float
    counts: float
    sky: float
    floor: float
    light: float = 0.0
    factor: float = 1.0


@kernel
def find(
    sci: Image,
    err: Image,
    blot: Image,
    levels: Levels,
    limits: tuple[float, float, float, float],
    out: Flags,
) -> None:
    """Mark pixels that differ from what they should be.

    Parameters
    ----------
    sci : ndarray of float32, shape (ny, nx)
        With sky.
    err : ndarray of float32, shape (ny, nx)
        Not looked at unless the noise is ``ERROR``.
    blot : ndarray of float32, shape (ny, nx)
        Without sky; NaN where nothing is known: never marked.
    levels : Levels
        ``UPSTREAM`` takes zero beyond the border for its slopes; else only what is there counts.
    limits : tuple of float
        Slope and noise factor of the first test, then of the second, which holds for pixels with
        one beyond the first in their 3 x 3.
    out : ndarray of uint8, shape (ny, nx)
        Receives 1 for bad pixels.
    """
    ny, nx = blot.shape
    upstream = levels.kind == UPSTREAM
    model, beyond = np.zeros((3, nx + 2), np.float32), np.zeros(nx + 2, np.float32)
    steep, near = np.zeros(nx, np.float32), np.zeros(nx + 2, np.uint8)
    first, second = np.zeros((3, nx + 2), np.uint8), np.zeros((3, nx), np.uint8)
    _expect(nx, blot[0], levels, model[0])
    for y in range(ny + 1):
        if y < ny:
            here = model[y % 3]
            below, above = model[(y + 2) % 3], model[(y + 1) % 3]
            if y + 1 < ny:
                _expect(nx, blot[y + 1], levels, above)
            if y == 0:
                below = beyond if upstream else here
            if y + 1 == ny or (upstream and y + 2 == ny):
                above = beyond if upstream else here
            _slope(nx, here, below, above, steep)
            if upstream:
                _border_slopes(y, ny, nx, here, below, above, steep)
            flags = first[y % 3], second[y % 3]
            _compare(nx, sci[y], err[y], here, steep, levels, limits, *flags)
        else:
            first[y % 3] = 0
        if y > 0:  # the row before, whose neighbours are all known now
            _join(nx, first, second[(y + 2) % 3], near, out[y - 1])


@inline
def _expect(nx: int, blot: Any, levels: Levels, out: Any) -> None:
    """Electrons of a row, with its first and last value once more at its ends."""
    counts, sky = np.float32(levels.counts), np.float32(levels.sky)
    for x in range(np.uint64(nx)):
        out[x + _ONE] = blot[x] * counts + sky
    out[0], out[nx + 1] = out[1], out[nx]


@inline
def _slope(nx: int, here: Any, below: Any, above: Any, steep: Any) -> None:
    """Largest difference of every pixel from its four neighbours, NaN ones left aside."""
    for x in range(np.uint64(nx)):
        k = x + _ONE
        value = here[k]
        a, b = abs(value - below[k]), abs(value - above[k])
        c, d = abs(value - here[x]), abs(value - here[k + _ONE])
        most = a if a > np.float32(0.0) else np.float32(0.0)
        most = b if b > most else most
        most = c if c > most else most
        steep[x] = d if d > most else most


@inline
def _border_slopes(y: int, ny: int, nx: int, here: Any, below: Any, above: Any, steep: Any) -> None:
    """Upstream's slopes along a border: zeros beyond it, and beyond the last column but one."""
    if y == ny - 1:
        for x in range(nx):
            steep[x] = abs(here[x + 1])
        return
    steep[0] = max(steep[0], abs(here[1]))
    if nx > 1:
        k = nx - 1
        value = here[k]
        across = max(abs(value - below[k]), abs(value - above[k]))
        before = abs(value - here[k - 1]) if nx > 2 else abs(value)
        steep[k - 1] = max(abs(value), across, before)
    steep[nx - 1] = abs(here[nx])


@inline
def _compare(
    nx: int,
    sci: Any,
    err: Any,
    here: Any,
    steep: Any,
    levels: Levels,
    limits: tuple[float, float, float, float],
    first: Any,
    second: Any,
) -> None:
    """Mark the pixels of a row beyond the first and beyond the second limit."""
    scale1, snr1 = np.float32(limits[0]), np.float32(limits[1])
    scale2, snr2 = np.float32(limits[2]), np.float32(limits[3])
    electrons, floor = np.float32(levels.electrons), np.float32(levels.floor)
    more, factor, zero = np.float32(levels.light), np.float32(levels.factor), np.float32(0.0)
    if levels.kind == UPSTREAM:
        for x in range(np.uint64(nx)):
            light = here[x + _ONE]
            difference, slope = abs(sci[x] * electrons - light), steep[x]
            noise = np.sqrt(factor * abs(light + more) + floor) / factor
            first[x + _ONE] = difference > scale1 * slope + snr1 * noise
            second[x] = difference > scale2 * slope + snr2 * noise
    elif levels.kind == LIGHT:
        for x in range(np.uint64(nx)):
            light = here[x + _ONE]
            difference, slope = sci[x] * electrons - light, steep[x]
            noise = np.sqrt(factor * ((light if light > more else more) + floor))
            first[x + _ONE] = difference > scale1 * slope + snr1 * noise
            second[x] = difference > scale2 * slope + snr2 * noise
    else:
        for x in range(np.uint64(nx)):
            value, light, error = sci[x] * electrons, here[x + _ONE], err[x] * electrons
            # What ERR holds beside the pixel's own counts, a cosmic ray's among them.
            rest = error * error - (value if value > zero else zero)
            rest = rest if rest > floor else floor
            difference, slope = value - light, steep[x]
            noise = np.sqrt(factor * ((light if light > more else more) + rest))
            first[x + _ONE] = difference > scale1 * slope + snr1 * noise
            second[x] = difference > scale2 * slope + snr2 * noise


@inline
def _join(nx: int, first: Any, second: Any, near: Any, out: Any) -> None:
    """Mark what is beyond the second limit and has a pixel beyond the first in its 3 x 3."""
    a, b, c = first[0], first[1], first[2]
    for x in range(np.uint64(nx + 2)):
        near[x] = a[x] | b[x] | c[x]
    for x in range(np.uint64(nx)):
        out[x] = second[x] & (near[x] | near[x + _ONE] | near[x + _ONE + _ONE])


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
