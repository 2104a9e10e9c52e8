import errno
import hashlib
import importlib.util
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.drizzling.palette import Palette
from hapdask.errors import FrameError, StoreError
from hapdask.observe.record import ExposureRecord, FileIdentity
from hapdask.products import lock
from hapdask.products.layout import frame_attributes, frame_from_attributes, group_name
from hapdask.products.objects import Objects
from hapdask.products.palettes import palette_from_bytes, palette_to_bytes
from hapdask.products.provenance import write_records
from hapdask.products.receipts import Manifest, Receipt
from hapdask.products.store import MosaicStore, open_mosaic
from hapdask.schema import VARIABLES

SCRIPT = Path(__file__).with_name("fake_writer.py")
_spec = importlib.util.spec_from_file_location("fake_writer", SCRIPT)
fake = importlib.util.module_from_spec(_spec)
sys.modules["fake_writer"] = fake
_spec.loader.exec_module(fake)

GROUP = "p1889/wfc3_uvis_f475w/fine"
ROOT = Path(__file__).parents[2]


def contents(folder):
    """Name -> hash of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def times(folder):
    return {str(p): p.stat().st_mtime_ns for p in Path(folder).rglob("*") if p.is_file()}


def start(path, word="first", **options):
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), word],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **options,
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("original")
    fake.run(path, fake.region(), fake.plan(fake.region()))
    return path


@pytest.fixture
def done(tmp_path, original):
    """A finished store of 2 x 3 tiles."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path


# What is written


def test_planes_come_back_bit_for_bit(done):
    window = fake.region()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = open_mosaic(done / GROUP)
    assert ds.hap.frame == window
    assert set(ds.data_vars) == set(VARIABLES) | {"pixel_area"}
    for name, variable in VARIABLES.items():
        expected = np.empty(window.shape, variable.dtype)
        for index, part in window.tiles(fake.TILE):
            digest = fake.plan(window)[index]
            expected[part.slices_in(window)] = fake.plane(name, part.shape, index, digest)
        assert ds[name].dtype == variable.dtype
        np.testing.assert_array_equal(ds[name].values, expected)
    np.testing.assert_array_equal(ds.pixel_area.values, window.pixel_area())
    assert ds.attrs["filter"] == "f475w"
    assert ds.attrs["parameters"] == {"pixfrac": 1.0}
    assert ds.sci.attrs["units"] == "electron / s"


