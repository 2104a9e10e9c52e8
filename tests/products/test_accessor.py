import importlib.util
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from hapdask.errors import FrameError, ParameterError, StoreError
from hapdask.observe.record import ExposureRecord, FileIdentity
from hapdask.products import accessor, fits_export
from hapdask.products.index import attach_frame
from hapdask.products.layout import frame_from_attributes
from hapdask.products.store import open_mosaic
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid

assert accessor  # registers ds.hap

_spec = importlib.util.spec_from_file_location(
    "fake_writer", Path(__file__).with_name("fake_writer.py")
)
fake = importlib.util.module_from_spec(_spec)
sys.modules["fake_writer"] = fake
_spec.loader.exec_module(fake)

ROOT = Path(__file__).parents[2]
GROUP = "p1889/wfc3_uvis_f475w/fine"
CHIPS = fake.CHIPS
NAMES = ("sci", "wht", "ctx", "epoch")


def refuse(*args, **kwargs):
    raise AssertionError("something was computed behind the user's back")


def record(name, **change):
    return ExposureRecord(
        **{
            "name": name,
            "url": f"/data/{name}_flc.fits",
            "identity": FileIdentity(1, "a", "b"),
            "instrument": "wfc3",
            "detector": "uvis",
            "filter": "f475w",
            "exptime": 350.0,
            "expstart": 55000.0,
            "expend": 55000.1,
            "unit": "electron",
            "proposal": "11664",
            "visit": "ib4606",
            "target": "ANY",
            "suffix": "flc",
            "wcsname": "IDC",
            "chips": (),
            **change,
        }
    )


def mosaic(frame, chunks=100, names=NAMES, counter=None):
    """A mosaic like the builder's: values are functions of the root pixel."""

    def block(name, block_info=None):
        (y0, y1), (x0, x1) = block_info[None]["array-location"]
        if counter is not None:
            counter.append((name, y0, x0))
        y = np.arange(y0, y1)[:, None] + frame.origin[0]
        x = np.arange(x0, x1)[None, :] + frame.origin[1]
        if name == "ctx":
            return np.where((x + y) % 2, 11, 2**64 - 5).astype("uint64")
        return (1000.0 * y + x).astype(VARIABLES[name].dtype)

    cuts = [
        tuple(len(part) for part in np.split(np.arange(n), range(chunks, n, chunks)))
        for n in frame.shape
    ]
    ds = xr.Dataset(
        {
            name: (
                ("y", "x"),
                da.map_blocks(
                    block,
                    name,
                    chunks=cuts,
                    dtype=VARIABLES[name].dtype,
                    meta=np.empty((0, 0), VARIABLES[name].dtype),
                ),
            )
            for name in names
        }
    )
    ds.attrs = {
        "instrument": "wfc3",
        "detector": "uvis",
        "filter": "f475w",
        "scale": "fine",
        "parameters": {"pixfrac": 0.8},
        "parameter_origin": {"pixfrac": "a test"},
        "bits": [1, 2],
        "records": {"ib4606c5q": record("ib4606c5q"), "ib4606c8q": record("ib4606c8q")},
    }
    if "ctx" in ds:
        ds.ctx.attrs["palette"] = fake.PALETTE
    return attach_frame(ds, frame)


FRAME = fake.root_frame()[200000:200350, 210000:210270]


# Everything lazy


def test_nothing_computes_behind_the_users_back(tmp_path):
    fake.run(tmp_path, fake.region(), fake.plan(fake.region()))
    for ds in (mosaic(FRAME), open_mosaic(tmp_path / GROUP)):
        with dask.config.set(scheduler=refuse):
            ra, dec = ds.hap.frame.center
            assert ds.hap.footprint == ds.hap.frame.footprint
            ds.hap.at(ra, dec)
            ds.hap.at([ra, ra], [dec, dec])
            window = ds.hap.cutout(ra, dec, "2 arcsec")
            repr(window)
            window._repr_html_()
            (window.sci * window.wht).mean()
            for act in (
                lambda ds=ds: ds.hap.inputs(*ds.hap.frame.center),
                lambda ds=ds: ds.hap.to_zarr(tmp_path / "x.zarr"),
                lambda ds=ds: ds.hap.plot(),
            ):
                with pytest.raises(AssertionError, match="behind"):
                    act()
    assert not (tmp_path / "x.zarr").exists()


