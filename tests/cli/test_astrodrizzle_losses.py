"""``hapdask astrodrizzle`` where inputs fail on the way, or nothing would come of it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from hapdask.recipes.astrodrizzle import writing


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


def test_a_file_that_changes_while_the_mosaic_is_made(hapdask, files, out, monkeypatch):
    monkeypatch.setattr(writing, "look_again", lambda run: os.utime(files[1], ns=(1, 1)))
    run = hapdask("astrodrizzle", *files, "-o", out, "--json", "--report")
    assert run.code == run.json["exit_code"] == 3
    (item,) = run.json["left_out"]
    assert item["file"] == str(files[1])
    assert "changed" in item["reason"]
    assert fits.getval(out / "final_drc_sci.fits", "NDRIZIM") == 4  # two exposures of two chips
    assert "has changed" in (out / "report.json").read_text()


def test_strict_allows_no_loss(hapdask, files, out):
    for hdu in ("SCI", "ERR"):
        with fits.open(files[0], mode="update") as hdus:
            for extver in (1, 2):
                hdus[hdu, extver].data[:] = np.nan
        run = hapdask("astrodrizzle", *files, "-o", out, "--strict")
        assert run.code == 1
        assert "no pixel has any weight" in run.err
        assert not list(out.iterdir())
    run = hapdask("astrodrizzle", *files, "-o", out, "--json")
    assert run.code == 3
    assert "no pixel has any weight" in run.json["left_out"][0]["reason"]


def test_nothing_but_nan(hapdask, files, out):
    with fits.open(files[0], mode="update") as hdus:
        hdus["ERR", 1].data[:] = hdus["ERR", 2].data[:] = np.nan
    run = hapdask("astrodrizzle", files[0], "-o", out)
    assert run.code == 1
    assert "no exposure is left" in run.err
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    "more", [(), ("--dry-run",), ("--zarr",), ("--strict",), ("--per-exposure",)]
)
def test_nothing_to_make(hapdask, files, out, monkeypatch, more):
    monkeypatch.setattr("hapdask.observe.pixels.ChipReader.__init__", None)
    run = hapdask("astrodrizzle", *files, "-o", out, "--set", "driz_combine=no", *more)
    assert run.code == 2
    assert "nothing would be written: driz_combine is False" in run.err
    assert "--keep" in run.err
    assert not out.exists()


def test_an_association_and_its_own_member(hapdask, files, out):
    table = Table({
        "MEMNAME": [path.name[:9].upper() for path in files] + ["IA0A00010"],
        "MEMTYPE": ["EXP-DTH"] * 3 + ["PROD-DTH"], "MEMPRSNT": [True] * 4,
    })  # fmt: skip
    path = files[0].parent / "ia0a00010_asn.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name="ASN")]).writeto(path)
    run = hapdask("astrodrizzle", path, files[1], "-o", out, "--json", "--dry-run")
    assert run.code == run.json["exit_code"] == 0
    assert len(run.json["exposures"]) == 3
    assert run.json["output"] == "ia0a00010_drc"
