"""What TweakReg's way of alignment gave: nouns for tables, match files and plots.

Pixels are those of the reference frame, 0-based; residuals are fitted less reference position.
Not here: the run itself (`tweakreg`), files and pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.result import Fit
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.matching.upstream import offset_votes
from hapdask.observe.distortion import Correction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Every status of a `TweakRegFit`.
TWEAKREG_STATUSES = ("aligned", "confirmed", "reference", "refused", "unaligned")


@dataclass(frozen=True, eq=False)
class OffsetHistogram:
    """Votes of all pairs of sources and references for their difference, in bins of one pixel.

    Attributes
    ----------
    counts : ndarray of int64, shape (2 r + 1, 2 r + 1)
        ``counts[r + dy, r + dx]`` pairs differ by about (dx, dy) pixels, source less reference.
    radius : float, pixels
        As asked for; r is this rounded up.
    peak : tuple of int
        dx, dy of the fullest bin.
    significance : float
        Its votes over the root of the mean of the other bins that have any, as upstream; NaN
        where there are none.
    """

    counts: Ints
    radius: float
    peak: tuple[int, int]
    significance: float

    @classmethod
    def of(cls, sources: Floats, references: Floats, radius: float) -> OffsetHistogram:
        """Count all pairs of positions, shapes (n, 2) and (m, 2), pixels."""
        counts = offset_votes(sources, references, radius)
        y, x = divmod(int(np.argmax(counts)), counts.shape[1])
        others = counts[(counts > 0) & (counts < counts[y, x])]
        significance = float(counts[y, x] / math.sqrt(others.mean())) if len(others) else math.nan
        r = counts.shape[0] // 2
        return cls(counts, radius, (x - r, y - r), significance)


@dataclass(frozen=True, eq=False)
class TweakRegMatches:
    """Matched sources of one exposure, with what the fit made of each.

    Attributes
    ----------
    sources : ndarray of int64, shape (n,)
        Rows of the exposure's `Places`.
    references : ndarray of int64, shape (n,)
        Rows of `TweakRegRun.references`.
    used : ndarray of bool, shape (n,)
        False where clipped; all False where no fit was reached.
    found, reference, fitted : ndarray of float64, shape (n, 2), pixels
        x and y of the source by the header, of its reference, and of the source after the fit;
        ``fitted`` is ``found`` where no fit was reached.
    ra, dec : ndarray of float64, shape (n,), degrees
        Of the source after the fit.
    """

    sources: Ints
    references: Ints
    used: Bools
    found: Floats
    reference: Floats
    fitted: Floats
    ra: Floats
    dec: Floats

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def residuals(self) -> Floats:
        """Fitted less reference position, pixels, shape (n, 2)."""
        return self.fitted - self.reference

    def take(self, index: Bools) -> TweakRegMatches:
        """Give some of the matches."""
        return replace(self, **{n: getattr(self, n)[index] for n in self.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class TweakRegFit:
    """One exposure of a run.

    Attributes
    ----------
    exposure : str
    status : {"aligned", "confirmed", "reference", "refused", "unaligned"}
        Moved; fitted, the header being as good; the reference itself; fitted, and not believed;
        without a fit.  Headers of all but the first stay.
    reason : str
    reference : str
        Name of the catalog or exposure that references began with.
    correction : Correction or None
        About the frame's tangent point; None leaves the header.
    fit : Fit or None
        With covariance: ``fit.error_at(xy)``; also of one refused.  Its pairs are those used.
    matches : TweakRegMatches or None
    rms_pixels : tuple of float
        Standard deviation of the used residuals along x and y; NaN without a fit.
    error_mas, header_mas : float, mas
        Stated error of positions over the exposure, statistical; how far the fit moves it; NaN
        without a fit.
    histogram : OffsetHistogram or None
        Where ``see2dplot`` and ``use2dhist``.
    attempts : tuple of Attempt
    """

    exposure: str
    status: str
    reason: str
    reference: str = ""
    correction: Correction | None = None
    fit: Fit | None = None
    matches: TweakRegMatches | None = None
    rms_pixels: tuple[float, float] = (math.nan, math.nan)
    error_mas: float = math.nan
    header_mas: float = math.nan
    grade: int = 5
    histogram: OffsetHistogram | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def placement(self) -> Placement:
        """The same as a verdict like those of `align_visit`."""
        status = {"reference": "relative", "refused": "unaligned"}.get(self.status, self.status)
        fit = self.fit if self.status in ("aligned", "confirmed") else None
        kept = math.hypot(self.error_mas, self.header_mas)
        return Placement(
            exposure=self.exposure,
            status=status,
            reason=self.reason,
            correction=self.correction,
            catalog=self.reference,
            method="tweakreg",
            geometry=fit.geometry if fit else "",
            matches=fit.matches if fit else 0,
            rms_mas=fit.total_rms_mas if fit else math.nan,
            error_mas=self.error_mas if self.correction else kept if fit else math.nan,
            chi2=fit.chi2 if fit else math.nan,
            header_mas=self.header_mas,
            grade=self.grade,
            reference=self.reference,
            fit=fit,
            attempts=self.attempts,
        )


@dataclass(frozen=True, eq=False)
class TweakRegRun:
    """A whole run.

    Attributes
    ----------
    fits : tuple of TweakRegFit
        In the order of the exposures given.
    references : Places
        At the end: with the sources that ``expand_refcat`` added.
    origin : tuple of str
        Catalog or exposure that each reference is from.
    order : tuple of str
        Exposures as they were taken; one that was taken twice stands where it came last.
    """

    fits: tuple[TweakRegFit, ...]
    references: Places
    origin: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def placements(self) -> list[Placement]:
        """One verdict for each exposure, in the order given."""
        return [fit.placement for fit in self.fits]
