"""Short vectors round as the numbers one after the other do."""

import numpy as np
import pytest

from hapdask.kernels.jit import kernel
from hapdask.kernels.vectors import _add_plainly, _sum_plainly, add_scaled, prefetch, sum_patch


@kernel
def add_pairs(sums, places, factors, values):
    for k in range(places.size):
        add_scaled(sums, np.uint64(places[k]), factors[k], (values[k, 0], values[k, 1]))


@kernel
def add_one_by_one(sums, places, factors, values):
    for k in range(places.size):
        for p in range(2):
            sums[places[k] + p] += factors[k] * values[k, p]


@kernel
def sum_patches(taps, along, across, image, places, width, out):
    for k in range(np.uint64(places.size)):
        prefetch(image, places[k] - np.uint64(width))  # outside the array: without effect
        out[k] = sum_patch(taps, (along, across), k, image, places[k], np.uint64(width))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_have_the_bits_of_single_numbers(dtype):
    rng = np.random.default_rng(5)
    places = rng.integers(0, 98, 5000)
    factors, values = rng.normal(size=5000).astype(dtype), rng.normal(size=(5000, 2)).astype(dtype)
    together, apart = np.zeros(100, dtype), np.zeros(100, dtype)
    add_pairs(together, places, factors, values)
    add_one_by_one(apart, places, factors, values)
    assert together.tobytes() == apart.tobytes()


def test_what_stands_in_without_the_compiler_does_the_same():
    sums = np.arange(6.0)
    _add_plainly(sums, np.uint64(2), 0.5, (2.0, 4.0, 6.0))
    assert sums.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 5.0]


@pytest.mark.parametrize("n_taps", [1, 2, 4, 6, 15])
def test_a_patch_is_summed_with_the_weights_of_its_columns_and_rows(n_taps):
    rng = np.random.default_rng(6)
    image = rng.normal(size=(20, 24)).astype(np.float32)
    y, x = rng.integers(0, 20 - n_taps, 50), rng.integers(0, 24 - n_taps, 50)
    along, across = rng.normal(size=(2, n_taps * 50)).astype(np.float32)
    places, out = (y * 24 + x).astype(np.uint64), np.empty(50, np.float32)
    taps = tuple(range(n_taps))
    sum_patches(taps, along, across, image.reshape(-1), places, 24, out)
    for k in range(50):
        patch = image[y[k] : y[k] + n_taps, x[k] : x[k] + n_taps].astype(float)
        truth = across[k::50].astype(float) @ patch @ along[k::50].astype(float)
        plain = _sum_plainly(taps, (along, across), k, image.reshape(-1), places[k], 24)
        assert out[k] == pytest.approx(truth, abs=2e-5)
        assert plain == pytest.approx(truth, abs=2e-5)


def test_what_lies_beyond_the_patch_does_not_matter():
    """NaN beside it times no weight would be NaN."""
    image = np.full((8, 8), np.nan, np.float32)
    image[:6, :6] = 2.0
    weights, out = np.full(6, 0.5, np.float32), np.empty(1, np.float32)
    places = np.zeros(1, np.uint64)
    sum_patches(tuple(range(6)), weights, weights, image.reshape(-1), places, 8, out)
    assert out[0] == 18.0
