"""What is sharper than a star, pixel by pixel: hits, stars, holes, and how images are cut."""

import numpy as np
import pytest

from hapdask.drizzling.sharpness import SharpTest, StarShape, find_sharp

TEST, STAR = SharpTest(), StarShape((0.15, 0.05, 0.04), 15.0)
SIDE = 120


def field(seed=1, stars=(), hits=()):
    """Noise of 5 electrons, stars of a FWHM of 2 pixels, straight tracks."""
    rng = np.random.default_rng(seed)
    light = rng.normal(0.0, 5.0, (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    for cx, cy, flux in stars:
        r2 = (x - cx) ** 2 + (y - cy) ** 2
        light += flux * (0.9 * np.exp(-r2 / 1.44) / 4.52 + 0.1 * np.exp(-r2 / 18.0) / 56.5)
    for row, column, length in hits:
        light[row, column : column + length] += 600.0
    noise = np.sqrt(np.maximum(light, 0.0) + 25.0)
    return light.astype(np.float32), noise.astype(np.float32)


def find(light, noise, holes=None, unusable=None, star=STAR):
    none = np.zeros(light.shape, np.bool_)
    holes = none if holes is None else holes
    return find_sharp(light, noise, holes, holes if unusable is None else unusable, TEST, star)


@pytest.mark.parametrize("length", [1, 2, 5, 30])
def test_tracks_are_found_and_nothing_else(length):
    hit = find(*field(hits=[(60, 40, length)]))
    assert hit[60, 40 : 40 + length].all()
    assert hit.sum() == length


@pytest.mark.parametrize("flux", [200.0, 1e3, 1e4, 3e5])
def test_stars_are_spared_wherever_they_fall_on_their_pixels(flux):
    rng = np.random.default_rng(2)
    places = [(x + rng.uniform(-0.5, 0.5), y + rng.uniform(-0.5, 0.5), flux)
              for x in range(10, 115, 15) for y in range(10, 115, 15)]  # fmt: skip
    assert not find(*field(stars=places)).any()


def test_a_track_across_a_star_leaves_its_core():
    star = [(60.2, 60.3, 2e4)]
    hit = find(*field(stars=star, hits=[(66, 50, 12)]))
    assert hit[66, 51:61].all()
    assert not hit[58:63, 58:63].any()


def test_faint_hits_may_be_stars():
    light, noise = field()
    light[60, 60] += 60.0
    assert not find(light, noise).any()
    assert find(light, noise, star=StarShape(STAR.least, 5.0))[60, 60]


def test_slack_makes_more_of_them_stars():
    light, noise = field(hits=[(60, 60, 1)])
    assert find(light, noise)[60, 60]
    assert not find(light, noise, star=StarShape(STAR.least, 15.0, 200.0))[60, 60]


def test_a_dead_pixel_makes_no_star_sharp():
    light, noise = field(stars=[(60.0, 60.0, 5e4)])
    holes = np.zeros(light.shape, np.bool_)
    holes[60, 61], light[60, 61] = True, -3e4
    assert not find(light, noise, holes).any()


def test_areas_that_are_not_judged_keep_their_light():
    """Else the wings of a saturated core would end in an abyss."""
    light, noise = field(stars=[(60.0, 60.0, 3e6)])
    core = np.zeros(light.shape, np.bool_)
    core[56:65, 56:65] = True
    light[core] = np.minimum(light[core], 7e4)
    assert not find(light, noise, np.zeros_like(core), core).any()


def test_only_the_halo_decides():
    """A pixel comes out the same in any part of the image that holds the pixels around it."""
    rng = np.random.default_rng(4)
    hits = [(int(r), int(c), int(n)) for r, c, n in rng.integers((5, 5, 1), (110, 100, 9), (60, 3))]
    light, noise = field(stars=[(30.3, 80.0, 2e4), (70.0, 30.6, 5e3)], hits=hits)
    holes = rng.random(light.shape) < 0.01
    whole = find(light, noise, holes)
    assert whole.sum() > 150
    h = TEST.halo
    for y, x in ((30, 40), (52, 61), (80, 33)):
        part = np.s_[y - h : y + h + 12, x - h : x + h + 12]
        cut = find(light[part], noise[part], holes[part])
        assert np.array_equal(cut[h:-h, h:-h], whole[y : y + 12, x : x + 12])