def test_group_is_plain_zarr_with_the_whole_cell_and_its_frame(done):
    folder = done / GROUP
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(folder, mode="r")
        assert {name for name, _ in group.members()} == {*VARIABLES, "receipts"}
        plain = xr.open_zarr(folder, consolidated=False, chunks=None)
    side = -(-fake.SIDE // fake.TILE) * fake.TILE
    assert group["sci"].shape == plain.sci.shape == (side, side)
    assert group["sci"].chunks == (fake.CHUNK, fake.CHUNK)
    assert frame_from_attributes(group.attrs) == fake.root_frame()
    metadata = json.loads((folder / "sci/zarr.json").read_text())
    codec = metadata["codecs"][1]["configuration"]
    assert (codec["cname"], codec["shuffle"]) == ("lz4", "bitshuffle")
    assert metadata["dimension_names"] == ["y", "x"]
    # One of four chunks of a tile is empty, and is not there.
    assert sum(1 for _ in (folder / "sci/c").rglob("*") if _.is_file()) == 6 * 3


def test_frame_attributes_keep_every_bit_and_a_fits_header():
    from astropy.io import fits

    third = replace(fake.root_frame(), cd=(-1 / 9e4, 1e-7 / 3, 1e-7 / 3, 1 / 9e4), origin=(-7, 3))
    attributes = json.loads(json.dumps(frame_attributes(third)))
    assert frame_from_attributes(attributes) == third
    header = fits.Header.fromstring(attributes["wcs"], sep="\n")
    assert (header["CTYPE1"], header["NAXIS1"]) == ("RA---TAN", fake.SIDE)
    assert header["CRPIX2"] == 225144.0 + 7
    with pytest.raises(StoreError, match="frame"):
        frame_from_attributes({"frame": {"crval": [1]}})


def test_receipt_holds_what_was_given(done):
    store = MosaicStore.open(done / GROUP)
    receipt = store.receipt((1000, 2001))
    assert receipt.digest == "first-1000-2001"
    assert receipt.inputs == fake.CHIPS
    assert dict(store.palette((1000, 2001))) == {0: (), **fake.PALETTE}
    assert receipt.statistics == {"pixels": 3, "mean": 0.5, "bad": None}
    assert receipt.algorithm == "1"
    assert Receipt.from_bytes(receipt.to_bytes()) == receipt
    assert store.receipt((0, 0)) is None
    assert store.palette((0, 0)) is None


def test_palette_and_records_are_read_when_asked(done, monkeypatch):
    record = ExposureRecord(
        name="ib4606c5q",
        url="/data/ib4606c5q_flc.fits",
        identity=FileIdentity(1, "a", "b"),
        instrument="wfc3",
        detector="uvis",
        filter="f475w",
        exptime=350.0,
        expstart=55000.0,
        expend=55000.1,
        unit="electron",
        proposal="11664",
        visit="ib4606",
        target="ANY",
        suffix="flc",
        wcsname="IDC",
        chips=(),
    )
    store = fake.create(done)
    with store:
        store.begin(fake.plan(fake.region()), fake.region(), records=[record])
        store.end()
    reads = []
    original = MosaicStore.palette
    monkeypatch.setattr(
        MosaicStore, "palette", lambda self, index: reads.append(index) or original(self, index)
    )
    ds = open_mosaic(done / GROUP)
    palette, records = ds.ctx.attrs["palette"], ds.attrs["records"]
    copy = ds.copy(deep=True)
    repr(ds)
    assert copy.ctx.attrs["palette"] == palette
    assert hash(records) == hash(copy.attrs["records"])
    assert palette != records
    assert not reads
    assert dict(palette) == {0: (), **fake.PALETTE}
    assert palette[np.uint64(2**64 - 5)] == fake.CHIPS[1:]
    assert len(reads) == 6
    reads.clear()
    ra, dec = ds.hap.frame.pixel_to_sky(130, 120)
    assert ds.hap.inputs(ra, dec) in fake.PALETTE.values()
    assert reads == [(1000, 2001)]
    assert dict(records) == {"ib4606c5q": record}
    with pytest.raises(KeyError):
        records["ib4606c8q"]
    path = done / GROUP / "receipts/records/ib4606c5q.json"
    for text in ("", "{}"):
        path.write_text(text)
        with pytest.raises(StoreError, match="record"):
            records["ib4606c5q"]
    with pytest.raises(StoreError, match="name of an exposure"):
        write_records(Objects(str(done)), [replace(record, name="../x")])


def test_variables_can_be_few(tmp_path):
    window = fake.region(1, 1)
    fake.run(tmp_path, window, fake.plan(window), variables=("sci", "ctx"))
    assert set(open_mosaic(tmp_path / GROUP).data_vars) == {"sci", "ctx", "pixel_area"}


def test_custom_frame_off_the_tiles(tmp_path):
    frame = replace(fake.root_frame(), shape=(200, 150), origin=(-30, 70), name="")
    store = MosaicStore.create_or_open(
        tmp_path, frame, fake.Layer(), 128, chunk=64, place="custom/field", variables=("sci",)
    )
    assert store.url.endswith("custom/field/wfc3_uvis_f475w")
    planned = {index: str(index) for index, _ in frame.tiles(128)}
    assert (-1, 0) in planned
    values = np.arange(200 * 150, dtype="float32").reshape(200, 150)
    with store:
        store.begin(planned, frame)
        for index, part in frame.tiles(128):
            plane = values[part.slices_in(frame)]
            store.write_tile(index, part, [("sci", plane)], {"digest": planned[index]})
        store.end()
    ds = open_mosaic(store.url, complete=True)
    assert ds.hap.frame == frame
    np.testing.assert_array_equal(ds.sci.values, values)
    part = frame[20:199, 3:140]
    np.testing.assert_array_equal(open_mosaic(store.url, part).sci.values, values[20:199, 3:140])


def test_on_an_fsspec_url():
    window = fake.region(1, 2)
    url = "memory://test-store/out"
    assert len(fake.run(url, window, fake.plan(window))) == 2
    assert fake.run(url, window, fake.plan(window)) == []
    ds = open_mosaic(f"{url}/{GROUP}", complete=True)
    np.testing.assert_array_equal(
        ds.sci.values[:, :128], fake.plane("sci", (128, 128), (1000, 2000), "first-1000-2000")
    )
    fake.run(url, window, {(1000, 2000): "second"})
    assert np.isnan(open_mosaic(f"{url}/{GROUP}").sci.values[:, 128:]).all()


# What a rerun writes


def test_rerun_touches_nothing(done):
    before = times(done)
    assert fake.run(done, fake.region(), fake.plan(fake.region())) == []
    assert times(done) == before


def test_rerun_writes_what_changed_and_nothing_else(done):
    window = fake.region()
    before, was = times(done), contents(done)
    planned = fake.plan(window) | {(1001, 2002): "other"}
    assert fake.run(done, window, planned) == [(1001, 2002)]
    changed = {
        Path(p).relative_to(done / GROUP) for p, t in times(done).items() if before.get(p) != t
    }
    rows, columns = range(2002, 2004), range(4004, 4006)
    for path in changed:
        if path.parts[0] == "receipts":
            assert path.name in {"1001_2002.json", "1001_2002.palette", "run.json"}
        else:
            assert int(path.parts[2]) in rows
            assert int(path.parts[3]) in columns
    assert fake.run(done, window, fake.plan(window)) == [(1001, 2002)]
    assert contents(done) == was


def test_tiles_that_lost_all_inputs_are_emptied(done):
    window = fake.region()
    planned = fake.plan(window)
    del planned[(1000, 2001)]
    assert fake.run(done, window, planned) == []
    ds = open_mosaic(done / GROUP, complete=True)
    assert np.isnan(ds.sci.values[:128, 128:256]).all()
    assert np.isfinite(ds.sci.values[:128, 256:]).any()
    assert not (ds.ctx.values[:128, 128:256]).any()
    store = MosaicStore.open(done / GROUP)
    assert store.receipt((1000, 2001)) is None
    fresh = done / "fresh"
    fake.run(fresh, window, planned)
    assert contents(fresh / GROUP) == contents(done / GROUP)


def test_two_regions_share_a_group(done):
    second = fake.region(2, 2, x0=2002)
    old = fake.plan(fake.region())
    assert len(fake.run(done, second, fake.plan(second))) == 2
    manifest = MosaicStore.open(done / GROUP).manifest()
    assert set(manifest.planned) == set(old) | set(fake.plan(second))
    ds = open_mosaic(done / GROUP, complete=True)
    assert ds.hap.frame == fake.region(2, 4)
    # Dropping tiles of the second region leaves the rest of the first.
    fake.run(done, second, {})
    ds = open_mosaic(done / GROUP, complete=True)
    assert np.isfinite(ds.sci.values[:, :256]).any()
    assert np.isnan(ds.sci.values[:, 256:]).all()


# What is not finished


def test_unfinished_tiles_read_as_empty_with_a_warning(done):
    window = fake.region()
    store = fake.create(done)
    planned = fake.plan(window, "second")
    with store:
        store.begin(planned, window)
        fake.write(store, (1000, 2000), planned[(1000, 2000)])
    with pytest.warns(UserWarning, match="5 planned tiles"):
        ds = open_mosaic(done / GROUP)
    assert np.isfinite(ds.sci.values[:128, :128]).any()
    assert np.isnan(ds.sci.values[128:]).all()
    assert np.isnan(ds.sci.values[:128, 128:]).all()
    assert set(ds.ctx.attrs["palette"]) == {0, *fake.PALETTE}
    with pytest.raises(StoreError, match="5 planned tiles"):
        open_mosaic(done / GROUP, complete=True)
    # A window of finished tiles is still part of an unfinished run.
    with pytest.raises(StoreError, match="0 planned tiles"):
        open_mosaic(done / GROUP, window[:128, :128], complete=True)


def test_lost_and_damaged_receipts_are_not_finished_tiles(done):
    folder = done / GROUP / "receipts"
    (folder / "1000_2000.json").unlink()
    (folder / "1000_2001.json").write_bytes(b"")
    (folder / "1000_2002.json").write_bytes(b'{"digest": 3}')
    with pytest.warns(UserWarning, match="3 planned tiles"):
        ds = open_mosaic(done / GROUP)
    assert np.isnan(ds.sci.values[:128]).all()
    assert len(fake.run(done, fake.region(), fake.plan(fake.region()))) == 3
    open_mosaic(done / GROUP, complete=True)


def test_a_dataset_opened_before_a_rerun_never_shows_half_a_tile(done):
    ds = open_mosaic(done / GROUP)
    store = fake.create(done)
    with store:
        store.begin(fake.plan(fake.region(), "second"), fake.region())
        assert np.isfinite(ds.sci.values[:128, :128]).any()
        fake.write(store, (1000, 2000), "second-1000-2000")
        with pytest.raises(StoreError, match="open the mosaic again"):
            ds.sci.values[:128, :128]
        with pytest.raises(StoreError, match="open the mosaic again"):
            ds.isel(y=5, x=5).sci.compute()
        assert np.isfinite(ds.isel(y=5, x=200).sci.compute())


def test_failing_tiles_leave_no_receipt(done):
    window = fake.region()
    planned = fake.plan(window, "second")
    index = (1000, 2000)
    frame = window[:128, :128]

    def planes(upto=None, **change):
        for i, name in enumerate(VARIABLES):
            if i == upto:
                raise RuntimeError("the kernel failed")
            yield name, change.get(name, fake.plane(name, (128, 128), index, "x"))

    wrong = np.zeros((128, 127), "float32")
    cases = [
        (planes(5), RuntimeError, "the kernel failed"),
        (list(planes())[:-1], StoreError, "lacks planes.*quality"),
        (list(planes()) * 2, StoreError, "given twice"),
        ([*planes(), ("what", wrong)], StoreError, "unknown"),
        (planes(err=wrong), StoreError, "not float32"),
        (planes(err=np.zeros((128, 128))), StoreError, "is float64"),
    ]
    store = fake.create(done)
    with store:
        store.begin(planned, window)
        for given, error, text in cases:
            with pytest.raises(error, match=text):
                store.write_tile(index, frame, given, fake.receipt("second-1000-2000"))
            assert store.receipt(index) is None
        with pytest.raises(StoreError, match="must cover"):
            store.write_tile(index, frame[:, 1:], planes(), fake.receipt("x"))
        with pytest.raises(StoreError, match="no digest"):
            store.write_tile(index, frame, planes(), {})
        with pytest.raises(StoreError, match=r"unknown fields \['nonsense'\]"):
            store.write_tile(index, frame, planes(), {"digest": "a", "nonsense": 1})
        with pytest.raises(StoreError, match="6 of 6 planned tiles are not finished"):
            store.end()


# Locks


def test_one_coordinator_at_a_time(done):
    window, planned = fake.region(), fake.plan(fake.region())
    first, second = fake.create(done), fake.create(done)
    first.begin(planned, window)
    with pytest.raises(StoreError, match=f"process {os.getpid()}"):
        second.begin(planned, window)
    with pytest.raises(StoreError, match="in a run already"):
        first.begin(planned, window)
    pickle.loads(pickle.dumps(first)).close()  # a worker's copy does not own the lock
    with pytest.raises(StoreError):
        second.begin(planned, window)
    first.close()
    second.begin(planned, window)
    del second  # nobody ended it
    fake.run(done, window, planned)


def test_writers_outside_a_run_are_refused(done):
    store = fake.create(done)
    with pytest.raises(StoreError, match="between begin and end"):
        fake.write(store, (1000, 2000), "x")
    with pytest.raises(StoreError, match="no run"):
        store.end()
    store.begin(fake.plan(fake.region(), "second"), fake.region())
    orphan = pickle.loads(pickle.dumps(store))
    store.close()
    before = contents(done)
    with pytest.raises(StoreError, match="taken over"):
        fake.write(orphan, (1000, 2000), "x")
    with fake.create(done) as other:
        other.begin(fake.plan(fake.region(), "second"), fake.region())
        with pytest.raises(StoreError, match="taken over"):
            orphan.discard((1000, 2000))
    assert contents(done) == before


def test_lock_of_another_host_is_respected_and_damage_is_not(tmp_path):
    objects = Objects(str(tmp_path))
    elsewhere = replace(lock.Holder.me(), host="elsewhere")
    objects.put("lock", elsewhere.to_bytes())
    with pytest.raises(StoreError, match=r"elsewhere.*delete"):
        lock.acquire(objects, "lock")
    objects.put("lock", b"{")
    assert lock.holds(objects, "lock", lock.acquire(objects, "lock").token)


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = replace(lock.Holder.me(), pid=child.pid, started=lock._started(child.pid))
    assert not there.gone
    child.kill()
    while not there.gone:  # dead, and not waited for
        time.sleep(0.01)
    child.wait()
    assert there.gone


def test_a_number_given_out_again_is_not_the_holder(tmp_path):
    objects = Objects(str(tmp_path))
    me = lock.Holder.me()
    reused = replace(me, pid=os.getppid(), started=me.started - 1000)  # alive, but another process
    objects.put("lock", reused.to_bytes())
    holder = lock.acquire(objects, "lock")
    lock.release(objects, "lock", reused)
    assert lock.holds(objects, "lock", holder.token)
    lock.release(objects, "lock", holder)
    assert objects.get("lock") is None


def test_many_want_a_stale_lock_and_it_ends_with_one_of_them(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for trial in range(20):
        objects = Objects(str(tmp_path / str(trial)))
        objects.put("lock", replace(lock.Holder.me(), pid=dead.pid).to_bytes())
        barrier, won = threading.Barrier(4), []

        def take(objects=objects, barrier=barrier, won=won):
            barrier.wait()
            try:
                holder = lock.acquire(objects, "lock")
            except StoreError:
                return
            won.append(holder.token)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        data = Objects(str(tmp_path / str(trial))).get("lock")
        assert lock.Holder.from_bytes(data).token in won


# Processes


def test_two_processes_write_different_tiles(tmp_path):
    window = fake.region()
    planned = fake.plan(window)
    store = fake.create(tmp_path)
    with store:
        store.begin(planned, window, about={"parameters": {"pixfrac": 1.0}})
        (tmp_path / "store.pickle").write_bytes(pickle.dumps(store))
        code = (
            "import pickle, sys; sys.path.insert(0, sys.argv[1]); import fake_writer as fake\n"
            "store = pickle.load(open(sys.argv[2], 'rb'))\n"
            "tiles = sorted(fake.plan(fake.region()).items())[int(sys.argv[3])::2]\n"
            "for index, digest in tiles: fake.write(store, index, digest)"
        )
        workers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    code,
                    str(SCRIPT.parent),
                    str(tmp_path / "store.pickle"),
                    str(part),
                ],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
            for part in range(2)
        ]
        assert [worker.wait() for worker in workers] == [0, 0]
        store.end()
    alone = tmp_path / "alone"
    fake.run(alone, window, planned)
    assert contents(alone / GROUP) == contents(tmp_path / GROUP)


