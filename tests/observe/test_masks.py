"""Masks beside the exposures: round trips, hashes per block, and changes behind one's back."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.masks import BLOCK_ROWS, mask_hashes, read_mask_rows, write_mask

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
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    np.testing.assert_array_equal(read_mask_rows(ref, SHAPE, row0, row1), mask[row0:row1])


def test_a_block_without_bad_pixels_has_no_hash_and_is_not_read(tmp_path, mask):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
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
    one = write_mask(tmp_path / "a.npy", mask, "user")
    two = write_mask(tmp_path / "b.npy", np.asfortranarray(mask * 7), "user")
    assert one.hashes == two.hashes
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_changed_mask_is_noticed_where_it_changed(tmp_path, mask):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    mask[140, 0] = True
    write_mask(tmp_path / "m.npy", mask, "user")
    read_mask_rows(ref, SHAPE, 64, 128)
    with pytest.raises(InputError, match="not the one of the record") as caught:
        read_mask_rows(ref, SHAPE, 64, 129)
    assert "again" in caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [b"", b"not numpy", np.lib.format.magic(3, 0), np.lib.format.magic(1, 0) + b"\x05\x00{'a'}"],
)
def test_what_is_no_mask_is_refused(tmp_path, mask, content):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    (tmp_path / "m.npy").write_bytes(content)
    with pytest.raises(InputError, match="is not a mask"):
        read_mask_rows(ref, SHAPE, 64, 70)


@pytest.mark.parametrize(
    "other",
    [
        np.ones(SHAPE, np.int16),
        np.ones(SHAPE[::-1], np.uint8),
        np.asfortranarray(np.ones(SHAPE, "u1")),
    ],
)
def test_an_array_of_another_kind_is_refused(tmp_path, mask, other):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    np.save(tmp_path / "m.npy", other)
    with pytest.raises(InputError, match="not a mask of this chip"):
        read_mask_rows(ref, SHAPE, 64, 70)


def test_pickles_are_not_opened(tmp_path, mask):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    np.save(tmp_path / "m.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a mask"):
        read_mask_rows(ref, SHAPE, 64, 70)


def test_a_mask_of_another_chip_is_refused(tmp_path, mask):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    with pytest.raises(InputError, match="shape"):
        read_mask_rows(ref, (2051, 40), 64, 70)


def test_a_cut_mask_is_refused(tmp_path, mask):
    ref = write_mask(tmp_path / "m.npy", mask, "user")
    path = tmp_path / "m.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated"):
        read_mask_rows(ref, SHAPE, 130, 140)


def test_a_mask_has_two_axes(tmp_path):
    with pytest.raises(ParameterError, match="two axes"):
        write_mask(tmp_path / "m.npy", np.zeros(5), "user")


def test_where_nothing_can_be_written(tmp_path, mask):
    with pytest.raises(StoreError, match="cannot be written"):
        write_mask(tmp_path / "none" / "m.npy", mask, "user")


def test_a_failed_write_leaves_the_old_mask_and_no_debris(tmp_path, mask, monkeypatch):
    path = tmp_path / "m.npy"
    ref = write_mask(path, mask, "user")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(StoreError, match="disk full"):
        write_mask(path, ~mask, "user")
    assert os.listdir(tmp_path) == ["m.npy"]
    np.testing.assert_array_equal(read_mask_rows(ref, SHAPE, 0, 150), mask)
