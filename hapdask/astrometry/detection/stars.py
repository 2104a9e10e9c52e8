"""Our own detection on one chip: peaks, point-source fits, what is a star and what is not.

1. Local maxima of single pixels above the background: stars, cosmic rays, hot pixels, galaxies.
2. Each is fitted with the PSF expected of detector and filter.  A cosmic ray is sharper than the
   telescope can make it, a galaxy softer: their residuals tell, and stars remain.
3. The PSF is measured on the brightest of them, and all are fitted again, less their neighbours.
4. Saturated stars are fitted by what is around their saturated pixels.

Source of the approach (PSF fits of few central pixels, quality of fit against cosmic rays):
Anderson and King 2000, PASP 112, 1360; Anderson and King 2006, ACS ISR 2006-01.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage, Floats, Indices, Stamps
from hapdask.astrometry.detection.extended import find_extended
from hapdask.astrometry.detection.fitting import Fits, fit_stamps
from hapdask.astrometry.detection.measuring import Measured, measure_psf
from hapdask.astrometry.detection.peaks import find_peaks, saturated_areas
from hapdask.astrometry.detection.psf import Psf
from hapdask.astrometry.sources import (
    BLENDED,
    COSMIC_RAY,
    EDGE,
    EXTENDED,
    SATURATED,
    SourceList,
)
from hapdask.config.detection import StarParameters

Mask = NDArray[np.bool_]

#: Tolerance of a PSF that was never measured, and chi-square of what may be a star by it.
_UNSURE, _MAY_BE, _MIGHT_BE = 0.2, 2.0, 8.0
#: Rounds of fits less neighbours.
_ROUNDS = 2
#: Part of the neighbours' light that may be wrong: their far wings are not in the PSF.
_WRONG = 0.3
#: Light of neighbours in a stamp, as part of the star's own, that makes a blend.
_BLEND = 0.1
#: Fits of what is around a saturated core: half of the side, tolerance, least error in pixels,
#: signal to noise, pixels of the largest area, and how near to it rings and spikes saturate.
_AROUND, _AROUND_TOLERANCE, _LEAST_ERROR, _AROUND_SNR = 6, 0.1, 0.15, 50.0
_LARGEST, _RINGS = 400, 8.0


def find_stars(
    image: ChipImage,
    expected: Psf,
    parameters: StarParameters,
    name: str,
    extver: int,
    *,
    galaxies: bool = False,
) -> SourceList:
    """Find the stars of a chip.

    Parameters
    ----------
    image : ChipImage
    expected : Psf
        Before any star was seen.
    parameters : StarParameters
    name : str
        Of the exposure.
    extver : int
        Of the chip.
    galaxies : bool
        Whether galaxies come after the stars, as `EXTENDED`.

    Returns
    -------
    SourceList
        Brightest first.
    """
    x, y = find_peaks(image, parameters.threshold, parameters.smooth)
    half = max(2, round(1.1 * expected.fwhm))
    stamps = image.stamps(x, y, half)
    fits = fit_stamps(stamps, expected, _UNSURE)
    likely = _are_stars(stamps, fits, _MAY_BE, parameters)
    measured = measure_psf(stamps.take(likely), fits.take(likely), expected, _UNSURE)
    may_be = np.flatnonzero(_are_stars(stamps, fits, _MIGHT_BE, parameters))
    stamps, fits = stamps.take(may_be), fits.take(may_be)
    fits, beside = _fit_again(stamps, fits, measured, parameters)
    stars = np.flatnonzero(_are_stars(stamps, fits, parameters.chi2, parameters))
    flags = _flags(stamps, fits, beside)[stars]
    found = [(fits.take(stars), flags)]
    if parameters.saturated:
        found.append(_around_saturated(image, measured))
    listed = _listed(found, measured.psf, name, extver, parameters)
    if galaxies:
        wide = find_extended(image, stamps, fits, measured, stars)
        extended = np.full(len(wide.x), EXTENDED, np.uint16)
        more = _listed([(wide, extended)], measured.psf, name, extver, parameters)
        listed = SourceList.joined(name, [listed, more])
    return listed


def _are_stars(stamps: Stamps, fits: Fits, chi2: float, parameters: StarParameters) -> Mask:
    """Whose light is spread as a point source's, with few pixels left out."""
    snr = fits.flux / fits.flux_error
    # in faint ones a few pixels left out are most of what there is to see
    few = np.where(snr < parameters.faint, parameters.left_out // 2, parameters.left_out)
    half = stamps.use.shape[1] // 2
    core = stamps.use[:, half - 1 : half + 2, half - 1 : half + 2]
    whole = np.count_nonzero(core, axis=(1, 2)) >= 6
    stars: Mask = (
        (fits.chi2 < chi2)
        & (fits.left_out <= few)
        & (fits.core_left_out <= 1)
        & (snr >= parameters.snr)
        & whole
    )
    return stars


def _fit_again(
    stamps: Stamps, fits: Fits, measured: Measured, parameters: StarParameters
) -> tuple[Fits, Floats]:
    """Fit with the PSF measured and less the neighbours' light; also that light's share."""
    fits = fit_stamps(stamps, measured.psf, measured.tolerance, (fits.x, fits.y))
    beside = np.zeros(len(fits.x))
    for _ in range(_ROUNDS):
        stars = np.flatnonzero(_are_stars(stamps, fits, parameters.chi2, parameters))
        near, light = _neighbours(stamps, fits, stars, measured.psf)
        beside[near] = light.sum(axis=(1, 2)) / np.maximum(fits.flux[near], 1.0)
        if near.size == 0:
            break
        mine = stamps.take(near)
        again = fit_stamps(
            mine._replace(
                light=mine.light - light, variance=mine.variance + np.square(_WRONG * light)
            ),
            measured.psf,
            measured.tolerance,
            (fits.x[near], fits.y[near]),
        )
        fits = Fits(*(_put(old, near, new) for old, new in zip(fits, again, strict=True)))
    return fits, beside


def _put(array: NDArray[Any], where: Indices, values: NDArray[Any]) -> NDArray[Any]:
    changed = array.copy()
    changed[where] = values
    return changed


def _neighbours(stamps: Stamps, fits: Fits, stars: Indices, psf: Psf) -> tuple[Indices, Floats]:
    """Stamps that stars other than their own reach, and the light of those in them."""
    from scipy.spatial import cKDTree

    half = stamps.light.shape[1] // 2
    middles = np.stack([stamps.x0 + half, stamps.y0 + half], axis=1).astype(float)
    places = np.stack([fits.x, fits.y], axis=1)[stars]
    if stars.size == 0:
        return np.empty(0, np.int64), np.empty((0, *stamps.light.shape[1:]))
    reach = half + 4.0 * psf.fwhm
    pairs = cKDTree(places).query_ball_point(middles, reach, return_sorted=True)
    counts = np.array([len(each) for each in pairs])
    star = stars[np.concatenate([np.array(each, np.int64) for each in pairs])]
    stamp = np.repeat(np.arange(len(pairs)), counts)
    # two peaks of one star, or one star and its own stamp
    apart = np.hypot(fits.x[star] - fits.x[stamp], fits.y[star] - fits.y[stamp])
    other = (star != stamp) & (apart > 0.5)
    star, stamp = star[other], stamp[other]
    near, at = np.unique(stamp, return_inverse=True)
    dx, dy = fits.x[star] - middles[stamp, 0], fits.y[star] - middles[stamp, 1]
    images = fits.flux[star][:, None, None] * psf.images(dx, dy, half)[0]
    light = np.zeros((near.size, *stamps.light.shape[1:]))
    np.add.at(light, at, images)
    return near, light


def _flags(stamps: Stamps, fits: Fits, beside: Floats) -> NDArray[np.uint16]:
    half = stamps.use.shape[1] // 2
    core = stamps.use[:, half - 1 : half + 2, half - 1 : half + 2]
    rows, columns = (np.asarray(stamps.use.any(axis=axis)) for axis in (2, 1))
    whole = rows.all(axis=1) & columns.all(axis=1) & core.all(axis=(1, 2))
    flags = np.where(whole, 0, EDGE)
    flags |= np.where(fits.left_out >= 2, COSMIC_RAY, 0)
    flags |= np.where(beside > _BLEND, BLENDED, 0)
    return flags.astype(np.uint16)


def _around_saturated(image: ChipImage, measured: Measured) -> tuple[Fits, NDArray[np.uint16]]:
    """Stars with saturated cores, by what is around those."""
    x, y = saturated_areas(image.saturated, _LARGEST, _RINGS)
    stamps = image.stamps(x, y, _AROUND)
    fits = fit_stamps(stamps, measured.psf, max(_AROUND_TOLERANCE, measured.tolerance))
    fits = fits._replace(
        error=np.hypot(fits.error * np.sqrt(np.maximum(fits.chi2, 1.0)), _LEAST_ERROR)
    )
    good = (fits.chi2 < 10.0) & (fits.flux > _AROUND_SNR * fits.flux_error)
    kept = fits.take(np.flatnonzero(good))
    return kept, np.full(len(kept.x), SATURATED, np.uint16)


def _listed(
    found: list[tuple[Fits, NDArray[np.uint16]]],
    psf: Psf,
    name: str,
    extver: int,
    parameters: StarParameters,
) -> SourceList:
    """Put all together, brightest first, each star once."""
    fits = Fits(*(np.concatenate(parts) for parts in zip(*(f for f, _ in found), strict=True)))
    flags = np.concatenate([each for _, each in found])
    order = np.argsort(-fits.flux, kind="stable")
    fits, flags = fits.take(order), flags[order]
    once = _once(fits, 0.5 * psf.fwhm)
    fits, flags = fits.take(once), flags[once]
    return SourceList(
        name,
        np.full(len(fits.x), extver),
        fits.x,
        fits.y,
        np.hypot(fits.error, parameters.error_floor),
        fits.flux,
        fits.flux / fits.flux_error,
        flags,
        psf.fwhm,
    ).take(slice(0, parameters.most or None))


def _once(fits: Fits, apart: float) -> Indices:
    """Leave out what lies on a brighter one."""
    from scipy.spatial import cKDTree

    if len(fits.x) == 0:
        return np.empty(0, np.int64)
    pairs = cKDTree(np.stack([fits.x, fits.y], axis=1)).query_pairs(apart, output_type="ndarray")
    kept = np.ones(len(fits.x), np.bool_)
    kept[pairs.max(axis=1)] = False
    return np.flatnonzero(kept)