def test_cutout_of_a_whole_cell_computes_its_tiles_only():
    asked = []
    frame = SkyGrid()["skycell-p1889x07y19"].frame()
    ds = mosaic(frame, chunks=2048, counter=asked)
    asked.clear()
    y, x = 4 * 2048 + 1024, 5 * 2048 - 3
    ra, dec = (float(v) for v in frame.pixel_to_sky(x, y))
    window = ds.hap.cutout(ra, dec, 200 * frame.pixel_scale)
    assert not asked
    values = window.sci.values
    assert values.shape == (200, 200)
    assert sorted(set(asked)) == [("sci", 4 * 2048, 4 * 2048), ("sci", 4 * 2048, 5 * 2048)]
    assert len(asked) == 2


# Positions


def test_at_gives_the_pixel(tmp_path):
    ds = mosaic(FRAME)
    ra, dec = FRAME.pixel_to_sky(17.3, 204.9)
    pixel = ds.hap.at(float(ra), float(dec))
    assert pixel.sci.shape == ()
    assert float(pixel.epoch) == 1000.0 * (200000 + 205) + 210000 + 17
    ra, dec = FRAME.pixel_to_sky([1, 2, 3], [4, 5, 6])
    many = ds.hap.at(ra, dec)
    np.testing.assert_array_equal(
        many.epoch, 1000.0 * (200000 + np.array([4, 5, 6])) + 210000 + np.array([1, 2, 3])
    )
    with pytest.raises(FrameError, match=r"outside the frame.*centred on RA"):
        ds.hap.at(10.0, 10.0)
    with pytest.raises(FrameError, match="no frame"):
        pixel.hap.at(10.0, 10.0)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ("2 arcsec", (50, 50)),
        (2.0, (50, 50)),
        (("2 arcsec", "4 arcsec"), (100, 50)),
        ("0.05 arcmin", (75, 75)),
        ("0.001 arcsec", (1, 1)),
    ],
)
def test_cutout_sizes(size, shape):
    ds = mosaic(FRAME)
    ra, dec = FRAME.pixel_to_sky(130, 170)
    window = ds.hap.cutout(float(ra), float(dec), size)
    assert window.sci.shape == shape
    frame = window.hap.frame
    x, y = (float(v) for v in frame.sky_to_pixel(float(ra), float(dec)))
    assert abs(x - 0.5 * (shape[1] - 1)) <= 0.5 + 1e-6
    assert abs(y - 0.5 * (shape[0] - 1)) <= 0.5 + 1e-6
    np.testing.assert_array_equal(window.epoch, ds.epoch.values[frame.slices_in(FRAME)])


def test_cutout_takes_quantities():
    import astropy.units as u

    ds = mosaic(FRAME)
    assert ds.hap.cutout(*FRAME.center, 1.2 * u.arcsec).sci.shape == (30, 30)
    for size in ("fish", "2 metre", 2 * u.m, 0, -1.0, "nan arcsec", (1.0, 2.0, 3.0), None):
        with pytest.raises(ParameterError, match="size"):
            ds.hap.cutout(*FRAME.center, size)


def test_cutout_is_clipped_and_says_when_outside():
    ds = mosaic(FRAME)
    corner = [float(v) for v in FRAME.pixel_to_sky(-10, -10)]
    window = ds.hap.cutout(*corner, "2 arcsec")
    assert window.hap.frame.origin == FRAME.origin
    assert window.sci.shape == (16, 16)
    for ra, dec in ([float(v) for v in FRAME.pixel_to_sky(-30, 5)], (1.25, -28.0)):
        with pytest.raises(FrameError, match=r"no pixel within 2 arcsec.*arcmin wide"):
            ds.hap.cutout(ra, dec, "2 arcsec")


def test_inputs_names_the_chips():
    ds = mosaic(FRAME)
    for x in (0, 1):
        ra, dec = FRAME.pixel_to_sky(x, 0)
        assert ds.hap.inputs(float(ra), float(dec)) == (CHIPS[1:] if x == 0 else CHIPS[:1])
    with pytest.raises(StoreError, match="no ctx"):
        ds[["sci"]].hap.inputs(*FRAME.center)
    ds.ctx.attrs["palette"] = {}
    with pytest.raises(StoreError, match="open the mosaic again"):
        ds.hap.inputs(*FRAME.center)


def test_inputs_of_a_stored_mosaic(tmp_path):
    fake.run(tmp_path, fake.region(), fake.plan(fake.region()))
    ds = open_mosaic(tmp_path / GROUP)
    frame = ds.hap.frame
    empty = frame.pixel_to_sky(3, 3)
    assert ds.hap.inputs(*map(float, empty)) == ()
    full = frame.pixel_to_sky(100, 200)
    assert ds.hap.inputs(*map(float, full)) in fake.PALETTE.values()


# Doors


