"""A small visit of simulated exposures with known header errors, and their true positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from hapdask.simulate import (
    Mode,
    Options,
    Pointing,
    PointingError,
    Scene,
    SimulatedExposure,
    Subarray,
    simulate_exposure,
)

CENTER = (150.1, 2.2)
#: A part of the IR detector: half a second to detect on.
PART = Mode(subarray=Subarray(1, 251, 251, 512, 512))


@dataclass(frozen=True)
class SmallVisit:
    """Files, what was simulated, and all stars."""

    files: tuple[Path, ...]
    exposures: tuple[SimulatedExposure, ...]
    ra: np.ndarray
    dec: np.ndarray
    mag: np.ndarray

    def catalog(self, count: int = 60, **columns: object) -> Table:
        """The brightest stars, with Gaia's errors."""
        pick = np.argsort(self.mag)[:count]
        table = {"ra": self.ra[pick], "dec": self.dec[pick], "mag": self.mag[pick]}
        errors = {"ra_error": np.full(count, 0.3), "dec_error": np.full(count, 0.3)}
        return Table({**table, **errors, "epoch": np.full(count, 2016.0), **columns})

    def error(self, record) -> float:
        """Median distance of a record's positions from the true ones, mas."""
        shown = {exposure.rootname: exposure for exposure in self.exposures}[record.name]
        found = []
        for chip in record.chips:
            ny, nx = chip.shape
            x, y = np.meshgrid(np.linspace(5, nx - 6, 6), np.linspace(5, ny - 6, 6))
            ra, dec = chip.distortion.pixel_to_sky(x.ravel(), y.ravel())
            true = shown.chips[chip.extver].geometry.pixel_to_sky(x.ravel(), y.ravel())
            away = (ra - true[0]) * np.cos(np.radians(dec)), dec - true[1]
            found.append(3.6e6 * np.hypot(*away))
        return float(np.median(np.concatenate(found)))


def simulate_visit(
    folder: Path,
    count: int = 3,
    *,
    visit: str = "ia0aaa",
    seed: int = 7,
    center: tuple[float, float] = CENTER,
    stars: int = 110,
    half: float = 0.011,
    shift: float = 0.0,
    errors: bool = True,
    date: str = "2016-01-01T00:00:00",
) -> SmallVisit:
    """Simulate a visit of WFC3/IR subarrays: 1 arcsec and 0.01 degrees of header errors.

    The stars lie within ``half`` degrees of the centre; the pointing is ``shift`` degrees off.
    """
    sky, headers = np.random.default_rng(5), np.random.default_rng(seed)
    ra = center[0] + sky.uniform(-half, half, stars)
    dec = center[1] + sky.uniform(-half, half, stars)
    mag = sky.uniform(18.0, 23.5, stars)
    made = []
    for k in range(count):
        error = PointingError(*headers.normal(0, 1.0, 2), headers.normal(0, 0.01))
        pointing = Pointing(
            center[0] + shift, center[1], 20.0 + seed, date=date, dither=(2.0 * k, 1.5 * k),
            error=error if errors else PointingError(), aligned=False,
        )  # fmt: skip
        made.append(
            simulate_exposure(
                Scene.stars(ra, dec, mag), "WFC3", "IR", "F160W", pointing, 300.0,
                seed=100 * seed + k, rootname=f"{visit}{'abcdefgh'[k]}aq", mode=PART,
                options=Options(flag_cosmic_rays=0.0),
            )
        )  # fmt: skip
    files = tuple(exposure.write(folder) for exposure in made)
    return SmallVisit(files, tuple(made), ra, dec, mag)
