"""FITS products in one file and in separate ones, and what is read back from them."""

import re
import shutil
import subprocess

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS

from hapdask.drizzling.palette import input_code
from hapdask.errors import StoreError
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity
from hapdask.products.fits_export import write_fits
from hapdask.products.fits_reader import open_fits
from hapdask.products.header_source import HeaderSource
from hapdask.products.index import attach_frame
from hapdask.sky.frame import Frame

SHAPE = (300, 420)
FRAME = Frame.from_center(10.0, -30.0, 0.04, SHAPE, 25.0)
IMAGES = ("sci", "wht", "err", "nexp", "noise_ratio", "exptime", "quality")


def exposure(n):
    chips = tuple(
        ChipRecord(
            extver=k, chip=k, shape=(64, 64), distortion=None, sci=None, err=None, dq=None,
            photflam=1e-18, idcscale=0.04,
        )
        for k in (1, 2)
    )  # fmt: skip
    name = f"jtest{n:02d}aq"
    return ExposureRecord(
        name=name, url=f"/data/{name}_flc.fits", identity=FileIdentity(1, "0", "0"),
        instrument="acs", detector="wfc", filter="f606w-pol0v", exptime=100.0,
        expstart=53000.0 + n, expend=53000.01 + n, unit="electron", proposal="1234",
        visit=name[:6], target="M 31", suffix="flc", wcsname="IDC", chips=chips,
    )  # fmt: skip


#: 35 exposures of two chips: 70 chips, three planes of CTX, the last with six bits.
EXPOSURES = tuple(exposure(n) for n in range(35))
SOURCE = HeaderSource(exposures=EXPOSURES, level=2)


@pytest.fixture(scope="module")
def mosaic():
    """Every pixel has one of 500 sets of the 70 chips, and every variable some values."""
    rng = np.random.default_rng(11)
    chips = SOURCE.chips
    sets = {0: ()}
    while len(sets) < 500:
        members = [chip for chip in chips if rng.random() < rng.random()]
        key = 0
        for chip in members:
            key ^= input_code(*chip)
        sets[key] = tuple(sorted(members))
    # chips of every bit of the sign, alone
    for bit in (31, 63, 69):
        sets[input_code(*chips[bit])] = (chips[bit],)
    which = rng.integers(0, len(sets), SHAPE)
    which[:9, :9] = 0
    keys = np.array(list(sets), np.uint64)[which]
    depth = np.array([len({name for name, _ in s}) for s in sets.values()])[which]
    some = rng.normal(size=SHAPE).astype(np.float32)
    planes = {
        "sci": np.where(depth > 0, some, np.nan).astype(np.float32),
        "wht": depth.astype(np.float32),
        "err": np.where(depth > 0, abs(some), np.nan).astype(np.float32),
        "noise_ratio": np.where(depth > 0, 1.2, np.nan).astype(np.float32),
        "exptime": (depth * 100.0).astype(np.float32),
        "nexp": depth.astype(np.uint16),
        "quality": rng.integers(0, 4, SHAPE).astype(np.uint16),
        "ctx": keys,
    }
    data = {k: (("y", "x"), da.from_array(v, chunks=(128, 200))) for k, v in planes.items()}
    dataset = xr.Dataset(data, attrs={"flux_unit": "electron / s"})
    dataset["ctx"].attrs["palette"] = sets
    return attach_frame(dataset, FRAME)


