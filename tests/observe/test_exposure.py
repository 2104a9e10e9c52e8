"""Opening exposures: whatever is wrong is told with file, extension and remedy, and left out."""

import gzip
import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows


@pytest.mark.parametrize(
    ("detector", "layer", "unit", "chips"),
    [
        ("UVIS", "wfc3_uvis_f606w", "electron", [2, 1]),
        ("IR", "wfc3_ir_f160w", "electron / s", [1]),
        ("WFC", "acs_wfc_f606w-pol0v", "electron", [2, 1]),
    ],
)
def test_the_three_detectors(make, detector, layer, unit, chips):
    exposures = open_exposures(make(detector=detector))
    (record,) = exposures
    assert (record.layer_name, record.unit) == (layer, unit)
    assert [c.chip for c in record.chips] == chips
    assert [v.status for _, v in exposures.verdicts] == [
        "warning" if "pol" in layer else "accepted"
    ]
    assert len(record.footprint.polygons) == len(chips)


@pytest.mark.parametrize(
    ("name", "layer", "wcsname", "scale"),
    [
        ("uvis", "wfc3_uvis_f555w", "IDC_2731450pi-FIT_SVM_GAIAeDR3", 0.0396),
        ("ir", "wfc3_ir_f110w", "IDC_w3m18525i-FIT_SVM_GAIAeDR3", 0.1283),
        ("acs", "acs_wfc_f606w", "IDC_qbu1641sj", 0.05),
    ],
)
def test_real_headers_open(tmp_path, real_headers, name, layer, wcsname, scale):
    """Real PRIMARY and SCI headers; pixels and tables, which they lack, are made up."""
    primary, *sciences = (fits.Header.fromstring(raw) for raw in real_headers[name])
    hdus = fits.HDUList([fits.PrimaryHDU(header=primary)])
    for extver, header in enumerate(sciences, 1):
        hdus.append(fits.ImageHDU(np.ones((10, 10), "f4"), header, name="SCI", ver=extver))
        hdus.append(fits.ImageHDU(np.ones((10, 10), "f4"), name="ERR", ver=extver))
        hdus.append(fits.ImageHDU(np.ones((10, 10), "i2"), name="DQ", ver=extver))
    for extver in range(1, 5):
        for table in ("D2IMARR", "WCSDVARR"):
            cards = fits.Header({"CRPIX1": 0, "CRPIX2": 0, "CDELT1": 64.0, "CDELT2": 64.0})
            hdus.append(fits.ImageHDU(np.zeros((2, 2), "f4"), cards, name=table, ver=extver))
    path = tmp_path / f"{name}.fits"
    hdus.writeto(path)
    (record,) = open_exposures(path, strict=True)
    assert record.layer_name == layer
    assert record.wcsname == wcsname
    assert record.suffix == ("flc" if name == "uvis" else "flt")
    assert record.chips[0].idcscale == pytest.approx(scale, abs=1e-4)
    assert record.chips[0].distortion.pixel_scale == pytest.approx(scale, rel=0.15)
    assert record.chips[0].photflam > 0


def drop(name, ver=1):
    return lambda hdus: hdus.__delitem__(hdus.index_of((name, ver)))


def science(**cards):
    return lambda hdus: hdus["SCI", 1].header.update(cards)


def without(key):
    return lambda hdus: hdus["SCI", 1].header.remove(key)


def shape(name, ny, nx):
    return lambda hdus: setattr(hdus[name, 1], "data", np.zeros((ny, nx), "f4"))


def table(name, data):
    return lambda hdus: setattr(hdus[name, 1], "data", data)


