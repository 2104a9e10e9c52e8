"""The parts of the FITS export: checksums, cards, figures, outlines, context, trimming."""

import math
import subprocess
import sys
import threading
import time
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.drizzling.palette import Palette, input_code
from hapdask.errors import StoreError
from hapdask.products.blocks import blocks_of
from hapdask.products.checksum import add_words, encode
from hapdask.products.context import ContextBits, keys_of_planes
from hapdask.products.coverage import Coverage, reduce_blocks, slice_cells
from hapdask.products.fits_cards import Card, render
from hapdask.products.outline import outline_polygons, polygon_area, simplify
from hapdask.products.trimming import common_box, footprint_box
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid

words = st.lists(st.integers(0, 2**32 - 1), max_size=40)


# Checksums


@given(words, words)
def test_checksums_add_up_in_any_order(a, b):
    together = add_words(0, np.array(a + b, dtype=">u4"))
    swapped = add_words(add_words(0, np.array(b, dtype=">u4")), np.array(a, dtype=">u4"))
    assert together == swapped
    assert together == add_words(0, np.array(a + b, dtype=">u4").tobytes())
    assert 0 <= together < 2**32
    # ones' complement: zero only if all words are zero
    assert (together == 0) == (not any(a + b))


@given(st.integers(0, 2**32 - 1))
def test_the_encoded_checksum_makes_the_sum_all_ones(checksum):
    text = encode(checksum)
    assert len(text) == 16
    assert text.isalnum()
    # the value of CHECKSUM starts at byte 11 of a card, one short of a word
    placed = (text[1:] + text[0]).encode()
    zeros = add_words(0, b"0" * 16)
    difference = (add_words(0, placed) - zeros) % 0xFFFFFFFF
    assert (checksum + difference) % 0xFFFFFFFF == 0


def test_a_checksum_of_the_standard():
    assert encode(868229149) == "hcHjjc9ghcEghc9g"


# Cards


def header_of(cards, blocks=1):
    raw = render(cards, blocks)
    assert len(raw) % 2880 == 0
    return fits.Header.fromstring(raw)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_exactly(value):
    assert header_of([Card("VALUE", value, "any comment")])["VALUE"] == value


@given(st.text(max_size=300))
def test_any_text_makes_a_valid_header(text):
    header = header_of([Card("TEXT", text, text), Card("HISTORY", text, ""), Card("N", 1, text)])
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    assert header["TEXT"].rstrip() == printable.rstrip()
    assert header["N"] == 1


def test_values_of_every_kind():
    cards = [
        Card("YES", True, ""),
        Card("COUNT", 42, "a comment"),
        Card("NOTHING", None, ""),
        Card("NAN", math.nan, ""),
        Card("INF", math.inf, ""),
        Card("QUOTE", "it's", ""),
    ]
    header = header_of(cards)
    assert header["YES"] is True
    assert header["COUNT"] == 42
    assert header["QUOTE"] == "it's"
    assert header["NOTHING"] is None
    assert "NAN" not in header
    assert "INF" not in header


@pytest.mark.filterwarnings("ignore:Keyword name")
def test_keywords_that_only_a_convention_allows():
    header = header_of([Card("A_LONG_KEYWORD", "x", ""), Card("B", 1, "")])
    assert (header["A_LONG_KEYWORD"], header["B"]) == ("x", 1)


@given(st.integers(0, 80), st.sampled_from("a'&/"), st.text("c'", max_size=90))
def test_texts_around_the_width_of_a_card(n, last, comment):
    header = header_of([Card("TEXT", "b" * n + last, comment), Card("AFTER", 2, "")])
    assert header["TEXT"] == "b" * n + last
    assert header["AFTER"] == 2


