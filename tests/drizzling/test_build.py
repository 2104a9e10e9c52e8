"""The runner and the lazy arrays: what is computed, what is skipped, what becomes of failures."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling import build
from hapdask.drizzling.plan import Layer, make_plan
from hapdask.errors import InputError, StoreError
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame

PARAMETERS = DrizzleParameters()


@pytest.fixture(scope="module")
def plan(medium):
    frame = Frame.from_center(150.1, 2.2, 0.04, (600, 600))
    return make_plan(medium, frame, Layer.of(medium[0]), PARAMETERS, tile=256)


class Sink:
    """Counts tiles; may fail."""

    def __init__(self, failing=(), error=StoreError):
        self.failing, self.error, self.tiles, self.lock = set(failing), error, {}, threading.Lock()

    def write_tile(self, index, frame, planes, receipt):
        if index in self.failing:
            raise self.error(f"no place for {index}")
        with self.lock:
            self.tiles[index] = dict(planes), receipt


@pytest.fixture
def counted(monkeypatch):
    """Frames of the tiles drizzled by the builder."""
    frames, real = [], build.drizzle_tile

    def counting(exposures, frame, *rest):
        frames.append(frame)
        return real(exposures, frame, *rest)

    monkeypatch.setattr(build, "drizzle_tile", counting)
    return frames


def test_receipts(plan):
    sink = Sink()
    build.run(plan, sink)
    assert sink.tiles.keys() == plan.digests.keys()
    for tile in plan.tiles:
        planes, receipt = sink.tiles[tile.index]
        assert receipt["digest"] == tile.digest
        planned = {(plan.exposures[i.exposure].name, i.extver) for i in tile.inputs}
        assert set(receipt["inputs"]) <= planned
        assert set(np.unique(planes["ctx"]).tolist()) - {0} <= set(receipt["palette"])
        assert receipt["statistics"]["covered"] == (planes["nexp"] > 0).sum()
        assert receipt["statistics"]["max_nexp"] == planes["nexp"].max()
        numbers, pixels = np.unique(planes["nexp"][planes["nexp"] > 0], return_counts=True)
        depth = np.stack([numbers, pixels], axis=-1).tolist()
        assert receipt["statistics"]["depth"] == depth
        covered = planes["wht"] > 0
        mean = planes["wht"][covered].mean(dtype=float)
        assert receipt["statistics"]["mean_wht"] == pytest.approx(mean)


@pytest.mark.parametrize("variables", [("sci", "ctx"), ("quality",), ("epoch_max", "wht")])
def test_any_variables_can_be_made(plan, variables):
    sink = Sink()
    some = replace(plan, variables=variables)
    assert all(o.error is None for o in build.run(some, sink))
    assert all(tuple(planes) == variables for planes, _ in sink.tiles.values())


def test_finished_tiles_are_skipped(plan, counted):
    done = {plan.tiles[0].index: plan.tiles[0].digest, plan.tiles[1].index: "another digest"}
    sink, seen = Sink(), []
    outcomes = build.run(
        plan, sink, skip=lambda index, digest: done.get(index) == digest, progress=seen.append
    )
    assert [o.index for o in outcomes] == [t.index for t in plan.tiles[1:]]
    assert len(counted) == len(seen) == len(plan.tiles) - 1
    assert build.run(plan, sink, skip=lambda *_: True) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_is_an_outcome_and_the_others_go_on(plan, threads):
    bad = plan.tiles[2].index
    sink = Sink([bad])
    outcomes = build.run(plan, sink, threads=threads)
    errors = {o.index: o.error for o in outcomes if o.error is not None}
    assert list(errors) == [bad]
    assert isinstance(errors[bad], StoreError)
    assert len(sink.tiles) == len(plan.tiles) - 1


def test_an_unreadable_input_is_named(plan):
    name = plan.exposures[0].name
    exposures = tuple(
        replace(e, url=e.url + ".gone") if e.name == name else e for e in plan.exposures
    )
    outcomes = build.run(replace(plan, exposures=exposures), Sink())
    errors = [o.error for o in outcomes if o.error is not None]
    assert errors
    assert all(isinstance(e, InputError) and e.path.endswith(".gone") for e in errors)


def test_a_bug_is_not_swallowed(plan):
    with pytest.raises(ZeroDivisionError):
        build.run(plan, Sink([plan.tiles[0].index], ZeroDivisionError), threads=2)


def test_lazy_arrays_compute_only_what_is_looked_at(plan, counted):
    arrays = build.lazy_planes(plan)
    assert not counted
    assert list(arrays) == list(plan.variables)
    for name, array in arrays.items():
        assert (array.dtype, array.shape) == (VARIABLES[name].dtype, plan.frame.shape)
    tile = plan.tiles[3]
    rows, columns = tile.frame.slices_in(plan.frame)
    value = arrays["sci"][rows.start + 5, columns.start + 7].compute(scheduler="synchronous")
    assert counted == [tile.frame]
    assert value.dtype == np.float32
    # All variables of a tile are made by one task.
    import dask

    counted.clear()
    part = [arrays[name][rows, columns] for name in plan.variables]
    dask.compute(*part, scheduler="threads")
    assert counted == [tile.frame]


def test_lazy_arrays_where_nothing_reaches(medium, counted):
    frame = Frame.from_center(150.1, 2.2, 0.04, (4000, 300))
    plan = make_plan(medium, frame, Layer.of(medium[0]), PARAMETERS, tile=256)
    arrays = build.lazy_planes(plan)
    for name, array in arrays.items():
        empty = array[:200].compute(scheduler="synchronous")
        np.testing.assert_array_equal(empty, np.full_like(empty, VARIABLES[name].fill))
    assert not counted


def test_graphs_are_small_and_deterministic(plan):
    import cloudpickle

    first, again = build.lazy_planes(plan), build.lazy_planes(plan)
    assert first["sci"].name == again["sci"].name
    other = build.lazy_planes(replace(plan, variables=("sci",)))
    assert other["sci"].name != first["sci"].name
    for tile in plan.tiles:
        assert len(cloudpickle.dumps(build.tile_task(plan, tile))) < 20_000
