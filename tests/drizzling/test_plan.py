"""Plans as data: which chips reach which tiles, what a digest depends on, what a run will take."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from dask.base import tokenize

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import Layer, make_plan, sort_exposures
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import PlanError
from hapdask.observe.distortion import Correction
from hapdask.observe.masks import write_mask
from hapdask.observe.selection import Verdict
from hapdask.schema import BASIC, VARIABLES
from hapdask.sky.frame import Frame

PARAMETERS = DrizzleParameters()
TILE = 256


@pytest.fixture(scope="module")
def frame():
    return Frame.from_center(150.1, 2.2, 0.04, (1500, 1500), rotation=7.0)


@pytest.fixture(scope="module")
def make(medium, frame):
    def plan(exposures=None, parameters=PARAMETERS, **options):
        records = medium if exposures is None else exposures
        options = {"tile": TILE, "whole_tiles": True} | options
        return make_plan(records, frame, Layer.of(medium[0]), parameters, **options)

    return plan


@pytest.fixture(scope="module")
def plan(make):
    return make()


def changed(before, after):
    """Tiles whose digest is not the same, or that only one of two plans has."""
    a, b = before.digests, after.digests
    return {index for index in a.keys() | b.keys() if a.get(index) != b.get(index)}


def tiles_of(plan, name, extver=None):
    """Tiles that an exposure, or one of its chips, reaches."""
    number = [e.name for e in plan.exposures].index(name)
    return {
        tile.index
        for tile in plan.tiles
        for item in tile.inputs
        if item.exposure == number and extver in (None, item.extver)
    }


def test_every_input_of_a_tile_is_planned(plan, medium):
    """And few others: a tile that gets nothing lies in the box around a block of the chip."""
    planned = {tile.index: tile for tile in plan.tiles}
    far = 140  # pixels; a block of 64 x 256 pixels, turned, is so much smaller than its box
    for index, frame in plan.frame.tiles(TILE):
        names = set()
        for exposure in medium:
            for chip in exposure.chips:
                alone = [replace(exposure, chips=(chip,))]
                if (drizzle_tile(alone, frame, PARAMETERS, ("nexp",)).plane("nexp") > 0).any():
                    names.add((exposure.name, chip.extver))
        tile = planned.get(index)
        listed = set() if tile is None else {
            (plan.exposures[i.exposure].name, i.extver) for i in tile.inputs
        }  # fmt: skip
        assert names <= listed
        for name, extver in listed - names:
            record = next(e for e in medium if e.name == name)
            alone = [replace(record, chips=(record.chip(extver),))]
            around = drizzle_tile(alone, frame.pad(far), PARAMETERS, ("nexp",))
            assert (around.plane("nexp") > 0).any()
    assert len(planned) < (plan.frame.shape[0] // TILE) ** 2


def test_a_task_gets_only_the_chips_that_reach(plan):
    for tile in plan.tiles:
        inputs = plan.inputs_of(tile)
        assert [e.name for e in inputs] == [e.name for e in sort_exposures(inputs)]
        pairs = {(e.name, c.extver) for e in inputs for c in e.chips}
        assert pairs == {(plan.exposures[i.exposure].name, i.extver) for i in tile.inputs}
        assert not any(e.keywords or c.keywords for e in inputs for c in e.chips)
    assert min(sum(len(e.chips) for e in plan.inputs_of(t)) for t in plan.tiles) == 1


def test_what_a_digest_does_not_depend_on(make, plan, medium):
    for same in (
        make(medium[::-1]),
        make([replace(e, url="/elsewhere/" + e.name) for e in medium]),
        make([e.strip() for e in medium]),
        make([e.with_verdict(Verdict("warning", "far off")) for e in medium]),
        make([*medium, replace(medium[0], name="ia0afaraq", filter="f814w")]),
        make([type(e).from_dict(e.to_dict()) for e in medium]),
        make(parameters=DrizzleParameters(pixfrac=1.0)),
    ):
        assert same.digests == plan.digests
        assert tokenize(same) == tokenize(plan)


def test_every_parameter_and_the_variables_change_every_tile(make, plan):
    for other in (
        make(parameters=DrizzleParameters(pixfrac=0.8)),
        make(parameters=DrizzleParameters(weight="ERR")),
        make(parameters=DrizzleParameters(good_bits=64)),
        make(parameters=DrizzleParameters(doubtful_bits=0)),
        make(variables=BASIC),
    ):
        assert other.digests.keys() == plan.digests.keys()
        assert not set(other.digests.values()) & set(plan.digests.values())
        assert tokenize(other) != tokenize(plan)


def test_what_one_exposure_changes(make, plan, medium):
    name = medium[1].name
    reached = tiles_of(plan, name)
    assert 0 < len(reached) < len(plan.tiles)

    def with_second(record):
        return make([medium[0], record, medium[2]])

    second = medium[1]
    chip = second.chips[1]
    for record in (
        second.with_sky(39.0),
        second.with_flux_factors(1.01),
        replace(second, exptime=501.0),
        replace(second, expend=second.expend + 1e-5),
        replace(second, identity=replace(second.identity, stamp="later")),
        replace(second, identity=replace(second.identity, header_hash="other")),
    ):
        assert changed(plan, with_second(record)) == reached
    only = second.with_sky({chip.extver: 39.0})
    assert changed(plan, with_second(only)) == tiles_of(plan, name, chip.extver)
    # An exposure of another name is another input; one that is gone leaves its tiles different.
    assert changed(plan, make([medium[0], medium[2]])) == reached
    renamed = with_second(replace(second, name="ia0azzaaq"))
    assert changed(plan, renamed) == reached
    assert changed(make([medium[0], medium[2]]), plan) == reached


def test_a_correction_changes_where_the_exposure_was_and_is(make, plan, medium):
    moved = medium[0].corrected(Correction((150.1, 2.2), shift=(9.0, 5.0)))
    after = make([moved, *medium[1:]])
    touched = tiles_of(plan, moved.name) | tiles_of(after, moved.name)
    assert changed(plan, after) == touched
    assert tiles_of(plan, moved.name) != tiles_of(after, moved.name)
    assert changed(plan, make(medium)) == set()


def test_a_mask_changes_the_tiles_that_its_rows_reach(make, plan, medium, tmp_path):
    record = medium[0]
    chip = record.chips[0]
    bad = np.zeros(chip.shape, bool)
    empty = make([record.with_mask(1, write_mask(tmp_path / "a.mask", bad, "user")), *medium[1:]])
    bad[130:150, 200:900] = True  # in the third block of 64 rows
    masked = record.with_mask(1, write_mask(tmp_path / "b.mask", bad, "user"))
    after = make([masked, *medium[1:]])
    found = changed(empty, after)
    rows = {
        tile.index
        for tile in plan.tiles
        for item in tile.inputs
        if plan.exposures[item.exposure].name == record.name
        and item.extver == 1
        and item.row0 < 192
        and item.row1 > 128
    }
    assert found == rows
    assert found < tiles_of(plan, record.name, 1)
    # No byte changes anywhere else.
    index = {tile.index: tile.frame for tile in plan.tiles}
    differ = {
        i
        for i, frame in index.items()
        if drizzle_tile([record], frame, PARAMETERS, BASIC).plane("wht").tobytes()
        != drizzle_tile([masked], frame, PARAMETERS, BASIC).plane("wht").tobytes()
    }
    assert differ
    assert differ <= found
    # The same mask elsewhere is the same mask.
    again = record.with_mask(1, write_mask(tmp_path / "c.mask", bad, "user"))
    assert make([again, *medium[1:]]).digests == after.digests


def test_a_whole_tile_is_the_same_in_every_window(make, plan, medium, frame):
    for window in (frame[:300, :400], frame[700:701, 650:651], frame[100:1200, 200:1400]):
        part = make_plan(medium, window, plan.layer, PARAMETERS, tile=TILE, whole_tiles=True)
        assert part.tiles
        assert part.digests.items() <= plan.digests.items()
        assert part.frame == window.whole_tiles(TILE)


def test_a_plan_is_plain_data(plan):
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    assert tokenize(again) == tokenize(plan)
    assert len(pickle.dumps(plan)) < 300_000
    assert [t.index for t in plan.tiles] == sorted(t.index for t in plan.tiles)


def test_bytes_and_memory(plan, medium):
    chip = medium[0].chips[0]
    for tile in plan.tiles:
        rows = sum(item.row1 - item.row0 for item in tile.inputs)
        assert tile.bytes_in == rows * chip.shape[1] * (4 + 4 + 2)
        size = sum(v.dtype.itemsize for v in VARIABLES.values())
        assert tile.bytes_out == TILE * TILE * size
        assert tile.peak_memory > TILE * TILE * 100
        assert 0.0 < tile.seconds < 10.0
        assert all(0 <= i.row0 < i.row1 <= chip.shape[0] for i in tile.inputs)
        assert all(i.pixels > 0 and i.patch == 3 for i in tile.inputs)
    assert plan.bytes_in == sum(t.bytes_in for t in plan.tiles)
    assert plan.bytes_out == sum(t.bytes_out for t in plan.tiles)
    assert plan.peak_memory == max(t.peak_memory for t in plan.tiles)


def test_exposures_that_miss_are_named(make, medium, frame):
    away = frame.pixel_to_sky(90_000, 0)
    chips = tuple(
        replace(c, distortion=replace(c.distortion, crval=(float(away[0]), float(away[1]))))
        for c in medium[0].chips
    )
    lost = replace(medium[0], name="ia0alostq", chips=chips)
    plan = make([*medium, lost])
    assert plan.missed == ("ia0alostq",)
    assert lost.name not in [e.name for e in plan.exposures]
    assert plan.digests == make().digests
    nothing = make([lost])
    assert (nothing.tiles, nothing.exposures, nothing.peak_memory) == ((), (), 0)


def test_an_exposure_on_the_other_side_of_the_sky(medium):
    """Nor does it reach a window that holds the origin of its root grid."""
    opposite = Frame.from_center(330.1, -2.2, 0.04, (300, 300))
    for frame in (opposite, opposite.pad(100)):
        plan = make_plan(medium, frame, Layer.of(medium[0]), PARAMETERS, tile=TILE)
        assert plan.tiles == ()
        assert len(plan.missed) == 3
        tile = drizzle_tile(medium, frame, PARAMETERS)
        assert not tile.plane("nexp").any()


def test_what_cannot_be_planned(make, medium):
    with pytest.raises(PlanError, match=f"given twice: {medium[1].name}"):
        make([*medium, medium[1]])
    with pytest.raises(PlanError, match=r"unknown variables.*'weight'.*sci, wht"):
        make(variables=("sci", "weight"))
