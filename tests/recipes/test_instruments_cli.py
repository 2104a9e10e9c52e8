"""The program on every simulated instrument: broken files beside good ones, and its exit codes."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from observing import CASES, observe

from hapdask.cli.app import main

NAMES = ("uvis-quad", "ir", "wfc-sub", "hrc", "sbc", "wfpc2-area", "stis-4", "nicmos")


@pytest.fixture
def run(capsys):
    """Run the program; gives exit code, stdout and stderr."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield call
    root.setLevel(level)
    root.handlers[:] = handlers


def spoilt(path: Path, folder: Path) -> dict[str, str]:
    """Copies of an exposure that cannot be used: name and a word of the reason."""
    folder.mkdir()
    raw = path.read_bytes()
    files = {
        f"empty_{path.name}": (b"", "empty"),
        f"text_{path.name}": (b"<html>not found</html>" * 400, "not a FITS file"),
        f"cut_{path.name}": (raw[: len(raw) // 2], "truncated"),
        f"packed_{path.name}.gz": (b"\x1f\x8b\x08" + bytes(500), ""),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    shutil.copy(path, folder / f"again_{path.name}")
    reasons = {name: word for name, (_, word) in files.items()}
    return reasons | {f"again_{path.name}": "duplicate", f"gone_{path.name}": "No such file"}


@pytest.mark.parametrize("name", NAMES)
def test_one_bad_file_never_loses_the_rest(name, tmp_path, run):
    case = CASES[name]
    seen = observe(case, tmp_path / "data")
    bad = tmp_path / "bad"
    reasons = spoilt(seen.paths[1], bad)
    ra, dec = seen.frame.center
    size = max(seen.frame.shape) * case.scale
    where = (
        "--center", ra, dec, "--size", size, "--pixel-scale", case.scale, "--name", "field",
    )  # fmt: skip
    wrong = [bad / file for file in reasons]
    code, out, err = run(
        "mosaic", *seen.paths, *wrong, *where, "-o", tmp_path / "out", "--no-pictures", "--json"
    )
    assert code == 3, err
    told = json.loads(out)
    assert told["status"] == "made in part"
    assert {Path(item["file"]).name: item["reason"] for item in told["left_out"]}.keys() == {
        *reasons
    }
    for item in told["left_out"]:
        assert reasons[Path(item["file"]).name] in item["reason"]
    (layer,) = told["layers"]
    assert layer["made"] == layer["tiles"] > 0
    assert (tmp_path / "out/field" / f"field_{case.layer}_all_{case.suffix}.fits").exists()
    code, _, err = run("mosaic", *seen.paths, *wrong, *where, "-o", tmp_path / "no", "--strict")
    assert code == 1
    assert not (tmp_path / "no").exists()
    assert all(file in err for file in reasons)
    code, _, err = run("mosaic", *wrong[:4], *where, "-o", tmp_path / "no")
    assert code == 1
    assert "no exposure can be used" in err
    code, out, _ = run("info", *seen.paths, "--json")
    assert code == 0
    assert case.layer in out


def test_pixels_that_are_lost_while_tiles_are_made(tmp_path):
    """WFPC2's flags lie in a file of their own: losing it costs that exposure alone."""
    from hapdask.recipes.batch import Request, plan_batch, run_batch

    seen = observe(CASES["wfpc2-area"], tmp_path / "data")
    request = Request(out=tmp_path / "out", frame=seen.frame, name="field", tile=256, formats=())
    batch = plan_batch(seen.exposures, request)
    flags = Path(str(seen.paths[1]).replace("_c0m", "_c1m"))
    flags.unlink()
    report = run_batch(batch)
    assert [item.file for item in report.left_out] == [str(flags)]
    assert [e.url for e in report.results[0].job.plan.exposures] == [str(seen.paths[0])]
