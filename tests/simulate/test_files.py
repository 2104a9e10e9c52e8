"""Files: headers that say what was simulated, whole files, fields with their truth."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from hapdask.errors import ParameterError
from hapdask.simulate import (
    DEMO_VISITS,
    Options,
    Pointing,
    PointingError,
    PointingScatter,
    Scene,
    Setup,
    Visit,
    simulate_exposure,
    simulate_field,
)
from hapdask.simulate.names import check_rootname, hashed_rootname, make_rootname

PRIMARY = """
    TELESCOP INSTRUME DETECTOR ROOTNAME FILENAME FILETYPE TARGNAME RA_TARG DEC_TARG PROPOSID
    OBSTYPE FGSLOCK MTFLAG REFFRAME DATE-OBS TIME-OBS EXPSTART EXPEND EXPTIME EXPFLAG PA_V3
    POSTARG1 POSTARG2 DRIZCORR SUBARRAY APERTURE CCDAMP CCDGAIN IDCTAB NPOLFILE D2IMFILE PFLTFILE
    ATODGNA ATODGNB ATODGNC ATODGND READNSEA READNSEB READNSEC READNSED DISTNAME SIPNAME NEXTEND
    SIMULATE
"""
SCIENCE = """
    EXPNAME BUNIT MEANDARK NGOODPIX GOODMIN GOODMAX GOODMEAN SNRMIN SNRMAX SNRMEAN S_REGION
    WCSNAME WCSAXES CRPIX1 CRPIX2 CRVAL1 CRVAL2 CTYPE1 CTYPE2 CD1_1 CD1_2 CD2_1 CD2_2 A_ORDER
    B_ORDER ORIENTAT PA_APER RA_APER DEC_APER VAFACTOR LTV1 LTV2 BINAXIS1 BINAXIS2 IDCSCALE
    IDCTHETA IDCXREF IDCYREF IDCV2REF IDCV3REF OCX10 OCX11 OCY10 OCY11 RADESYS
