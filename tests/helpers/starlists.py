"""Lists of stars as an exposure and a catalog see them: no pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.result import apply_correction
from hapdask.astrometry.matching.places import Places
from hapdask.observe.distortion import Correction
from hapdask.sky.tangent import deproject

Floats = NDArray[np.float64]


@dataclass
class Seen:
    """An exposure's sources, and points all over it: where its header has them, and the truth."""

    places: Places
    header: tuple[Floats, Floats]
    truth: tuple[Floats, Floats]

    def residuals(self, correction: Correction | None) -> Floats:
        """How far the points are from the truth, mas; by the header where None."""
        return np.hypot(*self.off(correction).T)

    def off(self, correction: Correction | None) -> Floats:
        """The same as moves east and north, shape (points, 2)."""
        center = (
            correction.center
            if correction
            else (float(self.truth[0][12]), float(self.truth[1][12]))
        )
        here, there = (
            Places.make("", *sky, 0.0).in_plane(center).xy for sky in (self.header, self.truth)
        )
        moved = here if correction is None else apply_correction(correction, here)
        return 1000.0 * (moved - there)


@dataclass
class Field:
    """A patch of sky, in a tangent plane, arcsec; what exposures and catalogs see of it."""

    rng: np.random.Generator
    center: tuple[float, float] = (150.0, 2.2)
    stars: int = 300
    side: float = 162.0
    truth: Floats = field(init=False)
    mag: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.truth = self.rng.uniform(-0.8, 0.8, (self.stars, 2)) * self.side
        self.mag = self.rng.uniform(16.0, 24.0, self.stars)

    def sky(self, xy: Floats) -> tuple[Floats, Floats]:
        return deproject(xy[:, 0] / 3600.0, xy[:, 1] / 3600.0, *self.center)

    def centroid_errors(self, mag: Floats, scale: float = 1.0) -> Floats:
        """UVIS: 0.4 mas for bright stars, 3 mas at magnitude 24."""
        return scale * (0.4 + 2.6 * 10 ** (0.2 * (mag - 24.0) * 2))

    def exposure(
        self,
        error: tuple[Floats, Floats],
        *,
        pointing: tuple[float, float] = (0.0, 0.0),
        false: int = 20,
        scale: float = 1.0,
        name: str = "exposure",
        fixed: Floats | None = None,
    ) -> Seen:
        """What an exposure with a header's error (matrix, shift) gives.

        ``fixed``: detector places of hot pixels, arcsec about the middle, the same in each.
        """
        here = np.all(np.abs(self.truth - np.array(pointing)) < self.side / 2, axis=1)
        true, mag = self.truth[here], self.mag[here]
        bad = self.rng.uniform(-0.5, 0.5, (false, 2)) * self.side + np.array(pointing)
        if fixed is not None:
            bad = np.concatenate([bad, fixed + np.array(pointing)])
        everything = np.concatenate([true, bad])
        mags = np.concatenate([mag, self.rng.uniform(16.0, 24.0, len(bad))])
        sigma = self.centroid_errors(mags, scale)
        seen = everything + self.rng.normal(size=everything.shape) * sigma[:, None] / 1000.0
        matrix, shift = error
        middle = np.array(pointing)
        header = (seen - middle) @ matrix.T + middle + shift
        ra, dec = self.sky(header)
        detector = np.column_stack([np.ones(len(seen)), (seen - middle) / 0.04 + 2000.0])
        places = Places.make(name, ra, dec, sigma, mag=mags, detector=detector)
        grid = self.side / 2 * np.stack(np.meshgrid([-1, -0.5, 0, 0.5, 1], [-1, -0.5, 0, 0.5, 1]))
        points = grid.reshape(2, -1).T + middle
        return Seen(
            places, self.sky((points - middle) @ matrix.T + middle + shift), self.sky(points)
        )

    def catalog(
        self,
        count: int,
        *,
        false: float = 0.1,
        pm: float = 5.0,
        years: float = 15.0,
        known_pm: bool = True,
        name: str = "catalog",
    ) -> Places:
        """The brightest stars, at the exposure's epoch as far as a catalog knows it."""
        pick = np.argsort(self.mag)[:count]
        xy = self.truth[pick]
        if known_pm:  # Gaia: 0.05 to 0.5 mas/yr
            error = years * 10 ** self.rng.uniform(-1.3, -0.5, len(pick)) + 0.1
        else:
            error = np.full(len(pick), pm * years)
        seen = xy + self.rng.normal(size=xy.shape) * error[:, None] / 1000.0
        extra = round(false * len(pick))
        more = self.rng.uniform(-0.8, 0.8, (extra, 2)) * self.side
        ra, dec = self.sky(np.concatenate([seen, more]))
        errors = np.concatenate([error, self.rng.uniform(0.5, 5.0, extra)])
        mags = np.concatenate([self.mag[pick], self.rng.uniform(16.0, 21.0, extra)])
        return Places.make(name, ra, dec, errors, mag=mags + self.rng.normal(0, 0.1, len(mags)))


def header_error(
    rng: np.random.Generator, shift: float = 3.0, rotation: float = 0.01
) -> tuple[Floats, Floats]:
    """A matrix and a shift, arcsec, of that size; rotation in degrees."""
    angle = np.radians(rng.normal(0, rotation))
    c, s = np.cos(angle), np.sin(angle)
    way = rng.uniform(0, 2 * np.pi)
    return np.array([[c, -s], [s, c]]), shift * np.array([np.cos(way), np.sin(way)])
