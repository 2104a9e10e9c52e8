"""Second moments of what stands out on a chip, on the sky: for streaks, and nothing else.

Lives here: segments of a chip and their shapes.  Not here: what the shapes of many together mean
(`guiding`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import ChipImage
from hapdask.astrometry.detection.psf import Psf
from hapdask.observe.parts import ChipRecord

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Signal to noise of a source.
LEAST_SNR = 40.0
#: Threshold in noise, and pixels of a segment.
_THRESHOLD, _PIXELS = 4.0, 6
#: Least width of an image along its narrow axis, of a star's: cosmic rays are sharper.
_NARROW = 0.9
#: Light beside a pixel, across the narrower direction, of what a star's middle has there; and the
#: pixels that are looked at, part of the brightest one.
_SHARP, _BRIGHT = 0.7, 0.4
#: Part of the peak above which the core's width is measured.
_CORE = 0.2
#: Pixels around saturated ones, and along the border, whose segments do not count.
_GROWN, _BORDER = 3, 2


class Shapes(NamedTuple):
    """Shapes of segments.

    Attributes
    ----------
    plus, cross : ndarray of float64, shape (n,), arcsec**2
        East-west less north-south second moment, and twice the mixed one: zero for round images;
        a streak of length L adds L**2 / 12 along its direction.
    size : ndarray of float64
        Width of its core, the mean of both axes, in units of a star's.
    row : ndarray of float64
        Of its centre, from the amplifier: 0 where charge goes the shortest way, 1 the longest.
    geometry : tuple of float, arcsec**2
        ``plus`` and ``cross`` of an image that is round on the pixels, which are not square.
    column : tuple of float
        Unit vector of (plus, cross) of a streak along the columns; nothing where no charge is left
        behind.
    star : float, arcsec
        Width (sigma) of a star as recorded.
    """

    plus: Floats
    cross: Floats
    size: Floats
    row: Floats
    geometry: tuple[float, float]
    column: tuple[float, float]
    star: float

    def take(self, which: NDArray[np.bool_]) -> Shapes:
        """Keep some."""
        kept = {name: getattr(self, name)[which] for name in ("plus", "cross", "size", "row")}
        return self._replace(**kept)


class _Moments(NamedTuple):
    """Of segments: light, centre, second moments (pixels**2), number of pixels."""

    mass: Floats
    x: Floats
    y: Floats
    xx: Floats
    yy: Floats
    xy: Floats
    area: NDArray[np.int64]

    @classmethod
    def of(cls, which: Indices, y: Indices, x: Indices, value: Floats, n: int) -> _Moments:
        def total(values: Floats) -> Floats:
            return np.bincount(which, values, n).astype(np.float64)

        mass = np.maximum(total(value), 1e-9)
        mean_x, mean_y = total(value * x) / mass, total(value * y) / mass
        dx, dy = x - mean_x[which], y - mean_y[which]
        xx, yy, xy = (total(value * a * b) / mass for a, b in ((dx, dx), (dy, dy), (dx, dy)))
        return cls(mass, mean_x, mean_y, xx, yy, xy, np.bincount(which, minlength=n))

    @property
    def narrow(self) -> Floats:
        """Width along the narrow axis, pixels."""
        split = np.hypot(0.5 * (self.xx - self.yy), self.xy)
        found: Floats = np.sqrt(np.maximum(0.5 * (self.xx + self.yy) - split, 0.0))
        return found

    @property
    def mean(self) -> Floats:
        """Geometric mean of the widths along both axes, pixels."""
        found: Floats = np.maximum(self.xx * self.yy - self.xy**2, 0.0) ** 0.25
        return found


def measure_shapes(
    image: ChipImage, chip: ChipRecord, psf: Psf, least_snr: float = LEAST_SNR
) -> Shapes:
    """Measure what is at least as wide as a star in every direction.

    Parameters
    ----------
    image : ChipImage
    chip : ChipRecord
    psf : Psf
        Expected.
    least_snr : float
        Signal to noise of a source.

    Returns
    -------
    Shapes
    """
    from scipy import ndimage

    light, above, spoilt = _standing_out(image)
    labels, n = ndimage.label(above, np.ones((3, 3)))
    y, x = np.nonzero(labels)
    which = labels[y, x] - 1
    value = light[y, x].astype(np.float64)
    whole = _Moments.of(which, y, x, value, n)
    noise = image.background.at(whole.x, whole.y)[1]
    snr = whole.mass / np.sqrt(whole.mass + whole.area * noise**2)
    width = psf.recorded
    kept = (whole.area >= _PIXELS) & (snr >= least_snr) & (whole.narrow > _NARROW * width)
    kept &= np.bincount(which, spoilt[y, x], n) == 0
    kept &= _smooth(light, labels, y, x, n, psf)
    moments = np.stack(
        [np.stack([whole.xx, whole.xy], -1), np.stack([whole.xy, whole.yy], -1)], -2
    )[kept]
    typical = _typical(whole.narrow[kept], width)
    sizes = _core_width(which, y, x, value, noise)[kept] / width
    return framed(image, chip, psf, moments, whole.y[kept], typical=typical, size=sizes)


def framed(
    image: ChipImage,
    chip: ChipRecord,
    psf: Psf,
    moments: Floats,
    y: Floats,
    *,
    typical: float | None = None,
    size: Floats | None = None,
    round_on_pixels: bool = False,
) -> Shapes:
    """Turn second moments on the pixels into shapes on the sky.

    Parameters
    ----------
    image : ChipImage
    chip : ChipRecord
    psf : Psf
        Expected.
    moments : ndarray of float64, shape (n, 2, 2), pixels**2
    y : ndarray of float64, pixels
        Of the sources.
    typical : float, optional
        Width of most, pixels; default that of a star.
    size : ndarray of float64, optional
        Widths of the cores, in units of a star's; default NaN.
    round_on_pixels : bool
        Whether moments are those in excess of an image that is round on the pixels.
    """
    jacobian = _jacobian(chip)
    width = psf.recorded
    on_sky = jacobian @ moments @ jacobian.T
    row = y / max(image.shape[0] - 1, 1)
    # only what the optics make may be round on the sky: what pixels add is theirs
    optics = psf.sigma if round_on_pixels else (typical or width)
    plus, cross = _turned(optics**2 * jacobian @ jacobian.T)
    return Shapes(
        on_sky[:, 0, 0] - on_sky[:, 1, 1],
        2.0 * on_sky[:, 0, 1],
        np.full(len(y), np.nan) if size is None else size,
        1.0 - row if chip.tail < 0 else row,
        (-plus, -cross) if round_on_pixels else (plus, cross),
        _unit(_turned(np.outer(jacobian[:, 1], jacobian[:, 1]))) if chip.tail else (0.0, 0.0),
        width * float(np.sqrt(abs(np.linalg.det(jacobian)))),
    )


def _core_width(which: Indices, y: Indices, x: Indices, value: Floats, noise: Floats) -> Floats:
    """Width of what is brighter than a part of the peak, as if nothing had been cut off.

    A Gaussian cut at the part t of its peak keeps 1 + t ln t / (1 - t) of its second moments.
    """
    n = noise.size
    peak = np.zeros(n)
    np.maximum.at(peak, which, value)
    cut = np.clip(_THRESHOLD * noise / np.maximum(peak, 1e-9), _CORE, 0.8)
    inside = value >= (cut * peak)[which]
    core = _Moments.of(which[inside], y[inside], x[inside], value[inside], n)
    left = 1.0 + cut * np.log(cut) / (1.0 - cut)
    found: Floats = core.mean / np.sqrt(left)
    return found


def _typical(narrow: Floats, width: float) -> float:
    """Width of most images along their narrow axis: a streak does not change it."""
    return max(float(np.median(narrow)), width) if narrow.size else width


def _turned(moments: Floats) -> tuple[float, float]:
    return float(moments[0, 0] - moments[1, 1]), float(2.0 * moments[0, 1])


def _unit(vector: tuple[float, float]) -> tuple[float, float]:
    length = float(np.hypot(*vector)) or 1.0
    return vector[0] / length, vector[1] / length


def _standing_out(
    image: ChipImage,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Light above the background, the pixels that stand out, and what spoils a shape."""
    from scipy import ndimage

    background = image.background
    rows, columns = background.boxes(image.shape)
    level = background.level.astype(np.float32)[:, columns]
    noise = background.noise.astype(np.float32)[:, columns]
    light = np.empty(image.shape, np.float32)
    above = np.empty(image.shape, np.bool_)
    for k in range(background.level.shape[0]):
        mine = rows == k
        light[mine] = image.electrons[mine] - level[k]
        above[mine] = light[mine] > _THRESHOLD * noise[k]
    spoilt = ndimage.binary_dilation(image.saturated, np.ones((3, 3)), iterations=_GROWN)
    above &= image.usable | image.saturated
    spoilt[:_BORDER] = spoilt[-_BORDER:] = True
    spoilt[:, :_BORDER] = spoilt[:, -_BORDER:] = True
    return light, above, spoilt


