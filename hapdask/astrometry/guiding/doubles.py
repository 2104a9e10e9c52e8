"""Pairs of images: what a telescope leaves that lost its lock and found another.

Every star then has a second image at one and the same distance, in one and the same direction, as
many times fainter.  Double stars and chance neighbours lie anywhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.guiding.chance import pairs_by_chance

Floats = NDArray[np.float64]

#: Farthest second image, arcsec; how many sources are looked at, the brightest.
_REACH, _MOST = 10.0, 400
#: Within which pairs agree: distance, in pixels and at least in arcsec; factor of brightness.
_PIXELS, _ARCSEC, _FACTOR = 0.8, 0.03, 1.4
#: Fewest pairs; part of the sources that have a second image, of those where it would be seen; and
#: logarithm of the largest probability of chance.
_PAIRS, _PART, _CHANCE = 3, 0.5, -5.0
#: Among how many of the brightest.
_BRIGHTEST = (8, 20, _MOST)
#: Signal to noise that a second image needs to be found for certain.
_SEEN = 15.0


class Double(NamedTuple):
    """The separation that most pairs have in common.

    Attributes
    ----------
    east, north : float, arcsec
        From the brighter image to the fainter.
    pairs, sources : int
        Pairs there, and sources that would show a second image.
    part : float
        Of those sources, how many do.
    chance : float
        Logarithm (base 10) of the probability by chance.
    """

    east: float
    north: float
    pairs: int
    sources: int
    part: float
    chance: float

    @property
    def sure(self) -> bool:
        """Whether the exposure has two images of everything."""
        return self.pairs >= _PAIRS and self.part >= _PART and self.chance <= _CHANCE


def find_double(east: Floats, north: Floats, snr: Floats, flux: Floats, scale: float) -> Double:
    """Find the separation that most pairs have in common.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,), arcsec
        Of the sources, in a tangent plane.
    snr, flux : ndarray of float64, shape (n,)
    scale : float, arcsec / pixel
    """
    from scipy.spatial import cKDTree

    nothing = Double(math.nan, math.nan, 0, 0, 0.0, 0.0)
    order = np.argsort(-flux, kind="stable")[:_MOST]
    places, snr, flux = np.stack([east, north], axis=1)[order], snr[order], flux[order]
    if order.size < 2 * _PAIRS:
        return nothing
    within = max(_PIXELS * scale, _ARCSEC)
    # brighter ones come first
    pairs = cKDTree(places).query_pairs(_REACH, output_type="ndarray")
    pairs = np.sort(pairs, axis=1)
    apart = places[pairs[:, 1]] - places[pairs[:, 0]]
    ratio = np.log(flux[pairs[:, 1]] / flux[pairs[:, 0]])
    if len(pairs) < _PAIRS:
        return nothing
    # two images of nearly one brightness: noise says which is the brighter
    both, ratios = np.concatenate([apart, -apart]), np.concatenate([ratio, -ratio])
    features = np.column_stack([both / within, ratios / math.log(_FACTOR)])
    tree = cKDTree(features)
    counts = tree.query_ball_point(features, 1.0, return_length=True)
    best = int(np.argmax(counts))
    members = np.array(sorted(tree.query_ball_point(features[best], 1.0)), np.int64)
    middle = np.median(both[members], axis=0)
    brightness = float(np.median(ratios[members]))
    if brightness > 0.0:
        middle, brightness = -middle, -brightness
    expected = _expected(both, middle, within)
    involved = np.unique(pairs[members % len(pairs)])
    eligible = np.flatnonzero(snr * math.exp(brightness) > _SEEN)
    eligible = np.union1d(eligible, involved)
    # of the brightest: among the faint there may be cosmic rays
    seen = np.isin(eligible, involved)
    part = max(float(np.mean(seen[:most])) for most in _BRIGHTEST)
    chance = pairs_by_chance(members.size, expected, len(both))
    return Double(float(middle[0]), float(middle[1]), members.size, eligible.size, part, chance)


def _expected(vectors: Floats, middle: Floats, within: float) -> float:
    """Pairs expected by chance: from how many lie around, or else anywhere."""
    away = np.hypot(*(vectors - middle).T) / within
    inner, outer = 3.0, 12.0
    around = np.count_nonzero((away > inner) & (away < outer)) / (outer**2 - inner**2)
    anywhere = len(vectors) * (within / _REACH) ** 2
    return max(float(around), anywhere)
