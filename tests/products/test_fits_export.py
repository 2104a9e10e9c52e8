"""FITS export end to end: what other programs read, the same bytes, and what fails cleanly."""

import datetime
import errno
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tracemalloc
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS
from stwcs.wcsutil import HSTWCS

from hapdask.config import load_parameters
from hapdask.errors import StoreError
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity
from hapdask.products.fits_export import write_fits
from hapdask.products.fits_file import FitsFile, Image
from hapdask.products.header_source import HeaderSource
from hapdask.products.index import attach_frame
from hapdask.products.names import sky_cell_name
from hapdask.products.outline import polygon_area
from hapdask.products.told import Told
from hapdask.sky.footprint import Footprint
from hapdask.sky.grid import SkyGrid

CELL = "skycell-p1889x07y19"
NAME = sky_cell_name(CELL, "wfc3", "uvis", "f475w").fits
SHAPE = (1600, 1300)
KEYS = np.array([0, 10**18 + 1, 2**63 + 5, 77], dtype=np.uint64)
KEYWORDS = {
    "TELESCOP": "HST",
    "OBSTYPE": "IMAGING",
    "APERTURE": "UVIS",
    "RA_TARG": 182.6358,
    "DEC_TARG": 28.1234,
    "EQUINOX": 2000.0,
    "CAL_VER": "3.7.1 (Oct-18-2023)",
    "PHOTMODE": "WFC3 UVIS2 F475W",
    "PHOTPLAM": 4773.1,
    "PHOTZPT": -21.1,
    "PHOTBW": 421.3,
    "PHOTFNU": 1.9e-7,
}
#: Columns that upstream calls so, too.
UNUSUAL_NAMES = ["DATE-OBS", "IRAF-TLM", "TIME-OBS"]
needs_fitsverify = pytest.mark.skipif(not shutil.which("fitsverify"), reason="no fitsverify")


def exposure(n, **changes):
    """Exposure n of 20, with a sensitivity that drifts and a flux factor that follows it."""
    drift = 1 + 0.001 * n
    chips = tuple(
        ChipRecord(
            extver=extver,
            chip=3 - extver,
            shape=(2051, 4096),
            distortion=None,
            sci=None,
            err=None,
            dq=None,
            photflam=2.5e-18 * drift,
            flux_factor=drift,
        )
        for extver in (1, 2)
    )
    fields = {
        "name": f"ib46{n:02d}c5q",
        "url": f"/data/ib46{n:02d}c5q_flc.fits",
        "identity": FileIdentity(1, "0", "0"),
        "instrument": "wfc3",
        "detector": "uvis",
        "filter": "f475w",
        "exptime": 500.0 + n,
        "expstart": 55611.1 + n,
        "expend": 55611.2 + n,
        "unit": "electron",
        "proposal": ("11665", "9019", "12286")[n % 3],
        "visit": f"ib46{n:02d}",
        "target": "PG1202+281",
        "suffix": "flc",
        "wcsname": "IDC_2731450pi-FIT_SVM_GAIAeDR3",
        "chips": chips,
        "keywords": tuple((KEYWORDS | {"PHOTFNU": 1.9e-7 * drift}).items()),
    }
    return ExposureRecord(**(fields | changes))


def fitsverify(path):
    """Run fitsverify: no error, and the columns whose names it finds unusual."""
    done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True, check=False)
    unusual = re.findall(r'Warning: Column #\d+: Name "([A-Z-]+)" contains', done.stdout)
    found = f"Verification found {len(unusual)} warning(s) and 0 error(s)"
    assert found in done.stdout, done.stdout
    return unusual


EXPOSURES = tuple(exposure(n) for n in range(20))
PALETTE = {
    0: (),
    int(KEYS[1]): ((EXPOSURES[0].name, 1),),
    int(KEYS[2]): ((EXPOSURES[0].name, 1), (EXPOSURES[15].name, 2), (EXPOSURES[19].name, 2)),
    int(KEYS[3]): ((EXPOSURES[3].name, 2),),
}


