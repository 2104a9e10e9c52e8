"""Effects that are off by default: drift, pedestals, focus, spikes, bleeding, proper motions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from hapdask.errors import ParameterError
from hapdask.simulate import (
    Mode,
    Motion,
    Options,
    Pointing,
    Scene,
    Setup,
    Subarray,
    Visit,
    simulate_exposure,
    simulate_field,
)
from hapdask.simulate.bleeding import bleed
from hapdask.simulate.detectors import get_detector, get_passband
from hapdask.simulate.drawing import _arms
from hapdask.simulate.psf import detector_psf
from hapdask.simulate.scene import EPOCH
from hapdask.simulate.spikes import LENGTH, SHARE

QUIET = Options.noise_free()
AMPS = Mode(subarray=Subarray(1, 1848, 900, 400, 300))  # over the border of C and D
NOTHING = Scene.stars([], [], [])


def hrc(scene, options, *, roll=20.0, date="2003-01-01", seed=1, exptime=200.0):
    pointing = Pointing(120.0, 40.0, roll, f"{date}T00:00:00")
    return simulate_exposure(
        scene, "ACS", "HRC", "F606W", pointing, exptime, seed=seed, options=options
    )


def test_drift_moves_header_and_light_together():
    scene = Scene.stars(120.0, 40.0, 19.0)
    options = replace(QUIET, drift=0.01, sky=None)
    plain = hrc(scene, replace(QUIET, sky=None))
    flux = []
    for date, years in (("2002-01-01", -8.0), ("2010-01-01", 0.0), ("2018-01-01", 8.0)):
        made = hrc(scene, options, date=date)
        assert made.setting.conditions.sensitivity == pytest.approx(0.99**years, rel=1e-4)
        photflam = made.hdus["SCI", 1].header["PHOTFLAM"]
        assert photflam == pytest.approx(made.passband.photflam / 0.99**years, rel=1e-4)
        sci = made.hdus["SCI", 1].data.astype(float)
        truth = made.chips[1]
        assert np.median(sci) == pytest.approx(truth.sky * 200.0, rel=1e-3)
        flux.append((sci - truth.sky * 200.0).sum() * photflam)
        assert truth.sources.rate[0] == pytest.approx(plain.chips[1].sources.rate[0] * 0.99**years)
    assert flux == pytest.approx([flux[0]] * 3, rel=1e-4)
    assert plain.hdus["SCI", 1].header["PHOTFLAM"] == plain.passband.photflam


def test_pedestals_are_those_of_the_truth():
    arguments = ("WFC3", "UVIS", "F606W", Pointing(120.0, 40.0), 100.0)
    options = replace(QUIET, pedestals=4.0)
    seen = []
    for seed in (1, 2):
        made = simulate_exposure(NOTHING, *arguments, seed=seed, mode=AMPS, options=options)
        flat = simulate_exposure(NOTHING, *arguments, seed=seed, mode=AMPS, options=QUIET)
        told, sci = made.chips[1].pedestals, made.hdus["SCI", 1].data
        assert list(told) == ["C", "D"]
        assert np.unique(sci[:, :200]).tolist() == [np.float32(told["C"])]
        assert np.unique(sci[:, 200:]).tolist() == [np.float32(told["D"])]
        # an offset is no signal: the error is that of the light
        assert np.array_equal(made.hdus["ERR", 1].data, flat.hdus["ERR", 1].data)
        seen += told.values()
    assert len(set(seen)) == 4
    assert 1.0 < np.std(seen) < 12.0


def test_pedestals_in_counts_and_rates():
    for names, divide in (
        (("WFPC2", "PC", "F555W"), lambda made, ver: made.setting.gain(ver)),
        (("WFC3", "IR", "F160W"), lambda made, ver: 100.0),
    ):
        made = simulate_exposure(
            NOTHING, *names, Pointing(1.0, 2.0), 100.0, seed=5,
            options=replace(QUIET, pedestals=10.0),
        )  # fmt: skip
        for ver, chip in made.chips.items():
            # outside any shadow, a value per amplifier
            values = np.unique(made.hdus["SCI", ver].data)
            expected = np.sort(list(chip.pedestals.values())) / divide(made, ver)
            assert values == pytest.approx(expected, rel=1e-5)


def test_focus_widens_the_core_and_keeps_the_flux():
    detector = get_detector("WFC3", "UVIS")
    band = get_passband(detector, "F606W")
    peaks = []
    for focus in (0.0, 3.0, -3.0, 8.0):
        psf = detector_psf(detector, band, 0.0396, focus)
        assert sum(psf.shares) == pytest.approx(1.0)
        peaks.append(psf.shares[0] / (psf.sigmas[0] ** 2 + 1 / 12))
    assert peaks[1] == peaks[2]
    assert 0.85 < peaks[1] / peaks[0] < 0.96
    assert peaks[3] < 0.75 * peaks[0]
    assert detector_psf(detector, band, 0.0396) == detector_psf(detector, band, 0.0396, 0.0)


def test_every_exposure_has_its_own_focus():
    scene, options = Scene.stars(120.0, 40.0, 19.0), replace(QUIET, focus=5.0)
    made = [hrc(scene, options, seed=seed) for seed in range(3)]
    focus = [m.setting.conditions.focus for m in made]
    assert len(set(focus)) == 3
    assert hrc(scene, options, seed=1).setting.conditions.focus == focus[1]
    assert hrc(scene, QUIET).setting.conditions.focus == 0.0
    sharpest = min(made, key=lambda m: abs(m.setting.conditions.focus))
    peaks = [m.hdus["SCI", 1].data.max() for m in made]
    assert peaks.index(max(peaks)) == made.index(sharpest)
    sums = [m.hdus["SCI", 1].data.sum(dtype=float) for m in made]
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-4)


@pytest.mark.parametrize("roll", [0.0, 33.0, 200.0])
def test_spikes_are_fixed_to_the_roll(roll):
    """Four arms at 45 degrees from V3 on the sky, whatever the detector's own axes."""
    scene = Scene.stars(120.0, 40.0, 14.0)
    made, plain = (hrc(scene, replace(QUIET, spikes=on), roll=roll) for on in (True, False))
    ((extver, chip),) = made.chips.items()
    assert chip.sources.spiked.all()
    image, without = (m.hdus["SCI", extver].data.astype(float) for m in (made, plain))
    assert image.sum() == pytest.approx(without.sum(), rel=1e-4)
    # what is left when the same star, less the share of the arms, is taken away
    arms = image - without * (1.0 - SHARE)
    y, x = np.nonzero(arms > 0.05)
    far = np.hypot(x - chip.sources.x[0], y - chip.sources.y[0]) > 60
    ra, dec = chip.geometry.pixel_to_sky(x[far], y[far])
    east = (ra - 120.0) * math.cos(math.radians(40.0))
    angle = np.degrees(np.arctan2(east, dec - 40.0))
    off = (angle - roll) % 90.0
    assert far.sum() > 100
    assert np.abs(off - 45.0).max() < 2.0
    assert {round((a - roll - 45.0) / 90.0) % 4 for a in angle} == {0, 1, 2, 3}


