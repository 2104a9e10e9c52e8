"""Exposures that several tests look at; made once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hapdask.simulate import Options, Pointing, PointingError, Scene, simulate_exposure
from hapdask.simulate.detectors import get_detector
from hapdask.simulate.exposure import SimulatedExposure
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.pointing import attitude
from hapdask.simulate.templates import load_template

#: instrument, detector, filter, EXTVER of one chip
CASES = [("WFC3", "UVIS", "F606W", 1), ("WFC3", "IR", "F160W", 1), ("ACS", "WFC", "F814W", 2)]
IDS = ["uvis", "ir", "wfc"]

Geometry = Callable[..., ChipGeometry]


@pytest.fixture(scope="session")
def geometry() -> Geometry:
    def make(
        instrument: str, detector: str, extver: int, pointing: Pointing, truth: bool = True
    ) -> ChipGeometry:
        figures = get_detector(instrument, detector)
        template = load_template(figures.template)
        frames = attitude(template, pointing, truth=truth).frames
        return ChipGeometry(template, extver, frames[extver], figures.shape)

    return make


@pytest.fixture(scope="session", params=CASES, ids=IDS)
def quiet(request: pytest.FixtureRequest, geometry: Geometry) -> SimulatedExposure:
    """Noise-free stars over one chip, away from each other and the edges, with an error."""
    instrument, detector, band, extver = request.param
    pointing = Pointing(201.3, -47.2, 77.0, error=PointingError(0.4, -0.25, 0.02))
    chip = geometry(instrument, detector, extver, pointing)
    ny, nx = chip.shape
    grid = np.meshgrid(np.linspace(0.1, 0.9, 5) * nx + 0.37, np.linspace(0.1, 0.9, 4) * ny + 0.21)
    ra, dec = chip.pixel_to_sky(grid[0].ravel(), grid[1].ravel())
    scene = Scene.stars(ra, dec, np.linspace(18.0, 22.0, ra.size), 0.3)
    return simulate_exposure(
        scene, instrument, detector, band, pointing, 500.0, seed=1,
        options=Options.noise_free(), chips=[extver],
    )  # fmt: skip


@pytest.fixture(scope="session", params=CASES, ids=IDS)
def blank(request: pytest.FixtureRequest) -> SimulatedExposure:
    """Sky with all the detector's effects and a few stars, one of them saturated."""
    instrument, detector, band, extver = request.param
    scene = Scene.random(10.0, 20.0, 0.03, 20, 5, 3) + Scene.stars(10.0, 20.0, 13.0)
    pointing = Pointing(10.0, 20.0, 45.0, dither=(0.0, -25.0 if extver == 1 else 25.0))
    return simulate_exposure(
        scene, instrument, detector, band, pointing, 1000.0, seed=5, chips=[extver]
    )
