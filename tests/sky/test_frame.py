"""Frame: the algebra of windows, tokens, headers and refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from dask.tokenize import tokenize
from hypothesis import assume, given
from hypothesis import strategies as st

from hapdask.errors import FrameError
from hapdask.sky import Frame

S = 0.04 / 3600


def frame(ny: int = 60, nx: int = 80, origin: tuple[int, int] = (0, 0), **changes: object) -> Frame:
    values: dict[str, object] = {
        "crval": (180.0, 26.0),
        "crpix": (225144.0, 225144.0),
        "cd": (-S, 0.0, 0.0, S),
        "shape": (ny, nx),
        "origin": origin,
    }
    return Frame(**(values | changes))  # type: ignore[arg-type]


def root_indices(window: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Root pixel of each pixel: what a frame stands for in the algebra."""
    y0, y1, x0, x1 = window.box
    return np.meshgrid(np.arange(y0, y1), np.arange(x0, x1), indexing="ij")


ends = st.none() | st.integers(-100, 100)
slices = st.builds(slice, ends, ends)
pairs = st.tuples(slices, slices)
origins = st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000))
sizes = st.tuples(st.integers(0, 90), st.integers(0, 90))
windows = st.builds(lambda shape, origin: frame(*shape, origin=origin), sizes, origins)


@given(windows, pairs, pairs)
def test_slicing_composes_as_numpy_does(window: Frame, a: tuple, b: tuple) -> None:
    y, x = root_indices(window)
    result = window[a][b]
    ry, rx = root_indices(result)
    np.testing.assert_array_equal(ry, y[a][b])
    np.testing.assert_array_equal(rx, x[a][b])
    assert result.root_key == window.root_key
    if not result.empty:
        inside = result.slices_in(window)
        assert window[inside] == result


@given(windows, slices)
def test_one_slice_takes_rows(window: Frame, rows: slice) -> None:
    assert window[rows] == window[rows, :]


@given(windows, windows, windows)
def test_intersection_is_that_of_pixels(a: Frame, b: Frame, c: Frame) -> None:
    def pixels(window: Frame) -> set[tuple[int, int]]:
        return set(zip(*(i.ravel().tolist() for i in root_indices(window)), strict=True))

    b = frame(*b.shape, origin=(a.origin[0] + b.origin[0] % 120 - 60, a.origin[1] + 7))
    assert pixels(a & b) == pixels(a) & pixels(b)
    assert a & b == b & a
    assert (a & b) & c == a & (b & c)
    assert a.empty or a & a == a
    if (a & b).empty:
        assert (a & b).shape == (0, 0)


@given(windows, st.integers(0, 50))
def test_padding_is_undone_by_slicing(window: Frame, n: int) -> None:
    padded = window.pad(n)
    assert padded[n : n + window.shape[0], n : n + window.shape[1]] == window


@given(windows, st.integers(3, 40))
def test_tiles_partition_the_window(window: Frame, n: int) -> None:
    count = np.zeros(window.shape, dtype=int)
    seen = set()
    for (ty, tx), tile in window.tiles(n):
        assert not tile.empty
        assert (ty, tx) not in seen
        seen.add((ty, tx))
        count[tile.slices_in(window)] += 1
        y0, y1, x0, x1 = tile.box
        assert ty * n <= y0 < y1 <= ty * n + n
        assert tx * n <= x0 < x1 <= tx * n + n
    assert (count == 1).all()


@given(windows, pairs, st.integers(4, 40))
def test_a_tile_has_the_same_index_in_every_window(window: Frame, part: tuple, n: int) -> None:
    whole = dict(window.tiles(n))
    for index, tile in window[part].tiles(n):
        assert tile & whole[index] == tile


@given(windows, st.integers(4, 40))
def test_whole_tiles_cover_and_end_on_tiles(window: Frame, n: int) -> None:
    whole = window.whole_tiles(n)
    assert all(edge % n == 0 for edge in whole.box)
    if not window.empty:
        assert whole & window == window
        tiles = dict(whole.tiles(n))
        assert {tile.shape for tile in tiles.values()} == {(n, n)}
        assert tiles.keys() == dict(window.tiles(n)).keys()


