"""The report beside what was made: every input and verdict, plan and actual, links that lead on."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

BAD = "bad <script>alert(1)<!--_flt.fits"


@pytest.fixture(scope="module")
def made(small_field, tmp_path_factory):
    """A run with two layers, a file that cannot be read and one given twice; not to be changed."""
    from hapdask.cli.app import main

    folder = tmp_path_factory.mktemp("report")
    bad = folder / BAD
    bad.write_bytes(small_field.ir[0].read_bytes()[:5000])
    twin = shutil.copy(small_field.ir[0], folder / "twin_flt.fits")
    out = folder / "out"
    code = main(
        ["mosaic", *map(str, small_field.all), str(bad), str(twin), "--center",
         str(small_field.ra), str(small_field.dec), "--size", "12", "--pixel-scale", "0.1",
         "--name", "field", "--pixfrac", "0.9", "-o", str(out), "--tile", "64"]
    )  # fmt: skip
    assert code == 3
    return out


def report_of(out):
    return json.loads((out / "report.json").read_text())


def test_every_input_has_its_verdict(made, small_field):
    lines = {line["file"]: line for line in report_of(made)["inputs"]}
    assert len(lines) == len(small_field.all) + 2
    for path in map(Path, small_field.all):
        line = lines[str(path)]
        assert line["status"] == "accepted"
        assert line["name"] == path.name.partition("_")[0]
        assert line["layer"] in ("wfc3_ir_f160w", "wfc3_uvis_f606w")
        assert line["wcsname"]
        assert all(chip["sky"] > 0 for chip in line["chips"])
        assert all(chip["flux_factor"] > 0 for chip in line["chips"])
    bad = lines[str(made.parent / BAD)]
    assert bad["status"] == "rejected"
    assert bad["reason"]
    twin = lines[str(made.parent / "twin_flt.fits")]
    assert twin["status"] == "rejected"
    assert "duplicate" in twin["reason"]
    text = (made / "report.html").read_text()
    assert "<script" not in text
    shown = unescape(text)
    for file, line in lines.items():
        assert file.rpartition("/")[2] in shown
        assert line["reason"] in shown


def test_plan_and_actual(made):
    report = report_of(made)
    assert [line["layer"] for line in report["layers"]] == ["wfc3_ir_f160w", "wfc3_uvis_f606w"]
    for line in report["layers"]:
        assert line["tiles"] == line["made"] == line["finished"] == 4
        assert line["bytes_in"] > 0
        assert line["bytes_out"] > 0
        assert line["task_memory"] > 0
        assert line["seconds_planned"] > 0
        assert line["seconds_taken"] > 0
        assert sum(pixels for _, pixels in line["depth"]) == line["covered"] > 0
        assert line["deepest"] == max(n for n, _ in line["depth"]) <= line["exposures"]
    values = {(p["name"], p["origin"]): p["value"] for p in report["parameters"]}
    assert values["pixfrac", "given"] == "0.9"
    assert set(report["seconds"]) == {"plan", "measure", "compile", "drizzle", "export"}
    assert report["command"].startswith("hapdask mosaic ")
    assert "--pixfrac 0.9" in report["command"]
    assert report["versions"]["hapdask"]


def test_links_and_pictures(made):
    text = (made / "report.html").read_text()
    links = [unquote(unescape(link)) for link in re.findall(r'href="(\./[^"]*)"', text)]
    assert len(links) > 10
    for link in links:
        assert (made / link).exists(), link
    products = {p.name for p in (made / "field").iterdir() if p.name[0] != "."}
    assert products <= {link.rpartition("/")[2] for link in links}
    assert text.count('<img src="data:image/jpeg;base64,') == 3  # two layers and colour
    assert "http" not in re.sub(r'http-equiv="', "", text)
    assert text.count('<path class="exposure') == 3


def test_the_report_of_a_store(hapdask, made, tmp_path):
    out = shutil.copytree(made, tmp_path / "out")
    run = hapdask("report", out)
    assert run.code == 0
    assert run.out.strip() == str(out / "report.html")
    before, after = report_of(made), report_of(out)
    for line in (*before["inputs"], *after["inputs"]):
        line["outline"] = [[[round(v, 4) for v in axis] for axis in p] for p in line["outline"]]

    def by_file(report):
        return sorted(report["inputs"], key=lambda line: line["file"])

    assert by_file(after) == by_file(before)
    for part in ("layers", "parameters", "places", "command", "seconds", "machine"):
        assert after[part] == before[part], part
    assert sorted(f["path"] for f in after["files"]) == sorted(f["path"] for f in before["files"])
    kinds = {f["path"]: (f["kind"], f["scale"]) for f in before["files"]}
    assert {f["path"]: (f["kind"], f["scale"]) for f in after["files"]} == kinds


def test_a_store_without_a_report(hapdask, made, tmp_path):
    out = shutil.copytree(made, tmp_path / "out")
    (out / "report.json").write_text("{")
    (out / "field" / "field_wfc3_ir_f160w_all_drz.jpg").write_text("no picture")
    run = hapdask("report", out, "--json")
    assert run.code == 0
    assert run.json["command"] == ""
    assert [line["made"] for line in run.json["layers"]] == [None, None]
    assert len(run.json["pictures"]) == 2
    assert len(run.json["inputs"]) == 3
    assert "Not known" not in (out / "report.html").read_text()
    empty = tmp_path / "empty"
    empty.mkdir()
    run = hapdask("report", empty)
    assert run.code == 1
    assert "no mosaic of hapdask there" in run.err


def test_a_rerun_tells_what_was_kept(hapdask, small_field, tmp_path):
    command = (
        "mosaic", *small_field.all, "--layer", "wfc3_ir_f160w", "--center", small_field.ra,
        small_field.dec, "--size", "6", "--pixel-scale", "0.1", "-o", tmp_path, "--no-fits",
        "--no-pictures", "--json",
    )  # fmt: skip
    run = hapdask(*command, "--no-report")
    assert run.json["report"] is None
    assert not (tmp_path / "report.html").exists()
    run = hapdask(*command)
    assert run.json["report"] == str(tmp_path / "report.html")
    report = report_of(tmp_path)
    (line,) = report["layers"]
    assert (line["made"], line["finished"]) == (0, line["tiles"])
    statuses = {entry["layer"]: (entry["status"], entry["reason"]) for entry in report["inputs"]}
    assert statuses == {
        "wfc3_ir_f160w": ("accepted", ""),
        "wfc3_uvis_f606w": ("unused", "its layer was not asked for"),
    }
    assert "✓ complete" in (tmp_path / "report.html").read_text()
