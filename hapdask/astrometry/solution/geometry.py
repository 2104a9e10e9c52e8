"""The geometry of the joint solution: linear corrections, moving sources, tangent planes.

A correction is linear in six parameters, in mas: shift east and north, then rotation, scale, and
the two skews as the move that each makes at 100 arcsec from the tangent point.  The geometries
use the first 2, 3, 4 or all 6.  A source moves along a straight line in the plane that touches
the sphere at it, which holds at the poles and across RA 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.distortion import Correction
from hapdask.sky.tangent import axes, deproject, project

Floats = NDArray[np.float64]

#: mas in a radian.
MAS = float(np.degrees(1.0) * 3.6e6)
#: Where rotation, scale and skews are measured, arcsec.
LEVER = 100.0
#: Parameters of each geometry.
GEOMETRIES = {"shift": 2, "rshift": 3, "rscale": 4, "general": 6}
NAMES = ("east", "north", "rotation", "scale", "skew_plus", "skew_cross")
_TO_MATRIX = 1e-3 / LEVER


def design(xi: Floats, eta: Floats) -> Floats:
    """Give the moves per parameter.

    Parameters
    ----------
    xi, eta : ndarray of float64, shape (n,), arcsec

    Returns
    -------
    ndarray of float64, shape (n, 2, 6)
    """
    u, v = np.asarray(xi) / LEVER, np.asarray(eta) / LEVER
    one, zero = np.ones_like(u), np.zeros_like(u)
    east = np.stack([one, zero, -v, u, u, v], axis=-1)
    north = np.stack([zero, one, u, v, -v, u], axis=-1)
    return np.stack([east, north], axis=-2)


def correction_of(theta: Floats, center: tuple[float, float]) -> Correction:
    """Make the correction of six parameters."""
    east, north, rotation, scale, plus, cross = (float(t) for t in theta)
    return Correction(
        center=center,
        matrix=(
            1.0 + _TO_MATRIX * (scale + plus),
            _TO_MATRIX * (cross - rotation),
            _TO_MATRIX * (cross + rotation),
            1.0 + _TO_MATRIX * (scale - plus),
        ),
        shift=(1e-3 * east, 1e-3 * north),
    )


def moved(correction: Correction, xi: Floats, eta: Floats) -> tuple[Floats, Floats]:
    """Apply a correction to positions of its own plane, arcsec."""
    m, shift = correction.matrix, correction.shift
    return m[0] * xi + m[1] * eta + shift[0], m[2] * xi + m[3] * eta + shift[1]


def parameters_of(correction: Correction | None, center: tuple[float, float]) -> Floats:
    """Give the six parameters of a correction in the plane about ``center``, whatever its own."""
    if correction is None:
        return np.zeros(6)
    if correction.center == center:
        m, (east, north) = correction.matrix, correction.shift
    else:
        xi = np.array([0.0, LEVER, -LEVER, 0.0, 0.0])
        eta = np.array([0.0, 0.0, 0.0, LEVER, -LEVER])
        sky = deproject(xi / 3600.0, eta / 3600.0, *center)
        own_xi, own_eta = project(*sky, *correction.center)
        x, y = moved(correction, 3600.0 * own_xi, 3600.0 * own_eta)
        sky = deproject(x / 3600.0, y / 3600.0, *correction.center)
        x, y = (3600.0 * c for c in project(*sky, *center))
        east, north, two = float(x[0]), float(y[0]), 2.0 * LEVER
        dx_dxi, dy_dxi = (x[1] - x[2]) / two, (y[1] - y[2]) / two
        dx_deta, dy_deta = (x[3] - x[4]) / two, (y[3] - y[4]) / two
        m = (float(dx_dxi), float(dx_deta), float(dy_dxi), float(dy_deta))
    linear = np.array([m[2] - m[1], m[0] + m[3] - 2.0, m[0] - m[3], m[1] + m[2]])
    return np.concatenate([[1e3 * east, 1e3 * north], 0.5 * linear / _TO_MATRIX])


def directions(exposure_center: tuple[float, float], xi: Floats, eta: Floats) -> Floats:
    """Give the unit vectors, shape (n, 3), of tangent-plane positions in arcsec."""
    basis = axes(*exposure_center)
    plane = np.stack([np.radians(xi / 3600.0), np.radians(eta / 3600.0), np.ones_like(xi)], axis=-1)
    # Sums of three products, not a matrix product: the same bits whatever the number of rows.
    vector = sum(plane[:, k, np.newaxis] * basis[k] for k in range(3))
    return np.asarray(vector / np.sqrt(np.sum(vector * vector, axis=1, keepdims=True)))


def local_axes(direction: Floats) -> Floats:
    """Give unit vectors east and north, shape (n, 2, 3), at directions of shape (n, 3)."""
    x, y, z = np.moveaxis(direction, -1, 0)
    flat = np.hypot(x, y)
    pole = flat == 0.0
    cos_ra = np.where(pole, 1.0, x / np.where(pole, 1.0, flat))
    sin_ra = np.where(pole, 0.0, y / np.where(pole, 1.0, flat))
    east = np.stack([-sin_ra, cos_ra, np.zeros_like(z)], axis=-1)
    north = np.stack([-z * cos_ra, -z * sin_ra, flat], axis=-1)
    return np.stack([east, north], axis=1)
