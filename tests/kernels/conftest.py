"""Real distortions of three detectors, through the headers that the simulator writes."""

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
from astropy.io import fits
from dropping import as_chip, window_of

from hapdask.kernels.drizzle import Drop
from hapdask.observe.distortion import Distortion
from hapdask.simulate import Options, Pointing, Scene, simulate_exposure
from hapdask.sky.frame import Frame

#: Name -> instrument, detector, filter.
DETECTORS = {
    "uvis": ("WFC3", "UVIS", "F606W"),
    "ir": ("WFC3", "IR", "F160W"),
    "wfc": ("ACS", "WFC", "F814W"),
}


def cards_of(header: fits.Header) -> dict[str, Any]:
    return {c.keyword: c.value for c in header.cards if c.keyword not in ("", "COMMENT", "HISTORY")}


@dataclass(frozen=True)
class Headers:
    """A file of one exposure in memory, its pixels all but meaningless."""

    hdus: fits.HDUList

    @property
    def extvers(self) -> list[int]:
        return [hdu.ver for hdu in self.hdus if hdu.name == "SCI"]

    def distortion(self, extver: int) -> Distortion:
        tables = {
            (hdu.name, hdu.ver): (cards_of(hdu.header), hdu.data)
            for hdu in self.hdus
            if hdu.name in ("D2IMARR", "WCSDVARR")
        }
        cards = cards_of(self.hdus["SCI", extver].header)
        ny, nx = self.hdus["SCI", extver].data.shape
        return Distortion.from_header(cards | {"NAXIS1": nx, "NAXIS2": ny}, tables)


Simulate = Callable[[str, Pointing], Headers]


@pytest.fixture(scope="session")
def headers_at() -> Simulate:
    made: dict[tuple[str, Pointing], Headers] = {}

    def make(name: str, pointing: Pointing) -> Headers:
        if (name, pointing) not in made:
            scene = Scene.stars(pointing.ra, pointing.dec, 20.0)
            exposure = simulate_exposure(
                scene, *DETECTORS[name], pointing, 100.0, seed=1, options=Options.noise_free()
            )
            made[name, pointing] = Headers(exposure.hdus)
        return made[name, pointing]

    return make


@pytest.fixture(scope="session", params=DETECTORS)
def headers(request: pytest.FixtureRequest, headers_at: Simulate) -> Headers:
    """Each detector, somewhere on the sky at an odd roll."""
    return headers_at(request.param, Pointing(201.3, -47.2, 77.0))


@pytest.fixture(scope="session")
def polygons() -> ModuleType:
    """The slow, exact clipper beside this file."""
    path = Path(__file__).with_name("polygons.py")
    spec = importlib.util.spec_from_file_location("polygons", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["polygons"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def strip(headers_at: Simulate) -> tuple[Any, ...]:
    """Rows of a UVIS chip with all its distortion: 2 million pixels, noise and holes."""
    distortion = headers_at("uvis", Pointing(150.1, 2.2, 31.0)).distortion(1)
    shape = (512, distortion.shape[1])
    rng = np.random.default_rng(1)
    sci = rng.normal(50.0, 45.0, shape).astype(np.float32)
    weight = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    weight[rng.random(shape) < 0.02] = 0.0
    # The C library guesses the outer corners of border pixels.
    weight[[0, -1]] = weight[:, [0, -1]] = 0.0
    frame = Frame.from_center(*distortion.crval, 0.04, (10_000, 10_000))
    chain = distortion.chain_to(frame.crval, frame.crpix, frame.cd)
    origin, size = window_of(chain, shape, Drop("square", 1.0, 1.0))
    return chain, as_chip(sci, weight, gain=1.25), origin, size
