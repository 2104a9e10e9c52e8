"""``hapdask astrodrizzle``: plans without pixels, products, what it refuses and how it says so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from hapdask.cli.astrodrizzle.reading import KINDS
from hapdask.config.astrodrizzle import NAMES
from hapdask.recipes.astrodrizzle.keeping import KEPT


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def files(fields, tmp_path):
    """Three dithered UVIS exposures of 12 x 12 arcsec, with cosmic rays."""
    folder = tmp_path / "data"
    folder.mkdir()
    return [
        fields.write_exposure(
            folder, f"ia0a0{k}aaq", offset=(1.1 * k, -0.7 * k), start=58000.0 + k, seed=k
        )
        for k in range(1, 4)
    ]


@pytest.fixture
def no_pixels(monkeypatch):
    """Make reading a pixel an error."""

    def refuse(*arguments, **options):
        raise AssertionError("a pixel is read")

    monkeypatch.setattr("hapdask.observe.pixels.ChipReader.__init__", refuse)


def test_a_dry_run_reads_no_pixel_and_writes_nothing(hapdask, files, out, no_pixels):
    words = ("astrodrizzle", *files, "-o", out, "--dry-run", "--final-rot", "0", "--threads", 2)
    run = hapdask(*words)
    assert run.code == 0
    assert not out.exists()
    shown = " ".join(run.out.split())
    for piece in (
        "ia0a01aaq", "ia0a03aaq", "Static Mask on", "Driz_CR on", "final_rot 0.0 given",
        "final_wcs true implied by final_rot", "final_drc",
    ):  # fmt: skip
        assert piece in shown
    plan = hapdask(*words, "--json").json
    assert plan["status"] == "planned"
    assert [e["name"] for e in plan["exposures"]] == ["ia0a01aaq", "ia0a02aaq", "ia0a03aaq"]
    assert plan["frames"]["mosaic"]["rotation"] == pytest.approx(0.0, abs=1e-9)
    assert plan["parameters"]["final_rot"] == {
        "value": 0.0, "origin": "given", "step": "final", "set": True,
    }  # fmt: skip
    assert plan["memory"] > 0
    assert [step["status"] for step in plan["steps"]] == ["on"] * 7
    assert not out.exists()


def test_nothing_is_written_but_the_products(hapdask, files, out):
    before = {path: path.read_bytes() for path in files}
    run = hapdask("astrodrizzle", *files, "-o", out, "--json", "--threads", 2)
    assert run.code == 0
    made = run.json
    assert {path.name for path in out.rglob("*")} == {
        f"final_drc_{image}.fits" for image in ("sci", "wht", "ctx", "err")
    }
    assert {str(path) for path in out.iterdir()} == set(made["files"])
    assert {path: path.read_bytes() for path in files} == before
    assert [step["step"] for step in made["steps"]][:2] == ["Static Mask", "Subtract Sky"]
    assert all(step["seconds"] is None or step["seconds"] >= 0 for step in made["steps"])
    assert made["parameters"]["final_pixfrac"]["origin"] == "built in"
    sci = fits.getdata(out / "final_drc_sci.fits")
    assert abs(np.nanmedian(sci)) < 0.02  # of 0.4 electron / s of sky


def test_a_product_without_errors(hapdask, files, out):
    run = hapdask("astrodrizzle", *files, "-o", out, "--no-err", "--set", "build=False")
    assert run.code == 0
    kinds = {path.name.removeprefix("final_drc_").removesuffix(".fits") for path in out.iterdir()}
    assert kinds == {"sci", "wht", "ctx"}


def test_one_file_and_all_files_of_the_steps(hapdask, files, out):
    run = hapdask(
        "astrodrizzle", *files, "-o", out, "--build", "--output", "m83", "--keep", "all",
        "--per-exposure", "--dq-copies", "--zarr", "--skymethod", "localmin",
        "--final-bits", "None", "--report",
    )  # fmt: skip
    assert run.code == 0
    names = {path.name for path in out.iterdir()}
    assert {
        "m83_drc.fits", "m83_med.fits", "ia0a01aaq_single_sci.fits", "ia0a02aaq_single_wht.fits",
        "ia0a03aaq_sci2_blt.fits", "ia0a01aaq_sci1_crmask.fits",
    } <= names  # fmt: skip
    assert any(name.endswith("_staticMask.fits") for name in names)
    with fits.open(out / "m83_drc.fits") as hdus:
        assert [hdu.name for hdu in hdus][:3] == ["PRIMARY", "SCI", "WHT"]
    shown = " ".join(run.out.split())
    assert "Final Drizzle done" in shown
    assert "m83_drc.fits" in shown
    told = json.loads((out / "report.json").read_text())
    assert len(told["inputs"]) == 3
    assert all(chip["sky"] for line in told["inputs"] for chip in line["chips"])
    assert {"m83_drc.fits", "m83_med.fits"} <= {file["path"] for file in told["files"]}
    assert {line["name"] for line in told["parameters"]} == set(NAMES)
    assert "Driz_CR" in told["seconds"]
    assert "m83_med.fits" in (out / "report.html").read_text()


def test_one_exposure_says_what_is_off(hapdask, files, out):
    run = hapdask("astrodrizzle", files[0], "-o", out, "--json", "--set", "driz_cr_single=no")
    assert run.code == 0
    off = {s["step"]: s["reason"] for s in run.json["steps"] if s["status"] == "off"}
    assert set(off) == {"Create Median", "Blot", "Driz_CR"}
    assert off["Blot"] == "blot = False, no exposure has a partner"
    assert (out / "ia0a01aaq_drc_sci.fits").exists()
    shown = " ".join(hapdask("astrodrizzle", files[0], "-o", out, "--dry-run").out.split())
    assert "Driz_CR off: driz_cr = False, no exposure has a partner" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--final-rot", "7200"), "final_rot must be at least -360 and at most 360, not '7200'"),
        (("--final-scale", "abc"), "final_scale must be a finite number, not 'abc'"),
        (("--final-scale", "1e-9"), "final_scale must be at least 0.001"),
        (("--set", "final_scal=0.04"), "did you mean 'final_scale'?"),
        (("--set", "final_scale"), "is not of the form name=value"),
        (("--final-scale", "0.04", "--set", "final_scale=0.05"), "final_scale is given twice"),
        (("--final-scale", "0.04", "--set", "final_wcs=no"), "contradict each other"),
        (("--set", "final_outnx=50"), "final_outnx needs final_outny beside it"),
        (("--final-kernel", "tophat"), "it does not keep flux"),
        (("--final-kernel", "sqare"), "final_kernel must be one of 'square'"),
        (("--set", "combine_nhigh=3"), "reject every pixel of 3 exposures"),
        (("--set", "skyuser=MDRIZSKY"), "skyuser = 'MDRIZSKY' is looked at only with skysub"),
        (("--preset", "comapt"), "unknown preset 'comapt': did you mean 'compat'?"),
        (("--keep", "blots"), "--keep blots: no such files: did you mean 'blot'?"),
        (("--no-fits",), "then nothing is made"),
        (("--cell", "skycell-p1889x07y19", "--like", "a.fits"), "choose --cell or --like"),
        (("--cell", "skycell-p1889x07y19", "--final-rot", "3"), "contradict each other"),
        (("--workers", "2", "--scheduler", "tcp://127.0.0.1:1"), "choose --workers or --scheduler"),
        (("--parameters", "none.cfg"), "cannot read the parameter file none.cfg"),
        (("--threads", "0"), "0 threads cannot work"),
    ],
)
def test_wrong_words_are_told_before_any_pixel(hapdask, files, out, no_pixels, words, message):
    run = hapdask("astrodrizzle", *files, "-o", out, *words)
    assert run.code == 2
    assert message in " ".join(run.err.replace("│", " ").split())
    assert "Traceback" not in run.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cell", "skycell-p1889x07y19"), "no exposure reaches the frame of the product"),
        (("--set", "final_ra=10", "--set", "final_dec=0"), "no exposure reaches the frame"),
        (("--output", "../m83"), "'../m83' cannot be a file name"),
        (("--track", "none.csv"), "none.csv: no table can be read"),
        (("--final-refimage", "none.fits"), "none.fits: cannot be opened"),
        (("--like", "none.fits"), "none.fits: cannot be opened"),
        (("--final-wht-type", "EXP", "-o", "/proc/nowhere"), "/proc/nowhere"),
        (("--scheduler", "nowhere"), "no Dask scheduler answers at nowhere"),
    ],
)
def test_what_cannot_be_made_is_told_before_any_pixel(
    hapdask, files, out, no_pixels, words, message
):
    run = hapdask("astrodrizzle", *files, "-o", out, *words)
    assert run.code == 1
    assert run.err.splitlines()[-1].startswith("error: ")
    assert len(run.err.splitlines()) <= 2  # perhaps what there is, and the error
    assert message in run.err
    assert not out.exists() or not list(out.iterdir())


def test_a_rerun_measures_nothing_again(hapdask, files, out, tmp_path):
    words = ("astrodrizzle", *files, "--work", tmp_path / "work", "--no-fits", "--zarr", "--json")
    first = hapdask(*words, "-o", out)
    again = hapdask(*words, "-o", tmp_path / "finer", "--final-scale", "0.03")
    assert (first.code, again.code) == (0, 0)
    assert {"Static Mask", "Subtract Sky"} <= set(first.json["seconds"])
    assert not {"Static Mask", "Subtract Sky"} & set(again.json["seconds"])
    assert (tmp_path / "finer/final_drc.zarr").is_dir()


@pytest.mark.parametrize("kind", ["detectors", "units"])
def test_what_does_not_belong_together(hapdask, fields, files, out, no_pixels, kind):
    other = fields.write_exposure(files[0].parent, "ia0a91aaq", detector="IR", shape=(90, 90))
    if kind == "units":
        other = fields.write_exposure(files[0].parent, "ia0a92aaq")
        with fits.open(other, mode="update") as hdus:
            for hdu in hdus:
                if hdu.name == "SCI":
                    hdu.header["BUNIT"] = "ELECTRONS/S"
    run = hapdask("astrodrizzle", *files, other, "-o", out, "--json")
    assert run.code == run.json["exit_code"] == 1
    assert f"one mosaic cannot be made of several {kind}" in run.json["error"]
    assert len(run.err.strip().splitlines()) == 2  # what there is, and the error
    assert not out.exists()


def test_members_that_are_not_there(hapdask, files, out):
    table = Table({
        "MEMNAME": ["IA0A01AAQ", "IA0A02AAQ", "IA0A99AAQ", "IA0A00010"],
        "MEMTYPE": ["EXP-DTH", "EXP-DTH", "EXP-DTH", "PROD-DTH"], "MEMPRSNT": [True] * 4,
    })  # fmt: skip
    path = files[0].parent / "ia0a00010_asn.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name="ASN")]).writeto(path)
    strict = hapdask("astrodrizzle", path, "-o", out, "--strict")
    assert strict.code == 1
    assert "ia0a99aaq" in strict.err
    assert not out.exists()
    run = hapdask("astrodrizzle", path, "-o", out, "--json")
    assert run.code == run.json["exit_code"] == 3
    (item,) = run.json["left_out"]
    assert "ia0a99aaq" in item["file"] + item["reason"]
    assert (out / "ia0a00010_drc_sci.fits").exists()


def test_all_pixels_masked(hapdask, files, out):
    for path in files:
        with fits.open(path, mode="update") as hdus:
            for hdu in hdus:
                if hdu.name == "DQ":
                    hdu.data[:] = 4
    run = hapdask("astrodrizzle", *files, "-o", out, "--json")
    assert run.code == run.json["exit_code"] == 1
    assert "no usable pixel: every one is flagged or masked" in run.json["error"]
    assert not list(out.iterdir())


def test_exposures_apart(hapdask, fields, files, out):
    far = fields.write_exposure(files[0].parent, "ia0a77aaq", offset=(60.0, 0.0))
    run = hapdask("astrodrizzle", files[0], far, "-o", out, "--json")
    assert run.code == 0
    assert any("2 groups that do not overlap" in w["reason"] for w in run.json["warnings"])
    assert "do not overlap each other" in run.err


def test_one_bad_file_never_loses_the_rest(hapdask, files, out):
    files[1].write_bytes(files[1].read_bytes()[:40_000])
    run = hapdask("astrodrizzle", *files, "-o", out)
    assert run.code == 3
    assert "left out: 1 input" in run.err
    assert str(files[1]) in run.err
    assert (out / "final_drc_sci.fits").exists()
    assert hapdask("astrodrizzle", files[1], "-o", out).code == 1


def test_a_cfg_file_and_what_means_nothing_here(hapdask, files, out, tmp_path):
    cfg = tmp_path / "mine.cfg"
    cfg.write_text("clean = True\nnum_cores = 4\nfinal_pixfrac = 0.8\n")
    run = hapdask("astrodrizzle", *files, "-o", out, "--parameters", cfg, "--dry-run")
    assert run.code == 0
    shown = " ".join(run.out.split())
    assert f"final_pixfrac 0.8 {cfg}" in shown
    assert "not used: num_cores: workers are chosen with Dask" in " ".join(run.err.split())


def test_what_presets_print_goes_back_in(hapdask, files, out, tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text(hapdask("presets", "uvis", 3, "--preset", "compat-svm", "--toml").out)
    words = ("astrodrizzle", *files, "-o", out, "--dry-run", "--json")
    plan = hapdask(*words, "--parameters", toml).json
    wanted = hapdask(*words, "--preset", "compat-svm").json
    values = [{n: told["value"] for n, told in p["parameters"].items()} for p in (plan, wanted)]
    assert values[0] == values[1]
    assert plan["frames"] == wanted["frames"]


def test_an_interruption_leaves_a_hint(hapdask, files, out, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("hapdask.recipes.astrodrizzle.finding.measure", interrupt)
    run = hapdask("astrodrizzle", *files, "-o", out)
    assert run.code == 130
    assert "interrupted" in run.err


def test_kinds_of_files_are_in_the_help(hapdask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    run = hapdask("astrodrizzle", "--help")
    assert run.code == 0
    assert all(kind in run.out for kind in KINDS)
    assert set(KINDS) == set(KEPT)
