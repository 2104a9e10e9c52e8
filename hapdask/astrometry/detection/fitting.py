"""Point-source fits of many stamps at once: position, flux and background of each.

Gauss-Newton steps on all stamps together; pixels that stand out from the model are left out, as a
cosmic ray on the wing of a star does.  The noise of a pixel is that of background and detector, the
model's own photons, and a part of the model by which the PSF may be wrong (the tolerance).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import Floats, Mask, Stamps
from hapdask.astrometry.detection.psf import Psf

#: Steps before and after outliers are left out.
STEPS = 5
#: What stands out, standard deviations.
_OUTLIER = 4.5
#: Largest step, and largest distance from the middle of the stamp's central pixel, pixels.
_STEP, _AWAY = 0.4, 1.2
#: Part of the image's peak that counts to the model where the tolerance is taken of it: rings.
_FLOOR = 0.15
#: Part of the tolerance that a position feels, by the width of a star (sigma, pixels): errors of a
#: smooth model cancel over several pixels, and do not in a star that hardly fills one.
#: Measured on simulated diffraction (``benchmarks.centroids``).
_WIDTHS, _FELT = (0.32, 0.45), (1.0, 0.5)
#: Stamps that are held together.
_BATCH = 2048


class Fits(NamedTuple):
    """What the fits found, by stamp.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        0-based pixels of the chip.
    flux, flux_error, background : ndarray of float64, electrons
        The error is that of noise alone; the background is of one pixel.
    error : ndarray of float64, pixels
        Along each axis, the tolerance included.
    chi2 : ndarray of float64
        Per degree of freedom, of the pixels that were kept.
    used, left_out, core_left_out : ndarray of int64
        Number of pixels; of the middle three by three those that stand out.
    """

    x: Floats
    y: Floats
    flux: Floats
    flux_error: Floats
    background: Floats
    error: Floats
    chi2: Floats
    used: NDArray[np.int64]
    left_out: NDArray[np.int64]
    core_left_out: NDArray[np.int64]

    def take(self, which: NDArray[Any]) -> Fits:
        """Keep some."""
        return Fits(*(array[which] for array in self))


def fit_stamps(
    stamps: Stamps,
    psf: Psf,
    tolerance: float,
    start: tuple[Floats, Floats] | None = None,
    steps: int = STEPS,
) -> Fits:
    """Fit a point source to every stamp.

    Parameters
    ----------
    stamps : Stamps
    psf : Psf
    tolerance : float
        Part of the model by which a pixel may differ from it, on top of noise.
    start : tuple of ndarray, optional
        Where to begin, x and y on the chip; by default at the light's centroid.
    steps : int
        Steps before, and as many after, outliers are left out.

    Returns
    -------
    Fits
        A stamp that cannot be fitted has an infinite ``chi2``.
    """
    n = len(stamps.x0)
    if n == 0:
        return Fits(*(np.empty(0),) * 7, *(np.empty(0, np.int64),) * 3)
    parts = []
    for first in range(0, n, _BATCH):
        some = slice(first, first + _BATCH)
        begin = None if start is None else (start[0][some], start[1][some])
        parts.append(_fit(stamps.take(some), psf, tolerance, begin, steps))
    return Fits(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _fit(
    stamps: Stamps,
    psf: Psf,
    tolerance: float,
    start: tuple[Floats, Floats] | None,
    steps: int,
) -> Fits:
    half = stamps.light.shape[1] // 2
    x, y = _centroids(stamps, half)
    if start is not None:
        x, y = start[0] - stamps.x0 - half, start[1] - stamps.y0 - half
    image = psf.images(x, y, half)[0]
    flux, background = _amplitudes(stamps, image, 1.0 / stamps.variance)
    keep = stamps.use
    for step in range(2 * steps):
        image, by_x, by_y = psf.images(x, y, half)
        weight = _weights(stamps, image, flux, tolerance)
        if step >= steps:
            keep = _kept(stamps, image, flux, background, weight)
        columns = np.stack(
            [flux[:, None, None] * by_x, flux[:, None, None] * by_y, image, np.ones_like(image)], -1
        )
        change = solve(columns, weight * keep, _residual(stamps, image, flux, background))[0]
        x = np.clip(x + np.clip(change[:, 0], -_STEP, _STEP), -_AWAY, _AWAY)
        y = np.clip(y + np.clip(change[:, 1], -_STEP, _STEP), -_AWAY, _AWAY)
        flux, background = flux + change[:, 2], background + change[:, 3]
    return _figures(stamps, psf, tolerance, keep, x, y, flux, background)


def _figures(
    stamps: Stamps,
    psf: Psf,
    tolerance: float,
    keep: Mask,
    x: Floats,
    y: Floats,
    flux: Floats,
    background: Floats,
) -> Fits:
    """Errors and quality at the solution."""
    half = stamps.light.shape[1] // 2
    image, by_x, by_y = psf.images(x, y, half)
    weight = _weights(stamps, image, flux, tolerance) * keep
    scaled = flux[:, None, None]
    columns = np.stack([scaled * by_x, scaled * by_y, image, np.ones_like(image)], -1)
    residual = _residual(stamps, image, flux, background)
    noise = _weights(stamps, image, flux, 0.0) * keep
    variances, noises = (
        np.maximum(np.diagonal(solve(columns, w, residual)[1], axis1=1, axis2=2), 0.0)
        for w in (weight, noise)
    )
    felt = float(np.interp(psf.sigma, _WIDTHS, _FELT)) ** 2
    places = (felt * variances + (1.0 - felt) * noises)[:, :2].mean(axis=1)
    used = np.count_nonzero(keep, axis=(1, 2))
    chi2 = np.sum(weight * residual**2, axis=(1, 2)) / np.maximum(used - 4, 1)
    at_edge = np.maximum(np.abs(x), np.abs(y)) >= _AWAY
    core = slice(half - 1, half + 2)
    broken = (used < 8) | (flux <= 0) | at_edge | ~np.isfinite(variances).all(axis=1)
    return Fits(
        stamps.x0 + half + x,
        stamps.y0 + half + y,
        flux,
        np.sqrt(noises[:, 2]),
        background,
        np.sqrt(places),
        np.where(broken, np.inf, chi2),
        used,
        np.count_nonzero(stamps.use, axis=(1, 2)) - used,
        np.count_nonzero((stamps.use & ~keep)[:, core, core], axis=(1, 2)),
    )


def _centroids(stamps: Stamps, half: int) -> tuple[Floats, Floats]:
    """Centroid of the middle three by three pixels, from the middle of the central one."""
    middle = slice(half - 1, half + 2)
    light = np.maximum(stamps.light * stamps.use, 0.0)[:, middle, middle]
    total = np.maximum(light.sum(axis=(1, 2)), 1e-9)
    side = np.array([-1.0, 0.0, 1.0])
    return (light.sum(axis=1) @ side) / total, (light.sum(axis=2) @ side) / total


def _amplitudes(stamps: Stamps, image: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Flux and background of best fit at given positions."""
    columns = np.stack([image, np.ones_like(image)], -1)
    found = solve(columns, weight * stamps.use, stamps.light)[0]
    return np.maximum(found[:, 0], 1.0), found[:, 1]