@given(windows, st.integers(1, 7))
def test_coarse_pixels_are_blocks(window: Frame, n: int) -> None:
    assume(not window.empty)
    coarse = window.coarsen(n)
    blocks = window.whole_tiles(n)
    assert (coarse.shape[0] * n, coarse.shape[1] * n) == blocks.shape
    assert coarse.pixel_scale == pytest.approx(n * window.pixel_scale, rel=1e-12)
    # The outer corner of coarse pixels is the outer corner of the block of fine pixels.
    x, y = np.array([-0.5, coarse.shape[1] - 0.5]), np.array([-0.5, coarse.shape[0] - 0.5])
    fx, fy = blocks.sky_to_pixel(*coarse.pixel_to_sky(x, y))
    np.testing.assert_allclose(fx, [-0.5, blocks.shape[1] - 0.5], atol=1e-7)
    np.testing.assert_allclose(fy, [-0.5, blocks.shape[0] - 0.5], atol=1e-7)
    if (window.origin[0] % n, window.origin[1] % n) == (0, 0):
        assert coarse.origin == (window.origin[0] // n, window.origin[1] // n)


def test_windows_agree_on_the_sky_to_the_last_bit() -> None:
    root = frame(450794, 450794)
    window = root[430000:432048, 215000:217048]
    x, y = np.arange(0.0, 2048.0, 13.0), np.arange(0.0, 2048.0, 13.0)
    for mine, roots in zip(
        window.pixel_to_sky(x, y), root.pixel_to_sky(x + 215000, y + 430000), strict=True
    ):
        np.testing.assert_array_equal(mine, roots)
    ra, dec = root.pixel_to_sky(x + 215000, y + 430000)
    for mine, roots, offset in zip(
        window.sky_to_pixel(ra, dec), root.sky_to_pixel(ra, dec), (215000, 430000), strict=True
    ):
        np.testing.assert_array_equal(mine, roots - offset)


def test_equality_hash_and_token() -> None:
    a, b = frame(name="a"), frame(name="b")
    assert a == b
    assert hash(a) == hash(b)
    assert tokenize(a, ensure_deterministic=True) == tokenize(b, ensure_deterministic=True)
    wrapped = frame(crval=(360.0, -0.0)), frame(crval=(0.0, 0.0)), frame(crval=(-0.0, 0.0))
    assert len(set(wrapped)) == 1
    assert len({tokenize(f, ensure_deterministic=True) for f in wrapped}) == 1
    others = [
        frame(61),
        frame(60, 81),
        frame(origin=(1, 0)),
        frame(crval=(180.0, 26.000000000001)),
        frame(crpix=(225144.0, 225143.0)),
        frame(cd=(-S, 0.0, 0.0, S * (1 + 1e-15))),
    ]
    assert len({a, *others}) == 1 + len(others)
    assert len({tokenize(f, ensure_deterministic=True) for f in [a, *others]}) == 1 + len(others)


def test_pickle_and_immutability() -> None:
    window = frame(name="skycell-p1889x07y19")[3:9, 4:7]
    assert pickle.loads(pickle.dumps(window)) == window
    assert len(pickle.dumps(window)) < 500
    with pytest.raises(AttributeError):
        window.name = "other"  # type: ignore[misc]


def test_numpy_numbers_become_plain_ones() -> None:
    made = Frame(np.array([10.0, 5.0]), (np.float64(1), 1), np.array([-S, 0, 0, S]),
                 (np.int64(4), np.int32(5)), np.array([1, 2]))  # fmt: skip
    assert [type(v) for v in (*made.crval, *made.crpix, *made.cd)] == [float] * 8
    assert [type(v) for v in (*made.shape, *made.origin)] == [int] * 4
    assert tokenize(made) == tokenize(Frame((10.0, 5.0), (1.0, 1.0), made.cd, (4, 5), (1, 2)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"crval": (float("nan"), 0.0)}, "crval"),
        ({"crval": (0.0, 90.1)}, "crval"),
        ({"crval": (1e10, 0.0)}, "crval"),
        ({"crval": (0.0,)}, "2 finite numbers"),
        ({"crval": "ab"}, "2 finite numbers"),
        ({"crpix": (float("inf"), 0.0)}, "crpix"),
        ({"crpix": (1e300, 0.0)}, "crpix"),
        ({"cd": (S, S, S, S)}, "singular"),
        ({"cd": (0.0, 0.0, 0.0, 0.0)}, "absurd"),
        ({"cd": (1e300, 0.0, 0.0, 1e300)}, "absurd"),
        ({"cd": (S, 0.0, S)}, "cd"),
        ({"shape": (-1, 5)}, "negative"),
        ({"shape": (5.0, 5)}, "integers"),
        ({"shape": (5,)}, "integers"),
        ({"shape": (2**31, 5)}, "2\\*\\*31"),
        ({"origin": (2**31 - 5, 0), "shape": (10, 10)}, "2\\*\\*31"),
    ],
)
def test_impossible_frames_say_why(changes: dict[str, object], says: str) -> None:
    with pytest.raises(FrameError, match=says):
        frame(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "key",
    [
        5,
        (1, 2),
        (slice(0, 4, 2), slice(None)),
        slice(0.5, 3),
        ...,
        (slice(1), slice(2), slice(3)),
        (slice(None, None, -1), slice(1)),
    ],
)
def test_only_plain_slices(key: object) -> None:
    with pytest.raises(FrameError, match="slice"):
        frame()[key]  # type: ignore[index]


