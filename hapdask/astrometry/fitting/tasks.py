"""Two lists to be laid on each other, and what came of it: the nouns of `pairing`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.acceptance import Judgement
from hapdask.astrometry.fitting.result import Fit
from hapdask.astrometry.matching.places import Places
from hapdask.config.alignment import AlignmentParameters

Floats = NDArray[np.float64]


def more_pairs(method: str, rules: AlignmentParameters) -> str:
    """Say, for the end of a reason, how a user may get more pairs; empty where there is no way."""
    if method == "relative" or rules.upstream:
        return ""
    return f" (widen searchrad, now {rules.searchrad:g} arcsec; or a deeper catalog)"


def points_over(xy: Floats) -> Floats:
    """Give 25 points all over the box of some positions, shape (25, 2)."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    x, y = np.meshgrid(*(np.linspace(low[k], high[k], 5) for k in (0, 1)))
    return np.stack([x.ravel(), y.ravel()], axis=1)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one list against another.

    Attributes
    ----------
    fit : Fit or None
        The last one judged, whether or not accepted.
    judgement : Judgement or None
    error, header : float, mas
        Of that fit: stated error; displacement from the header.
    attempts : tuple of Attempt
    """

    fit: Fit | None
    judgement: Judgement | None
    error: float
    header: float
    attempts: tuple[Attempt, ...]

    @property
    def accepted(self) -> bool:
        """Whether the fit may replace the header."""
        return self.judgement is not None and self.judgement.accepted

    @property
    def is_impossible(self) -> bool:
        """Whether the fit was refused for doing what neither pointing nor optics do."""
        return self.judgement is not None and self.judgement.impossible

    @property
    def sound(self) -> bool:
        """Whether the fit is right, be it that the header is as good."""
        return self.accepted or (self.judgement is not None and self.judgement.confirms)


@dataclass(frozen=True, eq=False)
class Task:
    """Two lists in one plane, and how they are to be treated.

    Attributes
    ----------
    sources, references : Places
    center : tuple of float, degrees
    parameters : AlignmentParameters
    method : {"relative", "histogram", "header"}
    outline : ndarray of float64, shape (n, 2), arcsec, optional
        Points all over the exposure, in the plane; the box of the sources if not given.
    pixel_scale : float, arcsec
        Of the plane's pixels, for upstream's rules.
    exposure : str
        Name for the attempts.
    """

    sources: Places
    references: Places
    center: tuple[float, float]
    parameters: AlignmentParameters
    method: str = "histogram"
    outline: Floats | None = None
    pixel_scale: float = 0.04
    exposure: str = ""

    @property
    def remedy(self) -> str:
        """What a user may change where too few pairs are found, for the end of a reason."""
        return more_pairs(self.method, self.parameters)

    def failed(self, reason: str, *, matches: int = 0, chance: float = 1.0) -> Outcome:
        """Give the outcome of what never reached a fit."""
        attempt = Attempt(
            self.references.name,
            self.method,
            "",
            matches,
            math.nan,
            False,
            reason,
            self.exposure,
            chance=chance,
        )
        return Outcome(None, None, math.nan, math.nan, (attempt,))
