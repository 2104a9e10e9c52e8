"""Whether the telescope shook: many round sources of one width, far wider than a star.

Jitter smears a star over some hundred pixels, until no peak is left that the star finder, made for
sharp ones, could find, and cosmic rays outnumber it by far.  A running median takes the cosmic rays
away, and with them all sharp stars; what is wide stays.  Of that, galaxies have any width and any
shape: only jitter makes all alike.

Source of the widths (moments weighted by an ellipse that is fitted to them): Bernstein and Jarvis
2002, AJ 123, 583.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage, Floats, Image, Indices, Mask
from hapdask.astrometry.detection.psf import Psf
from hapdask.astrometry.guiding.chance import by_chance

#: Side of the running median, pixels; the samples that are kept are at most so far apart, arcsec,
#: and at most a side.
_SIDE, _APART = 3, 0.12
#: Pairs to put in order until the fifth of nine is their median.
#: Source: Paeth 1990, "Median finding on a 3x3 grid", Graphics Gems, p. 171.
_EXCHANGES = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
    (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip
#: Rows of samples at a time.
_ROWS = 128
#: Sigma of the Gaussian that peaks are looked for with, arcsec and least in samples; their height
#: in noise; how many, the brightest.
_SMOOTH, _LEAST_SMOOTH, _HEIGHT, _MOST = 0.12, 0.7, 8.0, 150
#: Half of a stamp, arcsec, and its bounds in samples.
_HALF, _HALF_LEAST, _HALF_MOST = 0.9, 4, 11
#: Steps of a weighted moment; its largest step and distance from the peak, samples; least light
#: (electrons) that has moments.
_STEPS, _STEP, _AWAY, _LEAST_MASS = 25, 0.5, 3.0, 1e-3
#: Least signal to noise of what has a width.
_SNR = 20.0
#: Largest ellipticity of what is round; within which factor widths agree, and the chance that a
#: galaxy is round and does.
_ROUND, _WINDOWS = 0.2, ((1.17, 0.08), (1.06, 0.03))
#: Part of the sources that must agree, how many at least, and the logarithm of the largest
#: probability of chance.
_PART, _FEWEST, _CHANCE = 0.4, 5, -4.5
#: Least width (rms on each axis) that shaking adds, arcsec.
_ADDED = 0.08
#: Width along the narrow axis, of what a sharp source leaves, below which it is one; and by how
#: many standard deviations the brightest pixel of a star stands out too far.
_NARROW, _SHARP = 1.1, 3.0


class Widths(NamedTuple):
    """Of what is left of a chip without what is sharp.

    Attributes
    ----------
    width : ndarray of float64, shape (n,), arcsec
        Sigma, geometric mean of both axes.
    smeared : ndarray of bool
        Whether it may be a star that shook: round, and not sharp in the middle.
    steady : float, arcsec
        Width of a star, had it been wide enough to stay.
    """

    width: Floats
    smeared: Mask
    steady: float


class Shaking(NamedTuple):
    """The width that round sources share.

    Attributes
    ----------
    added : float, arcsec
        To a star's: rms on each axis; NaN where there is none.
    agreeing, sources : int
    sure : bool
    """

    added: float
    agreeing: int
    sources: int
    sure: bool


def measure_widths(image: ChipImage, psf: Psf, scale: float, *, hit: bool) -> Widths:
    """Measure what is wide.

    Parameters
    ----------
    image : ChipImage
    psf : Psf
        Expected.
    scale : float, arcsec / pixel
    hit : bool
        Whether there are cosmic rays to be taken away.
    """
    from scipy import ndimage

    side = _SIDE if hit else 1
    every = int(np.clip(round(_APART / scale), 1, side))
    light, apart = _without_sharp(image, side, every), scale * every
    steady = scale * math.sqrt(psf.sigma**2 + side**2 / 12.0)
    sigma = max(_SMOOTH / apart, _LEAST_SMOOTH)
    smooth = ndimage.gaussian_filter(light, sigma)
    half = int(np.clip(round(_HALF / apart), _HALF_LEAST, _HALF_MOST))
    x, y = _peaks(smooth, half)
    if x.size == 0:
        return Widths(np.empty(0), np.empty(0, np.bool_), steady)
    around = np.arange(-half, half + 1)
    stamps = light[y[:, None, None] + around[:, None], x[:, None, None] + around]
    weighted, moments = _moments(stamps.astype(np.float64), half, math.sqrt(2.0) * sigma)
    xx, yy, xy = moments
    width = np.maximum(xx * yy - xy**2, 0.0) ** 0.25
    electrons = weighted * every**2
    noise = every**2 * math.sqrt(math.pi) * width * _scatter(light)
    snr = electrons / np.sqrt(np.maximum(np.square(noise) + electrons, 1e-9))
    split = np.hypot(xx - yy, 2.0 * xy)
    narrow = apart * np.sqrt(np.maximum(0.5 * (xx + yy - split), 0.0))
    # what a cosmic ray leaves is as narrow as the median's window
    kept = (snr > _SNR) & (narrow > _NARROW * steady)
    x, y = (at * every + side // 2 for at in (x, y))
    smeared = (split < _ROUND * (xx + yy)) & ~_sharp(image, x, y, psf, scale)
    return Widths(width[kept] * apart, smeared[kept], steady)


def common_width(chips: Sequence[Widths]) -> Shaking:
    """Find the width that round sources of an exposure share, by chip."""
    width = np.concatenate([np.empty(0), *(chip.width for chip in chips)])
    steady = np.concatenate([np.empty(0), *(np.full(len(c.width), c.steady) for c in chips)])
    smeared = np.concatenate([np.empty(0, np.bool_), *(chip.smeared for chip in chips)])
    added = np.square(width) - np.square(steady)
    fair = smeared & (added > _ADDED**2)
    n, found = width.size, Shaking(math.nan, 0, width.size, False)
    if not fair.any():
        return found
    # what is the same on every chip is what was added; what can be told to a factor is the whole
    unlike = np.abs(added - added[:, None]) / np.square(width)
    for factor, likely in _WINDOWS:
        alike = (unlike < 2.0 * math.log(factor)) & fair & fair[:, None]
        members = alike[int(np.argmax(np.count_nonzero(alike, axis=1)))]
        agreeing = int(np.count_nonzero(members))
        sure = agreeing >= max(_FEWEST, _PART * n)
        sure &= by_chance(agreeing, n, likely, n) < _CHANCE
        found = Shaking(math.sqrt(float(np.median(added[members]))), agreeing, n, sure)
        if sure:
            break
    return found


def _without_sharp(image: ChipImage, side: int, every: int) -> Image:
    """Take the running median above the background at every so many pixels; unusable: 0."""
    rows, columns = image.background.boxes(image.shape)
    level = image.background.level.astype(np.float32)[:, columns]
    starts = np.arange(0, image.shape[0] - side + 1, every)
    found = []
    for first in range(0, starts.size, _ROWS):
        some = starts[first : first + _ROWS]
        taken = slice(int(some[0]), int(some[-1]) + side)
        light = np.where(image.usable[taken], image.electrons[taken] - level[rows[taken]], 0.0)
        windows = np.lib.stride_tricks.sliding_window_view(light, (side, side))[::every, ::every]
        found.append(_median_of_nine(windows) if side == _SIDE else windows[..., 0, 0])
    whole: Image = np.concatenate(found).astype(np.float32)
    return whole - np.float32(np.median(whole))


def _median_of_nine(windows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Take the median of the last two axes, three by three: by exchanges, ten times sooner."""
    nine = [np.ascontiguousarray(windows[..., j, i]) for j in range(3) for i in range(3)]
    for a, b in _EXCHANGES:
        nine[a], nine[b] = np.minimum(nine[a], nine[b]), np.maximum(nine[a], nine[b])
    return nine[4]