"""


@pytest.fixture(scope="module")
def infrared(tmp_path_factory):
    pointing = Pointing(
        150.0, 2.0, 33.0, "2019-12-31T23:59:30", (1.5, -2.5), PointingError(0.1, 0.2)
    )
    exposure = simulate_exposure(
        Scene.random(150.0, 2.0, 0.03, 50, 5, 1), "wfc3", "ir", "f125w", pointing, 350.0, seed=2,
        rootname="iabc12xyq", target="HUDF", proposal=12345,
    )  # fmt: skip
    return exposure, exposure.write(tmp_path_factory.mktemp("ir"))


def test_primary_cards_tell_the_simulation(infrared):
    exposure, path = infrared
    header = fits.getheader(path)
    for key in PRIMARY.split():
        assert key in header, key
    expected = {
        "ROOTNAME": "iabc12xyq", "FILENAME": path.name, "TARGNAME": "HUDF", "PROPOSID": 12345,
        "RA_TARG": 150.0, "DEC_TARG": 2.0, "EXPTIME": 350.0, "FILTER": "F125W", "DETECTOR": "IR",
        "DATE-OBS": "2019-12-31", "TIME-OBS": "23:59:30", "POSTARG1": 1.5, "POSTARG2": -2.5,
        "PHOTFLAM": 2.2483e-20, "PHOTMODE": "WFC3 IR F125W", "SIMULATE": True, "FGSLOCK": "FINE",
        "REFFRAME": "ICRS", "OBSTYPE": "IMAGING", "MTFLAG": "", "NEXTEND": 5,
    }  # fmt: skip
    assert {key: header[key] for key in expected} == expected
    assert path.name == exposure.filename == "iabc12xyq_flt.fits"
    assert header["EXPSTART"] == pytest.approx(58848.99965278, abs=1e-7)
    assert (header["EXPEND"] - header["EXPSTART"]) * 86400 == pytest.approx(350.0, abs=1e-4)
    assert header["DISTNAME"].startswith("iabc12xyq_w3m18525i")
    assert "Simulated" in str(header["HISTORY"])


def test_science_cards_and_planes(infrared):
    exposure, path = infrared
    with fits.open(path) as hdus:
        assert [(h.name, h.ver) for h in hdus[1:]] == [
            (name, 1) for name in ("SCI", "ERR", "DQ", "SAMP", "TIME")
        ]
        science = hdus["SCI", 1]
        for key in SCIENCE.split():
            assert key in science.header, key
        kinds = {h.name: (h.header["BITPIX"], h.shape, h.header["BUNIT"]) for h in hdus[1:]}
        good = (hdus["DQ"].data & 31743) == 0
        assert science.header["NGOODPIX"] == good.sum()
        assert science.header["GOODMEAN"] == pytest.approx(science.data[good].mean(), rel=1e-4)
        assert hdus["SAMP"].data.max() == hdus[0].header["NSAMP"] - 1
        assert (hdus["TIME"].data[hdus["DQ"].data == 0] == 350.0).all()
        for name in ("ERR", "DQ", "SAMP", "TIME"):
            assert hdus[name].header["CTYPE1"] == "RA---TAN"
            assert hdus[name].header["CRVAL1"] == science.header["CRVAL1"]
            assert "A_ORDER" not in hdus[name].header
        hdus.verify("exception")
    shape = (1014, 1014)
    assert kinds["SCI"] == kinds["ERR"] == (-32, shape, "ELECTRONS/S")
    assert kinds["DQ"][:2] == kinds["SAMP"][:2] == (16, shape)
    assert science.header["ORIENTAT"] == exposure.chips[1].header_geometry.frame.orientat
    assert science.header["MEANDARK"] == pytest.approx(0.045 * 350.0)


def test_s_region_is_the_outline_in_the_header(infrared):
    exposure, path = infrared
    text = fits.getheader(path, ("SCI", 1))["S_REGION"]
    assert text.startswith("POLYGON ICRS ")
    numbers = np.array(text.split()[2:], float).reshape(-1, 2)
    assert numbers.shape == (5, 2)
    assert (numbers[0] == numbers[-1]).all()
    corners = np.transpose(exposure.chips[1].header_geometry.corners())
    assert numbers[:4] == pytest.approx(corners, abs=1e-10)


@pytest.mark.parametrize(
    ("instrument", "detector", "band", "wheel"),
    [
        ("WFC3", "UVIS", "F606W", {"FILTER": "F606W"}),
        ("ACS", "WFC", "F606W", {"FILTER1": "F606W", "FILTER2": "CLEAR2L"}),
        ("ACS", "WFC", "F814W", {"FILTER1": "CLEAR1L", "FILTER2": "F814W"}),
    ],
)
def test_two_chips_with_tables(tmp_path, instrument, detector, band, wheel):
    exposure = simulate_exposure(
        Scene.stars([], [], []), instrument, detector, band, Pointing(10.0, 10.0, aligned=False),
        60.0, seed=1, options=Options.noise_free(sky=1.0),
    )  # fmt: skip
    path = exposure.write(tmp_path)
    with fits.open(path) as hdus:
        primary = hdus[0].header
        for key in PRIMARY.split():
            assert key in primary, key
        assert {key: primary[key] for key in wheel} == wheel
        assert primary["PCTECORR"] == "COMPLETE"
        assert primary["NEXTEND"] == len(hdus) - 1 == 14
        for extver, chip in ((1, 2), (2, 1)):
            header = hdus["SCI", extver].header
            for key in SCIENCE.split():
                assert key in header, key
            assert header["CCDCHIP"] == chip
            assert header["BUNIT"] == "ELECTRONS"
            assert header["PHOTFLAM"] == exposure.passband.photflam
            assert header["WCSNAME"].startswith("IDC_")
            assert "FIT" not in header["WCSNAME"]
            assert "RMS_RA" not in header
            assert header["DP1.EXTVER"] == header["D2IM1.EXTVER"] == 2 * extver - 1
            assert header["DP2.EXTVER"] == header["D2IM2.EXTVER"] == 2 * extver
        for name in ("WCSDVARR", "D2IMARR"):
            for ver in range(1, 5):
                assert hdus[name, ver].shape == (32, 64)
                assert hdus[name, ver].header["CDELT1"] == 64.0
    assert path.stat().st_size % 2880 == 0
    if shutil.which("fitsverify"):
        found = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True)
        assert "and 0 errors" in found.stdout  # record-valued cards make warnings, as in HST files


def test_a_failed_write_leaves_nothing(tmp_path, infrared, monkeypatch):
    exposure, _ = infrared

    def fail(self, stream):
        stream.write(b"SIMPLE")
        raise OSError("disk full")

    monkeypatch.setattr(fits.HDUList, "writeto", fail)
    with pytest.raises(OSError, match="disk full"):
        exposure.write(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_rootnames():
    assert make_rootname("i", "b46", "06", 5) == "ib460605q"
    assert make_rootname("J", "SIM", "0A", 1295) == "jsim0azzq"
    assert re.fullmatch(r"isim[a-z0-9]{4}q", hashed_rootname("i", 1, "x"))
    assert hashed_rootname("i", 1) == hashed_rootname("i", 1) != hashed_rootname("i", 2)
    for bad in (("i", "b46", "06", 1296), ("i", "b4", "006", 1), ("i", "b_6", "06", 1)):
        with pytest.raises(ParameterError):
            make_rootname(*bad)
    with pytest.raises(ParameterError, match="ipppssoot"):
        check_rootname("../../etc")


def test_unknown_names_say_what_is_near():
    scene, pointing = Scene.stars(0.0, 0.0, 20.0), Pointing(0.0, 0.0)
    for arguments, message in (
        (("WFC3", "UVIZ", "F606W"), "nearest is 'WFC3/UVIS'"),
        (("WFC3", "UVIS", "F607W"), "nearest is 'F606W'"),
        (("WFC3", "IR", "F606W"), "known: F105W"),
    ):
        with pytest.raises(ParameterError, match=message):
            simulate_exposure(scene, *arguments, pointing, 10.0, seed=1)
    for extra in ({"exptime": 0.0}, {"chips": [3]}, {"chips": []}, {"rootname": "short"}):
        given = {"exptime": 10.0, "seed": 1} | extra
        with pytest.raises(ParameterError):
            simulate_exposure(scene, "WFC3", "UVIS", "F606W", pointing, **given)


SMALL = (
    Visit("0a", 10.0, "2015-06-01T00:00:00",
          (Setup("WFC3", "IR", "F110W", 100.0, ((-2.0, 1.0), (2.0, -1.0))),
           Setup("WFC3", "IR", "F160W", 150.0))),
    Visit("0b", 95.0, "2017-06-01T00:00:00", (Setup("WFC3", "IR", "F160W", 150.0),)),
)  # fmt: skip


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    seen = []
    made = simulate_field(
        tmp_path_factory.mktemp("field"), 0.001, 88.0, 11, visits=SMALL,
        scatter=PointingScatter(visit=0.2, exposure=0.02, rotation=0.01, aligned=False),
        progress=lambda done, total, path: seen.append((done, total, path)),
    )  # fmt: skip
    return made, seen


def test_a_field_has_its_files_and_nothing_else(field):
    made, seen = field
    names = [path.name for path in made.exposures]
    assert names == [f"isim{tail}q_flt.fits" for tail in ("0a01", "0a02", "0a03", "0b01")]
    assert seen == [(i + 1, 4, path) for i, path in enumerate(made.exposures)]
    folder = made.sources.parent
    expected = {*made.exposures, *made.cosmic_rays, *made.drawn, made.sources, made.pointings}
    assert set(folder.iterdir()) == expected
    starts = [fits.getheader(path)["EXPSTART"] for path in made.exposures]
    assert starts == sorted(starts)
    assert (starts[1] - starts[0]) * 86400 == pytest.approx(220.0, abs=0.01)
    for path, mask in zip(made.exposures, made.cosmic_rays, strict=True):
        flagged = (fits.getdata(path, ("DQ", 1)) & 4096) != 0
        with np.load(mask) as masks:
            assert np.array_equal(masks["sci1"], flagged)


def test_truth_tables_tell_errors_and_rates(field):
    made, _ = field
    sources = Table.read(made.sources)
    assert {"ra", "dec", "mag", "profile", "rate_wfc3_ir_f110w", "rate_wfc3_ir_f160w"} < set(
        sources.colnames
    )
    assert sources["rate_wfc3_ir_f160w"].min() > 0
    rows = Table.read(made.pointings)
    assert len(rows) == 4
    for row, path in zip(rows, made.exposures, strict=True):
        header = fits.getheader(path, ("SCI", 1))
        assert row["file"] == path.name
        assert header["CRVAL1"] == pytest.approx(row["header_crval1"], abs=1e-12)
        assert header["CD1_2"] == pytest.approx(row["header_cd1_2"], rel=1e-12)
        north = (row["header_crval2"] - row["true_crval2"]) * 3600
        # shift of the target plus the rotation's effect some arcsec away, at dec 88
        assert north == pytest.approx(row["error_north"], abs=5e-3)
        east = math.remainder(row["header_crval1"] - row["true_crval1"], 360.0) * 3600
        east *= math.cos(math.radians(row["true_crval2"]))
        assert east == pytest.approx(row["error_east"], abs=5e-3)
    # the two exposures of one visit share most of their error, the visits do not
    assert abs(rows["error_east"][0] - rows["error_east"][1]) < 0.15
    assert len(set(rows["error_rotation"])) == 2


def test_a_field_is_the_same_with_any_number_of_workers(field, tmp_path):
    made, _ = field
    scatter = PointingScatter(visit=0.2, exposure=0.02, rotation=0.01, aligned=False)
    again = simulate_field(tmp_path, 0.001, 88.0, 11, visits=SMALL, scatter=scatter, workers=2)
    for one, two in zip(
        sorted(made.sources.parent.iterdir()), sorted(tmp_path.iterdir()), strict=True
    ):
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes()
    assert again.sources.parent == tmp_path


def test_a_bad_field_writes_nothing(tmp_path):
    wrong = dataclasses.replace(SMALL[1], setups=(Setup("WFC3", "IR", "F999W", 10.0),))
    for visits in ((SMALL[0], wrong), (SMALL[0], SMALL[0])):
        with pytest.raises(ParameterError):
            simulate_field(tmp_path / "none", 0.0, 0.0, 1, visits=visits)
    with pytest.raises(ParameterError, match="workers"):
        simulate_field(tmp_path / "none", 0.0, 0.0, 1, workers=0)
    assert not (tmp_path / "none").exists()


def test_the_demo_is_what_the_project_promises():
    assert len({visit.roll for visit in DEMO_VISITS}) == 2
    for visit in DEMO_VISITS:
        assert {setup.detector for setup in visit.setups} == {"UVIS", "IR", "WFC"}
        assert all(len(setup.dithers) >= 2 for setup in visit.setups)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("instrument", "detector", "band", "sky"),
    [
        ("WFC3", "UVIS", "F606W", 0.5),
        ("WFC3", "IR", "F160W", 0.5),
        ("ACS", "WFC", "F814W", 0.5),
        ("ACS", "HRC", "F606W", 0.5),
        # counts of the last chip's gain, in pixels of the first chip's size
        ("WFPC2", "PC", "F555W", 0.5 * 400.0 / 7.10 * (0.045532 / 0.09959) ** 2),
    ],
)
def test_astrodrizzle_runs(tmp_path, monkeypatch, instrument, detector, band, sky):
    astrodrizzle = pytest.importorskip("drizzlepac.astrodrizzle")
    monkeypatch.chdir(tmp_path)
    options = Options(sky=0.5, cosmic_rays=False, defects=False, noise=False)
    exposure = simulate_exposure(
        Scene.stars(10.0, 10.0, 19.0), instrument, detector, band, Pointing(10.0, 10.0, 40.0),
        400.0, seed=1, options=options,
    )  # fmt: skip
    name = exposure.write(tmp_path).name
    astrodrizzle.AstroDrizzle(
        [name], output="out", static=False, skysub=False, driz_separate=False, median=False,
        blot=False, driz_cr=False, driz_combine=True, preserve=False, clean=False, build=False,
        num_cores=1, updatewcs=False,
    )  # fmt: skip
    (product,) = tmp_path.glob("out_dr?_sci.fits")
    image = fits.getdata(product)
    near = 1e-3 if instrument == "WFPC2" else 1e-4
    assert np.nanmedian(image[image != 0]) == pytest.approx(sky, rel=near)
    assert fits.getheader(product)["EXPTIME"] == 400.0
