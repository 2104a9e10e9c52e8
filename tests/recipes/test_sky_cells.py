"""The recipe that stores layers: reruns, updates, inputs that break, writers that are killed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hapdask.errors import InputError, PlanError, StoreError
from hapdask.observe.exposure import open_exposures
from hapdask.products.store import open_mosaic
from hapdask.recipes.export import export_place
from hapdask.recipes.sky_cells import cells_touched, plan_jobs, prepare, run_job
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid

CENTER = (150.1, 2.2)
TILE = 512
ROOT = Path(__file__).parents[2]


@pytest.fixture
def frame():
    return Frame.from_center(CENTER[0], CENTER[1] + 15.0 / 3600.0, 0.04, (1500, 900))


def run_all(paths, out, frame, **options):
    prepared = prepare(open_exposures(paths), out)
    jobs = plan_jobs(prepared, frame=frame, name="strip", tile=TILE)
    return [run_job(job, out, **options) for job in jobs]


def contents(snapshot):
    return {path: facts[-1] for path, facts in snapshot.items()}


def layers(out):
    return {
        result.name: {n: a.values.tobytes() for n, a in open_mosaic(result).compute().items()}
        for result in sorted((out / "custom" / "strip").iterdir())
        if result.is_dir()
    }


def test_cells_touched_are_all_that_hold_a_piece(files):
    exposures = open_exposures(files)
    found = {cell.name for cell in cells_touched(exposures)}
    sky = SkyGrid()
    for exposure in exposures:
        for chip in exposure.chips:
            for ra, dec in zip(*chip.border(), strict=True):
                assert {cell.name for cell in sky.at(ra=float(ra), dec=float(dec))} <= found
    assert found


def test_layers_of_a_sky_cell(files, tmp_path):
    exposures = open_exposures(files)
    cells = cells_touched(exposures)
    prepared = prepare(exposures, tmp_path)
    jobs = plan_jobs(prepared, cells[:1])
    assert [(j.layer.name, j.layer.scale) for j in jobs] == [
        ("wfc3_ir_f160w", "coarse"), ("wfc3_ir_f160w", "fine"), ("wfc3_uvis_f606w", "fine"),
    ]  # fmt: skip
    assert [j.place.name for j in jobs] == [cells[0].name] * 3
    only = plan_jobs(prepared, cells[:1], layers=["wfc3_ir_f160w"], scales=["coarse"])
    assert [(j.layer.detector, j.layer.scale) for j in only] == [("ir", "coarse")]
    result = run_job(only[0], tmp_path, threads=2)
    assert (result.made, result.kept, result.failures) == (len(only[0].plan.tiles), 0, [])
    place = tmp_path / cells[0].projection_cell.name / "wfc3_ir_f160w" / "coarse"
    assert Path(result.store) == place
    window = open_mosaic(result.store, cells[0].frame("coarse"))
    assert window.nexp.max().compute() == 1
    with pytest.raises(PlanError, match="no exposure of layer acs_wfc_f814w"):
        plan_jobs(prepared, cells, layers=["acs_wfc_f814w"])


def test_a_rerun_writes_nothing(files, frame, tmp_path, snapshot):
    out = tmp_path / "out"
    first = run_all(files, out, frame, threads=2)
    assert [r.kept for r in first] == [0, 0]
    assert [r.made for r in first] == [len(r.job.plan.tiles) for r in first]
    before = snapshot(out)
    again = run_all(files, out, frame)
    assert [r.made for r in again] == [0, 0]
    assert [r.kept for r in again] == [r.made for r in first]
    assert snapshot(out) == before
    # Nor does an equal run elsewhere give other bytes.
    other = tmp_path / "elsewhere"
    run_all(files[::-1], other, frame)
    assert contents(snapshot(other)) == contents(before)


def test_a_new_exposure_remakes_only_its_tiles(files, frame, tmp_path, snapshot):
    out, direct = tmp_path / "out", tmp_path / "direct"
    run_all(files[:2], out, frame)
    before = snapshot(out)
    (result,) = run_all(files[:3], out, frame)
    number = [e.name for e in result.job.plan.exposures].index("ia0a21aaq")
    touched = {t.index for t in result.job.plan.tiles if number in {i.exposure for i in t.inputs}}
    assert result.made == len(touched) < len(result.job.plan.tiles)
    after = snapshot(out)
    receipts = {
        f"custom/strip/wfc3_uvis_f606w/receipts/{ty}_{tx}.json": (ty, tx)
        for ty, tx in result.job.plan.digests
    }
    kept = {path for path, index in receipts.items() if index not in touched}
    assert all(before[path] == after[path] for path in kept)
    assert all(before.get(p) != after[p] for p, index in receipts.items() if index in touched)
    run_all(files[:3], direct, frame)
    assert layers(out) == layers(direct)


def test_a_dropped_exposure_leaves_no_trace(files, frame, tmp_path, snapshot):
    out, direct = tmp_path / "out", tmp_path / "direct"
    run_all(files[:3], out, frame)
    run_all(files[:2], out, frame)
    run_all(files[:2], direct, frame)
    region = open_mosaic(direct / "custom/strip/wfc3_uvis_f606w").hap.frame
    found = open_mosaic(out / "custom/strip/wfc3_uvis_f606w", region).compute()
    expected = open_mosaic(direct / "custom/strip/wfc3_uvis_f606w", region).compute()
    for name in expected:
        assert found[name].values.tobytes() == expected[name].values.tobytes()


def test_a_later_visit_of_another_sensitivity_moves_nothing(fields, files, frame, tmp_path):
    """Science.md: PHOTFLAM(layer) is frozen when the layer is first published."""
    out = tmp_path / "out"
    (first,) = run_all(files[:2], out, frame)
    for k in range(3, 8):
        path = fields.write_exposure(
            files[0].parent, f"ia0a{k}1aaq", shape=(300, 700), offset=(0.0, 32.0),
            start=60000.0 + k, photflam=2.04e-19,
        )  # fmt: skip
        files.append(path)
    (second,) = run_all([*files[:2], *files[4:]], out, frame)
    old = {e.name: [c.flux_factor for c in e.chips] for e in first.job.plan.exposures}
    new = {e.name: [c.flux_factor for c in e.chips] for e in second.job.plan.exposures}
    assert old.items() <= new.items()


def truncate(path):
    os.truncate(path, path.stat().st_size // 3)


def test_an_input_that_breaks_midway_is_left_out(files, frame, tmp_path):
    """After the first tile is written: the layer is planned again and its tiles remade."""
    out, direct = tmp_path / "out", tmp_path / "direct"
    prepared = prepare(open_exposures(files[:3]), out)
    (job,) = plan_jobs(prepared, frame=frame, name="strip", tile=TILE)
    broken = []

    def spoil(_job, outcome):
        if not broken:
            assert outcome.error is None
            truncate(files[1])
            broken.append(outcome.index)

    result = run_job(job, out, progress=spoil)
    assert {type(e) for e in result.failures} == {InputError}
    assert {e.path for e in result.failures} == {str(files[1])}
    assert [e.name for e in result.job.plan.exposures] == ["ia0a01aaq", "ia0a21aaq"]
    run_all([files[0], files[2]], direct, frame)
    found, expected = layers(out)["wfc3_uvis_f606w"], layers(direct)["wfc3_uvis_f606w"]
    assert found == expected
    # Counted: made and found finished are the tiles of the last plan, none twice.
    assert result.made >= len(result.job.plan.tiles)


def test_strict_makes_it_an_error(files, frame, tmp_path):
    prepared = prepare(open_exposures(files[:3]), tmp_path)
    (job,) = plan_jobs(prepared, frame=frame, name="strip", tile=TILE)
    truncate(files[1])
    with pytest.raises(InputError, match="ia0a11aaq"):
        run_job(job, tmp_path, strict=True)
    with pytest.warns(UserWarning, match="not finished"):
        open_mosaic(tmp_path / "custom/strip/wfc3_uvis_f606w")


def test_when_every_input_breaks(files, frame, tmp_path):
    prepared = prepare(open_exposures(files[:1]), tmp_path)
    (job,) = plan_jobs(prepared, frame=frame, name="strip", tile=TILE)
    files[0].unlink()
    result = run_job(job, tmp_path)
    assert (result.made, result.kept) == (0, 0)
    assert len(result.failures) >= 1
    assert result.job.plan.tiles == ()


def test_an_unreadable_exposure_is_left_out_before_planning(files, tmp_path):
    exposures = open_exposures(files[:3])
    truncate(files[0])
    prepared = prepare(exposures)
    assert [e.name for e in prepared.exposures] == ["ia0a11aaq", "ia0a21aaq"]
    assert [e.path for e in prepared.failures] == [str(files[0])]
    with pytest.raises(InputError, match="ia0a01aaq"):
        prepare(exposures, strict=True)


def test_what_was_measured_is_not_measured_again(files, tmp_path, monkeypatch):
    from hapdask.recipes import prepare as module

    exposures = open_exposures(files[:3])
    first = prepare(exposures, tmp_path)

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "set_sky", never)
    again = prepare(exposures, tmp_path)
    assert again.exposures == first.exposures
    # But another statistic, or a file that has changed, is.
    for change in ({"good_bits": 4}, {"sky": "none"}):
        with pytest.raises(AssertionError, match="measured again"):
            prepare(exposures, tmp_path, overrides=change)
    other = replace(exposures[0], identity=replace(exposures[0].identity, stamp="later"))
    with pytest.raises(AssertionError, match="measured again"):
        prepare([other], tmp_path)
    assert prepare(exposures, tmp_path, overrides={"pixfrac": 0.5}).exposures == first.exposures


def test_a_store_that_cannot_be_written(files, frame, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    prepared = prepare(open_exposures(files[:1]))
    (job,) = plan_jobs(prepared, frame=frame, name="strip", tile=TILE)
    with pytest.raises(StoreError, match="file"):
        run_job(job, blocked)


def test_writers_killed_at_random_moments(files, tmp_path):
    """The benchmark's loop, three kills: the rerun gives the bytes of an undisturbed run."""
    command = [
        sys.executable, "-m", "benchmarks.kill", *map(str, files[:3]), "--kills", "3",
        "--tile", "256", "--side", "600", "--workdir", str(tmp_path), "--seed", "5",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("met") == 3, done.stdout
    assert "MISSED" not in done.stdout


def test_two_layers_share_no_pixels(files, frame, tmp_path):
    results = run_all(files, tmp_path, frame)
    names = [result.job.layer.name for result in results]
    assert names == ["wfc3_ir_f160w", "wfc3_uvis_f606w"]
    ir, uvis = (open_mosaic(result.store) for result in results)
    assert {key[0] for r in ir.ctx.attrs["palette"].values() for key in r} == {"ia0a91aaq"}
    assert "ia0a91aaq" not in uvis.attrs["records"]
    assert np.nanmax(uvis.nexp.values) >= 2


def test_an_export_says_that_tiles_are_missing(files, frame, tmp_path, caplog):
    (result, _) = run_all(files, tmp_path / "out", frame)
    place = result.job.place
    assert export_place(place, [result.store], tmp_path / "whole", formats=["fits"])
    assert "not finished" not in caplog.text
    index = max(tile.index for tile in result.job.plan.tiles)
    (Path(result.store) / "receipts" / f"{index[0]}_{index[1]}.json").unlink()
    export_place(place, [result.store], tmp_path / "part", formats=["fits"])
    planned = len(result.job.plan.tiles)
    assert f"1 of {planned} planned tiles of strip are not finished" in caplog.text
