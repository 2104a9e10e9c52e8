"""Trails, jitter and double images are found; galaxies, hits and charge transfer are none."""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.astrometry.guiding import check_guiding
from hapdask.astrometry.guiding.doubles import find_double
from hapdask.astrometry.guiding.judging import judge_shapes
from hapdask.astrometry.guiding.shaking import Widths, common_width
from hapdask.astrometry.guiding.shapes import Shapes
from hapdask.astrometry.guiding.streaks import common_blur, common_streak
from hapdask.simulate import Motion

from .conftest import IR, UVIS, make_scene


def size_of(setup):
    return 0.015 if setup == IR else 0.005


@pytest.mark.parametrize("setup", [UVIS, IR], ids=["uvis", "ir"])
def test_a_steady_exposure_is_good(observe, setup):
    assert (
        check_guiding(observe(make_scene(11, 150, size_of(setup)), setup).record).status == "good"
    )


@pytest.mark.parametrize(
    ("setup", "length", "angle"),
    [(UVIS, 0.12, 30.0), (UVIS, 1.5, 100.0), (IR, 0.13, 160.0), (IR, 0.8, 150.0)],
)
def test_trails_are_found_with_length_and_angle(observe, setup, length, angle):
    moved = Motion(trail=length, angle=angle)
    found = check_guiding(observe(make_scene(12, 150, size_of(setup)), setup, motion=moved).record)
    assert found.trailed, found
    assert found.length == pytest.approx(length, rel=0.35)
    assert abs((found.angle - angle + 90) % 180 - 90) < 15


def test_jitter_is_found(observe):
    moved = Motion(jitter=0.12)
    found = check_guiding(observe(make_scene(13, 150), UVIS, motion=moved).record)
    assert found.trailed
    assert "shook" in found.reason


@pytest.mark.parametrize(("jitter", "stars"), [(0.15, 20), (0.3, 40)])
def test_few_stars_smeared_among_cosmic_rays_are_found(observe, jitter, stars):
    found = check_guiding(observe(make_scene(15, stars), UVIS, motion=Motion(jitter=jitter)).record)
    assert found.trailed, found
    assert "shook" in found.reason


@pytest.mark.parametrize("setup", [UVIS, IR], ids=["uvis", "ir"])
def test_galaxies_without_stars_tell_nothing(observe, setup):
    found = check_guiding(
        observe(make_scene(16, 2, size_of(setup), galaxies=40), setup, seed=3).record
    )
    assert found.status == "unknown", found


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_second_images_are_found(observe, share):
    moved = Motion(jump=1.3, angle=50.0, share=share)
    found = check_guiding(observe(make_scene(14, 60), UVIS, motion=moved).record)
    assert found.trailed
    assert "second image" in found.reason
    assert found.length == pytest.approx(1.3, abs=0.05)
    assert found.angle == pytest.approx(50.0, abs=3.0)


def test_what_the_header_says(uvis):
    record = replace(uvis.record, keywords=(*uvis.record.keywords, ("QUALITY", "GSFAIL; 1/1")))
    assert check_guiding(record).trailed
    cards = dict(uvis.record.keywords) | {"FGSLOCK": "FINE/GYRO"}
    found = check_guiding(replace(uvis.record, keywords=tuple(cards.items())))
    assert found.status == "good"
    assert found.reason.endswith("FGSLOCK of the header says FINE/GYRO")


def shapes_of(rng, n, plus=0.0, cross=0.0, along=False, size=1.0):
    row = rng.uniform(0, 1, n)
    grows = row**2 if along else np.ones(n)
    return Shapes(
        plus * grows + rng.normal(0, 2e-4, n), cross * grows + rng.normal(0, 2e-4, n),
        size * rng.normal(1.0, 0.03, n), row, (0.0, 0.0), (1.0, 0.0), 0.033,
    )  # fmt: skip


def galaxies_of(rng, n):
    """Shapes and sizes of all kinds."""
    turn, long = rng.uniform(0, 2 * np.pi, n), 10 ** rng.uniform(-3.5, -1.5, n)
    return Shapes(
        long * np.cos(turn), long * np.sin(turn), 10 ** rng.uniform(0.1, 0.9, n),
        rng.uniform(0, 1, n), (0.0, 0.0), (1.0, 0.0), 0.033,
    )  # fmt: skip


def test_galaxies_share_nothing_but_a_few_plain_streaks_among_them_count():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        galaxies = galaxies_of(rng, int(rng.integers(5, 60)))
        assert not common_streak([galaxies]).sure
        assert not common_blur([galaxies]).sure
    streaks = shapes_of(rng, 8, plus=0.02, cross=0.03)
    found = common_streak([galaxies_of(rng, 8), streaks])
    assert found.sure
    assert found.length == pytest.approx((12 * np.hypot(0.02, 0.03)) ** 0.5, rel=0.1)
    assert common_blur([shapes_of(rng, 12, size=4.0)]).sure
    assert not common_blur([shapes_of(rng, 12, size=1.3)]).sure


def test_pairs_by_chance_are_no_second_images():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 400))
        east, north = rng.uniform(-40, 40, (2, n))
        flux = 10 ** rng.uniform(1, 4, n)
        assert not find_double(east, north, np.sqrt(flux) * 5, flux, 0.04).sure
    both = [np.concatenate([v[:6], v[:6] + d]) for v, d in ((east, 2.0), (north, -1.0))]
    light = np.concatenate([flux[:6] + 500, 0.4 * (flux[:6] + 500)])
    found = find_double(*both, np.sqrt(light), light, 0.04)
    assert found.sure
    assert (found.east, found.north) == pytest.approx((2.0, -1.0), abs=0.01)
    assert found.pairs == 6


def test_charge_left_along_the_columns_is_no_trail():
    rng = np.random.default_rng(1)
    assert judge_shapes([shapes_of(rng, 200, plus=2e-3)]).trailed
    tails = judge_shapes([shapes_of(rng, 200, plus=3e-3, along=True)])
    assert tails.status == "good"
    assert "charge transfer" in tails.reason


def test_few_sources_tell_nothing():
    rng = np.random.default_rng(1)
    assert judge_shapes([shapes_of(rng, 3, plus=2e-3)]).status == "unknown"
    assert judge_shapes([]).status == "unknown"


def test_one_width_of_round_sources_is_shaking():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(5, 80))
        galaxies = Widths(10 ** rng.uniform(-1.1, -0.2, n), rng.random(n) < 0.4, 0.05)
        assert not common_width([galaxies]).sure
    alike = [
        Widths(np.hypot(0.15, steady) * rng.normal(1.0, 0.02, 8), np.ones(8, bool), steady)
        for steady in (0.05, 0.09)
    ]
    found = common_width([*alike, galaxies._replace(**{
        name: getattr(galaxies, name)[:10] for name in ("width", "smeared")
    })])  # fmt: skip
    assert found.sure
    assert found.added == pytest.approx(0.15, rel=0.1)
    assert not common_width([each._replace(smeared=np.zeros(8, bool)) for each in alike]).sure
    assert not common_width([]).sure