def source(**changes):
    fields = {
        "exposures": EXPOSURES,
        "cell": CELL,
        "full_shape": (21954, 21954),
        "parameters": Told.of_drizzle(load_parameters("WFC3", "UVIS", 20)),
        "date": datetime.date(2026, 1, 2),
    }
    return HeaderSource(**(fields | changes))


@pytest.fixture(scope="module")
def frame():
    return SkyGrid()[CELL].frame()[10281 : 10281 + SHAPE[0], 2132 : 2132 + SHAPE[1]]


@pytest.fixture(scope="module")
def planes():
    """Arrays of a mosaic of two rotated fields, an island, and a hole."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    index = np.zeros(SHAPE, np.intp)
    index[(abs(x - 600 + 0.3 * (y - 700)) < 400) & (abs(y - 700 - 0.3 * (x - 600)) < 450)] = 1
    index[(abs(x - 700) < 200) & (abs(y - 600) < 200)] = 2
    index[(abs(x - 1200) < 60) & (abs(y - 1500) < 60)] = 3
    index[500:505, 700:705] = 0
    depth = np.array([0, 1, 3, 1])[index]
    wht = (depth * rng.uniform(400, 600, SHAPE)).astype(np.float32)
    sci = np.where(depth > 0, rng.normal(0, 0.01, SHAPE), np.nan).astype(np.float32)
    return {
        "sci": sci,
        "wht": wht,
        "err": np.where(depth > 0, 0.01, np.nan).astype(np.float32),
        "nexp": depth.astype(np.uint16),
        "exptime": (depth * 500).astype(np.float32),
        "quality": (index == 3).astype(np.uint16) * 256,
        "ctx": KEYS[index],
    }


def mosaic(planes, chunks=None, palette=PALETTE):
    dims = ("y", "x")
    arrays = {
        name: (dims, plane if chunks is None else da.from_array(plane, chunks=chunks))
        for name, plane in planes.items()
    }
    dataset = xr.Dataset(arrays)
    if palette is not None:
        dataset["ctx"].attrs["palette"] = palette
    return dataset


@pytest.fixture(scope="module")
def product(planes, frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("out") / NAME
    written = write_fits(
        mosaic(planes, (700, 512)),
        path,
        frame=frame,
        header_source=source(),
        planes=("sci", "wht", "err", "nexp"),
        context=True,
    )
    assert written == path
    return path


# What is in the file


def test_extensions_and_pixels(product, planes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hdus = fits.open(product, checksum=True, lazy_load_hdus=True)
        hdus.verify("exception")
    with hdus:
        names = ["PRIMARY", "SCI", "WHT", "CTX", "ERR", "NEXP", "HDRTAB"]
        assert [hdu.name for hdu in hdus] == names
        for name in ("sci", "wht", "err", "nexp"):
            np.testing.assert_array_equal(hdus[name].data, planes[name])
        assert [hdu.header["BITPIX"] for hdu in hdus[1:]] == [-32, -32, 32, -32, 32, 8]


@needs_fitsverify
def test_fitsverify_finds_nothing(product):
    assert fitsverify(product) == UNUSUAL_NAMES


def test_the_wcs_is_the_frames(product, frame):
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 1300, 500), rng.uniform(0, 1600, 500)
    ra, dec = frame.pixel_to_sky(x, y)
    with fits.open(product) as hdus:
        for hdu in hdus[1:-1]:
            assert type(frame).from_header(hdu.header, shape=SHAPE).to_header() == frame.to_header()
            px, py = WCS(hdu.header, naxis=2).wcs_world2pix(ra, dec, 0)
            np.testing.assert_allclose([px, py], [x, y], atol=1e-7)


def test_upstreams_wcs_reads_it(product, frame):
    found = HSTWCS(str(product), ext=("SCI", 1))
    assert found.pscale == pytest.approx(0.04, rel=1e-12)
    assert (found.naxis2, found.naxis1) == SHAPE
    assert (found.sip, found.cpdis1, found.det2im1) == (None, None, None)
    x, y = np.array([0.0, 650.0, 1299.0]), np.array([0.0, 800.0, 1599.0])
    np.testing.assert_allclose(
        found.all_pix2world(x, y, 0), frame.pixel_to_sky(x, y), rtol=0, atol=1e-11
    )


def test_context_planes_name_the_chips(product, planes):
    with fits.open(product) as hdus:
        ctx = hdus["CTX"].data
        rows = [(row["ROOTNAME"], int(row["EXTVER"])) for row in hdus["HDRTAB"].data]
    assert ctx.shape == (2, *SHAPE)
    bits = {chip: number for number, chip in enumerate(rows)}
    assert len(bits) == 40
    for key, chips in PALETTE.items():
        expected = np.zeros(2, np.uint32)
        for name, extver in chips:
            plane, bit = divmod(bits[name, extver], 32)
            expected[plane] |= np.uint32(1 << bit)
        found = ctx[:, planes["ctx"] == np.uint64(key)]
        assert (found == expected.view(np.int32)[:, None]).all()


def test_one_context_plane_is_two_dimensional(planes, frame, tmp_path):
    few = (EXPOSURES[0], EXPOSURES[3], EXPOSURES[15], EXPOSURES[19])
    path = tmp_path / "a_drc.fits"
    write_fits(mosaic(planes), path, frame=frame, header_source=source(exposures=few), context=True)
    with fits.open(path) as hdus:
        assert hdus["CTX"].data.shape == SHAPE
        assert hdus["CTX"].data[600, 700] == 1 | 1 << 5 | 1 << 7


def test_keywords_of_the_primary_header(product, planes):
    header = fits.getheader(product)
    data = planes["wht"] > 0
    expected = {
        "FILENAME": NAME,
        "ROOTNAME": NAME.removesuffix("_drc.fits"),
        "DATE": "2026-01-02",
        "NEXTEND": 6,
        "NDRIZIM": 40,
        "HAPLEVEL": 4,
        "SCELLID": "p1889x07y19",
        "TELESCOP": "HST",
        "INSTRUME": "WFC3",
        "DETECTOR": "UVIS",
        "FILTER": "F475W",
        "TARGNAME": "PG1202+281",
        "PROPOSID": "9019; 11665; 12286",
        "NUMEXP": 20,
        "EXPSTART": 55611.1,
        "EXPEND": 55630.2,
        "DATE-BEG": "2011-02-19T02:24:00.000",
        "DATE-END": "2011-03-10T04:48:00.000",
        "EXPTIME": 20 * 500.0 + 190,
        "TEXPTIME": 20 * 500.0 + 190,
        "MEDEXPT": 500.0,
        "MEDNEXP": 1.0,
        "PIXFRAC": 1.0,
        "KERNEL": "square",
        "DOUBTBIT": 2384,
        "FLUXSCAL": True,
    }
    assert {key: header[key] for key in expected} == expected
    assert header["NPIXFRAC"] == pytest.approx(data.sum() / 21954**2, rel=1e-8)
    assert header["MEANNEXP"] == pytest.approx(planes["nexp"][data].mean(), rel=1e-8)
    assert header["MEANEXPT"] == pytest.approx(planes["exptime"][data].mean(dtype=float), rel=1e-8)
    assert header["MEANWHT"] == pytest.approx(planes["wht"][data].mean(dtype=float), rel=1e-8)
    assert header["MEDWHT"] == pytest.approx(np.median(planes["wht"][data]), rel=2e-4)
    assert "parameter doubtful_bits = 2384 from default.toml [WFC3.UVIS]" in list(header["HISTORY"])


def test_keywords_of_the_science_header(product):
    header = fits.getheader(product, "SCI")
    # every chip was scaled to one system, and this is its figure
    assert header["PHOTFLAM"] == pytest.approx(2.5e-18, rel=1e-12)
    assert header["PHOTFNU"] == pytest.approx(1.9e-7, rel=1e-12)
    assert header["PHOTPLAM"] == pytest.approx(4773.1, rel=1e-12)
    assert header["PHOTMODE"] == "WFC3 UVIS2 F475W"
    assert header["BUNIT"] == "ELECTRONS/S"
    assert header["NCOMBINE"] == 20
    assert header["WCSNAME"] == "IDC_2731450pi-FIT_SVM_GAIAeDR3"
    assert "PHOTFLAM" not in fits.getheader(product)
    assert fits.getheader(product, "WHT")["BUNIT"] == "UNITLESS"


def test_without_flux_scaling_photflam_is_the_mean_of_the_chips(planes, frame, tmp_path):
    unscaled = []
    for n in range(2):
        chips = tuple(
            ChipRecord(
                extver=v, chip=v, shape=(9, 9), distortion=None, sci=None, err=None, dq=None,
                photflam=(n + v) * 1e-18,
            )
            for v in (1, 2)
        )  # fmt: skip
        unscaled.append(exposure(n, chips=chips))
    path = tmp_path / "a_drc.fits"
    data = mosaic(planes, palette=None)
    write_fits(data, path, frame=frame, header_source=source(exposures=tuple(unscaled)))
    assert fits.getheader(path, "SCI")["PHOTFLAM"] == pytest.approx(2e-18, rel=1e-12)


def test_s_region_is_the_outline_of_the_data(product, planes, frame):
    footprint = Footprint.from_sregion(fits.getheader(product, "SCI")["S_REGION"])
    assert len(footprint.polygons) == 2
    assert sum(len(ra) for ra, _ in footprint.polygons) <= 16
    y, x = np.mgrid[5 : SHAPE[0] : 37, 5 : SHAPE[1] : 37]
    inside = footprint.contains(*frame.pixel_to_sky(x.ravel(), y.ravel())).reshape(x.shape)
    data = planes["wht"][y, x] > 0
    assert np.mean(inside != data) < 0.01
    for ra, dec in footprint.polygons:  # anticlockwise as seen with east to the left
        assert polygon_area(np.column_stack([ra, dec])) < 0


# The same bytes


@pytest.mark.parametrize("chunks", [None, (400, 1300), (1600, 300), (333, 777)])
def test_chunks_do_not_change_a_byte(product, planes, frame, tmp_path, chunks):
    again = write_fits(
        mosaic(planes, chunks),
        tmp_path / NAME,
        frame=frame,
        header_source=source(),
        planes=("sci", "wht", "err", "nexp"),
        context=True,
        memory=3 << 20,
    )
    assert again.read_bytes() == product.read_bytes()


def test_each_block_is_computed_once_and_memory_is_bounded(frame, tmp_path):
    big = SkyGrid()[CELL].frame()[:5000, :4000]
    computed = []

    def make(block_info=None):
        (y0, y1), (x0, x1) = block_info[None]["array-location"]
        computed.append((y0, x0))
        return np.ones((y1 - y0, x1 - x0), np.float32)

    lazy = da.map_blocks(
        make,
        chunks=da.core.normalize_chunks(500, big.shape),
        dtype="f4",
        meta=np.empty((0, 0), "f4"),
    )
    dims = ("y", "x")
    dataset = xr.Dataset({"sci": (dims, lazy), "wht": (dims, lazy * 2), "err": (dims, lazy * 3)})
    with dask.config.set(scheduler="synchronous"):
        small = dataset.isel(y=slice(0, 500), x=slice(0, 500))
        # what is imported on first use is no memory of the export's
        write_fits(small, tmp_path / "a_drc.fits", frame=big[:500, :500], header_source=source())
        computed.clear()
        tracemalloc.start()
        path = tmp_path / "b_drc.fits"
        write_fits(dataset, path, frame=big, header_source=source(), memory=8 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(computed) == sorted(
        {(y, x) for y in range(0, 5000, 500) for x in range(0, 4000, 500)}
    )
    assert peak < 0.5 * big.shape[0] * big.shape[1] * 4  # half of one plane


def test_a_dataset_that_carries_its_frame(product, planes, frame, tmp_path):
    dataset = attach_frame(mosaic(planes), frame)
    options = {"planes": ("sci", "wht", "err", "nexp"), "context": True}
    path = write_fits(dataset, tmp_path / NAME, header_source=source(), **options)
    assert path.read_bytes() == product.read_bytes()


def test_what_is_not_known_is_not_told(planes, frame, tmp_path):
    few = {name: planes[name] for name in ("sci", "wht", "err")}
    path = tmp_path / NAME
    write_fits(mosaic(few, palette=None), path, frame=frame, header_source=source())
    header = fits.getheader(path)
    assert not {"MEANEXPT", "MEDEXPT", "MEANNEXP", "MEDNEXP"} & set(header)
    assert header["MEANWHT"] > 400


def test_what_is_not_a_sky_cell_names_none(planes, frame, tmp_path):
    path = write_fits(mosaic(planes), tmp_path / NAME, frame=frame, header_source=source(cell=""))
    assert "SCELLID" not in fits.getheader(path)


# What fails


def assert_nothing_left(folder):
    assert list(folder.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced_unasked(planes, frame, tmp_path):
    path = tmp_path / NAME
    path.write_text("precious")
    with pytest.raises(StoreError, match=f"{NAME} exists already"):
        write_fits(mosaic(planes), path, frame=frame, header_source=source())
    assert path.read_text() == "precious"
    write_fits(mosaic(planes), path, frame=frame, header_source=source(), overwrite=True)
    assert path.stat().st_size > 10**6
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"planes": ("sci", "flux")}, "no plane 'flux'"),
        ({"planes": ()}, "name each plane"),
        ({"planes": ("sci", "sci")}, "name each plane"),
        ({"planes": ("sci", "noise_ratio")}, "no noise_ratio"),
        ({"frame": SkyGrid()[CELL].frame()}, "does not fit"),
        ({"header_source": HeaderSource(exposures=EXPOSURES[:3])}, "not among the exposures"),
    ],
)
def test_impossible_requests(planes, frame, tmp_path, changes, message):
    options = {"frame": frame, "header_source": source(), "context": True}
    with pytest.raises(StoreError, match=message):
        write_fits(mosaic(planes), tmp_path / NAME, **(options | changes))
    assert_nothing_left(tmp_path)


def test_context_needs_a_palette(planes, frame, tmp_path):
    data = mosaic(planes, palette=None)
    with pytest.raises(StoreError, match="no palette"):
        write_fits(data, tmp_path / NAME, frame=frame, header_source=source(), context=True)


def test_a_folder_that_is_not_there_or_is_the_target(planes, frame, tmp_path):
    options = {"frame": frame, "header_source": source()}
    with pytest.raises(StoreError, match="missing"):
        write_fits(mosaic(planes), tmp_path / "missing" / NAME, **options)
    with pytest.raises(StoreError, match="is a folder"):
        write_fits(mosaic(planes), tmp_path, **options)


@pytest.mark.parametrize("after", [0, 1, 3000])
def test_a_disk_that_fills_up(planes, frame, tmp_path, monkeypatch, after):
    left, real = [after], os.pwrite

    def pwrite(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(StoreError, match=rf"{NAME}.*No space left"):
        write_fits(mosaic(planes, 500), tmp_path / NAME, frame=frame, header_source=source())
    assert_nothing_left(tmp_path)


def test_short_writes_are_completed(product, planes, frame, tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, bytes(data[:9001]), at))
    options = {"planes": ("sci", "wht", "err", "nexp"), "context": True}
    data = mosaic(planes)
    path = write_fits(data, tmp_path / NAME, frame=frame, header_source=source(), **options)
    assert path.read_bytes() == product.read_bytes()


def test_a_block_that_fails_leaves_nothing(planes, frame, tmp_path):
    def broken(block, block_info=None):
        if block_info[0]["chunk-location"] == (2, 1):
            raise ArithmeticError("a tile failed")
        return block

    data = mosaic(planes, 500)
    data["sci"] = data["sci"].copy(data=data["sci"].data.map_blocks(broken, dtype="f4"))
    with pytest.raises(ArithmeticError, match="a tile failed"):
        write_fits(data, tmp_path / NAME, frame=frame, header_source=source(), memory=1)
    assert_nothing_left(tmp_path)


SCRIPT = """
import os, resource, signal, sys
import numpy as np, xarray as xr
from hapdask.products.fits_export import write_fits
from hapdask.products.fits_file import FitsFile, Image
from hapdask.products.header_source import HeaderSource
from hapdask.sky.frame import Frame
import hapdask.products.fits_export as module

