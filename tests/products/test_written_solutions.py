"""Solutions in files: what stwcs, astropy and our own reader see in them."""

import gzip
import os
import shutil
import signal
import stat
import subprocess
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from imagers import make_synthetic

from hapdask.astrometry.headers.facts import Relative, WcsFacts
from hapdask.astrometry.headers.names import fitted_name
from hapdask.astrometry.headers.tweakback import carry_back, read_tweaked
from hapdask.drizzling.rejecting import KIND
from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masks import write_mask
from hapdask.products import side_file
from hapdask.products.returned import hdus as hdus_module
from hapdask.products.returned.collected import Found
from hapdask.products.returned.copies import update_inputs, write_copies
from hapdask.products.returned.flags import FlagChange
from hapdask.products.solutions.files import apply_headerlet, make_headerlet, write_headerlet
from hapdask.products.solutions.telling import with_facts
from hapdask.products.tweakreg.shifts import write_shifts
from hapdask.sky.frame import Frame
from tests.observe.conftest import DATA, Maker
from tests.observe.test_solutions import HEADERLETS, headers_of, linear, write

pytestmark = pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")

CORRECTION = Correction((137.86, -64.9), (1.00001, 2e-4, -2e-4, 1.00002), (0.5, -0.8))
NAME = "IDC_2731450pi-FIT_IMG_GAIAeDR3"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """stwcs leaves headerlet.log where it stands."""
    monkeypatch.chdir(tmp_path)


def facts_of(records, name=NAME, **changes):
    given = {
        "catalog": "GAIAeDR3",
        "matches": 77,
        "rms_mas": (3.0, 4.0),
        "geometry": "rscale",
        "date": "2026-01-02T03:04:05",
        **changes,
    }
    return {record.name: WcsFacts(name, **given) for record in records}


def off(chip, wcs):
    """Largest distance from another package's map, pixels of the chip."""
    ny, nx = chip.shape
    grid = np.meshgrid(np.linspace(0, nx - 1, 13), np.linspace(0, ny - 1, 11))
    ra, dec = chip.distortion.pixel_to_sky(*grid)
    true_ra, true_dec = wcs.all_pix2world(*grid, 0)
    far = np.hypot((ra - true_ra) * np.cos(np.radians(dec)), dec - true_dec)
    return np.max(far) * 3600 / chip.distortion.pixel_scale


def check_stwcs(path, record, limit=1e-6):
    from stwcs.wcsutil import HSTWCS

    with fits.open(path) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for chip in record.chips:
            assert off(chip, HSTWCS(hdus, ext=("SCI", chip.extver))) < limit


def check_map(path, record, **asked):
    (again,) = open_exposures(path, strict=True, select=False, **asked)
    for chip, wanted in zip(again.chips, record.chips, strict=True):
        assert chip.distortion == wanted.distortion
    return again


@pytest.fixture(scope="module")
def uvis(tmp_path_factory):
    """A UVIS FLC of the archive with its tables, and the record of it."""
    with fits.open(HEADERLETS["idc"]) as hdus:
        tables = [hdu.copy() for hdu in hdus if hdu.name in ("D2IMARR", "WCSDVARR")]
    path = tmp_path_factory.mktemp("uvis") / "ib4606c6q_flc.fits"
    write(path, headers_of("uvis"), (2051, 4096), tables)
    (record,) = open_exposures(path, strict=True)
    return path, record


@pytest.fixture(scope="module")
def updated(uvis, tmp_path_factory):
    """Its copy with another WCS."""
    path, record = uvis
    before = path.read_bytes()
    new = record.corrected(CORRECTION)
    folder = tmp_path_factory.mktemp("updated")
    copies = write_copies([new], folder, None, solutions=Found(facts_of([new])))
    assert path.read_bytes() == before
    return copies.paths[0], new


