"""Short vectors round as the numbers one after the other do."""

import numpy as np
import pytest

from hapdask.kernels.jit import kernel
from hapdask.kernels.vectors import _add_plainly, add_scaled


@kernel
def add_pairs(sums, places, factors, values):
    for k in range(places.size):
        add_scaled(sums, np.uint64(places[k]), factors[k], (values[k, 0], values[k, 1]))


@kernel
def add_one_by_one(sums, places, factors, values):
    for k in range(places.size):
        for p in range(2):
            sums[places[k] + p] += factors[k] * values[k, p]


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
