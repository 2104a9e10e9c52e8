"""Another WCS in place of the primary one: the map that stwcs and astropy see, or a verdict."""

import gzip
import os
import shutil
import threading

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.solutions import reference
from tests.observe.conftest import DATA

GRID = np.meshgrid(np.linspace(0, 4095, 23), np.linspace(0, 2050, 17))
TARGET = b"TG_EVER =%21d"
HEADERLETS = {name: DATA / f"ib4606c6q_{name}_hlet.fits.gz" for name in ("idc", "opus")}


def headers_of(name):
    """PRIMARY and SCI headers of a file of raw headers, without the sizes of what is not there."""
    raw = gzip.decompress((DATA / f"{name}_headers.bin.gz").read_bytes())
    found, start = [], 0
    for block in range(0, len(raw), 2880):
        if any(raw[i : i + 80].rstrip() == b"END" for i in range(block, block + 2880, 80)):
            found.append(fits.Header.fromstring(raw[start : block + 2880]))
            start = block + 2880
    return found


def write(path, headers, shape, extra=()):
    """Write an exposure with real headers; its pixels are bytes of zero."""
    hdus = fits.HDUList([fits.PrimaryHDU(header=headers[0])])
    for extver, header in enumerate(headers[1:], 1):
        for key in ("BSCALE", "BZERO"):
            header.remove(key, ignore_missing=True)
        hdus.append(fits.ImageHDU(np.zeros(shape, "u1"), header, name="SCI", ver=extver))
        hdus.append(fits.ImageHDU(np.zeros(shape, "u1"), name="DQ", ver=extver))
    hdus.extend(extra)
    hdus.writeto(path, output_verify="silentfix")
    return path


