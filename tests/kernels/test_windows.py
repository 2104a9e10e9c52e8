"""Sums held in registers get the bits of sums in memory, wherever the drops lie."""

import numpy as np
import pytest

from hapdask.kernels import windows
from hapdask.kernels.adding import add_row
from hapdask.kernels.blocks import PLANE
from hapdask.kernels.jit import kernel
from hapdask.kernels.vectors import _add_plainly

SHAPE = (20, 40)


@kernel
def add_drops(n, patch, drops, flags, values, origin, shape, sums):
    add_row(n, patch, drops, flags, values, origin, shape, sums)


def in_memory(n, side, drops, flags, values, origin, sums):
    """One drop after the other, one pixel after the other."""
    (areas, base), (weight, doubt) = drops, flags
    areas, (x, y) = areas.reshape(-1, PLANE), base.reshape(2, PLANE)
    ny, nx, count = sums.shape
    for k in range(n):
        x0, y0 = x[k] - origin[1], y[k] - origin[0]
        inside = 0 <= x0 <= nx - side and 0 <= y0 <= ny - side
        if weight[k] == 0.0 or doubt[k] or not inside:
            continue
        for e in range(side * side):
            area = areas[e, k].astype(sums.dtype)
            added = [v[k] for v in values]
            added[3:] = [area * v for v in added[3:]]
            row, column = y0 + e // side, x0 + e % side
            _add_plainly(sums.reshape(-1), (row * nx + column) * count, area, added)


def a_row(side, count, dtype, path, seed):
    """Drops along a path of bases, some of them bad, some outside; numbers whose sums are exact."""
    rng = np.random.default_rng(seed)
    n = 200
    steps = {
        "straight": (np.ones(n, int), np.zeros(n, int)),
        "skewed": (np.ones(n, int), np.arange(n) % 7 == 0),
        "turned": (rng.integers(0, 3, n), rng.integers(-1, 2, n)),
        "backwards": (-np.ones(n, int), np.zeros(n, int)),
        "standing": (np.zeros(n, int), np.zeros(n, int)),
    }[path]
    base = np.zeros(2 * PLANE, np.int32)
    base[:n] = (9 + np.cumsum(steps[0])) % (SHAPE[1] + 8) - 4 + 1000
    base[PLANE : PLANE + n] = (8 + np.cumsum(steps[1])) % (SHAPE[0] + 8) - 4 - 500
    areas = rng.integers(0, 9, side * side * PLANE) / 8.0
    weight = rng.integers(0, 9, n).astype(np.float32)
    doubt = np.where(rng.random(n) < 0.1, 16, 0).astype(np.uint16)
    values = tuple(rng.integers(-8, 9, (count, n)).astype(dtype))
    return n, (areas, base), (weight, doubt), values, (-500, 1000)


@pytest.mark.parametrize("path", ["straight", "skewed", "turned", "backwards", "standing"])
@pytest.mark.parametrize(
    ("side", "count", "dtype"),
    [(1, 2, np.float64), (2, 2, np.float64), (3, 2, np.float64), (4, 4, np.float64),
     (3, 2, np.float32), (6, 2, np.float32), (6, 2, np.float64), (6, 4, np.float64)],
)  # fmt: skip
def test_rows_of_drops(side, count, dtype, path):
    row = a_row(side, count, dtype, path, 1)
    n, drops, flags, values, origin = row
    found, expected = np.zeros((2, *SHAPE, count), dtype)
    shape = found.shape
    add_drops(n, tuple(range(side)), drops, flags, values, origin, shape, found.reshape(-1))
    in_memory(n, side, drops, flags, values, origin, expected)
    assert found.any()
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(0, 0), (2, 40), (20, 2)])
def test_sums_smaller_than_a_patch_get_nothing(shape):
    n, drops, flags, values, origin = a_row(3, 2, np.float64, "straight", 2)
    around = np.zeros(5000)
    inner = around[2000 : 2000 + 2 * shape[0] * shape[1]]
    add_drops(n, (0, 1, 2), drops, flags, values, origin, (*shape, 2), inner)
    assert not around.any()


@kernel
def go(sums, corner, width, areas, patch, values):
    window = windows.load_window(sums, corner, width, patch, values)
    window = windows.add_to_window(window, areas, np.uint64(1), np.uint64(2), values)
    window = windows.slide_window(window, sums, corner, width)
    window = windows.add_to_window(window, areas, np.uint64(0), np.uint64(2), values)
    windows.store_window(window, sums, corner + np.uint64(len(values)), width)


def go_plainly(sums, corner, width, areas, patch, values):
    window = windows._load_plainly(sums, corner, width, patch, values)
    window = windows._add_plainly(window, areas, 1, 2, values)
    window = windows._slide_plainly(window, sums, corner, width)
    window = windows._add_plainly(window, areas, 0, 2, values)
    windows._store_plainly(window, sums, int(corner) + len(values), width)


@pytest.mark.parametrize("values", [(2.0, 3.0), (2.0, 3.0, 5.0, 7.0)])
def test_what_stands_in_without_the_compiler_does_the_same(values):
    areas, patch = np.arange(8) / 8.0, (0, 1)
    compiled = np.arange(64.0)
    plain = compiled.copy()
    go(compiled, np.uint64(9), np.uint64(20), areas, patch, values)
    go_plainly(plain, np.uint64(9), np.uint64(20), areas, patch, values)
    assert plain.tolist() == compiled.tolist()
    assert plain.tolist() != np.arange(64.0).tolist()