def test_export_is_the_same_mosaic(tmp_path):
    ds = mosaic(FRAME, chunks=128)
    path = ds.hap.to_zarr(tmp_path / "cell.zarr")
    with dask.config.set(scheduler=refuse):
        back = open_mosaic(path)
    assert back.hap.frame == FRAME
    for name in NAMES:
        assert back[name].dtype == ds[name].dtype
        np.testing.assert_array_equal(back[name].values, ds[name].values)
    np.testing.assert_array_equal(back.pixel_area.values, FRAME.pixel_area())
    assert (back.attrs["parameters"], back.attrs["bits"]) == ({"pixfrac": 0.8}, [1, 2])
    assert dict(back.attrs["records"]) == ds.attrs["records"]
    assert back.hap.inputs(*FRAME.center) == ds.hap.inputs(*FRAME.center)
    part = FRAME[100:130, 20:50]
    np.testing.assert_array_equal(open_mosaic(path, part).sci, ds.sci.values[100:130, 20:50])
    assert os.listdir(tmp_path) == ["cell.zarr"]
    # Others read it as the plain zarr that it is, and find the frame.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = xr.open_zarr(path, consolidated=False, chunks=None)
    assert frame_from_attributes(plain.attrs) == FRAME
    assert zarr.open_array(path / "sci", mode="r").chunks == (1024, 1024)
    # An export of an export is the same bytes.
    again = back.hap.to_zarr(tmp_path / "again.zarr")
    for name in NAMES:
        assert (again / name / "c/0/0").read_bytes() == (path / name / "c/0/0").read_bytes()


def test_export_holds_a_few_tiles_at_a_time(tmp_path, monkeypatch):
    side = 512
    tile = 4 * side**2
    frame = replace(FRAME, shape=(10 * side, 6 * side))
    values = da.map_blocks(
        lambda block_info=None: np.random.default_rng(1).random((side, side), "f4"),
        chunks=((side,) * 10, (side,) * 6),
        dtype="f4",
        meta=np.empty((0, 0), "f4"),
    )
    ds = attach_frame(xr.Dataset({"sci": (("y", "x"), values)}), frame)
    ds.hap.to_zarr(tmp_path / "warm.zarr")
    monkeypatch.setattr("hapdask.products.export_zarr._MEMORY", tile)
    tracemalloc.start()
    ds.hap.to_zarr(tmp_path / "x.zarr")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A block or two, and chunks of 1024 being packed; not the 60 blocks of the mosaic.
    assert peak < 20 * tile


def test_other_variables_and_numpy_data_are_exported(tmp_path):
    ds = mosaic(FRAME, names=("sci", "wht")).compute()
    ds = ds.assign(snr=ds.sci / ds.wht, seen=ds.wht > 0, scalar=3.0)
    back = open_mosaic(ds.hap.to_zarr(tmp_path / "x.zarr"))
    np.testing.assert_array_equal(back.snr, ds.snr)
    np.testing.assert_array_equal(back.seen, ds.seen)
    assert "scalar" not in back
    with pytest.raises(StoreError, match="does not know its inputs"):
        back.hap.inputs(*FRAME.center)


def test_export_appears_whole_or_not_at_all(tmp_path):
    ds = mosaic(FRAME)
    bad = ds.assign(sci=ds.sci.copy(data=ds.sci.data.map_blocks(lambda _: 1 / 0, dtype="f4")))
    with pytest.raises(ZeroDivisionError):
        bad.hap.to_zarr(tmp_path / "x.zarr")
    assert os.listdir(tmp_path) == []
    ds.hap.to_zarr(tmp_path / "x.zarr")
    with pytest.raises(StoreError, match="overwrite=True"):
        ds.hap.to_zarr(tmp_path / "x.zarr")
    with pytest.raises(ZeroDivisionError):
        bad.hap.to_zarr(tmp_path / "x.zarr", overwrite=True)
    np.testing.assert_array_equal(open_mosaic(tmp_path / "x.zarr").sci, ds.sci)
    smaller = ds.isel(y=slice(0, 10))
    smaller.hap.to_zarr(tmp_path / "x.zarr", overwrite=True)
    assert open_mosaic(tmp_path / "x.zarr").sci.shape == (10, 270)
    assert os.listdir(tmp_path) == ["x.zarr"]