def test_faint_stars_have_no_spikes():
    scene = Scene.stars([120.0, 120.001], [40.0, 40.0], [15.0, 27.0])
    made = hrc(scene, replace(QUIET, spikes=True))
    assert made.chips[1].sources.spiked.tolist() == [True, False]
    assert np.hypot(*_arms(10.0)) == pytest.approx([LENGTH] * 4)


@given(
    row=st.integers(0, 39),
    charge=st.floats(10.0, 3000.0),
    floor=st.floats(0.0, 90.0),
)
def test_bleeding_keeps_charge_and_fills_pixels_in_a_row(row, charge, floor):
    image = np.full((400, 3), floor, np.float32)
    image[180 + row, 1] += charge
    before = image.copy()
    bleed(image, 100.0)
    assert image.max() <= 100.0
    assert np.array_equal(image[:, [0, 2]], before[:, [0, 2]])
    assert image.sum(dtype=float) == pytest.approx(before.sum(dtype=float), rel=1e-5)
    full = np.flatnonzero(image[:, 1] == 100.0)
    if full.size:
        assert (np.diff(full) == 1).all()
        assert full[0] <= 180 + row <= full[-1]


def test_charge_at_the_end_of_a_column_is_lost():
    image = np.zeros((10, 1), np.float32)
    image[1] = 600.0
    bleed(image, 100.0)
    assert image[0, 0] == image[1, 0] == 100.0
    assert image.sum() == 100.0 + 100.0 + 250.0


