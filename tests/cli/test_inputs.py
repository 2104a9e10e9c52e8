"""Options that say what is read: masks, maps, lists, another WCS; and the kernel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

from hapdask.products.reader import open_mosaic


@pytest.fixture
def command(small_field, tmp_path):
    """`mosaic` on a frame of 120 x 120 pixels around the centre of the field."""
    return (
        "mosaic", "--center", small_field.ra, small_field.dec, "--size", "12", "--pixel-scale",
        "0.1", "--name", "field", "-o", tmp_path / "out", "--no-fits", "--no-pictures",
    )  # fmt: skip


@pytest.fixture
def layer(tmp_path):
    return lambda: open_mosaic(tmp_path / "out/custom/field/wfc3_ir_f160w")


def test_regions_hide_what_they_hold(hapdask, command, layer, small_field, tmp_path):
    regions = tmp_path / "bad.reg"
    regions.write_text(f'icrs\ncircle({small_field.ra},{small_field.dec},2")\n')
    spare = tmp_path / "itst0909q_mask.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((1014, 1014), "u1"))]).writeto(spare)
    run = hapdask(*command, *small_field.ir, "--mask", regions, "--mask", spare, "--json")
    assert run.code == 0
    wht = layer().wht.values
    assert (wht[50:70, 50:70] == 0).all()
    assert wht[20, 20] > 0
    assert run.json["warnings"] == [{"file": str(spare), "reason": "matches no exposure"}]
    assert f"{spare}: matches no exposure" in run.err
    inputs = json.loads((tmp_path / "out/report.json").read_text())["inputs"]
    assert [line["status"] for line in inputs if line["file"] == str(spare)] == ["idle"]
    page = (tmp_path / "out/report.html").read_text()
    assert "2 of 2 files used" in page
    assert "! no effect" in page
    assert [line["chips"][0]["masks"] for line in inputs if line["layer"]] == [["user"]] * 2


def test_a_broken_mask_costs_its_exposure(hapdask, command, small_field, tmp_path):
    np.save(tmp_path / "itst0101q_mask.npy", np.zeros((3, 3)))
    run = hapdask(*command, *small_field.ir, "--mask", tmp_path / "*.npy", "--json")
    assert run.code == 3
    (item,) = run.json["left_out"]
    assert item["file"] == str(small_field.ir[0])
    assert "itst0101q_mask.npy cannot be used: has the shape (3, 3)" in item["reason"]
    strict = hapdask(*command, *small_field.ir, "--mask", tmp_path / "*.npy", "--strict")
    assert strict.code == 1
    assert hapdask(*command, *small_field.ir, "--mask", tmp_path / "none.reg").code == 1


def test_maps_of_a_list(hapdask, command, layer, small_field, tmp_path):
    image = np.full((1014, 1014), 4.0, "f4")
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, ver=1)]).writeto(tmp_path / "map.fits")
    one, two = small_field.ir
    (tmp_path / "files.txt").write_text(f"{one} map.fits\n{two} map.fits\n")
    plain = hapdask(*command, f"@{tmp_path}/files.txt")
    assert plain.code == 0
    assert "2 inverse-variance maps of lists: used by --weight IVM only" in plain.err
    run = hapdask(*command, f"@{tmp_path}/files.txt", "--weight", "ivm")
    assert run.code == 0
    assert "of lists" not in run.err
    by_list = layer().wht.values
    named = [(tmp_path / "map.fits").rename(tmp_path / "itst0101q_ivm.fits")]
    named.append(tmp_path / "itst0201q_ivm.fits")
    named[1].write_bytes(named[0].read_bytes())
    run = hapdask(*command, one, two, "--ivm", tmp_path / "*_ivm.fits", "--weight", "IVM", "--json")
    assert run.code == 0
    np.testing.assert_array_equal(layer().wht.values, by_list)
    refused = hapdask(*command, one, two, "--ivm", tmp_path / "*_ivm.fits")
    assert refused.code == 2
    assert 'weight = "IVM"' in refused.err


def test_kernels(hapdask, command, layer, small_field):
    run = hapdask(*command, small_field.ir[0], "--kernel", "Point", "--pixfrac", "0.5")
    assert run.code == 0
    sparse = (layer().wht.values > 0).mean()
    hapdask(*command, small_field.ir[0], "--kernel", "square")
    assert sparse < 0.8 < (layer().wht.values > 0).mean()
    refused = hapdask(*command, small_field.ir[0], "--kernel", "tophat")
    assert refused.code == 2
    assert "does not keep flux" in refused.err


@pytest.mark.parametrize("name", ["info", "plan", "cells", "mosaic"])
def test_another_wcs(hapdask, command, small_field, name):
    words = command if name == "mosaic" else (name,)
    run = hapdask(*words, small_field.ir[0], "--wcs", "NOSUCH", "--json")
    assert run.code == (0 if name == "info" else 1)
    assert "there is no WCS 'NOSUCH'" in run.out
    run = hapdask(*words, small_field.ir[0], "--headerlets", "none*_hlet.fits")
    assert run.code == 1
    assert "no file matches" in run.err
    run = hapdask(*words, small_field.ir[0], "--reference-files", "nowhere")
    assert run.code == 2
    assert "nowhere" in run.err


def test_a_wcs_by_its_name(hapdask, small_field):
    (row,) = hapdask("info", small_field.uvis, "--json").json["exposures"]
    (same,) = hapdask("info", small_field.uvis, "--wcs", row["wcsname"], "--json").json["exposures"]
    assert same == row
    assert f"WCS: 1 {row['wcsname']}" in hapdask("info", small_field.uvis).out


def test_lists_and_what_they_miss(hapdask, small_field, tmp_path):
    one = small_field.ir[0]
    (tmp_path / "poller.out").write_text(f"{one}\nib4606c5q_flc.fits\n")
    run = hapdask("cells", tmp_path / "poller.out", "--json")
    assert run.code == run.json["exit_code"] == 3
    (item,) = run.json["left_out"]
    assert item["file"] == "ib4606c5q_flc.fits"
    assert "s3://stpubdata/hst/public/ib46/ib4606c5q/ib4606c5q_flc.fits" in item["reason"]
    assert "line 2" in item["reason"]
    run = hapdask("cells", one, "ib4606c5q")
    assert run.code == 3
    assert "ib4606c5q: no file of this exposure lies here (name its file, or s3://st" in run.err


def test_tables_are_never_cut(hapdask, small_field, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for words in (("info", *small_field.all), ("plan", *small_field.all), ("cells", "p1889x07y19")):
        assert "…" not in hapdask(*words).out


def test_a_c1m_beside_its_c0m_is_not_missed(hapdask, tmp_path):
    hapdask("simulate", "--size", "small", "--setup", "wfpc2/pc/f555w:30:bin=2", "-o", tmp_path)
    run = hapdask("cells", tmp_path / "*_c?m.fits", "--json")
    assert run.code == 0
    assert run.json["left_out"] == []
    (tmp_path / "usim0101q_c0m.fits").unlink()
    run = hapdask("cells", tmp_path / "*_c?m.fits", "--json")
    assert [item["file"] for item in run.json["left_out"]] == [str(tmp_path / "usim0101q_c1m.fits")]
