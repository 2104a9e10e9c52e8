"""Source lists of simulated exposures with known corrections, for the joint solution."""

from dataclasses import dataclass

import numpy as np

from hapdask.astrometry.references.motion import julian_year
from hapdask.astrometry.solution.geometry import (
    MAS,
    correction_of,
    local_axes,
)
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.sky.tangent import deproject, project, sky_of, unit_vectors


@dataclass(frozen=True)
class Catalog:
    ra: np.ndarray
    dec: np.ndarray
    ra_error: np.ndarray
    dec_error: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    pmra_error: np.ndarray
    pmdec_error: np.ndarray
    parallax: np.ndarray
    epoch: np.ndarray

    def take(self, rows):
        return Catalog(**{n: getattr(self, n)[rows] for n in self.__dataclass_fields__})


class Field:
    """Stars (and galaxies) around a place; `epoch` is that of their places."""

    def __init__(
        self,
        rng,
        center=(150.0, 2.0),
        n=300,
        half=85.0,
        scatter=7.0,
        galaxies=0.0,
        epoch=2016.0,
        common=(0.0, 0.0),
        blur=1.0,
    ):
        self.blur = blur  # errors of galaxies, in those of stars
        self.rng, self.center, self.half, self.epoch = rng, center, half, epoch
        xi, eta = rng.uniform(-half, half, (2, n))
        self.ra, self.dec = deproject(xi / 3600, eta / 3600, *center)
        self.galaxy = rng.random(n) < galaxies
        self.pm = np.where(self.galaxy[:, None], 0.0, rng.normal(common, scatter, (n, 2)))

    def offsets(self):
        """Places in the plane about the middle, arcsec."""
        return [3600 * c for c in project(self.ra, self.dec, *self.center)]

    def at(self, epoch):
        base = unit_vectors(self.ra, self.dec)
        tangent = local_axes(base)
        dt = (epoch - self.epoch) / MAS
        return sky_of(base + np.einsum("nk,nkc->nc", self.pm * dt, tangent))

    def references(self, rows, error=0.3, pm_error=0.2):
        rng, k = self.rng, len(rows)
        base = unit_vectors(self.ra[rows], self.dec[rows])
        tangent = local_axes(base)
        noise = rng.normal(0, error, (k, 2)) / MAS
        ra, dec = sky_of(base + np.einsum("nk,nkc->nc", noise, tangent))
        pm = self.pm[rows] + rng.normal(0, pm_error, (k, 2))
        full = np.full
        return Catalog(
            ra,
            dec,
            full(k, error),
            full(k, error),
            pm[:, 0],
            pm[:, 1],
            full(k, pm_error),
            full(k, pm_error),
            full(k, np.nan),
            full(k, self.epoch),
        )

    def exposure(
        self,
        name,
        mjd,
        *,
        offset=(0.0, 0.0),
        theta=None,
        error=0.5,
        start_error=5.0,
        distortion=None,
        keep=1.0,
        geometry="rscale",
        visit=None,
        size=80.0,
    ):
        """One exposure: `theta` is its true correction; its start is wrong by `start_error`."""
        rng = self.rng
        theta = np.zeros(6) if theta is None else np.asarray(theta, float)
        center = tuple(
            float(c) for c in deproject(offset[0] / 3600, offset[1] / 3600, *self.center)
        )
        ra, dec = self.at(float(julian_year(mjd)))
        xi, eta = (3600 * c for c in project(ra, dec, *center))
        rows = np.flatnonzero(
            (np.abs(xi) < size) & (np.abs(eta) < size) & (rng.random(len(xi)) < keep)
        )
        xi, eta = xi[rows], eta[rows]
        c = correction_of(theta, center)
        m = np.reshape(c.matrix, (2, 2))
        back = np.linalg.solve(m, np.stack([xi - c.shift[0], eta - c.shift[1]]))
        sigma = error * rng.uniform(0.5, 2.0, len(rows))
        sigma = sigma * np.where(self.galaxy[rows], self.blur, 1.0)
        noise = rng.normal(0, 1, (2, len(rows))) * sigma
        if distortion is not None:
            noise = noise + distortion(*back)
        wrong = np.zeros(6)
        wrong[:4] = rng.normal(0, start_error, 4)
        return ExposureSources(
            name=name,
            visit=visit or name[:6],
            detector="wfc3.uvis",
            mjd=mjd,
            center=center,
            xi=back[0] + noise[0] / 1e3,
            eta=back[1] + noise[1] / 1e3,
            error=sigma,
            galaxy=self.galaxy[rows],
            start=correction_of(theta + wrong, center),
            geometry=geometry,
        ), rows


def header_errors(rng, n, parameters, geometry_size=4):
    """True corrections of the exposures of a visit, as the header prior says."""
    p = parameters
    common = rng.normal(0, p.header_errors)
    own = rng.normal(0, p.exposure_errors, (n, 6))
    own[:, :4] += common
    own[:, geometry_size:] = 0
    return own


def offsets(theta, solved):
    """Error of a solution in its own sigmas, squared, and the number of parameters."""
    used = np.diag(solved.covariance) > 0
    d = (np.array(solved.parameters) - theta)[used]
    c = np.array(solved.covariance)[np.ix_(used, used)]
    return float(d @ np.linalg.solve(c, d)), int(used.sum())
