"""Galaxies of one chip: what is wider than a star, and is fitted by a wider image.

They have no proper motion, so that they tell the motion of a field's stars from an error of its
pointing.  Nothing else is made of them: a centroid of a shape that nobody knows is worth little in
one exposure, and the same in the next.  Not here: stars (`stars`), shapes for guiding (`shapes`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage, Floats, Indices, Stamps
from hapdask.astrometry.detection.fitting import Fits, fit_stamps, solve
from hapdask.astrometry.detection.measuring import Measured
from hapdask.astrometry.detection.psf import Psf

Mask = NDArray[np.bool_]

#: Second moment that a star has not, of a star's own; in how many of its errors; signal to noise.
_WIDER, _SIGNIFICANT, _SNR = 0.25, 5.0, 10.0
#: Step of the second derivative, pixels.
_STEP = 0.2
#: Widths that are tried, in those of a star, and the least of a galaxy.
_WIDTHS, _LEAST = (1.0, 1.2, 1.45, 1.75, 2.1, 2.5, 3.0, 3.6), 1.2
#: Part of its light by which a round Gaussian may be wrong; what a fit may leave, and leave out.
_TOLERANCE, _CHI2, _LEFT_OUT = 0.05, 3.5, 0.1
#: By how much a wider image must fit better than a star's, in chi-square.
_BETTER = 40.0
#: Half side of a stamp, and the distance to any other source, in FWHM of a star.
_HALF, _APART = 2.2, 3.0
#: Chi-square of what cannot be fitted.
_NOTHING = 1e12
#: Least error of a centroid, pixels: colours and clumps of a galaxy differ between exposures.
_LEAST_ERROR = 0.03


class _Best(NamedTuple):
    fits: Fits
    width: Floats
    better: Floats


def find_extended(
    image: ChipImage, stamps: Stamps, fits: Fits, measured: Measured, stars: Indices
) -> Fits:
    """Find the galaxies among what was fitted as a point source.

    Parameters
    ----------
    image : ChipImage
    stamps : Stamps
    fits : Fits
        Of the point source measured.
    measured : Measured
    stars : ndarray of int
        Which of them are stars.

    Returns
    -------
    Fits
        Flux, error and background are those of the wider image.
    """
    psf = measured.psf
    others = np.setdiff1d(np.arange(len(fits.x)), stars)
    some = others[_look_wide(stamps.take(others), fits.take(others), measured)]
    some = some[np.argsort(-fits.flux[some], kind="stable")]
    some = some[_alone(fits, some, stars, _APART * psf.fwhm)]
    best = _fitted(image, fits.take(some), measured)
    found = best.fits
    good = (
        (best.width >= _LEAST)
        & (best.better > _BETTER)
        & (found.chi2 < _CHI2)
        & (found.left_out <= _LEFT_OUT * found.used)
        & (found.core_left_out == 0)
        & (found.flux > _SNR * found.flux_error)
    )
    kept = found.take(good)
    scatter = np.sqrt(np.maximum(kept.chi2, 1.0))
    return kept._replace(error=np.hypot(kept.error * scatter, _LEAST_ERROR))


def _look_wide(stamps: Stamps, fits: Fits, measured: Measured) -> Mask:
    """Tell whose light is spread wider than a star's, to first order in its second moment."""
    if not len(fits.x):
        return np.zeros(0, np.bool_)
    psf, half = measured.psf, stamps.light.shape[1] // 2
    x, y = fits.x - stamps.x0 - half, fits.y - stamps.y0 - half
    middle, by_x, by_y = psf.images(x, y, half)
    sides = ((_STEP, 0.0), (-_STEP, 0.0), (0.0, _STEP), (0.0, -_STEP))
    around = sum(psf.images(x + dx, y + dy, half)[0] for dx, dy in sides)
    wider = 0.5 * (around - 4.0 * middle) / _STEP**2
    flux = np.maximum(fits.flux, 1.0)[:, None, None]
    weight = stamps.use / (stamps.variance + flux * np.maximum(middle, 0.0))
    columns = np.stack([flux * by_x, flux * by_y, middle, np.ones_like(middle), flux * wider], -1)
    left = stamps.light - flux * middle - fits.background[:, None, None]
    moment, covariance = solve(columns, weight, left)
    error = np.sqrt(np.maximum(covariance[:, 4, 4], 1e-12))
    found = np.isfinite(fits.chi2) & (fits.flux > 0.5 * _SNR * fits.flux_error)
    wide = moment[:, 4] > np.maximum(_WIDER * psf.sigma**2, _SIGNIFICANT * error)
    return np.asarray(found & wide)


def _alone(fits: Fits, some: Indices, stars: Indices, apart: float) -> Mask:
    """Tell which are far from every star, and from those before them."""
    from scipy.spatial import cKDTree

    alone = np.ones(len(some), np.bool_)
    if not len(some):
        return alone
    places = np.stack([fits.x, fits.y], axis=1)
    if len(stars):
        alone = cKDTree(places[stars]).query(places[some])[0] > apart
    pairs: NDArray[Any] = cKDTree(places[some]).query_pairs(apart, output_type="ndarray")
    alone[pairs.max(axis=1)] = False
    return alone


def _fitted(image: ChipImage, fits: Fits, measured: Measured) -> _Best:
    """Fit images of every width to each, and keep the best."""
    psf = measured.psf
    x, y = np.rint(fits.x).astype(np.int64), np.rint(fits.y).astype(np.int64)
    stamps = image.stamps(x, y, max(3, round(_HALF * psf.fwhm)))
    tried = [
        fit_stamps(
            stamps,
            psf if width == 1.0 else Psf(width * psf.sigma, psf.wings),
            max(_TOLERANCE, measured.tolerance),
            (fits.x, fits.y),
        )
        for width in _WIDTHS
    ]
    if not len(fits.x):
        return _Best(tried[0], np.zeros(0), np.zeros(0))
    # a pixel left out counts as what it takes to be left out
    square = np.stack([t.chi2 * np.maximum(t.used - 4, 1) + 20.0 * t.left_out for t in tried])
    square = np.where(np.isfinite(square), square, _NOTHING)
    which = np.argmin(square, axis=0)
    at = np.arange(len(which))
    columns = (np.stack(arrays)[which, at] for arrays in zip(*tried, strict=True))
    return _Best(Fits(*columns), np.array(_WIDTHS)[which], square[0] - square[which, at])
