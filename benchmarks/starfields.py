"""Visits as lists of stars, with known truth: no pixels.

Lives here: stars that move, what exposures with wrong headers see of them, and what a catalog knows
of them years before or after.  Not here: which cases are tried (``alignment_cases``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.members import Member, joint_geometry
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.result import apply_correction
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.observe.distortion import Correction
from hapdask.sky.tangent import deproject, project

Floats = NDArray[np.float64]
Sky = tuple[Floats, Floats]

_GRID = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 5)] * 2)).reshape(2, -1).T


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a visit is like.

    Lengths in arcsec, errors in mas, times in years, ``rotation`` in degrees.
    """

    center: tuple[float, float] = (150.0, 2.2)
    side: float = 162.0  # of the detector
    pixel: float = 0.04
    softness: float = 1.0  # factor of the centroid errors
    sources: int = 400  # real ones in an exposure, about
    spurious: float = 0.1  # of the real ones
    fixed: int = 10  # hot pixels
    exposures: int = 4
    second_filter: float = 0.5  # part of the stars that the second half of the exposures sees
    dither: float = 5.0
    shift: float = 3.0
    rotation: float = 0.01
    jitter: float = 0.01
    years: float = 15.0
    stir: float = 5.0  # scatter of proper motions, mas / yr
    drift: float = 3.0  # and of their mean over the field
    references: int = 300  # stars in the catalog, over four times the area
    false: float = 0.1
    doubled: float = 0.0
    known_motion: bool = True


@dataclass(frozen=True, eq=False)
class Seen:
    """An exposure: its sources by the header, and points all over it by header and in truth."""

    places: Places
    header: Sky
    truth: Sky

    @property
    def outline(self) -> Sky:
        """Its border by the header: the corners and points between."""
        edge = np.abs(_GRID).max(axis=1) == 0.5
        return self.header[0][edge], self.header[1][edge]

    def as_input(self, placed: Placement, mjd: float) -> Member:
        """The same for the joint solution, with where it was placed."""
        center = float(self.header[0][12]), float(self.header[1][12])
        xi, eta = self.places.in_plane(center).xy.T
        sources = ExposureSources(
            name=self.places.name,
            visit="visit" + self.places.name[0],
            detector="wfc3.uvis",
            mjd=mjd,
            center=center,
            xi=xi,
            eta=eta,
            error=self.places.ra_error,
            start=placed.correction,
            geometry=joint_geometry(placed),
        )
        return Member(placed, sources, self.outline)

    def off(self, correction: Correction | None) -> Floats:
        """How far the points are from the truth, east and north, mas, shape (25, 2)."""
        middle = float(self.truth[0][12]), float(self.truth[1][12])
        center = correction.center if correction else middle
        here, there = (
            Places.make("", *sky, 0.0).in_plane(center).xy for sky in (self.header, self.truth)
        )
        moved = here if correction is None else apply_correction(correction, here)
        return 1000.0 * (moved - there)


