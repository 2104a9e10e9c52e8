"""Where chips overlap, and least squares on the graph of overlaps."""

import numpy as np
import pytest

from hapdask.drizzling.sky_levels.coverage import choose_pairs, find_coverage
from hapdask.drizzling.sky_levels.geometry import (
    ChipArea,
    clip_polygon,
    fill,
    fill_rounded,
    outline,
    undistorted_to_pixel,
)
from hapdask.drizzling.sky_levels.solving import Edge, find_groups, solve_levels
from hapdask.sky.footprint import Footprint


def overlap_spans(chip, other):
    return ChipArea(chip).spans(outline(other))


def filled(spans, shape):
    inside = np.zeros(shape, bool)
    for y, x0, x1 in spans:
        assert not inside[y, x0:x1].any()
        inside[y, x0:x1] = True
    return inside


@pytest.mark.parametrize("roll", [0.0, 33.0, 90.0, -140.0])
@pytest.mark.parametrize("center", [(150.1, 2.2), (0.0005, -45.0), (77.0, 89.999)])
def test_pixels_on_the_other_chip(expose, roll, center):
    """Against the sky positions of all pixels."""
    options = {"shape": (90, 130), "center": center}
    one = expose("ia0a01aaq", **options)
    two = expose("ia0a01abq", offset=(1.3, -1.9), roll=roll, **options)
    some = False
    for chip in one.chips:
        y, x = np.mgrid[: chip.shape[0], : chip.shape[1]].astype(float)
        ra, dec = chip.distortion.pixel_to_sky(x, y)
        for other in two.chips:
            footprint = Footprint.from_vertices(*other.border())
            found = filled(overlap_spans(chip, other), chip.shape)
            expected = footprint.contains(ra, dec)
            # Edges of outlines are straight on the sky, and straight here between their points.
            assert np.count_nonzero(found != expected) <= 2
            some |= bool(expected.any())
    assert some


def test_whole_chips_and_none(expose):
    one, far = expose("ia0a01aaq"), expose("ia0a01abq", offset=(300.0, 0.0))
    first, second = one.chips
    assert filled(overlap_spans(first, first), first.shape).all()
    assert not overlap_spans(first, second).size
    assert not overlap_spans(first, far.chips[0]).size


def test_windows_alone_count(expose):
    from dataclasses import replace

    (first, _) = expose("ia0a01aaq").chips
    part = replace(first, window=(20, 90, 10, 60))
    for chip, other in ((part, first), (first, part)):
        inside = filled(overlap_spans(chip, other), chip.shape)
        assert inside.sum() == pytest.approx(70 * 50, abs=2 * 120)
        assert inside[15:55, 25:85].all()


def test_the_inverse_of_the_map(expose):
    chip = expose("ia0a01aaq").chips[1]
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-5, 300, 50), rng.uniform(-5, 140, 50)
    focal = np.stack(chip.distortion._focal(x, y), axis=1)
    back = undistorted_to_pixel(chip.distortion.chain(), focal)
    np.testing.assert_allclose(back, np.stack([x, y], axis=1), atol=1e-5)


def test_polygons_cut_and_filled(expose):
    from dataclasses import replace

    chip = replace(expose("ia0a01aaq").chips[0], shape=(6, 8))
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    away = np.array([[9, 9], [12, 9], [12, 12]], float)
    assert len(clip_polygon(away, square)) == 0
    notch = np.array([[1, 1], [7, 1], [7, 5], [4, 2.2], [1, 5]], float) - 0.1
    cut = clip_polygon(notch, square)
    assert cut.min() >= -1e-12
    assert cut.max() <= 4 + 1e-12
    inside = filled(fill(notch, chip), chip.shape)
    assert inside[1, 1:7].all()
    assert inside[3].tolist() == [False, True, True, False, False, True, True, False]
    assert not inside[[0, 5]].any()


def test_who_overlaps_whom(expose):
    offsets = [(0, 0), (6, 0), (0, 40), (0, 46), (200, 0)]
    records = [
        expose(f"ia0a0{k}aaq", offset=offset, roll=20.0 * k) for k, offset in enumerate(offsets)
    ]
    coverage = find_coverage(records)
    overlap = coverage.overlap
    assert np.array_equal(overlap, overlap.T)
    for i, one in enumerate(records):
        for j, two in enumerate(records):
            if i != j:
                assert (overlap[i, j] > 0) == one.footprint.overlaps(two.footprint)
    area = sum(c.shape[0] * c.shape[1] for c in records[0].chips) * 0.0396**2
    assert 0.2 * area < overlap[0, 1] < area
    assert coverage.points(0, [1, 4]).any(axis=1).tolist() == [True, False]


