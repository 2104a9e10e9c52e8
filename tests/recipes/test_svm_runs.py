"""Runs of visits: several at once, interrupted ones, bad input, what cannot be aligned."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from svm_visits import DEC, RA, field_stars, observe_visit

import hapdask as hd
from hapdask.cli.exits import PARTIAL
from hapdask.cli.svm.view import exit_code
from hapdask.errors import StoreError
from hapdask.recipes.svm import mosaics, products, steps
from hapdask.recipes.svm.report import report_of
from hapdask.recipes.svm.run import svm
from hapdask.simulate import Scene

HEAD = "hst_11665_06_wfc3_uvis"


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return observe_visit(tmp_path_factory.mktemp("visit"), ("F606W",))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return observe_visit(tmp_path_factory.mktemp("other"), ("F814W",), visit="07", count=1)


def _bytes(out):
    """Content of all files but the report and what tells of the time."""
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(out.iterdir())
        if p.is_file() and not p.name.startswith("report")
    }


KILLED = """
import os, signal, sys
import hapdask.recipes.svm.products as products
from hapdask.recipes.svm.report import report_of
from hapdask.recipes.svm.run import svm
make, count = products.make_mosaic, 0

def dying(mosaic, studio):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return make(mosaic, studio)

products.make_mosaic = dying
svm(sys.argv[1], refcat=sys.argv[2], threads=1).write(sys.argv[3])
"""


def test_a_killed_run_goes_on_and_gives_the_same_bytes(visit, tmp_path, monkeypatch):
    out = tmp_path / "out"
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, visit.poller, visit.catalog, out], check=False
    )
    assert dead.returncode == -signal.SIGKILL
    assert len(list(out.glob("*_drc.fits"))) == 2
    assert not list(out.glob("*manifest*"))
    assert not list(out.glob("*visit.json"))
    part = out / f"{HEAD}_f606w_ib460602_drc.fits.abcdefgh.part"
    part.write_bytes(b"left by the dead")  # is no product, and goes
    made = hd.svm(visit.poller, refcat=visit.catalog, threads=2).write(out)
    kept = {p.mosaic.name.stem.split("_")[5]: p.made.kept for p in made.visits[0].products}
    assert sum(p.made.kept for p in made.visits[0].products) == 2
    assert kept["total"]  # what takes longest comes first
    assert not part.exists()
    whole = tmp_path / "whole"
    shutil.copytree(out / "wfc3_b46_06_records", whole / "wfc3_b46_06_records")
    shutil.rmtree(whole / "wfc3_b46_06_records" / "made")  # the alignment is kept, nothing else
    hd.svm(visit.poller, refcat=visit.catalog, threads=1).write(whole)
    there, again = _bytes(out), _bytes(whole)
    assert there.keys() == again.keys()
    different = {name for name in there if there[name] != again[name]}
    assert different <= {"wfc3_b46_06_visit.json"}  # which names masks by where they lie


def test_what_is_missing_or_changed_is_made_again(visit, tmp_path):
    run = svm(visit.poller, refcat=visit.catalog, threads=2)
    run.write(tmp_path)
    before = _bytes(tmp_path)
    (tmp_path / f"{HEAD}_f606w_ib460601_drc.jpg").unlink()
    with fits.open(tmp_path / f"{HEAD}_total_ib4606_drc.fits", mode="update") as hdus:
        hdus["SCI"].data[100, 100] = 1.0e6
    made = run.write(tmp_path)
    kept = {p.mosaic.name.stem.split("_")[-1]: p.made.kept for p in made.visits[0].products[1:3]}
    assert kept == {"ib460601": False, "ib460602": True}
    assert _bytes(tmp_path) == before


def test_a_folder_holds_what_the_last_run_made_and_nothing_foreign_is_lost(visit, tmp_path):
    """Products of exposures that are not in the visit any more go, if they are as they were."""
    out, other = tmp_path / "out", tmp_path / "other"
    svm(visit.poller, refcat=visit.catalog, threads=2).write(out)
    mine = out / f"{HEAD}_f606w_ib460602_notes.txt"
    mine.write_text("not of the manifest")
    changed = out / f"{HEAD}_f606w_ib460602_drc_thumb.jpg"
    changed.write_bytes(b"painted over")
    made = svm(visit.paths[:1], refcat=visit.catalog, threads=2).write(out)
    svm(visit.paths[:1], refcat=visit.catalog, threads=2).write(other)
    assert {p.name for p in out.iterdir()} == {
        mine.name, changed.name, *(p.name for p in other.iterdir())
    }  # fmt: skip
    removed = {path.name for path in made.visits[0].removed}
    assert f"{HEAD}_f606w_ib460602_drc.fits" in removed
    assert f"{HEAD}_f606w_ib460602_trl.txt" in removed
    listed = set((out / "wfc3_b46_06_manifest.txt").read_text().split())
    assert not listed & removed
    assert listed <= {p.name for p in out.iterdir()}


def test_inputs_in_the_folder_stay_though_an_earlier_run_made_them(visit, tmp_path):
    svm(visit.poller, refcat=visit.catalog, threads=2).write(tmp_path, pictures=False)
    copies = sorted(tmp_path.glob("*_flc.fits"))
    dark = copies[0]
    with fits.open(dark, mode="update") as hdus:
        hdus[0].header["EXPTIME"] = 0.0  # is rejected, and an input all the same
    status = dark.stat()
    run = svm(copies, refcat=visit.catalog, threads=2)
    assert [item.file for item in run.left_out] == [str(dark)]
    made = run.write(tmp_path, pictures=False, copies=False)
    assert not made.failed
    assert [path.exists() for path in copies] == [True] * 2
    assert dark.stat() == status
    assert {p.name for p in made.visits[0].removed} >= {
        p.name.replace("_flc", "_hlet") for p in copies
    }


def test_visits_are_made_beside_each_other_and_none_loses_another(visit, other, tmp_path):
    broken = tmp_path / "broken_flc.fits"
    broken.write_bytes(visit.paths[0].read_bytes()[:100_000])
    poller = tmp_path / "poller.out"
    lines = [*visit.paths, *other.paths, tmp_path / "ib4608aaq_flc.fits", broken]
    poller.write_text("".join(f"{path}\n" for path in lines))
    run = hd.svm(poller, refcat=[visit.catalog, other.catalog], threads=2)
    assert [plan.tree.visit for plan in run.visits] == ["ib4606", "ib4607"]
    made = run.write(tmp_path / "out", pictures=False, quality=False)
    assert [v.tree.visit for v in made.visits] == ["ib4606", "ib4607"]
    assert not made.failed
    assert len(made.left_out) == 2
    assert {"ib4608aaq" in i.file or "broken" in i.file for i in made.left_out} == {True}
    names = {p.name for p in (tmp_path / "out").glob("*_drc.fits")}
    assert len(names) == 4 + 3
    alone = hd.svm(other.poller, refcat=[visit.catalog, other.catalog], threads=1)
    alone.write(tmp_path / "alone", pictures=False, quality=False)
    name = "hst_11665_07_wfc3_uvis_f814w_ib4607_drc.fits"
    with fits.open(tmp_path / "out" / name) as one, fits.open(tmp_path / "alone" / name) as two:
        assert np.array_equal(one["SCI"].data, two["SCI"].data, equal_nan=True)


def test_a_visit_that_fails_is_told(visit, other, tmp_path, monkeypatch):
    make = products.make_mosaic

    def failing(mosaic, studio):
        if "ib4607" in mosaic.name.fits:
            raise StoreError("the disk is full (make room)")
        return make(mosaic, studio)

    monkeypatch.setattr(products, "make_mosaic", failing)
    run = hd.svm([*visit.paths, *other.paths], refcat=visit.catalog, threads=2)
    made = run.write(tmp_path, pictures=False, quality=False)
    assert [v.tree.visit for v in made.failed] == ["ib4607"]
    assert "disk is full" in made.failed[0].problem
    assert exit_code(made) == PARTIAL
    assert not report_of(run, made, tmp_path, (), "threads").complete
    assert (tmp_path / "wfc3_b46_06_visit.json").exists()
    assert not (tmp_path / "wfc3_b46_07_visit.json").exists()


def test_a_cluster_gives_the_same_bytes(visit, other, tmp_path):
    from distributed import Client, LocalCluster

    files = [*visit.paths, *other.paths]
    options = {"pictures": False, "quality": False}
    here = hd.svm(files, refcat=visit.catalog, threads=1)
    here.write(tmp_path / "here", **options)
    shutil.copytree(
        tmp_path / "here" / "wfc3_b46_06_records", tmp_path / "there" / "wfc3_b46_06_records",
        ignore=shutil.ignore_patterns("made"),
    )  # fmt: skip
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        there = hd.svm(files, refcat=visit.catalog, client=client)
        made = there.write(tmp_path / "there", **options)
    assert not made.failed
    for path in (tmp_path / "here").glob("hst_11665_06_*_dr?.fits"):
        assert (tmp_path / "there" / path.name).read_bytes() == path.read_bytes()


def test_without_a_catalog_exposures_are_aligned_to_each_other(visit, tmp_path):
    made = hd.svm(visit.poller, refcat=[], alignment={"services": False}, threads=2).write(
        tmp_path, pictures=False
    )
    records = made.visits[0].records
    assert len(records) == 2
    assert all(line.status in ("relative", "unaligned") for line in made.visits[0].lines)
    assert len(made.visits[0].products) == 4


def test_exposures_without_sources_keep_their_wcs_and_are_named(tmp_path):
    empty = observe_visit(tmp_path / "in", ("F606W",), scene=Scene.stars([], [], []))
    made = hd.svm(empty.paths, refcat=observe_catalog(tmp_path), threads=2).write(tmp_path / "out")
    told = made.visits[0]
    assert [line.status for line in told.lines] == ["unaligned", "unaligned"]
    assert all("not aligned" in record.verdict.reason for record in told.records)
    assert not list((tmp_path / "out").glob("*_hlet.fits"))
    copies = list((tmp_path / "out").glob("*_flc.fits"))
    assert len(copies) == 2
    for copy in copies:
        assert "FIT" not in fits.getheader(copy, "SCI")["WCSNAME"]
    log = (tmp_path / "out" / f"{HEAD}_f606w_ib4606_trl.txt").read_text()
    assert "not aligned" in log


def observe_catalog(folder):
    from svm_visits import reference_stars

    path = folder / "stars.ecsv"
    reference_stars(field_stars()).write(path)
    return path


def test_two_targets_far_apart_have_a_grid_each(visit, tmp_path):
    far = observe_visit(
        tmp_path / "far", ("F606W",), count=1, first=5, center=(RA + 0.6, DEC + 0.3)
    )
    run = hd.svm([*visit.paths, *far.paths], refcat=[visit.catalog, far.catalog], threads=2)
    assert len(run.visits[0].fields) == 2
    made = run.write(tmp_path / "out", pictures=False, quality=False)
    names = sorted(p.mosaic.name.stem for p in made.visits[0].products)
    assert f"{HEAD}_f606w_ib4606" in names
    assert f"{HEAD}_f606w_ib4606-field2" in names
    assert f"{HEAD}_total_ib4606-field2" in names
    shapes = {p.mosaic.frame.shape for p in made.visits[0].products}
    assert max(max(shape) for shape in shapes) < 1000


def test_an_exposure_that_is_lost_on_the_way_loses_no_other(visit, tmp_path, monkeypatch):
    copies = [shutil.copy(path, tmp_path) for path in visit.paths]
    run = hd.svm(copies, refcat=visit.catalog, threads=1)
    make = mosaics.final_blocks

    def changing(*args, **kwargs):
        os.utime(copies[1], ns=(1, 1))
        return make(*args, **kwargs)

    monkeypatch.setattr(mosaics, "final_blocks", changing)
    made = run.write(tmp_path / "out", pictures=False, quality=False)
    assert [i.file for i in made.left_out] == [str(copies[1])]
    kinds = [(p.kind, len(p.mosaic.records)) for p in made.visits[0].products]
    assert ("total", 1) in kinds
    assert ("exposure", 1) in kinds


def test_compat_keeps_cosmic_rays_and_sky_of_exposures(visit, tmp_path, monkeypatch):
    hd.svm(visit.poller, refcat=visit.catalog, preset="compat", threads=2).write(
        tmp_path / "compat", pictures=False, quality=False
    )
    hd.svm(visit.poller, refcat=visit.catalog, threads=2).write(
        tmp_path / "ours", pictures=False, quality=False
    )
    name = f"{HEAD}_f606w_ib460601_drc.fits"
    theirs = fits.getdata(tmp_path / "compat" / name, "SCI")
    ours = fits.getdata(tmp_path / "ours" / name, "SCI")
    assert np.nanmedian(theirs) > 0.02 > abs(np.nanmedian(ours))  # sky, e/s
    assert np.nanpercentile(theirs, 99.95) > np.nanpercentile(ours, 99.95)
    total = fits.getdata(tmp_path / "compat" / f"{HEAD}_total_ib4606_drc.fits", "SCI")
    assert np.isfinite(total).all()  # filled with 0
    monkeypatch.setattr(steps, "find_sky", None)  # is not found again
    again = hd.svm(visit.poller, refcat=visit.catalog, preset="compat", threads=1)
    made = again.write(tmp_path / "compat", pictures=False, quality=False)
    assert all(product.made.kept for product in made.visits[0].products)


@pytest.fixture(scope="module")
def mixed(visit, tmp_path_factory):
    """Two exposures through F606W, one through a quad filter, one through the grism."""
    folder = tmp_path_factory.mktemp("mixed")
    paths = [shutil.copy(path, folder) for path in visit.paths]
    for number, name, kind in ((5, "FQ575N", "IMAGING"), (6, "G280", "SPECTROSCOPIC")):
        path = folder / f"ib46060{number}q_flc.fits"
        shutil.copy(visit.paths[1], path)
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["ROOTNAME"] = f"ib46060{number}q"
            hdus[0].header["FILENAME"] = path.name
            hdus[0].header["FILTER"] = name
            hdus[0].header["OBSTYPE"] = kind
            for key in ("EXPSTART", "EXPEND"):
                hdus[0].header[key] += 0.01 * (number - 4)
        paths.append(str(path))
    return paths


def test_quads_are_aligned_and_grisms_get_the_same_correction(visit, mixed, tmp_path):
    made = hd.svm(mixed, refcat=visit.catalog, threads=2).write(tmp_path, pictures=False)
    told = made.visits[0]
    assert {p.kind: len(p.mosaic.records) for p in told.products} == {
        "filter": 2, "exposure": 1, "total": 2,
    }  # fmt: skip
    records = {record.name: record for record in told.records}
    direct, grism = records["ib460602q"], records["ib460606q"]
    assert grism.wcsname == direct.wcsname
    x, y = np.array([0.0, 200.0, 399.0]), np.array([399.0, 200.0, 0.0])
    for one, two in zip(direct.chips, grism.chips, strict=True):
        places = one.distortion.pixel_to_sky(x, y), two.distortion.pixel_to_sky(x, y)
        assert np.abs(np.subtract(*places)).max() < 0.002 / 3600.0  # degrees
    for number, name in ((5, "fq575n"), (6, "g280")):
        copy = tmp_path / f"{HEAD}_{name}_ib46060{number}_flc.fits"
        assert fits.getheader(copy, "SCI")["WCSNAME"].endswith("-FIT_SVM_refcat")
        assert (tmp_path / f"{HEAD}_{name}_ib46060{number}_hlet.fits").exists()
        assert (tmp_path / f"{HEAD}_{name}_ib46060{number}_trl.txt").exists()
        assert not (tmp_path / f"{HEAD}_{name}_ib46060{number}_drc.fits").exists()


def test_copies_never_replace_inputs(visit, tmp_path):
    """Files that have the archive's names already, in the folder of the products."""
    hd.svm(visit.poller, refcat=visit.catalog, threads=2).write(
        tmp_path, pictures=False, quality=False
    )
    copies = sorted(tmp_path.glob("*_flc.fits"))
    with pytest.raises(StoreError, match="is an input"):
        hd.svm(copies, refcat=visit.catalog).write(tmp_path)
    exposures = hd.open_exposures(copies, select="visit")
    assert all(e.wcsname.endswith("FIT_SVM_refcat") for e in exposures)
