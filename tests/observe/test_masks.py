"""Masks beside the exposures: round trips, hashes per block, and changes behind one's back."""

import os
import struct
import zlib
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.masks import (
    BLOCK_ROWS,
    OpenMasks,
    mask_hashes,
    read_ivm_rows,
    read_mask_rows,
    write_ivm,
    write_mask,
)

SHAPE = (150, 40)


@pytest.fixture
def mask():
    out = np.zeros(SHAPE, bool)
    out[70:75, 3:9] = True
    out[149, 39] = True
    return out


@pytest.mark.parametrize(
    ("row0", "row1"), [(0, 150), (0, 64), (63, 65), (128, 150), (71, 72), (9, 9)]
)
def test_rows_come_back(tmp_path, mask, row0, row1):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    np.testing.assert_array_equal(read_mask_rows(ref, SHAPE, row0, row1), mask[row0:row1])


def test_a_block_without_bad_pixels_has_no_hash_and_is_not_read(tmp_path, mask):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    assert [bool(h) for h in ref.hashes] == [False, True, True]
    os.remove(ref.url)
    assert not read_mask_rows(ref, SHAPE, 0, 64).any()
    with pytest.raises(InputError, match="cannot be opened"):
        read_mask_rows(ref, SHAPE, 0, 65)


