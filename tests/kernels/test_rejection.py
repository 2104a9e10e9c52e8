"""The test for cosmic rays: against NumPy, and at borders."""

import numpy as np
import pytest
from scipy import ndimage, signal

from hapdask.kernels import rejection

SHAPE = (90, 130)


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    blot = rng.normal(50.0, 4.0, SHAPE).astype(np.float32)
    sci = (blot + rng.normal(0.0, 7.0, SHAPE)).astype(np.float32)
    sci[rng.random(SHAPE) < 0.01] += 400.0
    sci[rng.random(SHAPE) < 0.02] += 40.0
    return sci, blot


def mark(sci, blot, variance, zero_borders, limits=(1.2, 3.5, 0.7, 3.0)):
    steep, first, second, out = (
        np.empty(SHAPE, d) for d in (np.float32, np.uint8, np.uint8, np.uint8)
    )
    rejection.slope(blot, zero_borders, steep)
    rejection.differing(sci, blot, steep, variance, limits, first, second)
    rejection.join(first, second, out)
    return steep, out.astype(bool)


def test_the_rule_of_upstream(pair):
    """Every pixel but upstream's border, whose zeros are ours too on request."""
    sci, blot = pair
    padded = np.pad(blot, 1)
    neighbours = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    expected = np.max([np.abs(blot - other) for other in neighbours], axis=0)
    variance = np.abs(blot + 5.0) + 9.0
    steep, bad = mark(sci, blot, variance.astype(np.float32), zero_borders=True)
    assert np.array_equal(steep, expected)
    difference, noise = np.abs(sci - blot), np.sqrt(variance)
    fine = difference <= 1.2 * expected + 3.5 * noise
    around = signal.convolve2d(fine, np.ones((3, 3)), mode="same", boundary="symm")
    good = (difference <= 0.7 * expected + 3.0 * noise) | (around >= 9)
    assert np.array_equal(bad, ~good)
    assert 50 < bad.sum() < 1000


def test_a_border_hides_nothing(pair):
    sci, blot = (a.copy() for a in pair)
    sci[0, 7] = sci[40, 0] = sci[-1, -1] = 130.0
    variance = np.abs(blot) + 9.0
    _, bad = mark(sci, blot, variance.astype(np.float32), zero_borders=False)
    assert bad[0, 7]
    assert bad[40, 0]
    assert bad[-1, -1]


def test_where_nothing_is_known_nothing_is_marked(pair):
    sci, blot = pair
    blot = blot.copy()
    blot[20:40, 30:50] = np.nan
    variance = (np.abs(blot) + 9.0).astype(np.float32)
    steep, bad = mark(sci, blot, variance, zero_borders=False)
    assert not bad[20:40, 30:50].any()
    assert np.isfinite(steep[15:45, 25:55][np.isfinite(blot[15:45, 25:55])]).all()


@pytest.mark.parametrize(
    ("rows", "columns"), [((-1, 1), (-1, 1)), ((0, 1), (0, 1)), ((-3, 0), (0, 0))]
)
def test_growing(rows, columns):
    rng = np.random.default_rng(5)
    bad = (rng.random(SHAPE) < 0.02).astype(np.uint8)
    out = np.empty_like(bad)
    rejection.grow(bad, rows, columns, out)
    expected = np.zeros_like(bad)
    for j in range(rows[0], rows[1] + 1):
        for i in range(columns[0], columns[1] + 1):
            expected |= ndimage.shift(bad, (-j, -i), order=0, mode="constant")
    assert np.array_equal(out, expected)
