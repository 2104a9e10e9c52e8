"""One exposure to references by TweakReg's rules: histogram, match, fit, and our acceptance.

Matching and fitting are in pixels of the reference frame, whose axes the bins, the separations
and the clipping go by (facts/astrodrizzle.md 3.4, 3.5); the fit comes out in the tangent plane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.acceptance import Evidence, Judgement, weigh
from hapdask.astrometry.fitting.clipping import Clipped, fit_tweakreg, robust_variance
from hapdask.astrometry.fitting.result import Fit, as_correction, shared_covariance
from hapdask.astrometry.fitting.starting import Start, start_of_matches
from hapdask.astrometry.fitting.tweaked import OffsetHistogram, TweakRegFit, TweakRegMatches
from hapdask.astrometry.matching.chance import SEEDS, false_alarms
from hapdask.astrometry.matching.nearest import Pairs
from hapdask.astrometry.matching.places import Places, Plane
from hapdask.astrometry.matching.upstream import XYXYRules, match_xyxy
from hapdask.config.alignment import AlignmentParameters, TweakRegMatching
from hapdask.observe.distortion import sky_of_plane
from hapdask.sky.frame import Frame

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Against:
    """What an exposure is matched with, and how.

    Attributes
    ----------
    references : Places
    frame : Frame
    parameters : TweakRegMatching
    rules : AlignmentParameters or None
        None believes every fit.
    name : str
        Of the references, for the results.
    """

    references: Places
    frame: Frame
    parameters: TweakRegMatching
    rules: AlignmentParameters | None
    name: str

    @property
    def to_arcsec(self) -> Floats:
        """Matrix, shape (2, 2), from pixels to arcsec east and north."""
        return 3600.0 * np.reshape(self.frame.cd, (2, 2))

    def plane(self, places: Places) -> Plane:
        """Positions in the frame's tangent plane, arcsec."""
        return places.in_plane(self.frame.crval)

    def pixels(self, xy: Floats) -> Floats:
        """Pixels about the tangent point of positions in its plane."""
        moved: Floats = xy @ np.linalg.inv(self.to_arcsec).T
        return moved

    def shown(self, about: Floats) -> Floats:
        """0-based pixels of the frame of pixels about the tangent point."""
        shown: Floats = about + np.array(self.frame.crpix_window) - 1.0
        return shown


def tweak_one(exposure: Places, outline: Places, against: Against) -> TweakRegFit:
    """Match and fit one exposure.

    Parameters
    ----------
    exposure : Places
    outline : Places
        Points around it.
    against : Against
    """
    blank = TweakRegFit(exposure.name, "unaligned", "", against.name)
    if not len(against.references):
        return _failed(blank, "no reference", 0)
    sources, references = against.plane(exposure), against.plane(against.references)
    scale = against.frame.pixel_scale
    mine, theirs = against.pixels(sources.xy), against.pixels(references.xy)
    given = against.parameters
    rules = XYXYRules(
        searchrad=given.radius(scale),
        separation=max(given.separation, 1e-9),  # upstream's matcher refuses 0
        tolerance=given.tolerance,
        use2dhist=given.use2dhist,
        xoffset=given.xoffset,
        yoffset=given.yoffset,
    )
    if given.use2dhist and given.see2dplot:
        blank = replace(blank, histogram=OffsetHistogram.of(mine, theirs, rules.searchrad))
    pairs = match_xyxy(mine, theirs, rules, pixel_scale=1.0)
    if pairs is None:
        return _failed(blank, "several references share one source: change tolerance", 0)
    least = max(given.minobj, 1)
    clipped = None
    if len(pairs) >= least:
        clipped = fit_tweakreg(
            given.fitgeometry,
            mine[pairs.sources],
            theirs[pairs.references],
            sigma=given.sigma,
            nclip=given.nclip,
            stated=_stated(exposure, sources, references, pairs) / scale**2,
        )
    if clipped is None:
        few = len(pairs) < least
        reason = f"not enough matches: {len(pairs)} of {least}" if few else "no fit of the matches"
        kept = _unfitted(exposure, pairs, mine, theirs, against) if len(pairs) else None
        return replace(_failed(blank, reason, len(pairs)), matches=kept)
    start = start_of_matches(pairs, sources, references, rules, scale)
    fit = _as_fit(clipped, pairs, against)
    made = replace(
        blank,
        fit=fit,
        matches=_fitted(fit, clipped, pairs, mine, theirs, against),
        rms_pixels=_scatter(clipped),
    )
    own = sources.variance[fit.pairs.sources]
    if not exposure.errors_known:
        own = np.full_like(own, robust_variance(fit.residuals / 1000.0))
    variance = own + references.variance[fit.pairs.references]
    return _weighed(made, exposure, against, start, against.plane(outline).xy, variance)


def _stated(exposure: Places, sources: Plane, references: Plane, pairs: Pairs) -> float:
    """Mean variance of the differences of pairs per axis, as far as errors are known, arcsec^2."""
    theirs = float(references.variance[pairs.references].mean())
    return theirs + exposure.errors_known * float(sources.variance[pairs.sources].mean())