class TestCopies:
    def test_the_primary_wcs_is_the_records(self, updated):
        path, new = updated
        check_stwcs(path, new)
        again = check_map(path, new)
        assert again.wcsname == NAME
        with fits.open(path) as hdus:
            for chip in new.chips:
                assert off(chip, WCS(hdus["SCI", chip.extver].header, hdus)) < 1e-6

    def test_what_is_told_of_it(self, updated):
        path, new = updated
        with fits.open(path) as hdus:
            for extver in (1, 2):
                header = hdus["SCI", extver].header
                assert header["WCSTYPE"].endswith("solution aligned image-by-image to GAIAEDR3")
                assert (header["RMS_RA"], header["RMS_DEC"]) == (3.0, 4.0)
                assert header["CRDER1"] == pytest.approx(3.0 / 3.6e6)
                assert header["NMATCHES"] == header["NMATCH"] == 77
                assert header["FITGEOM"] == "rscale"
                assert header["RELGEOM"] == "N/A"
                assert header["HDRNAME"] == f"ib4606c6q_flc_{NAME}-hlet.fits"
                cd = [header["CD1_2"], header["CD2_2"]]
                assert header["ORIENTAT"] == pytest.approx(np.degrees(np.arctan2(*cd)))
                corner = [float(word) for word in header["S_REGION"].split()[2:4]]
                true = new.chip(extver).distortion.pixel_to_sky(np.zeros(1), np.zeros(1))
                assert corner == [pytest.approx(float(v[0])) for v in true]
            assert hdus[0].header["NEXTEND"] == len(hdus) - 1
            assert hdus[0].header["UPWCSVER"]

    def test_a_record_can_tell_the_same(self, updated):
        path, new = updated
        (again,) = open_exposures(path, strict=True)
        told = with_facts(new, next(iter(facts_of([new]).values())))
        assert told.wcsname == again.wcsname
        for one, two in zip(told.chips, again.chips, strict=True):
            cards = dict(two.keywords)
            assert {k: v for k, v in one.keywords if v != cards.get(k) and k != "S_REGION"} == {}

    def test_the_old_one_is_archived(self, uvis, updated):
        path, _ = updated
        old = uvis[1]
        header = fits.getheader(path, ("SCI", 1))
        names = {k[7:]: v for k, v in header["WCSNAME*"].items()}
        assert names["D"] == "IDC_2731450pi-FIT_SVM_GAIAeDR3"
        assert names["O"] == "OPUS"
        assert {"A", "B", "C", "D", "O", ""} == set(names)
        assert header["NMATCHD"] == 494
        assert header["RMS_RAD"] == pytest.approx(6.158, abs=1e-3)
        check_map(path, old, wcs="D")
        check_map(path, old, wcs="IDC_2731450pi-FIT_SVM_GAIAeDR3")

    def test_everything_else_stays(self, uvis, updated):
        path, _ = updated
        with fits.open(path, checksum=True) as new, fits.open(uvis[0]) as old:
            for hdu in new:
                assert "CHECKSUM" not in hdu.header or hdu.verify_checksum() == 1
            for was in old[1:]:
                now = new[was.name, was.ver]
                assert np.array_equal(now.data, was.data)
                if was.name != "SCI":
                    assert repr(now.header) == repr(was.header)
            kept = [key for key in old["SCI", 1].header if key in ("EXPNAME", "MDRIZSKY", "BUNIT")]
            assert kept
            for key in kept:
                assert new["SCI", 1].header[key] == old["SCI", 1].header[key]

    def test_the_headerlet_in_it(self, updated):
        path, new = updated
        check_map(path, new, wcs=f"ib4606c6q_flc_{NAME}-hlet.fits")
        import stwcs.wcsutil.headerlet  # noqa: F401  (registers HDRLET)

        with fits.open(path) as hdus:
            inner = hdus["HDRLET", 1].headerlet
            assert inner[0].header["DESTIM"] == "ib4606c6q"
            assert inner[0].header["WCSNAME"] == hdus["HDRLET", 1].header["WCSNAME"] == NAME
            told = inner[0].header
            assert told["FIT_RMS"] == pytest.approx(np.hypot(told["RMS_RA"], told["RMS_DEC"]))
            assert told["FIT_RMS"] > 0.0

    def test_wcscorr_tells_of_all(self, updated):
        table = fits.getdata(updated[0], "WCSCORR")
        rows = table[[bool(name.strip()) for name in table["WCS_ID"]]]
        found = [(str(r["WCS_ID"]).strip(), int(r["EXTVER"])) for r in rows]
        assert found[:2] == [("OPUS", 1), ("OPUS", 2)]
        assert found[-2:] == [(NAME, 1), (NAME, 2)]
        assert len(found) == 12
        assert len(table) > 12  # room, which stwcs needs
        assert rows["NMatch"][-1] == 77
        assert rows["CRVAL1"][-1] == updated[1].chip(2).distortion.crval[0]
        assert str(rows["WCS_key"][-3]) == "D"

    def test_equal_bytes(self, uvis, updated, tmp_path):
        record = uvis[1].corrected(CORRECTION)
        (path,) = write_copies([record], tmp_path, None, solutions=Found(facts_of([record]))).paths
        assert path.read_bytes() == updated[0].read_bytes()

    def test_stwcs_goes_on_with_it(self, updated, tmp_path):
        """It archives our WCS, reads our headerlet and writes on in our WCSCORR."""
        from stwcs.wcsutil import headerlet

        path = tmp_path / updated[0].name
        shutil.copyfile(updated[0], path)
        other = tmp_path / "idc_hlet.fits"
        other.write_bytes(gzip.decompress(HEADERLETS["idc"].read_bytes()))
        headerlet.apply_headerlet_as_primary(str(path), str(other))
        assert fits.getheader(path, ("SCI", 1))["WCSNAMEE"] == NAME
        table = fits.getdata(path, "WCSCORR")
        assert "IDC_2731450pi" in {name.strip() for name in table["WCS_ID"][12:]}
        name = f"ib4606c6q_flc_{NAME}-hlet.fits"
        headerlet.restore_from_headerlet(str(path), hdrname=name, force=True)
        check_stwcs(path, updated[1])

    def test_a_second_solution_finds_its_place(self, updated, tmp_path):
        (record,) = open_exposures(updated[0], strict=True)
        moved = record.corrected(Correction((137.86, -64.9), shift=(0.01, 0.0)))
        again = Found(facts_of([moved]))
        (same,) = write_copies([moved], tmp_path / "same", None, solutions=again).paths
        header = fits.getheader(same, ("SCI", 1))
        assert "WCSNAMEE" not in header  # one of the same name takes its place
        with fits.open(same) as hdus:
            assert [hdu.name for hdu in hdus].count("HDRLET") == 1
            assert hdus[0].header["NEXTEND"] == len(hdus) - 1
        name = "IDC_2731450pi-FIT_REL_GAIAeDR3"  # that of the alternate C
        given = Found(facts_of([moved], name))
        (other,) = write_copies([moved], tmp_path / "other", None, solutions=given).paths
        header = fits.getheader(other, ("SCI", 1))
        assert (header["WCSNAMEC"], header["WCSNAMEE"]) == (f"{name}-1", NAME)
        assert header["WCSNAME"] == name
        check_map(other, moved, wcs=name)

    @pytest.mark.parametrize("name", [NAME, "idc_2731450PI-hsc30"])
    def test_a_name_that_is_taken_is_refused_when_asked(self, updated, tmp_path, name):
        (record,) = open_exposures(updated[0], strict=True)
        given = Found(facts_of([record], name), reuse=False)
        copies = write_copies([record], tmp_path, None, solutions=given)
        assert copies.paths == ()
        assert "already" in str(copies.failures[0])
        assert "reusename" in copies.failures[0].remedy

    def test_without_a_headerlet(self, uvis, tmp_path):
        record = uvis[1].corrected(CORRECTION)
        given = Found(facts_of([record], relative=Relative("rscale", 9, (1.0, 2.0), "ib4606c1q")),
                      attach=False)  # fmt: skip
        (path,) = write_copies([record], tmp_path, None, solutions=given).paths
        with fits.open(path) as hdus:
            assert "HDRLET" not in hdus
            header = hdus["SCI", 2].header
            assert (header["RELMATCH"], header["RELREFIM"]) == (9, "ib4606c1q")
            assert (header["RELRMS_R"], header["RELRMS_D"]) == (1.0, 2.0)

    def test_a_stripped_or_unknown_exposure(self, uvis, tmp_path):
        record = uvis[1]
        with pytest.raises(ParameterError, match="stripped"):
            write_copies([record.strip()], tmp_path, None, solutions=Found(facts_of([record])))
        copies = write_copies([record], tmp_path, None, solutions=Found({}))
        assert (copies.paths, copies.failures) == ((), ())

    def test_exposures_of_one_file(self, tmp_path):
        """Imsets of STIS are corrected each by its own."""
        path = make_synthetic(tmp_path / "in", "ccd", imsets=2)
        records = list(open_exposures(path))
        shifts = [(0.1, 0.0), (0.0, -0.2)]
        moved = [
            r.corrected(Correction(r.chips[0].distortion.crval, shift=s))
            for r, s in zip(records, shifts, strict=True)
        ]
        given = Found(facts_of(moved))
        (copy,) = write_copies(moved, tmp_path / "out", None, solutions=given).paths
        again = list(open_exposures(copy))
        assert [e.chips[0].distortion for e in again] == [e.chips[0].distortion for e in moved]
        named = list(open_exposures(copy, wcs=NAME))
        assert [e.chips[0].distortion for e in named] == [e.chips[0].distortion for e in moved]

    def test_a_chip_that_no_record_has(self, tmp_path):
        """Behind a quad filter one chip sees nothing, and moves with the other."""
        maker = Maker(tmp_path / "in")
        path = maker(primary={"FILTER": "FQ387N"}, shape=(2051, 4096), tables=False)
        whole = maker("ia0a02aaq", shape=(2051, 4096), tables=False)
        (record,), (both,) = (open_exposures(p, select=False) for p in (path, whole))
        assert len(record.chips) == 1
        correction = Correction((150.25, 2.0), shift=(0.3, 0.3))
        new, both = record.corrected(correction), both.corrected(correction)
        given = Found(facts_of([new]))
        (copy,) = write_copies([new], tmp_path / "out", None, solutions=given).paths
        check_stwcs(copy, both)
        let = write_headerlet([new], given.facts, tmp_path)
        check_map(path, new, headerlets=let)