def _weights(stamps: Stamps, image: Floats, flux: Floats, tolerance: float) -> Floats:
    bright = np.maximum(flux, 0.0)[:, None, None]
    unsure = tolerance * bright * (image + _FLOOR * image.max(axis=(1, 2), keepdims=True))
    model = bright * np.maximum(image, 0.0)
    weight: Floats = 1.0 / (stamps.variance + model + np.square(unsure))
    return weight


def _residual(stamps: Stamps, image: Floats, flux: Floats, background: Floats) -> Floats:
    return stamps.light - flux[:, None, None] * image - background[:, None, None]


def _kept(stamps: Stamps, image: Floats, flux: Floats, background: Floats, weight: Floats) -> Mask:
    """Pixels that do not stand out from the model."""
    residual = _residual(stamps, image, flux, background)
    kept: Mask = stamps.use & (np.square(residual) * weight < _OUTLIER**2)
    return kept


def solve(columns: Floats, weight: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares of many small systems: solutions and covariances."""
    n, k = len(columns), columns.shape[-1]
    flat = columns.reshape(n, -1, k)
    weighted = flat * weight.reshape(n, -1, 1)
    normal = np.matmul(weighted.transpose(0, 2, 1), flat)
    scale = np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-30))
    # a whit on the diagonal: systems of too few pixels stay solvable, and their errors huge
    scaled = normal / (scale[:, :, None] * scale[:, None, :]) + 1e-9 * np.eye(k)
    covariance = np.linalg.inv(scaled) / (scale[:, :, None] * scale[:, None, :])
    moments = np.matmul(weighted.transpose(0, 2, 1), target.reshape(n, -1, 1))
    return np.matmul(covariance, moments)[..., 0], covariance
