"""The files of an alignment: what others read of them; inputs change only on request."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from small_visits import simulate_visit

import hapdask as hd
from hapdask.errors import StoreError
from hapdask.products.report.render import read_report
from hapdask.recipes.alignment.earlier import remove_earlier, told_files
from hapdask.recipes.alignment.report import write_report_of

FAST = {"guiding": False}
PLAIN = {"residplot": "none", "see2dplot": False}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return simulate_visit(tmp_path_factory.mktemp("visit"), 2)


@pytest.fixture(scope="module")
def found(visit):
    return hd.align(visit.files, refcat=visit.catalog(), updatehdr=True, threads=2, **FAST)


@pytest.fixture(scope="module")
def written(visit, found, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    before = [path.read_bytes() for path in visit.files]
    done = found.write(out)
    assert [path.read_bytes() for path in visit.files] == before
    return out, done


@pytest.fixture(scope="module")
def again(visit, found):
    """Align with other parameters, without detecting again."""
    lists = {e.opened.name: e.sources for e in found}

    def align(**parameters):
        return hd.align(visit.files, refcat=visit.catalog(), sources=lists, **FAST, **parameters)

    return align


def test_every_file_is_told_and_there(written):
    out, done = written
    there = {p for p in out.rglob("*") if p.is_file()}
    assert there == set(done.files)
    assert done.failures == done.updated == ()
    names = {str(p.relative_to(out)) for p in there}
    root = "ia0aaaaaq_flt"
    assert {
        "verdicts.ecsv", "alignment.json", "release.json", "shifts.txt", "shifts_wcs.fits",
        f"headerlets/{root}_hlet.fits", f"updated/{root}.fits",
        f"catalogs/{root}_sci1_xy_catalog.coo", f"catalogs/{root}_sky_catalog.coo",
        f"catalogs/{root}_xy_catalog.match", f"catalogs/{root}_catalog_fit.match",
        f"plots/vector_{root}.png", f"plots/residuals_{root}.png", f"plots/hist2d_{root}.png",
    } <= names  # fmt: skip
    assert not list(out.rglob("*.part"))


def test_tables_are_read_back(written, found):
    out, _ = written
    table = Table.read(out / "verdicts.ecsv")
    assert list(table["exposure"]) == ["ia0aaaaaq", "ia0aaabaq"]
    assert list(table["status"]) == ["aligned"] * 2
    assert table["rms_mas"][0] == pytest.approx(found[0].placement.rms_mas)
    text = (out / "alignment.json").read_text()
    told = json.loads(text)
    first, placement = told["exposures"][0], found[0].placement
    assert first["rms_mas"] == pytest.approx(placement.rms_mas, rel=1e-5)
    assert len(str(first["rms_mas"])) < 9
    assert first["placement"]["correction"]["matrix"] == list(placement.correction.matrix)
    assert text.count('"east_mas": [') == 2
    assert not any(line.strip(" ,").isdecimal() for line in text.splitlines())
    residuals = told["exposures"][0]["residuals"]
    assert len(residuals["x"]) == len(residuals["east_mas"]) > 20
    assert np.hypot(residuals["east_mas"], residuals["north_mas"]).max() < 20.0
    lines = (out / "shifts.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines[4:]] == ["ia0aaaaaq_flt.fits", "ia0aaabaq_flt.fits"]
    assert WCS(fits.getheader(out / "shifts_wcs.fits", "WCS")).naxis == 2
    fit = Table.read(out / "catalogs/ia0aaaaaq_flt_catalog_fit.match", format="ascii.no_header")
    assert len(fit.columns) == 18
    assert np.abs(fit["col7"]).max() < 0.1  # dX, pixels


def test_copies_and_headerlets_carry_the_solution(visit, written, found):
    from stwcs.wcsutil import HSTWCS, altwcs

    out, _ = written
    for path, each in zip(visit.files, found, strict=True):
        copy = out / "updated" / path.name
        hlet = out / "headerlets" / path.name.replace(".fits", "_hlet.fits")
        x, y = np.array([10.0, 300.0, 500.0]), np.array([20.0, 400.0, 100.0])
        true = each.record.chips[0].distortion.pixel_to_sky(x, y)
        with fits.open(copy) as hdus:
            header = hdus["SCI", 1].header
            sky = HSTWCS(hdus, ext=("SCI", 1)).all_pix2world(x, y, 0)
            assert "WCSCORR" in [hdu.name for hdu in hdus]
            old = header["WCSNAMEA"] if "WCSNAMEA" in header else altwcs.wcsnames(hdus, ("SCI", 1))
            assert "IDC_w3m18525i" in str(old)
        assert np.allclose(sky, true, atol=1e-9)
        assert header["WCSNAME"] == each.facts.wcsname
        assert header["NMATCHES"] == each.placement.matches
        opened = hd.open_exposures(path, headerlets=str(hlet))[0]
        assert np.allclose(opened.chips[0].distortion.pixel_to_sky(x, y), true, atol=1e-9)
        assert visit.error(opened) < 0.5


def test_headers_that_stay_are_in_the_set_too(tmp_path):
    """Copies of all that may be used, and headerlets of those that are tied to anything."""
    good = simulate_visit(tmp_path, 2, visit="ia0bbb", errors=False)
    for parameters, letters in (({"refcat": good.catalog()}, 2), ({"services": False}, 2)):
        out = tmp_path / f"{len(parameters)}{parameters.get('services')}"
        found = hd.align(good.files, updatehdr=True, **parameters, **FAST, **PLAIN)
        assert {e.facts for e in found} == {None}
        done = found.write(out)
        assert done.failures == ()
        copies = sorted((out / "updated").iterdir())
        assert len(list((out / "headerlets").iterdir())) == letters
        for each, copy, path in zip(found, copies, good.files, strict=True):
            letter = out / "headerlets" / path.name.replace(".fits", "_hlet.fits")
            for again in (
                hd.open_exposures(copy)[0],
                hd.open_exposures(path, headerlets=str(letter))[0],
            ):
                assert again.wcsname == each.opened.wcsname
                assert again.chips[0].distortion == each.opened.chips[0].distortion
            cards = fits.getheader(copy, "SCI")
            assert cards.get("CATALOG", "") == ("user" if "refcat" in parameters else "")
            assert not [key for key in cards if key.startswith("CRVAL1") and key != "CRVAL1"]
    before = [path.read_bytes() for path in good.files]
    assert found.write(tmp_path / "again", in_place=True).updated == ()
    assert [path.read_bytes() for path in good.files] == before


def test_an_exposure_that_is_not_aligned_has_a_plain_copy(tmp_path):
    alone = simulate_visit(tmp_path, 1, visit="ia0ccc")
    found = hd.align(alone.files, services=False, updatehdr=True, reusename=False, **FAST, **PLAIN)
    assert found[0].placement.status == "unaligned"
    found.write(tmp_path / "out")
    (copy,) = (tmp_path / "out" / "updated").iterdir()
    assert copy.read_bytes() == alone.files[0].read_bytes()
    assert not (tmp_path / "out" / "headerlets").exists()


def test_pictures_are_pictures_and_the_same_each_time(written, again, tmp_path):
    from PIL import Image

    out, _ = written
    again(updatehdr=False).write(tmp_path)
    for path in sorted((out / "plots").iterdir()):
        with Image.open(path) as image:
            assert min(image.size) > 400
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
        assert path.read_bytes() == (tmp_path / "plots" / path.name).read_bytes()


def test_the_report_shows_verdicts(written, found):
    out, done = written
    page = write_report_of(found, done, out, command=["hapdask", "align"])
    text = page.read_text()
    for words in ("aligned", "What was tried", "Catalogs that were asked", "data:image/jpeg"):
        assert words in text
    report = read_report(out)
    assert [line.name for line in report.alignments] == ["ia0aaaaaq", "ia0aaabaq"]
    assert report.alignments[0].attempts[-1].method == "joint"
    assert report.complete


def test_files_that_are_there_stay(written, found, again, tmp_path):
    out, _ = written
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.ecsv")}
    with pytest.raises(StoreError, match=r"alignment\.json exists already"):
        found.write(out)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.ecsv")} == before
    few = again(
        updatehdr=False, headerlet=False, shiftfile=False, writecat=False, clean=True,
        residplot="none", see2dplot=False,
    )  # fmt: skip
    few.write(tmp_path)
    assert {p.name for p in tmp_path.rglob("*")} == {
        "verdicts.ecsv", "alignment.json", "release.json",
    }  # fmt: skip
    few.write(tmp_path, overwrite=True)


def test_what_is_replaced_goes_whole(found, again, tmp_path):
    """Files that the older run named and the newer has not; nothing that it did not name."""
    found.write(tmp_path)
    mine = tmp_path / "catalogs" / "mine.coo"
    mine.write_text("1 2\n")
    few = again(
        updatehdr=False, headerlet=False, shiftfile=False, writecat=False, clean=True,
        residplot="none", see2dplot=False,
    )  # fmt: skip
    few.write(tmp_path, overwrite=True)
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == {
        "verdicts.ecsv", "alignment.json", "release.json", "catalogs/mine.coo",
    }  # fmt: skip
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize("named", ["../kept.txt", "/kept.txt", 3, None])
def test_a_document_leads_nowhere_else(tmp_path, named):
    (tmp_path / "kept.txt").write_text("")
    folder = tmp_path / "out"
    folder.mkdir()
    text = str(tmp_path / "kept.txt") if named == "/kept.txt" else named
    (folder / "alignment.json").write_text(json.dumps({"files": [text]}))
    remove_earlier(told_files(folder / "alignment.json"), [])
    assert (tmp_path / "kept.txt").exists()


def test_in_place_updates_each_input_at_once(visit, found, tmp_path, monkeypatch):
    files = []
    for path in visit.files:
        files.append(tmp_path / path.name)
        files[-1].write_bytes(path.read_bytes())
    lists = {e.opened.name: e.sources for e in found}
    done = hd.align(files, refcat=visit.catalog(), sources=lists, wcsname="NEW", **PLAIN, **FAST)
    before = [path.read_bytes() for path in files]
    from hapdask.products.returned import copies

    def fail(*arguments, **options):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(copies, "copy_changed", fail)
        with pytest.raises(StoreError, match="disk is full"):
            done.write(tmp_path / "out", in_place=True)
    assert [path.read_bytes() for path in files] == before
    result = done.write(tmp_path / "out2", in_place=True)
    assert list(result.updated) == files
    assert not (tmp_path / "out2/updated").exists()
    for path in files:
        record = hd.open_exposures(path)[0]
        assert record.wcsname == "NEW"
        assert visit.error(record) < 0.5
    assert not list(tmp_path.glob("*.part"))


def test_a_name_that_is_taken_is_refused_where_it_may_not_be_used_again(visit, again, tmp_path):
    same = again(wcsname="IDC_w3m18525i", reusename=False, updatehdr=True, headerlet=False, **PLAIN)
    result = same.write(tmp_path)
    assert len(result.failures) == 2
    assert "it has a WCS called" in result.failures[0].reason
    assert not list((tmp_path / "updated").glob("*.fits"))


def test_tweakregs_catalog_of_references(visit, tmp_path):
    found = hd.align(visit.files, preset="tweakreg", searchrad=5.0, expand_refcat=True, threads=2)
    found.write(tmp_path)
    path = tmp_path / "catalogs/cumulative_sky_refcat_ia0aaaaaq_flt.coo"
    lines = path.read_text().splitlines()
    assert {line.split()[-1] for line in lines[1:]} == {"ia0aaaaaq", "ia0aaabaq"}
    assert (tmp_path / "plots/hist2d_ia0aaabaq_flt.png").exists()
    assert not (tmp_path / "plots/hist2d_ia0aaaaaq_flt.png").exists()
    assert not (tmp_path / "shifts.txt").exists()


def test_what_an_earlier_run_found_goes_where_there_is_no_solution(visit, found, tmp_path):
    first, second = (path.name for path in visit.files)
    foreign = tmp_path / "headerlets" / "mine_hlet.fits"
    found.write(tmp_path)
    foreign.write_bytes(b"mine")
    lists = {
        found[0].opened.name: found[0].sources,
        found[1].opened.name: found[1].sources.take([]),
    }
    few = hd.align(
        visit.files, refcat=visit.catalog(), sources=lists, updatehdr=True, **PLAIN, **FAST
    )
    assert [e.facts is None for e in few] == [False, True]
    few.write(tmp_path, overwrite=True)
    copies = sorted((tmp_path / "updated").iterdir())
    assert [p.name for p in copies] == [first, second]
    assert copies[1].read_bytes() == visit.files[1].read_bytes()
    letters = {p.name for p in (tmp_path / "headerlets").iterdir()}
    assert letters == {first.replace(".fits", "_hlet.fits"), foreign.name}
    assert (tmp_path / "catalogs").is_dir()
    assert visit.files[1].name == second
    assert visit.files[1].exists()


def test_a_killed_run_is_gone_on_with_but_foreign_files_stay(found, tmp_path, monkeypatch):
    from hapdask.recipes.alignment.writing import _Work, refuse_existing_products

    def killed(self, folder):
        raise KeyboardInterrupt

    def interrupted(folder):
        with monkeypatch.context() as patch:
            patch.setattr(_Work, "write_verdicts", killed)
            with pytest.raises(KeyboardInterrupt):
                found.write(folder)

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    interrupted(ours)
    assert not (ours / "alignment.json").exists()
    refuse_existing_products(ours, overwrite=False)
    done = found.write(ours)
    assert {p for p in ours.rglob("*") if p.is_file()} == set(done.files)
    with pytest.raises(StoreError, match=r"alignment\.json exists already"):
        found.write(ours)

    (theirs / "plots").mkdir(parents=True)
    (theirs / "plots" / "vector_ia0aaabaq_flt.png").write_bytes(b"mine")
    with pytest.raises(StoreError, match=r"vector_ia0aaabaq_flt\.png exists already"):
        found.write(theirs)
    with pytest.raises(StoreError, match="exists already"):
        found.write(theirs)
    assert (theirs / "plots" / "vector_ia0aaabaq_flt.png").read_bytes() == b"mine"


def test_a_shift_file_of_somebody_else_stays_in_a_folder_that_is_gone_on_with(found, tmp_path):
    from hapdask.recipes.alignment.unfinished import unfinished

    notes, ours = tmp_path / "notes.txt", tmp_path / "shifts.txt"
    notes.write_text("mine")

    def writing(problem=""):
        with unfinished(tmp_path, ("plots",), (notes, ours), overwrite=False) as left:
            ours.write_text("ours")
            if problem == "two":
                writing()
            elif problem:
                raise ValueError(problem)
        return left

    with pytest.raises(StoreError, match="another alignment"):
        writing("two")
    with pytest.raises(ValueError, match="killed"):
        writing("killed")
    assert writing() == {ours}
    assert writing() is None
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "shifts.txt"}