@given(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
def test_one_pixel_changes_the_hash_of_its_block_alone(y, x):
    before = np.zeros(SHAPE, np.uint8)
    before[::7, ::5] = 1
    after = before.copy()
    after[y, x] ^= 1
    changed = [a != b for a, b in zip(mask_hashes(before), mask_hashes(after), strict=True)]
    assert changed == [k == y // BLOCK_ROWS for k in range(3)]


def test_hashes_depend_on_the_pixels_and_not_on_how_they_were_given(tmp_path, mask):
    one = write_mask(tmp_path / "a.mask", mask, "user")
    two = write_mask(tmp_path / "b.mask", np.asfortranarray(mask * 7), "user")
    assert one.hashes == two.hashes
    assert (tmp_path / "a.mask").read_bytes() == (tmp_path / "b.mask").read_bytes()


def test_a_changed_mask_is_noticed_where_it_changed(tmp_path, mask):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    mask[140, 0] = True
    write_mask(tmp_path / "m.mask", mask, "user")
    read_mask_rows(ref, SHAPE, 64, 128)
    with pytest.raises(InputError, match="not the one of the record") as caught:
        read_mask_rows(ref, SHAPE, 64, 129)
    assert "again" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a mask"),
        (b"HAPMASK", "is not a mask"),
        (b"no mask" * 99, "is not a mask"),
        (b"HAPMASK1bits" + bytes(8), "not a mask of this chip"),
        (b"HAPMASK1bits" + struct.pack("<II", *SHAPE), "truncated"),
        (b"HAPMASK1bits" + struct.pack("<IIIII", *SHAPE, 0, 2**32 - 1, 0), "truncated"),
        (b"HAPMASK1f4le" + struct.pack("<II", *SHAPE), "not a mask of this chip"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, mask, content, message):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    (tmp_path / "m.mask").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_mask_rows(ref, SHAPE, 64, 70)


@given(st.integers(0, 2**32 - 1))
def test_no_byte_changes_unseen(tmp_path_factory, seed):
    """Whatever is written over a mask, it is refused or it is the mask."""
    path = tmp_path_factory.getbasetemp() / "changed.mask"
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) < 0.2
    ref = write_mask(path, mask, "user")
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    try:
        found = read_mask_rows(ref, SHAPE, 0, SHAPE[0])
    except InputError:
        return
    np.testing.assert_array_equal(found, mask)


def test_a_bomb_does_not_go_off(tmp_path, mask):
    """A block that would inflate to a gigabyte is cut at the size of a block."""
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    bomb = zlib.compress(bytes(10_000_000), 9)
    lengths = struct.pack("<III", 0, len(bomb), 0)
    start = b"HAPMASK1bits" + struct.pack("<II", *SHAPE)
    (tmp_path / "m.mask").write_bytes(start + lengths + bomb)
    with pytest.raises(InputError, match="not the one of the record"):
        read_mask_rows(ref, SHAPE, 64, 70)


def test_masks_are_small(tmp_path):
    """Of a chip with as many cosmic rays as a long exposure: a fiftieth of a byte a pixel."""
    shape = (2051, 4096)
    bad = np.random.default_rng(0).random(shape) < 0.005
    bad |= np.roll(bad, 1, axis=1)
    ref = write_mask(tmp_path / "m.mask", bad, "cosmic rays")
    assert os.path.getsize(ref.url) < bad.size / 50
    np.testing.assert_array_equal(read_mask_rows(ref, shape, 1000, 2051), bad[1000:])
    empty = write_mask(tmp_path / "e.mask", np.zeros(shape), "user")
    assert os.path.getsize(empty.url) < 200


def test_maps_come_back(tmp_path):
    values = np.random.default_rng(2).random(SHAPE).astype(np.float32)
    values[3, 4], values[5, 6], values[7, 8], values[:64, :] = np.nan, -1.0, np.inf, 0.0
    ref = write_ivm(tmp_path / "i.mask", values)
    np.testing.assert_array_equal(read_ivm_rows(ref, SHAPE, 63, 150), values[63:])
    with pytest.raises(InputError, match="is not a mask of this chip"):
        read_mask_rows(ref, SHAPE, 63, 150)


def test_a_mask_of_another_chip_is_refused(tmp_path, mask):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    with pytest.raises(InputError, match="shape"):
        read_mask_rows(ref, (2051, 40), 64, 70)


def test_a_cut_mask_is_refused(tmp_path, mask):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    path = tmp_path / "m.mask"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated"):
        read_mask_rows(ref, SHAPE, 130, 140)


def test_a_mask_has_two_axes(tmp_path):
    with pytest.raises(ParameterError, match="two axes"):
        write_mask(tmp_path / "m.mask", np.zeros(5), "user")


def test_where_nothing_can_be_written(tmp_path, mask):
    with pytest.raises(StoreError, match="cannot be written"):
        write_mask(tmp_path / "none" / "m.mask", mask, "user")


def test_a_failed_write_leaves_the_old_mask_and_no_debris(tmp_path, mask, monkeypatch):
    path = tmp_path / "m.mask"
    ref = write_mask(path, mask, "user")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(StoreError, match="disk full"):
        write_mask(path, ~mask, "user")
    assert os.listdir(tmp_path) == ["m.mask"]
    np.testing.assert_array_equal(read_mask_rows(ref, SHAPE, 0, 150), mask)


@pytest.mark.parametrize(("row0", "row1"), [(0, 150), (63, 65), (71, 72), (128, 150), (9, 9)])
def test_masks_that_are_read_together_are_those_of_one_another(tmp_path, mask, row0, row1):
    other = np.roll(mask, 5, axis=1)
    refs = [write_mask(tmp_path / f"{k}.mask", m, "user") for k, m in enumerate((mask, other))]
    with ExitStack() as stack:
        rows = OpenMasks(refs, SHAPE, stack).rows(row0, row1)
    if rows is None:  # nothing in the blocks of these rows
        rows = np.zeros((row1 - row0, SHAPE[1]), bool)
    np.testing.assert_array_equal(rows, (mask | other)[row0:row1])


def test_masks_that_are_read_together_are_checked_too(tmp_path, mask):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    mask[140, 0] = True
    write_mask(tmp_path / "m.mask", mask, "user")
    with ExitStack() as stack:
        masks = OpenMasks([ref], SHAPE, stack)
        assert masks.rows(0, 64) is None  # no block to be read
        assert masks.rows(64, 128).any()
        with pytest.raises(InputError, match="not the one of the record"):
            masks.rows(64, 129)


def test_blocks_are_read_once_while_a_chip_is_open(tmp_path, mask):
    ref = write_mask(tmp_path / "m.mask", mask, "user")
    with ExitStack() as stack:
        masks = OpenMasks([ref], SHAPE, stack)
        np.testing.assert_array_equal(masks.rows(70, 71), mask[70:71])
        os.truncate(ref.url, 0)  # behind its back
        np.testing.assert_array_equal(masks.rows(66, 120), mask[66:120])
