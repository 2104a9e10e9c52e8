"""DAOFIND's kernel and figures: sharpness, roundness, and centroids by fits to marginal sums.

On many boxes at once.  Shared by TweakReg's finding and HAP's.

Source: Stetson 1987, PASP 99, 191.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.psf import FWHM

Floats = NDArray[np.float64]

#: Pixels this near to the middle always belong to the kernel.
_CORE = 2.001


@dataclass(frozen=True)
class Kernel:
    """An elliptical Gaussian, cut.

    Attributes
    ----------
    gauss : ndarray of float64, shape (ny, nx)
        1 in the middle, whole box.
    inside : ndarray of bool, same shape
        What counts.
    filter : ndarray of float64, same shape
        Gives the height of a source by convolution; its sum is 0.
    variances : tuple of float, pixels**2
        Along x and y, as the fits to marginal sums take them.
    """

    gauss: Floats
    inside: NDArray[np.bool_]
    filter: Floats
    variances: tuple[float, float]


def make_kernel(fwhm: float, nsigma: float, ratio: float = 1.0, theta: float = 0.0) -> Kernel:
    """Make the kernel of a FWHM (pixels), cut at so many sigma; ``theta`` in degrees."""
    x_sigma = fwhm / FWHM
    y_sigma = ratio * x_sigma
    cosine, sine = math.cos(math.radians(theta)), math.sin(math.radians(theta))
    a = cosine**2 / x_sigma**2 + sine**2 / y_sigma**2
    b = 2.0 * cosine * sine * (1.0 / x_sigma**2 - 1.0 / y_sigma**2)
    c = sine**2 / x_sigma**2 + cosine**2 / y_sigma**2
    d = b**2 - 4.0 * a * c
    half_x, half_y = (int(2.0 * max(1.0, nsigma * math.sqrt(-value / d))) for value in (c, a))
    y, x = np.mgrid[-half_y : half_y + 1, -half_x : half_x + 1].astype(np.float64)
    squared = a * x**2 + b * x * y + c * y**2
    gauss = np.exp(-0.5 * squared)
    inside = (squared <= nsigma**2) | (np.hypot(x, y) <= _CORE)
    n, cut = int(inside.sum()), gauss * inside
    denominator = np.sum(cut**2) - np.sum(cut) ** 2 / n
    return Kernel(
        gauss, inside, (cut - np.sum(cut) / n) / denominator * inside, (x_sigma**2, y_sigma**2)
    )


def marginal_centroids(boxes: Floats, kernel: Kernel) -> tuple[Floats, Floats, Floats]:
    """Fit a Gaussian with a level to the weighted sums over rows and over columns.

    Parameters
    ----------
    boxes : ndarray of float64, shape (n, ny, nx)
        Of the kernel's shape.
    kernel : Kernel

    Returns
    -------
    dx, dy : ndarray of float64, pixels
        From the middle of the box; NaN where nothing rises there.
    roundness : ndarray of float64
        2 (hx - hy) / (hx + hy) of the heights.
    """
    dx, x_height = _marginal(boxes, kernel.gauss, kernel.variances[0])
    dy, y_height = _marginal(boxes.transpose(0, 2, 1), kernel.gauss.T, kernel.variances[1])
    with np.errstate(all="ignore"):
        return dx, dy, 2.0 * (x_height - y_height) / (x_height + y_height)


def _marginal(boxes: Floats, gauss: Floats, variance: float) -> tuple[Floats, Floats]:
    """Offset along the columns' axis, and height."""
    along, across = (_triangle(size) for size in (gauss.shape[1], gauss.shape[0]))
    data, model = np.einsum("nyx,y->nx", boxes, across), np.einsum("yx,y->x", gauss, across)
    middle = gauss.shape[1] // 2
    slope = model * (middle - np.arange(gauss.shape[1]))
    p, g, g2 = along.sum(), np.sum(along * model), np.sum(along * model**2)
    d, gd = data @ along, data @ (along * model)
    with np.errstate(all="ignore"):
        height = (gd - g * d / p) / (g2 - g**2 / p)
        level = (d - height * g) / p
        s, s2 = np.sum(along * slope), np.sum(along * slope**2)
        moved = np.sum(along * model * slope) - (
            data @ (along * slope) - s * (height * g + level * p)
        )
        offset = moved / (height * s2 / variance)
        mass = data @ (along * (np.arange(gauss.shape[1]) - middle)) / d
    far = np.abs(offset) > middle
    offset = np.where(far, np.where(np.abs(mass) <= middle, mass, 0.0), offset)
    return np.where(height > 0.0, offset, np.nan), height


def _triangle(size: int) -> Floats:
    middle = size // 2
    return middle + 1.0 - np.abs(np.arange(size) - middle)


def sharpness(boxes: Floats, convolved: Floats, kernel: Kernel) -> Floats:
    """Middle pixel over the mean of the others, in units of the height by convolution."""
    y, x = (size // 2 for size in kernel.gauss.shape)
    others = kernel.inside.copy()
    others[y, x] = False
    mean = boxes[:, others].mean(axis=1)
    with np.errstate(all="ignore"):
        found: Floats = (boxes[:, y, x] - mean) / convolved[:, y, x]
    return found


def symmetry(convolved: Floats) -> Floats:
    """Give the roundness by quadrants of the convolved image: 0 where a quarter turn is unseen."""
    _, ny, nx = convolved.shape
    y, x = np.arange(ny)[:, None] - ny // 2, np.arange(nx) - nx // 2
    sign = np.ones((ny, nx))
    sign[((y >= 0) & (x < 0)) | ((y <= 0) & (x > 0))] = -1.0
    sign[ny // 2, nx // 2] = 0.0
    signed = np.einsum("nyx,yx->n", convolved, sign)
    total = np.einsum("nyx,yx->n", np.abs(convolved), np.abs(sign))
    with np.errstate(all="ignore"):
        return np.where(signed == 0.0, 0.0, 2.0 * signed / np.where(total > 0, total, np.nan))
