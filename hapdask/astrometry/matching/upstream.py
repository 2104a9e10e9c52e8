"""Matching by the rules of TweakReg and HAP, for the compat presets: tweakwcs's XYXYMatch.

It is the same C routine (stsci.stimage) with the same histogram and its quirks: bins of one pixel,
a shift less the radius as given and not as rounded up, points too close to others removed, and
sources that several references may share.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.matching.nearest import Pairs

Floats = NDArray[np.float64]

#: Sources whose pairs are counted at a time: bounds the memory in crowded fields.
_AT_ONCE = 256


@dataclass(frozen=True)
class XYXYRules:
    """Parameters of XYXYMatch, by their names there; pixels of the reference's tangent plane."""

    searchrad: float
    separation: float
    tolerance: float
    use2dhist: bool = True
    xoffset: float = 0.0
    yoffset: float = 0.0


def match_xyxy(
    sources: Floats, references: Floats, rules: XYXYRules, *, pixel_scale: float
) -> Pairs | None:
    """Match as TweakReg and HAP do.

    Parameters
    ----------
    sources, references : ndarray of float64, shape (n, 2), arcsec
        In one tangent plane.
    rules : XYXYRules
    pixel_scale : float, arcsec
        Of the reference's plane.

    Returns
    -------
    Pairs or None
        In the order of the references' rows; None where sources and references could not be told
        apart (upstream's MatchSourceConfusionError).
    """
    from astropy.table import Table
    from tweakwcs.matchutils import MatchSourceConfusionError, XYXYMatch

    if not len(sources) or not len(references):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    _keep_quiet()
    tables = [
        Table({"TPx": xy[:, 0] / pixel_scale, "TPy": xy[:, 1] / pixel_scale})
        for xy in (references, sources)
    ]
    matcher = XYXYMatch(**rules.__dict__)
    try:
        there, here = matcher(*tables, tp_pscale=1.0, tp_units="pixels")
    except MatchSourceConfusionError:
        return None
    return Pairs(np.asarray(here, np.int64), np.asarray(there, np.int64))


@cache
def _keep_quiet() -> None:
    """Let no warning of tweakwcs reach the terminal of who has set up no logging."""
    logging.getLogger("tweakwcs").addHandler(logging.NullHandler())


def offset_votes(sources: Floats, references: Floats, radius: float) -> NDArray[np.int64]:
    """Count pairs by their difference, source less reference, in XYXYMatch's bins.

    Parameters
    ----------
    sources, references : ndarray of float64, shape (n, 2), pixels
    radius : float, pixels

    Returns
    -------
    ndarray of int64, shape (2 r + 1, 2 r + 1)
        Rows by y; r is the radius rounded up.
    """
    from scipy.spatial import KDTree

    r = math.ceil(radius)
    votes = np.zeros((2 * r + 1) ** 2, np.int64)
    tree = KDTree(references)
    for first in range(0, len(sources), _AT_ONCE):
        some = sources[first : first + _AT_ONCE]
        near = tree.query_ball_point(some, (r + 0.5) * math.sqrt(2.0))
        here = np.repeat(np.arange(len(some)), [len(found) for found in near])
        there = np.concatenate([np.asarray(found, np.int64) for found in near])
        x, y = np.floor(some[here] - references[there] + r + 0.5).T
        inside = (x >= 0) & (x <= 2 * r) & (y >= 0) & (y <= 2 * r)
        cells = (y[inside] * (2 * r + 1) + x[inside]).astype(np.int64)
        votes += np.bincount(cells, minlength=len(votes))
    return votes.reshape(2 * r + 1, 2 * r + 1)
