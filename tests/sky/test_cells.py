"""Projection cells and sky cells against the WCSs that upstream makes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from dask.tokenize import tokenize

from hapdask.errors import ParameterError
from hapdask.sky import SkyCell, SkyGrid
from hapdask.sky.cells import Tessellation, parse_name

DATA = Path(__file__).parents[1] / "data" / "sky"
TRUTH = json.loads((DATA / "skycell_truth.json").read_text())
GRID = SkyGrid()


def assert_wcs(frame: object, truth: dict) -> None:
    """Equal to the last bit: header cards of our exports are upstream's."""
    assert frame.crval == tuple(truth["crval"])
    assert frame.crpix_window == tuple(truth["crpix"])
    assert frame.cd == tuple(np.ravel(truth["cd"]))
    assert frame.shape == tuple(truth["naxis"][::-1])


def assert_corners(frame: object, truth: dict) -> None:
    """Upstream's corners are centres of the corner pixels."""
    ny, nx = truth["naxis"][::-1]
    ra, dec = np.array(truth["corners"][:4]).T
    x, y = frame.sky_to_pixel(ra, dec)
    np.testing.assert_allclose(x, [0, 0, nx - 1, nx - 1], atol=1e-6)
    np.testing.assert_allclose(y, [0, ny - 1, ny - 1, 0], atol=1e-6)


def test_the_truth_is_all_there() -> None:
    assert len(TRUTH) == 18


@pytest.mark.parametrize("name", TRUTH)
def test_fine_sky_cell(name: str) -> None:
    frame = GRID[name].frame()
    assert_wcs(frame, TRUTH[name]["fine"])
    assert_corners(frame, TRUTH[name]["fine"])
    assert frame.name == name
    assert frame.pixel_scale == pytest.approx(TRUTH[name]["fine"]["pscale"], rel=1e-14)
    ltv = (frame.crpix[0] - frame.crpix_window[0], frame.crpix[1] - frame.crpix_window[1])
    assert ltv == tuple(TRUTH[name]["fine"]["ltv"])


@pytest.mark.parametrize("name", TRUTH)
def test_upstream_coarse_sky_cell(name: str) -> None:
    frame = GRID[name].upstream_coarse_frame()
    assert_wcs(frame, TRUTH[name]["coarse"])
    assert_corners(frame, TRUTH[name]["coarse"])


@pytest.mark.parametrize("name", TRUTH)
def test_projection_cell(name: str) -> None:
    truth = TRUTH[name]["projection_cell"]
    cell = GRID[truth["cell_id"]]
    stored = cell.frame()
    nominal = stored[: truth["naxis"][1], : truth["naxis"][0]]
    assert GRID[name].projection_cell == cell
    assert_wcs(nominal, truth)
    assert_corners(nominal, truth)
    # Departure: upstream's is 450287 wide; ours holds the last sky cells whole.
    assert stored.shape == (450794, 450794)
    assert stored.origin == (0, 0)


def test_all_sky_cells_are_windows_of_one_grid_and_tile_it() -> None:
    cell = GRID[1889]
    root = cell.frame()
    frames = {(c.x, c.y): c.frame() for c in cell.cells()}
    assert len(frames) == 441
    assert {f.root_key for f in frames.values()} == {root.root_key}
    assert all(root & f == f for f in frames.values())
    for x, y in frames:
        if x < 21:
            shared = frames[x, y] & frames[x + 1, y]
            assert shared.shape == (21954, 512)
        if y < 21:
            shared = frames[x, y] & frames[x, y + 1]
            assert shared.shape == (512, 21954)
        if x < 20:
            assert (frames[x, y] & frames[x + 2, y]).empty
    assert frames[1, 1].origin == (0, 0)
    assert frames[21, 21].box == (428840, 450794, 428840, 450794)
    assert frames[21, 21].box[1] - Tessellation().size == 507


