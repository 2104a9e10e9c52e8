"""TweakReg's source finding: DAOFIND on objects above a threshold, with its rules and figures.

For those who want the lists that TweakReg would make.  It knows neither cosmic rays nor noise per
pixel: on single exposures most of what it finds is not stars (`stars` is ours).

Source: facts of TweakReg 3.11's imagefind.  Kept: noise of sqrt(2 |mode|), fluxes with their sky,
neighbours judged along y.  Mended: an object's centre is that of its own pixels, not of all in its
box; the retry with a measured noise does not depend on what was given.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.daofind import (
    Kernel,
    make_kernel,
    marginal_centroids,
    sharpness,
    symmetry,
)
from hapdask.astrometry.detection.psf import FWHM
from hapdask.astrometry.sources import SourceList
from hapdask.config.detection import ImageFindParameters

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Of ImageStats, for the noise: clippings, limits in sigma, bins in sigma.
_CLIPPINGS, _LIMITS, _BINS = 3, 3.0, 0.01
#: Passes in which neighbours are dropped.
_PASSES = 10


def find_image_sources(
    sci: Image,
    use: Mask,
    parameters: ImageFindParameters,
    name: str,
    extver: int,
    electrons: float = 1.0,
) -> SourceList:
    """Find sources on a chip as TweakReg does.

    Parameters
    ----------
    sci : ndarray of float32, shape (ny, nx), SCI units
        As in the file, finite.
    use : ndarray of bool, same shape
        Pixels of which objects are made.
    parameters : ImageFindParameters
    name : str
        Of the exposure.
    extver : int
        Of the chip.
    electrons : float
        Electrons / s per unit of SCI.

    Returns
    -------
    SourceList
        Brightest first.  Errors are the kernel's width over the signal to noise of the background:
        TweakReg states none.
    """
    sigma = _noise(sci) if parameters.computesig else parameters.skysigma
    found = _objects(sci, use, parameters, sigma)
    if found is None and not parameters.computesig:
        sigma = _noise(sci)
        found = _objects(sci, use, parameters, sigma)
    if found is None:
        return SourceList.empty(name, parameters.conv_width)
    x, y, boxes, convolved, kernel = found
    dx, dy, turned = marginal_centroids(boxes, kernel)
    flux = boxes.sum(axis=(1, 2))
    kept = _within_limits(boxes, convolved, flux, turned, kernel, parameters)
    kept &= np.isfinite(dx) & np.isfinite(dy)
    x, y, flux = (x + dx)[kept], (y + dy)[kept], flux[kept]
    alone = _apart(x, y, 0.5 * parameters.conv_width * parameters.nsigma)
    x, y, flux = x[alone], y[alone], flux[alone]
    size = boxes[0].size
    light = flux - size * sigma**2
    snr = np.maximum(light, 0.0) / max(math.sqrt(size) * sigma, 1e-9)
    error = parameters.conv_width / FWHM / np.maximum(snr, 1.0)
    order = np.argsort(-flux, kind="stable")
    return SourceList(
        name,
        np.full(x.size, extver),
        x,
        y,
        error,
        light * electrons,
        snr,
        np.zeros(x.size, np.uint16),
        parameters.conv_width,
    ).take(order)


def _noise(sci: Image) -> float:
    """Root of twice the mode, as if the image were photons of the sky."""
    from hapdask.kernels.image_statistics import Clipping, clip, mode, whole

    ny, nx = sci.shape
    spans, finite = whole((ny, nx)), np.isfinite(sci)
    clipped = clip(sci, finite, spans, Clipping(_CLIPPINGS, _LIMITS, _LIMITS), upstream=True)
    value, _ = mode(sci, finite, spans, clipped, binwidth=_BINS, upstream=True)
    return math.sqrt(2.0 * abs(value)) if math.isfinite(value) else 0.0


def _objects(
    sci: Image, use: Mask, parameters: ImageFindParameters, sigma: float
) -> tuple[Floats, Floats, Floats, Floats, Kernel] | None:
    """Middles of objects with boxes of the image and of the convolved one; None for none."""
    from scipy import ndimage

    kernel = make_kernel(
        parameters.conv_width, parameters.nsigma, parameters.ratio, parameters.theta
    )
    convolved = _convolve(sci, kernel)
    above = (convolved > sigma * parameters.threshold) & use
    labels, n = ndimage.label(above, np.ones((3, 3)))
    if n < 2 or sigma <= 0.0:
        return None
    light = np.where(above, convolved, np.float32(0.0))
    middles = np.rint(ndimage.center_of_mass(light, labels, np.arange(1, n + 1))).astype(np.int64)
    half_y, half_x = (size // 2 for size in kernel.gauss.shape)
    boxes = ndimage.find_objects(labels)
    corners = np.array([[r.start, r.stop, c.start, c.stop] for r, c in boxes])
    ny, nx = sci.shape
    inner = (corners[:, 0] > half_y) & (corners[:, 1] < ny - half_y)
    inner &= (corners[:, 2] > half_x) & (corners[:, 3] < nx - half_x)
    y, x = middles[inner].T
    if x.size == 0:
        return None
    rows = (y[:, None] + np.arange(-half_y, half_y + 1))[:, :, None]
    columns = (x[:, None] + np.arange(-half_x, half_x + 1))[:, None, :]
    cut = (image[rows, columns].astype(np.float64) for image in (sci, convolved))
    return x.astype(float), y.astype(float), *cut, kernel


def _convolve(sci: Image, kernel: Kernel) -> Image:
    """By Fourier transforms: a kernel has some fifty pixels."""
    from scipy.signal import oaconvolve

    half_y, half_x = (size // 2 for size in kernel.filter.shape)
    padded = np.pad(sci, ((half_y, half_y), (half_x, half_x)), mode="symmetric")
    flipped = kernel.filter[::-1, ::-1].astype(np.float32)
    found: Image = oaconvolve(padded, flipped, mode="valid").astype(np.float32)
    return found


def _within_limits(
    boxes: Floats,
    convolved: Floats,
    flux: Floats,
    turned: Floats,
    kernel: Kernel,
    parameters: ImageFindParameters,
) -> Mask:
    peak = boxes.max(axis=(1, 2))
    kept = np.ones(flux.size, np.bool_)
    for values, low, high in (
        (peak, parameters.peakmin, parameters.peakmax),
        (flux, parameters.fluxmin, parameters.fluxmax),
    ):
        kept &= (values > (-np.inf if low is None else low)) & (
            values < (np.inf if high is None else high)
        )
    if parameters.use_sharp_round:
        sharp, rounds = sharpness(boxes, convolved, kernel), (symmetry(convolved), turned)
        kept &= (sharp >= parameters.sharplo) & (sharp <= parameters.sharphi)
        for each in rounds:
            kept &= (each >= parameters.roundlo) & (each <= parameters.roundhi)
    return kept


def _apart(x: Floats, y: Floats, least: float) -> NDArray[np.int64]:
    """Order by y, and drop the earlier of two that follow each other and are too near."""
    order = np.argsort(y, kind="stable")
    for _ in range(_PASSES):
        near = np.hypot(np.diff(x[order]), np.diff(y[order])) < least
        if not near.any():
            break
        order = order[~np.append(near, False)]
    return order
