"""What is probable of sources before they are seen to move: bases, places, motions, errors.

Not here: what the sources of an area have in common (`common`), weights (`robust`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.areas import Areas
from hapdask.astrometry.solution.common import Frame, own_errors
from hapdask.astrometry.solution.inputs import Stars
from hapdask.astrometry.solution.motions import MEASURED
from hapdask.astrometry.solution.parameters import JointParameters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Proper motion of galaxies: none, to this, mas / yr.  Not less: some are stars after all, and one
#: that is seen to move is then left free.
_AT_REST = 0.3
#: A source without any measurement left stays within so much of its base, mas.
LOOSE = 1e5


@dataclass(frozen=True, eq=False)
class Sources:
    """Weighted means over the detections of each source."""

    source: Ints
    begin: Ints
    direction: Floats
    epoch: Floats
    star: Ints

    @classmethod
    def of(
        cls, direction: Floats, source: Ints, weight: Floats, epoch: Floats, star: Ints
    ) -> Sources:
        """Make them of detections sorted by source; ``star`` is the star of each source, or -1."""
        if not len(star):
            return cls(source, source, np.zeros((0, 3)), np.zeros(0), star)
        begin = np.searchsorted(source, np.arange(len(star)))
        total = np.add.reduceat(weight, begin)
        mean = np.add.reduceat(direction * weight[:, np.newaxis], begin, axis=0)
        mean = mean / np.sqrt(np.sum(mean * mean, axis=1, keepdims=True))
        offset = np.add.reduceat(weight * (epoch - 2000.0), begin) / total
        # Rounded, so that a published epoch is exactly the one that was used.
        return cls(source, begin, mean, np.round(2000.0 + offset, 4), star)

    def based(self, stars: Stars) -> tuple[Floats, Floats, Floats]:
        """Give base directions, shape (sources, 3), their epochs, and parallaxes."""
        known, row = self.star >= 0, self.star[self.star >= 0]
        base, epoch, parallax = self.direction.copy(), self.epoch.copy(), np.zeros(len(self.star))
        base[known], epoch[known] = stars.direction[row], stars.epoch[row]
        parallax[known] = stars.parallax[row]
        return base, epoch, parallax

    def prior(
        self, stars: Stars, galaxy: Bools, parameters: JointParameters, areas: Areas, frame: Frame
    ) -> tuple[Floats, Floats, Bools]:
        """Give places and motions that are probable, their errors, and who is a galaxy."""
        n = len(self.star)
        prior, error = np.zeros((n, 4)), np.full((n, 4), LOOSE)
        error[:, 2:] = parameters.pm_scatter
        if n:
            votes = np.add.reduceat(galaxy.astype(np.int64), self.begin)
            seen = np.bincount(self.source, minlength=n)
            error[2 * votes > seen, 2:] = _AT_REST
        limit = MEASURED * parameters.pm_scatter
        place, moves = own_errors(stars, areas.nearest(stars.direction), frame, limit)
        known, row = self.star >= 0, self.star[self.star >= 0]
        error[known, :2] = place[row]
        moving = which_of(self.star, stars.measured(limit))
        prior[moving, 2:] = stars.pm[self.star[moving]]
        error[moving, 2:] = moves[self.star[moving]]
        return prior, error, np.asarray(~moving & (error[:, 2] == _AT_REST))


def which_of(star: Ints, chosen: Bools) -> Bools:
    """Tell which sources are one of the chosen stars."""
    known = star >= 0
    known[known] = chosen[star[known]]
    return np.asarray(known)