def attached(name, extver, *, packed=False, change=lambda raw: raw):
    """Wrap a headerlet as it stands in an exposure."""
    small = gzip.decompress(HEADERLETS[name].read_bytes())
    own = fits.Header.fromstring(small[: small.index(b"END" + b" " * 77) + 80])
    raw = change(small)
    raw = gzip.compress(raw) if packed else raw
    cards = fits.Header()
    cards["XTENSION"] = "HDRLET"
    cards["BITPIX"], cards["NAXIS"], cards["NAXIS1"] = 8, 1, len(raw)
    cards["PCOUNT"], cards["GCOUNT"] = 0, 1
    cards["EXTNAME"], cards["EXTVER"] = "HDRLET", extver
    cards["HDRNAME"], cards["WCSNAME"] = own["HDRNAME"], own["WCSNAME"]
    return cards.tostring().encode() + raw.ljust(-(-len(raw) // 2880) * 2880, b"\0")


@pytest.fixture(scope="module")
def uvis(tmp_path_factory):
    """A UVIS FLC whose own tables are cut, as in the sample of DrizzlePac, with headerlets."""
    cut = []
    for extver in range(1, 5):
        for table in ("D2IMARR", "WCSDVARR"):
            cards = fits.Header({"CRPIX1": 0, "CRPIX2": 0, "CDELT1": 64.0, "CDELT2": 64.0})
            cut.append(fits.ImageHDU(np.zeros((2, 2), "f4"), cards, name=table, ver=extver))
    folder = tmp_path_factory.mktemp("uvis")
    path = write(folder / "ib4606c6q_flc.fits", headers_of("uvis"), (2051, 4096), cut)
    with open(path, "ab") as file:
        file.write(attached("opus", 1) + attached("idc", 2, packed=True))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same with complete tables in the file itself."""
    with fits.open(HEADERLETS["idc"]) as hdus:
        tables = [hdu.copy() for hdu in hdus if hdu.name in ("D2IMARR", "WCSDVARR")]
    folder = tmp_path_factory.mktemp("whole")
    return write(folder / "ib4606c6q_flc.fits", headers_of("uvis"), (2051, 4096), tables)


def worst_pixel(chip, wcs):
    """Largest distance on the sky from another package's map, in pixels of the chip."""
    ra, dec = chip.distortion.pixel_to_sky(*GRID)
    true_ra, true_dec = wcs.all_pix2world(*GRID, 0)
    off = np.hypot((ra - true_ra) * np.cos(np.radians(dec)), dec - true_dec)
    return np.max(off) * 3600 / chip.distortion.pixel_scale


def headerlet_wcs(name, extver):
    with fits.open(HEADERLETS[name]) as hdus:
        return WCS(hdus["SIPWCS", extver].header, hdus)


class TestHeaderletsInside:
    @pytest.mark.parametrize("wanted", ["ib4606c6q_flt_IDC_2731450pi", "idc_2731450PI"])
    def test_by_name(self, uvis, wanted):
        (record,) = open_exposures(uvis, wcs=wanted, strict=True)
        assert record.wcsname == "IDC_2731450pi"
        for chip in record.chips:
            assert worst_pixel(chip, headerlet_wcs("idc", chip.extver)) < 1e-6
            cards = dict(chip.keywords)
            assert cards["HDRNAME"] == "ib4606c6q_flt_IDC_2731450pi"
            assert cards["ORIENTAT"] == pytest.approx(-120.3, abs=0.1)

    def test_one_without_distortion(self, uvis):
        (record,) = open_exposures(uvis, wcs="ib4606c6q_flt_OPUS")
        assert record.chips[0].distortion.npol_x is None
        assert np.all(record.chips[0].distortion.sip_a == 0)
        assert "no distortion" in record.verdict.reason
        assert "wcs='ib4606c6q_flt_IDC_2731450pi'" in record.verdict.reason

    def test_a_broken_primary_names_the_one_that_is_whole(self, uvis):
        with pytest.raises(InputError) as caught:
            open_exposures(uvis, strict=True)
        assert "wcs='ib4606c6q_flt_IDC_2731450pi'" in caught.value.remedy

    def test_an_unknown_name_lists_what_there_is(self, uvis):
        ((_, verdict),) = open_exposures(uvis, wcs="IDC_other").verdicts
        for name in ("IDC_2731450pi-FIT_SVM_GAIAeDR3 (primary)", "IDC_2731450pi (A)", "OPUS (O)"):
            assert name in verdict.reason
        assert "HDRLET,2" in verdict.reason

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda raw: raw[:5000], "truncated"),
            (lambda raw: b"junk" * 999, "not a FITS"),
            (lambda raw: raw.replace(b"SIPWCS", b"NOTHIN"), "no SIPWCS"),
            (lambda raw: raw.replace(TARGET % 2, TARGET % 5), "no WCS for SCI,2"),
        ],
    )
    def test_a_broken_headerlet(self, tmp_path, uvis, change, match):
        path = tmp_path / uvis.name
        shutil.copyfile(uvis, path)
        with open(path, "ab") as file:
            file.write(attached("idc", 3, change=change))
        with pytest.raises(InputError, match=match) as caught:
            open_exposures(path, wcs="IDC_2731450pi", strict=True)
        assert caught.value.remedy


class TestHeaderletFiles:
    def test_it_goes_to_its_exposure(self, uvis, make):
        other = make("ia0a01aaq")
        exposures = open_exposures([uvis, other], headerlets=HEADERLETS["idc"], strict=True)
        assert [e.wcsname for e in exposures] == ["IDC_2731450pi", "IDC_test-FIT_REL_GAIAeDR3"]
        assert worst_pixel(exposures[0].chips[1], headerlet_wcs("idc", 2)) < 1e-6

    def test_several_must_be_told_apart(self, uvis):
        both = list(HEADERLETS.values())
        with pytest.raises(InputError, match="several headerlets") as caught:
            open_exposures(uvis, headerlets=both, strict=True)
        assert "wcs=" in caught.value.remedy
        (record,) = open_exposures(uvis, headerlets=both, wcs="OPUS")
        assert record.wcsname == "OPUS"

    def test_one_that_is_for_nobody_or_broken_is_told(self, make, tmp_path):
        bad = tmp_path / "bad_hlet.fits"
        bad.write_bytes(b"no headerlet")
        exposures = open_exposures(make(), headerlets=[HEADERLETS["idc"], bad, make("ia0a02aaq")])
        assert len(exposures) == 1
        told = {url.rpartition("/")[2]: verdict for url, verdict in exposures.verdicts[1:]}
        assert told["bad_hlet.fits"].status == "rejected"
        assert "no headerlet" in told["ia0a02aaq_flc.fits"].reason
        assert told["ib4606c6q_idc_hlet.fits.gz"].status == "warning"

    def test_a_pattern_that_matches_nothing(self, make, tmp_path):
        with pytest.raises(InputError, match="no file matches"):
            open_exposures(make(), headerlets=f"{tmp_path}/*_hlet.fits")


