"""A group of exposures in one system: how far each is from its header, and who moves.

Works on corrections in the group's tangent plane.  Not here: how the group was tied (`relative`),
which catalog it is tied to (`visit`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.relative import RelativeAlignment
from hapdask.astrometry.fitting.result import Fit, apply_correction, compose, inverse
from hapdask.observe.distortion import Correction

Floats = NDArray[np.float64]


def apart_mas(points: Floats, one: Correction | None, other: Correction | None = None) -> float:
    """Tell how far two corrections, or one and the header, put an exposure apart.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 2), arcsec
        All over the exposure by the header, in the plane of the corrections.
    one, other : Correction or None
        None leaves the header.

    Returns
    -------
    float, mas
        rms over the points.
    """
    here, there = (points if c is None else apply_correction(c, points) for c in (one, other))
    return 1000.0 * float(np.sqrt(((here - there) ** 2).sum(axis=1).mean()))


@dataclass(frozen=True, eq=False)
class Grouped:
    """A tied group and the outlines of its exposures.

    Attributes
    ----------
    group : RelativeAlignment
    points : mapping of int to ndarray of float64, shape (n, 2), arcsec
        All over each member, in the group's plane.
    better : float
        How many stated errors a header must be off to be shown to be wrong.
    """

    group: RelativeAlignment
    points: Mapping[int, Floats]
    better: float

    @cached_property
    def middle(self) -> dict[int, Correction]:
        """Corrections that bring the group onto the middle of its headers."""
        moves = [
            (apply_correction(self.group.corrections[k], self.points[k]) - self.points[k]).mean(0)
            for k in self.group.members
        ]
        # the median: one header that is far off must not draw the others away
        east, north = (float(v) for v in -np.median(moves, axis=0))
        onto = Correction(self.group.center, shift=(east, north))
        return {k: compose(onto, self.group.corrections[k]) for k in self.group.members}

    def after(self, fit: Fit) -> dict[int, Correction]:
        """Corrections of the members where a fit moves all stars of the group."""
        own = self.group.corrections
        return {k: compose(fit.correction, own[k]) for k in self.group.members}

    def beside(self, leader: int, placed: Correction | None) -> dict[int, Correction]:
        """Corrections of the members where one of them is placed by itself; None: as it is."""
        own = self.group.corrections
        onto = compose(placed or Correction(self.group.center), inverse(own[leader]))
        return {k: compose(onto, own[k]) for k in self.group.members}

    def to_each_other(self) -> dict[int, Correction | None]:
        """Corrections onto the middle of the headers; none where these agree as well."""
        errors = self.group.errors
        if all(self.header_mas(k, c) < self.better * errors[k] for k, c in self.middle.items()):
            return dict.fromkeys(self.group.members)
        return dict(self.middle)

    def header_mas(self, k: int, correction: Correction | None) -> float:
        """How far a correction moves a member, rms over it, mas."""
        return apart_mas(self.points[k], correction)

    def error_mas(self, k: int, fit: Fit) -> float:
        """Stated error of a member after a fit of all stars of the group, mas."""
        points = apply_correction(self.group.corrections[k], self.points[k])
        there = float(np.sqrt(np.mean(fit.error_at(points) ** 2)))
        return math.hypot(there, self.group.errors[k])

    def relative_mas(self, k: int, correction: Correction | None) -> float:
        """Stated error of a member against the others, mas: headers that are kept may disagree."""
        apart = 0.0 if correction is not None else self.header_mas(k, self.middle[k])
        return math.hypot(self.group.errors[k], apart)
