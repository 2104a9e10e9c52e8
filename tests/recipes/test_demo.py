"""The demonstration on a smaller field: all products of all cells, and one sky in their overlap."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from hapdask.errors import ParameterError
from hapdask.recipes import demo
from hapdask.simulate import DEMO_VISITS, Setup, Visit

CELLS = ("skycell-p1889x11y11", "skycell-p1889x12y11")


@pytest.fixture
def one_exposure(monkeypatch):
    visits = (Visit("01", 35.0, "2018-03-05T02:10:00", (Setup("WFC3", "IR", "F160W", 300.0),)),)
    monkeypatch.setattr(demo, "demo_visits", lambda size: visits)


def test_all_products_of_all_cells(one_exposure, tmp_path):
    steps = []
    report = demo.demo(tmp_path, threads=2, progress=steps.append)
    assert not report.left_out
    assert {r.job.place.name for r in report.results} == set(CELLS)
    names = {
        f"hst_{cell}_wfc3_ir_f160w_{group}_drz{form}"
        for cell in CELLS for group in ("all", "coarse-all")
        for form in (".fits", ".jpg", "_thumb.jpg")
    }  # fmt: skip
    assert {file.path.name for file in report.files} == names
    assert all(file.path.is_file() for file in report.files)
    assert set(report.seconds) == {"simulate", "plan", "measure", "compile", "drizzle", "export"}
    finished = {step.task for step in steps if step.done == step.total}
    assert finished >= {"simulate exposures", "measure sky levels", "write files"}
    assert len(finished) == 5 + len(report.results)
    _shared_pixels_are_equal(tmp_path)
    _nothing_is_done_twice(tmp_path, report)


def _shared_pixels_are_equal(out):
    """Both cells are windows of one grid: where they overlap, they hold the same pixels."""
    planes = {}
    for cell in CELLS:
        with fits.open(out / cell / f"hst_{cell}_wfc3_ir_f160w_all_drz.fits") as hdus:
            header = hdus["SCI"].header
            x0, y0 = (round(header[f"CRPIX{axis}"]) for axis in (1, 2))
            for name in ("SCI", "WHT", "ERR"):
                plane = hdus[name].data
                columns = np.arange(plane.shape[1]) - x0
                rows = np.arange(plane.shape[0]) - y0
                planes[cell, name] = plane, set(rows), set(columns), (x0, y0)
    compared = 0
    for name in ("SCI", "WHT", "ERR"):
        (a, rows_a, columns_a, (xa, ya)), (b, rows_b, columns_b, (xb, yb)) = (
            planes[cell, name] for cell in CELLS
        )
        rows, columns = sorted(rows_a & rows_b), sorted(columns_a & columns_b)
        assert len(columns) == 512
        one = a[np.ix_(np.array(rows) + ya, np.array(columns) + xa)]
        other = b[np.ix_(np.array(rows) + yb, np.array(columns) + xb)]
        np.testing.assert_array_equal(one, other)
        compared += np.isfinite(one).sum()
    assert compared > 1e6


def _nothing_is_done_twice(out, report):
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    again = demo.demo(out, threads=2)
    assert [r.made for r in again.results] == [0] * len(report.results)
    assert not any(file.written for file in again.files)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before


def test_the_field_of_the_issue():
    for size, dithers in (("full", 2), ("small", 1)):
        visits = demo.demo_visits(size)
        assert len({visit.roll for visit in visits}) == len(visits) == 2
        for visit, whole in zip(visits, DEMO_VISITS, strict=True):
            assert [s.detector for s in visit.setups] == [s.detector for s in whole.setups]
            assert {s.detector for s in visit.setups} == {"UVIS", "IR", "WFC"}
            assert all(len(setup.dithers) == dithers for setup in visit.setups)
    with pytest.raises(ParameterError, match="small, full"):
        demo.demo_visits("huge")