def test_a_saturated_star_bleeds_and_is_flagged():
    scene = Scene.stars(120.0, 40.0, 11.0)
    well = replace(QUIET, saturation=True)
    made, clipped = (hrc(scene, replace(well, bleeding=on)) for on in (True, False))
    flagged, before = (((m.hdus["DQ", 1].data & 256) != 0) for m in (made, clipped))
    rows, old_rows = flagged.any(axis=1).sum(), before.any(axis=1).sum()
    assert rows > 1.5 * old_rows
    assert flagged.any(axis=0).sum() == before.any(axis=0).sum()  # the same columns
    ideal = hrc(scene, QUIET).hdus["SCI", 1].data.sum(dtype=float)
    bled, cut = (m.hdus["SCI", 1].data.sum(dtype=float) for m in (made, clipped))
    assert bled == pytest.approx(ideal, rel=1e-3)
    assert cut < 0.9 * ideal
    assert np.array_equal(
        hrc(scene, replace(QUIET, bleeding=True)).hdus["SCI", 1].data,
        hrc(scene, QUIET).hdus["SCI", 1].data,
    )


@pytest.mark.parametrize("dec", [0.0, 60.0, 89.9999, -90.0])
def test_proper_motions_are_great_circles(dec):
    scene = Scene.stars(359.9999, dec, 20.0, pm_ra=300.0, pm_dec=-400.0)
    there = scene.at(EPOCH + 20.0)

    def vector(s):
        a, d = np.radians(s.ra[0]), np.radians(s.dec[0])
        return np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])

    moved = np.degrees(2 * np.arcsin(0.5 * np.linalg.norm(vector(there) - vector(scene)))) * 3600
    assert moved == pytest.approx(0.5 * 20.0, rel=1e-7)
    assert 0.0 <= there.ra[0] < 360.0
    if abs(dec) < 89.0:
        east = math.remainder(there.ra[0] - scene.ra[0], 360.0) * math.cos(math.radians(dec))
        assert east * 3600 == pytest.approx(6.0, rel=2e-3)
        assert (there.dec[0] - dec) * 3600 == pytest.approx(-8.0, rel=2e-3)
    assert scene.at(EPOCH) is scene
    still = Scene.stars(1.0, 2.0, 3.0)
    assert still.at(1990.0) is still


def test_stars_are_drawn_where_they_are_then():
    scene = Scene.stars([120.0, 120.002], [40.0, 40.002], 19.0, pm_ra=[0.0, 200.0])
    early, late = (hrc(scene, QUIET, date=date) for date in ("2003-01-01", "2013-01-01"))
    x0, x1 = (m.chips[1].sources.x for m in (early, late))
    y0, y1 = (m.chips[1].sources.y for m in (early, late))
    moved = np.hypot(x1 - x0, y1 - y0)
    assert moved[0] == 0.0
    ra0, dec0 = early.chips[1].geometry.pixel_to_sky(x0[1:], y0[1:])
    ra1, dec1 = late.chips[1].geometry.pixel_to_sky(x1[1:], y1[1:])
    years = late.setting.year - early.setting.year
    east = (ra1 - ra0)[0] * math.cos(math.radians(40.0)) * 3600
    assert years == pytest.approx(10.0, abs=0.01)
    assert east == pytest.approx(0.2 * years, rel=1e-4)
    assert abs(dec1 - dec0)[0] * 3600 < 1e-4


def test_motions_change_nothing_else_of_a_random_scene():
    still, moving = (Scene.random(10.0, -5.0, 0.02, 400, 20, 3, rms) for rms in (0.0, 7.0))
    for name, values in vars(still).items():
        if not name.startswith("pm"):
            assert np.array_equal(values, getattr(moving, name))
    assert not still.pm_ra.any()
    stars = moving.is_star
    assert moving.pm_dec[stars].std() == pytest.approx(7.0, rel=0.15)
    assert not moving.pm_dec[~stars].any()