def test_export_replaces_nothing_that_is_no_zarr(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/precious").write_text("x")
    with pytest.raises(StoreError, match="not replaced"):
        mosaic(FRAME).hap.to_zarr(tmp_path / "home", overwrite=True)
    assert (tmp_path / "home/precious").exists()
    with pytest.raises(StoreError, match="local directory"):
        mosaic(FRAME).hap.to_zarr("s3://bucket/x.zarr")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        mosaic(FRAME).hap.to_zarr(tmp_path / "file" / "x.zarr")
    with pytest.raises(FrameError):
        xr.Dataset({"sci": (("y", "x"), np.zeros((2, 2)))}).hap.to_zarr(tmp_path / "y.zarr")


def test_killed_exports_are_cleaned_up(tmp_path):
    fake.run(tmp_path, fake.region(), fake.plan(fake.region()))
    ds = open_mosaic(tmp_path / GROUP)
    target = tmp_path / "x.zarr"
    code = (
        "import sys; from hapdask.products.store import open_mosaic\n"
        "import hapdask.products.export_zarr as export, time\n"
        "export._write_provenance = lambda *a: (print('now', flush=True), time.sleep(60))\n"
        "open_mosaic(sys.argv[1]).hap.to_zarr(sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / GROUP), str(target)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "now\n"
    assert not target.exists()
    with pytest.raises(StoreError, match=f"process {process.pid}"):
        ds.hap.to_zarr(target)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not target.exists()
    # A replacement that died between its two renames is undone first.
    ds.hap.to_zarr(tmp_path / "old.zarr")
    (tmp_path / "old.zarr").rename(tmp_path / ".x.zarr.old")
    with pytest.raises(StoreError, match="exists"):
        ds.hap.to_zarr(target)
    ds.hap.to_zarr(target, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["p1889", "x.zarr"]
    np.testing.assert_array_equal(open_mosaic(target).sci, ds.sci)


def test_to_fits_asks_the_exporter(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        fits_export,
        "write_fits",
        lambda ds, path, **options: given.append((ds, path, options)) or path,
    )
    cell = SkyGrid()["skycell-p1889x07y19"]
    ds = mosaic(cell.frame(), chunks=4096)
    monkeypatch.setattr(ExposureRecord, "footprint", cell.frame()[:90, :90].footprint)
    name = "hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_drc.fits"
    assert ds.hap.to_fits(tmp_path, context=True) == tmp_path / name
    dataset, _, options = given[0]
    assert dataset is ds
    source = options.pop("header_source")
    assert options == {"context": True}
    assert (source.cell, len(source.exposures)) == (cell.name, 2)
    window = ds.isel(y=slice(0, 50))
    assert window.hap.to_fits(tmp_path / "x.fits") == tmp_path / "x.fits"
    ds.isel(y=slice(200, 300)).hap.to_fits(tmp_path / "x.fits")
    assert [len(options["header_source"].exposures) for *_, options in given[1:]] == [2, 0]
    with pytest.raises(StoreError, match="give a file name"):
        window.hap.to_fits(tmp_path)
    del ds.attrs["records"]
    with pytest.raises(StoreError, match="no records"):
        ds.hap.to_fits(tmp_path / "x.fits")
    assert ds.hap.to_fits(tmp_path / "x.fits", header_source=source) == tmp_path / "x.fits"


def test_plot_draws_one_variable():
    import matplotlib as mpl

    mpl.use("agg")
    ds = mosaic(FRAME)
    axes = ds.hap.plot()
    (image,) = axes.get_images()
    assert image.get_array().shape == FRAME.shape
    assert type(image.norm).__name__ == "AsinhNorm"
    assert image.norm.vmin < image.norm.vmax
    assert ds.hap.plot("wht", ax=axes, vmin=0.0, vmax=2.0, softening=0.5) is axes
    assert axes.get_images()[-1].norm.vmax == 2.0
    nothing = ds.assign(sci=ds.sci * np.nan)
    nothing.hap.plot()
    with pytest.raises(ParameterError, match="no variable 'what'"):
        ds.hap.plot("what")
    mpl.pyplot.close("all")


def test_large_plots_skip_pixels():
    import matplotlib as mpl

    mpl.use("agg")
    frame = replace(FRAME, shape=(8200, 20))
    axes = mosaic(frame, chunks=2048).hap.plot()
    assert axes.get_images()[0].get_array().shape == (2734, 7)
    assert isinstance(axes.get_images()[0].get_extent(), list | tuple)
    mpl.pyplot.close("all")


def test_import_is_light():
    """The accessor does not load matplotlib, FITS writing or Numba kernels."""
    start = time.perf_counter()
    code = (
        "import sys, hapdask.products.accessor\n"
        "print(sorted({'matplotlib', 'numba', 'distributed', 'PIL'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]", time.perf_counter() - start


def test_frames_from_anywhere():
    frame = Frame.from_center(10.0, -80.0, 0.1, (50, 60), rotation=30.0)
    ds = attach_frame(xr.Dataset({"sci": (("y", "x"), np.zeros((50, 60), "f4"))}), frame)
    assert ds.hap.frame == frame
    assert ds.hap.cutout(10.0, -80.0, "1 arcsec").sci.shape == (10, 10)
