"""The true sky: stars and galaxies by position, magnitude and colour.

What lives here: the catalogue of sources, random ones, and their rates in a filter. How they are
drawn is in ``psf`` and ``galaxies``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.simulate.detectors import Passband
from hapdask.simulate.galaxies import DE_VAUCOULEURS, EXPONENTIAL
from hapdask.simulate.pointing import triad

if TYPE_CHECKING:
    from astropy.table import Table

FloatArray = npt.NDArray[np.float64]

STAR = "star"
_PROFILES = (STAR, EXPONENTIAL, DE_VAUCOULEURS)

#: `mag` is at the first wavelength; `color` is mag(first) - mag(second). Angstrom.
_REFERENCE, _SECOND = 5500.0, 8000.0

#: Julian year at which `ra` and `dec` hold.
EPOCH = 2016.0
_MAS = math.radians(1.0 / 3.6e6)


@dataclass(frozen=True)
class Scene:
    """Sources on the sky; every attribute is an array of one entry per source.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        ICRS degrees.
    mag : ndarray of float64, shape (n,)
        AB magnitude at 5500 Angstrom.
    color : ndarray of float64, shape (n,)
        AB magnitude at 5500 minus that at 8000 Angstrom; the spectrum is a power law.
    profile : ndarray of str, shape (n,)
        ``"star"``, ``"exponential"`` or ``"de_vaucouleurs"``.
    radius : ndarray of float64, shape (n,)
        Half-light radius along the major axis, arcsec; 0 for stars.
    axis_ratio : ndarray of float64, shape (n,)
        Minor over major axis; 1 for stars.
    position_angle : ndarray of float64, shape (n,)
        Of the major axis, degrees east of north.
    pm_ra, pm_dec : ndarray of float64, shape (n,)
        Proper motion, mas / yr: along RA on the sky (with the factor cos dec) and along Dec;
        positions are those of `EPOCH`. Zero when left out.

    Raises
    ------
    ParameterError
        If arrays differ in length or hold impossible values.
    """

    ra: FloatArray
    dec: FloatArray
    mag: FloatArray
    color: FloatArray
    profile: npt.NDArray[np.str_]
    radius: FloatArray
    axis_ratio: FloatArray
    position_angle: FloatArray
    pm_ra: FloatArray = field(default_factory=lambda: np.zeros(0))
    pm_dec: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        for name in ("pm_ra", "pm_dec"):
            if np.size(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.zeros(len(self)))
        if {np.shape(column) for column in vars(self).values()} != {(len(self),)}:
            raise ParameterError("a scene needs one-dimensional arrays of the same length")
        numbers = np.stack([v for k, v in vars(self).items() if k != "profile"])
        unknown = set(np.unique(self.profile).tolist()) - set(_PROFILES)
        if unknown or not np.isfinite(numbers).all() or (np.abs(self.dec) > 90.0).any():
            raise ParameterError(
                f"a scene needs finite numbers, dec within -90 to 90 and profiles of {_PROFILES}"
            )
        extended = ~self.is_star
        if (self.radius[extended] <= 0).any() or (self.axis_ratio[extended] <= 0).any():
            raise ParameterError("galaxies need a radius and an axis ratio above 0")

    def __len__(self) -> int:
        return int(np.size(self.ra))

    @property
    def is_star(self) -> npt.NDArray[np.bool_]:
        """True for point sources; shape (n,)."""
        return np.asarray(self.profile == STAR)

    @classmethod
    def stars(
        cls,
        ra: npt.ArrayLike,
        dec: npt.ArrayLike,
        mag: npt.ArrayLike,
        color: npt.ArrayLike = 0.0,
        pm_ra: npt.ArrayLike = 0.0,
        pm_dec: npt.ArrayLike = 0.0,
    ) -> Scene:
        """Make a scene of stars alone.

        Parameters
        ----------
        ra, dec, mag, color, pm_ra, pm_dec : array_like
            As the attributes; scalars are repeated.

        Returns
        -------
        Scene
        """
        given = (ra, dec, mag, color, pm_ra, pm_dec)
        columns = np.broadcast_arrays(*(np.asarray(v, float) for v in given))
        ra_, dec_, mag_, color_, east, north = (np.atleast_1d(v).copy() for v in columns)
        size = ra_.size
        return cls(
            ra_, dec_, mag_, color_, np.full(size, STAR), np.zeros(size), np.ones(size),
            np.zeros(size), east, north,
        )  # fmt: skip

    @classmethod
    def galaxies(
        cls,
        ra: npt.ArrayLike,
        dec: npt.ArrayLike,
        mag: npt.ArrayLike,
        radius: npt.ArrayLike,
        axis_ratio: npt.ArrayLike = 1.0,
        position_angle: npt.ArrayLike = 0.0,
        profile: str = EXPONENTIAL,
        color: npt.ArrayLike = 0.0,
    ) -> Scene:
        """Make a scene of galaxies of one profile.

        Parameters
        ----------
        ra, dec, mag, radius, axis_ratio, position_angle, color : array_like
            As the attributes; scalars are repeated.
        profile : str
            ``"exponential"`` or ``"de_vaucouleurs"``.

        Returns
        -------
        Scene
        """
        given = (ra, dec, mag, color, radius, axis_ratio, position_angle)
        columns = np.broadcast_arrays(*(np.asarray(v, float) for v in given))
        arrays = [np.atleast_1d(column).copy() for column in columns]
        ra_, dec_, mag_, color_, radius_, ratio_, angle_ = arrays
        profiles = np.full(ra_.size, profile)
        return cls(ra_, dec_, mag_, color_, profiles, radius_, ratio_, angle_)

    @classmethod
    def random(
        cls,
        ra: float,
        dec: float,
        radius: float,
        n_stars: int,
        n_galaxies: int,
        seed: int,
        proper_motion: float = 0.0,
    ) -> Scene:
        """Make a random field: counts rise with magnitude, galaxies shrink with it.

        Parameters
        ----------
        ra, dec : float
            Centre, degrees; anywhere, poles included.
        radius : float
            Of the field, degrees.
        n_stars, n_galaxies : int
            How many of each.
        seed : int
            Same seed, same field.
        proper_motion : float
            Rms of the stars' proper motions on each axis, mas / yr; changes nothing else.

        Returns
        -------
        Scene
        """
        rng = np.random.default_rng([seed, 0x5CE7E])
        star_ra, star_dec = _scatter(rng, ra, dec, radius, n_stars)
        star_mag = _magnitudes(rng, 17.0, 27.0, 0.20, n_stars)
        moving = np.random.default_rng([seed, 0x5CE7E, 1])
        stars = cls.stars(
            star_ra, star_dec, star_mag, rng.normal(0.35, 0.25, n_stars),
            *moving.normal(0.0, proper_motion, (2, n_stars)),
        )  # fmt: skip
        gal_ra, gal_dec = _scatter(rng, ra, dec, radius, n_galaxies)
        mag = _magnitudes(rng, 19.5, 26.5, 0.30, n_galaxies)
        size = 0.45 * 10.0 ** (-0.13 * (mag - 22.0)) * rng.lognormal(0.0, 0.3, n_galaxies)
        early = rng.random(n_galaxies) < 0.25
        galaxies = cls(
            gal_ra,
            gal_dec,
            mag,
            np.where(early, rng.normal(0.9, 0.15, n_galaxies), rng.normal(0.4, 0.2, n_galaxies)),
            np.where(early, DE_VAUCOULEURS, EXPONENTIAL),
            np.clip(size, 0.08, 1.2),
            rng.uniform(0.25, 1.0, n_galaxies),
            rng.uniform(0.0, 180.0, n_galaxies),
        )
        return stars + galaxies

    def __add__(self, other: Scene) -> Scene:
        """Join the sources of both scenes, in order."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Scene(*(np.concatenate(pair) for pair in pairs))

    def at(self, year: float) -> Scene:
        """Move every source by its proper motion.

        Parameters
        ----------
        year : float
            Julian year, for example 2020.5.

        Returns
        -------
        Scene
            The same sources, where they are then; itself where nothing moves.

        Notes
        -----
        Each source goes along its great circle at constant speed, poles included; there is no
        parallax and no radial motion.
        """
        moving = np.flatnonzero((self.pm_ra != 0.0) | (self.pm_dec != 0.0))
        if moving.size == 0 or year == EPOCH:
            return self
        pm_ra, pm_dec = self.pm_ra[moving], self.pm_dec[moving]
        a, d, none = (
            np.radians(self.ra[moving]),
            np.radians(self.dec[moving]),
            np.zeros(moving.size),
        )
        point = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
        east = np.stack([-np.sin(a), np.cos(a), none])
        north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
        speed = np.hypot(pm_ra, pm_dec)
        angle = speed * _MAS * (year - EPOCH)
        x, y, z = np.cos(angle) * point + np.sin(angle) * (east * pm_ra + north * pm_dec) / speed
        ra, dec = self.ra.copy(), self.dec.copy()
        ra[moving] = np.degrees(np.arctan2(y, x)) % 360.0
        dec[moving] = np.degrees(np.arctan2(z, np.hypot(x, y)))
        return replace(self, ra=ra, dec=dec)

    def rates(self, passband: Passband) -> FloatArray:
        """Electrons per second of each source in a filter.

        Parameters
        ----------
        passband : Passband
            Filter and detector.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        slope = math.log(passband.photplam / _REFERENCE) / math.log(_SECOND / _REFERENCE)
        mag = self.mag - self.color * slope
        return np.asarray(10.0 ** (-0.4 * (mag - passband.zero_point)))

    def table(self) -> Table:
        """Return the scene as an astropy Table with units."""
        from astropy.table import Table

        units = {"ra": "deg", "dec": "deg", "mag": "mag", "color": "mag", "radius": "arcsec",
                 "position_angle": "deg", "pm_ra": "mas / yr", "pm_dec": "mas / yr"}  # fmt: skip
        table = Table({"id": np.arange(1, len(self) + 1), **vars(self)})
        for name, unit in units.items():
            table[name].unit = unit
        return table


def _scatter(
    rng: np.random.Generator, ra: float, dec: float, radius: float, size: int
) -> tuple[FloatArray, FloatArray]:
    """Positions uniform on the spherical cap about a centre."""
    cosine = 1.0 - rng.random(size) * (1.0 - math.cos(math.radians(radius)))
    sine, angle = np.sqrt(1.0 - cosine**2), rng.uniform(0.0, 2.0 * math.pi, size)
    local = np.stack([cosine, sine * np.sin(angle), sine * np.cos(angle)])
    x, y, z = triad(ra, dec) @ local
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _magnitudes(
    rng: np.random.Generator, bright: float, faint: float, slope: float, size: int
) -> FloatArray:
    """Magnitudes whose counts rise as 10^(slope mag)."""
    low, high = 10.0 ** (slope * bright), 10.0 ** (slope * faint)
    return np.asarray(np.log10(rng.uniform(low, high, size)) / slope)