frame = Frame.from_center(10.0, 20.0, 0.04, (1500, 1500))
plane = np.ones(frame.shape, np.float32)
data = xr.Dataset({name: (("y", "x"), plane) for name in ("sci", "wht", "err")})
{prepare}
options = {"separate": "separate" in sys.argv, "overwrite": True}
write_fits(data, sys.argv[1], frame=frame, header_source=HeaderSource(exposures=()), **options)
"""


def run_script(prepare, path, *words):
    code = SCRIPT.replace("{prepare}", textwrap.dedent(prepare))
    command = [sys.executable, "-c", code, str(path), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_file_too_large_for_the_disk_is_known_at_once(tmp_path):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))"
    done = run_script(limit, tmp_path / NAME)
    assert "StoreError" in done.stderr
    assert NAME in done.stderr
    assert_nothing_left(tmp_path)


def test_a_killed_writer_leaves_nothing_that_looks_finished(tmp_path):
    kill = """
    real, left = module._write, [2]
    def write(*arguments):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)
    module._write = write
    """
    done = run_script(kill, tmp_path / NAME)
    assert done.returncode == -9, done.stderr
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(NAME)
    assert left.suffix == ".part"
    again = run_script("", tmp_path / NAME)
    assert again.returncode == 0
    assert "left by an export that was killed" in again.stderr
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_separate_files_of_a_killed_writer_are_never_taken_for_a_product(tmp_path, renames):
    """Neither half of them, nor new ones beside old ones: the one of SCI is not there."""
    sci = tmp_path / NAME.replace(".fits", "_sci.fits")
    assert run_script("", tmp_path / NAME, "separate").returncode == 0
    whole = sorted(path.name for path in tmp_path.iterdir())
    assert sci.name in whole
    kill = f"""
    real, left = os.replace, [{renames}]
    def replace(*arguments):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)
    os.replace = replace
    """
    done = run_script(kill, tmp_path / NAME, "separate")
    assert done.returncode == -9, done.stderr
    assert not sci.exists()
    assert run_script("", tmp_path / NAME, "separate").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == whole


def test_a_side_file_that_is_being_written_stays(planes, frame, tmp_path):
    images = [Image("SCI", np.dtype(">f4"), (9, 9), 1)]
    with FitsFile(tmp_path / NAME, 1, images, overwrite=False):
        (side,) = tmp_path.iterdir()
        write_fits(mosaic(planes, palette=None), tmp_path / NAME, frame=frame,
                   header_source=source())  # fmt: skip
        assert side.exists()
    assert not side.exists()
    assert (tmp_path / NAME).stat().st_size > 10**6


def test_hostile_header_values_make_a_valid_file(planes, frame, tmp_path):
    keywords = {
        "TELESCOP": "HST\nEND",
        "APERTURE": "caf\u00e9 \x00",
        "RA_TARG": float("nan"),
        "CAL_VER": "x" * 500,
        "PHOTBW": float("inf"),
        "PHOTFNU": "not a number",
        "PHOTZPT": True,
        "FGSLOCK": None,
    }
    bad = exposure(0, keywords=tuple(keywords.items()), target="'" * 90, wcsname="")
    source_ = source(exposures=(bad,))
    data = mosaic(planes, palette=None)
    path = write_fits(data, tmp_path / NAME, frame=frame, header_source=source_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            assert hdus[0].header["CAL_VER"] == "x" * 500
            assert hdus[0].header["TARGNAME"] == "'" * 90
            assert "RA_TARG" not in hdus[0].header


def test_many_islands_still_fit_the_header(frame, tmp_path):
    rng = np.random.default_rng(1)
    wht = np.kron(rng.random((40, 50)) < 0.3, np.ones((40, 26))).astype(np.float32)
    planes = {"sci": wht, "wht": wht, "err": wht}
    path = tmp_path / NAME
    write_fits(mosaic(planes, palette=None), path, frame=frame, header_source=source())
    assert fits.getheader(path, "SCI")["S_REGION"].count("POLYGON") >= 1