def test_pairs_connect_what_can_be_connected():
    rng = np.random.default_rng(2)
    n = 60
    x = rng.uniform(0, 10, n)
    x[50:] += 100.0
    overlap = np.maximum(2.0 - np.abs(x[:, None] - x), 0.0)
    np.fill_diagonal(overlap, 0.0)
    every = choose_pairs(overlap, None)
    assert len(every) == np.count_nonzero(np.triu(overlap, 1))
    few = choose_pairs(overlap, 3)
    assert set(few) < set(every)
    assert few == sorted(few)
    edges = {True: every, False: few}
    labels = [find_groups(n, [Edge(i, j, 0, 1, 1, 1) for i, j in e]) for e in edges.values()]
    np.testing.assert_array_equal(*labels)


def chain(n, levels, rng, noise=0.0):
    edges = []
    for i in range(n):
        for j in range(i + 1, min(i + 4, n)):
            off = levels[i] - levels[j] + noise * rng.normal()
            edges.append(Edge(i, j, off, rng.uniform(0.5, 2.0), 0.5 * noise**2, 0.5 * noise**2))
    return edges


def test_exact_differences_give_exact_levels():
    rng = np.random.default_rng(3)
    levels = rng.normal(0, 10, 9)
    solved = solve_levels(11, chain(9, levels, rng))
    np.testing.assert_allclose(solved.level[:9], levels - levels.mean(), atol=1e-12)
    np.testing.assert_allclose(solved.level[9:], 0.0)
    np.testing.assert_allclose(solved.residual, 0.0, atol=1e-12)
    held = solve_levels(9, chain(9, levels, rng), held={2: 5.0, 7: 5.0 + levels[7] - levels[2]})
    np.testing.assert_allclose(held.level, levels - levels[2] + 5.0, atol=1e-12)
    assert held.covariance[2].tolist() == [0.0] * 9


def test_covariance_is_that_of_many_trials():
    rng = np.random.default_rng(4)
    levels = rng.normal(0, 10, 6)
    template = chain(6, levels, rng, noise=1.0)
    trials = []
    for _ in range(4000):
        edges = [
            e._replace(difference=levels[e.first] - levels[e.second] + rng.normal())
            for e in template
        ]
        trials.append(solve_levels(6, edges).level)
    covariance = solve_levels(6, template).covariance
    np.testing.assert_allclose(np.cov(np.array(trials).T), covariance, atol=0.03)


def test_levels_on_the_same_pixels_gain_nothing_from_more_partners():
    """All see one field: each level has one error, however many overlaps it is in."""
    n = 8
    edges = [Edge(i, j, 0.0, 1.0, 1.0, 1.0) for i in range(n) for j in range(i + 1, n)]
    sides = [e.first for e in edges] + [e.second for e in edges]
    shared = np.equal.outer(sides, sides).astype(float)
    c = solve_levels(n, edges, shared).covariance
    assert c[0, 0] + c[1, 1] - 2 * c[0, 1] == pytest.approx(2.0)
    c = solve_levels(n, edges).covariance
    assert c[0, 0] + c[1, 1] - 2 * c[0, 1] == pytest.approx(2.0 * 2.0 / n)


def test_no_overlaps():
    solved = solve_levels(3, [], held={1: 4.0})
    assert solved.level.tolist() == [0.0, 4.0, 0.0]
    assert find_groups(3, []).tolist() == [0, 1, 2]


def test_upstream_fills_one_pixel_more():
    """AstroDrizzle's polygon of whole vertices: rows and ends are included, ours are not."""
    square = np.array([[2, 3], [7, 3], [7, 6], [2, 6]])
    theirs = filled(fill_rounded(square, (10, 12)), (10, 12))
    assert theirs.sum() == 4 * 6
    assert theirs[3:7, 2:8].all()
    triangle = np.array([[-3, -2], [20, 4], [-3, 30]])
    inside = filled(fill_rounded(triangle, (10, 12)), (10, 12))
    assert inside[4:, 0].all()
    assert not inside[0, 6:].any()


def test_upstream_outlines_are_straight_between_corners(expose):
    """Sides of chips are bent on the sky; a few pixels of an overlap come and go with that."""
    one = expose("ia0a01aaq").chips[0]
    two = expose("ia0a01abq", offset=(0.9, -1.3), roll=20.0).chips[0]
    mine = filled(overlap_spans(one, two), one.shape)
    area = ChipArea(one, upstream=True)
    theirs = filled(area.spans(outline(two, upstream=True)), one.shape)
    assert 0 < np.count_nonzero(mine != theirs) < 0.03 * mine.sum()
