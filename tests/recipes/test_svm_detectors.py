"""A visit of each kind of detector, files to products: WFPC2's pairs of files, counters, rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from svm_visits import DEC, RA, reference_stars

import hapdask as hd
from hapdask.simulate import Options, Pointing, PointingError, Scene, simulate_exposure


@dataclass(frozen=True)
class Kind:
    """Exposures of a detector; stars within ``half`` degrees."""

    instrument: str
    detector: str
    filter: str
    seconds: float
    half: float
    stars: int
    bright: float
    faint: float
    prefix: str
    copies: tuple[str, ...]


KINDS = {
    "wfpc2": Kind("WFPC2", "PC", "F606W", 300.0, 0.02, 140, 17.0, 22.0, "u", ("c0m", "c1m")),
    "hrc": Kind("ACS", "HRC", "F606W", 400.0, 0.0042, 40, 18.0, 23.0, "j", ("flt",)),
    "sbc": Kind("ACS", "SBC", "F150LP", 800.0, 0.005, 50, 17.0, 20.5, "j", ("flt",)),
    "stis": Kind("STIS", "CCD", "50CCD", 300.0, 0.007, 50, 18.5, 23.0, "o", ("flt",)),
    "nicmos": Kind("NICMOS", "NIC3", "F160W", 300.0, 0.008, 50, 17.0, 21.0, "n", ("flt",)),
}


def observe(kind: Kind, folder: Path) -> tuple[list[Path], list]:
    """Make two dithered exposures whose headers are wrong by 0.6 arcsec, and their catalog."""
    rng = np.random.default_rng(5)
    ra, dec = (at + rng.uniform(-kind.half, kind.half, kind.stars) for at in (RA, DEC))
    scene = Scene.stars(ra, dec, rng.uniform(kind.bright, kind.faint, kind.stars))
    paths, made = [], []
    for k, dither in enumerate(((0.0, 0.0), (1.3, 0.7))):
        error = PointingError(0.5 + 0.01 * k, -0.35, 0.004)
        pointing = Pointing(
            RA, DEC, 35.0, f"2016-01-01T0{k}:00:00", dither=dither, error=error, aligned=False
        )
        exposure = simulate_exposure(
            scene, kind.instrument, kind.detector, kind.filter, pointing, kind.seconds,
            seed=k + 1, options=Options(flag_cosmic_rays=0.0),
            rootname=f"{kind.prefix}b4606{k + 1:02d}q", proposal=11665,
        )  # fmt: skip
        paths.append(exposure.write(folder))
        made.append(exposure)
    reference_stars(scene).write(folder / "refcat.ecsv")
    return paths, made


@pytest.mark.parametrize("name", KINDS)
def test_a_visit_of_every_detector(name, tmp_path):
    kind = KINDS[name]
    inputs, out = tmp_path / "data", tmp_path / "out"
    inputs.mkdir()
    paths, made = observe(kind, inputs)
    result = hd.svm(paths, refcat=inputs / "refcat.ecsv", threads=2).write(out)
    assert not result.left_out
    assert not result.failed
    drizzled = sorted(path.name for path in out.glob("*_drz.fits"))
    head = f"hst_11665_06_{kind.instrument}_{kind.detector}".lower()
    stem, visit = f"{head}_{kind.filter}".lower(), f"{kind.prefix}b4606"
    assert drizzled == sorted(
        [f"{stem}_{visit}{n}_drz.fits" for n in ("", "01", "02")]
        + [f"{head}_total_{visit}_drz.fits"]
    )
    for k, exposure in enumerate(made, start=1):
        copies = [out / f"{stem}_{visit}{k:02d}_{suffix}.fits" for suffix in kind.copies]
        assert all(copy.exists() for copy in copies)
        assert (out / f"{stem}_{visit}{k:02d}_hlet.fits").exists()
        (record,) = hd.open_exposures([str(copies[0])])
        assert record.wcsname.endswith("-FIT_SVM_refcat")
        for chip in record.chips:
            truth = exposure.chips[chip.extver].geometry
            x, y = np.array([300.0, 100.0]), np.array([100.0, 200.0])
            found, true = chip.distortion.pixel_to_sky(x, y), truth.pixel_to_sky(x, y)
            apart = np.hypot((found[0] - true[0]) * np.cos(np.radians(DEC)), found[1] - true[1])
            assert apart.max() * 3.6e6 < 6.0
    with fits.open(out / f"{head}_total_{visit}_drz.fits") as hdus:
        assert np.isfinite(hdus["SCI"].data).mean() > 0.2
        assert (hdus["CTX"].data == 3).any() or len(made[0].chips) > 1
