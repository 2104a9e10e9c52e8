"""Source lists, exclusions, reference images, TweakReg's and HAP's ways."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from small_visits import simulate_visit

import hapdask as hd
from hapdask.errors import InputError, ParameterError

FAST = {"guiding": False}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return simulate_visit(tmp_path_factory.mktemp("visit"))


@pytest.fixture(scope="module")
def found(visit):
    return hd.align(visit.files, refcat=visit.catalog(), threads=2, **FAST)


@pytest.fixture(scope="module")
def folder(found, tmp_path_factory):
    """Lists of the sources: pixels from 1, and positions by the headers."""
    where = tmp_path_factory.mktemp("lists")
    pixels, sky = ["# exposure list", ""], []
    for each in found:
        name, s = each.opened.name, each.sources
        np.savetxt(where / f"{name}.txt", np.c_[s.x + 1, s.y + 1, s.flux], fmt="%.6f")
        np.savetxt(where / f"{name}_sky.txt", np.c_[*s.sky(each.opened), s.flux], fmt="%.11f")
        pixels.append(f"{name}_flt.fits  {name}.txt  # its chip")
        sky.append(f"{name} {name}_sky.txt")
    (where / "pixels.lst").write_text("\n".join(pixels))
    (where / "sky.lst").write_text("\n".join(sky))
    return where


def test_lists_in_pixels_and_on_the_sky_are_the_same_sources(visit, found, folder):
    for file, units in (("pixels.lst", "pixels"), ("sky.lst", "degrees")):
        again = hd.align(
            visit.files, refcat=visit.catalog(), catfile=str(folder / file), xyunits=units, **FAST
        )
        for one, other in zip(again, found, strict=True):
            assert np.allclose(one.sources.x, other.sources.x, atol=2e-6)
            assert np.allclose(one.sources.y, other.sources.y, atol=2e-6)
            assert one.placement.status == "aligned"
            assert visit.error(one.record) < 0.6


def test_the_brightest_are_taken(visit, folder):
    options = {"catfile": str(folder / "pixels.lst"), "fluxcol": 3, **FAST}
    few = hd.align(visit.files, refcat=visit.catalog(), nbright=25, **options)
    assert [len(e.sources) for e in few] == [25] * 3
    limit = float(np.median(few[0].sources.flux))
    fewer = hd.align(visit.files, refcat=visit.catalog(), nbright=25, minflux=limit, **options)
    assert len(fewer[0].sources) == 13
    assert max(visit.error(e.record) for e in few) < 0.6


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (None, {}, "cannot be read"),
        ("ia0aaaaaq none.txt", {}, r"none\.txt: cannot be read"),
        ("other.fits none.txt", {}, "no line of it is for one of the exposures"),
        ("ia0aaaaaq a.txt b.txt", {}, "names 2 files for the 1 chips"),
        ("ia0aaaaaq ia0aaaaaq.txt", {"xcol": 9}, "there is no column '9'"),
        ("ia0aaaaaq ia0aaaaaq_sky.txt", {}, "set xyunits = degrees"),
        ("ia0aaaaaq ia0aaaaaq.txt", {"xyunits": "degrees"}, "lies on ia0aaaaaq"),
    ],
)
def test_bad_lists_are_refused(visit, folder, text, options, words):
    path = folder / "bad.lst"
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        hd.align(visit.files, refcat=visit.catalog(), catfile=str(path), **options)


def test_excluded_regions_have_no_source(visit, folder):
    region = folder / "all.reg"
    region.write_text('icrs\ncircle(150.1, 2.2, 8")\n')
    (folder / "ia0aaabaq_1.reg").write_text("image\nbox(256, 256, 200, 200, 0)\n")
    (folder / "list.txt").write_text("ia0aaaaaq_flt.fits None\nia0aaabaq ia0aaabaq_1.reg\n")
    found = hd.align(
        visit.files,
        refcat=visit.catalog(),
        exclude=str(region),
        exclusions=str(folder / "list.txt"),
        threads=2,
        **FAST,
    )
    for each in found:
        ra, dec = each.sources.sky(each.opened)
        away = np.hypot((ra - 150.1) * np.cos(np.radians(dec)), dec - 2.2)
        assert away.min() * 3600 > 7.5
    inside = np.abs(found[1].sources.x - 255) < 98
    assert not np.any(inside & (np.abs(found[1].sources.y - 255) < 98))
    assert max(visit.error(e.record) for e in found) < 0.6


@pytest.mark.parametrize(("value", "told"), [(np.nan, "NaN"), (0.0, "zero")])
def test_an_exposure_without_pixels_is_left_out(visit, tmp_path, value, told):
    blank = shutil.copy(visit.files[1], tmp_path)
    with fits.open(blank, mode="update") as hdus:
        hdus["SCI"].data[:] = value
    files = [visit.files[0], blank, visit.files[2]]
    alignment = hd.align(files, refcat=visit.catalog(), threads=2, joint=False, **FAST)
    assert [e.placement.status for e in alignment] == ["aligned"] * 2
    (lost,) = alignment.left_out
    assert (lost.file, lost.reason) == (str(blank), f"all pixels of SCI are {told}")


def test_columns_of_a_catalog_by_name_and_number(visit, found, tmp_path):
    table = visit.catalog()
    table.rename_columns(["ra", "dec", "mag"], ["A", "B", "M"])
    table.write(tmp_path / "ref.csv")
    lists = {e.opened.name: e.sources for e in found}
    for columns in ({"refxcol": "A", "refycol": "B"}, {"refxcol": 1, "refycol": 2}):
        again = hd.align(
            visit.files,
            refcat=tmp_path / "ref.csv",
            rfluxcol="M",
            rminflux=21.0,
            sources=lists,
            **columns,
            **FAST,
        )
        assert [e.placement.status for e in again] == ["aligned"] * 3
        assert np.nanmax(again[0].catalog.mag) <= 21.0


def test_a_reference_image_stays_and_others_follow(visit, found):
    lists = {e.opened.name: e.sources for e in found}
    for preset in ("default", "tweakreg"):
        options = {"searchrad": 5.0} if preset == "tweakreg" else {"sources": lists}
        again = hd.align(
            visit.files, refimage="ia0aaabaq", preset=preset, threads=2, **options, **FAST
        )
        assert again[1].placement.status == "confirmed"
        assert "the reference image" in again[1].placement.reason
        assert again[1].record.correction is None
        there = visit.error(again[1].opened)
        for each in (again[0], again[2]):
            assert each.placement.status == "aligned"
            assert visit.error(each.record) == pytest.approx(there, abs=8.0)


def test_a_mosaic_as_reference_image(visit, found, tmp_path):
    run = hd.astrodrizzle(
        found.records, output="ref", median=False, blot=False, driz_cr=False, build=True
    )
    (product,) = (p for p in run.write(tmp_path).files if p.suffix == ".fits")
    lists = {e.opened.name: e.sources for e in found}
    again = hd.align(visit.files, refimage=f"{product}[SCI,1]", sources=lists, **FAST)
    assert [e.placement.status for e in again] == ["aligned"] * 3
    assert max(visit.error(e.record) for e in again) < 20.0


def test_as_tweakreg_does(visit):
    options = {"preset": "tweakreg", "searchrad": 5.0, "threads": 2}
    found = hd.align(visit.files, refcat=visit.catalog(), minobj=10, **options)
    assert [e.placement.status for e in found] == ["aligned"] * 3
    assert {e.record.wcsname for e in found} == {"TWEAK"}
    assert max(visit.error(e.record) for e in found) < 6.0
    assert found.release is None
    assert found[0].placement.method == "tweakreg"
    alone = hd.align(visit.files, **options)
    assert [e.placement.status for e in alone] == ["relative"] * 3
    assert alone[0].record.correction is None
    grown = hd.align(visit.files, expand_refcat=True, **options)
    origins = set(grown.fields[0].run.origin)
    assert origins == {"ia0aaaaaq", "ia0aaabaq", "ia0aaacaq"}
    none = hd.align(visit.files, refcat=visit.catalog(), minobj=60, **options)
    assert [e.placement.status for e in none] == ["unaligned"] * 3
    assert "of 60" in none[0].placement.reason


def test_as_hap_does(visit):
    found = hd.align(visit.files, refcat=visit.catalog(), preset="compat", threads=2, **FAST)
    assert {e.placement.method for e in found} <= {"relative", "histogram", "header", ""}
    for each in found:  # its centroids are coarse: fits may be refused, never made worse
        assert visit.error(each.record) <= visit.error(each.opened)


def test_parameters_by_tweakregs_names(visit, found):
    lists = {e.opened.name: e.sources for e in found}
    strict = hd.align(visit.files, refcat=visit.catalog(), minobj=50, sources=lists, **FAST)
    assert [e.placement.status for e in strict] == ["relative"] * 3
    assert any("too few matches" in a.reason for a in strict.attempts)
    shift = hd.align(
        visit.files, refcat=visit.catalog(), fitgeometry="shift", sources=lists, **FAST
    )
    for each in shift:
        assert each.placement.geometry == "shift"
        assert visit.error(each.record) < 3.0 * each.placement.error_mas
    named = hd.align(
        visit.files, refcat=visit.catalog(), wcsname="MINE", label="SVM", sources=lists, **FAST
    )
    assert {e.record.wcsname for e in named} == {"MINE"}
    svm = hd.align(visit.files, refcat=visit.catalog(), label="SVM", sources=lists, **FAST)
    assert svm[0].record.wcsname.endswith("-FIT_SVM_user")
    with pytest.raises(ParameterError, match="use preset = 'tweakreg'"):
        hd.align(visit.files, refcat=visit.catalog(), xoffset=3.0)