class TestHeaderlets:
    def test_our_reader(self, uvis, tmp_path):
        new = uvis[1].corrected(CORRECTION)
        path = write_headerlet([new], facts_of([new], history=("x" * 99, "a b")), tmp_path)
        assert path.name == "ib4606c6q_flc_hlet.fits"
        assert check_map(uvis[0], new, headerlets=path).wcsname == NAME
        assert len(fits.getheader(path)["HISTORY"]) == 3
        with pytest.raises(StoreError, match="exists"):
            write_headerlet([new], facts_of([new]), tmp_path)

    def test_stwcs_applies_it(self, uvis, tmp_path):
        from stwcs.wcsutil import headerlet

        new = uvis[1].corrected(CORRECTION)
        let = write_headerlet([new], facts_of([new]), tmp_path)
        path = tmp_path / uvis[0].name
        shutil.copyfile(uvis[0], path)
        headerlet.apply_headerlet_as_primary(str(path), str(let))
        check_stwcs(path, new)
        header = fits.getheader(path, ("SCI", 1))
        assert (header["WCSNAME"], header["WCSNAMED"]) == (NAME, "IDC_2731450pi-FIT_SVM_GAIAeDR3")

    def test_applied_by_us(self, uvis, updated, tmp_path):
        new = uvis[1].corrected(CORRECTION)
        let = write_headerlet([new], facts_of([new]), tmp_path)
        applied = apply_headerlet(uvis[0], let)
        (path,) = write_copies(applied.exposures, tmp_path / "out", None,
                               solutions=Found(applied.facts)).paths  # fmt: skip
        check_map(path, new)
        assert fits.getheader(path, ("SCI", 1))["NMATCHES"] == 77
        assert path.read_bytes() == updated[0].read_bytes()

    def test_one_of_stwcs_shares_the_distortion(self, uvis, tmp_path):
        """What stwcs rounds to 15 digits is no other model: alternates keep their keys."""
        applied = apply_headerlet(uvis[0], HEADERLETS["idc"])
        (path,) = write_copies(applied.exposures, tmp_path, None,
                               solutions=Found(applied.facts)).paths  # fmt: skip
        check_stwcs(path, applied.exposures[0])
        header = fits.getheader(path, ("SCI", 1))
        assert header["WCSNAME"] == "IDC_2731450pi"
        assert header["WCSNAMEB"] == "IDC_2731450pi-HSC30"

    def test_one_of_another_image_is_refused(self, uvis, tmp_path):
        other = Maker(tmp_path)()
        with pytest.raises(InputError, match="is for ib4606c6q, not for ia0a01aaq") as caught:
            apply_headerlet(other, HEADERLETS["idc"])
        assert caught.value.remedy
        with pytest.raises(InputError, match="no headerlet"):
            apply_headerlet(uvis[0], other)

    def test_a_file_that_changed(self, tmp_path):
        path = Maker(tmp_path)()
        records = list(open_exposures(path))
        fits.setval(path, "TARGNAME", value="OTHER")
        with pytest.raises(InputError, match="changed after"):
            make_headerlet(records, facts_of(records))