def test_kill_at_random_moments_then_rerun_gives_the_same_bytes(tmp_path):
    window = fake.region()
    fake.run(tmp_path / "calm", window, fake.plan(window))
    fake.run(tmp_path / "calm", window, fake.plan(window, "second"))
    expected = contents(tmp_path / "calm" / GROUP)
    fake.run(tmp_path / "killed", window, fake.plan(window))
    group = tmp_path / "killed" / GROUP
    rng = random.Random(5)
    for _ in range(3):
        process = start(tmp_path / "killed", "second")
        for _ in range(rng.randrange(1, 17)):
            assert process.stdout.readline() == "plane\n"
        time.sleep(rng.uniform(0.0, 0.02))
        process.send_signal(signal.SIGKILL)
        assert "done" not in process.communicate()[0]
        check_shown_tiles(group, window)
    # Died in the middle of a chunk, of a receipt and of the manifest.
    for stray in ("sci/c/2000/4000", "receipts/1000_2000", "receipts/run"):
        name = group / f"{stray}.{'0' * 32}.partial"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(b"half")
    (group / "receipts/1000_2001.json").unlink(missing_ok=True)
    fake.run(tmp_path / "killed", window, fake.plan(window, "second"))
    assert contents(group) == expected


def check_shown_tiles(group, window):
    """Whatever a reader is shown is whole: a tile of the new run, of the old one, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = open_mosaic(group)
    for index, part in window.tiles(fake.TILE):
        rows, columns = part.slices_in(window)
        for name in ("sci", "quality"):
            shown = ds[name].isel(y=rows, x=columns).values
            fill = np.full(part.shape, VARIABLES[name].fill, VARIABLES[name].dtype)
            whole = [
                fake.plane(name, part.shape, index, f"{word}-{index[0]}-{index[1]}")
                for word in ("first", "second")
            ]
            assert any(
                np.array_equal(shown, p, equal_nan=shown.dtype.kind == "f") for p in (fill, *whole)
            )


def test_kill_between_manifest_and_discard(done, monkeypatch):
    """A tile that lost its inputs is emptied even if the run that began it died."""
    window = fake.region()
    planned = fake.plan(window)
    del planned[(1000, 2001)]
    with monkeypatch.context() as patch:
        patch.setattr(MosaicStore, "discard", lambda self, index: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fake.run(done, window, planned)
    fake.run(done, window, planned)
    fake.run(done / "fresh", window, planned)
    assert contents(done / "fresh" / GROUP) == contents(done / GROUP)


# Bad places


def test_another_layout_is_refused(done):
    for options, text in (
        ({"chunk": 32}, "chunk 64, not 32"),
        ({"variables": ("sci",)}, "variables"),
        ({"flux_unit": "counts / s"}, "flux_unit"),
    ):
        with pytest.raises(StoreError, match=text):
            fake.create(done, **options)
    with pytest.raises(StoreError, match="tile 128, not 256"):
        MosaicStore.create_or_open(done, fake.root_frame(), fake.Layer(), 256, chunk=64)
    with pytest.raises(StoreError, match="whole chunks"):
        fake.create(done, chunk=100)
    with pytest.raises(StoreError, match="unknown variables"):
        fake.create(done, variables=("sci", "nothing"))


def test_a_creation_that_was_cut_short_is_completed(tmp_path):
    fake.create(tmp_path)
    group = tmp_path / GROUP
    expected = contents(group)
    (group / "zarr.json").unlink()
    (group / "wht" / "zarr.json").unlink()
    fake.create(tmp_path)
    assert contents(group) == expected


def test_names_cannot_leave_the_store():
    words = ("wfc3", "uvis", "f475w", "fine")
    assert group_name("custom/m51", words) == "custom/m51/wfc3_uvis_f475w"
    for place in ("", "p12", "../p1889", "custom/..", "custom/a/b", "custom/", "p1889/x"):
        with pytest.raises(StoreError):
            group_name(place, words)
    with pytest.raises(StoreError, match="name of a folder"):
        group_name("p1889", ("wfc3", "uvis", "../f475w", "fine"))


def test_plans_that_do_not_fit(done):
    store = fake.create(done)
    window = fake.region()
    with pytest.raises(StoreError, match="outside the frame"):
        store.begin({(-1, 0): "a"}, window)
    with pytest.raises(StoreError, match="outside the region"):
        store.begin({(5, 5): "a"}, window)
    with pytest.raises(StoreError, match="outside the store"):
        store.begin({}, replace(window, origin=(-5000, 0)))
    with pytest.raises(FrameError):
        store.begin({}, replace(window, crval=(1.0, 2.0)))


def test_nothing_there(tmp_path, done):
    with pytest.raises(StoreError, match="none below it"):
        open_mosaic(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"mosaics here: .*wfc3_uvis_f475w/fine"):
        open_mosaic(done)
    fake.create(tmp_path / "empty")
    with pytest.raises(StoreError, match="is empty"):
        open_mosaic(tmp_path / "empty" / GROUP)
    with pytest.raises(StoreError, match="another grid"):
        open_mosaic(done / GROUP, replace(fake.region(), crval=(1.0, 2.0)))
    with pytest.raises(StoreError, match="outside"):
        open_mosaic(done / GROUP, replace(fake.region(), origin=(-5000, 0)))
    (done / GROUP / "receipts/run.json").write_bytes(b"[]")
    with pytest.raises(StoreError, match="damaged"):
        open_mosaic(done / GROUP)


def test_newer_layouts_are_refused(done):
    path = done / GROUP / "zarr.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(StoreError, match="layout version 99"):
        open_mosaic(done / GROUP)


def test_damaged_metadata_is_an_error(done):
    for text in ("", "[1]", '{"attributes": {"hapdask": {"schema": 1}}}'):
        (done / GROUP / "zarr.json").write_text(text)
        with pytest.raises(StoreError, match=r"(is|has) damaged"):
            open_mosaic(done / GROUP)
        with pytest.raises(StoreError, match=r"(is|has) damaged"):
            fake.create(done)


def test_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="a part of that path is a file"):
        fake.create(tmp_path / "file")
    with pytest.raises(StoreError, match="/proc/nowhere"):
        fake.create("/proc/nowhere")


@pytest.mark.parametrize("what", ["chunk", "receipt"])
def test_full_disk(done, monkeypatch, what):
    window, planned = fake.region(), fake.plan(fake.region(), "second")
    store = fake.create(done)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/the/disk/full")

    with store:
        store.begin(planned, window)
        with monkeypatch.context() as patch:
            if what == "chunk":
                patch.setattr("zarr.storage._local._put", full)
            else:
                patch.setattr(Path, "write_bytes", full)
            with pytest.raises(StoreError, match=r"No space left.*free space") as caught:
                fake.write(store, (1000, 2000), "second-1000-2000")
        assert GROUP in str(caught.value)
        assert store.receipt((1000, 2000)) is None
        assert not list(done.rglob("*.partial"))
    fake.run(done, window, planned)
    fake.run(done / "fresh", window, planned)
    assert contents(done / "fresh" / GROUP) == contents(done / GROUP)


def test_limit_on_file_size(tmp_path):
    """A real refusal of the operating system, in a process of its own."""
    import resource

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    process = start(tmp_path, preexec_fn=limit)
    _, text = process.communicate()
    assert process.returncode == 1
    assert "StoreError" in text
    assert "ulimit -f" in text
    assert not list(tmp_path.rglob("*.partial"))
    fake.run(tmp_path, fake.region(), fake.plan(fake.region()))
    open_mosaic(tmp_path / GROUP, complete=True)


# Laziness and cost


def test_opening_computes_nothing_and_makes_no_tasks_per_tile(done):
    def refuse(*args, **kwargs):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        ds = open_mosaic(done / GROUP)
        whole = open_mosaic(done / GROUP, fake.root_frame())
        repr(whole)
        assert whole.sci.shape == (fake.SIDE, fake.SIDE)
        with pytest.raises(AssertionError, match="computed"):
            ds.sci.values  # noqa: B018


def test_keys_are_deterministic(done):
    first, second = open_mosaic(done / GROUP), open_mosaic(done / GROUP)
    assert first.sci.data.name == second.sci.data.name
    assert tokenize(first) == tokenize(second)
    assert first.sci.data.name != first.wht.data.name
    fake.run(done, fake.region(), fake.plan(fake.region()) | {(1000, 2000): "x"})
    assert open_mosaic(done / GROUP).sci.data.name != first.sci.data.name


def test_slices_of_slices(done):
    ds = open_mosaic(done / GROUP)
    values = ds.sci.values
    for rows, columns in (
        (slice(3, 200, 7), 5),
        (slice(None, None, -1), slice(300, 20, -3)),
        (-1, -2),
        (slice(5, 5), slice(None)),
        ([1, 200, 3], slice(100, 140)),
    ):
        picked = ds.sci.isel(y=rows, x=columns).values
        np.testing.assert_array_equal(picked, values[rows, columns])


palettes = st.dictionaries(
    st.integers(1, 2**64 - 1),
    st.frozensets(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 2)), min_size=1),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(one=palettes, two=palettes)
def test_palettes_survive_their_bytes_and_merge(one, two):
    two = {**two, **{key: one[key] for key in set(one) & set(two)}}
    stored = [Palette.from_mapping({k: tuple(v) for k, v in p.items()}) for p in (one, two)]
    back = [palette_from_bytes(palette_to_bytes(p), "x") for p in stored]
    merged = Palette.merge(back)
    again = palette_from_bytes(palette_to_bytes(merged), "x")
    for palette, plain in zip(
        (*back, merged, again), (one, two, one | two, one | two), strict=True
    ):
        assert {k: frozenset(v) for k, v in palette.items()} == {0: frozenset(), **plain}
        assert palette_to_bytes(Palette.from_mapping(palette))
    with pytest.raises(KeyError):
        merged[2**64]


def test_damaged_palettes_are_refused():
    good = Palette.from_mapping(fake.PALETTE)
    data = palette_to_bytes(good)
    mixed = Palette(good.inputs, good.sorted_keys[::-1], good.bits[::-1])
    foreign = Palette(good.inputs, good.sorted_keys, good.bits | np.uint8(128))
    for bad in (
        b"",
        data[:-4],
        data.replace(b"palette 2", b"palette 9"),
        b"{}\n" + data,
        palette_to_bytes(mixed),
        palette_to_bytes(foreign),
    ):
        with pytest.raises(StoreError, match="where is damaged"):
            palette_from_bytes(bad, "where")


def test_manifest_survives_its_own_bytes():
    manifest = Manifest({(-1, 2): "a", (10, 3): "b"})
    assert Manifest.from_bytes(manifest.to_bytes(), "x") == manifest
