"""Where a fit starts: our histogram, the header itself, or upstream's matches.

Here: a task's method to a first transformation and its window, with what chance would give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.tasks import more_pairs
from hapdask.astrometry.matching.chance import false_alarms
from hapdask.astrometry.matching.nearest import Pairs, match_nearest
from hapdask.astrometry.matching.offsets import Offset, expected_pairs, find_offset
from hapdask.astrometry.matching.places import Plane
from hapdask.astrometry.matching.upstream import XYXYRules, match_xyxy
from hapdask.config.alignment import AlignmentParameters

Floats = NDArray[np.float64]

#: Windows are at least so many errors wide.
_ERRORS = 3.0


@dataclass(frozen=True, eq=False)
class Start:
    """Where to look for matches first.

    Attributes
    ----------
    shift : tuple of float, arcsec
    rotation : float, radians
        A source at xy is near ``R(rotation) @ xy + shift``.
    width : float, arcsec
        Within this distance.
    expected : float
        Pairs expected by chance within ``width``.
    trials : float
        Ways to have come here by chance.
    chance : float
        Number of false alarms at this stage.
    count : int
        Pairs found within the width.
    pairs : Pairs or None
        Matches that upstream's rules gave; they stay.
    """

    shift: tuple[float, float]
    rotation: float
    width: float
    expected: float
    trials: float
    chance: float
    count: int
    pairs: Pairs | None = None

    def apply(self, xy: Floats) -> Floats:
        """Move source positions, shape (n, 2)."""
        c, s = math.cos(self.rotation), math.sin(self.rotation)
        moved: Floats = xy @ np.array([[c, s], [-s, c]]) + np.array(self.shift)
        return moved


def find_start(
    sources: Plane, references: Plane, mag: Floats, method: str, rules: AlignmentParameters
) -> Start | str:
    """Search for the offset as a method says.

    Parameters
    ----------
    sources, references : Plane
    mag : ndarray of float64
        Of the sources: the brightest are searched for first where all would be too many.
    method : {"relative", "histogram", "header"}
    rules : AlignmentParameters

    Returns
    -------
    Start or str
        Or why there is none.
    """
    spread = np.median(sources.variance) + np.median(references.variance)
    width = max(rules.width, _ERRORS * math.sqrt(float(spread)))
    if method == "header":
        return _at_header(sources, references, max(rules.header_tolerance, width))
    radius = rules.relative_searchrad if method == "relative" else rules.searchrad
    offset = find_offset(
        sources.xy[np.argsort(mag, kind="stable")],
        references.xy,
        radius=radius,
        width=min(width, 0.5 * radius),
        rotation=math.radians(rules.rotation),
    )
    if offset is None:
        return f"no pair within {radius:g} arcsec{more_pairs(method, rules)}"
    if offset.ambiguous:
        return f"two offsets fit alike: {offset.count} and {offset.second} pairs"
    return _of_offset(offset, len(sources) / offset.searched)


def _of_offset(offset: Offset, more: float) -> Start:
    """Begin at an offset; ``more`` sources are there than were searched with."""
    return Start(
        shift=offset.shift,
        rotation=offset.rotation,
        width=1.5 * offset.width,
        expected=2.25 * offset.expected * more,
        trials=offset.pairs * offset.trials * more,
        chance=offset.chance,
        count=offset.count,
    )


def _at_header(sources: Plane, references: Plane, width: float) -> Start:
    expected = expected_pairs(sources.xy, references.xy, width)
    count = len(match_nearest(sources.xy, references.xy, width))
    trials = max(1.0, expected + count)
    chance = false_alarms(count, expected, trials, 1)
    return Start((0.0, 0.0), 0.0, width, expected, trials, chance, count)


def match_upstream(
    sources: Plane,
    references: Plane,
    method: str,
    rules: AlignmentParameters,
    pixel_scale: float,
) -> Start | str:
    """Match by XYXYMatch with HAP's parameters; as `find_start`."""
    xyxy = {
        "relative": XYXYRules(
            rules.relative_pixels, rules.use2dhist_separation, rules.use2dhist_tolerance
        ),
        "histogram": XYXYRules(
            rules.use2dhist_searchrad, rules.use2dhist_separation, rules.use2dhist_tolerance
        ),
        "header": XYXYRules(
            rules.default_searchrad, rules.default_separation, rules.default_tolerance, False
        ),
    }[method]
    pairs = match_xyxy(sources.xy, references.xy, xyxy, pixel_scale=pixel_scale)
    if pairs is None:
        return "sources and references cannot be told apart within the tolerance"
    if not len(pairs):
        return "no match"
    return start_of_matches(pairs, sources, references, xyxy, pixel_scale)


def start_of_matches(
    pairs: Pairs, sources: Plane, references: Plane, rules: XYXYRules, pixel_scale: float
) -> Start:
    """Tell what chance would give of matches that XYXYMatch made.

    Parameters
    ----------
    pairs : Pairs
        At least one.
    sources, references : Plane
    rules : XYXYRules
    pixel_scale : float, arcsec
    """
    difference = references.xy[pairs.references] - sources.xy[pairs.sources]
    shift = np.median(difference, axis=0)
    width = rules.tolerance * pixel_scale
    expected = expected_pairs(sources.xy + shift, references.xy, width)
    trials = 1.0
    if rules.use2dhist:
        density = expected / width**2
        trials = max(1.0, density * (rules.searchrad * pixel_scale) ** 2)
    return Start(
        shift=(float(shift[0]), float(shift[1])),
        rotation=0.0,
        width=width,
        expected=expected,
        trials=trials + len(pairs),
        chance=1.0,
        count=len(pairs),
        pairs=pairs,
    )
