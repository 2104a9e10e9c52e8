"""HAP's evaluation of a fit: what makes it invalid or compromised, and its category.

For the compat preset, beside our own judgement (`acceptance`), which is the stricter: a fit must
pass both, and HAP's category is then its grade.  Not kept: that two matches suffice where their RMS
is above 0.5 mas, and that an RMS of a single match passes.

Source: facts/hap.md 3.4c and 3.4d (``determine_fit_quality``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.result import Fit

Floats = NDArray[np.float64]

#: Fewest matches of any fit, and those below which magnitudes are compared: HAP counts the
#: reference stars as 3, the number of its catalogs, so that its larger limit never holds.
_LEAST, _FEW = 4, 10
_CORRELATED = 0.5
#: Scale, rotation (degrees) and skew (degrees) that together are a singularity.
_SCALE, _ROTATION, _SKEW = 0.01, 0.1, 0.01


@dataclass(frozen=True)
class Quality:
    """HAP's verdict.

    Attributes
    ----------
    category : int
        1 good, 2 compromised, 3 and 4 the same with a large RMS, 5 invalid.
    reasons : tuple of str
        Why it is invalid; empty where it is not.
    """

    category: int
    reasons: tuple[str, ...]


def hap_quality(
    fit: Fit,
    *,
    offset: float,
    required: int,
    correlation: float,
    good_rms: float,
    max_rms: float,
) -> Quality:
    """Evaluate a fit as HAP does.

    Parameters
    ----------
    fit : Fit
    offset : float, arcsec
        Length of the shift.
    required : int
        Matches that the geometry needs.
    correlation : float
        Of the magnitudes of matches; NaN unknown.
    good_rms, max_rms : float, mas
        Of the first two categories; beyond which a fit is invalid.
    """
    apart = np.hypot(*fit.residuals.T)
    rms = float(apart.std()) if len(apart) else math.inf
    reasons = []
    turned = abs(fit.scale - 1.0) > _SCALE or abs(fit.rotation) > _ROTATION
    if turned and abs(fit.skew) > _SKEW:
        reasons.append("potential singularity")
    if fit.matches < max(_LEAST, required):
        reasons.append(f"too few matches: {fit.matches} of {max(_LEAST, required)}")
    if rms > max_rms:
        reasons.append(f"RMS too large: {rms:.0f} mas")
    if not (fit.matches + 2) * 0.36 > 0.8 + (offset / 10.0) ** 8:
        reasons.append(f"radial offset too large: {offset:.1f} arcsec for {fit.matches} matches")
    if reasons:
        return Quality(5, tuple(reasons))
    compromised = fit.matches < _FEW and not abs(correlation) > _CORRELATED
    return Quality((1 if rms < good_rms else 3) + compromised, ())