class TestAlternates:
    @pytest.mark.parametrize(
        ("wanted", "key"), [("A", "A"), ("b", "B"), ("IDC_2731450pi-HSC30", "B")]
    )
    def test_by_key_and_name(self, whole, wanted, key):
        (record,) = open_exposures(whole, wcs=wanted, strict=True)
        with fits.open(whole) as hdus:
            assert record.wcsname == hdus["SCI", 1].header[f"WCSNAME{key}"]
            for chip in record.chips:
                wcs = WCS(hdus["SCI", chip.extver].header, hdus, key=key)
                assert worst_pixel(chip, wcs) < 1e-6
        assert record.chips[0].distortion.npol_x is not None
        cards = dict(record.chips[0].keywords)
        assert cards.get("HDRNAME") == headers_of("uvis")[1].get(f"HDRNAME{key}")

    def test_opus_was_made_without_distortion(self, whole):
        (record,) = open_exposures(whole, wcs="O")
        assert record.wcsname == "OPUS"
        assert record.chips[0].distortion.npol_x is None
        assert "no distortion" in record.verdict.reason

    def test_the_primary_by_its_name(self, whole):
        plain = open_exposures(whole, strict=True)[0]
        named = open_exposures(whole, wcs="IDC_2731450pi-FIT_SVM_GAIAeDR3", strict=True)[0]
        assert named.digest == plain.digest
        assert named.wcsname == "IDC_2731450pi-FIT_SVM_GAIAeDR3"  # MAST's, taken as it is

    def test_digests_tell_solutions_apart(self, whole):
        digests = {open_exposures(whole, wcs=key)[0].digest for key in (None, "A", "B", "O")}
        assert len(digests) == 4

    def test_the_rest_is_opened(self, whole, make):
        exposures = open_exposures([make(), whole], wcs="B")
        assert [e.name for e in exposures] == ["ib4606c6q"]
        assert "no WCS 'B'" in exposures.verdicts[0][1].reason

    def test_a_key_that_one_chip_lacks(self, make):
        path = make(change=lambda hdus: hdus["SCI", 1].header.update(CRVAL1A=1.0, CRVAL2A=1.0))
        assert len(open_exposures(path, wcs="A")) == 0


