"""Offsets, their significance, and one-to-one matches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapdask.astrometry.matching.chance import false_alarms, log_poisson_tail
from hapdask.astrometry.matching.nearest import match_nearest
from hapdask.astrometry.matching.offsets import find_offset
from hapdask.astrometry.matching.places import UNKNOWN_ERROR, Places, center_of
from hapdask.astrometry.matching.upstream import XYXYRules, match_xyxy
from hapdask.errors import ParameterError


def lists(seed, stars, false, *, rotation=0.0, shift=(0.0, 0.0), noise=0.005, side=160.0):
    """Sources, and references that are the same turned (degrees) and shifted, with false ones."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-side / 2, side / 2, (stars, 2))
    angle = np.radians(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    sources = truth + rng.normal(0, noise, truth.shape)
    references = truth @ turn.T + shift
    extra = rng.uniform(-side / 2, side / 2, (2, false, 2))
    return np.concatenate([sources, extra[0]]), np.concatenate([references, extra[1]]), turn


@pytest.mark.parametrize("rotation", [0.0, 0.01, -0.1])
@pytest.mark.parametrize("shift", [(3.0, -1.0), (-14.0, 14.0)])
@pytest.mark.parametrize(("stars", "false"), [(8, 1), (8, 100), (400, 800)])
def test_the_offset_is_found_and_significant(stars, false, shift, rotation):
    sources, references, turn = lists(1, stars, false, rotation=rotation, shift=shift)
    found = find_offset(sources, references, radius=20.5, width=0.08, rotation=math.radians(0.12))
    assert found.chance < 1e-6
    assert not found.ambiguous
    assert found.count >= 0.7 * stars
    # where the middle of the sources goes
    middle = np.median(sources[:stars], axis=0)
    c, s = math.cos(found.rotation), math.sin(found.rotation)
    there = np.array([[c, -s], [s, c]]) @ middle + found.shift
    assert np.hypot(*(there - turn @ middle - shift)) < 0.1


def test_unrelated_lists_are_as_rarely_significant_as_is_told():
    chances = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n, m = rng.integers(5, 200, 2)
        sources, references = (rng.uniform(-80, 80, (k, 2)) for k in (n, m))
        found = find_offset(
            sources, references, radius=10.0, width=0.08, rotation=math.radians(0.1)
        )
        chances.append(1.0 if found is None else found.chance)
    # the expected number below a limit is the limit times 100 at most
    assert np.count_nonzero(np.array(chances) < 0.02) <= 6
    assert min(chances) > 1e-5


def test_a_clump_of_detections_of_one_star_is_one_match():
    rng = np.random.default_rng(0)
    clump = rng.normal(0, 0.01, (50, 2))
    far = rng.uniform(-80, 80, (20, 2))
    found = find_offset(np.concatenate([clump, far]), np.array([[2.0, 0.0]]), radius=5, width=0.08)
    assert found.count == 1
    assert found.chance == 1.0


def test_a_catalog_with_every_star_twice_is_ambiguous():
    sources, references, _ = lists(3, 100, 0)
    twice = np.concatenate([references, references + np.array([1.5, 0.0])])
    assert find_offset(sources, twice, radius=5.0, width=0.08).ambiguous
    # the very same places are no ambiguity
    same = np.concatenate([references, references])
    assert not find_offset(sources, same, radius=5.0, width=0.08).ambiguous


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.04, 0.02), (0.02, -0.06), (1.0, 1.0)])
@pytest.mark.parametrize("noise", [0.0, 0.001, 0.03])
def test_a_peak_is_found_wherever_it_lies_in_its_bins(shift, noise):
    sources, references, _ = lists(3, 50, 0, shift=shift, noise=noise)
    found = find_offset(sources, references, radius=3.0, width=0.08)
    assert found.count >= 45
    assert math.dist(found.shift, shift) < 0.02


def test_no_pair_no_offset():
    assert find_offset(np.zeros((3, 2)), np.full((3, 2), 100.0), radius=5.0, width=0.1) is None
    assert find_offset(np.zeros((0, 2)), np.zeros((4, 2)), radius=5.0, width=0.1) is None


