"""The command: plan, products, exit codes, JSON."""

import json

import pytest
from svm_visits import observe_visit

import hapdask as hd
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.guiding import Guiding
from hapdask.cli.svm.view import exit_code
from hapdask.products.alignment.lines import alignment_line
from hapdask.recipes.svm.run import SvmMade
from hapdask.recipes.svm.visit import VisitMade


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return observe_visit(tmp_path_factory.mktemp("visit"), ("F606W",))


def test_the_plan_reads_no_pixel_and_writes_nothing(hapdask, visit, tmp_path):
    run = hapdask("svm", visit.poller, "-o", tmp_path / "out", "--dry-run")
    assert run.code == 0
    assert "hst_11665_06_wfc3_uvis_f606w_ib460601_drc.fits" in run.out
    assert "4 drizzled products" in run.out
    assert not (tmp_path / "out").exists()
    told = json.loads(
        hapdask("svm", visit.poller, "-o", tmp_path / "out", "--dry-run", "--json").out
    )
    assert told["status"] == "planned"
    assert told["visits"][0]["visit"] == "ib4606"
    assert told["visits"][0]["memory"] > 1e8


def test_products_report_and_exit_codes(hapdask, visit, tmp_path):
    lines = visit.poller.read_text()
    poller = visit.folder / "more.out"
    poller.write_text(f"{lines}ib4606zzq_flc.fits\n")
    words = ("svm", poller, "-o", tmp_path, "--refcat", visit.catalog, "--threads", "2", "--json")
    run = hapdask(*words)
    assert run.code == 3
    told = json.loads(run.out)
    assert told["status"] == "made in part"
    assert "ib4606zzq" in told["left_out"][0]["file"]
    assert len(told["visits"][0]["products"]) == 4
    assert {row["status"] for row in told["visits"][0]["alignment"]["exposures"]} == {"aligned"}
    page = (tmp_path / "report.html").read_text()
    assert "ib460601q" in page
    assert "FIT_SVM_refcat" in page
    again = hapdask("svm", visit.poller, "-o", tmp_path, "--refcat", visit.catalog)
    assert again.code == 0
    assert "0 drizzled now" in again.out


def test_wrong_use_is_told_before_time_is_spent(hapdask, visit, tmp_path):
    words = ("svm", visit.poller, "-o", tmp_path / "out")
    run = hapdask(*words, "--refcat", tmp_path / "none.ecsv")
    assert run.code == 1
    assert "no such reference catalog" in run.err
    run = hapdask(*words, "--set-alignment", "searchrat=2")
    assert run.code == 2
    assert "did you mean 'searchrad'" in run.err
    run = hapdask(*words, "--set", "final_rot=3")
    assert run.code == 2
    assert "final_rot cannot be given" in run.err
    assert not (tmp_path / "out").exists()


def test_an_empty_poller_is_an_error(hapdask, tmp_path):
    poller = tmp_path / "poller.out"
    poller.write_text("\n")
    run = hapdask("svm", poller, "-o", tmp_path / "out")
    assert run.code == 1
    assert "the list is empty" in run.err


def test_exposures_that_are_not_aligned_are_told_by_the_exit_code(visit):
    run = hd.svm(visit.paths, refcat=visit.catalog)
    (planned,) = run.visits
    record = planned.exposures[0]

    def code(status, guiding="good", **told):
        line = alignment_line(record, Placement("a", status=status), Guiding(guiding, ""))
        made = VisitMade(planned.tree, products=(object(),), lines=(line,), told=told)
        return exit_code(SvmMade((made,), (), {}))

    assert [code(word) for word in ("aligned", "confirmed", "relative")] == [0, 0, 0]
    assert code("unaligned") == 3
    assert code("relative", lacks_tie=True) == 3


def test_one_word_for_an_exposure_that_trails(visit):
    record = hd.open_exposures(visit.paths[0])[0]
    line = alignment_line(record, Placement("a"), Guiding("trailed", "a streak"))
    assert line.status == "trailed"
