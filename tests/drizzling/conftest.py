"""Small exposures, a brute-force mosaic, and one noise-free exposure of each detector."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import sort_exposures
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord

HERE = Path(__file__).parent
SHAPES = {"UVIS": (2051, 4096), "IR": (1014, 1014), "WFC": (2048, 4096)}


def load(path: Path) -> ModuleType:
    """Import a helper beside the tests: they are no package."""
    name = f"hapdask_tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def polygons() -> ModuleType:
    return load(HERE.parent / "kernels" / "polygons.py")


@pytest.fixture(scope="session")
def fields() -> ModuleType:
    return load(HERE / "fields.py")


@pytest.fixture(scope="session")
def oracle(polygons: ModuleType) -> Callable[..., Any]:
    """``oracle(exposures, frame, parameters)``: planes and inputs by brute force."""
    module = load(HERE / "oracle.py")

    def mosaic(exposures: Any, frame: Any, parameters: DrizzleParameters) -> Any:
        return module.mosaic(exposures, frame, parameters, polygons)

    return mosaic


@pytest.fixture
def expose(fields: ModuleType, tmp_path: Path) -> Callable[..., ExposureRecord]:
    """``expose(name, ...)`` writes an exposure and opens it: see ``fields.write_exposure``."""

    def make(name: str, **options: Any) -> ExposureRecord:
        (record,) = open_exposures(fields.write_exposure(tmp_path, name, **options))
        return record

    return make


@pytest.fixture(scope="session")
def medium(fields: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[ExposureRecord]:
    """Three two-chip exposures of 40 arcsec with all kinds of flags, at three rolls, with sky."""
    folder = tmp_path_factory.mktemp("medium")
    facts = [(0.0, (0.0, 0.0), 300.0), (37.0, (3.1, -2.2), 500.0), (-81.0, (-4.0, 1.7), 700.0)]
    paths = [
        fields.write_exposure(
            folder, f"ia0a0{k}aaq", shape=(500, 1000), offset=offset, roll=roll, exptime=exptime,
            start=58000.0 + 100.0 * k, photflam=1e-19 * (1 + 0.01 * k),
        )
        for k, (roll, offset, exptime) in enumerate(facts)
    ]  # fmt: skip
    records = [record.with_sky(40.0 + k) for k, record in enumerate(open_exposures(paths))]
    return sort_exposures(records)


@dataclass(frozen=True)
class Starry:
    """One noise-free exposure of isolated stars on a black sky, and where they truly are."""

    record: ExposureRecord
    stars: dict[int, NDArray[np.float64]]  # EXTVER -> rows x, y, electrons / s
    aperture: float  # arcsec


_STARRY = {
    # detector -> instrument, filter, aperture that holds all of a star's light, arcsec
    "UVIS": ("WFC3", "F606W", 2.0),
    "IR": ("WFC3", "F160W", 4.2),
    "WFC": ("ACS", "F814W", 3.2),
}


@pytest.fixture(scope="session")
def starry(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Starry]:
    """``starry("UVIS")``: simulated once per session, whole chips with their real distortion."""
    made: dict[str, Starry] = {}

    def simulate(detector: str) -> Starry:
        from hapdask.simulate import Options, Pointing, Scene, simulate_exposure
        from hapdask.simulate.geometry import ChipGeometry
        from hapdask.simulate.pointing import attitude
        from hapdask.simulate.templates import load_template

        instrument, band, aperture = _STARRY[detector]
        template = load_template(f"{instrument}_{detector}".lower())
        pointing = Pointing(50.0, -20.0, 40.0)
        frames = attitude(template, pointing, truth=True).frames
        shape = SHAPES[detector]
        scene = None
        for extver in template.chips:
            chip = ChipGeometry(template, extver, frames[extver], shape)
            x, y = np.meshgrid([0.1, 0.37, 0.9], [0.12, 0.45, 0.85])
            ra, dec = chip.pixel_to_sky(x.ravel() * shape[1] + 0.3, y.ravel() * shape[0] - 0.2)
            stars = Scene.stars(ra, dec, np.linspace(17.0, 20.0, ra.size))
            scene = stars if scene is None else scene + stars
        exposure = simulate_exposure(
            scene, instrument, detector, band, pointing, 800.0, seed=1, options=Options.noise_free()
        )
        (record,) = open_exposures(exposure.write(tmp_path_factory.mktemp("starry")))
        stars = {}
        for extver, chip in exposure.chips.items():
            found = np.stack([chip.sources.x, chip.sources.y, chip.sources.rate])
            on = (found[0] > 0) & (found[0] < shape[1]) & (found[1] > 0) & (found[1] < shape[0])
            stars[extver] = found[:, on]
        return Starry(record, stars, aperture)

    def get(detector: str) -> Starry:
        if detector not in made:
            made[detector] = simulate(detector)
        return made[detector]

    return get
