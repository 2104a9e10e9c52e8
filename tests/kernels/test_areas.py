"""Overlaps of drops with pixels, against exact polygon clipping.

The kernel tilts edges that lie within 3e-8 pixel of an axis, which moves an overlap by less than
1e-7 px**2 (measured: 6e-8); all others are exact to some 1e-13.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hapdask.kernels import areas
from hapdask.kernels.blocks import PLANE, ROW

TILTED = 1e-7  # px**2
ROUNDING = 1e-9  # px**2; a position of 450 000 pixels has 6e-11 of its own

#: Patch of the kernel and the scale ratios (detector pixel over output pixel) that it holds.
PATCHES = {3: (0.3, 1.38), 10: (1.0, 6.0)}


def fractions(corners, centers, pixfrac, patch):
    """Fractions of a row of drops: shape (n, patch, patch), and their first pixels (y, x).

    ``corners`` are (lower x, lower y, upper x, upper y), each of n + 1 positions.
    """
    n = corners.shape[1] - 1
    buffer = np.full((6, ROW + 1), np.nan)
    buffer[:4, : n + 1] = corners
    if pixfrac < 1.0:
        buffer[4:, :n] = centers
    edges, integrals, out, base = areas.make_buffers(patch)
    columns = tuple(range(patch + 1))
    areas.drop_edges(n, buffer, pixfrac, columns, edges, out, base)
    areas.drop_integrals(n, columns, edges, integrals)
    areas.drop_areas(n, columns, integrals, out)
    planes = out.reshape(-1, PLANE)[: patch * patch, :n].reshape(patch, patch, n)
    base = base.reshape(2, PLANE)[::-1, :n]
    return np.moveaxis(planes, -1, 0), base.T


def compare(polygons, corners, centers, pixfrac, patch, tolerance):
    """Check a row of drops; the tolerance is in px**2 of overlap."""
    found, base = fractions(corners, centers, pixfrac, patch)
    for k in range(corners.shape[1] - 1):
        lower, upper = corners[:2], corners[2:]
        polygon = [tuple(lower[:, k]), tuple(lower[:, k + 1]), tuple(upper[:, k + 1])]
        polygon.append(tuple(upper[:, k]))
        polygon = polygons.shrink(polygon, tuple(centers[:, k]), pixfrac)
        size = abs(polygons.area(polygon))
        exact = np.zeros((patch, patch))
        for (y, x), overlap in polygons.overlaps(polygon).items():
            row, column = y - base[k, 0], x - base[k, 1]
            if overlap > 1e-12 or (0 <= row < patch and 0 <= column < patch):
                exact[row, column] = overlap  # raises where a drop does not fit its patch
        assert np.all(found[k] >= 0.0)
        assert np.abs(found[k] * size - exact).max() < tolerance
        assert abs(found[k].sum() - 1.0) * size < 2.0 * tolerance


def pixel_row(n, matrix, start, wiggle=0.0, seed=0):
    """Corners and centres of n detector pixels in a row, mapped by a matrix and bent a little."""
    grid = np.stack(np.meshgrid(np.arange(n + 1) - 0.5, [-0.5, 0.5]))
    center = np.stack([np.arange(n), np.zeros(n)])
    rng = np.random.default_rng(seed)
    size = np.sqrt(abs(np.linalg.det(matrix)))
    corners = np.einsum("ab,brk->rak", matrix, grid) + np.asarray(start)[None, :, None]
    corners = corners + rng.uniform(-wiggle, wiggle, corners.shape) * size
    return corners.reshape(4, n + 1), matrix @ center + np.asarray(start)[:, None]


def affine(scale, angle, parity, shear=0.0):
    c, s = np.cos(angle), np.sin(angle)
    return scale * np.array([[c, -parity * s], [s, parity * c]]) @ [[1.0, shear], [0.0, 1.0]]


place = st.floats(-3.0, 3.0) | st.integers(-8, 8).map(lambda k: 0.25 * k)


@pytest.mark.parametrize("patch", PATCHES)
@settings(max_examples=120)
@given(data=st.data())
def test_any_drop_is_shared_by_exact_overlap(polygons, patch, data):
    low, high = PATCHES[patch]
    angle = data.draw(st.floats(-np.pi, np.pi))
    scale = data.draw(st.floats(low, high))
    parity = data.draw(st.sampled_from([1, -1]))  # a mirrored chip has a negative Jacobian
    shear = data.draw(st.floats(-0.05, 0.05))
    pixfrac = data.draw(st.sampled_from([1.0, 0.8, 0.5, 0.05]) | st.floats(0.05, 1.0))
    start = 1000.0 + data.draw(place), 400_000.0 + data.draw(place)
    corners, centers = pixel_row(
        3, affine(scale, angle, parity, shear), start, 0.02, data.draw(st.integers(0, 1000))
    )
    compare(polygons, corners, centers, pixfrac, patch, TILTED)


@pytest.mark.parametrize("patch", PATCHES)
def test_turned_drops_are_exact_to_rounding(polygons, patch):
    rng = np.random.default_rng(11)
    low, high = PATCHES[patch]
    for _ in range(40):
        angle = rng.uniform(0.05, np.pi / 2 - 0.05) + rng.integers(4) * np.pi / 2
        matrix = affine(rng.uniform(low, high), angle, rng.choice([-1, 1]))
        corners, centers = pixel_row(4, matrix, rng.uniform(0, 450_000, 2), 0.01, 1)
        compare(polygons, corners, centers, rng.uniform(0.3, 1.0), patch, ROUNDING)


@pytest.mark.parametrize("pixfrac", [1.0, 0.5, 0.05])
@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
@pytest.mark.parametrize("parity", [1, -1])
def test_edges_along_the_axes(polygons, pixfrac, quarter, parity):
    """Edges exactly on, and within rounding of, pixel borders."""
    turn = np.round(affine(1.0, quarter * np.pi / 2, parity))
    for scale in (1.0, 0.5, 0.35):
        for shift in (0.0, 0.25, 0.5, 0.5 + 1e-9, 1e-8, 0.123):
            for tilt in (0.0, 1e-12, 2e-8, -2e-8, 1e-6):
                matrix = scale * np.array([[1.0, -tilt], [tilt, 1.0]]) @ turn
                corners, centers = pixel_row(2, matrix, (7.0 + shift, -3.0 + shift))
                compare(polygons, corners, centers, pixfrac, 3, TILTED)


@settings(max_examples=30)
@given(angle=st.floats(-np.pi, np.pi), scale=st.floats(0.3, 1.35), n=st.integers(2, ROW))
@example(angle=0.0, scale=1.0, n=ROW)
def test_a_row_of_pixels_covers_its_neighbourhood_once(angle, scale, n):
    """Pixels share edges: an output pixel inside the strip is covered by 1 / scale**2 drops."""
    matrix = affine(scale, angle, 1)
    strips = []
    for row in range(-4, 5):
        corners, centers = pixel_row(n, matrix, matrix @ [0.0, row] + 100.0)
        strips.append(fractions(corners, centers, 1.0, 3))
    total = {}
    for found, base in strips:
        for k in range(n):
            for (j, i), a in np.ndenumerate(found[k]):
                at = base[k, 0] + j, base[k, 1] + i
                total[at] = total.get(at, 0.0) + a * scale * scale
    middle = matrix @ [0.5 * (n - 1), 0.0] + 100.0
    if n >= 8:
        x, y = np.rint(middle).astype(int)
        assert total[y, x] == pytest.approx(1.0, abs=1e-6)
    assert max(total.values()) < 1.0 + 1e-6
