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

    Weight ERR is that of the source too: without noise only its bias is there.
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
    found = list(offsets(starry, prepared, ds.sci.values))
    assert np.abs(found).max() < (5e-3 if weight == "ERR" else 2e-4)
    assert "IVM takes ERR" not in "".join(e.verdict.reason for e in prepared.exposures)


def test_err_is_that_of_the_sky(empty):
    """Background noise of an exposure, summed up again: sky, dark and read noise of the truth."""
    ds = mosaic(empty, empty.prepared(), "err", "noise_ratio", "nexp", "exptime")
    made, case = empty.made[0], empty.case
    twice = ds.nexp.values == 2
    record = empty.exposures[0]
    for chip in record.chips if len(record.chips) == 1 else ():
        gain = made.setting.gain(chip.extver)
        err = made.hdus["ERR", chip.extver].data if ("ERR", chip.extver) in made.hdus else None
        if err is None:
            continue
        one = float(np.median(err)) * (1.0 if "/ s" in record.unit else 1 / record.exptime)
        per_area = (case.scale / chip.idcscale) * one * chip.flux_factor
        # Two exposures; the noise of a wide sum per output pixel.
        wide = np.median((ds.err.values * ds.noise_ratio.values)[twice])
        assert gain > 0
        assert wide == pytest.approx(per_area / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["hrc", "wfpc2-7", "nicmos"])
def test_every_kernel(name, kernel, tmp_path):
    """Fluxes by kernel: exact where flux is kept, else within what Fruchter and Hook expect."""
    seen = observe(CASES[name], tmp_path)
    prepared = seen.prepared(kernel=kernel, sky="none")
    ds = mosaic(seen, prepared, "sci", "wht")
    sky = seen.made[0]
    level = [
        sky.chips[c.extver].sky
        / sky.setting.gain(c.extver)
        * c.flux_factor
        * (seen.frame.pixel_scale / c.idcscale) ** 2
        for c in prepared.exposures[0].chips
    ]
    assert np.ptp(level) < 1e-6 * level[0]
    sci = ds.sci.values
    away = np.isfinite(sci)
    for _, aperture in seen.apertures():
        away &= ~aperture
    np.testing.assert_allclose(np.median(sci[away]), level[0], rtol=1e-3)
    found = list(offsets(seen, prepared, np.nan_to_num(sci - level[0])))
    assert np.abs(found).max() < (1e-3 if kernel in ("square", "turbo") else 0.03), found
