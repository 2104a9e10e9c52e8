"""Whether exposures were guided by the same stars, by their headers, and how far they agree.

What is wrong with a header's WCS is the place of the guide stars: the same for all exposures that
are guided by the same ones, but for how well the telescope holds and finds them.

Source of the figures: WFPC2 Instrument Handbook 7.13 (stable to 5 mas while the same stars guide;
10, at times 20 mas after they were acquired anew), DrizzlePac Handbook 4.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

import numpy as np

from hapdask.observe.cards import number_of
from hapdask.observe.record import ExposureRecord
from hapdask.sky import tangent

#: A telescope that turned or moved by more may have taken other guide stars: degrees, arcsec.
_TURN, _MOVE = 0.1, 120.0
#: Exposures whose corrections differ by more do not tell that of another beside them, mas.
MOST_SCATTER = 30.0
#: Two exposures guided by the same stars are apart by so much, both axes together, mas: within an
#: orbit by jitter, drift and the dither's own error; after the stars were acquired again by more.
_WITHIN_ORBIT, _BETWEEN_ORBITS = 5.0, 20.0
#: Exposures farther apart, minutes, may lie in two orbits: so long the Earth hides a target.
_ORBIT = 40.0


def place_of(record: ExposureRecord) -> tuple[str, str, str]:
    """Name the visit, instrument and detector: only within these exposures follow each other."""
    return record.visit, record.instrument, record.detector


def same_way(record: ExposureRecord, other: ExposureRecord) -> bool:
    """Whether two exposures were pointed alike, by their headers."""
    rolls = [number_of(dict(each.keywords), "PA_V3") for each in (record, other)]
    if rolls[0] is not None and rolls[1] is not None:
        turn = (rolls[0] - rolls[1] + 180.0) % 360.0 - 180.0
        if abs(turn) > _TURN:
            return False
    xi, eta = tangent.project(*pointing_of(other), *pointing_of(record))
    return math.hypot(float(xi), float(eta)) * 3600.0 <= _MOVE


def pointing_of(record: ExposureRecord) -> tuple[float, float]:
    """RA and Dec of the mean of the chips' reference points, degrees."""
    crvals = np.array([chip.distortion.crval for chip in record.chips])
    ra, dec = tangent.sky_of(tangent.unit_vectors(crvals[:, 0], crvals[:, 1]).mean(axis=0))
    return float(ra), float(dec)


def scatter_of(shifts: Iterable[tuple[float, float]]) -> float | None:
    """Largest distance between displacements, mas; None for a single one."""
    distances = [math.dist(a, b) for a, b in combinations(shifts, 2)]
    return max(distances, default=None)


def error_beside(
    record: ExposureRecord, *, minutes: float, scatter: float | None, header_rotation: float
) -> float:
    """Tell the error of an exposure beside the one that it follows.

    Parameters
    ----------
    record : ExposureRecord
        The one that follows.
    minutes : float
        Between the middles of the two.
    scatter : float or None, mas
        Of the exposures that could be followed (`scatter_of`).
    header_rotation : float, degrees
        Uncertainty of its roll.

    Returns
    -------
    float, mas
        Both axes together, rms over the exposure.
    """
    guiding = _WITHIN_ORBIT if abs(minutes) <= _ORBIT else _BETWEEN_ORBITS
    borders = [chip.border() for chip in record.chips]
    ra, dec = (np.concatenate([b[axis] for b in borders]) for axis in (0, 1))
    xi, eta = tangent.project(ra, dec, *pointing_of(record))
    away = 3.6e6 * math.sqrt(float(np.mean(xi**2 + eta**2)))
    return math.hypot(scatter or 0.0, guiding, away * math.radians(header_rotation))