class TestOtherDistortion:
    @pytest.mark.parametrize("name", ["acs", "wfpc2"])
    def test_of_reference_tables(self, tmp_path, name):
        """A file without any gets it; its own WCS becomes O."""
        path = linear(tmp_path, name)
        folder = DATA / "reference"
        (record,) = open_exposures(path, reference_files=folder, select=False)
        given = Found(facts_of([record], fitted_name(record.wcsname, "SVM", "GAIAeDR3")))
        new = record.corrected(Correction(record.chips[0].distortion.crval, shift=(0.3, 0.1)))
        (copy,) = write_copies([new], tmp_path / "out", None, solutions=given).paths
        check_stwcs(copy, new)
        check_map(copy, new)
        header = fits.getheader(copy, ("SCI", 1))
        assert header["WCSNAMEO"] == "OPUS"
        assert header["IDCSCALE"] > 0
        for key in ("IDCTAB", "DISTNAME"):
            assert fits.getval(copy, key) == dict(record.keywords)[key]
        let = write_headerlet([new], given.facts, tmp_path / "x_hlet.fits")
        check_map(copy, new, headerlets=let, wcs=given.facts[new.name].wcsname)
        with fits.open(copy, checksum=True) as hdus:
            assert all(h.verify_checksum() == 1 for h in hdus if "CHECKSUM" in h.header)

    def test_wcss_that_shared_the_old_one_become_headerlets(self, uvis, tmp_path):
        raw = gzip.decompress(HEADERLETS["idc"].read_bytes())
        changed = raw.replace(b"A_0_2   = 9.68752216541829E-08", b"A_0_2   = 9.70000000000000E-08")
        assert changed != raw
        let = tmp_path / "new_hlet.fits"
        let.write_bytes(changed.replace(b"WCSNAME = 'IDC_2731450pi'", b"WCSNAME = 'IDC_other    '"))
        applied = apply_headerlet(uvis[0], let)
        (path,) = write_copies(applied.exposures, tmp_path / "out", None,
                               solutions=Found(applied.facts)).paths  # fmt: skip
        check_map(path, applied.exposures[0])
        check_stwcs(path, applied.exposures[0])
        header = fits.getheader(path, ("SCI", 1))
        assert header["WCSNAME"] == "IDC_other"
        assert set(header["WCSNAME*"]) == {"WCSNAME", "WCSNAMEO"}
        check_map(path, uvis[1], wcs="IDC_2731450pi-FIT_SVM_GAIAeDR3")
        for name in ("IDC_2731450pi", "IDC_2731450pi-HSC30", "IDC_2731450pi-FIT_REL_GAIAeDR3"):
            (was,) = open_exposures(uvis[0], wcs=name)
            check_map(path, was, wcs=name)

    def test_no_key_is_free(self, tmp_path):
        cards = {}
        for key in "ABCDEFGHIJKLMNPQRSTUVWXYZ":
            cards |= {f"CRVAL1{key}": 1.0, f"CRVAL2{key}": 2.0, f"WCSNAME{key}": f"W{key}"}
        path = Maker(tmp_path)(science=cards)
        (record,) = open_exposures(path)
        moved = record.corrected(Correction((150.25, 2.0), shift=(0.1, 0.1)))
        given = Found(facts_of([moved]))
        (copy,) = write_copies([moved], tmp_path / "out", None, solutions=given).paths
        check_map(copy, moved)
        check_map(copy, record, wcs=record.wcsname)

    def test_a_wcscorr_that_is_broken_is_made_anew(self, tmp_path, caplog):
        bad = fits.BinTableHDU(Table({"x": [1, 2]}), name="WCSCORR")
        path = Maker(tmp_path)(change=lambda hdus: hdus.append(bad))
        raw = path.read_bytes()
        path.write_bytes(raw.replace(b"TFORM1  = 'K ", b"TFORM1  = 'Q!"))
        (record,) = open_exposures(path)
        (copy,) = write_copies([record], tmp_path / "out", None,
                               solutions=Found(facts_of([record]))).paths  # fmt: skip
        assert fits.getdata(copy, "WCSCORR")["WCS_ID"][0].strip() == record.wcsname


