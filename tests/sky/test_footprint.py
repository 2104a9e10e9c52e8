"""Footprint: S_REGION in and out, containment and overlap over poles and RA 0, MOC."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from dask.tokenize import tokenize
from hypothesis import given
from hypothesis import strategies as st

from hapdask.errors import FrameError
from hapdask.sky import Footprint, Frame, SkyGrid
from hapdask.sky.planar import inside_point, points_in_polygon, polygon_meets_boxes
from hapdask.sky.tangent import unit_vectors

DATA = Path(__file__).parents[1] / "data" / "sky"

skies = st.tuples(st.floats(0, 360), st.floats(-90, 90))
frames = st.builds(
    lambda sky, scale, shape, roll: Frame.from_center(*sky, scale, shape, roll),
    skies,
    st.floats(0.03, 60.0),
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.floats(0, 360),
)
fractions = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30)


def points_in(frame: Frame, where: list[tuple[float, float]], margin: float = 1e-3) -> tuple:
    """Sky positions well inside a frame: fractions of its sides, away from the edge."""
    u, v = np.array(where).T * (1 - 2 * margin) + margin
    return frame.pixel_to_sky(u * frame.shape[1] - 0.5, v * frame.shape[0] - 0.5)


@given(frames, fractions)
def test_contains_what_its_frame_contains(frame: Frame, where: list) -> None:
    assert frame.footprint.contains(*points_in(frame, where)).all()
    margin = 1e-3 * max(frame.shape)
    ny, nx = frame.shape
    x = np.array([-0.5 - margin, nx - 0.5 + margin, nx / 2, nx / 2])
    y = np.array([ny / 2, ny / 2, -0.5 - margin, ny - 0.5 + margin])
    assert not frame.footprint.contains(*frame.pixel_to_sky(x, y)).any()
    ra, dec = frame.center
    assert not frame.footprint.contains((ra + 180) % 360, -dec)


@given(frames, fractions)
def test_bounding_cap_holds_the_region(frame: Frame, where: list) -> None:
    cap = frame.footprint.bounding_cap
    distance = np.arccos(np.clip(unit_vectors(*points_in(frame, where)) @ cap.vector, -1, 1))
    assert np.degrees(distance).max() <= cap.radius + 1e-6
    assert np.linalg.norm(cap.vector) == pytest.approx(1)
    diagonal = np.hypot(*frame.shape) * frame.pixel_scale / 3600
    assert cap.radius <= 0.5 * diagonal * 1.01


@given(frames, st.floats(0, 360), st.floats(0.02, 3.0), st.floats(0, 360))
def test_overlap_is_symmetric_and_what_sampling_says(
    frame: Frame, direction: float, distance: float, roll: float
) -> None:
    half = 0.5 * max(frame.shape)
    angle = np.radians(direction)
    x = frame.shape[1] / 2 + distance * half * np.cos(angle)
    y = frame.shape[0] / 2 + distance * half * np.sin(angle)
    ra, dec = frame.pixel_to_sky(x, y)
    other = Frame.from_center(ra, dec, frame.pixel_scale, frame.shape, roll)
    found = frame.footprint.overlaps(other.footprint)
    assert found == other.footprint.overlaps(frame.footprint)
    u = np.linspace(0.002, 0.998, 60)
    grid = [(a, b) for a in u for b in u]
    if frame.contains(*points_in(other, grid)).any():
        assert found
    # Grown by what the samples can miss, a frame without samples does not overlap.
    elif not frame.pad(1 + max(frame.shape) // 20).contains(*points_in(other, grid)).any():
        assert not found


def test_overlap_without_crossing_edges() -> None:
    big = Frame.from_center(0.0, 90.0, 1.0, (1000, 1000)).footprint
    small = Frame.from_center(10.0, 89.99, 1.0, (10, 10), rotation=33.0).footprint
    assert big.overlaps(small)
    assert small.overlaps(big)
    assert big.overlaps(big)
    opposite = Frame.from_center(0.0, -90.0, 1.0, (1000, 1000)).footprint
    assert not big.overlaps(opposite)
    cell = SkyGrid()["p1889x07y19"].frame()
    assert cell.footprint.overlaps(cell[:, 7000:].footprint)
    assert cell[:, :9000].footprint.overlaps(cell[:, 7000:].footprint)
    assert not cell[:, :9000].footprint.overlaps(cell[:, 9100:].footprint)


def test_overlap_across_ra_zero() -> None:
    west = Frame.from_center(359.999, 10.0, 0.04, (2000, 2000)).footprint
    east = Frame.from_center(0.001, 10.0, 0.04, (2000, 2000)).footprint
    far = Frame.from_center(0.1, 10.0, 0.04, (2000, 2000)).footprint
    assert west.overlaps(east)
    assert not west.overlaps(far)
    assert west.contains(0.0, 10.0)
    assert west.contains(360.0, 10.0)


def test_concave_polygon() -> None:
    ra = np.array([10.0, 10.0, 10.4, 10.4, 10.3, 10.3, 10.1, 10.1])
    dec = np.array([0.0, 0.4, 0.4, 0.0, 0.0, 0.3, 0.3, 0.0])
    arch = Footprint.from_vertices(ra, dec)
    assert arch.contains([10.05, 10.35, 10.2], [0.1, 0.1, 0.35]).all()
    assert not arch.contains(10.2, 0.1)
    gap = Footprint.from_vertices([10.15, 10.15, 10.25, 10.25], [0.05, 0.2, 0.2, 0.05])
    assert not arch.overlaps(gap)
    assert arch.overlaps(Footprint.from_vertices([10.15, 10.15, 10.25], [0.05, 0.32, 0.2]))


def test_several_polygons_act_as_one_region() -> None:
    a = Frame.from_center(359.9, 5.0, 1.0, (100, 100)).footprint
    b = Frame.from_center(0.5, 5.0, 1.0, (100, 100)).footprint
    both = a | b
    assert both.contains([359.9, 0.5, 0.2], [5.0, 5.0, 5.0]).tolist() == [True, True, False]
    assert both.overlaps(a)
    assert both.overlaps(b)
    cap = both.bounding_cap
    for ra, dec in both.polygons:
        assert (unit_vectors(ra, dec) @ cap.vector >= np.cos(np.radians(cap.radius)) - 1e-15).all()
    everywhere = a | Frame.from_center(179.9, -5.0, 1.0, (100, 100)).footprint
    assert everywhere.bounding_cap.radius == 180.0


def test_an_empty_footprint() -> None:
    empty = Frame.from_center(1.0, 1.0, 1.0, (10, 10))[5:5].footprint
    assert empty == Footprint(())
    assert not empty.contains(1.0, 1.0)
    assert not empty.overlaps(Frame.from_center(1.0, 1.0, 1.0, (10, 10)).footprint)
    assert empty.to_moc(8).sky_fraction == 0
    assert "empty" in empty._repr_html_()
    with pytest.raises(FrameError, match="empty"):
        _ = empty.bounding_cap


# S_REGION


@given(st.lists(frames, min_size=1, max_size=4))
def test_sregion_round_trip_is_exact(made: list[Frame]) -> None:
    footprint = made[0].footprint
    for frame in made[1:]:
        footprint |= frame.footprint
    assert Footprint.from_sregion(footprint.to_sregion()) == footprint


def test_sregions_of_real_files() -> None:
    files = json.loads((DATA / "skycell_sample_files_truth.json").read_text())
    for extension in (sci for file in files.values() for sci in file["sci"]):
        footprint = Footprint.from_sregion(extension["S_REGION"])
        assert [len(ra) for ra, _ in footprint.polygons] == [4]
        assert footprint.to_sregion() == extension["S_REGION"].strip()
        # CRPIX lies on the chip.
        assert footprint.contains(extension["CRVAL1"], extension["CRVAL2"])


@pytest.mark.parametrize(
    "text",
    [
        "POLYGON ICRS 10 20 10.1 20 10.1 20.1",
        "polygon icrs 10. 20. 10.1 20. 10.1 20.1 10. 20. ",
        "POLYGON 10 20 10.1 20 10.1 20.1",
        "Polygon J2000 370 20 10.1 20 10.1 2.01e1 10 20",
        "UNION ICRS TOPOCENTER (POLYGON 10 20 10.1 20, 10.1 20.1)",
    ],
)
def test_sregion_dialects(text: str) -> None:
    assert Footprint.from_sregion(text).polygons == (((10.0, 10.1, 10.1), (20.0, 20.0, 20.1)),)


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.99, 89.95), (12.0, -90.0)])
def test_circle_is_held_by_its_polygon(ra: float, dec: float) -> None:
    circle = Footprint.from_sregion(f"CIRCLE ICRS {ra} {dec} 0.25")
    frame = Frame.from_center(ra, dec, 3.6, (1, 1))  # 1000 pixels a degree
    angle = np.linspace(0, 2 * np.pi, 1000)
    reach = np.degrees(np.tan(np.radians(0.25))) * 1000
    for factor, inside in ((0.9999, True), (1.0015, False)):
        x, y = factor * reach * np.cos(angle), factor * reach * np.sin(angle)
        assert (circle.contains(*frame.pixel_to_sky(x, y)) == inside).all()
    assert circle.contains(ra, dec)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no POLYGON"),
        ("UNION ICRS", "no POLYGON"),
        ("10 20 30 40", "before any"),
        ("POLYGON ICRS 10 20 10.1 20 10.1", "5 coordinates"),
        ("POLYGON ICRS 10 20 10.1 20", "three different vertices"),
        ("POLYGON ICRS 10 20 10 20 10 20 10 20", "three different vertices"),
        ("POLYGON ICRS 10 20 10.1 95 10.1 20", "no sky position"),
        ("POLYGON ICRS 10 20 nan 20 10.1 20", "nan"),
        ("POLYGON GALACTIC 10 20 10.1 20 10.1 20.1", "GALACTIC"),
        ("BOX ICRS 10 20 1 1", "BOX"),
        ("POLYGON ICRS 0 0 120 0 240 0", "80 degrees"),
        ("CIRCLE ICRS 10 20", "instead of 3"),
        ("CIRCLE ICRS 10 20 -1", "CIRCLE"),
        ("CIRCLE ICRS 10 20 180", "CIRCLE"),
        ("POLYGON ICRS " + "1 " * 2_000_000, "characters"),
    ],
)
def test_bad_sregions_say_what(text: str, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        Footprint.from_sregion(text)


def test_unequal_coordinates_are_refused() -> None:
    with pytest.raises(FrameError, match="3 RAs but 2"):
        Footprint.from_vertices([1.0, 2.0, 3.0], [1.0, 2.0])


def test_tokens_pickle_and_drawing() -> None:
    a = Footprint.from_sregion("POLYGON ICRS 10 20 10.1 20 10.1 20.1 10 20")
    b = Footprint.from_sregion("POLYGON ICRS 370 20 10.1 20 10.1 20.1")
    assert a == b
    assert hash(a) == hash(b)
    assert tokenize(a, ensure_deterministic=True) == tokenize(b, ensure_deterministic=True)
    c = Footprint.from_sregion("POLYGON ICRS 10 20 10.1 20 10.1 20.2")
    assert tokenize(a) != tokenize(c)
    assert pickle.loads(pickle.dumps(a)) == a
    assert (a | c)._repr_html_().count("<polygon") == 2


# MOC


@pytest.mark.parametrize(("number", "y"), [(0, 1), (1322, 11), (1889, 19), (2643, 11), (2643, 21)])
def test_moc_of_a_sky_cell(number: int, y: int) -> None:
    """Over both poles and RA 0: nothing of the cell is lost, and little is added."""
    from astropy import units as u

    frame = SkyGrid()[number].cell(11, y).frame()
    moc = frame.footprint.to_moc(12)
    assert moc.max_order == 12
    rng = np.random.default_rng(3)
    ra, dec = points_in(frame, rng.uniform(0, 1, (2000, 2)).tolist())
    assert moc.contains_lonlat(ra * u.deg, dec * u.deg).all()
    area = (frame.shape[0] * frame.pixel_scale / 3600) ** 2
    assert area * 0.98 < moc.sky_fraction * 41252.96 < area * 1.3


def test_moc_of_a_whole_projection_cell_and_of_several_regions() -> None:
    whole = SkyGrid()[2643].frame().footprint.to_moc(9)
    assert 25.0 < whole.sky_fraction * 41252.96 < 27.0
    a = Footprint.from_sregion("CIRCLE ICRS 0 0 0.2")
    b = Footprint.from_sregion("CIRCLE ICRS 100 0 0.2")
    assert (a | b).to_moc(10) == a.to_moc(10) | b.to_moc(10)


# The plane beneath


@given(st.integers(3, 12), st.integers(0, 10**6))
def test_inside_point_is_inside(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = rng.uniform(0.2, 1.0, n)
    star = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    x, y = inside_point(star)
    assert points_in_polygon(np.array(x), np.array(y), star)


def test_inside_point_of_a_line() -> None:
    assert inside_point(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])) == (0.0, 1.0)


@given(st.integers(3, 9), st.integers(0, 10**6))
def test_boxes_met_are_those_that_sampling_meets(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = rng.uniform(0.5, 6.0, n)
    star = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(-7.0, 7.0), np.arange(-7.0, 7.0)))
    low = np.stack([i, j], axis=-1)
    met = polygon_meets_boxes(star, low, low + 1.0)
    u = (np.arange(15) + 0.5) / 15
    x = low[:, :1, None] + u[None, :, None] + 0 * u[None, None, :]
    y = low[:, 1:, None] + u[None, None, :] + 0 * u[None, :, None]
    sampled = points_in_polygon(x, y, star).any(axis=(1, 2))
    assert (met >= sampled).all()
    assert met.sum() <= sampled.sum() + 2 * n + 28


def test_edges_along_the_axes_and_touching_boxes() -> None:
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    low = np.array([[-1.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.5, 0.5], [1.5, 1.5], [-1.0, -1.0]])
    high = low + np.array([1.0, 1.0])
    high[-1] = [3.0, 3.0]
    met = polygon_meets_boxes(square, low, high)
    assert met.tolist() == [False, False, False, True, True, True]