def _smooth(
    light: NDArray[np.float32],
    labels: NDArray[np.int32],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    n: int,
    psf: Psf,
) -> NDArray[np.bool_]:
    """Segments whose bright pixels have as much light beside them as the telescope's blur gives."""
    which, value = labels[y, x] - 1, light[y, x].astype(np.float64)
    peak = np.zeros(n)
    np.maximum.at(peak, which, value)
    ny, nx = light.shape
    bright = (value > _BRIGHT * peak[which]) & (x > 0) & (y > 0) & (x < nx - 1) & (y < ny - 1)
    y, x, which, value = y[bright], x[bright], which[bright], value[bright]

    def beside(dy: int, dx: int) -> Floats:
        both = light[y + dy, x + dx].astype(np.float64) + light[y - dy, x - dx]
        return np.bincount(which, both, n).astype(np.float64)

    star = psf.images(np.zeros(1), np.zeros(1), 1)[0][0]
    least = 2.0 * _SHARP * np.bincount(which, value, n)
    straight = np.minimum(beside(0, 1), beside(1, 0)) > least * (star[1, 0] / star[1, 1])
    across = np.minimum(beside(1, 1), beside(1, -1)) > least * (star[0, 0] / star[1, 1])
    found: NDArray[np.bool_] = straight & across
    return found


def _jacobian(chip: ChipRecord) -> Floats:
    """Arcsec east and north per pixel in x and y, at the middle of the chip."""
    x, y = (chip.shape[1] - 1) / 2, (chip.shape[0] - 1) / 2
    ra, dec = chip.distortion.pixel_to_sky(np.array([x, x + 1.0, x]), np.array([y, y, y + 1.0]))
    east = ((ra - ra[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec[0]))
    return 3600.0 * np.array([east[1:], (dec - dec[0])[1:]])
