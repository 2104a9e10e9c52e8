"""Exposures of a visit that cannot be aligned or used, beside others that can: none harms them."""

import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from svm_visits import observe_visit

import hapdask as hd
from hapdask.astrometry.references.finding import Inquiry, find_references, source_of
from hapdask.errors import StoreError
from hapdask.recipes.alignment import referring
from hapdask.recipes.svm import products
from hapdask.recipes.svm import run as svm_run
from hapdask.recipes.svm.aligning import AlignmentSettings, align_visit
from hapdask.recipes.svm.steps import Workshop
from hapdask.recipes.svm.visit import VisitMade
from hapdask.simulate import PointingError

HEAD = "hst_11665_06_wfc3_uvis"
OPTIONS = {"pictures": False, "quality": False}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return observe_visit(tmp_path_factory.mktemp("visit"), ("F606W",))


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """An exposure whose header is wrong by far more than pointings are."""
    folder = tmp_path_factory.mktemp("far")
    wrong = PointingError(0.0, 60.0, 0.0)
    return observe_visit(folder, ("F606W",), count=1, first=9, error=wrong).paths[0]


def _cosmic_rays(path):
    return int(np.count_nonzero(fits.getdata(path, "DQ") & 4096))


def test_an_exposure_without_a_tie_stands_apart_from_those_that_have_one(visit, far, tmp_path):
    asked = {"refcat": visit.catalog, "threads": 2}
    alone = hd.svm(visit.paths, **asked).write(tmp_path / "alone", **OPTIONS)
    beside = hd.svm([*visit.paths, far], **asked).write(tmp_path / "beside", **OPTIONS)
    status = {line.name: line.status for line in beside.visits[0].lines}
    assert status == {"ib460601q": "aligned", "ib460602q": "aligned", "ib460609q": "unaligned"}
    (detector,) = beside.visits[0].tree.detectors
    assert detector.filters[0].apart == ("ib460609q",)
    assert detector.total_members == detector.filters[0].exposures
    assert any("ib460609q is not aligned" in note for note in beside.visits[0].tree.notes)
    assert len(beside.visits[0].products) == len(alone.visits[0].products) + 1
    for root in ("ib460601", "ib460602"):  # its stars are no cosmic rays of theirs
        name = f"{HEAD}_f606w_{root}_flc.fits"
        assert _cosmic_rays(tmp_path / "beside" / name) == _cosmic_rays(tmp_path / "alone" / name)
    product = tmp_path / "beside" / f"{HEAD}_f606w_ib4606_drc.fits"
    assert fits.getval(product, "NDRIZIM") == fits.getval(
        tmp_path / "alone" / product.name, "NDRIZIM"
    )


def test_a_visit_of_empty_exposures_loses_no_other(visit, tmp_path):
    dark = observe_visit(tmp_path / "dark", ("F606W",), visit="07", count=1)
    with fits.open(dark.paths[0], mode="update") as hdus:
        hdus["SCI"].data[:] = 0.0
    run = hd.svm([*visit.paths, *dark.paths], refcat=visit.catalog, threads=2)
    made = run.write(tmp_path / "out", copies=False, **OPTIONS)
    assert [v.tree.visit for v in made.failed] == ["ib4607"]
    assert "all pixels of SCI are zero" in made.failed[0].problem
    assert (tmp_path / "out" / "wfc3_b46_06_visit.json").exists()
    assert not (tmp_path / "out" / "wfc3_b46_07_visit.json").exists()


def test_a_catalog_that_did_not_answer_is_asked_again(visit, tmp_path, monkeypatch):
    def run(answer):
        monkeypatch.setattr(referring, "find_references", answer)
        made = hd.svm(visit.paths, refcat="GAIAeDR3", threads=2).write(
            tmp_path, copies=False, **OPTIONS
        )
        kept = [product.made.kept for product in made.visits[0].products]
        return [line.status for line in made.visits[0].lines], kept

    def silent(source, *given, **options):
        return None, (Inquiry(source.name, "failed", reason="no answer"),)

    def answering(source, *given, **options):
        return find_references(source_of(visit.catalog), *given, **options)

    def refusing(source, *given, **options):
        raise AssertionError("a tie that is there needs no catalog")

    assert run(silent) == (["relative"] * 2, [False] * 4)
    assert run(silent) == (["relative"] * 2, [True] * 4)
    assert run(answering) == (["aligned"] * 2, [False] * 4)
    assert run(refusing) == (["aligned"] * 2, [True] * 4)


