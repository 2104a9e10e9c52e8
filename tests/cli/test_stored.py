"""The commands on what is stored: export, cutout; and simulate, demo by their faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from hapdask.products.reader import open_mosaic


@pytest.fixture(scope="module")
def store(small_field, tmp_path_factory):
    """A store with two layers of a frame of 120 x 120 pixels; not to be changed."""
    from hapdask.cli.app import main

    out = tmp_path_factory.mktemp("store")
    code = main(
        ["mosaic", *small_field.all, "--center", str(small_field.ra), str(small_field.dec),
         "--size", "12", "--pixel-scale", "0.1", "--name", "field", "-o", str(out),
         "--no-fits", "--no-pictures"]
    )  # fmt: skip
    assert code == 0
    return out


class TestExport:
    def test_formats(self, hapdask, store, tmp_path):
        run = hapdask(
            "export", store, "-o", tmp_path, "--format", "fits", "--format", "zarr", "--context"
        )
        assert run.code == 0
        assert sorted(p.name for p in (tmp_path / "field").iterdir() if p.name[0] != ".") == [
            "field_wfc3_ir_f160w_all_drz.fits", "field_wfc3_ir_f160w_all_drz.zarr",
            "field_wfc3_uvis_f606w_all_drc.fits", "field_wfc3_uvis_f606w_all_drc.zarr",
        ]  # fmt: skip
        ds = open_mosaic(tmp_path / "field/field_wfc3_ir_f160w_all_drz.zarr")
        with fits.open(tmp_path / "field/field_wfc3_ir_f160w_all_drz.fits") as hdus:
            assert "CTX" in hdus
            np.testing.assert_array_equal(hdus["ERR"].data, ds.err.values)
        again = hapdask("export", store, "-o", tmp_path, "--format", "zarr", "--json")
        assert [file["written"] for file in again.json["files"]] == [False, False]

    def test_separate_files(self, hapdask, store, tmp_path):
        layer = store / "custom/field/wfc3_ir_f160w"
        command = ("export", layer, "-o", tmp_path, "--separate", "--context", "--json")
        (file,) = hapdask(*command).json["files"]
        stem = "field_wfc3_ir_f160w_all_drz"
        assert file["path"].endswith(f"{stem}_sci.fits")
        names = {p.name for p in (tmp_path / "field").glob("*.fits")}
        assert names == {f"{stem}_{k}.fits" for k in ("sci", "wht", "ctx", "err", "nexp")}
        assert [f["written"] for f in hapdask(*command).json["files"]] == [False]
        # one file of them is gone, so all are written again
        (tmp_path / f"field/{stem}_wht.fits").unlink()
        assert [f["written"] for f in hapdask(*command).json["files"]] == [True]
        run = hapdask("export", layer, "-o", tmp_path / "b", "--no-context", "--json")
        with fits.open(run.json["files"][0]["path"]) as hdus:
            assert "CTX" not in hdus

    def test_one_layer_and_an_exported_zarr(self, hapdask, store, tmp_path):
        layer = store / "custom/field/wfc3_ir_f160w"
        run = hapdask("export", layer, "-o", tmp_path, "--format", "zarr", "--json")
        (file,) = run.json["files"]
        run = hapdask("export", file["path"], "-o", tmp_path / "b", "--format", "fits", "--json")
        (other,) = run.json["files"]
        sci = open_mosaic(layer).sci.values
        np.testing.assert_array_equal(fits.getdata(other["path"], "SCI"), sci)
        refused = hapdask("export", file["path"], "-o", tmp_path / "b", "--format", "zarr")
        assert refused.code == 1
        assert "exported zarr already" in refused.err

    def test_nothing_to_export(self, hapdask, store, tmp_path):
        run = hapdask("export", tmp_path, "-o", tmp_path)
        assert run.code == 1
        assert "no mosaic of hapdask there" in run.err
        run = hapdask("export", store, "-o", tmp_path, "--cell", "p1889x07y19")
        assert run.code == 1
        assert "no finished tile of skycell-p1889x07y19" in run.err


class TestCutout:
    @pytest.mark.parametrize("suffix", ["fits", "zarr", "png", "jpg"])
    def test_forms(self, hapdask, store, small_field, tmp_path, suffix):
        path = tmp_path / "new folder" / f"cut.{suffix}"
        command = (
            "cutout", store / "custom/field/wfc3_ir_f160w", small_field.ra, small_field.dec, "4",
            "-o", path,
        )  # fmt: skip
        run = hapdask(*command)
        assert run.code == 0
        assert "40 x 40 pixels" in run.out
        assert path.exists()
        again = hapdask(*command)
        assert again.code == 1
        assert "--overwrite" in again.err
        assert hapdask(*command, "--overwrite").code == 0
        if suffix == "fits":
            whole = open_mosaic(store / "custom/field/wfc3_ir_f160w").sci.values
            np.testing.assert_array_equal(fits.getdata(path, "SCI"), whole[40:80, 40:80])

    def test_elsewhere(self, hapdask, store, tmp_path):
        layer = store / "custom/field/wfc3_ir_f160w"
        run = hapdask("cutout", layer, "10", "-5", "4", "-o", tmp_path / "x.fits")
        assert run.code == 1
        assert "no pixel within" in run.err
        run = hapdask("cutout", layer, "10", "-5", "wide", "-o", tmp_path / "x.fits")
        assert run.code == 2
        assert "no angle" in run.err

    def test_a_store_of_several_layers(self, hapdask, store, tmp_path):
        run = hapdask("cutout", store, "10", "5", "4", "-o", tmp_path / "x.fits")
        assert run.code == 1
        assert "custom/field/wfc3_uvis_f606w" in run.err


@pytest.fixture
def brief(monkeypatch):
    """Let the field be one visit of one IR exposure."""
    from hapdask.simulate import Setup, Visit

    visits = (Visit("01", 35.0, "2018-03-05T02:10:00", (Setup("WFC3", "IR", "F160W", 300.0),)),)
    monkeypatch.setattr("hapdask.recipes.demo.demo_visits", lambda size: visits)


def test_simulate(hapdask, brief, tmp_path):
    command = ("simulate", "--center", "10.0", "-45.0", "--noise-free", "--program", "abc")
    run = hapdask(*command, "-o", tmp_path / "a")
    assert run.code == 0
    assert str(tmp_path / "a" / "iabc0101q_flt.fits") in run.out
    assert "truth.ecsv" in run.out
    again = hapdask(*command, "-o", tmp_path / "b", "--json")
    (path,) = again.json["exposures"]
    assert Path(path).read_bytes() == (tmp_path / "a" / "iabc0101q_flt.fits").read_bytes()
    (row,) = hapdask("info", path, "--json").json["exposures"]
    assert row["status"] == "accepted"


def test_simulate_setups_and_effects(hapdask, tmp_path):
    setups = ("--setup", "acs/sbc/f150lp:30", "--setup", "wfpc2/pc/f555w:30:bin=2:gain=15")
    effects = ("--drift", "0.01", "--spikes", "--bleeding", "--proper-motion", "5", "--focus", "3")
    dates = ("--date", "2002-01-01", "--date", "2004-01-01")
    run = hapdask(
        "simulate", "--size", "small", *setups, *effects, *dates, "-o", tmp_path, "--json"
    )  # fmt: skip
    assert run.code == 0
    names = [Path(path).name for path in run.json["exposures"]]
    assert names == [f"{r}_{s}.fits" for v in (1, 2) for r, s in
                     ((f"jsim0{v}01q", "flt"), (f"usim0{v}02q", "c0m"))]  # fmt: skip
    assert (tmp_path / "usim0102q_c1m.fits").exists()
    assert len(run.json["drawn"]) == 4
    wrong = hapdask("simulate", "--setup", "wfpc2/pc/f555w:gain=8", "-o", tmp_path / "none")
    assert wrong.code == 2
    assert "has 7, 15" in wrong.err
    assert hapdask("simulate", "--date", "2002-01-01", "-o", tmp_path / "none").code == 2
    assert not (tmp_path / "none").exists()


def test_demo_says_what_it_made(hapdask, monkeypatch, tmp_path):
    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.batch import Batch, Report, Request

    seen = {}

    def fake(out, **options):
        seen.update(options, out=out)
        batch = Batch(Request(out=out), (), (), {}, Exposures((), ()))
        return Report((), (), (), {"simulate": 1.0}, batch)

    monkeypatch.setattr("hapdask.recipes.demo.demo", fake)
    run = hapdask("demo", "-o", tmp_path, "--size", "small", "--threads", 2)
    assert run.code == 0
    assert seen["out"] == tmp_path
    assert (seen["size"], seen["threads"]) == ("small", 2)
    assert "time: 1.0 s" in run.out
    assert f"report: {tmp_path / 'report.html'}" in run.out
    assert (tmp_path / "report.html").is_file()
