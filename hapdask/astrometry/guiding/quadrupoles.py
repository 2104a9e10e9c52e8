"""Shapes of stars hardly wider than a pixel, by what they have besides the image of a point.

Second moments of such stars depend more on where in its pixel a star falls than on a short drift.
So the image of a point is fitted, and with it its second derivatives: their amplitudes are the
excess of second moments, whatever the place within the pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage, Floats, Stamps
from hapdask.astrometry.detection.fitting import Fits, fit_stamps, solve
from hapdask.astrometry.detection.peaks import find_peaks
from hapdask.astrometry.detection.psf import Psf
from hapdask.astrometry.guiding.shapes import Shapes, framed
from hapdask.observe.parts import ChipRecord

#: Stars wider than this (sigma, pixels) are not measured so.
WIDEST = 0.5
#: Threshold, half of a stamp, tolerance of the PSF, largest chi-square, signal to noise.
_THRESHOLD, _HALF, _UNSURE, _CHI2, _SNR = 5.0, 2, 0.2, 8.0, 40.0
#: Step of the derivatives, pixels.
_STEP = 0.1


def measure_quadrupoles(image: ChipImage, chip: ChipRecord, psf: Psf, snr: float = _SNR) -> Shapes:
    """Measure the excess of second moments of what is nearly a star.

    Parameters
    ----------
    image : ChipImage
    chip : ChipRecord
    psf : Psf
        Expected.
    snr : float
        Least signal to noise.

    Returns
    -------
    Shapes
        Their sizes are not measured: NaN.
    """
    x, y = find_peaks(image, _THRESHOLD)
    stamps = image.stamps(x, y, _HALF)
    fits = fit_stamps(stamps, psf, _UNSURE)
    good = (fits.chi2 < _CHI2) & (fits.flux > snr * fits.flux_error) & (fits.core_left_out <= 1)
    good &= stamps.use.all(axis=(1, 2))
    stamps, fits = stamps.take(good), fits.take(good)
    moments = _moments(stamps, fits, psf) if good.any() else np.empty((0, 2, 2))
    return framed(image, chip, psf, moments, fits.y, round_on_pixels=True)


def _moments(stamps: Stamps, fits: Fits, psf: Psf) -> Floats:
    """Excess of second moments, pixels**2, shape (n, 2, 2)."""
    x, y = fits.x - stamps.x0 - _HALF, fits.y - stamps.y0 - _HALF

    def image(dx: float, dy: float) -> NDArray[np.float64]:
        return psf.images(x + dx * _STEP, y + dy * _STEP, _HALF)[0]

    point, by_x, by_y = psf.images(x, y, _HALF)
    by_xx, by_yy = (image(i, j) - 2.0 * point + image(-i, -j) for i, j in ((1.0, 0.0), (0.0, 1.0)))
    by_xy = 0.25 * (image(1, 1) - image(1, -1) - image(-1, 1) + image(-1, -1))
    flux = fits.flux[:, None, None]
    columns = np.stack([point, by_x, by_y, np.ones_like(point), by_xx, by_yy, by_xy], -1)
    weight = stamps.use / (stamps.variance + flux * np.maximum(point, 0.0))
    found = solve(columns, weight, stamps.light)[0]
    # an image of moments m has m / 2 of each second derivative, and m of the mixed one
    xx, yy, xy = _STEP**2 * found[:, 4:].T / np.maximum(found[:, 0], 1.0)
    return np.stack([np.stack([2.0 * xx, xy], -1), np.stack([xy, 2.0 * yy], -1)], axis=1)
