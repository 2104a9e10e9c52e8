"""What a new release moves: how far the pixels of each exposure go from one to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hapdask.astrometry.solution.geometry import LEVER, design, parameters_of
from hapdask.astrometry.solution.release import Release

_AT = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * LEVER


@dataclass(frozen=True, slots=True)
class Move:
    """One exposure, in two releases.

    Attributes
    ----------
    name : str
    shift : tuple of float, mas
        East and north, at the tangent point, new minus old.
    largest : float, mas
        The longest move within 100 arcsec of it along each axis: a bound for any HST detector.
    sigmas : float
        ``shift`` in the old release's statistical errors and floor, the larger axis.
    """

    name: str
    shift: tuple[float, float]
    largest: float
    sigmas: float


def compare(old: Release, new: Release, *, tolerance: float = 0.0) -> tuple[Move, ...]:
    """Say what moves.

    Parameters
    ----------
    old, new : Release
    tolerance : float, mas
        Exposures that move no further are left out; those in one release only always are.

    Returns
    -------
    tuple of Move
        The furthest first.
    """
    moves = []
    field = design(_AT[:, 0], _AT[:, 1])
    for after in new.exposures:
        if after.name not in old:
            continue
        before = old[after.name]
        start = parameters_of(before.correction, after.center)
        step = np.array(after.parameters) - start
        if before.center == after.center:
            step = np.array(after.parameters) - np.array(before.parameters)
        moved = np.einsum("nap,p->na", field, step)
        largest = float(np.max(np.hypot(moved[:, 0], moved[:, 1])))
        if largest <= tolerance:
            continue
        sigma = np.hypot(np.sqrt(np.diag(before.covariance)[:2]), before.floor)
        sigmas = float(np.max(np.abs(step[:2]) / sigma))
        shift = (round(float(step[0]), 3), round(float(step[1]), 3))
        moves.append(Move(after.name, shift, round(largest, 3), round(sigmas, 3)))
    return tuple(sorted(moves, key=lambda m: (-m.largest, m.name)))