BROKEN = [
    ("no SCI", lambda h: [drop("SCI", 1)(h), drop("SCI", 2)(h)], "no SCI", None),
    ("no DQ", drop("DQ", 2), "no DQ,2", "SCI,2"),
    ("ERR of another size", shape("ERR", 130, 95), "95 x 130", "ERR,1"),
    ("DQ of another size", shape("DQ", 2, 2), "2 x 2", "DQ,1"),
    ("larger than the detector", shape("SCI", 3000, 96), "96 x 3000", "SCI,1"),
    ("SCI of three axes", table("SCI", np.zeros((2, 3, 4), "f4")), "two axes", "SCI,1"),
    ("SCI without data", table("SCI", None), "two axes", "SCI,1"),
    ("no CRVAL1", without("CRVAL1"), "CRVAL1", "SCI,1"),
    ("CRVAL1 a text", science(CRVAL1="north"), "CRVAL1", "SCI,1"),
    ("CRVAL1 absurd", science(CRVAL1=1e30), "CRVAL1", "SCI,1"),
    ("CRVAL2 absurd", science(CRVAL2=-91.0), "CRVAL2", "SCI,1"),
    ("CRPIX absurd", science(CRPIX1=1e9), "CRPIX", "SCI,1"),
    ("CD zero", science(CD1_1=0.0, CD1_2=0.0), "pixels of 0", "SCI,1"),
    ("IDCSCALE next to 0", science(IDCSCALE=1e-300), "IDCSCALE gives pixels", "SCI,1"),
    ("IDCSCALE of another", science(IDCSCALE=0.2), "IDCSCALE gives pixels", "SCI,1"),
    ("CD of another telescope", science(CD1_1=-1e-3), "pixels of", "SCI,1"),
    ("another projection", science(CTYPE1="RA---SIN"), "CTYPE1", "SCI,1"),
    ("SIP order absurd", science(A_ORDER=99), "A_ORDER", "SCI,1"),
    ("SIP coefficient absurd", science(A_2_0=1.0), "moves pixels", "SCI,1"),
    ("SIP coefficient a text", science(B_1_1="x"), "B_1_1", "SCI,1"),
    ("no D2IMARR", drop("D2IMARR", 1), "D2IMARR,1 is missing", "SCI,1"),
    ("no WCSDVARR", drop("WCSDVARR", 4), "WCSDVARR,4 is missing", "SCI,2"),
    ("a cut table", table("WCSDVARR", np.zeros((2, 2), "f4")), "reaches from", "SCI,1"),
    ("a table of one axis", table("D2IMARR", np.zeros(9, "f4")), "look-up table", "D2IMARR,1"),
    ("a table of NaN", table("D2IMARR", np.full((9, 6), np.nan, "f4")), "finite", "D2IMARR,1"),
    ("a table of large values", table("D2IMARR", np.full((9, 6), 1e9, "f4")), "moves", "SCI,1"),
    ("an empty table", table("D2IMARR", np.zeros((9, 0), "f4")), "shape (9, 0)", "D2IMARR,1"),
    ("a huge table", table("D2IMARR", np.zeros((1500, 1500), "u1")), "look-up", "D2IMARR,1"),
    ("counts", science(BUNIT="COUNTS"), "BUNIT", "SCI,1"),
    ("units that differ", science(BUNIT="ELECTRONS/S"), "different units", "SCI"),
    ("another detector", lambda h: h[0].header.update(DETECTOR="HRC"), "WFC3/HRC", None),
    ("no instrument", lambda h: h[0].header.remove("INSTRUME"), "known are", None),
    ("EXPSTART absent", lambda h: h[0].header.remove("EXPSTART"), "EXPSTART", "PRIMARY"),
    ("a name that is a path", lambda h: h[0].header.update(ROOTNAME="../x"), "ROOTNAME", None),
    ("a filter that is a path", lambda h: h[0].header.update(FILTER="../x"), "filter", None),
    ("too many chips", lambda h: h.append(fits.ImageHDU(name="SCI", ver=3)), "3 SCI", None),
]


