"""Files of kept steps: names, types, units, headers, streaming; and how their bytes add up."""

import re
import shutil
import subprocess
import tracemalloc
from functools import partial

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st
from imagers import make_hrc
from numpy.testing import assert_allclose, assert_array_equal

import hapdask as hd
from hapdask.errors import StoreError
from hapdask.kernels.exporting import swap_words
from hapdask.observe.distortion import Correction
from hapdask.products.checksum import add_rows, add_words
from hapdask.products.steps.writing import (
    write_blot,
    write_chip_mask,
    write_image,
    write_median,
    write_single,
    write_static_mask,
)
from hapdask.sky.frame import Frame

CHIP = (1024, 1024)
SHAPE = (310, 421)


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    (opened,) = hd.open_exposures([make_hrc(tmp_path_factory.mktemp("hrc"))], strict=True)
    ra, dec = opened.chips[0].distortion.crval
    return opened.corrected(Correction((ra, dec), (1.0, 1e-5, -1e-5, 1.0), (0.012, -0.034)))


@pytest.fixture(scope="module")
def frame(exposure):
    return Frame.from_center(*exposure.chips[0].distortion.crval, 0.025, SHAPE, 30.0)


def lazy(values, chunks=(100, 77), **attrs):
    return xr.DataArray(da.from_array(values, chunks=chunks), dims=("y", "x"), attrs=attrs)


def image(shape, seed=1):
    return np.random.default_rng(seed).normal(0.0, 1.0, shape).astype(np.float32)


def check(path):
    if shutil.which("fitsverify"):
        done = subprocess.run(["fitsverify", path], capture_output=True, text=True, check=False)
        assert re.search(r"0 warning\(s\) and 0 error\(s\)", done.stdout), done.stdout
    with fits.open(path, checksum=True) as hdus:
        assert len(hdus) == 1
        assert hdus[0].verify_checksum() == hdus[0].verify_datasum() == 1
        return hdus[0].data.copy(), hdus[0].header.copy()


def test_separate_images(tmp_path, exposure, frame):
    planes = {"sci": lazy(image(SHAPE), units="electron / s"), "wht": lazy(image(SHAPE, 2) ** 2)}
    paths = write_single(xr.Dataset(planes), tmp_path, exposure, frame)
    root = exposure.name
    assert [p.name for p in paths] == [f"{root}_single_sci.fits", f"{root}_single_wht.fits"]
    for path, (name, plane) in zip(paths, planes.items(), strict=True):
        data, header = check(path)
        assert_array_equal(data, plane.values)
        assert header["BUNIT"] == {"sci": "ELECTRONS/S", "wht": "UNITLESS"}[name]
        assert (header["FILETYPE"], header["EXPTIME"]) == (name.upper(), exposure.exptime)
        ra, dec = WCS(header).all_pix2world(17.0, 300.0, 0)
        assert_allclose((ra, dec), frame.pixel_to_sky(17.0, 300.0), rtol=0, atol=1e-11)


def test_the_median(tmp_path, exposure, frame):
    path = write_median(lazy(image(SHAPE)), tmp_path, "final", [exposure, exposure], frame)
    assert path.name == "final_med.fits"
    data, header = check(path)
    assert_array_equal(data, image(SHAPE))
    assert (header["NCOMBINE"], header["EXPTIME"]) == (2, 2 * exposure.exptime)


def test_a_blot_has_the_unit_and_the_wcs_of_its_chip(tmp_path, exposure):
    path = write_blot(lazy(image(CHIP)), tmp_path, exposure, 1)
    assert path.name == f"{exposure.name}_sci1_blt.fits"
    data, header = check(path)
    assert data.dtype == np.dtype(">f4")
    assert_array_equal(data, image(CHIP))
    assert header["BUNIT"] == "ELECTRONS"
    assert not [k for k in header if k.startswith(("CPDIS", "D2IM", "DP1", "DP2"))]
    distortion = exposure.chips[0].distortion
    assert (header["CRVAL1"], header["CRVAL2"]) == distortion.crval  # aligned
    x = np.array([0.0, 500.0, 1023.0])
    expected = distortion.pixel_to_sky(x, x[::-1].copy())
    found = WCS(header).all_pix2world(x, x[::-1], 0)
    assert_allclose(found, expected, rtol=0, atol=0.05 / 3600 * 0.1)  # its tables are left out


