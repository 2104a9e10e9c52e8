"""What the shapes of an exposure's sources have in common: a direction, a width.

A drift draws every star into the same streak: the second moments of many sources share an excess,
L**2 / 12 along one direction.  Galaxies and cosmic rays that are left point anywhere.  Fast jitter
makes every star as much wider, where galaxies have any size.

What else makes a common direction must not count: pixels that are not square (between round on the
sky and round on the pixels lies every honest image).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.guiding.chance import by_chance
from hapdask.astrometry.guiding.shapes import Shapes

Floats = NDArray[np.float64]

#: Shortest streak that counts, arcsec; how sure a mean of many must be, and the part of them that
#: must point the same way within so many degrees.
_SHORTEST, _SURE, _AGREE, _WITHIN = 0.075, 4.0, 0.5, 25.0
#: Of few sources: how near, in degrees and as a factor of length, streaks must be to be the same,
#: and the chance that two are; the part of the sources that must have one; how many at least; and
#: its least length in widths of a star.
_WINDOWS = ((25.0, 1.6, 0.14), (8.0, 1.3, 0.03))
_PART, _FEWEST, _LEAST = 0.35, 4, 2.5
#: Logarithm of the largest probability of chance: for many, for few.
_MANY_CHANCE, _FEW_CHANCE = -6.0, -4.0
#: Width that jitter adds, arcsec, and width in units of a star's, from where stars are blurred;
#: within which they agree, as a factor; its chance; the part of the sources that must; and the part
#: that may be as narrow as stars (their width).
_ADDED, _BLURRED, _SAME, _SAME_CHANCE = 0.07, 1.45, 1.17, 0.2
_BLURRED_PART, _STARS, _STAR = 0.5, 0.1, 1.2


class Streak(NamedTuple):
    """A common streak.

    Attributes
    ----------
    length : float, arcsec
    angle : float, degrees east of north, 0 to 180
    significance : float
        Excess over its error.
    agreeing : int
        Sources that have it.
    sure : bool
    """

    length: float
    angle: float
    significance: float
    agreeing: int
    sure: bool

    @property
    def vector(self) -> Floats:
        """Direction of its (plus, cross)."""
        turn = math.radians(2.0 * (90.0 - self.angle))
        return np.array([math.cos(turn), math.sin(turn)])


def common_streak(chips: Sequence[Shapes]) -> Streak:
    """Find the streak that the sources of an exposure share, by chip; there must be some."""
    moments = np.concatenate([np.stack([s.plus, s.cross], axis=1) for s in chips])
    sizes = [len(shapes.plus) for shapes in chips]
    geometry = np.average([shapes.geometry for shapes in chips], axis=0, weights=sizes)
    many = _of_many(moments, geometry)
    star = max(shapes.star for shapes in chips)
    return many if many.sure else _of_few(moments, geometry, star, many)


def _honest(moments: Floats, geometry: Floats) -> Floats:
    """Give what the shape of pixels may make of moments."""
    share = np.clip(moments @ geometry / max(float(geometry @ geometry), 1e-30), 0.0, 1.0)
    found: Floats = np.multiply.outer(share, geometry)
    return found


def _angle(turn: float) -> float:
    # plus is east-west: an angle from north through east
    return (90.0 - math.degrees(turn) / 2.0) % 180.0


def _of_many(moments: Floats, geometry: Floats) -> Streak:
    """By the median: a short streak that noise hides in every single source."""
    n = len(moments)
    middle = np.median(moments, axis=0)
    scatter = 1.4826 * float(np.median(np.abs(moments - middle)))
    honest = _honest(middle, geometry)
    size = float(np.hypot(*(middle - honest)))
    turn = math.atan2(*(middle - honest)[::-1])
    away = moments - honest
    turned = np.angle(np.exp(1j * (np.arctan2(away[:, 1], away[:, 0]) - turn))) / 2.0
    agreeing = int(np.count_nonzero(np.abs(turned) < math.radians(_WITHIN)))
    length = math.sqrt(12.0 * size)
    significance = size / max(1.2533 * scatter / math.sqrt(n), 1e-12)
    sure = length > _SHORTEST and significance > _SURE and agreeing > _AGREE * n
    sure &= by_chance(agreeing, n, _WITHIN / 90.0, 1) < _MANY_CHANCE
    return Streak(length, _angle(turn), significance, agreeing, sure)


def _of_few(moments: Floats, geometry: Floats, star: float, many: Streak) -> Streak:
    """By the most that are alike: a plain streak among galaxies and cosmic rays."""
    n = len(moments)
    excess = moments - _honest(moments, geometry)
    size, turn = np.log(np.maximum(np.hypot(*excess.T), 1e-12)), np.arctan2(*excess.T[::-1])
    turned = np.abs(np.angle(np.exp(1j * (turn - turn[:, None]))))
    longer = np.abs(size - size[:, None])
    for within, factor, chance in _WINDOWS:
        alike = (turned < math.radians(2.0 * within)) & (longer < 2.0 * math.log(factor))
        members = excess[alike[int(np.argmax(np.count_nonzero(alike, axis=1)))]]
        agreeing, middle = len(members), np.median(members, axis=0)
        length = math.sqrt(12.0 * float(np.hypot(*middle)))
        sure = agreeing >= max(_PART * n, _FEWEST) and length > max(_SHORTEST, _LEAST * star)
        if sure and by_chance(agreeing, n, chance, n) < _FEW_CHANCE:
            angle = _angle(math.atan2(middle[1], middle[0]))
            return Streak(length, angle, many.significance, agreeing, True)
    return many


class Blur(NamedTuple):
    """A common width.

    Attributes
    ----------
    width : float
        In units of a star's.
    agreeing : int
        Sources that have it.
    sure : bool
        Whether all stars are blurred.
    """

    width: float
    agreeing: int
    sure: bool


def common_blur(chips: Sequence[Shapes]) -> Blur:
    """Find the width that most sources of an exposure share, by chip; there must be some."""
    size = np.concatenate([shapes.size for shapes in chips])
    size = np.sort(size[np.isfinite(size) & (size > 0.0)])
    if size.size == 0:
        return Blur(math.nan, 0, False)
    first = np.searchsorted(size, size / _SAME)
    last = np.searchsorted(size, size * _SAME, side="right")
    best = int(np.argmax(last - first))
    agreeing = int((last - first)[best])
    width = float(np.median(size[first[best] : last[best]]))
    added = math.sqrt(max(width**2 - 1.0, 0.0)) * min(shapes.star for shapes in chips)
    sure = added > _ADDED and width > _BLURRED
    sure &= agreeing >= max(_BLURRED_PART * size.size, _FEWEST)
    sure &= float(np.mean(size < _STAR)) <= _STARS
    sure &= by_chance(agreeing, size.size, _SAME_CHANCE, size.size) < _FEW_CHANCE
    return Blur(width, agreeing, sure)
