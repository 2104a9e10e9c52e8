"""Least squares in the tangent plane, and who is clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tweakwcs import linearfit

from hapdask.astrometry.fitting.clipping import fit_robust, fit_tweakreg, fit_tweakwcs
from hapdask.astrometry.fitting.linear import solve
from hapdask.astrometry.fitting.result import (
    GEOMETRIES,
    PARAMETERS,
    plane_variance,
    untouched_covariance,
)
from hapdask.astrometry.fitting.verification import hold_out

MATRICES = {
    "shift": np.eye(2),
    "rshift": np.array([[np.cos(2e-3), -np.sin(2e-3)], [np.sin(2e-3), np.cos(2e-3)]]),
    "rscale": 1.0004 * np.array([[np.cos(2e-3), -np.sin(2e-3)], [np.sin(2e-3), np.cos(2e-3)]]),
    "general": np.array([[1.0003, 2e-4], [-1e-3, 0.9998]]),
}
SHIFT = np.array([3.1, -0.7])


def data(geometry, count, seed=0, errors=(0.001, 0.004)):
    rng = np.random.default_rng(seed)
    sources = rng.uniform(-80, 80, (count, 2)) + np.array([30.0, -200.0])
    sigma = rng.uniform(*errors, (count, 2))
    noise = rng.normal(size=(count, 2)) * sigma
    return sources, sources @ MATRICES[geometry].T + SHIFT + noise, sigma**2


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_without_noise_the_truth_comes_back(geometry):
    sources, references, variance = data(geometry, 10, errors=(1e-12, 2e-12))
    found = solve(geometry, sources, references, variance)
    np.testing.assert_allclose(found.matrix, MATRICES[geometry], atol=1e-11)
    np.testing.assert_allclose(found.shift, SHIFT, atol=1e-8)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_equal_weights_agree_with_tweakwcs(geometry):
    sources, references, _ = data(geometry, 30)
    ours = solve(geometry, sources, references, np.ones_like(sources))
    theirs = linearfit.iter_linear_fit(
        references, sources, fitgeom=geometry, center=(0, 0), nclip=0
    )
    np.testing.assert_allclose(ours.matrix, theirs["matrix"], atol=1e-9)
    np.testing.assert_allclose(ours.shift, theirs["shift"], atol=2e-7)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_covariance_is_true(geometry):
    """Errors of corrected positions over their stated variance: 1 in the mean."""
    points = np.array([[110.0, -120.0], [30.0, -200.0], [-50.0, -280.0]])
    truth = points @ MATRICES[geometry].T + SHIFT
    ratios = []
    for seed in range(300):
        found = solve(geometry, *data(geometry, 12, seed))
        wrong = ((found.apply(points) - truth) ** 2).sum(axis=1)
        ratios.append(wrong / plane_variance(found.covariance, points))
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1.0, atol=0.2)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_too_few_or_collinear_positions_give_no_fit(geometry):
    few = (PARAMETERS[geometry] - 1) // 2
    sources, references, variance = data(geometry, 10)
    assert solve(geometry, sources[:few], references[:few], variance[:few]) is None
    line = np.outer(np.arange(10.0), [1.0, 2.0])
    assert (solve(geometry, line, line + 1.0, variance) is None) == (geometry == "general")
    same = np.zeros((10, 2))
    assert (solve(geometry, same, same + 1.0, variance) is None) == (geometry != "shift")


def test_false_matches_are_clipped():
    sources, references, variance = data("rshift", 100)
    rng = np.random.default_rng(5)
    references[:25] += rng.uniform(-0.3, 0.3, (25, 2))
    found = fit_robust("rshift", sources, references, variance, sigma=4.0)
    assert np.count_nonzero(found.used[25:]) >= 74
    assert np.count_nonzero(found.used[:25]) <= 2
    clean = solve("rshift", sources[25:], references[25:], variance[25:])
    assert np.abs(found.solved.apply(sources) - clean.apply(sources)).max() < 3e-4


def test_errors_told_too_small_do_not_clip_everything():
    sources, references, variance = data("rshift", 200)
    found = fit_robust("rshift", sources, references, variance / 100.0, sigma=4.0)
    assert found.used.mean() > 0.95
    assert found.growth == pytest.approx(10.0, rel=0.25)


def test_tweakregs_clipping_widens_its_limits_one_pass_late():
    """|r| < sigma rms n / (n - removed - 1); written out again for a shift."""
    rng = np.random.default_rng(2)
    sources = rng.uniform(-80, 80, (40, 2))
    references = sources + rng.normal(0, 0.01, (40, 2))
    references[:3] += [[0.06, 0.0], [0.2, 0.1], [1.0, 1.0]]
    keep, counts = np.ones(40, bool), [0, 0]
    for k in range(3):
        r = sources - references
        r -= r[keep].mean(axis=0)
        limit = 3.0 * r[keep].std(axis=0) * 40 / (40 - counts[k] - 1)
        keep = keep & np.all(np.abs(r) < limit, axis=1)
        counts.append(40 - keep.sum())
    found = fit_tweakreg("shift", sources, references)
    np.testing.assert_array_equal(found.used, keep)
    mean = (references - sources)[keep].mean(axis=0)
    np.testing.assert_allclose(found.solved.shift, mean, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_three_clippings_agree_on_clean_data(geometry):
    sources, references, variance = data(geometry, 200, errors=(0.003, 0.003))
    one = fit_robust(geometry, sources, references, variance, sigma=5.0)
    two = fit_tweakreg(geometry, sources, references, sigma=6.0)
    three = fit_tweakwcs(geometry, sources, references, sigma=6.0)
    for other in (two, three):
        apart = one.solved.apply(sources) - other.solved.apply(sources)
        assert np.abs(apart).max() < 1e-5


def test_tweakwcs_refusals_are_no_crash():
    line = np.outer(np.arange(5.0), [1.0, 1.0])
    assert fit_tweakwcs("general", line, line) is None
    assert fit_tweakwcs("rscale", line[:1], line[:1]) is None


def test_held_out_matches_are_predicted_by_a_right_fit_alone():
    sources, references, variance = data("rscale", 40)
    right = hold_out("rscale", sources, references, variance, sigma=4.0)
    assert right.recovered == 1.0
    assert right.rms < 6.0 < 1000.0 < right.header_rms
    shuffled = np.roll(references, 1, axis=0)
    wrong = hold_out("rscale", sources, shuffled, variance, sigma=4.0)
    assert wrong.recovered == 0.0
    few = hold_out("general", sources[:3], references[:3], variance[:3], sigma=4.0)
    assert few.recovered == 0.0


@pytest.mark.parametrize("geometry", ["shift", "rshift"])
@pytest.mark.parametrize("noise", [1e-3, 0.1])
def test_what_a_geometry_leaves_to_the_header_is_in_its_covariance(geometry, noise):
    """True over stated error is 1, be it that the matches tell nothing of it, or all."""
    rng = np.random.default_rng(11)
    roll, scale = (2e-5 if geometry == "shift" else 0.0), 2e-5
    squares, stated = [], []
    for _ in range(300):
        xy = rng.uniform(20.0, 100.0, (8, 2))
        turn, stretch = rng.normal(0, roll), rng.normal(0, scale)
        truth = xy + stretch * xy + turn * np.stack([-xy[:, 1], xy[:, 0]], axis=1)
        variance = np.full_like(xy, noise**2)
        seen = truth + rng.normal(0, noise, xy.shape)
        found = solve(geometry, xy, seen, variance)
        covariance = found.covariance + untouched_covariance(
            geometry, xy, found.residuals, variance, roll=roll, scale=scale
        )
        corners = np.array([[0.0, 0.0], [120.0, 0.0], [0.0, 120.0], [120.0, 120.0]])
        there = corners + stretch * corners
        there += turn * np.stack([-corners[:, 1], corners[:, 0]], axis=1)
        squares.append(((found.apply(corners) - there) ** 2).sum(axis=1).mean())
        stated.append(plane_variance(covariance, corners).mean())
    assert 0.85 < math.sqrt(np.mean(squares) / np.mean(stated)) < 1.1


def test_a_geometry_that_fits_all_leaves_nothing_to_the_header():
    xy = np.random.default_rng(0).uniform(-50, 50, (5, 2))
    ones = np.ones_like(xy)
    for geometry in ("rscale", "general"):
        assert not untouched_covariance(geometry, xy, 0 * ones, ones, roll=1.0, scale=1.0).any()
    assert not untouched_covariance("shift", xy, ones, ones, roll=0.0, scale=0.0).any()
