"""Stacks of short and long exposures: noise and saturation of some must not spoil the others."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from hapdask.config import load_astrodrizzle
from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling import steps
from hapdask.drizzling.cosmic_rays import Stack, find_cosmic_rays
from hapdask.drizzling.median import StackMember
from hapdask.drizzling.members import stack_member
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.drizzling.unlike import shortest_time, without_saturated
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
from hapdask.simulate import Mode, Pointing, Scene, Subarray, simulate_exposure
from hapdask.simulate.readout import Options
from hapdask.sky.frame import Frame

RA, DEC = 150.1, 2.2
#: Middle of the subarray.
FIELD = (150.0891, 2.1914)
SIDE = 360
DITHERS = ((0.0, 0.0), (0.7, 0.45), (-0.4, 0.6), (0.3, -0.5))
TIMES = (1000.0, 1000.0, 10.0, 10.0)
OWN = load_astrodrizzle("WFC3", "UVIS", 4).parameters
UPSTREAM = load_astrodrizzle("WFC3", "UVIS", 4, preset="compat-svm").parameters


def observe(folder, *, hit):
    """Two long and two short exposures of stars, of which some saturate the long ones alone."""
    rng = np.random.default_rng(8)
    scene = Scene.stars(
        FIELD[0] + rng.uniform(-0.0015, 0.0015, 40), FIELD[1] + rng.uniform(-0.0015, 0.0015, 40),
        np.concatenate([rng.uniform(16.5, 18.0, 12), rng.uniform(20.0, 24.0, 28)]),
    )  # fmt: skip
    options = Options(cosmic_rays=hit, flag_cosmic_rays=0.0, focus=3.0, bleeding=True)
    paths = []
    for k, (dither, seconds) in enumerate(zip(DITHERS, TIMES, strict=True)):
        exposure = simulate_exposure(
            scene, "WFC3", "UVIS", "F606W", Pointing(RA, DEC, 10.0, dither=dither), seconds,
            seed=k + 1, mode=Mode(subarray=Subarray(1, 1800, 900, SIDE, SIDE)),
            rootname=f"icr0{k}01aq", options=options,
        )  # fmt: skip
        paths.append(exposure.write(folder))
    records = open_exposures(paths, strict=True)
    return solve_sky(records, steps.sky_parameters(OWN)).apply(records)


@pytest.fixture(scope="module")
def hit(tmp_path_factory):
    return observe(tmp_path_factory.mktemp("hit"), hit=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return observe(tmp_path_factory.mktemp("clean"), hit=False)


@pytest.fixture(scope="module")
def frame(hit):
    ra, dec = hit[0].footprint.polygons[0]
    return Frame.from_center(float(np.mean(ra)), float(np.mean(dec)), 0.04, (440, 440))


def stack_of(records, frame, p=OWN):
    parameters = steps.separate_parameters(p)
    members = tuple(stack_member(e, frame, parameters) for e in records)
    how, test = steps.combination(p), steps.cosmic_ray_test(p)
    return Stack(tuple(records), members, parameters, how, test, len(records))


@pytest.fixture(scope="module")
def stack(hit, frame):
    return stack_of(hit, frame)


def marked(stack, frame, *parts):
    masks = {e.name: np.zeros(e.chips[0].shape, bool) for e in stack.exposures}
    for part in parts or (frame,):
        for hits in find_cosmic_rays(stack, part):
            masks[hits.name].reshape(-1)[hits.pixels] = True
    return masks


@pytest.fixture(scope="module")
def whole(stack, frame):
    return marked(stack, frame)


def inner(image):
    """What all four exposures cover."""
    return image[40:-40, 40:-40]


def raised(hit, clean, masks):
    """Pixels that hits raise by five sigma, and how many of them are marked."""
    found = total = 0
    for after, before in zip(hit, clean, strict=True):
        if after.exptime < 100.0:
            continue
        one, two = (read_chip_rows(e, e.chips[0], 0, SIDE) for e in (after, before))
        high = inner((one.sci - two.sci > 5.0 * two.err) & (two.dq & (4 | 256) == 0))
        total += int(high.sum())
        found += int((high & inner(masks[after.name])).sum())
    return found, total


def test_hits_of_long_exposures_are_found_among_short_ones(hit, clean, frame, stack, whole):
    """Where all values are as good as each other, noise of the short ones hides half of them."""
    found, total = raised(hit, clean, whole)
    assert total > 1000
    assert found / total > 0.96
    all_alike = replace(stack.combination, quiet=math.inf)
    before = replace(stack, combination=all_alike, shortest=None)
    assert raised(hit, clean, marked(before, frame))[0] / total < 0.7


def test_little_else_is_marked_and_cores_of_stars_stay(clean, frame):
    """Stars that saturate in the long exposures are what the short ones are for.

    Upstream takes what is saturated for the sky, and marks the cores in the short exposures.
    """
    own = marked(stack_of(clean, frame), frame)
    upstream = marked(stack_of(clean, frame, UPSTREAM), frame)
    cores = lost = 0
    for record in clean:
        rows = read_chip_rows(record, record.chips[0], 0, SIDE)
        good = inner(rows.dq & (4 | 256) == 0)
        # Ends of what bleeds differ from exposure to exposure, as hits do.
        far = good & ~inner(ndimage.binary_dilation(rows.dq & 256 > 0, iterations=3))
        assert (inner(own[record.name]) & far).sum() / far.sum() < 1e-4
        if record.exptime < 100.0:
            core = good & inner(rows.sci > 60.0 * record.exptime)
            cores += int(core.sum())
            lost += int((core & inner(upstream[record.name])).sum())
            assert not (core & inner(own[record.name])).any()
    assert cores > 30
    assert lost > 0.5 * cores


@pytest.mark.parametrize("side", [150, 271])
def test_tiles_of_any_size_find_the_same(stack, frame, whole, side):
    parts = marked(stack, frame, *(part for _, part in frame.tiles(side)))
    for name, mask in whole.items():
        assert np.array_equal(parts[name], mask), name


def test_alike_exposures_are_combined_as_they_are(hit, frame):
    """Not a bit differs: the rule looks at unlike stacks alone."""
    pair = [e for e in hit if e.exptime > 100.0]
    own = stack_of(pair, frame)
    assert own.shortest == 0.0
    plain = replace(own, combination=replace(own.combination, quiet=math.inf))
    assert np.array_equal(own.median(frame), plain.median(frame))
    assert own.combined(frame).reference.size == 0


def test_upstream_knows_no_such_rule(hit, frame):
    assert math.isinf(steps.combination(UPSTREAM).quiet)
    assert stack_of(hit, frame, UPSTREAM).shortest == 0.0


def test_who_is_unlike():
    how = steps.combination(OWN)
    member = StackMember(500.0, 0.1, 3.0, 1.0, 0.01, 500.0)
    noisier = replace(member, variance=0.05)
    longer = replace(member, exptime=800.0)
    assert shortest_time([], how) == shortest_time([member, member], how) == 0.0
    assert shortest_time([member, noisier], how) == shortest_time([longer, member], how) == 500.0


def test_saturated_pixels_of_longer_exposures_stay_out(hit):
    parameters, how = DrizzleParameters(good_bits=256 | 16), steps.combination(OWN)
    long, short = hit[0], hit[2]
    assert without_saturated(long, parameters, how, 0.0) == (parameters, how)
    assert without_saturated(short, parameters, how, 10.0) == (parameters, how)
    strict, whole = without_saturated(long, parameters, how, 10.0)
    assert strict.good_bits == 16
    assert whole.maskpt > how.maskpt
    everything = replace(parameters, good_bits=None)
    assert without_saturated(long, everything, how, 10.0)[0].good_bits == 0xFFFF & ~256