@dataclass
class StarField:
    """Stars around a place, and the exposures and catalogs of them."""

    rng: np.random.Generator
    setting: Setting
    xy: Floats = field(init=False)  # in 2016, arcsec about the center
    motion: Floats = field(init=False)  # mas / yr
    mag: Floats = field(init=False)

    def __post_init__(self) -> None:
        s, rng = self.setting, self.rng
        count = max(round(4 * s.sources), s.references)  # the field is twice as wide
        self.xy = rng.uniform(-1.0, 1.0, (count, 2)) * s.side
        self.motion = rng.normal(0, s.drift, 2) + rng.normal(0, s.stir, (count, 2))
        # counts that grow with magnitude, as the Galaxy's
        self.mag = 25.0 + np.log10(rng.uniform(1e-3, 1.0, count)) / 0.3
        self.matrix, self.shift = _header(rng, s.shift, s.rotation)

    def at_visit(self) -> Floats:
        """Places at the visit's date, arcsec."""
        return self.xy + self.motion * self.setting.years / 1000.0

    @property
    def mjd(self) -> float:
        """Date of the visit."""
        return 57388.5 + 365.25 * self.setting.years

    def visit(self, prefix: str = "e") -> list[Seen]:
        """All exposures; the second half in another filter."""
        s = self.setting
        half = (s.exposures + 1) // 2
        visible = self.rng.uniform(size=len(self.xy))
        hot = self.rng.uniform(-0.5, 0.5, (s.fixed, 2)) * s.side
        return [
            self._exposure(f"{prefix}{k}", visible < (1.0 if k < half else s.second_filter), hot)
            for k in range(s.exposures)
        ]

    def _exposure(self, name: str, visible: NDArray[np.bool_], hot: Floats) -> Seen:
        s, rng = self.setting, self.rng
        pointing = rng.uniform(-s.dither, s.dither, 2)
        middle = tuple(float(c) for c in deproject(*(pointing / 3600.0), *s.center))
        stars = _plane(deproject(*(self.at_visit().T / 3600.0), *s.center), middle)
        here = np.all(np.abs(stars) < 0.5 * s.side, axis=1) & visible
        here &= rng.uniform(size=len(stars)) < 0.97
        real, mag = stars[here], self.mag[here]
        bad = rng.uniform(-0.5, 0.5, (round(s.spurious * s.sources), 2)) * s.side
        bad = np.concatenate([bad, hot]) if len(real) else bad
        every = np.concatenate([real, bad])
        mags = np.concatenate([mag, rng.uniform(18.0, 25.0, len(bad))])
        stated = s.softness * (0.4 + 2.6 * 10 ** (0.4 * (mags - 24.0)))
        # errors are never stated quite right, and some sources are blends
        true = stated * rng.uniform(0.8, 1.25) * np.where(rng.uniform(size=len(mags)) < 0.03, 5, 1)
        seen = every + rng.normal(size=every.shape) * true[:, None] / 1000.0
        shift = self.shift + rng.normal(0, s.jitter, 2)
        wrong = self._sky(seen @ self.matrix.T + shift, middle)
        pixels = seen / s.pixel + 0.5 * s.side / s.pixel
        detector = np.column_stack([np.ones(len(seen)), pixels])
        grid = s.side * _GRID
        return Seen(
            Places.make(name, *wrong, stated, mag=mags, detector=detector),
            self._sky(grid @ self.matrix.T + shift, middle),
            self._sky(grid, middle),
        )

    @staticmethod
    def _sky(xy: Floats, middle: tuple[float, ...]) -> Sky:
        return deproject(xy[:, 0] / 3600.0, xy[:, 1] / 3600.0, *middle)

    def catalog(self, name: str = "catalog") -> ReferenceCatalog:
        """The brightest stars as in 2016, with false and doubled ones."""
        s, rng = self.setting, self.rng
        pick = np.argsort(self.mag, kind="stable")[: s.references]
        count = len(pick)
        error = 10 ** rng.uniform(-1.3, -0.3, count)
        pm_error = error * rng.uniform(0.8, 1.2, count)
        xy = self.xy[pick] + rng.normal(size=(count, 2)) * error[:, None] / 1000.0
        motion = self.motion[pick] + rng.normal(size=(count, 2)) * pm_error[:, None]
        mag = self.mag[pick] + rng.normal(0, 0.1, count)
        extra = round(s.false * count)
        twice = rng.integers(0, max(count, 1), round(s.doubled * count))
        near = xy[twice] + rng.normal(size=(len(twice), 2)) * 0.05
        xy = np.concatenate([xy, rng.uniform(-1.0, 1.0, (extra, 2)) * s.side, near])
        motion = np.concatenate([motion, rng.normal(0, s.stir, (extra, 2)), motion[twice]])
        error = np.concatenate([error, rng.uniform(0.05, 0.5, extra), error[twice]])
        pm_error = np.concatenate([pm_error, rng.uniform(0.05, 0.5, extra), pm_error[twice]])
        mag = np.concatenate([mag, rng.uniform(16.0, 21.0, extra), mag[twice]])
        ra, dec = self._sky(xy, s.center)
        known = 1.0 if s.known_motion else np.nan
        east, north = _local_motion((ra, dec), xy, motion, s.center)
        return ReferenceCatalog.of(
            ra, dec, error=error, epoch=2016.0, mag=mag, name=name,
            pmra=known * east, pmdec=known * north,
            pmra_error=known * pm_error, pmdec_error=known * pm_error,
        )  # fmt: skip


def _plane(sky: Sky, center: tuple[float, ...]) -> Floats:
    return 3600.0 * np.stack(project(*sky, *center), axis=1)


def _local_motion(sky: Sky, xy: Floats, motion: Floats, center: tuple[float, float]) -> Sky:
    """Turn motions in a plane into those along RA and Dec of each star: at a pole they differ."""
    ra, dec = deproject(*((xy + motion / 1000.0).T / 3600.0), *center)
    east, north = project(ra, dec, *sky)
    return 3.6e6 * east, 3.6e6 * north


def _header(rng: np.random.Generator, shift: float, rotation: float) -> tuple[Floats, Floats]:
    """A matrix and a shift, arcsec; the roll of that scatter, scale wrong by some 1e-5."""
    angle, scale = np.radians(rng.normal(0, rotation)), 1.0 + rng.normal(0, 1e-5)
    c, s = np.cos(angle), np.sin(angle)
    way = rng.uniform(0, 2 * np.pi)
    return scale * np.array([[c, -s], [s, c]]), shift * np.array([np.cos(way), np.sin(way)])
