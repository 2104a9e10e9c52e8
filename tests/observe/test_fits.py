"""The structure of files: what astropy sees, and an InputError for whatever is broken."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapdask.errors import InputError
from hapdask.observe import fits as reader
from hapdask.observe.fits import read_rows, scan


def block(*cards):
    return "".join(c.ljust(80) for c in (*cards, "END")).encode().ljust(2880)


EMPTY = block("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0")


def test_a_scan_finds_what_astropy_finds(make):
    path = make()
    found = scan(str(path))
    with fits.open(path) as truth:
        assert len(found.hdus) == len(truth) == 15
        for mine, theirs in zip(found.hdus, truth, strict=True):
            assert (mine.name, mine.extver) == (theirs.name, theirs.ver)
            assert mine.data_offset == theirs.fileinfo()["datLoc"]
            assert mine.shape == (theirs.data.shape if theirs.data is not None else ())
    assert found.size == path.stat().st_size
    assert found.stamp == str(path.stat().st_mtime_ns)
    assert found.find("DQ", 2).label == "DQ,2"
    assert found.find("DQ", 3) is None


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_rows_are_the_pixels_written(tmp_path, dtype):
    rng = np.random.default_rng(3)
    data = rng.integers(0, 250, (11, 7)).astype(dtype)
    data[0, 0] = np.iinfo(dtype).max if data.dtype.kind in "iu" else np.nan
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data, name="SCI")]).writeto(path)
    hdu = scan(str(path)).find("SCI")
    for row0, row1 in ((0, 11), (3, 8), (10, 11), (5, 5), (-4, 99), (9, 2)):
        rows = read_rows(str(path), hdu, row0, row1)
        assert rows.dtype == data.dtype
        assert rows.dtype.isnative
        wanted = data[max(row0, 0) : max(row1, 0)]
        np.testing.assert_array_equal(rows, wanted)


def test_scaled_integers_become_physical_values(tmp_path):
    path = tmp_path / "a.fits"
    hdu = fits.ImageHDU(np.arange(6, dtype=np.int16).reshape(2, 3), name="SCI")
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path) as truth:
        np.testing.assert_allclose(
            read_rows(str(path), scan(str(path)).find("SCI"), 0, 2), truth["SCI"].data
        )


def test_the_header_hash_sees_headers_alone(make, spoil):
    path = make()
    before = scan(str(path))
    raw = bytearray(path.read_bytes())
    raw[before.find("SCI").data_offset + 5] ^= 1
    path.write_bytes(raw)
    assert scan(str(path)).header_hash == before.header_hash
    spoil(path, b"NGC-0", b"NGC-1")
    assert scan(str(path)).header_hash != before.header_hash


def refused(tmp_path, raw, match):
    path = tmp_path / "bad.fits"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=match) as caught:
        scan(str(path))
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    return caught.value


def test_an_empty_file(tmp_path):
    refused(tmp_path, b"", "empty")


def test_not_fits(tmp_path):
    refused(tmp_path, b"<html>no such file</html>" * 200, "not a FITS file")


def test_a_compressed_file_says_how_to_go_on(tmp_path):
    error = refused(tmp_path, gzip.compress(EMPTY), "compressed")
    assert "gunzip" in error.remedy


@pytest.mark.parametrize("length", [100, 2879, 2881, 5000])
def test_a_header_cut_short(make, length):
    path = make()
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"truncated|no END"):
        scan(str(path))


def test_every_cut_is_noticed_or_harmless(make, tmp_path):
    raw = make(shape=(20, 12), tables=False).read_bytes()
    whole = len(scan(str(make(shape=(20, 12), tables=False))).hdus)
    for length in range(0, len(raw), 1440):
        path = tmp_path / "cut.fits"
        path.write_bytes(raw[:length])
        try:
            found = len(scan(str(path)).hdus)
        except InputError as error:
            found, message = 0, str(error)
        # Unnoticed are cuts between extensions, and the loss of the last one's padding.
        assert found < whole or len(raw) - length <= 2880
        assert found or "truncated" in message or "empty" in message


def test_data_cut_short_names_the_extension(make):
    path = make(tables=False)
    path.write_bytes(path.read_bytes()[:-2880])
    with pytest.raises(InputError, match="truncated") as caught:
        scan(str(path))
    assert caught.value.ext == "DQ,2"


@pytest.mark.parametrize(
    ("cards", "match"),
    [
        (["BITPIX  = 7", "NAXIS   = 0"], "BITPIX"),
        (["NAXIS   = 0"], "BITPIX"),
        (["BITPIX  = 8"], "NAXIS"),
        (["BITPIX  = 8", "NAXIS   = -1"], "NAXIS"),
        (["BITPIX  = 8", "NAXIS   = 1000000000"], "NAXIS"),
        (["BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 3"], "NAXIS2"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = -3"], "negative"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 'many'"], "NAXIS1"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 2.5"], "NAXIS1"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = T"], "NAXIS1"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = " + "9" * 60], "truncated"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 1", "PCOUNT  = -5"], "negative"),
    ],
)
def test_impossible_structures(tmp_path, cards, match):
    refused(tmp_path, block("SIMPLE  = T", *cards), match)


def test_a_header_without_end_is_not_read_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_HEADER_BLOCKS", 20)
    raw = EMPTY.replace(b"END", b"EEE") + b"COMMENT ".ljust(80) * 36 * 40
    refused(tmp_path, raw, "no END within 20 blocks")


def test_too_many_extensions(tmp_path):
    extension = block("XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0")
    refused(tmp_path, EMPTY + extension * 250, "more than 200")


def test_headers_are_limited_together_too(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_FILE_HEADER_BLOCKS", 5)
    extension = block("XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0")
    refused(tmp_path, EMPTY + extension * 10, "no END")


@pytest.mark.parametrize("tail", [b"\x00" * 2880, b"junk", b"\x00" * 100])
def test_what_follows_the_last_extension_is_ignored(tmp_path, tail):
    path = tmp_path / "a.fits"
    path.write_bytes(EMPTY + tail)
    assert len(scan(str(path)).hdus) == 1


def test_a_missing_last_padding_is_forgiven(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(
        EMPTY
        + block("XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 5")
        + b"12345"
    )
    assert scan(str(path)).hdus[1].shape == (5,)


@pytest.mark.parametrize("name", ["none.fits", "."])
def test_what_is_no_file(tmp_path, name):
    with pytest.raises(InputError, match=r"cannot be opened|not a regular file"):
        scan(str(tmp_path / name))


@pytest.mark.parametrize("url", ["gs://bucket/a.fits", "ftp://host/a.fits", "http://h/a::b"])
def test_other_kinds_of_address_are_refused(url):
    with pytest.raises(InputError, match="cannot be read"):
        scan(url)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 8639), st.binary(min_size=1, max_size=12)), max_size=6))
def test_spoilt_headers_give_an_input_error_or_a_scan(make, changes):
    path = make(shape=(4, 6), tables=False, chips=1)
    raw = bytearray(path.read_bytes())
    for position, piece in changes:
        raw[position : position + len(piece)] = piece
    path.write_bytes(bytes(raw))
    try:
        found = scan(str(path))
    except InputError:
        return
    for hdu in found.hdus:
        assert hdu.data_offset <= found.size


def test_rows_of_a_table_are_refused(tmp_path):
    path = tmp_path / "a.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])], name="SCI")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    with pytest.raises(InputError, match="not an image"):
        read_rows(str(path), scan(str(path)).find("SCI"), 0, 1)


def test_a_file_that_shrank_after_the_scan(make):
    path = make(tables=False)
    hdu = scan(str(path)).find("DQ", 2)
    path.write_bytes(path.read_bytes()[: hdu.data_offset + 100])
    with pytest.raises(InputError, match="truncated") as caught:
        read_rows(str(path), hdu, 0, 130)
    assert caught.value.ext == "DQ,2"
