"""Cosmic rays of rims: where one exposure of a stack alone covers the sky, shapes tell them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from hapdask.config import load_astrodrizzle
from hapdask.drizzling import steps
from hapdask.drizzling.by_shape import find_in_chip
from hapdask.drizzling.cosmic_rays import Stack, find_cosmic_rays
from hapdask.drizzling.members import stack_member
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
from hapdask.simulate import Mode, Pointing, Scene, Subarray, simulate_exposure
from hapdask.simulate.readout import Options
from hapdask.sky.frame import Frame

RA, DEC = 150.1, 2.2
#: Middle of the subarrays.
FIELD = (150.0891, 2.1914)
SIDE = 360
#: Rims of 50 pixels; so far apart that every exposure has some of its own.
DITHERS = ((0.0, 0.0), (2.0, 1.5), (-1.6, 2.0))
P = load_astrodrizzle("WFC3", "UVIS", len(DITHERS)).parameters


def observe(folder, *, hit):
    """Exposures of a field of stars of all brightnesses, with cosmic rays or without."""
    rng = np.random.default_rng(8)
    scene = Scene.stars(
        FIELD[0] + rng.uniform(-0.0035, 0.0035, 1200),
        FIELD[1] + rng.uniform(-0.0035, 0.0035, 1200),
        rng.uniform(18.5, 26.0, 1200),
    )
    paths = []
    for k, dither in enumerate(DITHERS):
        exposure = simulate_exposure(
            scene, "WFC3", "UVIS", "F606W", Pointing(RA, DEC, 10.0, dither=dither), 600.0,
            seed=k + 1, mode=Mode(subarray=Subarray(1, 1800, 900, SIDE, SIDE)),
            rootname=f"icr0{k}01aq",
            options=Options(cosmic_rays=hit, flag_cosmic_rays=0.0, focus=3.0, bleeding=True),
        )  # fmt: skip
        paths.append(exposure.write(folder))
    records = open_exposures(paths, strict=True)
    return solve_sky(records, steps.sky_parameters(P)).apply(records)


def stack_of(records, frame, p=P):
    parameters = steps.separate_parameters(p)
    members = tuple(stack_member(e, frame, parameters) for e in records)
    how, test = steps.combination(p), steps.cosmic_ray_test(p)
    return Stack(tuple(records), members, parameters, how, test, len(records))


def masks_of(stack, frame, tile=4096):
    masks = {e.name: np.zeros((SIDE, SIDE), np.bool_) for e in stack.exposures}
    for _, part in frame.tiles(tile):
        for hits in find_cosmic_rays(stack, part):
            masks[hits.name].reshape(-1)[hits.pixels] = True
    return masks


def without_shapes(stack):
    return replace(stack, test=replace(stack.test, by_shape=False))


def alone_of(records):
    """Pixels that no other exposure covers, a few pixels inside the borders of the others."""
    alone = {}
    y, x = (a.ravel() for a in np.indices((SIDE, SIDE)))
    for record in records:
        ra, dec = record.chips[0].distortion.pixel_to_sky(x, y)
        covered = np.zeros(ra.shape, np.bool_)
        for other in records:
            if other.name != record.name:
                covered |= other.footprint.contains(ra, dec)
        alone[record.name] = ~covered.reshape(SIDE, SIDE)
    return alone


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    hit = observe(tmp_path_factory.mktemp("hit"), hit=True)
    clean = observe(tmp_path_factory.mktemp("clean"), hit=False)
    ra, dec = np.concatenate([e.footprint.polygons[0] for e in hit], axis=1)
    frame = Frame.from_center(float(np.mean(ra)), float(np.mean(dec)), 0.04, (600, 600))
    stack, nothing = stack_of(hit, frame), stack_of(clean, frame)
    return SimpleNamespace(
        frame=frame, stack=stack, masks=masks_of(stack, frame), alone=alone_of(hit),
        before=masks_of(without_shapes(stack), frame),
        clean=nothing, false=masks_of(nothing, frame),
    )  # fmt: skip


def test_rims_lose_their_cosmic_rays(field):
    """Three of four; the median, which is the exposure itself, tells one in a hundred."""
    raised = found = before = 0
    for record, clean in zip(field.stack.exposures, field.clean.exposures, strict=True):
        rows = read_chip_rows(record, record.chips[0], 0, SIDE)
        sky = read_chip_rows(clean, clean.chips[0], 0, SIDE)
        high = (rows.sci - sky.sci > 10.0 * sky.err) & (sky.dq == 0) & field.alone[record.name]
        raised += int(high.sum())
        found += int((high & field.masks[record.name]).sum())
        before += int((high & field.before[record.name]).sum())
    assert raised > 300
    assert found > 0.72 * raised
    assert before < 0.05 * raised


def test_stars_in_rims_are_left_alone(field):
    light = lost = 0.0
    for clean in field.clean.exposures:
        rows = read_chip_rows(clean, clean.chips[0], 0, SIDE)
        bright = (rows.sci - clean.chips[0].sky) * field.alone[clean.name]
        bright[bright < 4.0 * rows.err] = 0.0
        light += float(bright.sum())
        lost += float(bright[field.false[clean.name]].sum())
    assert light > 1e6
    assert lost < 1e-4 * light


def test_pixels_with_partners_are_judged_as_before(field):
    for name, mask in field.masks.items():
        shared = ndimage.binary_erosion(~field.alone[name], iterations=3)
        assert np.array_equal(mask & shared, field.before[name] & shared)
        assert not (field.before[name] & ~mask).any()


def test_no_tiling_changes_a_mask(field):
    for tile in (97, 300):
        masks = masks_of(field.stack, field.frame, tile)
        for name, mask in field.masks.items():
            assert np.array_equal(masks[name], mask)


def test_what_is_alone_is_judged_as_a_lone_exposure(field):
    """The same pixels, however they were cut out of the chip."""
    bits = field.stack.parameters.good_bits
    for record in field.stack.exposures:
        (chip,) = record.chips
        whole = find_in_chip(record, chip, good_bits=bits)
        new = field.masks[record.name] & ~field.before[record.name]
        assert not (new & ~whole).any()
        inside = whole & ndimage.binary_erosion(field.alone[record.name], iterations=2)
        assert (inside & field.masks[record.name]).sum() > 0.95 * inside.sum()


@pytest.mark.parametrize(
    ("place", "preset", "on"),
    [
        (("WFC3", "UVIS", 3), "default", True),
        (("ACS", "WFC", 4), "default", True),
        (("WFC3", "IR", 3), "default", False),  # it would take half of the stars
        (("WFC3", "UVIS", 3), "compat", False),
        (("WFC3", "UVIS", 3), "compat-svm", False),
    ],
)
def test_which_presets_judge_by_shape(place, preset, on):
    parameters = load_astrodrizzle(*place, preset=preset).parameters
    assert steps.cosmic_ray_test(parameters).by_shape == on
