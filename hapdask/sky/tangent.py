"""The gnomonic (TAN) projection and directions on the sphere, as plain NumPy.

Here: sky to tangent plane and back, unit vectors, the local axes of a tangent point.
Not here: pixels (`hapdask.sky.frame`), polygons (`hapdask.sky.footprint`), and the fused
per-pixel map of the drizzle (`hapdask.kernels`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def project(
    ra: npt.ArrayLike, dec: npt.ArrayLike, ra0: npt.ArrayLike, dec0: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Project sky positions on the plane that touches the sphere at a tangent point.

    Parameters
    ----------
    ra, dec : array_like
        ICRS degrees.
    ra0, dec0 : array_like
        Tangent point, ICRS degrees; broadcasts with the positions.

    Returns
    -------
    xi, eta : ndarray of float64
        Degrees on the plane, east and north positive; NaN at 90 degrees and beyond.

    Notes
    -----
    The textbook formulae lose digits near the tangent point, near the poles and across RA 0.
    With d = dec - dec0 and h = sin^2((ra - ra0) / 2), cos(dec0) sin(dec) -
    sin(dec0) cos(dec) cos(ra - ra0) is sin(d) + 2 sin(dec0) cos(dec) h, and the cosine of the
    distance is cos(d) - 2 cos(dec0) cos(dec) h: neither cancels, and differences are taken in
    degrees, where they are exact. What is left is within 1e-9 pixels of 0.04 arcsec of the
    exact result for the given float64 degrees, over a whole projection cell.

    Source: Calabretta and Greisen 2002, A&A 395, 1077, section 5.1.3.
    """
    dec, dec0 = np.asarray(dec, dtype=np.float64), np.asarray(dec0, dtype=np.float64)
    dra = np.asarray(ra, dtype=np.float64) - np.asarray(ra0, dtype=np.float64)
    dra = np.radians(dra - 360.0 * np.rint(dra / 360.0))
    ddec = np.radians(dec - dec0)
    cos_dec = _cosine(dec)
    half = 2.0 * np.sin(0.5 * dra) ** 2 * cos_dec
    cos_distance = np.cos(ddec) - _cosine(dec0) * half
    in_front = np.where(cos_distance > 0.0, cos_distance, np.nan)
    xi = np.degrees(cos_dec * np.sin(dra) / in_front)
    eta = np.degrees((np.sin(ddec) + np.sin(np.radians(dec0)) * half) / in_front)
    return xi, eta


def _cosine(dec: FloatArray) -> FloatArray:
    """Cosine of a declination in degrees, with all its digits near a pole."""
    return np.asarray(np.sin(np.radians(90.0 - np.abs(dec))))


def deproject(
    xi: npt.ArrayLike, eta: npt.ArrayLike, ra0: npt.ArrayLike, dec0: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Sky position of points of a tangent plane: the inverse of `project`.

    Parameters
    ----------
    xi, eta : array_like
        Degrees on the plane, east and north positive.
    ra0, dec0 : array_like
        Tangent point, ICRS degrees.

    Returns
    -------
    ra, dec : ndarray of float64
        ICRS degrees, ``0 <= ra < 360``.
    """
    xi, eta = np.radians(xi), np.radians(eta)
    dec0 = np.asarray(dec0, dtype=np.float64)
    sin0, cos0 = np.sin(np.radians(dec0)), _cosine(dec0)
    towards_equator = cos0 - eta * sin0
    ra = wrap(np.asarray(ra0) + np.degrees(np.arctan2(xi, towards_equator)))
    dec = np.degrees(np.arctan2(sin0 + eta * cos0, np.hypot(xi, towards_equator)))
    return ra, dec


def wrap(ra: npt.ArrayLike) -> FloatArray:
    """Right ascension in ``[0, 360)`` degrees, as float64.

    The remainder of a tiny negative angle rounds to 360 itself, hence the second step.
    """
    turned = np.mod(np.asarray(ra, dtype=np.float64), 360.0)
    wrapped: FloatArray = np.where(turned == 360.0, 0.0, turned)[()]
    return wrapped


def unit_vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> FloatArray:
    """Directions as unit vectors.

    Parameters
    ----------
    ra, dec : array_like, shape (...)
        ICRS degrees.

    Returns
    -------
    ndarray of float64, shape (..., 3)
    """
    ra, dec = np.radians(ra), np.radians(dec)
    cos_dec = np.cos(dec)
    x, y, z = np.broadcast_arrays(cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec))
    return np.stack([x, y, z], axis=-1)


def sky_of(vectors: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Positions (ra, dec), ICRS degrees, of vectors of any length, shape (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    return wrap(np.degrees(np.arctan2(y, x))), np.degrees(np.arctan2(z, np.hypot(x, y)))


def axes(ra0: float, dec0: float) -> FloatArray:
    """Return unit vectors towards east, north and the tangent point itself, as rows.

    Parameters
    ----------
    ra0, dec0 : float
        Tangent point, ICRS degrees.

    Returns
    -------
    ndarray of float64, shape (3, 3)
        For a direction v, ``axes @ v`` is (xi, eta, 1) of the tangent plane, in radians,
        times the cosine of the distance.
    """
    ra, dec = np.radians(ra0), np.radians(dec0)
    sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    return np.array(
        [
            [-sin_ra, cos_ra, 0.0],
            [-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec],
            [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec],
        ]
    )