@pytest.mark.parametrize(
    ("change", "match", "ext"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_broken_exposure_is_told_and_the_rest_opened(make, change, match, ext):
    good = make("ia0a01aaq")
    bad = make("ia0a02aaq", change=change)
    exposures = open_exposures([good, bad])
    assert [e.name for e in exposures] == ["ia0a01aaq"]
    (_, fine), (path, verdict) = exposures.verdicts
    assert fine.status == "accepted"
    assert (path, verdict.status) == (str(bad), "rejected")
    assert match in verdict.reason
    with pytest.raises(InputError) as caught:
        open_exposures([good, bad], strict=True)
    assert caught.value.path == str(bad)
    assert caught.value.ext == ext
    assert caught.value.remedy


def test_not_a_number_in_the_wcs(make, spoil):
    path = make(science={"CRVAL1": 150.25})
    spoil(path, b"CRVAL1  =               150.25", b"CRVAL1  =                  NaN")
    ((_, verdict),) = open_exposures(path).verdicts
    assert "CRVAL1 = nan is not finite" in verdict.reason


@pytest.mark.parametrize(
    ("cards", "keyword"),
    [
        ({"EXPTIME": 0.0}, "EXPTIME"),
        ({"EXPTIME": None}, "EXPTIME"),
        ({"FILTER": "G280"}, "FILTER"),
        ({"MTFLAG": "T"}, "MTFLAG"),
        ({"OBSTYPE": "INTERNAL"}, "OBSTYPE"),
    ],
)
def test_what_the_header_rejects_is_left_out(make, cards, keyword):
    path = make(primary=cards)
    exposures = open_exposures(path)
    assert len(exposures) == 0
    ((_, verdict),) = exposures.verdicts
    assert (verdict.status, verdict.keyword) == ("rejected", keyword)
    with pytest.raises(InputError, match=keyword):
        open_exposures(path, strict=True)


def test_doubtful_guiding_is_used_with_a_warning(make):
    exposures = open_exposures(make(primary={"FGSLOCK": "GYROS"}), strict=True)
    assert exposures[0].verdict.status == exposures.verdicts[0][1].status == "warning"


def test_without_err_it_is_used_with_a_warning(make):
    (record,) = open_exposures(make(change=drop("ERR", 1)), strict=True)
    assert "noise model" in record.verdict.reason
    assert [c.err is None for c in record.chips] == [True, False]
    assert read_chip_rows(record, record.chips[0], 0, 9)[1] is None


def test_compressed_input_of_another_name_says_how_to_go_on(make):
    path = make()
    packed = Path(f"{path}.bin")
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    with pytest.raises(InputError, match="compressed") as caught:
        open_exposures(packed, strict=True)
    assert f"gunzip {packed}" in caught.value.remedy


def test_tile_compressed_input_says_how_to_go_on(make, tmp_path):
    path = make()
    with fits.open(path) as hdus:
        hdus[1] = fits.CompImageHDU(hdus[1].data, hdus[1].header, name="SCI")
        hdus.writeto(tmp_path / "packed.fits")
    with pytest.raises(InputError, match="compressed") as caught:
        open_exposures(tmp_path / "packed.fits", strict=True)
    assert "funpack" in caught.value.remedy
    assert caught.value.ext == "SCI,1"


@pytest.mark.parametrize("content", [b"", b"no FITS at all" * 999])
def test_files_that_are_no_exposures(make, tmp_path, content):
    bad = tmp_path / "bad_flc.fits"
    bad.write_bytes(content)
    exposures = open_exposures([bad, make(), tmp_path / "none_flc.fits", tmp_path])
    assert len(exposures) == 1
    assert [v.status for _, v in exposures.verdicts] == [
        "rejected",
        "accepted",
        "rejected",
        "rejected",
    ]


class TestDuplicates:
    def test_an_flc_goes_before_its_flt(self, make):
        flt, flc = make(suffix="flt"), make(suffix="flc")
        for order in ([flt, flc], [flc, flt]):
            exposures = open_exposures(order, strict=True)
            assert [e.url for e in exposures] == [str(flc)]
            verdict = dict(exposures.verdicts)[str(flt)]
            assert verdict.status == "rejected"
            assert str(flc) in verdict.reason

    def test_the_first_of_two_copies_is_used(self, make, tmp_path):
        one, two = make(), make(directory=tmp_path / "copy")
        exposures = open_exposures([one, two])
        assert [e.url for e in exposures] == [str(one)]
        assert "duplicate" in exposures.verdicts[1][1].reason
        with pytest.raises(InputError, match="duplicate"):
            open_exposures([one, two], strict=True)

    def test_a_file_named_twice(self, make):
        path = make()
        exposures = open_exposures([path, path])
        assert len(exposures) == 1
        assert [v.status for _, v in exposures.verdicts] == ["accepted"]
        assert [row["name"] for row in exposures.table()] == ["ia0a01aaq"]


class TestNaming:
    def test_patterns_are_sorted(self, make, tmp_path):
        for name in ("ia0a03aaq", "ia0a01aaq", "ia0a02aaq"):
            make(name, suffix="flt" if name[5] == "2" else "flc")
        exposures = open_exposures(f"{tmp_path}/*_fl[ct].fits")
        assert [e.name for e in exposures] == ["ia0a01aaq", "ia0a02aaq", "ia0a03aaq"]
        assert [e.suffix for e in exposures] == ["flc", "flt", "flc"]

    def test_lists_keep_their_order(self, make):
        paths = [make("ia0a02aaq"), make("ia0a01aaq")]
        assert [e.name for e in open_exposures(paths)] == ["ia0a02aaq", "ia0a01aaq"]

    def test_a_pattern_that_matches_nothing(self, tmp_path):
        with pytest.raises(InputError, match="no file matches"):
            open_exposures(f"{tmp_path}/*.fits")

    def test_a_path_that_looks_like_a_pattern(self, make, tmp_path):
        assert len(open_exposures(make(directory=tmp_path / "a[1]"))) == 1

    def test_relative_paths_become_absolute(self, make, monkeypatch, tmp_path):
        path = make()
        monkeypatch.chdir(tmp_path)
        assert open_exposures(path.name)[0].url == str(path)
        assert open_exposures(f"file://{path}")[0].url == str(path)

    def test_the_file_name_helps_out(self, make):
        record = open_exposures(make(primary={"ROOTNAME": None}))[0]
        assert record.name == "ia0a01aaq"

    def test_the_header_tells_cte_correction_where_the_name_does_not(self, make, tmp_path):
        path = make(primary={"PCTECORR": "COMPLETE"})
        path.rename(tmp_path / "x.fits")
        assert open_exposures(tmp_path / "x.fits")[0].suffix == "flc"

    def test_nothing_to_open(self):
        assert len(open_exposures([])) == 0


def test_the_list(make):
    exposures = open_exposures([make(f"ia0a0{i}aaq") for i in range(4)] + ["/nowhere_flc.fits"])
    assert "4 of wfc3_uvis_f606w; 1 left out" in repr(exposures)
    assert [e.name for e in exposures[1:3]] == ["ia0a01aaq", "ia0a02aaq"]
    rows = exposures.table()
    assert len(rows) == 5
    assert rows[0]["layer"] == "wfc3_uvis_f606w"
    assert rows[0]["chips"] == 2
    assert rows[4]["name"] is None
    assert "No such file" in rows[4]["reason"]
    warned = [e.with_verdict(e.verdict.warned("look")) for e in exposures]
    assert [v.status for _, v in exposures.with_records(warned).verdicts] == ["warning"] * 4 + [
        "rejected"
    ]


def test_subarrays_and_missing_end_times(make):
    (record,) = open_exposures(make(shape=(60, 50), chips=1, primary={"EXPEND": None}))
    assert record.chips[0].shape == (60, 50)
    assert record.expend == pytest.approx(record.expstart + 340.0 / 86400.0)


def test_inputs_are_never_written(make):
    path = make()
    path.chmod(0o444)
    before = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    (record,) = open_exposures(path)
    read_chip_rows(record, record.chips[0], 0, 130)
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == before
    assert os.listdir(path.parent) == [path.name]


def test_a_thousand_exposures_need_few_descriptors(make, tmp_path):
    template = make("ia0a00aaq", "IR", shape=(6, 5), tables=False).read_bytes()
    for i in range(1000):
        name = f"ia{i:04}aaq".encode()
        (tmp_path / f"{name.decode()}_flt.fits").write_bytes(template.replace(b"ia0a00aaq", name))
    script = f"""
        import os, resource
        from hapdask.observe.exposure import open_exposures
        from hapdask.observe.pixels import read_chip_rows
        open_exposures({str(tmp_path / "ia0000aaq_flt.fits")!r})  # what is imported late is in
        held = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (held + 3, held + 3))
        exposures = open_exposures({str(tmp_path / "ia*_flt.fits")!r}, strict=True)
        total = sum(read_chip_rows(e, e.chips[0], 0, 6)[0].size for e in exposures)
        print(len(exposures), total)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1000", "30000"], done.stderr


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 4, 7]),  # PRIMARY, SCI,1, SCI,2, a table
            st.integers(0, 35 * 80 - 1),
            st.binary(min_size=1, max_size=30)
            | st.from_regex(r"[0-9.E+'TF-]{1,20}", fullmatch=True),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_spoilt_headers_give_a_record_or_a_verdict(make, changes):
    path = make(shape=(6, 5))
    raw = bytearray(path.read_bytes())
    with fits.open(path) as hdus:
        starts = [h.fileinfo()["hdrLoc"] for h in hdus]
    for index, position, piece in changes:
        start = starts[index] + position
        new = piece.encode() if isinstance(piece, str) else piece
        raw[start : start + len(new)] = new
    path.write_bytes(bytes(raw))
    exposures = open_exposures(path)
    ((_, verdict),) = exposures.verdicts
    assert (verdict.status == "rejected") == (len(exposures) == 0)
    for record in exposures:
        record.to_dict()
        for chip in record.chips:
            read_chip_rows(record, chip, 0, 6)
