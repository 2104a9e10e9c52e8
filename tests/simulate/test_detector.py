"""Noise, cosmic rays, defects and saturation, and the flags that tell of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hapdask.errors import ParameterError
from hapdask.simulate import Options, Pointing, Scene, simulate_exposure
from hapdask.simulate.detectors import get_detector
from hapdask.simulate.effects import amplifier_map, cosmic_rays, flag_cosmic_rays, make_defects
from hapdask.simulate.modes import Window
from hapdask.simulate.readout import Streams, expose

DETECTORS = [("WFC3", "UVIS"), ("WFC3", "IR"), ("ACS", "WFC"), ("ACS", "HRC"), ("STIS", "CCD")]
QUIET = Options.noise_free()
SHAPE = (400, 500)


def read(light, detector, options, seed=1, exptime=500.0, noise=3.0):
    window = Window(1, light.shape)
    return expose(light, exptime, detector, window, noise, options, Streams.of(seed, 1))


@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
@pytest.mark.parametrize("rate", [0.02, 2.0])
def test_err_is_the_scatter(instrument, name, rate):
    detector = get_detector(instrument, name)
    options = dataclasses.replace(QUIET, noise=True)
    out = read(np.full(SHAPE, rate), detector, options)
    expected = rate if detector.rate else rate * 500.0
    truth = read(np.full(SHAPE, rate), detector, QUIET)
    assert np.unique(truth.sci).tolist() == [np.float32(expected)]
    deviation = (out.sci - expected) / truth.err
    assert abs(deviation.mean()) < 4 / np.sqrt(out.sci.size)
    assert deviation.std() == pytest.approx(1.0, abs=0.01)
    assert np.median(out.err) == pytest.approx(truth.err[0, 0], rel=0.05)
    assert out.sci.dtype == out.err.dtype == np.float32
    assert out.dq.dtype == np.int16


def test_err_of_rates_is_a_rate(quiet):
    (extver,) = quiet.chips
    sci, err = (quiet.hdus[name, extver].data.astype(float) for name in ("SCI", "ERR"))
    t = quiet.exptime if quiet.detector.rate else 1.0
    variance = (err * t) ** 2 - np.maximum(sci * t, 0) - quiet.detector.dark * quiet.exptime
    assert variance.min() > 4.0  # the square of the read noise is what is left
    assert variance.max() < 300.0


def test_the_cosmic_ray_mask_is_the_flag(blank):
    ((extver, chip),) = blank.chips.items()
    flagged = (blank.hdus["DQ", extver].data & 4096) != 0
    assert np.array_equal(flagged, chip.cosmic_rays)
    if blank.detector.rate:
        assert 0 < flagged.sum() < 1000  # what the ramp fit leaves
    else:
        assert 0.010 < flagged.mean() < 0.015  # in 1000 s


def test_cosmic_rays_are_streaks_with_charge():
    electrons, touched = cosmic_rays((1000, 1000), 500.0, np.random.default_rng(3))
    assert np.array_equal(touched, electrons >= 1.0)
    assert electrons[~touched].max() < 1.0
    assert 300 < np.median(electrons[touched]) < 1200
    assert 500 * 1500 < electrons.sum() < 500 * 6000
    rows = touched.any(axis=1).sum()
    assert 500 < touched.sum() < 500 * 12
    assert rows > 300


def test_a_fraction_of_the_hits_can_stay_unflagged():
    _, touched = cosmic_rays(SHAPE, 3000.0, np.random.default_rng(3))
    for fraction in (0.0, 0.4, 1.0):
        dq = np.zeros(SHAPE, np.int16)
        flag_cosmic_rays(dq, touched, fraction, np.random.default_rng(4), 4096)
        assert not dq[~touched].any()
        assert (dq[touched] == 4096).mean() == pytest.approx(fraction, abs=0.02)


@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
def test_saturation_is_where_the_well_is_full(instrument, name):
    detector = get_detector(instrument, name)
    light = np.geomspace(0.1, 1e5, 200_000).reshape(SHAPE)
    out = read(light, detector, dataclasses.replace(QUIET, saturation=True))
    dark = detector.dark if detector.rate else 0.0
    well = min(detector.full_well, detector.counts)
    full = (light + dark) * 500.0 >= well
    assert np.array_equal((out.dq & 256) != 0, full)
    assert 0.1 < full.mean() < 0.9
    if detector.rate:  # the ramp is fitted before it saturates: the rate stays right
        slow = light * 3.0 < 0.99 * well
        np.testing.assert_allclose(out.sci[slow], light[slow], rtol=1e-5)
        assert out.time[full].max() < 500.0
        assert (out.time[~full] == 500.0).all()
        bright = full & slow
        assert (out.err[bright] > np.sqrt(light[bright] / 500.0)).all()
    else:
        assert (out.sci[full] == np.float32(well)).all()
        np.testing.assert_allclose(out.sci[~full], (light * 500.0)[~full], rtol=1e-6)


def test_saturation_in_a_whole_exposure(blank):
    ((extver, _),) = blank.chips.items()
    saturated = (blank.hdus["DQ", extver].data & 256) != 0
    assert saturated.sum() > 5  # the star of magnitude 13
    if not blank.detector.rate:
        sci, well = blank.hdus["SCI", extver].data, blank.detector.full_well
        assert sci.max() < well + 30.0
        assert sci[saturated].min() > well - 30.0
        assert sci[~saturated].max() < well + 30.0


@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
def test_defects_stay_on_the_detector(instrument, name):
    detector = get_detector(instrument, name)
    first, again = (make_defects(detector, 1, SHAPE) for _ in range(2))
    for one, two in zip(vars(first).values(), vars(again).values(), strict=True):
        assert np.array_equal(one, two)
    flags = detector.flags
    assert set(np.unique(first.dq & ~(flags.bad | flags.hot | flags.warm))) == {0}
    for bit, fraction in ((flags.hot, detector.hot), (flags.warm, detector.warm)):
        assert ((first.dq & bit) != 0).mean() == pytest.approx(fraction, rel=0.2, abs=1e-4)
    bad = (first.dq & flags.bad) != 0
    assert bad.mean() > 0.5 * detector.bad
    assert (first.response[bad] < 0.8).all()
    assert (first.response[~bad] == 1.0).all()
    assert (first.current[(first.dq & flags.hot) != 0] >= detector.hot_current).all()
    assert (first.current[(first.dq & (flags.hot | flags.warm)) == 0] == 0.0).all()
    if detector.template != "wfc3_ir":
        assert not np.array_equal(first.dq, make_defects(detector, 2, SHAPE).dq)


def test_the_exposure_carries_the_defects(blank):
    (extver,) = blank.chips
    dq = blank.hdus["DQ", extver].data
    fixed = make_defects(blank.detector, extver, dq.shape)
    assert np.array_equal(dq & (4 | 16 | 64), fixed.dq)


def test_effects_have_their_own_random_numbers():
    """Without cosmic rays the rest of the image is the same to the bit."""
    detector, light = get_detector("WFC3", "UVIS"), np.full(SHAPE, 0.05)
    plain = dataclasses.replace(QUIET, noise=True)
    with_rays = dataclasses.replace(plain, cosmic_rays=True)
    one, two = read(light, detector, plain), read(light, detector, with_rays)
    hits = 20.0 * 500.0 * Window(1, SHAPE).share(detector.shape)
    charge, _ = cosmic_rays(SHAPE, hits, Streams.of(1, 1).particles)
    clean = charge == 0
    assert np.array_equal(one.sci[clean], two.sci[clean])
    assert (two.sci[two.hit] - one.sci[two.hit]).min() > 0.5


def test_amplifiers_are_laid_out():
    figures = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0}
    ccd = amplifier_map((4, 6), ("AB",), figures)
    assert ccd[0].tolist() == [1, 1, 1, 2, 2, 2]
    infrared = amplifier_map((4, 6), ("AD", "BC"), figures)
    assert infrared[0].tolist() == [2, 2, 2, 3, 3, 3]  # lower rows
    assert infrared[-1].tolist() == [1, 1, 1, 4, 4, 4]


def test_same_seed_same_bytes(tmp_path):
    scene = Scene.random(80.0, -60.0, 0.03, 60, 20, 7)

    def make(folder, seed):
        pointing = Pointing(80.0, -60.0, 12.0)
        return simulate_exposure(
            scene, "WFC3", "IR", "F160W", pointing, 200.0, seed=seed, rootname="isim01abq"
        ).write(tmp_path / folder)

    first, second, other = make("a", 3), make("b", 3), make("c", 4)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_chips_do_not_depend_on_each_other():
    scene = Scene.stars(5.0, 5.0, 20.0)
    pointing = Pointing(5.0, 5.0)
    arguments = (scene, "ACS", "WFC", "F606W", pointing, 50.0)
    options = Options(defects=False, sky=0.01)
    both = simulate_exposure(*arguments, seed=2, options=options)
    second = simulate_exposure(*arguments, seed=2, options=options, chips=[2])
    for name in ("SCI", "ERR", "DQ"):
        assert np.array_equal(both.hdus[name, 2].data, second.hdus[name, 2].data)
    assert not np.array_equal(both.hdus["SCI", 1].data, both.hdus["SCI", 2].data)


def test_bad_options_are_refused():
    with pytest.raises(ParameterError, match="0 to 1"):
        Options(flag_cosmic_rays=1.5)
    with pytest.raises(ParameterError, match="sky"):
        Options(sky=-1.0)
