"""HAP's source finding for alignment: segments of a convolved image, and a fit in each.

Kept: its background, threshold, least area, the order by brightest pixel, its rule by which moments
tell cosmic rays, DAOFIND's centroids.  Mended: the threshold does not hold the background twice;
saturated cores are kept, their stars flagged and centred by their light; only pixels of a segment
count in it; what looks like a cosmic ray is left out of the list itself; an image without a source
is no error; the kernel is a Gaussian of the detector's FWHM, not the first bright thing in the
field.  Left out: deblending, which none of its tables asks for.

Source: facts of HAP (DrizzlePac 3.11), `AlignmentTable` and `extract_sources`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage
from hapdask.astrometry.detection.daofind import make_kernel, marginal_centroids
from hapdask.astrometry.detection.psf import FWHM
from hapdask.astrometry.sources import SATURATED, SourceList
from hapdask.config.detection import SegmentParameters

Floats = NDArray[np.float64]

#: More pixels than this above so much of the brightest one make a flat top.
_FLAT, _FLAT_PART = 3, 0.9


def find_segments(
    image: ChipImage, scale: float, parameters: SegmentParameters, name: str, extver: int
) -> SourceList:
    """Find sources on a chip as HAP does.

    Parameters
    ----------
    image : ChipImage
        With a background of ``box_size``.
    scale : float, arcsec / pixel
    parameters : SegmentParameters
    name : str
        Of the exposure.
    extver : int
        Of the chip.

    Returns
    -------
    SourceList
        In the order of their brightest pixels.
    """
    from scipy import ndimage

    fwhm = max(parameters.fwhmpsf / scale, 1.2)
    light, noise = _flattened(image)
    smooth = ndimage.gaussian_filter(light, fwhm / FWHM)
    labels, n = _segmented(smooth, _limit(noise, parameters), parameters.source_box)
    if n == 0:
        return SourceList.empty(name, fwhm)
    index = np.arange(1, n + 1)
    kept = np.ones(n, np.bool_)
    if parameters.classify:
        kept &= _look_like_stars(light, labels, n, fwhm)
    return _measured(image, light, labels, index[kept], fwhm, parameters, name, extver)


def _segmented(
    smooth: NDArray[np.float32], limit: Floats, least: int
) -> tuple[NDArray[np.int32], int]:
    """Label areas above a limit that touch along sides and are large enough, and count them."""
    from scipy import ndimage

    labels, _ = ndimage.label(smooth > limit)
    large = np.bincount(labels.ravel()) >= least
    large[0] = False
    numbers = np.where(large, np.cumsum(large), 0).astype(np.int32)
    return numbers[labels], int(large.sum())


def _flattened(image: ChipImage) -> tuple[NDArray[np.float32], Floats]:
    """Light above the background, and noise per pixel."""
    ny, nx = image.shape
    y, x = np.arange(ny, dtype=float), np.arange(nx, dtype=float)
    rows, columns = np.broadcast_arrays(y[:, None], x)
    level, noise = image.background.at(columns, rows)
    light = np.where(image.usable | image.saturated, image.electrons - level, 0.0).astype(
        np.float32
    )
    return light, noise


def _limit(noise: Floats, parameters: SegmentParameters) -> Floats:
    factor = parameters.nsigma * -parameters.threshold
    if parameters.threshold > 0:
        factor = 3.0 * parameters.threshold
    if parameters.threshold == 0:
        factor = parameters.nsigma
    return factor * noise


def _moments(light: NDArray[np.float32], labels: NDArray[np.int32], n: int) -> Floats:
    """Central moments of order 0 to 3 in y and x of all segments, shape (n, 4, 4)."""
    y, x = np.nonzero(labels)
    which = labels[y, x] - 1
    weight = np.maximum(light[y, x].astype(np.float64), 0.0)

    def total(values: Floats) -> Floats:
        return np.bincount(which, values, n).astype(np.float64)

    mass = np.maximum(total(weight), 1e-9)
    dx, dy = x - (total(weight * x) / mass)[which], y - (total(weight * y) / mass)[which]
    return np.stack(
        [np.stack([total(weight * dy**j * dx**i) for i in range(4)], -1) for j in range(4)], 1
    )


def _look_like_stars(
    light: NDArray[np.float32], labels: NDArray[np.int32], n: int, fwhm: float
) -> NDArray[np.bool_]:
    """HAP's rule: the largest moment is a high one of both axes, and it is no thin streak."""
    moments = _moments(light, labels, n)
    largest = moments.reshape(n, -1).argmax(axis=1)
    high = (largest // 4 > 1) & (largest % 4 > 1)
    mass = np.maximum(moments[:, 0, 0], 1e-9)
    yy, xx, xy = (moments[:, j, i] / mass for j, i in ((2, 0), (0, 2), (1, 1)))
    mean, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    major, minor = np.sqrt(mean + half), np.sqrt(np.maximum(mean - half, 1e-9))
    stars: NDArray[np.bool_] = high & ~((minor < 0.75 * fwhm) & (major > 2.0 * minor))
    return stars


def _measured(
    image: ChipImage,
    light: NDArray[np.float32],
    labels: NDArray[np.int32],
    kept: NDArray[np.int64],
    fwhm: float,
    parameters: SegmentParameters,
    name: str,
    extver: int,
) -> SourceList:
    """Fit the brightest pixel's surroundings of every segment; flat tops by their mass."""
    if kept.size == 0:
        return SourceList.empty(name, fwhm)
    y, x = np.nonzero(labels)
    which, value = labels[y, x], light[y, x].astype(np.float64)
    size = int(labels.max()) + 1
    by_height = np.lexsort((-value, which))
    found, first = np.unique(which[by_height], return_index=True)
    brightest = by_height[first][np.searchsorted(found, kept)]
    peaks = value[brightest]
    order = np.argsort(-peaks, kind="stable")[: parameters.num_sources]
    kept, peaks, brightest = kept[order], peaks[order], brightest[order]
    places = np.stack([y[brightest], x[brightest]], axis=1)
    kernel = make_kernel(fwhm, 1.5)
    # saturated pixels count with what they hold: without its core a small star has no centroid
    half = kernel.gauss.shape[0] // 2
    side = np.arange(2 * half + 1)
    rows, columns = (places[:, None, axis] + side for axis in (0, 1))
    boxes = np.pad(light, half)[rows[:, :, None], columns[:, None, :]].astype(np.float64)
    dx, dy, _ = marginal_centroids(boxes, kernel)
    top = np.full(size, np.inf)
    top[kept] = _FLAT_PART * peaks
    area, high = np.bincount(which, minlength=size), np.bincount(which, value > top[which], size)
    saturated = np.bincount(which, image.saturated[y, x], size) > 0
    flat = (high[kept] > _FLAT) & saturated[kept]
    flux, x_mass, y_mass = (
        np.bincount(which, value * by, size)[kept].astype(np.float64) for by in (1.0, x, y)
    )
    x_source = np.where(flat, x_mass / np.maximum(flux, 1e-9), places[:, 1] + dx)
    y_source = np.where(flat, y_mass / np.maximum(flux, 1e-9), places[:, 0] + dy)
    area = area[kept]
    noise = image.background.at(places[:, 1].astype(float), places[:, 0].astype(float))[1]
    snr = np.maximum(flux, 0.0) / np.sqrt(np.maximum(flux, 0.0) + area * noise**2 + 1e-9)
    good = np.isfinite(x_source) & np.isfinite(y_source)
    flags = np.where(flat, SATURATED, 0).astype(np.uint16)
    error = fwhm / FWHM / np.maximum(snr, 1.0)
    extvers = np.full(flux.size, extver)
    made = SourceList(name, extvers, x_source, y_source, error, flux, snr, flags, fwhm)
    return made.take(good)
