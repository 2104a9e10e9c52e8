"""Search for the shift, and a small rotation, that lays one list of positions on another.

All pairs within the search radius vote for their difference, once per trial rotation, in a 2-D
histogram; the windows with most votes are counted again one to one, so that a clump of detections
of one star counts once.  The significance compares with the density of votes around the peak, and
a second peak of like height makes the answer ambiguous.

Source: the histogram of differences as TweakReg's 2dhist; trial rotations as a Hough transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.matching.chance import false_alarms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Votes above which lists must be shortened: memory and time.
MOST_PAIRS = 2_000_000
_WINDOWS = 4  # bins of the histogram per side of a window, whose side is two widths
_CANDIDATES = 6  # windows per rotation that are counted again
_AROUND = (2.0, 8.0)  # annulus of the background, widths


@dataclass(frozen=True)
class Offset:
    """Where one list lies on another.

    A source at (x, y) is at ``R(rotation) @ (x, y) + shift``, R turning x towards y.

    Attributes
    ----------
    shift : tuple of float, arcsec
    rotation : float, radians
    count : int
        Sources matched one to one within ``width``.
    expected : float
        Those expected by chance.
    chance : float
        Number of false alarms (`hapdask.astrometry.matching.chance`), at most 1.
    second : int
        Count of the next best peak elsewhere.
    width : float, arcsec
        Radius within which pairs were counted.
    pairs, trials : int
        Pairs within the search radius; rotations tried.
    searched : int
        Sources that were looked at: the first ones, where all would make too many pairs.
    """

    shift: tuple[float, float]
    rotation: float
    count: int
    expected: float
    chance: float
    second: int
    width: float
    pairs: int
    trials: int
    searched: int

    @property
    def ambiguous(self) -> bool:
        """Whether the next best peak is as good within its Poisson noise."""
        return self.second >= 3 and self.count - self.second < 3 * math.sqrt(self.second)


@dataclass(frozen=True)
class _Peak:
    count: int
    shift: tuple[float, float]
    rotation: float
    trial: int


def find_offset(
    sources: Floats,
    references: Floats,
    *,
    radius: float,
    width: float,
    rotation: float = 0.0,
) -> Offset | None:
    """Find the offset with most pairs.

    Parameters
    ----------
    sources, references : ndarray of float64, shape (n, 2), arcsec
        In one tangent plane.
    radius : float, arcsec
        Largest shift of the middle of the sources.
    width : float, arcsec
        Half side of a window: some times the errors.
    rotation : float, radians
        Largest rotation either way, about the middle of the sources.

    Returns
    -------
    Offset or None
        None without a single pair.
    """
    middle = np.median(sources, axis=0) if len(sources) else np.zeros(2)
    mine = sources - middle
    half = float(np.percentile(np.hypot(*mine.T), 90)) if len(mine) else 0.0
    i, j, searched = _pairs(sources, references, radius + rotation * half)
    if not len(i):
        return None
    peaks: list[_Peak] = []
    angles = _angles(half, width, rotation)
    offsets = references[j] - middle
    for k, angle in enumerate(angles):
        difference = offsets - (mine @ _turn(angle).T)[i]
        near = np.hypot(*difference.T) <= radius
        peaks += _peaks(difference[near], i[near], j[near], radius, width, angle, k)
    if not peaks:
        return None
    best = max(peaks, key=lambda p: (p.count, -abs(p.rotation)))
    others = [p.count for p in peaks if _is_elsewhere(p, best, width, 2 * angles[-1] * half)]
    at_best = offsets - (mine @ _turn(best.rotation).T)[i]
    expected = _expected(at_best, best.shift, radius, width)
    turned = _turn(best.rotation) @ middle
    shift = np.array(best.shift) + middle - turned
    return Offset(
        shift=(float(shift[0]), float(shift[1])),
        rotation=best.rotation,
        count=best.count,
        expected=expected,
        chance=false_alarms(best.count, expected, len(i) * len(angles), 1),
        second=max(others, default=0),
        width=width,
        pairs=len(i),
        trials=len(angles),
        searched=searched,
    )


def expected_pairs(sources: Floats, references: Floats, width: float) -> float:
    """Give the pairs expected by chance within ``width`` of lists that lie on each other.

    Parameters
    ----------
    sources, references : ndarray of float64, shape (n, 2), arcsec
    width : float, arcsec
    """
    radius = _AROUND[1] * width
    i, j, searched = _pairs(sources, references, radius)
    if not len(i):
        return 0.0
    share = searched / len(sources)
    return _expected(references[j] - sources[i], (0.0, 0.0), radius, width) / share


def _is_elsewhere(peak: _Peak, best: _Peak, width: float, smear: float) -> bool:
    """Whether a peak is none of the best one's own: at other rotations that is smeared."""
    reach = 3 * width + (smear if peak.trial != best.trial else 0.0)
    return math.dist(peak.shift, best.shift) > reach