def test_an_empty_window() -> None:
    nothing = frame()[7:7, 3:9]
    assert nothing.empty
    assert nothing.shape == (0, 6)
    assert list(nothing.tiles(4)) == []
    assert nothing.whole_tiles(4).empty
    assert nothing.coarsen(3).empty
    assert nothing.slices_in(frame()) == (slice(0, 0), slice(0, 0))


def test_refusals_of_the_algebra() -> None:
    a, elsewhere = frame(), frame(crval=(181.0, 26.0))
    with pytest.raises(FrameError, match="different root grids"):
        a & elsewhere
    with pytest.raises(FrameError, match="different root grids"):
        a.slices_in(elsewhere)
    with pytest.raises(FrameError, match="not inside"):
        a.slices_in(a[1:])
    with pytest.raises(FrameError, match="pad"):
        a.pad(-1)
    for n in (0, -3):
        for act in (a.coarsen, a.whole_tiles, lambda n: list(a.tiles(n))):
            with pytest.raises(FrameError, match="impossible"):
                act(n)


# Headers


@given(
    st.floats(0, 360, exclude_max=True),
    st.floats(-90, 90),
    st.floats(0.01, 10.0),
    st.floats(-180, 180),
    sizes,
    origins,
)
def test_header_round_trip(
    ra: float, dec: float, scale: float, rotation: float, shape: tuple, origin: tuple
) -> None:
    made = Frame.from_center(ra, dec, scale, shape, rotation)
    window = Frame(made.crval, made.crpix, made.cd, shape, origin)
    again = Frame.from_header(window.to_header(), shape)
    assert again.crpix_window == window.crpix_window
    assert (again.crval, again.cd, again.shape) == (window.crval, window.cd, window.shape)
    assert made.pixel_scale == pytest.approx(scale, rel=1e-12)