def _sharp(image: ChipImage, x: Indices, y: Indices, psf: Psf, scale: float) -> Mask:
    """Whether one pixel of the three by three about (x, y) is too bright for a star that shook.

    The median of a bright star's wings is wide too.
    """
    shaken = math.hypot(psf.sigma, _ADDED / scale)
    limits = []
    for sigma in (psf.sigma, shaken):
        star = Psf(sigma, psf.wings).images(np.zeros(1), np.zeros(1), 1)[0]
        limits.append(float(star.max() / np.median(star)))
    around = np.arange(-1, 2)
    light = image.electrons[y[:, None, None] + around[:, None], x[:, None, None] + around]
    level, noise = image.background.at(x.astype(float), y.astype(float))
    light = light.astype(np.float64) - level[:, None, None]
    middle, most = np.median(light, axis=(1, 2)), light.max(axis=(1, 2))
    over = most - math.sqrt(limits[0] * limits[1]) * middle
    sharp: Mask = over > _SHARP * np.sqrt(noise**2 + np.maximum(most, 0.0))
    return sharp


def _scatter(values: Image) -> float:
    return 1.4826 * float(np.median(np.abs(values)))


def _peaks(smooth: Image, half: int) -> tuple[Indices, Indices]:
    """Places of the brightest maxima whose stamps are whole."""
    from scipy import ndimage

    highest: Mask = smooth == ndimage.maximum_filter(smooth, size=5)
    highest &= smooth > max(_HEIGHT * _scatter(smooth), 1e-6)
    y, x = np.nonzero(highest)
    ny, nx = smooth.shape
    whole = (x >= half) & (y >= half) & (x < nx - half) & (y < ny - half)
    x, y = x[whole], y[whole]
    order = np.argsort(-smooth[y, x], kind="stable")[:_MOST]
    return x[order], y[order]


