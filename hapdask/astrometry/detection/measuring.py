"""The width and wings of a chip's point sources, measured on the best of them.

The position, flux and background of each star are fitted anew for every trial of the PSF, and the
sum of what is left is made small (variable projection).  What remains tells how far the model may
be trusted: the tolerance, a part of the model, with which bright stars have a chi-square of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.airy import airy_psf
from hapdask.astrometry.detection.chip_image import Stamps
from hapdask.astrometry.detection.fitting import Fits, fit_stamps
from hapdask.astrometry.detection.psf import FINE, Psf

#: Stars that are measured, and how few are enough.
_MOST, _FEWEST = 100, 4
#: Tolerance that needs no table of differences.
_GOOD = 0.01
#: Stars from which a table of differences is made, how often, how far samples are averaged
#: (pixels), how much the images of stars scatter at least (of the peak), and what stands out.
_FOR_TABLE, _ROUNDS, _SMOOTH, _LEAST_SCATTER, _MISFIT, _OUTLIER = 15, 2, 0.18, 0.01, 8.0, 5.0
#: Signal to noise of such stars, and of those that tell the tolerance.
_BRIGHT, _TELLING = 25.0, 60.0
#: Where the width and the wings may lie: in units of the width expected, and in shares.
_WIDTHS, _SHARES = (0.75, 1.35), (0.0, 0.6)
#: Largest chi-square that a star adds.
_CAP = 1e3
#: How far a width may well be from the one expected, and the misfit that makes up for so much: of
#: narrower ones, for cosmic rays are narrow; of wider ones (focus, jitter) by the width (pixels),
#: for where stars hardly fill a pixel they do not tell it.
_WELL, _FILLED, _PRICE = 0.06, (0.35, 0.5), (0.1, 0.01)
#: By how much two Gaussians must fit better than diffraction does.
_LIKELY = 0.15
_TOLERANCES = (0.002, 0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15)


class Measured(NamedTuple):
    """What point sources of a chip look like, and how sure that is."""

    psf: Psf
    tolerance: float


def measure_psf(stamps: Stamps, fits: Fits, expected: Psf, unsure: float) -> Measured:
    """Measure the PSF on the best stars of a chip.

    Parameters
    ----------
    stamps : Stamps
    fits : Fits
        Of these stamps with the PSF expected; those of stars alone.
    expected : Psf
        Comes back where there are too few stars.
    unsure : float
        Its tolerance.

    Returns
    -------
    Measured
    """
    chosen = _best(fits)
    if chosen.size < _FEWEST:
        return Measured(expected, unsure)
    stars, begun = stamps.take(chosen), fits.take(chosen)
    wider = float(np.interp(expected.sigma, _FILLED, _PRICE))

    def misfit(psf: Psf) -> float:
        found = fit_stamps(stars, psf, _TOLERANCES[1], (begun.x, begun.y), steps=2)
        unlikely = math.log(psf.sigma / expected.sigma) / _WELL
        price = wider if unlikely > 0.0 else _PRICE[0]
        return float(np.log1p(np.minimum(found.chi2, _CAP)).mean()) + price * unlikely**2

    psf = _gaussians(expected, misfit)
    if expected.diffraction > 0.0:
        likely = _diffraction(expected, misfit)
        psf = likely if misfit(likely) < misfit(psf) + _LIKELY else psf
    return refine_psf(stamps, fits, Measured(psf, unsure))


def _gaussians(expected: Psf, misfit: Callable[[Psf], float]) -> Psf:
    """Find two Gaussians of best width and share."""
    from scipy.optimize import minimize

    def psf_of(trial: NDArray[np.float64]) -> Psf:
        width = float(np.clip(math.exp(trial[0]), *_WIDTHS))
        wings = float(np.clip(trial[1], *_SHARES))
        return replace(expected, sigma=expected.sigma * width, wings=wings)

    def outside(trial: NDArray[np.float64]) -> float:
        too_wide = max(abs(trial[0]) - math.log(_WIDTHS[1]), 0.0)
        return float(too_wide + abs(trial[1] - np.clip(trial[1], *_SHARES)))

    start = np.array([0.0, expected.wings])
    simplex = start + np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.06]])
    options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-3, "maxfev": 60}
    found = minimize(
        lambda trial: misfit(psf_of(trial)) + 10.0 * outside(trial),
        start,
        method="Nelder-Mead",
        options=options,
    )
    return psf_of(found.x)


def _diffraction(expected: Psf, misfit: Callable[[Psf], float]) -> Psf:
    """Find the image by diffraction, of best blur."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda blur: misfit(airy_psf(blur, expected.diffraction)),
        bounds=(0.0, _WIDTHS[1] * expected.sigma),
        method="bounded",
        options={"xatol": 0.01, "maxiter": 15},
    )
    return airy_psf(float(found.x), expected.diffraction)


