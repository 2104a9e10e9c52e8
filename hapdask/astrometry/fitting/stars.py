"""The stars that the exposures of a visit see in common: their mean places as exposures join.

Here: one group's running catalog, and who sees which star.  Not here: the fits (`relative`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.matching.nearest import Pairs
from hapdask.astrometry.matching.places import Places, Plane
from hapdask.observe.distortion import sky_of_plane

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class StarTable:
    """Weighted mean places of stars, exposure by exposure.

    Attributes
    ----------
    stars : dict of int to ndarray of int64
        For each exposure that joined, the star of each of its sources.
    """

    def __init__(self, center: tuple[float, float], floor: float) -> None:
        self.center = center
        self._floor = (floor / 1000.0) ** 2
        self.stars: dict[int, Ints] = {}
        self._planes: dict[int, Plane] = {}
        self._mags = np.zeros(0)

    def __len__(self) -> int:
        return len(self._mags)

    def join(self, exposure: int, plane: Plane, mag: Floats, pairs: Pairs) -> None:
        """Add an exposure's sources: those of ``pairs`` are known stars, the others new ones.

        Parameters
        ----------
        exposure : int
        plane : Plane
            Corrected places.
        mag : ndarray of float64
        pairs : Pairs
            Of sources and stars.
        """
        stars = np.full(len(plane), -1, np.int64)
        stars[pairs.sources] = pairs.references
        new = stars < 0
        stars[new] = len(self) + np.arange(np.count_nonzero(new))
        self._mags = np.concatenate([self._mags, mag[new]])
        self.stars[exposure] = stars
        self._planes[exposure] = plane

    def move(self, exposure: int, plane: Plane) -> None:
        """Put an exposure's sources elsewhere."""
        self._planes[exposure] = plane

    def means(self, without: int | None = None) -> tuple[Plane, Ints]:
        """Give the mean place of each star, and by how many exposures it is known.

        Parameters
        ----------
        without : int, optional
            An exposure that does not count; stars that no other has stand at 0 with variance inf.
        """
        weight, total = np.zeros((len(self), 2)), np.zeros((len(self), 2))
        seen = np.zeros(len(self), np.int64)
        for exposure, stars in self.stars.items():
            if exposure == without:
                continue
            plane = self._planes[exposure]
            each = 1.0 / (plane.variance + self._floor)
            weight[stars] += each  # a star occurs once in an exposure
            total[stars] += each * plane.xy
            seen[stars] += 1
        known = weight > 0
        xy = np.divide(total, weight, out=np.zeros_like(total), where=known)
        variance = np.divide(1.0, weight, out=np.full_like(total, np.inf), where=known)
        return Plane(xy, variance), seen

    def as_places(self, name: str) -> Places:
        """Give the stars as a list of positions.

        Parameters
        ----------
        name : str
        """
        plane, _ = self.means()
        xi, eta = np.radians(plane.xy.T / 3600.0)
        ra, dec = sky_of_plane(xi, eta, self.center)
        errors = 1000.0 * np.sqrt(plane.variance)
        return Places.make(name, ra, dec, (errors[:, 0], errors[:, 1]), mag=self._mags)
