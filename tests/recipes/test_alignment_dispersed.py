"""`hapdask.align` with grisms: they follow the direct exposures of their visit, or say why not."""

import json

import pytest
from astropy.io import fits
from small_visits import simulate_visit

import hapdask as hd

FAST = {"guiding": False, "threads": 2, "joint": False}
LAST = "ia0aaacaq"


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """Three exposures whose guide stars are 0.4 arcsec off; the last is said to be dispersed."""
    made = simulate_visit(tmp_path_factory.mktemp("visit"), 3, errors=False)
    for path in made.files:
        with fits.open(path, mode="update") as hdus:
            hdus["SCI"].header["CRVAL2"] += 0.4 / 3600.0
    with fits.open(made.files[2], mode="update") as hdus:
        hdus[0].header["FILTER"] = "G141"
    return made


@pytest.fixture(scope="module")
def found(visit):
    return hd.align(visit.files, refcat=visit.catalog(), updatehdr=True, **FAST)


def test_it_follows_the_direct_ones(visit, found):
    last = found[2]
    assert [e.placement.status for e in found] == ["aligned", "aligned", "relative"]
    assert (last.placement.method, last.placement.reference) == ("followed", "ia0aaaaaq")
    assert "given the correction of ia0aaaaaq" in last.placement.reason
    assert visit.error(last.opened) == pytest.approx(400.0, abs=5.0)
    assert visit.error(last.record) < 1.0
    assert 5.0 < last.placement.error_mas < 30.0  # jitter, and the roll
    assert last.placement.header_mas == pytest.approx(400.0, abs=5.0)
    assert last.record.wcsname == found[0].record.wcsname
    assert last.record.verdict == last.opened.verdict
    assert last.record in found.records
    json.dumps(found.to_dict(), allow_nan=False)


def test_its_headerlet_and_its_copy_have_that_wcs(visit, found, tmp_path):
    files = found.write(tmp_path).files
    for folder in ("updated", "headerlets"):
        assert sum(path.parent.name == folder for path in files) == 3
    (copy,) = (path for path in files if path.parent.name == "updated" and LAST in path.name)
    (again,) = hd.open_exposures(copy, select=False)
    assert visit.error(again) < 1.0
    assert again.wcsname == found[2].record.wcsname


def test_without_a_direct_exposure_the_verdict_says_so(visit):
    (alone,) = hd.align(visit.files[2], refcat=visit.catalog(), **FAST)
    assert alone.placement.status == "unaligned"
    assert "no direct exposure of its visit and detector was aligned" in alone.placement.reason
    assert alone.facts is None
    assert alone.record.verdict.status == "warning"
    untied = hd.align(visit.files, services=False, **FAST)
    assert "no direct exposure" in untied[2].placement.reason


def test_names_and_authors_are_the_users(visit):
    found = hd.align(
        visit.files, refcat=visit.catalog(), wcsname="MY-OWN", author="somebody", **FAST
    )
    assert {e.facts.wcsname for e in found} == {e.record.wcsname for e in found} == {"MY-OWN"}
    assert {e.facts.author for e in found} == {"somebody"}


def test_they_stay_where_direct_exposures_are_confirmed(tmp_path):
    good = simulate_visit(tmp_path, 3, visit="ia0bbb", errors=False)
    with fits.open(good.files[2], mode="update") as hdus:
        hdus[0].header["FILTER"] = "G141"
    found = hd.align(good.files, refcat=good.catalog(), **FAST)
    assert [e.placement.status for e in found] == ["confirmed", "confirmed", "relative"]
    assert (found[2].facts, found[2].record.correction) == (None, None)
    assert "it keeps its WCS" in found[2].placement.reason