def test_a_visit_that_is_made_anew_and_fails_does_not_look_finished(visit, tmp_path, monkeypatch):
    def run(**parameters):
        made = hd.svm(visit.paths, refcat=visit.catalog, threads=2, **parameters)
        return made.write(tmp_path, copies=False, **OPTIONS)

    def full(mosaic, studio):
        raise StoreError("the disk is full (make room)")

    outcome = tmp_path / "wfc3_b46_06_visit.json"
    assert not run().failed
    before = outcome.read_bytes()
    assert not run().failed
    assert outcome.read_bytes() == before
    monkeypatch.setattr(products, "make_mosaic", full)
    assert run(final_pixfrac=0.7).failed
    assert not outcome.exists()


def test_sources_under_a_mask_are_not_used_for_the_alignment(visit, tmp_path):
    star = visit.scene.ra[0], visit.scene.dec[0]
    region = tmp_path / "bad.reg"
    records, shop = hd.open_exposures(visit.paths), Workshop(where=tmp_path / "records", threads=2)

    def nearest(*masks):
        asked = AlignmentSettings(refcat=visit.catalog, exclude=masks)
        found = align_visit(records, asked, shop).stars["ib460601q"]
        away = (found.ra - star[0]) * np.cos(np.radians(star[1])), found.dec - star[1]
        return 3600.0 * np.hypot(*away).min()

    assert nearest() < 0.02
    for radius in (0.4, 0.8):  # the same file, changed: nothing that was kept is recalled
        region.write_text(f'icrs\ncircle({star[0]:.7f}, {star[1]:.7f}, {radius}")\n')
        assert nearest(region) > radius - 0.2
    assert nearest() < 0.02


def test_a_service_that_is_down_is_not_waited_for_by_every_visit(visit, tmp_path, monkeypatch):
    asked, now = [], [1000.0]

    def silent(source, *given, offline, **options):
        asked.extend([] if offline else [source.name])
        status = "skipped" if offline else "failed"
        return None, (Inquiry(source.name, status, reason="no answer"),)

    monkeypatch.setattr(referring, "find_references", silent)
    monkeypatch.setattr("time.time", lambda: now[0])
    records, shop = hd.open_exposures(visit.paths), Workshop(where=tmp_path, threads=2)
    wanted = AlignmentSettings(refcat="GAIAeDR3", overrides={"guiding": False, "joint": False})
    found = [align_visit(records, wanted, shop) for _ in range(3)]
    assert len(asked) == 2
    assert all(each.lacks_answer for each in found)  # so that it is asked again some day
    now[0] += 3600.0
    align_visit(records, wanted, shop)
    assert len(asked) == 3
    run = hd.svm(visit.paths)
    first, second = (run._task(run.visits[0], tmp_path, None) for _ in range(2))
    assert first.outages is second.outages


def test_other_processes_learn_that_a_service_is_down(visit, tmp_path, monkeypatch):
    paths = []
    for number in range(6):
        path = tmp_path / f"ib461{number}01q_flc.fits"
        shutil.copy(visit.paths[0], path)
        fits.setval(path, "ROOTNAME", value=path.name[:9])
        paths.append(path)

    def made(task):
        if not task.outages.is_down("GAIAeDR3"):
            task.outages.note("GAIAeDR3")
        return VisitMade(task.tree, failures=dict(task.outages.failures))

    def elsewhere(tasks, client, threads):
        """Each task in a process of its own."""
        for task in tasks:
            yield pickle.loads(pickle.dumps(made(pickle.loads(pickle.dumps(task)))))

    monkeypatch.setattr(svm_run, "run_tasks", elsewhere)
    cluster = SimpleNamespace(nthreads=lambda: {"one": 1})
    run = hd.svm(paths, client=cluster)
    assert len(run.visits) == 6
    found = run.write(tmp_path / "out", copies=False)
    assert [len(v.failures["GAIAeDR3"]) for v in found.visits] == [1, 2, 2, 2, 2, 2]