def test_header_through_fits_and_astropy() -> None:
    window = Frame.from_center(83.8, -5.4, 0.05, (300, 400), rotation=30.0)[20:120, 50:250]
    hdu = fits.ImageHDU(np.zeros(window.shape, np.float32))
    hdu.header.update(window.to_header())
    text = fits.Header.fromstring(hdu.header.tostring())
    again = Frame.from_header(text)
    # A FITS card written by astropy has 20 characters, 14 digits of a CD element.
    np.testing.assert_allclose(again.cd, window.cd, rtol=1e-13)
    assert (again.crval, again.crpix) == (window.crval, window.crpix_window)
    assert again.shape == window.shape
    assert WCS(text).wcs.compare(window.to_wcs().wcs, tolerance=1e-13)
    assert window.to_wcs().array_shape == window.shape
    # astropy writes PC and CDELT: the same grid in other cards.
    other = Frame.from_header(window.to_wcs().to_header(), window.shape)
    np.testing.assert_allclose(other.cd, window.cd, rtol=1e-12)
    assert other.crpix == window.crpix_window


def test_trimmed_window_of_the_documented_example() -> None:
    """CRPIX (94360, -171093), 10840 x 11672 of p1889x07y19: an example of the MVM handbook."""
    from hapdask.sky import SkyGrid

    cell = SkyGrid()["skycell-p1889x07y19"].frame()
    trimmed = cell[10281 : 10281 + 11672, 2132 : 2132 + 10840]
    assert trimmed.crpix_window == (94360.0, -171093.0)
    assert trimmed.shape == (11672, 10840)


@pytest.mark.parametrize(
    ("cards", "says"),
    [
        ({"CTYPE1": "RA---SIN"}, "CTYPE1"),
        ({"CTYPE1": "RA---TAN-SIP"}, "CTYPE1"),
        ({"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"}, "CTYPE1"),
        ({"CTYPE2": None}, "CTYPE2"),
        ({"CTYPE2": 5}, "CTYPE2"),
        ({"CUNIT1": "arcsec"}, "CUNIT1"),
        ({"RADESYS": "FK5"}, "RADESYS"),
        ({"LONPOLE": 0.0}, "LONPOLE"),
        ({"CROTA2": 12.0}, "CROTA2"),
        ({"CPDIS1": "LOOKUP"}, "CPDIS1"),
        ({"PV2_1": 1.0}, "PV2_1"),
        ({"CRVAL1": None}, "no CRVAL1"),
        ({"CRVAL1": "12:30:00"}, "CRVAL1"),
        ({"CRPIX2": float("nan")}, "CRPIX2"),
        ({"CD1_1": float("inf")}, "CD1_1"),
        ({"CD1_1": True}, "CD1_1"),
        ({"CD1_1": 0.0}, "singular|absurd"),
        ({"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None}, "CDELT1"),
        ({"NAXIS1": -4}, "NAXIS1"),
        ({"NAXIS1": 4.5}, "NAXIS1"),
        ({"NAXIS1": 10**12}, "2\\*\\*31"),
        ({"NAXIS1": None}, "NAXIS1"),
    ],
)
def test_bad_headers_say_what(cards: dict[str, object], says: str) -> None:
    header: dict[str, object] = {**frame().to_header(), "NAXIS1": 80, "NAXIS2": 60} | cards
    header = {key: value for key, value in header.items() if value is not None}
    with pytest.raises(FrameError, match=says):
        Frame.from_header(header)


def test_a_header_at_the_pole_without_lonpole_is_refused() -> None:
    """FITS's default LONPOLE is 0 there, which turns the grid by half a turn."""
    header = frame(crval=(0.0, 90.0)).to_header()
    assert Frame.from_header(header, (60, 80)).crval == (0.0, 90.0)
    del header["LONPOLE"]
    with pytest.raises(FrameError, match="LONPOLE"):
        Frame.from_header(header, (60, 80))


@pytest.mark.parametrize(
    ("scale", "rotation"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (0.04, float("inf"))]
)
def test_from_center_refuses_nonsense(scale: float, rotation: float) -> None:
    with pytest.raises(FrameError, match="no pixel grid"):
        Frame.from_center(0.0, 0.0, scale, (5, 5), rotation)


# In a notebook


def test_it_draws_itself() -> None:
    window = frame(name="<script>")[10:20]
    named = frame(name="<script>")
    page = named._repr_html_()
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "<polygon" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "10 x 80" in window._repr_html_()
    assert "empty" in named[5:5]._repr_html_()