def stwcs_own(path, monkeypatch, folder):
    """What updatewcs makes of the file itself, changed in place."""
    from stwcs.updatewcs import updatewcs
    from stwcs.wcsutil import HSTWCS

    for prefix in ("jref", "uref"):
        monkeypatch.setenv(prefix, f"{folder}/")
    updatewcs(str(path), use_db=False, checkfiles=False)
    with fits.open(path) as hdus:
        return [HSTWCS(hdus, ext=i) for i, hdu in enumerate(hdus) if hdu.name == "SCI"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Reference tables, decompressed, for stwcs."""
    folder = tmp_path_factory.mktemp("tables")
    for path in (DATA / "reference").iterdir():
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return folder


CASES = {"acs": ("j94f05bgq_flt.fits", (2048, 4096)), "wfpc2": ("u40x010hm_c0m.fits", (800, 800))}


def linear(folder, name):
    file, shape = CASES[name]
    return write(folder / file, headers_of(f"{name}_linear"), shape)


class TestReferenceTables:
    @pytest.mark.parametrize("name", CASES)
    def test_the_map_is_that_of_stwcs(self, tmp_path, monkeypatch, tables, name, capsys):
        path = linear(tmp_path, name)
        before = path.read_bytes()
        state = dict(os.environ), os.getcwd()
        (record,) = open_exposures(path, reference_files=DATA / "reference")
        assert (dict(os.environ), os.getcwd()) == state
        assert path.read_bytes() == before
        assert capsys.readouterr().out == ""
        assert "no distortion" not in record.verdict.reason
        ny, nx = CASES[name][1]
        monkeypatch.setattr("tests.observe.test_solutions.GRID", np.meshgrid(
            np.linspace(0, nx - 1, 23), np.linspace(0, ny - 1, 17)))  # fmt: skip
        for chip, wcs in zip(record.chips, stwcs_own(path, monkeypatch, tables), strict=True):
            assert worst_pixel(chip, wcs) < 1e-6
            assert record.wcsname == wcs.wcs.name
        cards = dict(record.keywords)
        assert cards["IDCTAB"] == headers_of(f"{name}_linear")[0]["IDCTAB"]

    def test_the_result_is_kept_and_made_again(self, tmp_path, monkeypatch, cache_folder):
        path = linear(tmp_path, "wfpc2")
        first = open_exposures(path, reference_files=DATA / "reference")[0]
        with monkeypatch.context() as patch:
            patch.setattr(reference, "_solve", None)  # what is kept needs no stwcs
            assert open_exposures(path, reference_files=DATA / "reference")[0] == first
        shutil.rmtree(cache_folder)
        assert open_exposures(path, reference_files=DATA / "reference")[0] == first
        read_chip_rows(first, first.chips[0], 0, 4)

    @pytest.mark.parametrize("name", ["/etc/passwd", "../../x_idc.fits", "http://h/x_idc.fits"])
    def test_a_header_leads_nowhere_else(self, tmp_path, monkeypatch, spoil, name):
        """Only the name of a table counts, never its path."""
        path, looked = linear(tmp_path, "acs"), []
        old = headers_of("acs_linear")[0]["IDCTAB"]
        spoil(path, f"'{old}'".encode(), f"'{name}'".ljust(len(old) + 2).encode())
        monkeypatch.setattr(
            "hapdask.observe.inputs.finding.is_there", lambda url: looked.append(url) or False
        )
        (verdict,) = (v for _, v in open_exposures(path, reference_files=tmp_path).verdicts)
        assert "is not in" in verdict.reason
        assert looked
        assert {os.path.dirname(url) for url in looked} == {str(tmp_path)}

    def test_a_folder_that_the_environment_names(self, tmp_path, monkeypatch):
        path = linear(tmp_path, "acs")
        assert "no distortion" in open_exposures(path)[0].verdict.reason
        monkeypatch.setenv("jref", str(DATA / "reference"))
        assert open_exposures(path)[0].wcsname == "IDC_0461802ej"

    def test_the_name_of_what_is_made_may_be_asked_for(self, tmp_path):
        path = linear(tmp_path, "acs")
        folder = DATA / "reference"
        (record,) = open_exposures(path, reference_files=folder, wcs="IDC_0461802ej")
        assert record.wcsname == "IDC_0461802ej"
        assert len(open_exposures(path, reference_files=folder, wcs="IDC_other")) == 0

    def test_in_threads(self, tmp_path):
        path = linear(tmp_path, "wfpc2")
        found = []

        def run():
            found.append(open_exposures(path, reference_files=DATA / "reference")[0].digest)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1

    def test_a_file_with_distortion_is_left_alone(self, make, tmp_path):
        assert open_exposures(make(), reference_files=tmp_path, strict=True)

    def test_a_missing_table(self, tmp_path, make):
        path = linear(tmp_path, "acs")
        exposures = open_exposures([path, make()], reference_files=tmp_path)
        assert len(exposures) == 1
        assert "IDCTAB = jref$0461802ej_idc.fits" in exposures.verdicts[0][1].reason

    @pytest.mark.parametrize("content", [b"", b"junk" * 2000])
    def test_a_broken_table(self, tmp_path, content):
        folder = tmp_path / "tables"
        shutil.copytree(DATA / "reference", folder)
        (folder / "0461802ej_idc.fits").write_bytes(content)
        ((_, verdict),) = open_exposures(linear(tmp_path, "acs"), reference_files=folder).verdicts
        assert "no distortion could be made" in verdict.reason
        assert "0461802ej_idc.fits" in verdict.reason

    def test_no_name_of_a_table(self, make, tmp_path):
        path = make(science={"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}, tables=False)
        ((_, verdict),) = open_exposures(path, reference_files=tmp_path).verdicts
        assert "names no IDCTAB" in verdict.reason
        assert open_exposures(path)[0].verdict.status == "accepted"
