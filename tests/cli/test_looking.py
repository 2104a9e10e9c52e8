"""The commands that look and write nothing: info, cells, plan."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hapdask.cli.plan_map import PlanMap
from hapdask.sky.grid import SkyGrid


class TestInfo:
    def test_exposures(self, hapdask, small_field, tmp_path):
        bad = tmp_path / "bad_flt.fits"
        bad.write_bytes(b"")
        run = hapdask("info", *small_field.all, bad)
        assert run.code == 0
        assert "itst0101q_flt.fits" in run.out
        assert "p1889x11y11 p1889x12y11" in run.out
        assert "the file is empty" in run.out
        assert "3 exposures of 4 files can be used" in run.out

    def test_exposures_as_json(self, hapdask, small_field):
        (row,) = hapdask("info", small_field.uvis, "--json").json["exposures"]
        assert row["status"] == "accepted"
        assert (row["layer"], row["chips"], row["exptime"]) == ("wfc3_uvis_f606w", 1, 300.0)
        assert "skycell-p1889x11y11" in row["cells"]

    def test_a_folder(self, hapdask, small_field, tmp_path):
        hapdask(
            "mosaic", small_field.ir[0], "--center", small_field.ra, small_field.dec,
            "--size", "3", "--name", "spot", "-o", tmp_path, "--no-pictures",
        )  # fmt: skip
        run = hapdask("info", tmp_path)
        assert run.code == 0
        assert "custom/spot/wfc3_ir_f160w" in run.out
        assert "1/1" in run.out
        (row,) = hapdask("info", tmp_path, "--json").json["mosaics"]
        assert row["places"] == ["spot"]
        assert row["finished"] == row["tiles"] == 1

    def test_a_folder_without_mosaics(self, hapdask, tmp_path):
        run = hapdask("info", tmp_path)
        assert run.code == 0
        assert "no mosaic of hapdask in it" in run.err


class TestCells:
    def test_by_name(self, hapdask):
        (row,) = hapdask("cells", "skycell-p1889x07y19", "--json").json["cells"]
        assert row["crval"] == [180.0, 26.0]
        assert row["fine"] == {"crpix": [96492.0, -160812.0], "naxis": [21954, 21954]}
        assert row["coarse"]["naxis"] == [7318, 7318]
        assert row["coarse"]["crpix"] == pytest.approx([32164.0, -53604.0])

    def test_by_position(self, hapdask):
        run = hapdask("cells", "--at", "182.6", "-28.2", "--json")
        expected = [cell.name for cell in SkyGrid().at(ra=182.6, dec=-28.2)]
        assert [row["name"] for row in run.json["cells"]] == expected

    def test_by_files(self, hapdask, small_field):
        run = hapdask("cells", *small_field.all)
        assert run.code == 0
        lines = {line.split()[0]: line for line in run.out.splitlines()}
        assert "2 wfc3_ir_f160w, 1 wfc3_uvis_f606w" in lines["skycell-p1889x11y11"]
        assert "skycell-p1889x12y11" in lines

    def test_files_that_cannot_be_used(self, hapdask, small_field, tmp_path):
        bad = tmp_path / "bad_flt.fits"
        bad.write_bytes(b"")
        assert hapdask("cells", small_field.uvis, bad).code == 3
        assert hapdask("cells", bad).code == 1


class TestPlan:
    def test_table_and_map(self, hapdask, small_field):
        run = hapdask("plan", *small_field.all, "--cell", "p1889x11y11", "--tiles", "--threads", 2)
        assert run.code == 0
        assert "skycell-p1889x11y11  wfc3_uvis_f606w  fine" in run.out
        assert "north up, east left" in run.out
        assert "with 2 threads" in run.out
        assert "Mpixel in" in run.out

    def test_tiles_shared_by_cells_count_once(self, hapdask, small_field):
        run = hapdask("plan", small_field.uvis, "--json")
        indices = [tuple(t["index"]) for job in run.json["jobs"] for t in job["tiles"]]
        assert len(set(indices)) < len(indices)
        shown = hapdask("plan", small_field.uvis)
        assert f"in all: {len(set(indices))} tiles" in shown.out

    def test_drawing(self, hapdask, small_field, tmp_path):
        path = tmp_path / "pictures" / "plan.png"
        run = hapdask("plan", *small_field.all, "--draw", path)
        assert run.code == 0
        with Image.open(path) as picture:
            colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert len(np.unique(colours, axis=0)) > 20

    def test_a_drawing_that_cannot_be_written(self, hapdask, small_field, tmp_path):
        (tmp_path / "file").write_text("in the way")
        run = hapdask("plan", small_field.uvis, "--draw", tmp_path / "file" / "plan.png")
        assert run.code == 1
        assert "a part of that path is a file" in run.err


class TestMapRows:
    def test_north_is_up_and_gaps_show(self):
        part = PlanMap(2048, inputs={(5, 1): {"a"}, (5, 3): {"a", "b"}, (6, 1): {"c"}})
        assert part.rows(width=10) == [[1, 0, 0], [1, 0, 2]]

    def test_a_wide_map_is_joined(self):
        part = PlanMap(2048, inputs={(0, x): {str(n) for n in range(x)} for x in range(1, 40)})
        (row,) = part.rows(width=20)
        assert len(row) == 20
        assert row[-1] == 39