def test_a_header_takes_no_astropy():
    code = (
        "import sys; from hapdask.products.fits_cards import Card, render;"
        "render([Card('A', 'x' * 200, 'c'), Card('B', None, ''), Card('', '/ T', '')]);"
        "sys.exit('astropy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_room_is_kept_and_long_strings_are_announced():
    assert len(render([Card("A", 1, "")], 4)) == 4 * 2880
    header = header_of([Card("A", 1, ""), Card("LONG", "word " * 40, "")])
    assert list(header)[:3] == ["A", "LONGSTRN", "LONG"]


# Figures


def test_figures_are_those_of_the_pixels():
    rng = np.random.default_rng(5)
    frame = Frame.from_center(10.0, -30.0, 0.04, (700, 900))
    wht = np.where(rng.random(frame.shape) < 0.6, rng.lognormal(5, 2, frame.shape), 0)
    wht = wht.astype(np.float32)
    depth = rng.integers(1, 9, frame.shape).astype(np.uint16)
    exptime = (depth * 123.25).astype(np.float32)
    whole, pieces = Coverage(frame), Coverage(frame)
    whole.add(0, 0, wht, depth, exptime)
    for y0, x0 in ((0, 0), (300, 0), (0, 451), (300, 451)):
        part = np.s_[y0 : y0 + 300 if y0 == 0 else None, x0 : x0 + 451 if x0 == 0 else None]
        pieces.add(y0, x0, wht[part], depth[part], exptime[part])
    figures = whole.statistics(1_000_000)
    assert figures == pieces.statistics(1_000_000)
    assert whole.s_region() == pieces.s_region()
    data = wht > 0
    assert figures.npixfrac == data.sum() / 1e6
    assert figures.meannexp == pytest.approx(depth[data].mean(), rel=1e-8)
    assert figures.mednexp == np.median(depth[data])
    assert figures.meanexpt == pytest.approx(exptime[data].mean(dtype=np.float64), rel=1e-8)
    assert figures.medexpt == np.median(exptime[data])
    assert figures.meanwht == pytest.approx(wht[data].mean(dtype=np.float64), rel=1e-8)
    assert figures.medwht == pytest.approx(np.median(wht[data]), rel=2e-4)


def test_a_frame_without_data_has_figures_too():
    coverage = Coverage(Frame.from_center(10.0, -30.0, 0.04, (100, 100)))
    coverage.add(0, 0, np.zeros((100, 100), np.float32))
    figures = coverage.statistics(10_000)
    assert figures.npixfrac == 0
    assert figures.meanwht is figures.medwht is figures.medexpt is figures.meannexp is None
    assert coverage.s_region() == ""


@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 20), st.data())
@settings(max_examples=50)
def test_reducing_blocks_is_reducing_the_whole(step, y0, x0, data):
    ny, nx = data.draw(st.integers(1, 15)), data.draw(st.integers(1, 15))
    whole = np.zeros((40, 40))
    block = np.arange(1.0, ny * nx + 1).reshape(ny, nx)
    whole[y0 : y0 + ny, x0 : x0 + nx] = block
    side = -(-40 // step)
    padded = np.zeros((side * step, side * step))
    padded[:40, :40] = whole
    expected = padded.reshape(side, step, side, step).sum(axis=(1, 3))
    got = np.zeros((side, side))
    got[slice_cells(y0, x0, block.shape, step)] += reduce_blocks(np.add, block, y0, x0, step)
    np.testing.assert_allclose(got, expected)


# Outlines


def test_a_rotated_rectangle_has_four_corners():
    y, x = np.mgrid[:500, :500]
    u, v = x - 250 + 0.4 * (y - 250), y - 250 - 0.4 * (x - 250)
    (polygon,) = outline_polygons((abs(u) < 180) & (abs(v) < 120), 1, 10.0, 100)
    assert len(polygon) == 4
    truth = 4 * 180 * 120 / (1 + 0.4**2)
    assert polygon_area(polygon) == pytest.approx(truth, rel=0.03)


def test_holes_are_filled_islands_kept_and_specks_dropped():
    cells = np.zeros((300, 300), bool)
    cells[50:150, 40:160] = True
    cells[90:100, 80:90] = False
    cells[200:260, 200:280] = True
    cells[5, 5] = True
    polygons = outline_polygons(cells, 3, 10.0, 100)
    assert [len(p) for p in polygons] == [4, 4]
    assert polygon_area(polygons[0]) == pytest.approx(9 * 100 * 120, rel=0.03)
    low, high = polygons[0].min(axis=0), polygons[0].max(axis=0)
    np.testing.assert_allclose(low, [40 * 3 - 0.5, 50 * 3 - 0.5], atol=1.6)
    np.testing.assert_allclose(high, [160 * 3 - 0.5, 150 * 3 - 0.5], atol=1.6)


def test_corners_are_limited():
    rng = np.random.default_rng(1)
    cells = np.kron(rng.random((40, 40)) < 0.3, np.ones((12, 12))).astype(bool)
    polygons = outline_polygons(cells, 5, 10.0, 80)
    assert 0 < sum(len(p) + 2 for p in polygons) <= 80
    assert outline_polygons(np.zeros((5, 5), bool), 1, 10.0, 80) == []


@given(
    st.integers(0, 10**6), st.floats(0.02, 0.98), st.integers(2, 30), st.integers(2, 30),
    st.integers(1, 40), st.integers(8, 200),
)  # fmt: skip
@settings(max_examples=150)
def test_any_map_gives_proper_polygons(seed, share, ny, nx, step, most):
    cells = np.random.default_rng(seed).random((ny, nx)) < share
    frame = Frame.from_center(10.0, -30.0, 0.04, (ny * step, nx * step))
    polygons = outline_polygons(cells, step, 10.0, most)
    assert sum(len(p) + 2 for p in polygons) <= most
    for polygon in polygons:
        assert len(polygon) >= 3
        ra, dec = frame.pixel_to_sky(*polygon.T)
        Footprint.from_vertices(ra, dec)


def test_simplifying_keeps_within_tolerance():
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    circle = 500 * np.column_stack([np.cos(angle), np.sin(angle)])
    polygon = simplify(circle, 10.0)
    assert 10 <= len(polygon) <= 40
    assert 0.95 < polygon_area(polygon) / (np.pi * 500**2) < 1


# Context


def test_context_bits_and_their_limits():
    chips = [(f"e{n}", v) for n in range(20) for v in (1, 2)]
    sets = {11: [("e0", 1)], 2**64 - 1: [("e15", 2), ("e16", 1), ("e19", 2)]}
    palette, bits = Palette.from_mapping(sets), ContextBits(chips, "x.fits")
    keys = np.array([[0, 11], [2**64 - 1, 11]], dtype=np.uint64)
    planes = list(bits.planes_of(keys, palette))
    assert planes[0].dtype == np.int32
    assert planes[0].tolist() == [[0, 1], [-(2**31), 1]]  # bit 31 is the sign
    assert planes[1].tolist() == [[0, 0], [1 | 1 << 7, 0]]
    assert bits.count(keys, palette).tolist() == [[0, 1], [3, 1]]
    with pytest.raises(StoreError, match="key 5 is not in the palette"):
        list(bits.planes_of(np.array([[5]], dtype=np.uint64), palette))
    with pytest.raises(StoreError, match=r"e0\[SCI,1\] is in the mosaic but not among"):
        list(ContextBits(chips[1:], "x.fits").planes_of(keys, palette))
    # a chip that is in the palette but in no pixel need not be known
    only = np.full((1, 1), 2**64 - 1, np.uint64)
    first = next(ContextBits(chips[1:], "x.fits").planes_of(only, palette))
    assert first[0, 0] == (1 << 30) - 2**31


@given(st.integers(1, 130), st.integers(0, 10**6))
@settings(max_examples=25)
def test_keys_become_planes_and_keys_again(n, seed):
    rng = np.random.default_rng(seed)
    chips = [(f"e{k // 2}", 1 + k % 2) for k in range(n)]
    sets = {}
    for share in rng.random(40):
        chosen = [chip for chip in chips if rng.random() < share]
        key = 0
        for chip in chosen:
            key ^= input_code(*chip)
        sets[key] = chosen
    keys = rng.choice(np.array(list(sets), np.uint64), (17, 23))
    bits = ContextBits(chips, "x.fits")
    planes = np.stack(list(bits.planes_of(keys, Palette.from_mapping(sets))))
    assert planes.shape == (-(-n // 32), 17, 23)
    np.testing.assert_array_equal(keys_of_planes(planes, chips), keys)
    lengths = np.vectorize(lambda key: len(sets[int(key)]))(keys)
    np.testing.assert_array_equal(np.bitwise_count(planes.view(np.uint32)).sum(axis=0), lengths)


# Blocks and trimming


def test_blocks_cover_everything_once_within_the_memory():
    values = np.arange(23 * 31, dtype=np.int32).reshape(23, 31)
    lazy = da.from_array(values, chunks=((5, 11, 7), (20, 11)))
    for array in (values, lazy):
        dataset = xr.Dataset({"a": (("y", "x"), array), "b": (("y", "x"), array * 2)})
        for memory in (1, 3000, 10**9):
            seen = np.zeros(values.shape, int)
            for block in blocks_of(dataset, memory):
                part = np.s_[block.y0 :, block.x0 :]
                ny, nx = block.data["a"].shape
                np.testing.assert_array_equal(block.data["a"], values[part][:ny, :nx])
                np.testing.assert_array_equal(block.data["b"], 2 * values[part][:ny, :nx])
                seen[part][:ny, :nx] += 1
            assert (seen == 1).all()


def observed(shape, chunk, seen):
    """Make a lazy array that notes the thread of each block, and how many are made at once."""
    lock = threading.Lock()

    def make(block, block_info=None):
        with lock:
            seen["now"] = seen.get("now", 0) + 1
            seen["most"] = max(seen.get("most", 0), seen["now"])
            seen.setdefault("threads", set()).add(threading.get_ident())
        time.sleep(0.01)
        with lock:
            seen["now"] -= 1
            seen["made"] = seen.get("made", 0) + 1
            if block_info[0]["chunk-location"] == seen.get("bad"):
                raise StoreError("a broken block")
        return block

    zeros = da.zeros(shape, chunks=chunk, dtype=np.float32)
    return xr.Dataset(
        {
            "a": (
                ("y", "x"),
                zeros.map_blocks(make, dtype=np.float32, meta=np.empty((0, 0), np.float32)),
            )
        }
    )


@pytest.mark.parametrize("ordered", [True, False])
def test_blocks_are_made_while_others_are_written(ordered):
    seen = {}
    block_bytes, ahead = 64 * 64 * 4, []
    starts = []
    for n, block in enumerate(
        blocks_of(observed((256, 256), 64, seen), 4 * block_bytes, threads=2, ordered=ordered)
    ):
        starts.append((block.y0, block.x0))
        time.sleep(0.02)
        ahead.append(seen["made"] - n - 1)
    assert 1 <= seen["most"] <= 2
    assert max(ahead) >= 1
    assert max(ahead) <= 3  # the memory has room for three beside the one that is written
    wanted = [(y, x) for y in range(0, 256, 64) for x in range(0, 256, 64)]
    assert (starts if ordered else sorted(starts)) == wanted


def test_an_error_in_a_block_stops_the_others():
    seen = {"bad": (0, 1)}
    with pytest.raises(StoreError, match="a broken block"):
        for _ in blocks_of(observed((640, 640), 64, seen), 10**9, threads=2):
            pass
    assert seen["made"] < 100


def test_what_dask_was_told_is_heeded():
    seen = {}
    with dask.config.set(scheduler="synchronous"):
        assert len(list(blocks_of(observed((128, 128), 64, seen), 10**9, threads=2))) == 4
    assert seen["threads"] == {threading.get_ident()}


def test_the_common_box_holds_all_layers():
    a, b = np.zeros((2, 50, 60), np.float32)
    a[10:20, 5:9] = 1
    b[15:33, 7:41] = 0.5
    layers = [xr.DataArray(da.from_array(m, chunks=13), dims=("y", "x")) for m in (a, b)]
    assert common_box(layers) == (slice(10, 33), slice(5, 41))
    assert common_box([xr.DataArray(np.zeros((4, 4)), dims=("y", "x"))]) is None
    assert common_box([]) is None


def limits(box):
    return [edge for part in box for edge in (part.start, part.stop)]


def test_a_cell_is_trimmed_by_footprints_alone():
    cell = SkyGrid()["skycell-p1889x07y19"].frame()
    inner = cell[2132:13804, 10281:21121]
    box = footprint_box([inner.footprint], cell)
    np.testing.assert_allclose(limits(box), [2132, 13804, 10281, 21121], atol=1)
    # what hangs over an edge is cut there, what does not touch the cell counts for nothing
    over = footprint_box([cell[20000:, :500].pad(300).footprint], cell)
    np.testing.assert_allclose(limits(over), [19700, 21954, 0, 800], atol=1)
    far = Footprint.from_vertices([10.0, 10.1, 10.1], [-5.0, -5.0, -5.1])
    assert footprint_box([far], cell) is None
    assert footprint_box([far, inner.footprint], cell) == box


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render([Card("FILENAME", "a" * 60, "a comment that does not fit beside it")])
