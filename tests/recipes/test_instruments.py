"""Every detector and mode from files to mosaics: fluxes, skies, units, errors, weights, kernels.

Noise-free, so that what differs from the truth is ours.  Measured: star sums times `pixel_area`
and PHOTFLAM within 6e-5 of the truth (the largest at the rim of binned PSFs), constant skies
within 2e-7.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from observing import CASES, Case, Observed, observe

import hapdask as hd
from hapdask.config.parameters import KERNELS
from hapdask.recipes.prepare import Prepared

pytestmark = pytest.mark.filterwarnings("ignore:the exposures' sky levels")


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def starry(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return observe(case, tmp_path_factory.mktemp("stars"))


@pytest.fixture(scope="module")
def empty(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return observe(case, tmp_path_factory.mktemp("sky"), stars=False)


def mosaic(seen: Observed, prepared: Prepared, *variables: str):
    resolved = prepared.parameters[seen.case.layer]
    return hd.mosaic(
        prepared.exposures,
        seen.frame,
        parameters=resolved.parameters,
        variables=variables or ("sci",),
    ).compute()


def offsets(seen: Observed, prepared: Prepared, sci: np.ndarray) -> Iterator[float]:
    """Relative error of every star's flux in an aperture."""
    photflam = prepared.photflams[seen.case.layer]
    light = sci.astype(float) * seen.frame.pixel_area()
    for flux, aperture in seen.apertures():
        yield float(light[aperture].sum()) * photflam / flux - 1.0


def test_star_sums_are_the_truth(starry):
    prepared = starry.prepared()
    ds = mosaic(starry, prepared, "sci", "nexp")
    found = list(offsets(starry, prepared, ds.sci.values))
    assert len(found) == len(starry.made[0].scene)
    assert np.abs(found).max() < 2e-4
    for _, aperture in starry.apertures():
        assert (ds.nexp.values[aperture] == 2).all()
    # Without pixel_area the sums are right too, as the frame is small; not without PHOTFLAM.
    assert prepared.photflams[starry.case.layer] > 0


def test_units_and_attributes(starry):
    ds = hd.mosaic(starry.prepared().exposures, starry.frame)
    assert ds.sci.attrs["units"] == ds.err.attrs["units"] == starry.case.unit
    assert ds.attrs["flux_unit"] == starry.case.unit
    names = (ds.attrs[k] for k in ("instrument", "detector", "filter"))
    assert "_".join(names) == starry.case.layer
    assert [e.exptime for e in starry.exposures] == [400.0, 400.0]


def test_a_constant_sky_is_one_constant(empty):
    """Over chips of unlike pixels, sensitivity and gain: no seam; nothing is left when measured."""
    raw = empty.prepared(sky="none")
    sky = mosaic(empty, raw).sci.values
    made, chip = empty.made[0], raw.exposures[0].chips[0]
    rate = made.chips[chip.extver].sky / made.setting.gain(chip.extver)
    ratio = (empty.frame.pixel_scale / chip.idcscale) ** 2
    seen = sky[np.isfinite(sky)]
    assert seen.size > 0.45 * sky.size
    np.testing.assert_allclose(seen, rate * ratio * chip.flux_factor, rtol=1e-6)
    left = mosaic(empty, empty.prepared()).sci.values
    assert np.nanmax(np.abs(left)) < 1e-4 * seen.mean()  # what rounding of the level leaves


@pytest.mark.parametrize("weight", ["EXP", "ERR", "IVM"])
def test_weights_and_errors(starry, weight):
    """Planes are finite where there is data, WFPC2's by its noise model; fluxes stay right.

    Weight ERR is that of the source too, so that the pixels on a star's core count less than
    those beside it: its sums are far too low, as AstroDrizzle's are (science.md).
    """
    prepared = starry.prepared(weight=weight)
    ds = mosaic(starry, prepared, "sci", "wht", "err", "nexp", "exptime")
    wht, covered = ds.wht.values, ds.nexp.values > 0
    assert np.isfinite(wht).all()
    assert ((wht > 0) == covered).all()
    for name in ("sci", "err"):
        assert (np.isfinite(ds[name].values) == covered).all()
    assert (ds.err.values[covered] > 0).all()
    assert set(np.unique(ds.exptime.values[covered]).round(3)) <= {400.0, 800.0}
    found = np.array(list(offsets(starry, prepared, ds.sci.values)))
    assert (found < -0.1).all() if weight == "ERR" else np.abs(found).max() < 2e-4
    assert "IVM takes ERR" not in "".join(e.verdict.reason for e in prepared.exposures)


def test_err_is_that_of_the_pixels(empty):
    """In the middle of every chip: noise of a pixel, of two exposures, on its true area."""
    prepared = empty.prepared()
    ds = mosaic(empty, prepared, "err", "noise_ratio", "nexp")
    made, record = empty.made[0], prepared.exposures[0]
    for chip in record.chips:
        ny, nx = chip.shape
        geometry = made.chips[chip.extver].geometry
        ra, dec = geometry.pixel_to_sky(nx / 2, ny / 2)
        x, y = (round(float(v)) for v in empty.frame.sky_to_pixel(ra, dec))
        patch = np.s_[y - 20 : y + 20, x - 20 : x + 20]
        assert (ds.nexp.values[patch] == 2).all()
        err = ds.err.values[patch].astype(float)
        wide = np.sqrt(np.mean((err * ds.noise_ratio.values[patch]) ** 2))
        (area,) = geometry.relative_area([nx / 2], [ny / 2])
        scale = empty.frame.pixel_scale / chip.idcscale * np.sqrt(area)
        one = noise(made, chip) * chip.flux_factor
        assert wide == pytest.approx(one * scale / np.sqrt(2), rel=0.01)


def noise(made, chip):
    """Noise of a middle pixel, SCI unit / s: of ERR, or of the model where there is none."""
    if ("ERR", chip.extver) in made.hdus:
        err = made.hdus["ERR", chip.extver].data
        value = float(err[err.shape[0] // 2, err.shape[1] // 2])
        return value if made.detector.rate else value / made.exptime
    window = made.setting.windows[chip.extver]
    gain, read_noise = made.setting.mode.gain_of(made.detector, window.extver)
    electrons = made.chips[chip.extver].sky * made.exptime + chip.dark
    return np.sqrt(electrons + read_noise**2) / gain / made.exptime


@pytest.fixture(scope="module", params=["hrc", "nicmos"])
def fine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return observe(CASES[request.param], tmp_path_factory.mktemp("fine"))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel(fine, kernel):
    """Skies to 1e-3 and, on pixels of the detector's size, fluxes to what kernels that sample do.

    (Where output pixels are larger than the detector's, or the PSF is undersampled, all but
    square are off by more: they weigh the pixels of a star unevenly.)
    """
    seen = fine
    prepared = seen.prepared(kernel=kernel, sky="none")
    sci = mosaic(seen, prepared).sci.values
    made, (chip,) = seen.made[0], prepared.exposures[0].chips
    rate = made.chips[1].sky / made.setting.gain(1) * chip.flux_factor
    level = rate * (seen.frame.pixel_scale / chip.idcscale) ** 2
    away = np.isfinite(sci)
    for _, aperture in seen.apertures():
        away &= ~aperture
    assert np.median(sci[away]) == pytest.approx(level, rel=1e-3)
    found = list(offsets(seen, prepared, np.nan_to_num(sci - level)))
    assert np.abs(found).max() < {"square": 2e-4, "turbo": 1e-2}.get(kernel, 3e-2)