@pytest.fixture(scope="module")
def folder(mosaic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    options = {"header_source": SOURCE, "planes": IMAGES, "memory": 1 << 20}
    write_fits(mosaic, folder / "a_drc.fits", **options)
    first = write_fits(mosaic, folder / "b_drc.fits", separate=True, **options)
    assert first == folder / "b_drc_sci.fits"
    return folder


def test_separate_files_hold_an_image_each(folder):
    names = [name if name != "noise_ratio" else "ratio" for name in (*IMAGES, "ctx")]
    found = sorted(path.name for path in folder.glob("b_*"))
    assert found == sorted(f"b_drc_{name}.fits" for name in names)
    with fits.open(folder / "a_drc.fits") as whole:
        for name in names:
            with fits.open(folder / f"b_drc_{name}.fits", checksum=True) as hdus:
                hdus.verify("exception")
                header = hdus[0].header
                np.testing.assert_array_equal(hdus[0].data, whole[name.upper()].data)
                assert header["FILETYPE"] == name.upper()
                assert header["FILENAME"] == f"b_drc_{name}.fits"
                assert header["EXTEND"] is (name == "sci")
                assert header["D001OUCO"] == "b_drc_ctx.fits[CTX,1]"
                assert not {"EXTNAME", "EXTVER", "NEXTEND"} & set(header)
                assert header["NUMEXP"] == 35
                assert WCS(header, naxis=2).wcs.crval.tolist() == list(FRAME.crval)
                assert [hdu.name for hdu in hdus[1:]] == (["HDRTAB"] if name == "sci" else [])


@pytest.mark.skipif(not shutil.which("fitsverify"), reason="no fitsverify")
def test_fitsverify_finds_no_error_in_any_file(folder):
    for path in sorted(folder.iterdir()):
        done = subprocess.run(["fitsverify", path], capture_output=True, text=True, check=False)
        unusual = len(re.findall(r'Name "[A-Z]+-[A-Z]+" contains', done.stdout))
        assert f"found {unusual} warning(s) and 0 error(s)" in done.stdout, done.stdout


@pytest.mark.parametrize("name", ["a_drc.fits", "b_drc_sci.fits"])
def test_what_was_written_is_read_back(folder, mosaic, name):
    back = open_fits(folder / name)
    assert set(back.data_vars) == {*IMAGES, "ctx", "pixel_area"}
    for variable in (*IMAGES, "ctx"):
        np.testing.assert_array_equal(back[variable], mosaic[variable], err_msg=variable)
        assert back[variable].dtype == mosaic[variable].dtype
        assert back[variable].chunks is not None
    assert dict(back.ctx.attrs["palette"]) == mosaic.ctx.attrs["palette"]
    assert (back.attrs["instrument"], back.attrs["filter"]) == ("acs", "f606w-pol0v")
    assert back.attrs["header"]["NDRIZIM"] == 70
    ra, dec = FRAME.pixel_to_sky(200.0, 100.0)
    assert back.hap.inputs(ra, dec) == mosaic.hap.inputs(ra, dec)


def test_a_product_that_is_read_can_be_written_again(folder, tmp_path):
    back = open_fits(folder / "a_drc.fits")
    options = {"header_source": SOURCE, "planes": IMAGES}
    again = write_fits(back, tmp_path / "a_drc.fits", **options)
    assert again.read_bytes() == (folder / "a_drc.fits").read_bytes()
    window = back.isel(y=slice(30, 90), x=slice(200, 333))
    part = open_fits(write_fits(window, tmp_path / "part_drc.fits", header_source=SOURCE))
    np.testing.assert_array_equal(part.ctx, window.ctx)


def test_reading_is_lazy_and_its_keys_are_stable(folder):
    one, two = (open_fits(folder / "a_drc.fits") for _ in range(2))
    assert dask.base.tokenize(one.sci.data) == dask.base.tokenize(two.sci.data)
    assert one.ctx.attrs["palette"] == two.ctx.attrs["palette"]


def test_files_that_are_no_products(folder, tmp_path):
    with pytest.raises(StoreError, match=r"absent\.fits: not a readable FITS product"):
        open_fits(tmp_path / "absent.fits")
    (tmp_path / "text.fits").write_text("no FITS at all")
    with pytest.raises(StoreError, match="not a readable"):
        open_fits(tmp_path / "text.fits")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    with pytest.raises(StoreError, match="no SCI image"):
        open_fits(tmp_path / "empty.fits")


def test_upstreams_products_are_read_too(tmp_path):
    """One without HDRTAB, whose NEXP and ERR it lacks."""
    header = fits.Header(FRAME.to_header())
    header["BUNIT"] = "COUNTS/S"
    plane = np.ones(SHAPE, np.float32)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(plane, header, name="SCI")]
    hdus += [fits.ImageHDU(plane, header, name="WHT")]
    hdus += [fits.ImageHDU(plane.astype("i4"), header, name="CTX")]
    fits.HDUList(hdus).writeto(tmp_path / "x_drz.fits")
    back = open_fits(tmp_path / "x_drz.fits")
    assert set(back.data_vars) == {"sci", "wht", "pixel_area"}
    assert back.sci.attrs["units"] == "count / s"


def test_an_existing_file_stops_all_of_them(mosaic, tmp_path):
    (tmp_path / "c_drc_wht.fits").write_text("precious")
    with pytest.raises(StoreError, match=r"c_drc_wht\.fits exists already"):
        write_fits(mosaic, tmp_path / "c_drc.fits", header_source=SOURCE, separate=True)
    assert [path.name for path in tmp_path.iterdir()] == ["c_drc_wht.fits"]


def test_no_file_of_a_former_product_stays_beside_the_new_ones(mosaic, tmp_path):
    options = {"header_source": SOURCE, "separate": True}
    path = tmp_path / "c_drc.fits"
    first = write_fits(mosaic, path, context=True, **options)
    (tmp_path / "c_drc_ctx_of_mine.fits").write_text("mine")
    assert (tmp_path / "c_drc_ctx.fits").exists()
    first.unlink()
    with pytest.raises(StoreError, match=r"c_drc_\w+\.fits exists already"):
        write_fits(mosaic, path, planes=("sci",), context=False, **options)
    write_fits(mosaic, path, planes=("sci", "wht"), context=False, overwrite=True, **options)
    names = ["c_drc_ctx_of_mine.fits", "c_drc_sci.fits", "c_drc_wht.fits"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert "ctx" not in open_fits(first)


@pytest.mark.parametrize(("level", "context"), [(1, True), (2, True), (4, False)])
def test_products_of_sky_cells_have_no_context_unless_asked(mosaic, tmp_path, level, context):
    source = HeaderSource(exposures=EXPOSURES, level=level)
    path = write_fits(mosaic, tmp_path / "d_drc.fits", header_source=source)
    with fits.open(path) as hdus:
        names = ["SCI", "WHT", "CTX", "ERR", "NEXP", "HDRTAB"]
        assert [h.name for h in hdus[1:]] == [n for n in names if context or n != "CTX"]
    path = write_fits(mosaic, path, header_source=source, context=not context, overwrite=True)
    with fits.open(path) as hdus:
        assert ("CTX" in [h.name for h in hdus]) is not context
