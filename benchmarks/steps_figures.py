"""How far the products of one step lie from AstroDrizzle's: figures beside gates, on plain arrays.

The unit of a difference is the noise of the sky of AstroDrizzle's own image.  Stars' cores, and
what a cosmic ray hit, are told apart: a slope there turns a shift of 1e-4 pixels into a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.report import Figure
from hapdask.sky.frame import Frame

Image = NDArray[Any]
#: A core: this many times the noise above the sky, and so many pixels around.
_CORE, _AROUND = 20.0, 2
#: Weights below this part of the largest are a sliver of a pixel.
_SLIVER = 1e-6
_HEAVY = 0.01
_MEDIAN, _TAIL, _WEIGHT = 1e-3, 0.05, 1e-3
#: What 99.9 % of a blot must stay below, sigma.
BLOT_TAIL = 0.02
_EQUAL = 0.999


def noise_of(image: Image, where: Image | None = None) -> tuple[float, float]:
    """Level and noise of the sky of an image: its median, and what lies 34 % below it."""
    values = image[np.isfinite(image) if where is None else where]
    low, middle = np.percentile(values[:: max(values.size // 1_000_000, 1)], [15.87, 50.0])
    return float(middle), float(middle - low)


def core_of(image: Image) -> Image:
    """Tell the pixels of bright stars and cosmic rays, and those around."""
    level, noise = noise_of(image, np.isfinite(image) & (image != 0))
    bright = np.nan_to_num(image) > level + _CORE * noise
    return np.asarray(ndimage.binary_dilation(bright, np.ones((3, 3)), iterations=_AROUND))


def frames(mine: Frame, theirs: Frame, label: str) -> list[Figure]:
    """Figures of two frames: size, and the largest distance of their corners."""
    ny, nx = theirs.shape
    x, y = np.array([0.0, nx - 1.0, 0.0, nx - 1.0]), np.array([0.0, 0.0, ny - 1.0, ny - 1.0])
    there = mine.sky_to_pixel(*theirs.pixel_to_sky(x, y))
    away = float(np.hypot(there[0] - x, there[1] - y).max())
    size = float(mine.shape != theirs.shape)
    return [
        Figure(f"{label}: sizes that differ", size, "", "==", 0.0, f"{nx} x {ny}"),
        Figure(f"{label}: corners apart", away, "pixels", "<=", 1e-6),
    ]


def values(
    mine: Image, theirs: Image, where: Image, core: Image, label: str, *, tail: float = _TAIL
) -> list[Figure]:
    """Figures of two images where both are to be looked at.

    Parameters
    ----------
    mine, theirs : ndarray, shape (ny, nx)
    where, core : ndarray of bool
        Pixels that count, and those of them in cores.
    label : str
    tail : float
        What 99.9 % must stay below.
    """
    if mine.shape != theirs.shape or not where.any():
        return [Figure(f"{label}: pixels in common", 0.0, "", ">=", 1.0)]
    _, noise = noise_of(theirs, where)
    difference = np.abs(mine[where].astype(np.float64) - theirs[where]) / noise
    plain = difference[~core[where]]
    at_99_9 = float(np.quantile(plain, 0.999))
    note = f"max {plain.max():.2g}"
    gates = [
        Figure(f"{label}: 99.9 % outside cores", at_99_9, "sigma", "<=", tail, note),
    ]
    if tail == _TAIL:
        middle = float(np.median(difference))
        gates.insert(0, Figure(f"{label}: median", middle, "sigma", "<=", _MEDIAN))
    inside = difference[core[where]]
    if inside.size:
        gates.append(
            Figure(f"{label}: 99.9 % in cores", float(np.quantile(inside, 0.999)), "sigma")
        )
    return gates


def weights(mine: Image, theirs: Image, label: str) -> list[Figure]:
    """Figures of two weight maps."""
    least = _SLIVER * float(theirs.max())
    there = (mine > least) | (theirs > least)
    off = np.abs(mine[there] - theirs[there].astype(np.float64)) / np.maximum(theirs[there], least)
    return [
        Figure(
            f"{label}: WHT, 99.9 %", float(np.quantile(off, 0.999)), "relative", "<=", _WEIGHT,
            f"beyond: {np.mean(off > _WEIGHT):.2g}",
        )
    ]  # fmt: skip


def image_and_weight(
    mine: tuple[Image, Image], theirs: tuple[Image, Image], label: str
) -> list[Figure]:
    """Figures of SCI and WHT; pixels that either side gives next to no weight are left out."""
    both = (mine[1] > _HEAVY * mine[1].max()) & (theirs[1] > _HEAVY * theirs[1].max())
    found = values(mine[0], theirs[0], both, core_of(np.where(both, theirs[0], np.nan)), label)
    return found + weights(mine[1], theirs[1], label)


def masks(pairs: Sequence[tuple[Image, Image]], label: str) -> list[Figure]:
    """Figures of masks, True = bad, of several chips: all pixels, and those that either flags."""
    unlike = sum(int(np.count_nonzero(mine ^ theirs)) for mine, theirs in pairs)
    flagged = sum(int(np.count_nonzero(mine | theirs)) for mine, theirs in pairs)
    pixels = sum(mine.size for mine, _ in pairs)
    told = f"{unlike} are not, {flagged} are flagged"
    return [
        Figure(f"{label}: pixels that are equal", 1.0 - unlike / pixels, "", ">=", _EQUAL, told),
        Figure(f"{label}: of those flagged", 1.0 - unlike / max(flagged, 1), "", ">=", _EQUAL),
    ]


def contexts(unlike: Image, mine: Image, theirs: Image, label: str) -> list[Figure]:
    """Figures of contexts: where they differ, and the weights show that it is by no sliver."""
    off = np.abs(mine - theirs.astype(np.float64))
    heavy = unlike & (off > _SLIVER * theirs.max())
    count, note = float(np.count_nonzero(heavy)), f"{np.count_nonzero(unlike)} at all"
    return [Figure(f"{label}: CTX, weight above 1e-6", count, "pixels", "<=", 0.0, note)]


def merged(figures: Sequence[Figure]) -> list[Figure]:
    """The worst of the figures of one name: singles, chips and exposures in one line each."""
    by_name: dict[str, list[Figure]] = {}
    for figure in figures:
        by_name.setdefault(figure.name, []).append(figure)
    return [_worst(group) for group in by_name.values()]


def _worst(group: Sequence[Figure]) -> Figure:
    pick: Callable[..., Figure] = min if group[0].sense == ">=" else max
    return pick(group, key=lambda figure: figure.value)
