"""The clipped median, against a plain one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hapdask.kernels.statistics import clipped_median


def plain(values, use, sigma=4.0, iterations=5):
    kept = values[use & np.isfinite(values)].astype(np.float64)
    for _ in range(iterations):
        if kept.size == 0:
            break
        deviation = kept.std(ddof=1) if kept.size > 1 else 0.0
        inside = np.abs(kept - kept.mean()) <= sigma * deviation
        if inside.all():
            break
        kept = kept[inside]
    return (np.median(kept), kept.size) if kept.size else (np.nan, 0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [1, 2, 3, 10, 1001, 200_000])
def test_the_median_of_noise_with_stars_and_holes(seed, n):
    rng = np.random.default_rng(seed)
    values = rng.normal(50.0, 7.0, n).astype(np.float32)
    bright = rng.random(n) < 0.03
    values[bright] += rng.pareto(1.0, int(bright.sum())).astype(np.float32) * 100
    values[rng.random(n) < 0.01] = np.nan
    use = rng.random(n) < 0.9
    median, count = clipped_median(values, use)
    expected, left = plain(values, use)
    assert count == left
    assert median == pytest.approx(expected, rel=1e-6, nan_ok=True)


@given(
    arrays(np.float32, st.integers(0, 40), elements=st.integers(-3, 3) | st.just(float("nan"))),
    st.integers(0, 2**40),
)
def test_small_sets_with_ties(values, mask):
    use = np.array([bool(mask >> k & 1) for k in range(values.size)], dtype=bool)
    median, count = clipped_median(values, use)
    expected, left = plain(values, use)
    assert count == left
    assert median == pytest.approx(expected, nan_ok=True)


def test_nothing_left():
    assert np.isnan(clipped_median(np.full((4, 4), np.nan, np.float32), np.ones((4, 4), bool))[0])
    empty = np.zeros((0, 3), np.float32)
    assert clipped_median(empty, empty > 0)[1] == 0
    constant = np.full((30, 30), 2.5, np.float32)
    assert clipped_median(constant, constant > 0) == (2.5, 900)


def test_values_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(4)
    values = (1e6 + rng.normal(0, 3.0, 100_000)).astype(np.float32)
    median, count = clipped_median(values, values > 0)
    expected, left = plain(values, values > 0)
    assert (median, count) == (pytest.approx(expected, abs=1e-3), left)