def test_masks_are_one_where_good(tmp_path, exposure):
    bad = np.random.default_rng(3).random(CHIP) < 0.01
    root = exposure.name
    for what in ("crmask", "skymask"):
        write = partial(write_chip_mask, what=what)
        path = write(lazy(bad), tmp_path, exposure, 1)
        assert path.name == f"{root}_sci1_{what}.fits"
        data, header = check(path)
        assert data.dtype == np.uint8
        assert_array_equal(data, ~bad)
        assert header["BUNIT"] == "UNITLESS"
    path = write_static_mask(lazy(bad), tmp_path, "final", exposure, 1)
    assert path.name == "final_1024x1024_1_staticMask.fits"
    data, _ = check(path)
    assert data.dtype == np.dtype(">i2")
    assert_array_equal(data, ~bad)


def test_a_file_that_is_there_is_kept(tmp_path, exposure):
    path = write_chip_mask(lazy(np.zeros(CHIP, bool)), tmp_path, exposure, 1, what="crmask")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        write_chip_mask(lazy(np.ones(CHIP, bool)), tmp_path, exposure, 1, what="crmask")
    assert path.read_bytes() == before
    write_chip_mask(lazy(np.ones(CHIP, bool)), tmp_path, exposure, 1, what="crmask", overwrite=True)
    assert path.read_bytes() != before


def test_an_error_on_the_way_leaves_nothing(tmp_path, exposure):
    def fail(block, block_info=None):
        if block_info[0]["chunk-location"] == (2, 1):
            raise StoreError("no")
        return block

    array = lazy(image(CHIP), chunks=300)
    broken = array.copy(data=array.data.map_blocks(fail, dtype=np.float32))
    with pytest.raises(StoreError, match="no"):
        write_blot(broken, tmp_path, exposure, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["u1", ">i2", ">i4", ">f4"])
@pytest.mark.parametrize("shape", [(1, 1), (67, 61), (64, 128), (5, 2883)])
def test_any_type_and_shape(tmp_path, dtype, shape):
    values = np.random.default_rng(4).integers(0, 256, shape).astype(dtype)
    one, many = (
        write_image(
            tmp_path / f"{n}.fits",
            lazy(values.astype(values.dtype.newbyteorder("=")), chunks=n),
            [],
            np.dtype(dtype),
        )
        for n in (10000, 13)
    )
    data, _ = check(many)
    assert data.dtype == np.dtype(dtype)
    assert_array_equal(data, values)
    assert one.read_bytes() == many.read_bytes()


def test_memory_is_that_of_some_blocks(tmp_path):
    side, chunk = 6000, 500
    array = xr.DataArray(da.zeros((side, side), dtype=np.float32, chunks=chunk), dims=("y", "x"))
    write_image(tmp_path / "warm.fits", array[:10, :10], [], np.dtype("u1"))
    tracemalloc.start()
    try:
        write_image(tmp_path / "x.fits", array, [], np.dtype("u1"), threads=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (64 << 20) + 8 * chunk * chunk * 4  # what is told, and what is being made
    assert (tmp_path / "x.fits").stat().st_size > side * side


@given(
    itemsize=st.sampled_from([1, 2, 4]),
    shape=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    x0=st.integers(0, 5),
    y0=st.integers(0, 5),
    after=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_rows_add_up_wherever_they_begin(itemsize, shape, x0, y0, after, seed):
    ny, nx = shape
    whole = np.zeros((y0 + ny, x0 + nx + after), f">u{itemsize}")
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2 ** (8 * itemsize), shape, dtype=np.uint64).astype(whole.dtype)
    whole[y0:, x0 : x0 + nx] = rows
    data = whole.tobytes()
    data += bytes(-len(data) % 4)
    stride = whole.shape[1] * itemsize
    assert add_rows(0, rows, y0 * stride + x0 * itemsize, stride) == add_words(0, data)


def test_words_are_turned_round_and_added():
    words = np.random.default_rng(5).integers(0, 2**32, (37, 53), dtype=np.uint64)
    words = words.astype(np.uint32)
    out = np.empty_like(words)
    assert swap_words(words, out) == int(words.sum(dtype=np.uint64))
    assert out.tobytes() == words.astype(">u4").tobytes()
