"""The test for cosmic rays: against NumPy, at borders, and what it takes for noise."""

import numpy as np
import pytest
from scipy import signal

from hapdask.kernels import rejection
from hapdask.kernels.rejection import ERROR, LIGHT, UPSTREAM, Levels

SHAPE = (90, 130)
SCALE, SNR = (1.2, 0.7), (3.5, 3.0)


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    blot = rng.normal(50.0, 4.0, SHAPE).astype(np.float32)
    sci = (blot + rng.normal(0.0, 7.0, SHAPE)).astype(np.float32)
    sci[rng.random(SHAPE) < 0.01] += 400.0
    sci[rng.random(SHAPE) < 0.02] += 40.0
    return sci, blot


def mark(sci, blot, levels, err=None):
    out = np.empty(blot.shape, np.uint8)
    limits = (SCALE[0], SNR[0], SCALE[1], SNR[1])
    rejection.find(sci, sci if err is None else err, blot, levels, limits, out)
    return out.astype(bool)


def judge(difference, slope, noise):
    """Mark by both passes, as facts of AstroDrizzle tell it."""
    fine = difference <= SCALE[0] * slope + SNR[0] * noise
    around = signal.convolve2d(fine, np.ones((3, 3)), mode="same", boundary="symm")
    return ~((difference <= SCALE[1] * slope + SNR[1] * noise) | (around >= 9))


def upstream_slope(a):
    """Largest difference from four shifted copies, each zero outside its own range."""
    shifted = np.zeros((4, *a.shape), a.dtype)
    shifted[0, :-1, 1:-1] = a[:-1, :-2]
    shifted[1, :-1, :-2] = a[:-1, 1:-1]
    shifted[2, 1:-1, :-1] = a[:-2, :-1]
    shifted[3, :-2, :-1] = a[1:-1, :-1]
    return np.abs(a - shifted).max(axis=0)


def own_slope(a):
    padded = np.pad(a, 1, mode="edge")
    near = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    return np.max([np.abs(a - other) for other in near], axis=0)


@pytest.mark.parametrize("shape", [SHAPE, (1, 40), (2, 40), (3, 3), (40, 2), (40, 1)])
def test_the_rule_of_upstream(pair, shape):
    """Sky twice, zeros beyond three borders, gain taken for that of counts."""
    sci, blot = (np.ascontiguousarray(a[: shape[0], : shape[1]]) for a in pair)
    sci[0, 0] += 60.0
    bad = mark(sci, blot, Levels(UPSTREAM, 1.0, 1.0, 0.0, 9.0, 5.0, 2.0))
    noise = np.sqrt(2.0 * np.abs(blot + 5.0) + 9.0) / 2.0
    assert np.array_equal(bad, judge(np.abs(sci - blot), upstream_slope(blot), noise))


@pytest.mark.parametrize("kind", [ERROR, LIGHT])
def test_our_own_rule(pair, kind):
    """Units, levels, the noise of a pixel without its cosmic ray; only what stands above."""
    sci, blot = pair
    err = np.sqrt(np.maximum(sci, 0.0) + 30.0).astype(np.float32)
    levels = Levels(kind, 2.0, 3.0, 7.0, 25.0, 120.0, 1.2)
    bad = mark(sci, blot, levels, err)
    light = 3.0 * blot + 7.0
    rest = np.maximum(4.0 * err**2 - 2.0 * np.maximum(sci, 0.0), 25.0) if kind == ERROR else 25.0
    noise = np.sqrt(1.2 * (np.maximum(light, 120.0) + rest))
    expected = judge(2.0 * sci - light, own_slope(light), noise)
    assert 20 < expected.sum() < 1000
    assert np.array_equal(bad, expected)


def test_what_lies_low_is_no_cosmic_ray(pair):
    sci, blot = (a.copy() for a in pair)
    sci[30, 30] = -500.0
    assert not mark(sci, blot, Levels(LIGHT, 1.0, 1.0, 0.0, 9.0))[30, 30]
    assert mark(sci, blot, Levels(UPSTREAM, 1.0, 1.0, 0.0, 9.0))[30, 30]


def test_a_low_median_makes_no_pixel_quieter():
    """Where the median fell to nothing by its noise, the sky's noise remains."""
    sci = np.full((9, 9), 30.0, np.float32)
    blot = np.full((9, 9), 10.0, np.float32)
    assert mark(sci, blot, Levels(LIGHT, 1.0, 1.0, 0.0, 1.0)).all()
    assert not mark(sci, blot, Levels(LIGHT, 1.0, 1.0, 0.0, 1.0, 36.0)).any()


def test_a_border_hides_nothing(pair):
    _, blot = pair
    sci = blot.copy()
    places = [(0, 7), (40, 0), (SHAPE[0] - 1, SHAPE[1] - 1), (SHAPE[0] - 2, 50)]
    for place in places:
        sci[place] = 110.0
    own = mark(sci, blot, Levels(LIGHT, 1.0, 1.0, 0.0, 9.0))
    upstream = mark(sci, blot, Levels(UPSTREAM, 1.0, 1.0, 0.0, 9.0))
    assert all(own[place] for place in places)
    assert not any(upstream[place] for place in places)


def test_where_nothing_is_known_nothing_is_marked(pair):
    """And what is not known makes no slope beside it."""
    sci, blot = (a.copy() for a in pair)
    levels = Levels(LIGHT, 1.0, 1.0, 0.0, 9.0)
    whole = mark(sci, blot, levels)
    blot[20:40, 30:50] = np.nan
    bad = mark(sci, blot, levels)
    assert not bad[20:40, 30:50].any()
    far = np.ones(SHAPE, bool)
    far[18:42, 28:52] = False
    assert np.array_equal(bad[far], whole[far])
    sci[19, 40] += 500.0
    assert mark(sci, blot, levels)[19, 40]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7])
def test_growing(side):
    """A square as SciPy's ``same`` places it: an even one reaches farther to higher pixels."""
    rng = np.random.default_rng(5)
    bad = (rng.random(SHAPE) < 0.02).astype(np.uint8)
    bad[0, 0] = bad[-1, -1] = 1
    out = np.empty_like(bad)
    reach = (-(side // 2), (side - 1) // 2)
    rejection.grow(bad, reach, reach, out)
    box = np.ones((side, side))
    kept = signal.convolve2d(1 - bad, box, boundary="symm", mode="same") >= side**2
    assert np.array_equal(out.astype(bool), ~kept)
