"""The point spread function: circular Gaussians, integrated exactly over native pixels.

What lives here: the mixture of a detector and filter, and how a star is drawn. Galaxies are in
``galaxies``, which convolves its own mixtures with this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.simulate.detectors import MIRROR_DIAMETER, Detector, Passband

FloatArray = npt.NDArray[np.float64]

FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))  # of a Gaussian of sigma 1
_REACH = 6.0  # sigma at which a component is cut: 4e-9 of its flux is lost
_BATCH = 256  # stars whose edge integrals are made in one call

# Share and width against the core of: core, first rings, halo. With the core of UVIS this gives an
# encircled energy of 0.92 within 0.2 arcsec and 0.99 within 1 arcsec.
_SHARES = (0.80, 0.13, 0.07)
_WIDTHS = (1.0, 3.0, 10.0)

# Defocus, so that 3 micron (a typical excursion within an orbit) take about 8 % off the peak of
# UVIS at 6000 Angstrom: FWHM in arcsec per micron added to the core, and the share of the flux
# that leaves it at great distances, reached within some microns.
_DEFOCUS_BLUR = 0.005
_DEFOCUS_SHARE, _DEFOCUS_REACH = 0.10, 6.0


@dataclass(frozen=True, slots=True)
class Psf:
    """A sum of circular Gaussians in detector pixels, before integration over the pixel.

    Parameters
    ----------
    shares : tuple of float
        Flux of each component; they add to 1.
    sigmas : tuple of float
        Standard deviation of each, pixels.
    """

    shares: tuple[float, ...]
    sigmas: tuple[float, ...]

    @property
    def half_size(self) -> int:
        """Half width of the stamp that holds the PSF, pixels."""
        return math.ceil(_REACH * max(self.sigmas)) + 1

    def blurred(self, sigma: float) -> Psf:
        """Widen every component by a Gaussian of so many pixels: fast random motion."""
        return Psf(self.shares, tuple(math.hypot(each, sigma) for each in self.sigmas))

    def fwhm(self) -> float:
        """FWHM in pixels of the core as recorded, the pixel's own width included."""
        return FWHM * math.sqrt(self.sigmas[0] ** 2 + 1.0 / 12.0)


def detector_psf(
    detector: Detector, passband: Passband, pixel_scale: float, focus: float = 0.0
) -> Psf:
    """Typical PSF of a detector and filter.

    Parameters
    ----------
    detector : Detector
        Adds its blur.
    passband : Passband
        Its pivot wavelength sets the diffraction core (0.95 lambda / D: obscured aperture).
    pixel_scale : float
        arcsec.
    focus : float
        Distance from best focus, micron of the secondary mirror: it widens the core and moves
        light from it into the first rings.

    Returns
    -------
    Psf
    """
    diffraction = math.degrees(0.95 * passband.photplam * 1e-10 / MIRROR_DIAMETER) * 3600.0
    sharp = math.hypot(diffraction, detector.blur) / FWHM / pixel_scale
    core = math.hypot(sharp, _DEFOCUS_BLUR * focus / FWHM / pixel_scale) if focus else sharp
    moved = _DEFOCUS_SHARE * (1.0 - math.exp(-((focus / _DEFOCUS_REACH) ** 2)))
    first, rings, halo = _SHARES
    return Psf(
        (first - moved, rings + moved, halo), (core, *(sharp * width for width in _WIDTHS[1:]))
    )


def add_stars(
    image: FloatArray,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    flux: npt.ArrayLike,
    psf: Psf,
) -> None:
    """Add point sources to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (ny, nx)
        What is added to.
    x, y : array_like of float64, shape (n,)
        0-based pixel positions; may lie off the image.
    flux : array_like of float64, shape (n,)
        Sum over all pixels of each star, in the image's unit.
    psf : Psf
        Mixture to draw.
    """
    x, y, flux = (np.asarray(values, float) for values in (x, y, flux))
    half, (ny, nx) = psf.half_size, image.shape
    sigmas, shares = np.array(psf.sigmas), np.array(psf.shares)
    for start in range(0, x.size, _BATCH):
        part = slice(start, start + _BATCH)
        x0, along_x = _pixel_integrals(x[part], sigmas, half)
        y0, along_y = _pixel_integrals(y[part], sigmas, half)
        along_y *= shares[:, None] * flux[part, None, None]
        for ix, iy, wx, wy in zip(x0.tolist(), y0.tolist(), along_x, along_y, strict=True):
            xs, ys = max(ix, 0), max(iy, 0)
            xe, ye = min(ix + 2 * half + 1, nx), min(iy + 2 * half + 1, ny)
            if xs < xe and ys < ye:
                image[ys:ye, xs:xe] += wy[:, ys - iy : ye - iy].T @ wx[:, xs - ix : xe - ix]


def _pixel_integrals(
    centre: FloatArray, sigmas: FloatArray, half: int
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """First pixel of each stamp and, per component, the share of each pixel along one axis."""
    from scipy.special import erf

    first = np.rint(centre).astype(np.int64) - half
    edges = first[:, None] - 0.5 + np.arange(2 * half + 2)
    scaled = (edges - centre[:, None])[:, None, :] / (math.sqrt(2.0) * sigmas[:, None])
    return first, 0.5 * np.diff(erf(scaled), axis=-1)
