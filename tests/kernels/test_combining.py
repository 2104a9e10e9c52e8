"""Medians of stacks: against NumPy, and the rules for what is left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapdask.kernels.combining import choose_minimum, combine, keep_quiet, make_picks, network


def run(stack, low=0, high=0, *, median=True, empty=0.0):
    stack = np.asarray(stack, np.float32)
    out = np.full(stack.shape[1:], empty, np.float32)
    lowest = np.empty(stack.shape[1:], np.float32)
    picks = make_picks(len(stack), low, high, median=median)
    combine(stack, network(len(stack)), *picks, out, lowest)
    return out, lowest


def with_holes(n, seed, shape=(7, 300), fraction=0.3):
    rng = np.random.default_rng(seed)
    stack = rng.normal(0.0, 5.0, (n, *shape)).astype(np.float32)
    stack[rng.random(stack.shape) < fraction] = np.nan
    return stack


@given(n=st.integers(1, 70))
def test_the_network_sorts(n):
    values = np.random.default_rng(n).permuted(np.tile(np.arange(n), (200, 1)), axis=1).T
    zeros_and_ones = np.random.default_rng(n).integers(0, 2, (n, 200))
    for rows in (values.copy(), zeros_and_ones.copy()):
        for i, j in network(n):
            rows[[i, j]] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
        assert (np.diff(rows, axis=0) >= 0).all()


@pytest.mark.filterwarnings("ignore:All-NaN slice", "ignore:Mean of empty slice")
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13, 40])
def test_median_and_mean_of_the_good_ones(n):
    stack = with_holes(n, n)
    out, lowest = run(stack)
    assert np.allclose(out, np.nan_to_num(np.nanmedian(stack, axis=0)), atol=1e-6)
    assert np.array_equal(lowest, np.nan_to_num(np.nanmin(stack, axis=0)))
    out, _ = run(stack, median=False)
    assert np.allclose(out, np.nan_to_num(np.nanmean(stack, axis=0)), atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 0), (1, 2), (3, 3)])
def test_lowest_and_highest_are_left_out(low, high):
    """A median gives up leaving out before it gives up a pixel; a mean does not."""
    stack = with_holes(6, 1)
    median, _ = run(stack, low, high)
    mean, _ = run(stack, low, high, median=False)
    for y, x in np.ndindex(median.shape):
        good = np.sort(stack[:, y, x][np.isfinite(stack[:, y, x])])
        rest = good[low : len(good) - high]
        assert mean[y, x] == pytest.approx(rest.mean() if len(rest) else 0.0, abs=1e-5)
        a, b = low, high
        while len(good) and a + b >= len(good):
            a, b = max(a - 1, 0), max(b - 1, 0)
        rest = good[a : len(good) - b]
        assert median[y, x] == pytest.approx(np.median(rest) if len(rest) else 0.0, abs=1e-5)


def test_the_minimum_stands_in_where_the_median_is_hit():
    """Two of three images hit: the median is a cosmic ray, the minimum is the sky."""
    median, lowest = np.full((9, 9), 10.0, np.float32), np.full((9, 9), 9.8, np.float32)
    median[4, 4], median[4, 5], median[0, 0] = 30.0, 11.5, 11.5
    weight, background = np.full((9, 9), 100.0, np.float32), np.zeros((9, 9), np.float32)
    out = median.copy()
    choose_minimum(out, lowest, weight, background, (6.0, 3.0), 1)
    assert out[4, 4] == np.float32(9.8)
    assert out[4, 5] == np.float32(9.8)  # beyond the second limit only, beside one beyond the first
    assert out[0, 0] == np.float32(11.5)  # the same, alone
    assert (out == median).sum() == 79
    out = median.copy()
    choose_minimum(out, lowest, weight, background, (6.0, 3.0), 0)
    assert out[4, 5] == np.float32(11.5)


@pytest.mark.parametrize("grow", [0, 1, 2, 5])
def test_the_minimum_by_the_rule_as_it_is_written(grow):
    """Against a plain reading of it, with pixels beyond either limit anywhere."""
    rng = np.random.default_rng(grow)
    shape = (23, 41)
    median = rng.normal(0.1, 0.05, shape).astype(np.float32)
    median[rng.random(shape) < 0.1] += 1.0
    lowest = median - rng.exponential(0.12, shape).astype(np.float32)
    weight = rng.uniform(50.0, 200.0, shape).astype(np.float32)
    weight[:3] = 0.0
    background = rng.uniform(1.0, 60.0, shape).astype(np.float32)
    noise = np.sqrt(np.maximum(median.astype(float) * weight + background, 0.0))
    excess = (median.astype(float) - lowest) * weight
    far = np.pad(excess > 4.0 * noise, grow)
    expected = median.copy()
    for y, x in np.ndindex(shape):
        near = far[y : y + 2 * grow + 1, x : x + 2 * grow + 1].any()
        if excess[y, x] > (3.0 if near and grow else 4.0) * noise[y, x]:
            expected[y, x] = lowest[y, x]
    out = median.copy()
    choose_minimum(out, lowest, weight, background, (4.0, 3.0), grow)
    assert 0 < (expected != median).sum() < median.size / 2
    np.testing.assert_array_equal(out, expected)


def test_what_was_there_stays_where_no_image_is_good():
    stack = with_holes(3, 5, fraction=0.6)
    out, lowest = run(stack, empty=-7.0)
    none = np.isnan(stack).all(axis=0)
    assert 0 < none.sum() < none.size
    assert (out[none] == -7.0).all()
    assert (lowest[none] == -7.0).all()
    assert not (out[~none] == -7.0).any()


@pytest.mark.parametrize("median", [True, False])
def test_bits_depend_on_no_neighbour(median):
    """Pixels of a window are those of the whole: vector code and its remainder round alike."""
    stack = with_holes(7, 11, shape=(5, 700))
    whole, _ = run(stack, 1, 1, median=median)
    for first, last in ((0, 1), (3, 30), (5, 262), (251, 700), (699, 700)):
        part, _ = run(np.ascontiguousarray(stack[:, :, first:last]), 1, 1, median=median)
        np.testing.assert_array_equal(part, whole[:, first:last])


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_noisy_images_stay_out_of_pixels_that_two_quiet_ones_cover(n):
    """By the rule, pixel by pixel; what is left is told apart from what was bad by nothing else."""
    rng = np.random.default_rng(n)
    stack = with_holes(n, n + 50)
    variances = rng.choice([1.0, 3.0, 9.0, 1e4], n)
    times, behind = rng.uniform(10.0, 1000.0, (2, n))
    numbers = (np.arange(n) + 20).astype(np.float32)
    kept, shape = stack.copy(), stack.shape[1:]
    weight, background, reference = (np.empty(shape, np.float32) for _ in range(3))
    order = np.argsort(variances, kind="stable")
    keep_quiet(kept, order, variances, numbers, 4.0, (times, behind), weight, background, reference)
    for y, x in np.ndindex(shape):
        good = [i for i in order if not np.isnan(stack[i, y, x])]
        if not good:
            assert np.isnan(reference[y, x])
            assert weight[y, x] == background[y, x] == 0.0
            continue
        second = good[min(1, len(good) - 1)]
        limit = 4.0 * variances[second] if len(good) > 1 else np.inf
        left = [i for i in good if variances[i] <= limit]
        assert set(np.flatnonzero(~np.isnan(kept[:, y, x]))) == set(left)
        assert reference[y, x] == numbers[second]
        assert weight[y, x] == np.float32(len(left) * times[second])
        assert background[y, x] == np.float32(len(left) * behind[second])
    assert np.array_equal(kept[~np.isnan(kept)], stack[~np.isnan(kept)])