@given(st.integers(0, 300), st.floats(1e-6, 100.0))
def test_the_poisson_tail_is_never_told_too_small(count, mean):
    exact = stats.poisson.logsf(count - 1, mean)
    told = log_poisson_tail(count, mean)
    assert told >= exact - 1e-9
    if count > 2 * mean + 1 and np.isfinite(exact):
        assert told <= exact + 1.0


def test_seeds_are_no_evidence():
    assert false_alarms(2, 1e-9, 100.0, 2) == 1.0
    assert false_alarms(3, 0.0, 100.0, 2) == 0.0
    assert false_alarms(5, 0.1, 100.0, 1) < false_alarms(4, 0.1, 100.0, 1)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.5))
def test_matches_are_one_to_one_within_the_tolerance(seed, n, m, tolerance):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, 1, (n, 2)), rng.uniform(0, 1, (m, 2))
    pairs = match_nearest(a, b, tolerance)
    assert len(set(pairs.sources.tolist())) == len(pairs) == len(set(pairs.references.tolist()))
    apart = np.hypot(*(a[pairs.sources] - b[pairs.references]).T)
    assert np.all(apart <= tolerance)
    lonely = match_nearest(a, b, tolerance, separation=0.01)
    assert set(lonely.sources.tolist()) <= set(pairs.sources.tolist())


def test_separation_leaves_out_what_could_be_two():
    a, b = np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([[0.01, 0.0], [0.05, 0.0], [5.0, 0.01]])
    assert match_nearest(a, b, 0.1).sources.tolist() == [0, 1]
    assert match_nearest(a, b, 0.1, separation=0.01).sources.tolist() == [1]


def test_upstreams_rules_give_its_matches():
    sources, references, _ = lists(4, 60, 5, shift=(0.8, 0.4))
    rules = XYXYRules(searchrad=50.0, separation=0.5, tolerance=1.0)
    pairs = match_xyxy(sources, references, rules, pixel_scale=0.04)
    assert len(pairs) >= 55
    assert np.mean(pairs.sources == pairs.references) > 0.95
    # by reference y, then x
    ys = references[pairs.references, 1]
    assert np.all(np.diff(ys) >= 0)
    here = XYXYRules(50.0, 0.5, 1.0, use2dhist=False)
    assert len(match_xyxy(sources, references, here, pixel_scale=0.04)) < 5
    none = match_xyxy(sources[:0], references, rules, pixel_scale=0.04)
    assert len(none) == 0


def test_sources_that_many_references_share_are_refused_by_upstream():
    rules = XYXYRules(10.0, 0.001, 5.0, use2dhist=False)
    references = np.random.default_rng(0).uniform(0, 0.1, (30, 2))
    assert match_xyxy(np.array([[0.05, 0.05]]), references, rules, pixel_scale=0.04) is None


class TestPlaces:
    def test_what_is_not_finite_is_left_out(self):
        places = Places.make("x", [10.0, np.nan, -1.0], [0.0, 1.0, 2.0], [1.0, 1.0, np.nan])
        assert places.ra.tolist() == [10.0, 359.0]
        assert places.ra_error.tolist() == [1.0, UNKNOWN_ERROR]

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (([1.0, 2.0], [1.0], 1.0), "right ascensions"),
            (([1.0], [91.0], 1.0), "degrees"),
            (([1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0]), "one per position"),
        ],
    )
    def test_nonsense_is_refused(self, arguments, problem):
        with pytest.raises(ParameterError, match=problem):
            Places.make("x", *arguments)

    @pytest.mark.parametrize("center", [(0.0, 0.0), (359.9999, 89.99), (120.0, -90.0)])
    def test_planes_hold_at_ra_0_and_the_poles(self, center):
        from hapdask.sky.tangent import deproject

        xy = np.random.default_rng(1).uniform(-80, 80, (50, 2))
        ra, dec = deproject(xy[:, 0] / 3600, xy[:, 1] / 3600, *center)
        places = Places.make("x", ra, dec, 1.0)
        np.testing.assert_allclose(places.in_plane(center).xy, xy, atol=1e-7)
        middle = Places.make("m", [center_of(places)[0]], [center_of(places)[1]], 1.0)
        assert np.hypot(*middle.in_plane(center).xy[0]) < 25.0

    def test_no_position_has_no_center(self):
        with pytest.raises(ParameterError, match="no position"):
            center_of(Places.make("x", [], [], 1.0))