def _moments(stamps: Floats, half: int, sigma: float) -> tuple[Floats, tuple[Floats, ...]]:
    """Light under a weight of the source's own shape, and that shape: xx, yy, xy.

    A Gaussian weighted by itself has half of its second moments.  What does not converge has none
    of either.
    """
    side = np.arange(-half, half + 1.0)
    n = len(stamps)
    x, y, mass = np.zeros(n), np.zeros(n), np.zeros(n)
    xx, yy, xy = np.full(n, sigma**2), np.full(n, sigma**2), np.zeros(n)
    sound: NDArray[np.bool_] = np.ones(n, np.bool_)
    for _ in range(_STEPS):
        dx, dy = side - x[:, None, None], side[:, None] - y[:, None, None]
        area = np.maximum(xx * yy - xy**2, 1e-6)
        a, b, c = ((v / area)[:, None, None] for v in (yy, xx, xy))
        light = stamps * np.exp(-0.5 * (a * dx**2 + b * dy**2 - 2.0 * c * dx * dy))
        mass = light.sum(axis=(1, 2))
        over = 1.0 / np.where(mass > _LEAST_MASS, mass, np.inf)
        mx, my = ((light * d).sum(axis=(1, 2)) * over for d in (dx, dy))
        xx, yy, xy = (
            2.0 * ((light * d).sum(axis=(1, 2)) * over - m)
            for d, m in ((dx**2, mx**2), (dy**2, my**2), (dx * dy, mx * my))
        )
        x, y = x + np.clip(2.0 * mx, -_STEP, _STEP), y + np.clip(2.0 * my, -_STEP, _STEP)
        sound &= (mass > _LEAST_MASS) & (xx > 0.0) & (yy > 0.0) & (xx * yy - xy**2 > 1e-5)
        sound &= (xx + yy < 2.0 * half**2) & (np.hypot(x, y) < _AWAY)
        xx, yy, xy = np.where(sound, (xx, yy, xy), [[1.0], [1.0], [0.0]])
        x, y = x * sound, y * sound
    return mass * sound, (xx, yy, xy)
