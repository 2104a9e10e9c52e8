"""``hapdask align``: plans without pixels, verdicts, exit codes, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gsss_server import COLUMNS, MISBEHAVIOUR, serving
from small_visits import simulate_visit


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("visit")
    made = simulate_visit(folder, 2)
    made.catalog().write(folder / "ref.ecsv")
    (folder / "lists").mkdir()
    return made


@pytest.fixture
def refcat(visit):
    return visit.files[0].parent / "ref.ecsv"


def test_a_dry_run_reads_no_pixel_and_writes_nothing(hapdask, visit, refcat, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a pixel is read")

    monkeypatch.setattr("hapdask.observe.pixels.ChipReader.__init__", refuse)
    words = ("align", *visit.files, "-o", tmp_path / "out", "--refcat", refcat, "--dry-run")
    run = hapdask(*words, "--set", "snr=12", "--minobj", 8)
    assert run.code == 0
    for piece in ("ia0aaaaaq", "ia0aaa wfc3/ir", "ref", "snr", "12", "minobj"):
        assert piece in run.out
    plan = hapdask(*words, "--preset", "tweakreg", "--set", "interactive=no", "--json").json
    assert plan["status"] == "planned"
    assert plan["fields"] == [{"name": "ia0aaa wfc3/ir", "exposures": ["ia0aaaaaq", "ia0aaabaq"]}]
    assert plan["parameters"]["wfc3/ir"]["searchrad"]["origin"] == "tweakreg/tweakreg.toml"
    assert "interactive" in plan["ignored"]
    assert not (tmp_path / "out").exists()


def test_verdicts_files_and_exit_codes(hapdask, visit, refcat, tmp_path):
    before = [path.read_bytes() for path in visit.files]
    words = ("align", *visit.files, "-o", tmp_path, "--refcat", refcat, "--threads", 2)
    run = hapdask(*words, "--updatehdr", "--residplot", "vector", "--set", "guiding=no")
    assert run.code == 0
    assert "aligned" in run.out
    assert (tmp_path / "report.html").exists()
    assert len(list((tmp_path / "updated").iterdir())) == 2
    assert [path.read_bytes() for path in visit.files] == before
    twice = hapdask(*words)
    assert twice.code == 1
    assert "exists already" in twice.err
    missing = tmp_path / "ia0eeeaaq_flt.fits"
    part = hapdask(
        "align", *visit.files, missing, "-o", tmp_path, "--set", "services=no", "--overwrite",
        "--json", "--no-report", "--residplot", "none", "--set", "guiding=no",
    )  # fmt: skip
    assert part.code == 3
    made = part.json
    assert made["status"] == "made in part"
    assert [e["status"] for e in made["exposures"]] == ["relative"] * 2
    assert made["left_out"][0]["file"] == str(missing)
    assert made["report"] is None
    assert "without a tie to a catalog: 2 exposures" in part.err
    told = json.loads((tmp_path / "alignment.json").read_text())
    assert told["exposures"][0]["reason"] == made["exposures"][0]["reason"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--set", "serchrad=3"), 2, "did you mean 'searchrad'"),
        (("--set", "searchrad"), 2, "not of the form name=value"),
        (("--searchrad", "-1"), 2, "searchrad must be above 0"),
        (("--searchrad", "3", "--set", "searchrad=4"), 2, "searchrad is given twice"),
        (("--refcat", "nofile.ecsv"), 1, "there is no such reference catalog"),
        (("--refcat", "gaiax"), 2, "neither a file nor a known catalog"),
        (("--preset", "mine"), 2, "unknown preset"),
        (("--catfile", "nofile.lst"), 1, "cannot be read"),
        (("--fitgeometry", "linear"), 2, "fitgeometry must be one of"),
        (("--threads", "0"), 2, "0 threads"),
    ],
)
def test_what_it_refuses(hapdask, visit, tmp_path, words, code, said):
    run = hapdask("align", visit.files[0], "-o", tmp_path / "out", *words)
    assert run.code == code
    assert said in run.err
    assert "Traceback" not in run.err


def test_a_headerlet_of_another_image_is_named(hapdask, visit, refcat, tmp_path):
    words = ("--refcat", refcat, "--set", "guiding=no", "--residplot", "none", "--no-report")
    first, second = visit.files
    assert hapdask("align", first, "-o", tmp_path / "first", *words).code == 0
    (letter,) = (tmp_path / "first" / "headerlets").iterdir()
    for made in ("text", "json"):
        run = hapdask(
            "align", second, "--headerlets", letter, "-o", tmp_path / made, *words,
            *(["--json"] if made == "json" else []),
        )  # fmt: skip
        assert run.code == 0
        assert f"{letter}: is for" in run.err
        assert "not among the exposures" in run.err
    assert run.json["warnings"][0]["file"] == str(letter)


def test_strict_and_in_place(hapdask, visit, refcat, tmp_path):
    path = tmp_path / visit.files[0].name
    path.write_bytes(visit.files[0].read_bytes())
    words = ("align", path, "-o", tmp_path / "out", "--refcat", refcat, "--set", "guiding=no")
    strict = hapdask(*words, tmp_path / "ia0eeeaaq_flt.fits", "--strict")
    assert strict.code == 1
    assert "some inputs cannot be used" in strict.err
    run = hapdask(*words, "--in-place", "--wcsname", "MINE", "--no-headerlet", "--no-report")
    assert run.code == 0
    assert "1 input updated in place" in run.out
    assert "MINE" in hapdask("info", path).out
    cfg = tmp_path / "tweakreg.cfg"
    cfg.write_text("_task_name_ = tweakreg\nsearchrad = 5.0\nminobj = 10\nwcsname = CFG\n")
    run = hapdask(*words, "--overwrite", "--parameters", cfg, "--preset", "tweakreg", "--json")
    assert run.code == 0
    assert run.json["parameters"]["wfc3/ir"]["origin"]["minobj"] == str(cfg)
    assert run.json["exposures"][0]["wcsname"] in ("CFG", "MINE")


def test_a_catalog_that_ties_nothing_is_told_by_the_exit_code(hapdask, visit, tmp_path):
    stars = visit.catalog()
    stars["dec"] += 0.05
    stars.write(tmp_path / "away.ecsv")
    words = ("align", *visit.files, "--set", "guiding=no", "--residplot", "none", "--no-report")
    run = hapdask(*words, "-o", tmp_path / "out", "--refcat", tmp_path / "away.ecsv", "--json")
    assert run.code == run.json["exit_code"] == 3
    assert {e["status"] for e in run.json["exposures"]} == {"relative"}
    assert run.json["lacks_tie"]
    run = hapdask(*words, "-o", tmp_path / "none", "--set", "services=no", "--json")
    assert run.code == 0  # nothing was asked for by name
    assert not run.json["lacks_tie"]


@pytest.mark.parametrize("mode", ["html at 200", "reset", "broken off"])
def test_a_service_that_fails_is_told_once_and_shortly(hapdask, visit, tmp_path, monkeypatch, mode):
    none = dict.fromkeys(COLUMNS, np.zeros(0))
    with serving(none) as service:
        service.mode = mode
        monkeypatch.setenv("ASTROMETRIC_CATALOG_URL", service.root)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        run = hapdask(
            "align", *visit.files, "-o", tmp_path / "out", "--set", "guiding=no", "--json",
            "--residplot", "none", "--set", "see2dplot=no", "--no-report",
        )  # fmt: skip
    assert run.code == run.json["exit_code"] == 3  # stars were wanted, though of no named catalog
    assert run.json["lacks_tie"]
    first = run.json["exposures"][0]
    said = MISBEHAVIOUR[mode]
    assert "no reference catalog (GAIAeDR3, GSC242, 2MASS: the service" in first["reason"]
    assert said in first["reason"]
    assert "http" not in first["reason"]
    assert "http" in first["catalogs"][0]["question"]
    assert "stars of GAIAeDR3" in run.err