def _die_at(at, monkeypatch):
    """Kill this process at the first write, sync or renaming, or after the renaming."""

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    if at == "write":
        monkeypatch.setattr(hdus_module, "_write_changed", die)
    elif at == "after":
        monkeypatch.setattr(side_file, "sync_folder", die)
    else:
        monkeypatch.setattr(os, at, die)


class TestInPlace:
    @pytest.fixture
    def path(self, tmp_path):
        return Maker(tmp_path)()

    def moved(self, path, **asked):
        (record,) = open_exposures(path, strict=True, **asked)
        new = record.corrected(Correction((150.25, 2.0), shift=(0.2, -0.1)))
        return new, Found(facts_of([new]))

    def test_the_file_itself(self, path):
        new, given = self.moved(path)
        path.chmod(0o640)
        assert update_inputs([new], None, solutions=given) == (path,)
        check_map(path, new)
        check_stwcs(path, new)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert [p.name for p in path.parent.glob("ia0*")] == [path.name]

    def test_through_a_link(self, path, tmp_path):
        link = tmp_path / "link_flc.fits"
        link.symlink_to(path)
        new, given = self.moved(link)
        update_inputs([new], None, solutions=given)
        assert link.is_symlink()
        check_map(path, new)

    def test_what_fails_leaves_the_old_file(self, path, monkeypatch):
        new, given = self.moved(path)
        before = path.read_bytes()

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(StoreError):
            update_inputs([new], None, solutions=given)
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("at", ["write", "fsync", "replace", "after"])
    def test_killed_it_is_the_old_file_or_the_new_one(self, path, monkeypatch, at):
        new, given = self.moved(path)
        before = path.read_bytes()
        child = os.fork()
        if not child:  # dies where it is told, and never comes back
            _die_at(at, monkeypatch)
            update_inputs([new], None, solutions=given)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        if at == "after":
            check_map(path, new)
        else:
            assert path.read_bytes() == before
            update_inputs([new], None, solutions=given)
            check_map(path, new)
        assert not list(path.parent.glob("*.part"))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_the_owner_stays(self, path):
        new, given = self.moved(path)
        os.chown(path, 1234, 2345)
        update_inputs([new], None, solutions=given)
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)

    def test_nothing_is_written_before_all_is_known(self, path, tmp_path):
        other = Maker(tmp_path)("ia0a02aaq")
        pairs = [self.moved(p) for p in (path, other)]
        fits.setval(other, "TARGNAME", value="OTHER")
        before = path.read_bytes()
        facts = {name: f for _, found in pairs for name, f in found.facts.items()}
        with pytest.raises(InputError, match="changed after"):
            update_inputs([new for new, _ in pairs], None, solutions=Found(facts))
        assert path.read_bytes() == before

    def test_compressed_and_remote_files_are_refused(self, path, monkeypatch, tmp_path):
        monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path / "cache"))
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()
        new, given = self.moved(packed)
        with pytest.raises(StoreError, match="compressed"):
            update_inputs([new], None, solutions=given)

    def test_flags_and_the_wcs_come_in_one_copy(self, path, tmp_path):
        new, given = self.moved(path)
        bad = np.zeros(new.chips[0].shape, bool)
        bad[7, 9] = True
        mask = write_mask(tmp_path / "cr.npz", bad, KIND)
        new = new.with_mask(1, mask).with_sky(2.5)
        (copy,) = write_copies([new], tmp_path / "out", FlagChange(), solutions=given).paths
        with fits.open(copy) as hdus, fits.open(path) as old:
            header = hdus["SCI", 1].header
            assert (header["MDRIZSKY"], header["WCSNAME"]) == (2.5, NAME)
            assert hdus["DQ", 1].data[7, 9] & 4096
            wanted = old["DQ", 2].data.astype(np.uint16) & np.uint16(0xFFFF ^ 4096)
            assert np.array_equal(hdus["DQ", 2].data.astype(np.uint16), wanted)
        check_map(copy, new)


