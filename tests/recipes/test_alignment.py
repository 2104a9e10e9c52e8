"""`hapdask.align`: the solutions are true, the verdicts right, inputs untouched, bits the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_visits import simulate_visit

import hapdask as hd
from hapdask.errors import InputError, ParameterError, PlanError

FAST = {"guiding": False}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return simulate_visit(tmp_path_factory.mktemp("visit"))


@pytest.fixture(scope="module")
def found(visit):
    return hd.align(visit.files, refcat=visit.catalog(), threads=2)


@pytest.fixture(scope="module")
def lists(found):
    """Sources, so that other runs need not detect them again."""
    return {e.opened.name: e.sources for e in found}


def test_solutions_are_true(visit, found):
    assert [e.placement.status for e in found] == ["aligned"] * 3
    for each in found:
        assert visit.error(each.opened) > 200.0
        assert visit.error(each.record) < 0.4
        assert visit.error(each.record) < 3.0 * each.placement.error_mas
        assert each.record.wcsname == "IDC_w3m18525i-FIT_REL_user"
        assert each.record.verdict.status == "accepted"
        assert each.guiding.status == "good"
    assert [r.name for r in found.records] == [e.opened.name for e in found]
    assert found.left_out == ()
    assert len(found.release.exposures) == 3


def test_verdicts_are_told_to_people_and_machines(found):
    table = found.verdicts
    assert list(table["status"]) == ["aligned"] * 3
    assert str(table["rms_mas"].unit) == "mas"
    assert np.all(table["error_mas"] < 1.0)
    assert np.all(table["sources"] > 40)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [e["exposure"] for e in told["exposures"]] == [e.opened.name for e in found]
    tried = told["exposures"][0]["placement"]["attempts"]
    assert tried[-1]["method"] == "joint"
    assert all(attempt["reason"] for attempt in tried)
    assert told["exposures"][0]["catalogs"][0]["status"] == "found"
    assert told["parameters"]["wfc3/ir"]["origin"]["updatehdr"] == "tweakreg/default.toml"
    assert {a.exposure for a in found.attempts} == {e.opened.name for e in found}
    assert "3 aligned" in repr(found)
    assert found.named("ia0aaabaq") is found[1]
    with pytest.raises(KeyError, match="there are ia0aaaaaq"):
        found.named("nothing")


def test_the_same_bits_on_threads_and_on_a_cluster(visit, found):
    from distributed import Client, LocalCluster

    one = hd.align(visit.files, refcat=visit.catalog(), threads=1)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        other = hd.align(visit.files, refcat=visit.catalog(), client=client)
    for again in (one, other):
        assert [e.record.digest for e in again] == [e.record.digest for e in found]
        assert [e.placement.to_dict() for e in again] == [e.placement.to_dict() for e in found]
        assert again.release.digest == found.release.digest


def test_the_order_of_the_exposures_does_not_matter(visit, found, lists):
    back = hd.align(visit.files[::-1], refcat=visit.catalog(), sources=lists, **FAST)
    assert [e.opened.name for e in back] == [e.opened.name for e in found][::-1]
    assert back.release.digest == found.release.digest
    for each in back:
        before = found.named(each.opened.name).placement
        assert each.placement.to_dict() == before.to_dict()
        assert each.placement.correction == before.correction


def test_without_a_catalog_exposures_are_tied_to_each_other(visit, lists):
    alone = hd.align(visit.files, services=False, sources=lists, **FAST)
    assert [e.placement.status for e in alone] == ["relative"] * 3
    assert all("no reference catalog was given" in e.placement.reason for e in alone)
    assert all(e.record.verdict.status == "warning" for e in alone)
    errors = [visit.error(e.record) for e in alone]
    assert np.ptp(errors) < 2.0  # the same error for all
    assert min(errors) > 100.0
    first = hd.align(
        visit.files, services=False, sources=lists, enforce_user_order=True, joint=False, **FAST
    )
    assert visit.error(first[0].record) == pytest.approx(visit.error(first[0].opened), abs=0.01)
    assert visit.error(first[2].record) == pytest.approx(visit.error(first[0].opened), abs=2.0)


def test_offline_says_so(visit, lists, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    alone = hd.align(visit.files, offline=True, sources=lists, **FAST)
    assert [e.placement.status for e in alone] == ["relative"] * 3
    assert "offline" in alone[0].placement.reason
    assert {i.status for i in alone[0].inquiries} == {"skipped"}


def test_a_right_header_stays(visit, tmp_path):
    good = simulate_visit(tmp_path, 2, visit="ia0bbb", errors=False)
    kept = hd.align(good.files, refcat=good.catalog(), threads=2, **FAST)
    assert [e.placement.status for e in kept] == ["confirmed"] * 2
    for each in kept:
        assert each.record.correction is None
        assert each.facts is None
        assert each.record.wcsname == each.opened.wcsname
        assert "the header is as good" in each.placement.reason


def test_a_visit_without_stars_is_tied_to_a_solved_one(visit, found, lists, tmp_path):
    later = simulate_visit(tmp_path, 2, visit="ia0ccc", seed=9, date="2016-06-01T00:00:00")
    # the catalog has stars beside the new exposures only
    table = visit.catalog()
    both = hd.align([*visit.files, *later.files], refcat=table, sources=lists, threads=2, **FAST)
    assert [e.placement.status for e in both] == ["aligned"] * 5
    held = hd.align(later.files, services=False, published=found.release, threads=2, **FAST)
    assert [e.placement.status for e in held] == ["aligned"] * 2
    assert max(later.error(e.record) for e in held) < 1.0
    assert held.release.version == found.release.version + 1
    assert held[0].placement.catalog == "release1"
    kept = hd.align(visit.files[:1], services=False, published=found.release, sources=lists, **FAST)
    assert kept[0].record.correction == found[0].record.correction
    assert "held as in release 1" in kept[0].placement.reason


def test_a_visit_that_no_catalog_reaches_is_tied_by_what_it_shares(tmp_path):
    stars = {"stars": 260, "half": 0.02}
    one = simulate_visit(tmp_path, 2, **stars)
    other = simulate_visit(
        tmp_path, 2, visit="ia0bbb", seed=9, shift=0.008, date="2016-07-01T00:00:00", **stars
    )
    table = one.catalog(260)
    west = np.flatnonzero(table["ra"] < 150.1 - 0.001)[:40]
    found = hd.align([*one.files, *other.files], refcat=table[west], threads=2, **FAST)
    assert [e.placement.status for e in found] == ["aligned"] * 4
    assert [e.placement.catalog for e in found] == ["user", "user", "SOLVED", "SOLVED"]
    tries = {(a.catalog, a.accepted) for a in found[2].placement.attempts}
    assert ("user", False) in tries
    assert ("SOLVED", True) in tries
    for visit, each in zip((one, one, other, other), found, strict=True):
        assert visit.error(each.record) < 3.0 * each.placement.error_mas
        assert visit.error(each.record) < 3.0
    assert {s.name: s.tie for s in found.release.exposures}["ia0bbbaaq"] == "shared"


def test_two_targets_of_a_visit_are_two_fields(visit, lists, tmp_path):
    other = simulate_visit(tmp_path, 1, visit="ia0aaa", seed=11, center=(150.6, 2.2))
    path = other.files[0].rename(tmp_path / "ia0aaahaq_flt.fits")
    from astropy.io import fits

    with fits.open(path, mode="update") as hdus:
        hdus[0].header["ROOTNAME"] = "ia0aaahaq"
    found = hd.align([*visit.files, path], refcat=visit.catalog(), sources=lists, **FAST)
    assert [e.placement.status for e in found] == ["aligned"] * 3 + ["unaligned"]
    assert len(found.fields) == 2
    assert "none of its 60 stars lies in the field" in found[3].placement.reason
    assert found[3].record.correction is None


def test_a_header_wrong_by_a_degree_harms_nobody(visit, lists, tmp_path):
    from astropy.io import fits

    path = tmp_path / visit.files[2].name
    path.write_bytes(visit.files[2].read_bytes())
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].header["CRVAL2"] += 1.0
    files = [*visit.files[:2], path]
    found = hd.align(files, refcat=visit.catalog(), sources=lists, **FAST)
    assert [e.placement.status for e in found] == ["aligned", "aligned", "unaligned"]
    assert max(visit.error(e.record) for e in found[:2]) < 0.4
    assert "deg off" in found[2].placement.reason
    assert "puts it 1 deg from the other exposures of its visit" in found[2].placement.reason


def test_bad_catalogs_are_verdicts(visit, lists):
    table = visit.catalog()

    def reason(catalog):
        found = hd.align(visit.files[:2], refcat=catalog, sources=lists, **FAST)
        assert [e.placement.status for e in found] == ["relative"] * 2
        return found[0].placement.reason

    hours = table.copy()
    hours["ra"] /= 15.0
    assert "RA is in hours" in reason(hours)
    far = table.copy()
    far["dec"] += 1.0
    assert "none of its 60 stars lies in the field" in reason(far)
    few = reason(table[:2])
    assert "2 stars in the field" in few
    dirty = table.copy()
    dirty["ra"][:5] = np.nan
    twice = type(table)(np.concatenate([dirty, dirty]))
    found = hd.align(visit.files, refcat=twice, sources=lists, **FAST)
    assert [e.placement.status for e in found] == ["aligned"] * 3
    notes = " ".join(found[0].inquiries[0].notes)
    assert "10 rows without a position" in notes
    assert "duplicates" in notes
    next_one = hd.align(visit.files, refcat=[far, table], sources=lists, **FAST)
    assert [i.status for i in next_one[0].inquiries] == ["empty", "found"]
    assert [e.placement.status for e in next_one] == ["aligned"] * 3


def test_bad_files_are_left_out_and_the_others_go_on(visit, lists, tmp_path):
    cut = tmp_path / "ia0dddaaq_flt.fits"
    cut.write_bytes(visit.files[0].read_bytes()[:200_000])
    files = [*visit.files, cut, tmp_path / "ia0eeeaaq_flt.fits"]
    found = hd.align(files, refcat=visit.catalog(), sources=lists, **FAST)
    assert [e.placement.status for e in found] == ["aligned"] * 3
    reasons = {item.file.rpartition("/")[2]: item.reason for item in found.left_out}
    assert "truncated" in reasons["ia0dddaaq_flt.fits"]
    assert "No such file" in reasons["ia0eeeaaq_flt.fits"]
    with pytest.raises(PlanError, match="truncated"):
        hd.align(cut)


def test_pixels_lost_while_it_runs_are_left_out(visit, lists, tmp_path):
    path = tmp_path / visit.files[2].name
    path.write_bytes(visit.files[2].read_bytes())
    opened = hd.open_exposures([*visit.files[:2], path])
    path.write_bytes(path.read_bytes()[:100_000])
    two = {name: lists[name] for name in ("ia0aaaaaq", "ia0aaabaq")}
    found = hd.align(opened, refcat=visit.catalog(), sources=two, **FAST)
    assert [e.opened.name for e in found] == ["ia0aaaaaq", "ia0aaabaq"]
    assert [e.placement.status for e in found] == ["aligned"] * 2
    assert found.left_out[0].file == str(path)
    gone = hd.open_exposures(tmp_path / "none.fits")
    with pytest.raises(PlanError, match="no exposure is left"):
        hd.align(gone, refcat=visit.catalog())


def test_an_exposure_without_sources_or_with_trails_is_set_aside(visit, found, lists, monkeypatch):
    from hapdask.astrometry.guiding import Guiding
    from hapdask.astrometry.sources import SourceList
    from hapdask.recipes.alignment import detecting

    def streaked(record, *others, **options):
        trailed = record.name == "ia0aaacaq"
        return Guiding("trailed" if trailed else "good", "they share a streak" * trailed)

    monkeypatch.setattr(detecting, "check_guiding", streaked)
    given = lists | {"ia0aaaaaq": SourceList.empty("ia0aaaaaq")}
    done = hd.align(visit.files, refcat=visit.catalog(), sources=given)
    assert [e.placement.status for e in done] == ["unaligned", "aligned", "unaligned"]
    assert "no source" in done[0].placement.reason
    assert "set aside: they share a streak" in done[2].placement.reason
    assert done[2].record.verdict.status == "rejected"
    assert [r.name for r in done.records] == ["ia0aaaaaq", "ia0aaabaq"]


def test_what_contradicts_itself_is_refused(visit, found, tmp_path):
    files, table = visit.files[:1], visit.catalog()
    twin = tmp_path / files[0].name
    twin.write_bytes(files[0].read_bytes())
    with pytest.raises(ParameterError, match="did you mean 'searchrad'"):
        hd.align(files, refcat=table, serchrad=3)
    with pytest.raises(InputError, match=r"nofile\.ecsv: there is no such reference catalog"):
        hd.align(files, refcat="nofile.ecsv")
    with pytest.raises(ParameterError, match="neither a file nor a known catalog"):
        hd.align(files, refcat="gaiax")
    with pytest.raises(ParameterError, match="refimage and refcat"):
        hd.align(files, refcat=table, refimage=str(files[0]))
    with pytest.raises(ParameterError, match="corrected already"):
        hd.align(found.records, refcat=table)
    with pytest.raises(PlanError, match="both exposure"):
        hd.align([hd.open_exposures(path)[0] for path in (files[0], twin)], refcat=table)
    with pytest.raises(InputError, match="no release of a joint solution"):
        hd.align(files, refcat=table, published=files[0])


def test_spectra_are_set_aside(visit, lists, tmp_path):
    from astropy.io import fits

    path = tmp_path / visit.files[2].name
    path.write_bytes(visit.files[2].read_bytes())
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["FILTER"] = "G141"
    files = [*visit.files[:2], path]
    found = hd.align(files, refcat=visit.catalog(), sources=lists, **FAST)
    assert [e.placement.status for e in found] == ["aligned", "aligned", "unaligned"]
    assert "its sources are spectra" in found[2].placement.reason


def test_a_headerlet_of_another_image_changes_nothing(visit, lists, tmp_path):
    plain = {"residplot": "none", "see2dplot": False, **FAST}
    hd.align(visit.files, refcat=visit.catalog(), sources=lists, **plain).write(tmp_path)
    other = sorted((tmp_path / "headerlets").iterdir())[1]
    opened = hd.open_exposures(visit.files[0], headerlets=str(other))
    again = hd.align(opened, refcat=visit.catalog(), sources=lists, **FAST)
    assert again[0].opened.wcsname == "IDC_w3m18525i"
    assert again[0].placement.status == "aligned"
    assert visit.error(again[0].record) < 0.5
