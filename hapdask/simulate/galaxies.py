"""Galaxies: exponential and de Vaucouleurs profiles as mixtures of elliptical Gaussians.

What lives here: the mixtures and how a galaxy is drawn with a PSF. Source of the mixtures:
Hogg and Lang 2013, PASP 125, 719 (arXiv:1210.6563), the "lux" and "luv" approximations
with 6 and 8 components, variances in units of the squared half-light radius.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hapdask.simulate.psf import Psf

FloatArray = npt.NDArray[np.float64]

EXPONENTIAL, DE_VAUCOULEURS = "exponential", "de_vaucouleurs"

#: Per profile: flux of each component (any scale) and its variance along one axis.
_MIXTURES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    EXPONENTIAL: (
        (2.34853813e-03, 3.07995260e-02, 2.23364214e-01, 1.17949102, 4.33873750, 5.99820770),
        (1.20078965e-03, 8.84526493e-03, 3.91463084e-02, 0.139976817, 0.460962500, 1.50159566),
    ),
    DE_VAUCOULEURS: (
        (4.26347652e-02, 2.40127183e-01, 6.85907632e-01, 1.51937350, 2.83627243, 4.46467501,
         5.72440830, 5.60989349),
        (2.23759216e-04, 1.00220099e-03, 4.18731126e-03, 1.69432589e-02, 6.84850479e-02,
         2.87207080e-01, 1.33320254, 8.40215071),
    ),
}  # fmt: skip

#: Radius that holds half the flux of each mixture as tabulated (they are cut off softly at a few
#: half-light radii of the ideal profile); dividing by it makes the radius exact.
_HALF_LIGHT = {EXPONENTIAL: 0.9861536269, DE_VAUCOULEURS: 0.9154583202}

_REACH = 5.5  # sigma at which a component is cut: 3e-7 of its flux is lost


def mixture(profile: str) -> tuple[FloatArray, FloatArray]:
    """Shares (sum 1) and variances (half-light radius squared) of a profile's components.

    Parameters
    ----------
    profile : str
        ``"exponential"`` or ``"de_vaucouleurs"``.

    Returns
    -------
    shares, variances : ndarray of float64
    """
    amplitudes, variances = (np.array(row) for row in _MIXTURES[profile])
    return amplitudes / amplitudes.sum(), variances / _HALF_LIGHT[profile] ** 2


def shape_covariance(radius: float, axis_ratio: float, position_angle: float) -> FloatArray:
    """Covariance of a Gaussian whose major axis has sigma `radius`.

    Parameters
    ----------
    radius : float
        arcsec, along the major axis.
    axis_ratio : float
        Minor over major axis.
    position_angle : float
        Of the major axis, degrees east of north.

    Returns
    -------
    ndarray of float64, shape (2, 2)
        arcsec^2, axes (east, north).
    """
    angle = math.radians(position_angle)
    major = np.array([math.sin(angle), math.cos(angle)])
    minor = np.array([-math.cos(angle), math.sin(angle)])
    return np.asarray(radius**2 * (np.outer(major, major) + axis_ratio**2 * np.outer(minor, minor)))


def add_galaxy(
    image: FloatArray,
    x: float,
    y: float,
    flux: float,
    covariance: FloatArray,
    profile: str,
    psf: Psf,
) -> None:
    """Add one galaxy, convolved with the PSF, to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (ny, nx)
        What is added to.
    x, y : float
        0-based pixel position of its centre.
    flux : float
        Sum over all pixels, in the image's unit.
    covariance : ndarray of float64, shape (2, 2)
        `shape_covariance` of its half-light radius, carried to pixels^2, axes (x, y).
    profile : str
        ``"exponential"`` or ``"de_vaucouleurs"``.
    psf : Psf
        Mixture to convolve with.
    """
    for share, variance in zip(*mixture(profile), strict=True):
        for psf_share, sigma in zip(psf.shares, psf.sigmas, strict=True):
            spread = variance * covariance + sigma**2 * np.eye(2)
            _add_gaussian(image, x, y, flux * share * psf_share, spread)


@lru_cache(maxsize=4)
def _gauss_legendre(number: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(number)
    return nodes, weights


def _add_gaussian(image: FloatArray, x: float, y: float, flux: float, spread: FloatArray) -> None:
    """Integrate an elliptical Gaussian over pixels: erf along x, Gauss-Legendre along y."""
    from scipy.special import erf

    (ny, nx), (vxx, vxy, vyy) = image.shape, (spread[0, 0], spread[0, 1], spread[1, 1])
    sx, sy = math.sqrt(vxx), math.sqrt(vyy)
    xs, xe = max(math.floor(x - _REACH * sx), 0), min(math.ceil(x + _REACH * sx) + 1, nx)
    ys, ye = max(math.floor(y - _REACH * sy), 0), min(math.ceil(y + _REACH * sy) + 1, ny)
    if xs >= xe or ys >= ye:
        return
    nodes, weights = _gauss_legendre(4 if sy < 1.0 else 2)
    dy = (np.arange(ys, ye)[:, None] + 0.5 * nodes - y).ravel()
    # given y, x is Gaussian about (vxy / vyy) dy with the conditional variance
    conditional = math.sqrt(2.0 * (vxx - vxy**2 / vyy))
    edges = np.arange(xs, xe + 1) - 0.5 - x
    along_x = 0.5 * np.diff(erf((edges - (vxy / vyy) * dy[:, None]) / conditional), axis=1)
    density = np.exp(-0.5 * dy**2 / vyy) / (sy * math.sqrt(2.0 * math.pi))
    density *= np.tile(0.5 * flux * weights, ye - ys)
    values = (along_x * density[:, None]).reshape(ye - ys, nodes.size, xe - xs)
    image[ys:ye, xs:xe] += values.sum(axis=1)