def refine_psf(stamps: Stamps, fits: Fits, measured: Measured) -> Measured:
    """Measure what a chip's stars have besides two Gaussians, and how far the whole is right.

    Parameters
    ----------
    stamps, fits : Stamps, Fits
        Of stars.
    measured : Measured
        With ``tolerance`` for the case that there are too few stars to tell.
    """
    chosen = _best(fits)
    if chosen.size < _FEWEST:
        return measured
    stars, begun = stamps.take(chosen), fits.take(chosen)
    best = Measured(measured.psf, _tolerance(stars, begun, measured.psf, measured.tolerance))
    # so many bright ones are no cosmic rays
    telling = np.count_nonzero(begun.flux > _TELLING * begun.flux_error)
    for _ in range(_ROUNDS):
        if telling < _FOR_TABLE or best.tolerance <= _GOOD:
            break
        begun = fit_stamps(stars, best.psf, best.tolerance, (begun.x, begun.y), steps=3)
        psf = replace(best.psf, table=_with_table(stars, begun, best))
        tolerance = _tolerance(stars, begun, psf, measured.tolerance)
        if tolerance > best.tolerance:
            break
        best = Measured(psf, tolerance)
    return best


def _with_table(stars: Stamps, fits: Fits, trusted: Measured) -> NDArray[np.float64] | None:
    """Average what the fits leave, by the place of each pixel from its star.

    Each node takes the samples about it; what noise alone would leave is believed the less, the
    fewer photons there are (an estimate by empirical Bayes: nothing but noise gives no table).
    """
    psf, half = trusted.psf, stars.light.shape[1] // 2
    good = fits.chi2 < _MISFIT
    stars, fits = stars.take(good), fits.take(good)
    if len(fits.x) < _FOR_TABLE:
        return psf.table
    x, y = fits.x - stars.x0 - half, fits.y - stars.y0 - half
    image = psf.images(x, y, half)[0]
    flux = fits.flux[:, None, None]
    left = (stars.light - fits.background[:, None, None]) / flux - image
    weight = np.square(flux) / (stars.variance + flux * np.maximum(image, 0.0))
    variance = 1.0 / weight + np.square(_LEAST_SCATTER * psf.peak)
    # by as much as the model is wrong, a pixel may stand out without being hit
    wrong = np.square(trusted.tolerance * psf.peak)
    use = stars.use & (np.square(left) < _OUTLIER**2 * (variance + wrong))
    left, weight = left[use], 1.0 / variance[use]
    spread = float(np.mean(weight * left**2) - 1.0) / float(np.mean(weight))
    if spread <= 0.0:
        return psf.table
    side = np.arange(-half, half + 1.0)
    dx, dy = np.broadcast_arrays((side - x[:, None])[:, None, :], (side - y[:, None])[:, :, None])
    more = _smoothed(dx[use], dy[use], left, weight, spread, half)
    return more if psf.table is None else _sum(psf.table, more)


def _sum(*tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add tables about their middles: what is smaller has nothing farther out."""
    most = max(table.shape[0] for table in tables)
    return sum(
        (np.pad(table, (most - table.shape[0]) // 2) for table in tables), np.zeros((most, most))
    )


def _smoothed(
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
    spread: float,
    half: int,
) -> NDArray[np.float64]:
    """Weighted means of scattered samples about the nodes of a table, drawn towards nothing."""
    reach = (half + 1) * FINE
    nodes = np.arange(-reach, reach + 1) / FINE
    near_x, near_y = (np.exp(-0.5 * np.square((nodes[:, None] - d) / _SMOOTH)) for d in (dx, dy))
    total = near_y @ (near_x * weight).T
    means: NDArray[np.float64] = (near_y @ (near_x * (weight * values)).T) / (total + 1.0 / spread)
    return means


def _best(fits: Fits) -> NDArray[np.int64]:
    """Choose the brightest stars that nothing spoils, brightest first."""
    snr = fits.flux / fits.flux_error
    good = np.isfinite(fits.chi2) & (snr > _BRIGHT) & (fits.left_out <= 1)
    order = np.argsort(-np.where(good, fits.flux, -np.inf), kind="stable")
    return order[: min(int(good.sum()), _MOST)]


def _tolerance(stars: Stamps, begun: Fits, psf: Psf, unsure: float) -> float:
    """Smallest tolerance with which half of the bright stars fit as well as noise lets them."""
    for tolerance in _TOLERANCES:
        found = fit_stamps(stars, psf, tolerance, (begun.x, begun.y), steps=2)
        telling = found.flux > _TELLING * found.flux_error
        if np.count_nonzero(telling) < _FEWEST:
            return min(max(tolerance, 0.03), unsure)
        if np.median(found.chi2[telling]) <= 1.0:
            return tolerance
    return _TOLERANCES[-1]
