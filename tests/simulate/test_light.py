"""Flux: what a flat-fielded image records of stars, galaxies and sky."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.errors import ParameterError
from hapdask.simulate import Options, Pointing, Scene, simulate_exposure
from hapdask.simulate.detectors import get_detector, get_passband
from hapdask.simulate.galaxies import add_galaxy, mixture, shape_covariance
from hapdask.simulate.psf import Psf, add_stars, detector_psf

PSF = Psf((0.8, 0.15, 0.05), (0.6, 1.8, 5.0))


def counts(exposure, extver):
    """Electrons of a chip, whatever its unit."""
    sci = exposure.hdus["SCI", extver].data.astype(float)
    return sci * exposure.exptime if exposure.detector.rate else sci


def test_star_counts_times_pam_are_the_flux(quiet):
    ((extver, chip),) = quiet.chips.items()
    image, s = counts(quiet, extver), chip.sources
    half = 60 if quiet.detector.detector != "IR" else 40
    assert s.x.size == 20
    for x, y, rate, area in zip(s.x, s.y, s.rate, s.area, strict=True):
        ix, iy = round(x), round(y)
        stamp = image[max(iy - half, 0) : iy + half + 1, max(ix - half, 0) : ix + half + 1]
        assert stamp.sum() * area == pytest.approx(rate * quiet.exptime, rel=1e-4)
    assert np.ptp(s.area) > 0.01  # the areas do differ over the chip
    assert image.sum() == pytest.approx((s.rate / s.area).sum() * quiet.exptime, rel=1e-6)


def test_truth_positions_are_where_the_light_is(quiet):
    ((extver, chip),) = quiet.chips.items()
    image, s = counts(quiet, extver), chip.sources
    for x, y in zip(s.x, s.y, strict=True):
        ix, iy = round(x), round(y)
        stamp = image[iy - 25 : iy + 26, ix - 25 : ix + 26]
        yy, xx = np.mgrid[iy - 25 : iy + 26, ix - 25 : ix + 26]
        centroid = (stamp * xx).sum() / stamp.sum(), (stamp * yy).sum() / stamp.sum()
        assert centroid == pytest.approx((x, y), abs=2e-2)  # cut wings pull a little


def test_the_header_is_off_by_the_error_and_the_truth_is_not(quiet):
    from astropy.wcs import WCS

    ((extver, chip),) = quiet.chips.items()
    s = chip.sources
    wcs = WCS(quiet.hdus["SCI", extver].header, fobj=quiet.hdus)
    ra, dec = wcs.all_pix2world(s.x, s.y, 0)
    true_ra, true_dec = chip.geometry.pixel_to_sky(s.x, s.y)
    east = (ra - true_ra) * math.cos(math.radians(-47.2)) * 3600
    # 0.4 arcsec plus 0.02 degrees of rotation over the distance to the target
    assert np.abs(east - 0.4).max() < 0.06
    assert np.abs((dec - true_dec) * 3600 + 0.25).max() < 0.06
    assert np.abs(east - 0.4).max() > 0.01


@pytest.mark.parametrize(
    ("instrument", "detector", "band", "extver"),
    [("WFC3", "UVIS", "F606W", 2), ("WFC3", "IR", "F110W", 1), ("ACS", "WFC", "F606W", 1)],
)
def test_a_uniform_sky_is_uniform_per_pixel(instrument, detector, band, extver):
    exposure = simulate_exposure(
        Scene.stars([], [], []), instrument, detector, band, Pointing(0.0, 0.0), 300.0, seed=1,
        options=Options.noise_free(sky=0.125), chips=[extver],
    )  # fmt: skip
    sci = exposure.hdus["SCI", extver].data
    assert np.unique(sci).tolist() == [0.125 if detector == "IR" else 37.5]
    assert not exposure.hdus["DQ", extver].data.any()
    err = exposure.hdus["ERR", extver].data
    assert np.isfinite(err).all()
    assert err.min() > 0


@settings(max_examples=60, deadline=None)
@given(x=st.floats(28, 70), y=st.floats(28, 70), flux=st.floats(1e-3, 1e6))
def test_a_star_keeps_its_flux_at_any_subpixel_place(x, y, flux):
    image = np.zeros((101, 103))
    add_stars(image, [x], [y], [flux], PSF)
    assert image.sum() == pytest.approx(flux, rel=1e-5)  # the widest part is cut at 5.4 sigma
    yy, xx = np.mgrid[:101, :103]
    assert (image * xx).sum() / image.sum() == pytest.approx(x, abs=1e-3)
    assert (image * yy).sum() / image.sum() == pytest.approx(y, abs=1e-3)


def test_a_star_is_integrated_over_the_pixel():
    """Oracle: a fine grid summed over each native pixel."""
    n, x, y = 41, 20.3, 19.85
    image = np.zeros((n, n))
    add_stars(image, [x], [y], [1.0], Psf((1.0,), (0.45,)))
    fine = (np.arange(n * 51) + 0.5) / 51 - 0.5
    gx, gy = (np.exp(-0.5 * ((fine - c) / 0.45) ** 2).reshape(n, 51).sum(1) for c in (x, y))
    expected = np.outer(gy, gx) / (2 * np.pi * 0.45**2 * 51**2)
    assert np.abs(image - expected).max() < 1e-4 * image.max()


def test_stars_off_the_image_add_only_their_wings():
    image = np.zeros((50, 60))
    add_stars(image, [-3.0, 200.0, 30.0], [25.0, 25.0, 52.0], [1.0, 1.0, 1.0], PSF)
    assert 0.0 < image.sum() < 0.3
    whole = np.zeros((250, 260))
    add_stars(whole, [97.0, 300.0, 130.0], [125.0, 125.0, 152.0], [1.0, 1.0, 1.0], PSF)
    assert np.array_equal(image, whole[100:150, 100:160])


@pytest.mark.parametrize(
    ("instrument", "detector", "band", "scale", "low", "high"),
    [
        ("WFC3", "UVIS", "F606W", 0.0396, 0.065, 0.075),
        ("ACS", "WFC", "F606W", 0.05, 0.090, 0.105),
        ("WFC3", "IR", "F110W", 0.1283, 0.120, 0.135),
        ("WFC3", "IR", "F160W", 0.1283, 0.145, 0.165),
    ],
)
def test_the_psf_is_undersampled_and_realistic(instrument, detector, band, scale, low, high):
    figures = get_detector(instrument, detector)
    psf = detector_psf(figures, get_passband(figures, band), scale)
    assert sum(psf.shares) == pytest.approx(1.0)
    assert low < psf.fwhm() * scale < high
    assert psf.fwhm() < 2.3


@pytest.mark.parametrize("profile", ["exponential", "de_vaucouleurs"])
def test_half_the_light_is_within_the_radius(profile):
    shares, variances = mixture(profile)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares * (1 - np.exp(-0.5 / variances))).sum() == pytest.approx(0.5, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    radius=st.floats(0.3, 6.0),
    ratio=st.floats(0.15, 1.0),
    angle=st.floats(-90, 180),
    x=st.floats(148, 152),
    y=st.floats(148, 152),
)
def test_a_galaxy_keeps_flux_and_place(radius, ratio, angle, x, y):
    image = np.zeros((301, 301))
    covariance = shape_covariance(radius, ratio, angle)
    add_galaxy(image, x, y, 100.0, covariance, "exponential", PSF)
    assert image.sum() == pytest.approx(100.0, rel=2e-5)
    assert image.min() >= 0.0
    yy, xx = np.mgrid[:301, :301]
    assert (image * xx).sum() / image.sum() == pytest.approx(x, abs=1e-3)
    assert (image * yy).sum() / image.sum() == pytest.approx(y, abs=1e-3)
    shares, variances = mixture("exponential")
    psf = np.dot(PSF.shares, np.square(PSF.sigmas)) + 1 / 12
    expected = covariance[0, 1] * np.dot(shares, variances)
    moment = (image * (xx - x) * (yy - y)).sum() / image.sum()
    assert moment == pytest.approx(expected, abs=2e-3 * (radius**2 + psf))


def test_a_galaxy_lies_along_its_position_angle_on_the_sky():
    """Moments measured in pixels, carried to the sky by the header: even close to the pole."""
    from astropy.wcs import WCS

    for ra, dec, angle in ((30.0, 10.0, 25.0), (200.0, 89.995, 110.0)):
        scene = Scene.galaxies(ra, dec, 18.0, 1.0, 0.3, angle)
        exposure = simulate_exposure(
            scene, "WFC3", "IR", "F160W", Pointing(ra, dec, 50.0, dither=(10.0, 30.0)), 100.0,
            seed=1, options=Options.noise_free(),
        )  # fmt: skip
        image, s = exposure.hdus["SCI", 1].data.astype(float), exposure.chips[1].sources
        assert abs(s.area[0] - 1.0) > 0.02  # so that the next line means something
        assert image.sum() * s.area[0] == pytest.approx(s.rate[0], rel=1e-4)
        yy, xx = np.indices(image.shape)
        wcs = WCS(exposure.hdus["SCI", 1].header)
        weight = image / image.sum()
        dx, dy = xx - s.x[0], yy - s.y[0]
        moments = np.array([
            [(weight * dx * dx).sum(), (weight * dx * dy).sum()],
            [(weight * dx * dy).sum(), (weight * dy * dy).sum()],
        ])  # fmt: skip
        major = np.linalg.eigh(moments)[1][:, 1]
        near = wcs.all_pix2world(
            *(s.x[0] + np.array([0, major[0]]), s.y[0] + np.array([0, major[1]])), 0
        )
        east = math.remainder(near[0][1] - near[0][0], 360.0) * math.cos(math.radians(near[1][0]))
        found = math.degrees(math.atan2(east, near[1][1] - near[1][0]))
        assert abs(math.remainder(found - angle, 180.0)) < 1.5


def test_colours_make_filters_differ():
    scene = Scene.stars([0.0, 0.0], [0.0, 0.0], [20.0, 20.0], [0.0, 1.0])
    uvis, ir = get_detector("wfc3", "uvis"), get_detector("wfc3", "ir")
    blue, red = get_passband(uvis, "f555w"), get_passband(uvis, "f814w")
    assert scene.rates(red)[0] == pytest.approx(10 ** (-0.4 * (20.0 - red.zero_point)))
    # one magnitude between 5500 and 8000 Angstrom
    assert -2.5 * math.log10(scene.rates(red)[1] / scene.rates(red)[0]) == pytest.approx(
        -1, abs=0.02
    )
    assert scene.rates(blue)[1] == pytest.approx(scene.rates(blue)[0], rel=0.1)
    assert scene.rates(get_passband(ir, "F160W"))[1] > 5 * scene.rates(get_passband(ir, "F160W"))[0]


@pytest.mark.parametrize(
    ("instrument", "detector", "band", "zero_point"),
    [
        ("WFC3", "UVIS", "F814W", 25.13),
        ("WFC3", "IR", "F160W", 25.95),
        ("ACS", "WFC", "F606W", 26.49),
    ],
)
def test_zero_points(instrument, detector, band, zero_point):
    figures = get_detector(instrument, detector)
    assert get_passband(figures, band).zero_point == pytest.approx(zero_point, abs=0.01)


def test_scenes_add_and_random_ones_repeat():
    first, again = (Scene.random(0.0, 90.0, 0.02, 30, 10, seed=4) for _ in range(2))
    assert first.table().pformat() == again.table().pformat()
    assert len(first) == 40
    assert first.is_star.sum() == 30
    assert first.dec.min() > 90.0 - 0.02 - 1e-9
    assert not np.array_equal(first.ra, Scene.random(0.0, 90.0, 0.02, 30, 10, seed=5).ra)
    both = first + Scene.stars(1.0, 2.0, 3.0)
    assert (len(both), both.mag[-1]) == (41, 3.0)


def test_bad_scenes_are_refused():
    with pytest.raises(ParameterError, match="finite"):
        Scene.stars(math.nan, 0.0, 20.0)
    with pytest.raises(ParameterError, match="profiles"):
        Scene.galaxies(0.0, 0.0, 20.0, 1.0, profile="spiral")
    with pytest.raises(ParameterError, match="above 0"):
        Scene.galaxies(0.0, 0.0, 20.0, radius=0.0)
