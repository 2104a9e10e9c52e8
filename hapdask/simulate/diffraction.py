"""Images of stars by diffraction: Airy rings, spiders, and aberrations that change over the field.

What lives here: the recorded image of a detector and filter at places of a chip, and how stars are
drawn with it. It is what centroids must stand on real exposures, which Gaussians (``psf``) do not
show: structure finer than a pixel, of no symmetry, unlike from place to place and from exposure to
exposure. Galaxies keep the Gaussians; light beyond the stamps is not drawn, fluxes stay what they
are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.simulate.detectors import MIRROR_DIAMETER, Detector, Passband

FloatArray = npt.NDArray[np.float64]

#: Samples per pixel (odd: a pixel is a whole number of them about its middle); half of a stamp,
#: pixels; samples across the pupil; wavelengths over the band; places along each side of a chip.
_FINE, _HALF, _PUPIL, _COLOURS, _PLACES = 5, 16, 128, 5, 3
#: Radius of the secondary mirror's shadow and width of its arms, in radii of the pupil.
#: Source: Krist, Hook and Stoehr 2011, SPIE 8127, 81270J (Tiny Tim).
_SHADOW, _ARM = 0.33, 0.022
#: Wavefront error (micron rms) of the focus by a micron of the secondary mirror, and that of coma
#: and astigmatism: in the middle, and more by the places x and y on a chip (-1 to 1).
#: Their size is that of the cameras (Krist, Hook and Stoehr 2011), their pattern is made up.
_DESPACE, _CURVATURE = 0.0061, 0.008
_COMA_X, _COMA_Y = (0.008, 0.0, 0.008), (-0.006, 0.010, 0.0)
_ASTIGMATISM, _OBLIQUE = (0.004, 0.015, 0.0), (0.0, 0.0, 0.012)


@dataclass(frozen=True, eq=False)
class Diffraction:
    """Recorded images at places of a chip; between those they run straight.

    Parameters
    ----------
    images : ndarray of float64, shape (3, 3, n, n)
        Cubic spline coefficients, by place along y and x, of the share of the light that a pixel
        gets; samples are a fifth of a pixel apart, the middle one is at the star.
    shape : tuple of int
        ``(ny, nx)`` of the chip.
    """

    images: FloatArray
    shape: tuple[int, int]

    def add_stars(self, image: FloatArray, x: FloatArray, y: FloatArray, flux: FloatArray) -> None:
        """Add point sources to an image, in place; as `psf.add_stars`."""
        from scipy.ndimage import map_coordinates

        side, (ny, nx) = np.arange(-_HALF, _HALF + 1), self.shape
        middle = self.images.shape[-1] // 2
        for px, py, light in zip(x.tolist(), y.tolist(), flux.tolist(), strict=True):
            columns, rows = round(px) + side, round(py) + side
            on_x, on_y = (columns >= 0) & (columns < nx), (rows >= 0) & (rows < ny)
            if not (on_x.any() and on_y.any()):
                continue
            at = np.meshgrid((rows[on_y] - py) * _FINE, (columns[on_x] - px) * _FINE, indexing="ij")
            seen = map_coordinates(
                self._at(px, py), np.stack(at) + middle, order=3, prefilter=False
            )
            image[np.ix_(rows[on_y], columns[on_x])] += light * seen

    def _at(self, x: float, y: float) -> FloatArray:
        """Mix the images of the four places around a position."""
        parts = []
        for at, size in ((y, self.shape[0]), (x, self.shape[1])):
            place = min(max(at / max(size - 1, 1), 0.0), 1.0) * (_PLACES - 1)
            first = min(int(place), _PLACES - 2)
            weight = np.zeros(_PLACES)
            weight[first : first + 2] = first + 1 - place, place - first
            parts.append(weight)
        found: FloatArray = np.einsum("i,j,ijyx->yx", *parts, self.images)
        return found


def diffraction_images(
    detector: Detector,
    passband: Passband,
    pixel_scale: float,
    shape: tuple[int, int],
    focus: float = 0.0,
    jitter: float = 0.0,
) -> Diffraction:
    """Make the images of a chip.

    Parameters
    ----------
    detector : Detector
        Its blur is charge diffusion.
    passband : Passband
    pixel_scale : float
        arcsec.
    shape : tuple of int
        ``(ny, nx)`` of the chip or subarray.
    focus : float
        Distance from best focus, micron of the secondary mirror.
    jitter : float
        Rms of fast motion on each axis, arcsec.
    """
    from scipy.ndimage import gaussian_filter, spline_filter, uniform_filter

    width = math.hypot(detector.blur / (2.0 * math.sqrt(2.0 * math.log(2.0))), jitter)
    spread = _FINE * width / pixel_scale
    places = np.linspace(-1.0, 1.0, _PLACES)
    images = []
    for y in places:
        for x in places:
            light = _over_band(passband, pixel_scale, _wavefront(x, y, focus))
            recorded = uniform_filter(gaussian_filter(light, spread), _FINE)
            images.append(spline_filter(recorded * _FINE**2 / recorded.sum(), order=3))
    size = images[0].shape
    return Diffraction(np.reshape(images, (_PLACES, _PLACES, *size)), shape)


def _grid() -> tuple[FloatArray, FloatArray]:
    """Places in the pupil, in its radii."""
    side = (np.arange(_PUPIL) + 0.5) * 2.0 / _PUPIL - 1.0
    return np.broadcast_to(side, (_PUPIL, _PUPIL)), np.broadcast_to(side[:, None], (_PUPIL, _PUPIL))


def _wavefront(x: float, y: float, focus: float) -> FloatArray:
    """Error of the wavefront at a place of the chip, micron.

    Zernike polynomials of a full disc: the shadow in the middle changes their norms by little.
    """
    u, v = _grid()
    r2 = u**2 + v**2
    terms = (
        (_DESPACE * focus + _CURVATURE * 0.5 * (x**2 + y**2), math.sqrt(3.0) * (2.0 * r2 - 1.0)),
        (np.dot(_ASTIGMATISM, (1.0, x, y)), math.sqrt(6.0) * (u**2 - v**2)),
        (np.dot(_OBLIQUE, (1.0, x, y)), math.sqrt(6.0) * 2.0 * u * v),
        (np.dot(_COMA_X, (1.0, x, y)), math.sqrt(8.0) * (3.0 * r2 - 2.0) * u),
        (np.dot(_COMA_Y, (1.0, x, y)), math.sqrt(8.0) * (3.0 * r2 - 2.0) * v),
    )
    total: FloatArray = sum((float(size) * shape for size, shape in terms), np.zeros_like(r2))
    return total


def _over_band(passband: Passband, pixel_scale: float, wavefront: FloatArray) -> FloatArray:
    """Intensity at the samples, a mean over the wavelengths of the band."""
    u, v = _grid()
    r2 = u**2 + v**2
    # the arms lie at 45 degrees to the pixels
    arms = np.minimum(np.abs(u - v), np.abs(u + v)) < _ARM / math.sqrt(2.0)
    open_to_light = (r2 <= 1.0) & (r2 >= _SHADOW**2) & ~arms
    reach = (_HALF + 2) * _FINE
    angle = np.arange(-reach, reach + 1) * math.radians(pixel_scale / _FINE / 3600.0)
    place = u[0] * MIRROR_DIAMETER / 2.0
    light = np.zeros((angle.size, angle.size))
    for step in np.linspace(-1.0, 1.0, _COLOURS):
        wavelength = (passband.photplam + step * passband.photbw) * 1e-10
        field = open_to_light * np.exp(2j * np.pi * wavefront * 1e-6 / wavelength)
        turn = np.exp(-2j * np.pi / wavelength * np.outer(angle, place))
        light += np.square(np.abs(turn @ field @ turn.T))
    return light
