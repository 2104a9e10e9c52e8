"""``hapdask mosaic``: what it makes, what it says of what it cannot use, and its exit codes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from hapdask.products.reader import open_mosaic

WHERE = ("--size", "12", "--pixel-scale", "0.1", "--name", "field")


@pytest.fixture
def where(small_field):
    """Options of a frame of 120 x 120 pixels around the centre of the field."""
    return ("--center", small_field.ra, small_field.dec, *WHERE)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def products(folder: Path) -> dict[Path, int]:
    """When every file but the report of the last run was written."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.stem != "report"]
    return {p: p.stat().st_mtime_ns for p in paths}


def test_layers_files_and_pictures_are_made(hapdask, small_field, where, out):
    run = hapdask("mosaic", *small_field.all, *where, "-o", out)
    assert run.code == 0
    assert "3 exposures: 2 wfc3_ir_f160w, 1 wfc3_uvis_f606w" in run.err
    names = {
        "field_wfc3_ir_f160w_all_drz.fits",
        "field_wfc3_ir_f160w_all_drz.jpg",
        "field_wfc3_ir_f160w_all_drz_thumb.jpg",
        "field_wfc3_uvis_f606w_all_drc.fits",
        "field_wfc3_uvis_f606w_all_drc.jpg",
        "field_wfc3_uvis_f606w_all_drc_thumb.jpg",
        "field_total_f606w-f160w_drc.jpg",
        "field_total_f606w-f160w_drc_thumb.jpg",
    }
    assert {p.name for p in (out / "field").iterdir() if p.name[0] != "."} == names
    told = [line.split()[0] for line in run.out.splitlines() if line.startswith("  ")]
    assert set(told) == {str(out / "field" / name) for name in names} | {
        str(out / "custom" / "field" / layer) for layer in ("wfc3_ir_f160w", "wfc3_uvis_f606w")
    }
    ds = open_mosaic(out / "custom/field/wfc3_ir_f160w")
    with fits.open(out / "field/field_wfc3_ir_f160w_all_drz.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "WHT", "ERR", "NEXP", "HDRTAB"]
        np.testing.assert_array_equal(hdus["SCI"].data, ds.sci.values)
        assert hdus["SCI"].data.shape == (120, 120)
        assert hdus[0].header["NUMEXP"] == 2


def test_a_rerun_writes_nothing(hapdask, small_field, where, out):
    command = ("mosaic", *small_field.all, *where, "-o", out, "--json")
    first = hapdask(*command)
    before = products(out)
    again = hapdask(*command)
    assert (first.code, again.code) == (0, 0)
    assert all(layer["made"] == layer["tiles"] for layer in first.json["layers"])
    assert all(layer["kept"] == layer["tiles"] for layer in again.json["layers"])
    assert [file["written"] for file in again.json["files"]] == [False] * 8
    assert products(out) == before
    assert "all up to date" in again.err


def test_only_what_changed_is_exported_again(hapdask, small_field, where, out):
    ir = small_field.ir
    hapdask("mosaic", ir[0], small_field.uvis, *where, "-o", out)
    (out / "field/field_wfc3_uvis_f606w_all_drc.jpg").unlink()
    run = hapdask("mosaic", *small_field.all, *where, "-o", out, "--json")
    written = {Path(file["path"]).name: file["written"] for file in run.json["files"]}
    assert written == {
        "field_wfc3_uvis_f606w_all_drc.fits": False,
        "field_wfc3_uvis_f606w_all_drc.jpg": True,  # it was gone
        "field_wfc3_uvis_f606w_all_drc_thumb.jpg": False,
        "field_wfc3_ir_f160w_all_drz.fits": True,  # it has one more exposure
        "field_wfc3_ir_f160w_all_drz.jpg": True,
        "field_wfc3_ir_f160w_all_drz_thumb.jpg": True,
        "field_total_f606w-f160w_drc.jpg": True,
        "field_total_f606w-f160w_drc_thumb.jpg": True,
    }


def test_processes_give_the_bytes_of_threads(hapdask, small_field, where, tmp_path):
    common = (
        "mosaic",
        *small_field.ir,
        *where,
        "--tile",
        64,
        "--no-fits",
        "--no-pictures",
        "--no-report",
    )
    threads = hapdask(*common, "-o", tmp_path / "a", "--threads", 3)
    processes = hapdask(*common, "-o", tmp_path / "b", "--workers", 1)
    assert (threads.code, processes.code) == (0, 0)
    made = bytes_below(tmp_path / "a")
    assert made == bytes_below(tmp_path / "b")
    assert any("/c/" in name for name in made)


def test_options_of_the_output(hapdask, small_field, where, out):
    run = hapdask("mosaic", small_field.ir[0], *where, "-o", out, "--no-pictures", "--context")
    assert run.code == 0
    (path,) = [p for p in (out / "field").iterdir() if p.name[0] != "."]
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == [
            "PRIMARY", "SCI", "WHT", "CTX", "ERR", "NEXP", "HDRTAB",
        ]  # fmt: skip
        assert set(np.unique(hdus["CTX"].data)) <= {0, 1}
    run = hapdask(
        "mosaic", small_field.ir[0], *where, "-o", out, "--no-fits", "--no-pictures", "--json"
    )
    assert run.json["files"] == []


def test_parameters_reach_the_header(hapdask, small_field, where, out, tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text('sky = "none"\n[WFC3.IR]\ngood_bits = 512\n')
    run = hapdask(
        "mosaic", small_field.ir[0], *where, "-o", out, "--no-pictures", "--parameters", toml,
        "--weight", "err", "--set", "pixfrac=0.7",
    )  # fmt: skip
    assert run.code == 0
    header = fits.getheader(next((out / "field").glob("*.fits")))
    assert (header["SKYMETH"], header["GOODBITS"]) == ("none", 512)
    assert (header["WHTTYPE"], header["PIXFRAC"]) == ("ERR", 0.7)
    history = "".join(header["HISTORY"])
    assert "pixfrac = 0.7 from given" in history
    assert f"good_bits = 512 from {toml} [WFC3.IR]" in history


def test_the_grid_of_another_image(hapdask, small_field, where, out):
    hapdask("mosaic", small_field.ir[0], *where, "-o", out, "--no-pictures")
    image = out / "field/field_wfc3_ir_f160w_all_drz.fits"
    run = hapdask(
        "mosaic", small_field.uvis, "--like", image, "--name", "same", "-o", out, "--no-pictures"
    )
    assert run.code == 0
    other = fits.getheader(out / "same/same_wfc3_uvis_f606w_all_drc.fits", "SCI")
    one = fits.getheader(image, "SCI")
    for key in ("NAXIS1", "NAXIS2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD2_2"):
        assert one[key] == other[key]


def test_a_distorted_image_is_no_grid(hapdask, small_field, out):
    run = hapdask("mosaic", small_field.uvis, "--like", small_field.uvis, "-o", out)
    assert run.code == 1
    assert "SCI,1" in run.err
    assert "no distortion" in run.err


def test_a_coarse_sky_cell_is_on_the_archives_grid(hapdask, small_field, out):
    from hapdask.sky.grid import SkyGrid

    cell = SkyGrid()["skycell-p1889x11y11"]
    run = hapdask(
        "mosaic", small_field.ir[0], "--cell", cell.name, "--scale", "coarse", "-o", out, "--json"
    )
    assert run.code == 0
    assert [layer["scale"] for layer in run.json["layers"]] == ["coarse", "coarse*"]
    name = "hst_skycell-p1889x11y11_wfc3_ir_f160w_coarse-all_drz.fits"
    with fits.open(out / cell.name / name) as hdus:
        header, wht = hdus["SCI"].header, hdus["WHT"].data
        assert hdus[0].header["SCELLID"] == "p1889x11y11"
    archive = cell.upstream_coarse_frame()
    offset = np.array(archive.crpix) - (header["CRPIX1"], header["CRPIX2"])
    assert np.allclose(offset, np.rint(offset), atol=1e-6)
    assert (np.rint(offset) >= 0).all()
    for edge in (wht[0], wht[-1], wht[:, 0], wht[:, -1]):
        assert (edge > 0).any()


def test_the_plan_alone(hapdask, small_field, where, out):
    run = hapdask("mosaic", *small_field.all, *where, "-o", out, "--dry-run")
    assert run.code == 0
    assert "wfc3_uvis_f606w" in run.out
    assert "in all: 2 tiles" in run.out
    assert not out.exists()


class TestBadInput:
    """One bad exposure is reported and left out; the rest is made."""

    @pytest.fixture
    def bad(self, small_field, tmp_path):
        folder = tmp_path / "bad"
        folder.mkdir()
        whole = small_field.ir[0].read_bytes()
        (folder / "truncated_flt.fits").write_bytes(whole[: len(whole) // 3])
        (folder / "empty_flt.fits").write_bytes(b"")
        (folder / "text_flt.fits").write_text("this is not FITS\n" * 400)
        for name, key, value in (
            ("camera", "DETECTOR", "CAMERA9"),
            ("grism", "FILTER", "G141"),
            ("none", "EXPTIME", 0.0),
        ):
            path = folder / f"{name}_flt.fits"
            path.write_bytes(whole)
            with fits.open(path, mode="update") as hdus:
                hdus[0].header[key] = value
                hdus[0].header["ROOTNAME"] = f"itst{name[:4]}q"
        return folder

    REASONS = (
        ("truncated_flt.fits", "truncated"), ("empty_flt.fits", "empty"),
        ("text_flt.fits", "not a FITS file"), ("camera_flt.fits", "known are WFC3/UVIS"),
        ("grism_flt.fits", "grism"), ("none_flt.fits", "no exposure time"),
    )  # fmt: skip

    def test_they_are_left_out(self, hapdask, bad, small_field, where, out):
        run = hapdask(
            "mosaic", small_field.ir[0], bad / "*_flt.fits", bad / "absent_flt.fits",
            *where, "-o", out, "--json",
        )  # fmt: skip
        assert run.code == 3
        assert run.json["status"] == "made in part"
        assert run.json["exit_code"] == 3
        left_out = {Path(item["file"]).name: item["reason"] for item in run.json["left_out"]}
        for name, reason in (*self.REASONS, ("absent_flt.fits", "No such file")):
            assert reason in left_out.pop(name)
            assert name in run.err
        assert not left_out
        assert len([file for file in run.json["files"] if file["written"]]) == 3

    def test_strict_makes_nothing_of_them(self, hapdask, bad, small_field, where, out):
        run = hapdask(
            "mosaic", small_field.ir[0], bad / "*_flt.fits", *where, "-o", out, "--strict"
        )
        assert run.code == 1
        for name, reason in self.REASONS:
            assert name in run.err
            assert reason in run.err
        assert not out.exists()

    def test_nothing_but_bad_files(self, hapdask, bad, where, out):
        run = hapdask("mosaic", bad / "*_flt.fits", *where, "-o", out)
        assert run.code == 1
        assert "no exposure can be used" in run.err
        assert not out.exists()


def test_the_same_exposure_twice(hapdask, small_field, where, out, tmp_path):
    other = tmp_path / "again"
    other.mkdir()
    copy = shutil.copy(small_field.ir[0], other)
    run = hapdask("mosaic", small_field.ir[0], copy, *where, "-o", out, "--no-pictures")
    assert run.code == 3
    assert "duplicate" in run.err


def test_an_flt_beside_its_flc_is_not_missed(hapdask, small_field, where, out, tmp_path):
    twin = tmp_path / "itst0102q_flt.fits"
    os.link(small_field.uvis, twin)
    run = hapdask("mosaic", small_field.uvis, twin, *where, "-o", out, "--no-pictures")
    assert run.code == 0
    assert "left out" not in run.err


def test_an_exposure_that_is_elsewhere(hapdask, small_field, out, tmp_path):
    from hapdask.simulate import Options, Pointing, Scene, simulate_exposure

    far = simulate_exposure(
        Scene.stars(10.0, 5.0, 20.0), "WFC3", "IR", "F160W", Pointing(10.0, 5.0), 300.0, seed=1,
        options=Options.noise_free(0.5), rootname="itst0901q",
    ).write(tmp_path)  # fmt: skip
    center = ("--center", small_field.ra, small_field.dec, "--size", "5")
    both = hapdask("mosaic", small_field.ir[0], far, *center, "-o", out, "--no-pictures")
    assert both.code == 3
    assert f"{far}: it does not touch the frame" in both.err
    alone = hapdask("mosaic", far, "--cell", "p1889x11y11", "-o", tmp_path / "other")
    assert alone.code == 1
    assert "no exposure touches skycell-p1889x11y11" in alone.err
    assert "those given touch skycell-p" in alone.err
    assert not (tmp_path / "other").exists()


def test_a_layer_or_scale_that_is_not_there(hapdask, small_field, out):
    run = hapdask("mosaic", *small_field.all, "--layer", "wfc3_ir_f105w", "-o", out)
    assert run.code == 1
    assert "there are wfc3_ir_f160w, wfc3_uvis_f606w" in run.err
    run = hapdask(
        "mosaic", small_field.uvis, "--cell", "p1889x11y11", "--scale", "coarse", "-o", out
    )
    assert run.code == 1
    assert "scale coarse" in run.err
    assert not out.exists()


def test_a_place_that_cannot_be_written(hapdask, small_field, where, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    run = hapdask("mosaic", small_field.ir[0], *where, "-o", blocked / "out")
    assert run.code == 1
    assert "Not a directory" in run.err
    assert "choose another directory" in run.err


def test_another_tile_than_the_stores(hapdask, small_field, where, out):
    hapdask("mosaic", small_field.ir[0], *where, "-o", out, "--no-fits", "--no-pictures")
    run = hapdask("mosaic", small_field.ir[0], *where, "-o", out, "--tile", 64)
    assert run.code == 1
    assert "tile" in run.err
    assert "another path" in run.err


def test_no_scheduler_answers(hapdask, small_field, where, out, monkeypatch):
    monkeypatch.setattr("hapdask.cli.cluster._PATIENCE", "1s")
    run = hapdask(
        "mosaic", small_field.ir[0], *where, "-o", out, "--scheduler", "tcp://127.0.0.1:1"
    )
    assert run.code == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in run.err


def test_an_interruption_leaves_a_hint(hapdask, small_field, where, out, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("hapdask.recipes.batch.run_job", interrupt)
    run = hapdask("mosaic", small_field.ir[0], *where, "-o", out)
    assert run.code == 130
    assert "the same command goes on from there" in run.err
    assert "Traceback" not in run.err