def test_truth_tables_tell_everything(tmp_path):
    options = Options(drift=0.01, pedestals=3.0, focus=3.0, spikes=True, bleeding=True)
    setups = (Setup("WFC3", "UVIS", "F606W", 50.0, mode=AMPS),)
    visits = [Visit("01", 10.0, "2012-01-01", setups), Visit("02", 50.0, "2022-01-01", setups)]
    made = simulate_field(
        tmp_path, 30.0, 5.0, 7, visits=visits, options=options, proper_motion=20.0
    )
    sources, rows = Table.read(made.sources), Table.read(made.pointings)
    assert sources["pm_ra"].unit == sources["pm_dec"].unit == "mas / yr"
    assert rows["epoch"][1] - rows["epoch"][0] == pytest.approx(10.0, abs=0.01)
    assert rows["sensitivity"][1] / rows["sensitivity"][0] == pytest.approx(0.99**10, rel=1e-3)
    assert rows["photflam"][1] / rows["photflam"][0] == pytest.approx(0.99**-10, rel=1e-3)
    assert len(set(rows["focus"])) == 2
    assert {(r["chip"], r["x0"], r["y0"], r["binning"]) for r in rows} == {(1, 1848, 900, 1)}
    assert all(text.startswith("C=") and " D=" in text for text in rows["pedestals"])
    assert np.allclose(sum(rows[f"psf_share{i}"] for i in (1, 2, 3)), 1.0)
    for row, path in zip(rows, made.drawn, strict=True):
        assert path.name == f"{row['rootname']}_truth.ecsv"
        drawn = Table.read(path)
        mine = sources[drawn["id"] - 1]
        nominal = mine["rate_wfc3_uvis_f606w"]
        assert np.allclose(drawn["rate"], nominal * row["sensitivity"], rtol=1e-12)
        years = row["epoch"] - EPOCH
        assert np.allclose((drawn["dec"] - mine["dec"]) * 3.6e6, mine["pm_dec"] * years, atol=1e-3)
    again = simulate_field(
        tmp_path / "again", 30.0, 5.0, 7, visits=visits, options=options, proper_motion=20.0,
        workers=2,
    )  # fmt: skip
    for one, two in zip(sorted(made.exposures), sorted(again.exposures), strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert made.pointings.read_bytes() == again.pointings.read_bytes()


def test_effects_leave_the_other_random_numbers_alone():
    plain = Options(cosmic_rays=False, defects=False, saturation=False)
    one = hrc(NOTHING, plain).hdus["SCI", 1].data
    lifted = hrc(NOTHING, replace(plain, pedestals=2.0))
    two = lifted.hdus["SCI", 1].data
    assert np.allclose(two - one, lifted.chips[1].pedestals["C"], atol=1e-4)
    assert np.array_equal(one, hrc(NOTHING, replace(plain, spikes=True, focus=3.0)).hdus[1].data)


def moments(exposure):
    """Centroid and second moments (pixels) of all light."""
    sci = exposure.hdus["SCI", 1].data.astype(float)
    y, x = np.indices(sci.shape)
    mx, my = (sci * x).sum() / sci.sum(), (sci * y).sum() / sci.sum()
    second = [(sci * a * b).sum() / sci.sum() for a, b in ((x - mx, x - mx), (y - my, y - my))]
    return np.array([mx, my]), np.array(second), sci.sum()


def test_motion_smears_along_its_path_and_keeps_the_light():
    scene = Scene.stars(120.0, 40.0, 19.0)
    place, round_, light = moments(hrc(scene, QUIET))
    length = 0.5
    spread = []
    for angle in (0.0, 90.0):
        made = hrc(scene, replace(QUIET, motion=Motion(trail=length, angle=angle)))
        there, wide, same = moments(made)
        assert same == pytest.approx(light, rel=1e-4)
        assert there == pytest.approx(place, abs=0.02)
        spread.append(wide - round_)
    truth = made.chips[1]
    (jacobian,) = truth.geometry.jacobian(*place)
    per_arcsec = np.sum(np.linalg.inv(jacobian) ** 2)  # both directions: pixels are not square
    assert np.sum(spread) == pytest.approx(length**2 / 12 * per_arcsec, rel=0.02)
    scale = truth.geometry.idcscale
    jitter = moments(hrc(scene, replace(QUIET, motion=Motion(jitter=0.05))))
    assert jitter[1] - round_ == pytest.approx([(0.05 / scale) ** 2] * 2, rel=0.02)


def test_a_jump_leaves_two_images():
    scene, far = Scene.stars(120.0, 40.0, 19.0), Motion(jump=1.0, angle=30.0, share=0.25)
    made = hrc(scene, replace(QUIET, motion=far))
    drawn = made.chips[1].sources
    sci, (x, y) = made.hdus["SCI", 1].data, (drawn.x[0], drawn.y[0])
    second = Scene.stars(
        120.0 + math.sin(math.radians(30.0)) / 3600 / math.cos(math.radians(40.0)),
        40.0 + math.cos(math.radians(30.0)) / 3600, 19.0,
    )  # fmt: skip
    there = hrc(second, QUIET).chips[1].sources
    flux = [sci[round(b) - 7 : round(b) + 8, round(a) - 7 : round(a) + 8].sum()
            for a, b in ((x, y), (there.x[0], there.y[0]))]  # fmt: skip
    assert flux[1] / flux[0] == pytest.approx(1 / 3, rel=0.03)


def test_impossible_effects_are_refused():
    for wrong in ({"trail": -1.0}, {"jitter": math.nan}, {"share": 1.5}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Motion(**wrong)
    for given_ in ({"drift": 1.0}, {"pedestals": -1.0}, {"focus": math.nan}):
        with pytest.raises(ParameterError, match=next(iter(given_))):
            Options(**given_)
