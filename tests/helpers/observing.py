"""Every detector and mode that the simulator has, observed twice with a dither, and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import hapdask as hd
from hapdask.observe.exposure import Exposures
from hapdask.recipes.prepare import Prepared
from hapdask.simulate import (
    Mode,
    Options,
    Pointing,
    Scene,
    SimulatedExposure,
    Subarray,
    simulate_exposure,
)
from hapdask.simulate.detectors import get_detector
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.modes import lay_out
from hapdask.simulate.pointing import attitude
from hapdask.simulate.templates import load_template

WHOLE = Mode()
SECONDS = 400.0
_POINTINGS = (
    Pointing(201.3, -47.2, 77.0, "2003-05-01T00:00:00"),
    Pointing(201.3, -47.2, 77.4, "2004-05-02T00:00:00", dither=(0.413, 0.337)),
)


@dataclass(frozen=True)
class Case:
    """A detector in a mode, and how its mosaic is looked at.

    ``radius`` is of the aperture, detector pixels of the coarsest chip: what holds the PSF as it
    is simulated.  ``scale`` is of the mosaic, arcsec.
    """

    instrument: str
    detector: str
    band: str
    scale: float
    radius: float
    mode: Mode = WHOLE
    unit: str = "electron / s"
    suffix: str = "drz"

    @property
    def layer(self) -> str:
        return f"{self.instrument}_{self.detector}_{self.band}".lower()


_UVIS = {"instrument": "WFC3", "detector": "UVIS", "suffix": "drc"}
_PC = {"instrument": "WFPC2", "detector": "PC", "unit": "count / s", "suffix": "drw"}
CASES = {
    "uvis-sub": Case(
        band="F606W", scale=0.04, radius=48, mode=Mode(subarray=Subarray(2, 2100, 500, 700, 600)),
        **_UVIS,
    ),
    "uvis-2x2": Case(
        band="F606W", scale=0.08, radius=28,
        mode=Mode(2, Subarray(2, 2100, 500, 700, 600)), **_UVIS,
    ),
    "uvis-3x3": Case(band="F606W", scale=0.12, radius=20, mode=Mode(binning=3), **_UVIS),
    "uvis-quad": Case(
        band="FQ508N", scale=0.04, radius=48, mode=Mode(subarray=Subarray(2, 1500, 800, 800, 600)),
        **_UVIS,
    ),
    "ir": Case("WFC3", "IR", "F160W", 0.12, 40),
    "wfc-sub": Case(
        "ACS", "WFC", "F814W", 0.05, 58, Mode(subarray=Subarray(2, 100, 300, 700, 800)),
        suffix="drc",
    ),
    "hrc": Case("ACS", "HRC", "F606W", 0.025, 70),
    "sbc": Case("ACS", "SBC", "F150LP", 0.03, 60),
    "wfpc2-7": Case(band="F555W", scale=0.1, radius=48, mode=Mode(gain=7), **_PC),
    "wfpc2-15": Case(band="F814W", scale=0.1, radius=48, mode=Mode(gain=15), **_PC),
    "wfpc2-area": Case(band="F555W", scale=0.2, radius=28, mode=Mode(2, gain=7), **_PC),
    "stis-1": Case("STIS", "CCD", "50CCD", 0.05, 60, unit="count / s"),
    "stis-4": Case("STIS", "CCD", "F28X50LP", 0.05, 60, Mode(gain=4), "count / s"),
    "nicmos": Case("NICMOS", "NIC2", "F160W", 0.075, 55, unit="count / s"),
}  # fmt: skip


@dataclass(frozen=True)
class Observed:
    """Two simulated exposures: files, truth, and the frame that holds them."""

    case: Case
    made: tuple[SimulatedExposure, ...]
    paths: tuple[Path, ...]
    exposures: Exposures
    frame: hd.Frame

    def prepared(self, **overrides: object) -> Prepared:
        """Measure the exposures under parameters."""
        from hapdask.recipes.prepare import layer_parameters

        parameters = layer_parameters(self.exposures, overrides=overrides)
        return hd.measure(self.exposures, parameters)

    @property
    def fluxes(self) -> npt.NDArray[np.float64]:
        """Of the stars, in the unit of PHOTFLAM times counts / s."""
        band = self.made[0].passband
        return np.asarray(self.made[0].scene.rates(band) * band.photflam)

    def apertures(self) -> list[tuple[float, npt.NDArray[np.bool_]]]:
        """True flux and mask (of the frame's shape) of every star."""
        scene, (ny, nx) = self.made[0].scene, self.frame.shape
        coarsest = max(c.idcscale for e in self.exposures for c in e.chips)
        y, x = np.ogrid[:ny, :nx]
        found = []
        for ra, dec, flux in zip(scene.ra, scene.dec, self.fluxes, strict=True):
            px, py = self.frame.sky_to_pixel(ra, dec)
            reach = self.case.radius * coarsest / self.case.scale
            found.append((float(flux), np.hypot(x - px, y - py) <= reach))
        return found


def observe(
    case: Case, folder: Path, *, stars: bool = True, options: Options | None = None
) -> Observed:
    """Simulate two dithered exposures, noise-free by default, and open them."""
    scene = isolated_stars(case) if stars else Scene.stars([], [], [])
    made = tuple(
        simulate_exposure(
            scene, case.instrument, case.detector, case.band, pointing, SECONDS, seed=k,
            mode=case.mode, options=options or Options.noise_free(sky=None),
        )
        for k, pointing in enumerate(_POINTINGS)
    )  # fmt: skip
    paths = tuple(m.write(folder) for m in made)
    exposures = hd.open_exposures(paths, strict=True)
    return Observed(case, made, paths, exposures, frame_of(exposures, case.scale))


def frame_of(exposures: Exposures, scale: float) -> hd.Frame:
    """Make a frame that holds the exposures."""
    borders = [c.border() for e in exposures for c in e.chips]
    ra, dec = (np.concatenate(side) for side in zip(*borders, strict=True))
    middle = 0.5 * (ra.min() + ra.max()), 0.5 * (dec.min() + dec.max())
    width = np.ptp(ra) * np.cos(np.radians(middle[1])), np.ptp(dec)
    nx, ny = (int(np.ceil(w * 3600.0 / scale)) + 8 for w in width)
    return hd.Frame.from_center(*middle, scale, (ny, nx))


def isolated_stars(case: Case) -> Scene:
    """Stars on every chip, one aperture from the edges and the shadow, some dithers apart."""
    detector = get_detector(case.instrument, case.detector)
    template, windows = lay_out(detector, load_template(detector.template), case.mode, None)
    frames = attitude(template, _POINTINGS[0], truth=True).frames
    places = []
    for ver, window in windows.items():
        chip = ChipGeometry(template, ver, frames[ver], window.shape)
        ny, nx = window.shape
        coarser = 2.2 if case.detector == "PC" and ver == 1 else 1.0
        margin = case.radius * coarser + 1.2 / chip.idcscale
        low = margin + (70 // window.binning if detector.shadow else 0)
        right, top = nx - margin, ny - margin
        if case.band == "FQ508N":  # its quadrant ends at column 2048
            right = (2048 - window.x0) - margin
        x = np.array([low + 0.3, right - 0.4] if right - low > 2 * margin else [(low + right) / 2])
        y = np.array([low + 0.2, top - 0.1] if top - low > 2 * margin else [(low + top) / 2])
        pixels = (v.ravel() for v in np.meshgrid(x, y))
        places.append(np.stack(chip.pixel_to_sky(*pixels)))
    ra, dec = np.concatenate(places, axis=1)
    return Scene.stars(ra, dec, 17.0, 0.2)
