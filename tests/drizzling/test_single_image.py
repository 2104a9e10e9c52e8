"""Cosmic rays of exposures that overlap with no other: found by shape, stars spared."""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.by_shape import find_in_chip
from hapdask.drizzling.single_image import (
    lone_exposures,
    mask_single_images,
)
from hapdask.drizzling.sky import set_sky
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
from hapdask.simulate import Mode, Pointing, Scene, Subarray, simulate_exposure
from hapdask.simulate.readout import Options

RA, DEC = 150.1, 2.2
SIDE = 400
UVIS, WFC, WFPC2 = ("WFC3", "UVIS", "F606W"), ("ACS", "WFC", "F814W"), ("WFPC2", "PC", "F555W")
PART = Mode(subarray=Subarray(1, 1800, 900, SIDE, SIDE))
NOTHING = DrizzleParameters(good_bits=None, doubtful_bits=0)


def observe(folder, setup, *, hit, pointing=None):
    """One exposure with its sky level, with or without cosmic rays; else the same numbers."""
    rng = np.random.default_rng(8)
    scene = Scene.stars(
        RA + rng.uniform(-0.01, 0.01, 400), DEC + rng.uniform(-0.01, 0.01, 400),
        rng.uniform(19.0, 22.0, 400),
    )  # fmt: skip
    large = setup == WFPC2
    exposure = simulate_exposure(
        scene, *setup, pointing or Pointing(RA, DEC, 10.0), 400.0, seed=3,
        mode=None if large else PART, chips=[3] if large else None,
        options=Options(cosmic_rays=hit, flag_cosmic_rays=0.0),
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    (record,) = open_exposures(exposure.write(folder), strict=True)
    return set_sky(record, NOTHING)


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    return observe(tmp_path_factory.mktemp("one"), UVIS, hit=True)


@pytest.mark.parametrize(("setup", "asked"), [(UVIS, 0.85), (WFC, 0.85), (WFPC2, 0.33)])
def test_hits_are_found_and_stars_keep_their_light(tmp_path, setup, asked):
    """WFPC2's large pixels hold a star as they hold a hit: only tracks can be told apart."""
    hit = observe(tmp_path / "hit", setup, hit=True)
    clean = observe(tmp_path / "clean", setup, hit=False)
    found = raised = 0
    lost = light = 0.0
    for chip, before in zip(hit.chips, clean.chips, strict=True):
        rows = read_chip_rows(hit, chip, 0, chip.shape[0])
        sky = read_chip_rows(clean, before, 0, before.shape[0])
        noise = np.sqrt(max(before.sky, 0.0) * before.gain + before.read_noise**2) / before.gain
        high = (rows.sci - sky.sci > 10.0 * noise) & (sky.dq == 0)
        found += int((find_in_chip(hit, chip) & high).sum())
        raised += int(high.sum())
        false = find_in_chip(clean, before) & (sky.dq == 0)
        stars = sky.sci - before.sky > 30.0 * noise
        light += float((sky.sci - before.sky)[stars].sum())
        lost += float((sky.sci - before.sky)[stars & false].sum())
    assert raised > 500
    assert found / raised > asked
    assert lost / light < 5e-3


@pytest.mark.parametrize("focus", [0.0, 3.0])
def test_ends_of_short_bleeds_are_no_hits(tmp_path, focus):
    """A star that saturates in a few pixels of one column: no area, and sharp all the same."""
    rng = np.random.default_rng(5)
    scene = Scene.stars(
        RA - 0.0109 + rng.uniform(-0.003, 0.003, 150),
        DEC - 0.0086 + rng.uniform(-0.003, 0.003, 150),
        rng.uniform(17.8, 18.8, 150),
    )  # fmt: skip
    exposure = simulate_exposure(
        scene, *UVIS, Pointing(RA, DEC, 10.0), 600.0, seed=4, mode=PART,
        options=Options(cosmic_rays=False, flag_cosmic_rays=0.0, focus=focus, bleeding=True),
    )  # fmt: skip
    (record,) = open_exposures(exposure.write(tmp_path), strict=True)
    record = set_sky(record, NOTHING)
    (chip,) = record.chips
    saturated = read_chip_rows(record, chip, 0, SIDE).dq & 256 != 0
    assert saturated.sum() > 100
    assert not find_in_chip(record, chip).any()


@pytest.mark.parametrize("extver", [2, 3, 4])
def test_faint_stars_of_wfpc2_keep_their_cores(tmp_path, extver):
    """As sharp as hits, and too faint for their wings to show: what is not told apart stays."""
    rng = np.random.default_rng(extver)
    pointing = Pointing(RA, DEC, 10.0)
    scene = Scene.stars(
        RA + rng.uniform(-0.02, 0.02, 1500), DEC + rng.uniform(-0.02, 0.02, 1500),
        rng.uniform(22.0, 26.0, 1500),
    )  # fmt: skip
    exposure = simulate_exposure(
        scene, *WFPC2, pointing, 400.0, seed=3, chips=[extver],
        options=Options(cosmic_rays=False, flag_cosmic_rays=0.0),
    )  # fmt: skip
    (record,) = open_exposures(exposure.write(tmp_path), strict=True)
    record = set_sky(record, NOTHING)
    (chip,) = record.chips
    rows = read_chip_rows(record, chip, 0, chip.shape[0])
    light = rows.sci - chip.sky
    noise = np.hypot(chip.read_noise, np.sqrt(chip.sky * chip.gain)) / chip.gain
    seen = (light > 6.0 * noise) & (rows.dq == 0)
    assert seen.sum() > 200
    found = find_in_chip(record, chip)
    assert light[seen & found].sum() < 5e-3 * light[seen].sum()


def test_masks_become_part_of_the_records(exposure, tmp_path):
    gone = replace(exposure, name="gone", url=str(tmp_path / "gone_flc.fits"))
    done = mask_single_images([exposure, gone], tmp_path / "masks")
    (masked,) = done.exposures
    (failure,) = done.failures
    assert failure.path == gone.url
    (mask,) = masked.chips[0].masks
    assert mask.kind == "cosmic rays"
    rows = read_chip_rows(masked, masked.chips[0], 0, SIDE)
    assert np.array_equal(rows.masked, find_in_chip(exposure, exposure.chips[0]))


def test_flagged_pixels_are_left_alone(exposure):
    (chip,) = exposure.chips
    flags = read_chip_rows(exposure, chip, 0, SIDE).dq
    strict = find_in_chip(exposure, chip, good_bits=0)
    assert not strict[flags != 0].any()
    assert find_in_chip(exposure, chip, good_bits=None).sum() > strict.sum()


def test_who_is_alone(tmp_path):
    """Far from all others, or touching them with a sliver only."""
    places = {"a": (0.0, 0.0), "b": (5.0, 3.0), "far": (120.0, 0.0), "edge": (-15.6, 0.0)}
    records = [
        observe(tmp_path / key, UVIS, hit=False, pointing=Pointing(RA, DEC, 0.0, dither=place))
        for key, place in places.items()
    ]
    assert lone_exposures(records) == (False, False, True, True)
    assert lone_exposures(records[:1]) == (True,)
    assert lone_exposures([]) == ()
