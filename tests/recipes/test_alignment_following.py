"""`hapdask.align`: an exposure with too few sources follows its visit; one refused never does."""

import datetime
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from small_visits import simulate_visit

import hapdask as hd
from hapdask.astrometry.sources import SourceList
from hapdask.products.alignment.lines import alignment_line
from hapdask.recipes.svm.aligned import VisitAlignment

FAST = {"guiding": False, "threads": 2}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """Three exposures whose guide stars are 0.4 arcsec off."""
    made = simulate_visit(tmp_path_factory.mktemp("visit"), 3, errors=False)
    for path in made.files:
        with fits.open(path, mode="update") as hdus:
            hdus["SCI"].header["CRVAL2"] += 0.4 / 3600.0
    return made


@pytest.fixture(scope="module")
def lists(visit):
    """Sources, none of which the last one has."""
    found = hd.align(visit.files, refcat=visit.catalog(), **FAST)
    assert [e.placement.status for e in found] == ["aligned"] * 3
    sources = {e.opened.name: e.sources for e in found}
    last = found[2].opened.name
    return sources | {last: SourceList.empty(last)}


def test_it_follows_the_others(visit, lists):
    found = hd.align(visit.files, refcat=visit.catalog(), sources=lists, **FAST)
    assert [e.placement.status for e in found] == ["aligned", "aligned", "relative"]
    last = found[2]
    assert visit.error(last.opened) == pytest.approx(400.0, abs=5.0)
    assert visit.error(last.record) < 3.0 * last.placement.error_mas < 60.0
    assert "follows ia0aaaaaq: the 2 others" in last.placement.reason
    assert "no source" in last.placement.reason
    assert not last.fits
    assert last.record.verdict.status == "warning"
    assert "not aligned by its own sources" in last.record.verdict.reason
    assert last.record.wcsname.endswith("-FIT_REL_NONE")
    assert found.verdicts["method"][2] == "followed"


@pytest.mark.parametrize(("count", "status"), [(2, "relative"), (3, "unaligned")])
def test_only_one_with_fewer_sources_than_any_fit_needs_follows(visit, lists, count, status):
    name = visit.exposures[2].rootname
    some = lists[visit.exposures[0].rootname].take(slice(0, count))
    few = replace(some, exposure=name, x=some.x + 91.0)
    found = hd.align(visit.files, refcat=visit.catalog(), sources=lists | {name: few}, **FAST)
    assert found[2].placement.status == status
    if status == "relative":
        assert "2 of the 3 sources that a fit needs" in found[2].placement.reason
        assert "(widen searchrad" not in found[2].placement.reason


def test_it_follows_exposures_that_are_held(visit, lists):
    first = hd.align(visit.files[:2], refcat=visit.catalog(), sources=lists, **FAST)
    both = {"services": False, "published": first.release, "sources": lists}
    last = hd.align(visit.files, **both, **FAST)[2]
    assert last.placement.status == "relative"
    assert visit.error(last.record) < 3.0 * last.placement.error_mas


def test_one_that_is_refused_stays(visit, lists):
    name = visit.exposures[2].rootname
    some, rng = lists[visit.exposures[0].rootname], np.random.default_rng(3)
    x, y = rng.uniform(5.0, 500.0, (2, len(some)))
    noise = replace(some, exposure=name, x=x, y=y)
    found = hd.align(visit.files, refcat=visit.catalog(), sources=lists | {name: noise}, **FAST)
    assert [e.placement.status for e in found] == ["aligned", "aligned", "unaligned"]
    assert found[2].record.correction is None


def test_tweakreg_and_hap_leave_it_where_it_is(visit, lists):
    for preset in ("tweakreg", "compat"):
        found = hd.align(visit.files, refcat=visit.catalog(), sources=lists, preset=preset, **FAST)
        assert found[2].placement.status == "unaligned"
        assert found[2].record.correction is None


def test_what_is_written_says_whom_it_follows(visit, lists, tmp_path):
    found = hd.align(
        visit.files, refcat=visit.catalog(), sources=lists, updatehdr=True, headerlet=True, **FAST
    )
    written = found.write(tmp_path).files
    (copy,) = (p for p in written if p.parent.name == "updated" and "ia0aaacaq" in p.name)
    (again,) = hd.open_exposures(copy)
    assert again.wcsname == found[2].record.wcsname
    assert visit.error(again) == pytest.approx(visit.error(found[2].record), abs=0.01)


def test_a_visit_counts_it_as_tied(visit, lists):
    found = hd.align(visit.files, refcat=visit.catalog(), sources=lists, **FAST)
    lines = tuple(alignment_line(e.record, e.placement, e.guiding) for e in found)
    kept = VisitAlignment(found.records, {}, (), {}, lines, datetime.date(2026, 1, 1))
    assert kept.untied == frozenset()
