"""Simulated exposures with their true positions; made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hapdask.astrometry.sources import SourceList
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord
from hapdask.simulate import Mode, Options, Pointing, Scene, Subarray, simulate_exposure

RA, DEC = 150.1, 2.2
UVIS, IR = ("WFC3", "UVIS", "F606W"), ("WFC3", "IR", "F160W")
#: A part of a chip about the target, which is moved there from the gap between the chips.
PART = Mode(subarray=Subarray(1, 1600, 1000, 900, 900))
MOVED = (0.0, -25.0)


@dataclass(frozen=True)
class Truth:
    """Stars of chip 1: positions (pixels), electrons of the exposure."""

    record: ExposureRecord
    x: np.ndarray
    y: np.ndarray
    electrons: np.ndarray
    galaxies: np.ndarray  # x, y

    def nearest(self, found: SourceList) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the nearest star of each source, and which."""
        away = np.hypot(found.x[:, None] - self.x, found.y[:, None] - self.y)
        return away.min(axis=1), away.argmin(axis=1)

    def false(self, found: SourceList) -> int:
        """Sources that are neither star nor galaxy."""
        gx, gy = self.galaxies
        away = np.hypot(found.x[:, None] - gx, found.y[:, None] - gy)
        near = away.min(axis=1) if gx.size else np.full(len(found), np.inf)
        return int(np.sum((self.nearest(found)[0] > 1.0) & (near > 3.0)))


def make_scene(seed: int, stars: int, size: float = 0.005, galaxies: int = 10) -> Scene:
    rng = np.random.default_rng(seed)
    ra, dec = RA + rng.uniform(-size, size, stars), DEC + rng.uniform(-size, size, stars)
    scene = Scene.stars(ra, dec, rng.uniform(19.0, 25.5, stars))
    extended = Scene.galaxies(
        RA + rng.uniform(-size, size, galaxies), DEC + rng.uniform(-size, size, galaxies),
        rng.uniform(20.0, 24.0, galaxies), rng.uniform(0.2, 0.8, galaxies),
        rng.uniform(0.3, 1.0, galaxies), rng.uniform(0.0, 180.0, galaxies),
    )  # fmt: skip
    return Scene(**{k: np.concatenate([v, getattr(extended, k)]) for k, v in vars(scene).items()})


@pytest.fixture(scope="session")
def observe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Truth]:
    folder = tmp_path_factory.mktemp("detection")
    made = []

    def make(scene: Scene, setup: tuple[str, str, str], *, seed: int = 1, **options: Any) -> Truth:
        pointing = Pointing(RA, DEC, 20.0, dither=MOVED if setup == UVIS else (0.0, 0.0))
        exposure = simulate_exposure(
            scene, *setup, pointing, 500.0, seed=seed,
            rootname=f"iaaa{len(made):02d}aaq", mode=PART if setup[1] != "IR" else None,
            options=Options(flag_cosmic_rays=0.0, **options),
        )  # fmt: skip
        made.append(exposure.rootname)
        (record,) = open_exposures(exposure.write(folder), strict=True)
        drawn = exposure.chips[1].sources
        ny, nx = record.chips[0].shape
        star = exposure.scene.is_star[drawn.source]
        x, y, light = drawn.x[star], drawn.y[star], (drawn.rate / drawn.area)[star] * 500.0
        on = (x > -1) & (y > -1) & (x < nx) & (y < ny)
        galaxies = np.stack([drawn.x[~star], drawn.y[~star]])
        return Truth(record, x[on], y[on], light[on], galaxies)

    return make


@pytest.fixture(scope="session")
def uvis(observe: Callable[..., Truth]) -> Truth:
    return observe(make_scene(1, 500), UVIS)


@pytest.fixture(scope="session")
def ir(observe: Callable[..., Truth]) -> Truth:
    return observe(make_scene(2, 350, 0.018), IR)