@pytest.mark.skipif(not shutil.which("fitsverify"), reason="fitsverify is not installed")
def test_fitsverify(tmp_path):
    """Nothing is wrong but that HDRLET, which stwcs has of its own, is not registered."""
    path = Maker(tmp_path)(tables=False)
    (record,) = open_exposures(path)
    new = record.corrected(Correction((150.25, 2.0), shift=(0.2, -0.1)))
    (copy,) = write_copies([new], tmp_path / "out", None, solutions=Found(facts_of([new]))).paths
    let = write_headerlet([new], facts_of([new]), tmp_path)
    wcs = write_shifts([], Frame.from_center(1, 2, 0.1, (9, 9)), tmp_path / "s", tmp_path / "w")[1]
    for file, errors in ((let, 0), (wcs, 0), (copy, 1)):
        done = subprocess.run(["fitsverify", file], capture_output=True, text=True, check=False)
        assert f"and {errors} error(s)" in done.stdout, done.stdout
    assert 'Unregistered XTENSION value "HDRLET' in done.stderr + done.stdout


def test_an_image_s_solution_goes_back_into_files(tmp_path):
    """Tweakback, up to copies that stwcs reads."""
    path = Maker(tmp_path)()
    records = list(open_exposures(path))
    grids = [Frame.from_center(150.25 + k * 1e-4, 2.0, 0.04, (99, 99), k * 0.1) for k in (0, 1)]
    image = fits.ImageHDU(np.zeros((99, 99), np.float32), name="SCI")
    image.header.update({f"{k}A": v for k, v in grids[0].to_header().items()}, WCSNAMEA="DRZ")
    image.header.update(grids[1].to_header(), WCSNAME="TWEAK_DRZ")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "x_drz.fits")
    tweak = read_tweaked(tmp_path / "x_drz.fits", "DRZ")
    moved = carry_back(records, tweak)
    given = Found(facts_of(moved, tweak.wcsname), reuse=False)
    (copy,) = write_copies(moved, tmp_path / "out", None, solutions=given).paths
    check_stwcs(copy, moved[0])
    again = check_map(copy, moved[0])
    assert again.wcsname == "TWEAK_DRZ"
    check_map(copy, records[0], wcs=records[0].wcsname)
    assert fits.getheader(copy, ("SCI", 1))["WCSTYPE"] == "user-defined"


def test_err_and_dq_follow(tmp_path):
    def change(hdus):
        for name in ("ERR", "DQ"):
            for extver in (1, 2):
                hdus[name, extver].header.update(
                    CRVAL1=150.0, CRVAL2=2.0, CRPIX1=1.0, CRPIX2=1.0, CTYPE1="RA---TAN",
                    CTYPE2="DEC--TAN", CD1_1=-1e-5, CD1_2=0.0, CD2_1=0.0, CD2_2=1e-5,
                )  # fmt: skip

    path = Maker(tmp_path)(change=change)
    (record,) = open_exposures(path)
    (copy,) = write_copies([record], tmp_path / "out", None,
                           solutions=Found(facts_of([record]))).paths  # fmt: skip
    with fits.open(copy) as hdus:
        for name in ("ERR", "DQ"):
            header = hdus[name, 2].header
            assert header["CRVAL2"] == record.chip(2).distortion.crval[1]
            assert header["CTYPE1"] == "RA---TAN"
