"""For all tests: hypothesis measures no times, for the machine may be busy; a small field."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# What lands is judged by fixed examples; everywhere else new ones are looked for.
settings.register_profile("hapdask", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hapdask")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The program sets up the logging of its process, which here is that of all tests."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@dataclass(frozen=True)
class SmallField:
    """Noise-free exposures of a few stars; made once, not to be changed.

    The centre lies in the pixels that two sky cells share: skycell-p1889x11y11 and x12y11.
    """

    ra: float
    dec: float
    ir: tuple[Path, ...]  # two rolls, F160W
    uvis: Path  # one chip, F606W

    @property
    def all(self) -> list[str]:
        return [str(path) for path in (*self.ir, self.uvis)]


@pytest.fixture(scope="session")
def small_field(tmp_path_factory: pytest.TempPathFactory) -> SmallField:
    import numpy as np

    from hapdask.simulate import Options, Pointing, Scene, simulate_exposure

    folder = tmp_path_factory.mktemp("small_field")
    ra, dec = 179.8643, 26.0027
    rng = np.random.default_rng(3)
    offsets = rng.uniform(-0.02, 0.02, (2, 40))
    scene = Scene.stars(ra + offsets[0], dec + offsets[1], rng.uniform(18.0, 22.0, 40))

    def make(detector: str, band: str, roll: float, root: str, chips: list[int] | None) -> Path:
        # moved, where there are two chips, from the gap between them onto the first
        pointing = Pointing(ra, dec, roll, dither=(0.0, -25.0 if chips else 0.0))
        exposure = simulate_exposure(
            scene, "WFC3", detector, band, pointing, 300.0, seed=1,
            options=Options.noise_free(sky=0.5), rootname=root, chips=chips,
        )  # fmt: skip
        return exposure.write(folder)

    return SmallField(
        ra,
        dec,
        (
            make("IR", "F160W", 20.0, "itst0101q", None),
            make("IR", "F160W", 65.0, "itst0201q", None),
        ),
        make("UVIS", "F606W", 20.0, "itst0102q", [1]),
    )


@pytest.fixture(scope="session")
def fields() -> ModuleType:
    """``write_exposure`` and its fills, of the drizzling tests."""
    path = Path(__file__).parent / "drizzling" / "fields.py"
    name = "hapdask_tests_fields"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
