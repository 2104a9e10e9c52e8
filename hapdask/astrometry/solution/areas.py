"""Areas of the sky: where the stars of a group may move together in their own way.

A group may be degrees wide, and stars of one end tell little of those of the other.  Here: the
areas, and the axes that all of them have in common.  Not here: motions (`motions`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.geometry import local_axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Radius of an area, degrees: several fields of a detector.
RADIUS = 0.2


@dataclass(frozen=True, eq=False)
class Areas:
    """Areas of a group.

    Attributes
    ----------
    center : ndarray of float64, shape (areas, 3)
    axes : ndarray of float64, shape (areas, 2, 3)
        East and north of the first area, carried along: parallel in all, at a pole too.
    """

    center: Floats
    axes: Floats

    @classmethod
    def of(cls, directions: Floats) -> Areas:
        """Cover directions, shape (n, 3): one that is far from all areas begins its own."""
        center = directions[:1].copy()
        for direction in directions[1:]:
            if np.min(np.sum((center - direction) ** 2, axis=1)) > _square(RADIUS):
                center = np.concatenate([center, direction[np.newaxis]])
        east = local_axes(center[:1])[0, 0]
        along = east - np.sum(center * east, axis=1, keepdims=True) * center
        along = along / np.sqrt(np.sum(along * along, axis=1, keepdims=True))
        return cls(center, np.stack([along, np.cross(center, along)], axis=1))

    def __len__(self) -> int:
        return len(self.center)

    def nearest(self, directions: Floats) -> Ints:
        """Give the area of each direction, shape (n,)."""
        from scipy.spatial import cKDTree

        if not len(directions):
            return np.zeros(0, np.int64)
        return np.asarray(cKDTree(self.center).query(directions)[1], np.int64)

    def has(self, area: int, directions: Floats) -> NDArray[np.bool_]:
        """Tell which directions are in an area, or so near to it that it is theirs as well."""
        apart = np.sum((directions - self.center[area]) ** 2, axis=1)
        return np.asarray(apart <= _square(RADIUS))

    def turns(self, area: Ints, tangent: Floats) -> Floats:
        """Give what turns the areas' axes to those of sources, (n, 2, 3), shape (n, 2, 2)."""
        return np.asarray(np.einsum("nkc,nlc->nkl", tangent, self.axes[area], optimize=False))


def _square(degrees: float) -> float:
    return float((2.0 * np.sin(np.radians(degrees) / 2.0)) ** 2)
