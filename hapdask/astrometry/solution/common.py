"""What the sources of an area have in common: a motion, and the errors of a release's frame.

One block of six unknowns per area: the motion of its stars (2, mas / yr), and of the sources of a
release that serve as reference stars the error of all places (2, mas) and of all motions (2).
These errors are one for all of them: no number of such stars averages them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.areas import Areas
from hapdask.astrometry.solution.inputs import SOLVED, Stars
from hapdask.astrometry.solution.motions import FieldMotion, expected_motion
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.release import Release, SolvedExposure
from hapdask.sky.tangent import unit_vectors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Where a field has its mean error, from its middle, arcsec: a large detector's rms radius.
_SIDES = (-47.0, 47.0)
#: Least share of its stated error that is a source's own.
_OWN = 0.3


@dataclass(frozen=True, eq=False)
class Frame:
    """Errors that all sources of a release have, by area.

    Attributes
    ----------
    place : ndarray of float64, shape (areas,), mas per axis
        Statistical: systematic ones are in no weight.
    motion : ndarray of float64, shape (areas,), mas / yr per axis
        0 where no motion is the release's own.
    """

    place: Floats
    motion: Floats

    @classmethod
    def of(cls, stars: Stars, areas: Areas, area: Ints, published: Release | None) -> Frame:
        """Find them: that of places is its exposures', all over them, for their roll is common too.

        It does not exceed that of most sources, nor that of motions any source's own.
        """
        place, motion = np.zeros((2, len(areas)))
        if published is None or not stars.released.any():
            return cls(place, motion)
        exposures = [e for e in published.exposures if e.verdict.status != "rejected"]
        at = unit_vectors([e.center[0] for e in exposures], [e.center[1] for e in exposures])
        for a in range(len(areas)):
            mine = stars.released & (area == a)
            if not mine.any():
                continue
            near = [exposures[k] for k in np.flatnonzero(areas.has(a, at))]
            place[a] = float(np.median(stars.error[mine]))
            if near:
                place[a] = min(place[a], float(np.median([_all_over(e) for e in near])))
            own = stars.pm_error[mine & (stars.known == SOLVED)]
            motion[a] = np.min(own[np.isfinite(own)], initial=np.inf)
        return cls(place, np.where(np.isfinite(motion), motion, 0.0))


def _all_over(e: SolvedExposure) -> float:
    """Give the error of an exposure, rms over its field, mas per axis."""
    return float(np.sqrt(np.mean([e.error_mas(x, y) ** 2 for x in _SIDES for y in _SIDES])))


@dataclass(frozen=True, eq=False)
class Common:
    """What is common to the sources of each area.

    Attributes
    ----------
    area : ndarray of int, shape (sources,)
    lean : ndarray of float64, shape (sources, 4, 6)
        Probable place and motion of a source by the unknowns of its area.
    mean : ndarray of float64, shape (areas, 6)
        Probable values of the unknowns.
    information : sparse array, shape (6 areas, 6 areas)
    active : ndarray of bool, shape (areas, 6)
    """

    area: Ints
    lean: Floats
    mean: Floats
    information: Any
    active: Bools

    def __len__(self) -> int:
        return len(self.mean)


def make_common(
    areas: Areas,
    area: Ints,
    tangent: Floats,
    drifting: Bools,
    placed: Bools,
    moved: Bools,
    frame: Frame,
    motions: Sequence[FieldMotion | None],
    parameters: JointParameters,
    *,
    galaxies_told: bool,
) -> Common:
    """Set up what is common.

    Parameters
    ----------
    areas : Areas
    area : ndarray of int, shape (sources,)
    tangent : ndarray of float64, shape (sources, 2, 3)
    drifting : ndarray of bool, shape (sources,)
        Whose motion is the area's and a scatter.
    placed, moved : ndarray of bool, shape (sources,)
        Whose place, and whose motion, is in a release's frame.
    frame : Frame
    motions : sequence of FieldMotion or None
    parameters : JointParameters
    galaxies_told : bool
    """
    from scipy.sparse import csr_array

    n = len(areas)
    turn = areas.turns(area, tangent)
    lean = np.zeros((len(area), 4, 6))
    active = np.zeros((n, 6), bool)
    told = ((drifting, 2), (placed, 0), (moved, 2))
    for k, (which, row) in enumerate(told):
        lean[which, row : row + 2, 2 * k : 2 * k + 2] = turn[which]
        active[:, 2 * k : 2 * k + 2] = np.bincount(area[which], minlength=n)[:, np.newaxis] > 0
    active[:, :2] &= parameters.mean_motion > 0
    mean = np.zeros((n, 6))
    information = np.zeros((n, 6, n, 6))
    if parameters.mean_motion > 0:
        drift, covariance = expected_motion(areas, motions, parameters, galaxies_told=galaxies_told)
        mean[:, :2] = drift
        # Areas without such stars are left out before the others' information is known.
        some = np.flatnonzero(active[:, 0])
        inverse = np.linalg.inv(covariance[np.ix_(some, some)])
        for k in (0, 1):
            information[some[:, np.newaxis], k, some, k] = inverse
    mean[~active] = 0.0
    for a in range(n):
        for k, error in ((2, frame.place[a]), (4, frame.motion[a])):
            if active[a, k]:
                information[a, [k, k + 1], a, [k, k + 1]] = error**-2.0
    return Common(area, lean, mean, csr_array(information.reshape(6 * n, 6 * n)), active)


def own_errors(stars: Stars, area: Ints, frame: Frame, limit: float) -> tuple[Floats, Floats]:
    """Give the errors of places and motions without what a release's sources have in common.

    Parameters
    ----------
    stars : Stars
    area : ndarray of int, shape (stars,)
    frame : Frame
    limit : float, mas / yr
        Of the error of a motion that is measured.

    Returns
    -------
    place, motion : ndarray of float64, shape (stars, 2)
    """
    place, motion = stars.error.copy(), stars.pm_error.copy()
    for errors, all_have, which in (
        (place, frame.place, stars.released),
        (motion, frame.motion, (stars.known == SOLVED) & stars.measured(limit)),
    ):
        whole = errors[which]
        own = whole**2 - all_have[area[which], np.newaxis] ** 2
        errors[which] = np.sqrt(np.maximum(own, (_OWN * whole) ** 2))
    return place, motion
