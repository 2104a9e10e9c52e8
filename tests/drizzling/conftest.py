"""Small exposures, a brute-force mosaic, and one noise-free exposure of each detector."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import sort_exposures
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord

HERE = Path(__file__).parent


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