def test_one_coarse_grid_of_which_every_cell_is_a_window() -> None:
    cell = GRID[1889]
    root = cell.frame("coarse")
    assert root.crpix == (75048.0, 75048.0)
    assert root.shape == (150265, 150265)  # ceil(450794 / 3)
    assert root.pixel_scale == pytest.approx(0.12, rel=1e-14)
    phases = set()
    for sky_cell in cell.cells():
        window, upstream = sky_cell.frame("coarse"), sky_cell.upstream_coarse_frame()
        assert window.root_key == root.root_key
        assert root & window == window
        # It covers upstream's cell, pixel edges included, and no more than it must.
        offset_x = window.crpix_window[0] - upstream.crpix[0]
        offset_y = window.crpix_window[1] - upstream.crpix[1]
        for offset, size in ((offset_x, window.shape[1]), (offset_y, window.shape[0])):
            assert -1e-9 <= offset < 1
            assert offset + 7318 <= size + 1e-9
            assert size < offset + 7318 + 1
        phases.add((round(offset_x * 3), round(offset_y * 3)))
    # science.md, Grids: 21442 / 3 is no integer, hence nine sub-pixel phases upstream.
    assert len(phases) == 9


def test_coarse_and_fine_windows_lie_on_the_same_sky() -> None:
    """Coarse pixel centres are fine pixel centres: CRPIX is divided, pixel 1-based X = x / 3."""
    cell = GRID["p0498x16y19"]
    fine, coarse = cell.frame(), cell.frame("coarse")
    x, y = coarse.sky_to_pixel(*fine.pixel_to_sky(np.arange(100.0), np.arange(100.0)))
    root_x, root_y = x + coarse.origin[1] + 1, y + coarse.origin[0] + 1
    np.testing.assert_allclose(root_x, (np.arange(100) + fine.origin[1] + 1) / 3, atol=1e-8)
    np.testing.assert_allclose(root_y, (np.arange(100) + fine.origin[0] + 1) / 3, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "parsed"), [("skycell-p0797x12y05", (797, 12, 5)), ("p2643x01y21", (2643, 1, 21))]
)
def test_names(name: str, parsed: tuple[int, int, int]) -> None:
    assert parse_name(name) == parsed
    cell = GRID[name]
    assert cell.name == "skycell-" + cell.id
    assert cell.id == name.removeprefix("skycell-")
    assert cell.projection_cell.name == cell.id[:5]
    assert GRID[cell.name] == cell


@pytest.mark.parametrize(
    "name",
    [
        "",
        "skycell-p1889",
        "skycell-p1889x7y19",
        "skycell-p1889x07y19 ",
        "../p1889x07y19",
        "skycell-p1889x07y19/..",
        "SKYCELL-P1889X07Y19",
        "skycell-p1889x07y19\n",
        "p\u0661889x07y19",
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(ParameterError, match="sky cell name"):
        GRID[name]


@pytest.mark.parametrize(
    ("name", "says"),
    [("p2644x01y01", "0 to 2643"), ("p0001x00y01", "1 to 21"), ("p0001x01y22", "1 to 21")],
)
def test_cells_that_do_not_exist(name: str, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        GRID[name]


def test_unknown_scale() -> None:
    with pytest.raises(ParameterError, match="'fine' or 'coarse'"):
        GRID["p0001x01y01"].frame("medium")  # type: ignore[arg-type]


def test_values_tokens_and_drawing() -> None:
    a, b = GRID["p1889x07y19"], SkyGrid()["skycell-p1889x07y19"]
    assert a == b
    assert hash(a) == hash(b)
    assert tokenize(a, ensure_deterministic=True) == tokenize(b, ensure_deterministic=True)
    assert tokenize(a) != tokenize(GRID["p1889x07y18"])
    assert pickle.loads(pickle.dumps(a)) == a
    page = a._repr_html_()
    assert "skycell-p1889x07y19" in page
    assert "<rect" in page
    assert isinstance(a, SkyCell)


def test_another_tessellation() -> None:
    """The values are passed in: nothing is fixed to HAP's."""
    small = Tessellation(pixel_scale=0.1, size=1000, cells_per_side=10, overlap=5, coarse_factor=2)
    assert (small.step, small.cell_size, small.stored_size) == (100, 110, 1010)
    grid = SkyGrid(GRID.bands, small)
    frame = grid["p1889x10y01"].frame()
    assert frame.box == (0, 110, 900, 1010)
    assert frame.crpix == (500.5, 500.5)
    assert frame.pixel_scale == pytest.approx(0.1)
    assert grid["p1889x10y01"].frame("coarse").box == (0, 55, 450, 505)