def _turn(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _angles(half: float, width: float, rotation: float) -> list[float]:
    """Trial rotations, close enough that none smears a peak beyond its window."""
    step = width / max(half, 1e-9)
    each_way = min(math.ceil(rotation / step - 0.5), 50) if rotation > 0 else 0
    return [k * step for k in range(-each_way, each_way + 1)]


def _pairs(sources: Floats, references: Floats, radius: float) -> tuple[Ints, Ints, int]:
    """Find pairs closer than a radius, of no more of the first sources than is bearable."""
    from scipy.spatial import KDTree

    if not len(sources) or not len(references):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), 0
    tree = KDTree(references)
    each = tree.query_ball_point(sources, radius, return_length=True)
    kept = int(np.searchsorted(np.cumsum(each), MOST_PAIRS)) + 1
    lists = tree.query_ball_point(sources[:kept], radius, return_sorted=True)
    i = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
    j = np.concatenate([np.asarray(found, np.int64) for found in lists])
    return i.astype(np.int64), j, len(lists)


def _peaks(
    difference: Floats, i: Ints, j: Ints, radius: float, width: float, angle: float, trial: int
) -> list[_Peak]:
    """Count the fullest windows of a histogram one to one."""
    if not len(difference):
        return []
    bin_side = 2 * width / _WINDOWS
    bins = 2 * math.ceil(radius / bin_side) + 1
    low = -0.5 * bins * bin_side
    cell = np.floor((difference - low) / bin_side).astype(np.int64)
    votes = np.bincount(cell[:, 1] * bins + cell[:, 0], minlength=bins * bins)
    padded = np.pad(votes.astype(np.int32).reshape(bins, bins), (1, _WINDOWS - 2))
    rows = padded[:bins] + padded[1 : bins + 1] + padded[2 : bins + 2] + padded[3 : bins + 3]
    full = rows[:, :bins] + rows[:, 1 : bins + 1] + rows[:, 2 : bins + 2] + rows[:, 3 : bins + 3]
    found = []
    for y, x in _fullest(full):
        centre = low + bin_side * np.array([x + 1.0, y + 1.0])  # the middle of bins -1 to +2
        found.append(_refined(difference, i, j, centre, width, angle, trial))
    return [peak for peak in found if peak is not None]


def _fullest(full: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Find the fullest windows that do not overlap; empties them in place."""
    found = []
    for _ in range(_CANDIDATES):
        y, x = divmod(int(np.argmax(full)), full.shape[1])
        if full[y, x] == 0:
            break
        found.append((y, x))
        box = tuple(slice(max(k - _WINDOWS, 0), k + _WINDOWS + 1) for k in (y, x))
        full[box] = 0
    return found


def _refined(
    difference: Floats, i: Ints, j: Ints, centre: Floats, width: float, angle: float, trial: int
) -> _Peak | None:
    """Move a window onto its votes, and count sources and references in it once each."""
    near = np.hypot(*(difference - centre).T) <= 3 * width
    votes, a, b = difference[near], i[near], j[near]
    if not len(votes):
        return None
    found: list[_Peak] = []
    for _ in range(4):
        inside = np.hypot(*(votes - centre).T) <= width
        count = min(len(np.unique(a[inside])), len(np.unique(b[inside])))
        found.append(_Peak(count, (float(centre[0]), float(centre[1])), angle, trial))
        around = np.hypot(*(votes - centre).T) <= 1.5 * width  # holds a whole window
        if not around.any():
            break
        centre = votes[around].mean(axis=0)
    # between few votes the middle of all of them may be near none
    return found[-1] if found[-1].count else max(found, key=lambda peak: peak.count)


def _expected(difference: Floats, shift: tuple[float, float], radius: float, width: float) -> float:
    """Pairs by chance in a window: the denser of the whole search area and the surroundings."""
    apart = np.hypot(*(difference - np.array(shift)).T)
    inner, outer = (a * width for a in _AROUND)
    around = np.count_nonzero((apart > inner) & (apart <= outer)) / (outer**2 - inner**2)
    outside = np.count_nonzero(apart > inner) / max(radius**2 - inner**2, width**2)
    return float(max(around, outside) * width**2)
