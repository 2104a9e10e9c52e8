"""One-to-one matches of two lists that lie on each other already, within their errors.

A pair is a match where each is the other's nearest and their distance is within the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Matches.

    Attributes
    ----------
    sources, references : ndarray of int64, shape (k,)
        Indices; each occurs once; by source.
    """

    sources: Ints
    references: Ints

    def __len__(self) -> int:
        return len(self.sources)

    def equals(self, other: Pairs) -> bool:
        """Whether the same are matched with the same, in the same order."""
        return np.array_equal(self.sources, other.sources) and np.array_equal(
            self.references, other.references
        )

    def take(self, index: NDArray[np.bool_]) -> Pairs:
        """Give some of the pairs."""
        return Pairs(self.sources[index], self.references[index])


def match_nearest(
    sources: Floats,
    references: Floats,
    tolerance: Floats | float,
    *,
    separation: float = 0.0,
) -> Pairs:
    """Match each source with its nearest reference, where they are mutually nearest.

    Parameters
    ----------
    sources, references : ndarray of float64, shape (n, 2)
        Positions in one plane.
    tolerance : float or ndarray of float64, shape (n,)
        Largest distance, for each source.
    separation : float
        Leave out sources with a second reference within their tolerance plus this, and references
        with a second source: which is which is not known.  0 keeps them.
    """
    from scipy.spatial import KDTree

    none = np.zeros(0, np.int64)
    if not len(sources) or not len(references):
        return Pairs(none, none)
    limit = np.broadcast_to(np.asarray(tolerance, np.float64), (len(sources),))
    apart, there = KDTree(references).query(sources, k=2)
    back, here = KDTree(sources).query(references, k=2)
    mine = np.arange(len(sources))
    mutual = here[there[:, 0], 0] == mine
    good = mutual & (apart[:, 0] <= limit)
    if separation > 0:
        good &= (apart[:, 1] > limit + separation) & (back[there[:, 0], 1] > limit + separation)
    return Pairs(mine[good].astype(np.int64), there[good, 0].astype(np.int64))
