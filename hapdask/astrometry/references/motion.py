"""Where stars stand at another date: proper motion, parallax, and how errors grow.

Plain arrays in and out; `catalog.ReferenceCatalog.at` is the user of it.  Neither a pole nor RA 0
is special, for stars move as vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hapdask.sky.tangent import sky_of, unit_vectors

FloatArray = npt.NDArray[np.float64]
Pair = tuple[FloatArray, FloatArray]

MAS = np.pi / 180.0 / 3.6e6
#: Scatter per axis of the proper motion of stars whose own is unknown, mas / yr.  Field stars of
#: the magnitudes that Hubble aligns to have 5 to 10.
PM_PRIOR = 7.0
#: Error per axis of a proper motion that comes without one, mas / yr: Gaia's at its faint end.
PM_ERROR_UNSTATED = 1.0


class Motion(NamedTuple):
    """What moves stars: arrays of float64, shape (n,), NaN where unknown."""

    pmra: FloatArray  # mas / yr, times cos(dec)
    pmdec: FloatArray
    pmra_error: FloatArray
    pmdec_error: FloatArray
    parallax: FloatArray  # mas
    parallax_error: FloatArray


class Moved(NamedTuple):
    """Stars at another date: positions (degrees), errors (mas), motions (mas / yr)."""

    ra: FloatArray
    dec: FloatArray
    ra_error: FloatArray
    dec_error: FloatArray
    pmra: FloatArray
    pmdec: FloatArray
    pmra_error: FloatArray
    pmdec_error: FloatArray


def julian_year(mjd: npt.ArrayLike) -> FloatArray:
    """Julian year of a Modified Julian Date: TT and UTC are not told apart (2e-6 years)."""
    return np.asarray(2000.0 + (np.asarray(mjd, dtype=np.float64) - 51544.5) / 365.25)


def earth(mjd: npt.ArrayLike) -> FloatArray:
    """Barycentric position of the Earth in au, ICRS axes, shape (..., 3); needs no network.

    TDB and UTC, a minute apart, are not told apart.  Hubble is 7000 km from it, which moves a star
    of parallax 1 arcsec by 0.05 mas.
    """
    from astropy import units as u
    from astropy.coordinates import get_body_barycentric
    from astropy.time import Time

    place = get_body_barycentric("earth", Time(mjd, format="mjd", scale="tdb"), "builtin")
    return np.moveaxis(np.asarray(place.xyz.to_value(u.au), dtype=np.float64), 0, -1)


def move(
    ra: FloatArray,
    dec: FloatArray,
    errors: Pair,
    motion: Motion,
    years: FloatArray,
    observer: FloatArray,
    pm_prior: float,
) -> Moved:
    """Move stars, and let their errors grow.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        ICRS degrees at the catalog's epochs, seen from the barycentre.
    errors : pair of ndarray of float64, shape (n,)
        Of RA (times cos(dec)) and declination, mas.
    motion : Motion
        A star with either component of its proper motion unknown stays where it is.
    years : ndarray of float64, shape (n,)
        Julian years from the catalog's epochs to the date.
    observer : ndarray of float64, shape (3,)
        Barycentric position of the observer, au.
    pm_prior : float
        Scatter per axis of unknown proper motions, mas / yr.

    Returns
    -------
    Moved

    Notes
    -----
    Uniform motion in the tangent plane of the old place: r + t mu - parallax (o - (o r) r),
    brought back to the sphere; perspective acceleration (radial velocity) is left out.  Of the
    covariances the catalog's axes are kept: correlations are neither read nor carried on, so
    within arcseconds of a pole, where the axes turn, an error ellipse becomes its two variances.

    Source: ESA 1997, The Hipparcos and Tycho Catalogues, ESA SP-1200, volume 1, sections 1.2.8
    and 1.5.5.
    """
    place, east, north = _local_axes(ra, dec)
    known = np.isfinite(motion.pmra) & np.isfinite(motion.pmdec)
    pmra, pmdec = np.where(known, motion.pmra, 0.0), np.where(known, motion.pmdec, 0.0)
    parallax = np.nan_to_num(motion.parallax)
    factors = (-east @ observer, -north @ observer)
    along = _column(pmra) * east + _column(pmdec) * north
    towards = _column(years * MAS) * along + _column(parallax * MAS) * (
        _column(factors[0]) * east + _column(factors[1]) * north
    )
    new_ra, new_dec = sky_of(place + towards)
    still = ~towards.any(axis=1)
    new_ra, new_dec = np.where(still, ra, new_ra), np.where(still, dec, new_dec)

    _, new_east, new_north = _local_axes(new_ra, new_dec)
    turn = _turn(east, north, new_east)
    grown = _turned(_grown(errors, motion, known, years, factors, pm_prior), turn)
    pm_grown = _turned((motion.pmra_error**2, motion.pmdec_error**2), turn)
    return Moved(
        new_ra,
        new_dec,
        np.sqrt(grown[0]),
        np.sqrt(grown[1]),
        np.where(known, np.sum(along * new_east, axis=1), motion.pmra),
        np.where(known, np.sum(along * new_north, axis=1), motion.pmdec),
        np.sqrt(pm_grown[0]),
        np.sqrt(pm_grown[1]),
    )


def _grown(
    errors: Pair,
    motion: Motion,
    known: npt.NDArray[np.bool_],
    years: FloatArray,
    factors: Pair,
    pm_prior: float,
) -> Pair:
    """Return variances of the moved positions, mas^2, along the axes of the old places."""
    doubt = np.nan_to_num(motion.parallax_error)

    def variance(error: FloatArray, pm_error: FloatArray, factor: FloatArray) -> FloatArray:
        stated = np.where(np.isfinite(pm_error), pm_error, PM_ERROR_UNSTATED)
        drift = np.where(known, stated, pm_prior)
        return np.asarray(error**2 + (years * drift) ** 2 + (factor * doubt) ** 2)

    return (
        variance(errors[0], motion.pmra_error, factors[0]),
        variance(errors[1], motion.pmdec_error, factors[1]),
    )


def _column(values: FloatArray) -> FloatArray:
    return values[:, np.newaxis]


def _local_axes(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return unit vectors of places, and towards east and north there, each of shape (n, 3)."""
    zero = np.zeros_like(ra)
    east = unit_vectors(ra + 90.0, zero)
    place = unit_vectors(ra, dec)
    return place, east, np.cross(place, east)


def _turn(east: FloatArray, north: FloatArray, new_east: FloatArray) -> Pair:
    """Squared cosine and sine of the angle between the local axes of two near places."""
    cosine, sine = np.sum(new_east * east, axis=1), np.sum(new_east * north, axis=1)
    length = cosine**2 + sine**2
    return cosine**2 / length, sine**2 / length


def _turned(variances: Pair, turn: Pair) -> Pair:
    """Return variances along axes turned by an angle; NaN stays where it was."""
    (a, b), (cosine2, sine2) = variances, turn
    return (
        np.where(sine2 > 0.0, cosine2 * a + sine2 * b, a),
        np.where(sine2 > 0.0, sine2 * a + cosine2 * b, b),
    )
