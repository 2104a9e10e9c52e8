"""Whether a fit of the others predicts matches held out.

Each fold of the matches is left out in turn; what lies within its stated error of the prediction
is recovered.  A fit that chases its own noise fails here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.linear import solve
from hapdask.astrometry.fitting.result import plane_variance

Floats = NDArray[np.float64]

_FOLDS = 10


@dataclass(frozen=True)
class HeldOut:
    """How held-out matches were predicted.

    Attributes
    ----------
    recovered : float
        Fraction within the limit; 0 where a fold left too few to fit.
    rms : float, mas
        Of their separations from the prediction.
    header_rms : float, mas
        Of the same matches from where the header has them.
    """

    recovered: float
    rms: float
    header_rms: float


def hold_out(
    geometry: str,
    sources: Floats,
    references: Floats,
    variance: Floats,
    *,
    sigma: float,
    growth: float = 1.0,
) -> HeldOut:
    """Predict each match from others.

    Parameters
    ----------
    geometry : str
    sources, references, variance : ndarray of float64, shape (n, 2), arcsec, arcsec^2
        The matches a fit used.
    sigma : float
        Limit in errors, those of the prediction included.
    growth : float
        Of the errors, as the fit found.
    """
    count = len(sources)
    header = references - sources
    header_rms = 1000.0 * math.sqrt(float((header**2).sum()) / max(count, 1))
    failed = HeldOut(0.0, math.inf, header_rms)
    folds = min(count, _FOLDS)
    fold = np.empty(count, np.int64)
    fold[np.argsort(sources[:, 0], kind="stable")] = np.arange(count) % max(folds, 1)
    inside, squares = 0, 0.0
    for k in range(folds):
        out = fold == k
        part = solve(geometry, sources[~out], references[~out], variance[~out])
        if part is None:
            return failed
        apart = ((references[out] - part.apply(sources[out])) ** 2).sum(axis=1)
        squares += float(apart.sum())
        # the prediction's variance is of both axes together, as is the sum of a pair's
        total = variance[out].sum(axis=1) + plane_variance(part.covariance, sources[out])
        inside += int(np.count_nonzero(2 * apart <= (sigma * growth) ** 2 * total))
    if not folds:
        return failed
    return HeldOut(inside / count, 1000.0 * math.sqrt(squares / count), header_rms)