def _failed(blank: TweakRegFit, reason: str, matches: int) -> TweakRegFit:
    attempt = Attempt(
        blank.reference, "tweakreg", "", matches, math.nan, False, reason, blank.exposure
    )
    return replace(blank, reason=reason, attempts=(attempt,))


def _as_fit(clipped: Clipped, pairs: Pairs, against: Against) -> Fit:
    """Turn a fit in pixels about the tangent point into one in its plane."""
    turn = against.to_arcsec
    back = np.linalg.inv(turn)
    jacobian = np.zeros((6, 6))
    jacobian[:4, :4], jacobian[4:, 4:] = np.kron(turn, back.T), turn
    used = pairs.take(clipped.used)
    residuals = 1000.0 * clipped.solved.residuals[clipped.used] @ turn.T
    rms = np.sqrt((residuals**2).mean(axis=0))
    return Fit(
        correction=as_correction(
            against.frame.crval, turn @ clipped.solved.matrix @ back, turn @ clipped.solved.shift
        ),
        geometry=against.parameters.fitgeometry,
        pairs=used,
        rejected=len(pairs) - len(used),
        residuals=residuals,
        rms_mas=(float(rms[0]), float(rms[1])),
        covariance=jacobian @ clipped.solved.covariance @ jacobian.T,
        chi2=1.0,
    )


def _scatter(clipped: Clipped) -> tuple[float, float]:
    x, y = clipped.solved.residuals[clipped.used].std(axis=0)
    return float(x), float(y)


def _fitted(
    fit: Fit, clipped: Clipped, pairs: Pairs, mine: Floats, theirs: Floats, against: Against
) -> TweakRegMatches:
    fitted = clipped.solved.apply(mine[pairs.sources])
    xi, eta = np.radians((fitted @ against.to_arcsec.T).T / 3600.0)
    ra, dec = sky_of_plane(xi, eta, against.frame.crval)
    return TweakRegMatches(
        pairs.sources,
        pairs.references,
        clipped.used,
        against.shown(mine[pairs.sources]),
        against.shown(theirs[pairs.references]),
        against.shown(fitted),
        ra,
        dec,
    )


def _unfitted(
    exposure: Places, pairs: Pairs, mine: Floats, theirs: Floats, against: Against
) -> TweakRegMatches:
    found = against.shown(mine[pairs.sources])
    none = np.zeros(len(pairs), np.bool_)
    here = pairs.sources
    return TweakRegMatches(
        here,
        pairs.references,
        none,
        found,
        against.shown(theirs[pairs.references]),
        found,
        exposure.ra[here],
        exposure.dec[here],
    )


def _weighed(
    made: TweakRegFit,
    exposure: Places,
    against: Against,
    start: Start,
    outline: Floats,
    variance: Floats,
) -> TweakRegFit:
    """Judge a fit, where there are rules, and write down the attempt."""
    fit, rules = made.fit, against.rules
    assert fit is not None
    believed = AlignmentParameters() if rules is None else rules
    variance = variance + (believed.floor / 1000.0) ** 2
    chi2 = float((fit.residuals**2 / (1e6 * variance)).sum()) / max(1, 2 * fit.matches - 4)
    shared = shared_covariance(against.references.shared[fit.pairs.references], variance)
    fit = replace(fit, chi2=chi2, covariance=fit.covariance + shared)
    width = np.minimum(
        believed.sigma * math.sqrt(max(1.0, chi2)) * np.sqrt(variance.max(axis=1)), start.width
    )
    chance = false_alarms(
        len(np.unique(fit.pairs.references)),
        start.expected * float(np.mean(width**2)) / start.width**2,
        start.trials,
        SEEDS[fit.geometry],
        near=start.expected,
    )
    evidence, judgement = weigh(
        fit,
        (against.plane(exposure).xy, against.plane(against.references).xy, variance),
        growth=math.sqrt(max(1.0, chi2)),
        chance=chance,
        outline=outline,
        magnitudes=(exposure.mag, against.references.mag),
        parameters=believed,
    )
    status, reason = _status(judgement, fit, trusting=rules is None)
    attempt = Attempt(
        against.name,
        "tweakreg",
        fit.geometry,
        fit.matches,
        fit.total_rms_mas,
        status == "aligned",
        reason,
        made.exposure,
        chance=chance,
        error=evidence.error,
        header=evidence.header,
        grade=judgement.grade,
    )
    return _decided(made, fit, status, evidence, judgement, attempt)


def _status(judgement: Judgement, fit: Fit, *, trusting: bool) -> tuple[str, str]:
    if judgement.accepted:
        return "aligned", judgement.reason
    if trusting:
        told = f"{fit.matches} matches to {fit.total_rms_mas:.2f} mas, believed unseen"
        return "aligned", f"{told}; {judgement.reason}"
    return ("confirmed" if judgement.confirms else "refused"), judgement.reason


def _decided(
    made: TweakRegFit,
    fit: Fit,
    status: str,
    evidence: Evidence,
    judgement: Judgement,
    attempt: Attempt,
) -> TweakRegFit:
    return replace(
        made,
        status=status,
        reason=attempt.reason,
        correction=fit.correction if status == "aligned" else None,
        fit=fit,
        error_mas=evidence.error,
        header_mas=evidence.header,
        grade=judgement.grade,
        attempts=(attempt,),
    )
