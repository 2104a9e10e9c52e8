"""The same bytes, however the work is cut: windows, tiles, order, threads, processes, stores."""

import os
import random
from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling import build
from hapdask.drizzling.plan import Layer, make_plan
from hapdask.drizzling.tile import drizzle_tile
from hapdask.products.store import MosaicStore, open_mosaic
from hapdask.recipes.mosaic import dataset_of
from hapdask.schema import ALL
from hapdask.sky.frame import Frame

PARAMETERS = DrizzleParameters()
#: A window of 1500 x 1500 pixels across a border of tiles of every size up to 4096.
ORIGIN, SIDE = (4096 - 611, 4096 - 803), 1500
SCALE = 0.04 / 3600.0


@pytest.fixture(scope="module")
def frame():
    crpix = (ORIGIN[1] + SIDE / 2 + 0.3, ORIGIN[0] + SIDE / 2 + 0.9)
    return Frame((150.1, 2.2), crpix, (-SCALE, 0.0, 0.0, SCALE), (SIDE, SIDE), ORIGIN)


@pytest.fixture(scope="module")
def whole(medium, frame):
    """The window as one tile: the oracle."""
    return dict(drizzle_tile(medium, frame, PARAMETERS).planes())


@pytest.fixture(scope="module")
def plans(medium, frame):
    def make(tile, **options):
        return make_plan(medium, frame, Layer.of(medium[0]), PARAMETERS, tile=tile, **options)

    return make


class Memory:
    """A sink that keeps what it is given."""

    def __init__(self):
        self.order, self.planes, self.receipts = [], {}, {}

    def write_tile(self, index, frame, planes, receipt):
        self.order.append(index)
        self.planes[index] = frame, dict(planes)
        self.receipts[index] = receipt

    def assembled(self, frame):
        from hapdask.schema import VARIABLES

        out = {n: np.full(frame.shape, v.fill, v.dtype) for n, v in VARIABLES.items()}
        for part, planes in self.planes.values():
            inside = part & frame
            for name, plane in planes.items():
                out[name][inside.slices_in(frame)] = plane[inside.slices_in(part)]
        return out


def same(found, expected):
    for name in ALL:
        assert np.ascontiguousarray(found[name]).tobytes() == expected[name].tobytes(), name


def test_the_window_holds_something_of_everything(whole):
    assert set(np.unique(whole["nexp"])) == {0, 1, 2, 3}
    assert np.unique(whole["ctx"]).size > 20
    assert set(np.unique(whole["quality"])) >= {0, 16, 64, 256}
    assert np.isnan(whole["sci"]).any()


@pytest.mark.parametrize(
    "window",
    [
        (0, 1500, 0, 700), (611, 612, 0, 1500), (300, 301, 777, 778), (450, 1000, 500, 501),
        (613, 1217, 321, 1099), (0, 3, 0, 3),
    ],
)  # fmt: skip
def test_any_window_is_a_slice_of_the_whole(medium, frame, whole, window):
    y0, y1, x0, x1 = window
    found = dict(drizzle_tile(medium, frame[y0:y1, x0:x1], PARAMETERS).planes())
    same(found, {name: plane[y0:y1, x0:x1] for name, plane in whole.items()})


@pytest.mark.parametrize("tile", [512, 1024, 2048, 4096])
def test_any_size_of_tiles(plans, frame, whole, tile):
    sink = Memory()
    build.run(plans(tile), sink)
    assert len(sink.order) == (14 if tile == 512 else 4)
    same(sink.assembled(frame), whole)


@pytest.mark.parametrize("kernel", ["turbo", "point", "gaussian", "lanczos2", "lanczos3"])
def test_any_kernel(medium, frame, kernel):
    """Every plane of every kernel: tiles of 512 against one; what has inputs has a weight."""
    parameters = replace(PARAMETERS, kernel=kernel, pixfrac=0.9)
    expected = drizzle_tile(medium, frame, parameters)
    planes = dict(expected.planes())
    plan = make_plan(medium, frame, Layer.of(medium[0]), parameters, tile=512)
    sink = Memory()
    build.run(plan, sink, threads=2)
    same(sink.assembled(frame), planes)
    used = planes["nexp"] > 0
    assert np.array_equal(used, planes["wht"] > 0)
    assert np.array_equal(used, planes["ctx"] != 0)
    for name in ("sci", "epoch", "epoch_min"):
        assert np.array_equal(used, np.isfinite(planes[name])), name
    assert used.mean() > 0.5
    assert (planes["quality"][~used] == 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_any_order_and_number_of_threads(plans, frame, whole, threads):
    plan = plans(512, whole_tiles=True)
    tiles = list(plan.tiles)
    random.Random(4).shuffle(tiles)
    sink = Memory()
    outcomes = build.run(replace(plan, tiles=tuple(tiles)), sink, threads=threads)
    assert [o.index for o in outcomes] == [t.index for t in tiles]
    assert all(o.error is None for o in outcomes)
    same(sink.assembled(frame), whole)


def test_the_plan_does_not_depend_on_the_order_of_exposures(plans, medium, frame):
    plan = plans(512)
    other = make_plan(medium[::-1], frame, Layer.of(medium[0]), PARAMETERS, tile=512)
    assert other == plan
    for tile in plan.tiles:
        assert other.inputs_of(tile) == plan.inputs_of(tile)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_lazy_dataset(plans, whole, scheduler):
    ds = dataset_of(plans(1024)).compute(scheduler=scheduler, num_workers=2)
    same({name: ds[name].values for name in ALL}, whole)


def stored(plan, folder, **options):
    store = MosaicStore.create_or_open(
        folder, plan.frame, plan.layer, plan.tile, place="custom/test", variables=ALL
    )
    with store:
        store.begin(plan.digests, plan.frame, records=plan.exposures)
        outcomes = build.run(plan, store, **options)
        assert [o.error for o in outcomes] == [None] * len(plan.tiles)
        store.end()
    return open_mosaic(store.url)


def test_a_store(plans, frame, whole, tmp_path):
    plan = plans(512, whole_tiles=True)
    ds = stored(plan, tmp_path).compute()
    rows, columns = frame.slices_in(plan.frame)
    same({name: ds[name].values[rows, columns] for name in ALL}, whole)
    lazy = dataset_of(plan).compute()
    same({name: lazy[name].values for name in ALL}, {name: ds[name].values for name in ALL})
    palette = ds.ctx.attrs["palette"]
    direct = drizzle_tile(plan.exposures, frame, PARAMETERS).palette
    for key in direct:
        if key:
            assert sorted(palette[key]) == sorted(direct[key])


def test_two_processes(plans, frame, whole, tmp_path):
    from distributed import Client, LocalCluster

    plan = plans(512, whole_tiles=True)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            host="127.0.0.1",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        pids = set(client.run(os.getpid).values())
        assert len(pids - {os.getpid()}) == 2
        ds = stored(plan, tmp_path, client=client).compute(scheduler="synchronous")
        missing = replace(
            plan, exposures=tuple(replace(e, url=e.url + ".gone") for e in plan.exposures)
        )
        outcomes = build.run(replace(missing, tiles=plan.tiles[:1]), Memory(), client=client)
        assert [type(o.error).__name__ for o in outcomes] == ["InputError"]
        assert outcomes[0].error.path.endswith(".gone")
    rows, columns = frame.slices_in(plan.frame)
    same({name: ds[name].values[rows, columns] for name in ALL}, whole)
