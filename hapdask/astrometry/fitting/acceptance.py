"""When a fit may replace a header, and how good it is.

A fit is accepted when it has the matches that its geometry needs, would hardly come about by
chance, predicts matches held out, moves the exposure by no more than pointing errors do, and when
the header is shown to be worse: the fit must move the exposure by several times its own stated
error.  A fit that passes all but the last confirms the header.

HAP's own evaluation (`hap_quality`) never looks at the header, nor at chance; by upstream's
convention a fit must pass it too, and has its category as grade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.hap_quality import hap_quality
from hapdask.astrometry.fitting.result import Fit
from hapdask.astrometry.fitting.verification import HeldOut, hold_out
from hapdask.config.alignment import AlignmentParameters

Floats = NDArray[np.float64]

#: Magnitudes are compared where there are fewer matches; correlation from which they agree.
_FEW, _CORRELATED = 10, 0.5
#: Sources that agree on another place are too many where they are one to so many matches.
_RIVALRY = 3
#: Smaller chances are told as less than this.
_LEAST_CHANCE = 1e-99


@dataclass(frozen=True)
class Evidence:
    """Figures that a judgement rests on, besides the fit.

    Attributes
    ----------
    chance : float
        Number of false alarms.
    held_out : HeldOut
    error, header : float, mas
        Stated error, and displacement from the header, rms over the exposure.
    offset : float, arcsec
        How far the middle of the exposure moves.
    correlation : float
        Of the magnitudes of matches; NaN unknown.
    rivals : int
        Sources that agree with each other on another place.
    """

    chance: float
    held_out: HeldOut
    error: float
    header: float
    offset: float
    correlation: float
    rivals: int = 0


@dataclass(frozen=True)
class Judgement:
    """Whether a fit is used.

    Attributes
    ----------
    accepted : bool
    confirms : bool
        The fit is sound, and shows that the header is as good.
    reason : str
    grade : int
        1 good, 2 compromised, 3 and 4 the same with a large RMS, 5 refused.
    impossible : bool
        The fit does to the exposure what neither pointing nor optics do.
    """

    accepted: bool
    confirms: bool
    reason: str
    grade: int
    impossible: bool = False


def weigh(
    fit: Fit,
    lists: tuple[Floats, Floats, Floats],
    *,
    growth: float,
    chance: float,
    outline: Floats,
    magnitudes: tuple[Floats, Floats],
    parameters: AlignmentParameters,
    rivals: int = 0,
) -> tuple[Evidence, Judgement]:
    """Hold out matches, gather the figures and decide.

    Parameters
    ----------
    fit : Fit
        Its pairs count in the lists.
    lists : tuple of ndarray of float64
        Sources (n, 2) and references (m, 2), arcsec in the plane of the fit, and the variance of
        the difference of each pair, arcsec^2, shape (matches, 2).
    growth : float
        Of the errors, as the fit found.
    chance : float
    outline : ndarray of float64, shape (k, 2), arcsec
    magnitudes : tuple of ndarray of float64, shapes (n,) and (m,)
    parameters : AlignmentParameters
    rivals : int
    """
    here, there = fit.pairs.sources, fit.pairs.references
    held_out = hold_out(
        fit.geometry,
        lists[0][here],
        lists[1][there],
        lists[2],
        sigma=parameters.sigma,
        growth=growth,
    )
    seen = (magnitudes[0][here], magnitudes[1][there])
    evidence = replace(gather(fit, chance, held_out, outline, seen), rivals=rivals)
    return evidence, judge(fit, evidence, parameters)


def gather(
    fit: Fit, chance: float, held_out: HeldOut, outline: Floats, magnitudes: tuple[Floats, Floats]
) -> Evidence:
    """Work out the figures.

    Parameters
    ----------
    fit : Fit
    chance : float
    held_out : HeldOut
    outline : ndarray of float64, shape (n, 2), arcsec
        Points all over the exposure, in the plane of the fit, by the header.
    magnitudes : tuple of ndarray of float64, shape (matches,)
    """
    moved = fit.apply(outline) - outline
    return Evidence(
        chance=chance,
        held_out=held_out,
        error=float(np.sqrt(np.mean(fit.error_at(outline) ** 2))),
        header=1000.0 * float(np.sqrt(np.mean((moved**2).sum(axis=1)))),
        offset=float(np.hypot(*moved.mean(axis=0))),
        correlation=_correlation(*magnitudes),
    )


def judge(fit: Fit, evidence: Evidence, parameters: AlignmentParameters) -> Judgement:
    """Decide on a fit, with every reason against it."""
    impossible = _impossible(fit, evidence, parameters)
    against = _objections(fit, evidence, parameters) + impossible
    compromised = fit.matches < _FEW and evidence.correlation < _CORRELATED
    grade = (1 if fit.total_rms_mas < parameters.good_rms else 3) + compromised
    if parameters.upstream:
        quality = hap_quality(
            fit,
            offset=evidence.offset,
            required=parameters.least(fit.geometry),
            correlation=evidence.correlation,
            good_rms=parameters.good_rms,
            max_rms=parameters.max_rms,
        )
        grade = quality.category
        against += [f"HAP: {reason}" for reason in quality.reasons]
    if against:
        return Judgement(False, False, "; ".join(against), 5, bool(impossible))
    held = evidence.held_out
    if evidence.header < parameters.better * evidence.error:
        reason = (
            f"the header is as good: the fit moves it by {evidence.header:.2f} mas "
            f"with an error of {evidence.error:.2f} mas"
        )
        return Judgement(False, True, reason, grade)
    if held.rms >= held.header_rms:
        reason = (
            f"the header is as good: matches held out lie {held.header_rms:.2f} mas from it, and "
            f"{held.rms:.2f} mas from the fit of the others"
        )
        return Judgement(False, True, reason, grade)
    reason = (
        f"{fit.matches} matches to {fit.total_rms_mas:.2f} mas, "
        f"{held.recovered:.0%} of those held out recovered, chance {_chance(evidence.chance)}"
    )
    return Judgement(True, False, reason, grade)


def _objections(fit: Fit, evidence: Evidence, rules: AlignmentParameters) -> list[str]:
    found = []
    needed = rules.least(fit.geometry)
    if fit.matches < needed:
        found.append(f"too few matches for {fit.geometry}: {fit.matches} of {needed}")
    if evidence.chance > rules.max_chance:
        found.append(f"may be chance: {evidence.chance:.1e} such matches expected")
    if fit.total_rms_mas > rules.max_rms:
        found.append(f"RMS of {fit.total_rms_mas:.0f} mas")
    if evidence.held_out.recovered < rules.min_recovered:
        found.append(f"predicts only {evidence.held_out.recovered:.0%} of held-out matches")
    if evidence.rivals * _RIVALRY >= fit.matches:
        found.append(f"{evidence.rivals} other sources agree on another place nearby")
    if not math.isfinite(evidence.error) or evidence.error > rules.max_rms:
        found.append(f"stated error of {evidence.error:.0f} mas over the exposure")
    return found


def _impossible(fit: Fit, evidence: Evidence, rules: AlignmentParameters) -> list[str]:
    """Name what is beyond errors of pointing and of the optics."""
    found = []
    if evidence.offset > rules.max_offset:
        limit = f"max_offset is {rules.max_offset:g}"
        found.append(f"moves the exposure by {evidence.offset:.1f} arcsec ({limit})")
    if abs(fit.rotation) > rules.max_rotation:
        found.append(f"turns the exposure by {fit.rotation:.3f} degrees")
    if abs(fit.scale - 1.0) > rules.max_scale or abs(math.radians(fit.skew)) > rules.max_scale:
        found.append(f"scale {fit.scale:.5f}, skew {fit.skew:.4f} degrees")
    return found


def _chance(value: float) -> str:
    """Tell a number of false alarms, which of many matches is too small for a float."""
    return f"{value:.0e}" if value >= _LEAST_CHANCE else f"< {_LEAST_CHANCE:.0e}"


def _correlation(mine: Floats, theirs: Floats) -> float:
    """Pearson's r of two lists of magnitudes; NaN where fewer than three are known."""
    both = np.isfinite(mine) & np.isfinite(theirs)
    a, b = mine[both], theirs[both]
    if len(a) < 3 or not (a.std() > 0 and b.std() > 0):
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
