"""Pixels by rows: what astropy reads, masks apart, and nothing from a changed file."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masks import write_mask
from hapdask.observe.parts import PixelSource
from hapdask.observe.pixels import read_chip_rows


@pytest.mark.parametrize("detector", ["UVIS", "IR", "WFC"])
@pytest.mark.parametrize(("row0", "row1"), [(0, 130), (17, 90), (129, 130), (40, 40), (-5, 400)])
def test_rows_are_those_of_the_file(make, detector, row0, row1):
    path = make(detector=detector)
    (exposure,) = open_exposures(path)
    with fits.open(path) as truth:
        for chip in exposure.chips:
            sci, err, dq, masked = read_chip_rows(exposure, chip, row0, row1)
            rows = slice(max(row0, 0), row1)
            np.testing.assert_array_equal(sci, truth["SCI", chip.extver].data[rows])
            np.testing.assert_array_equal(err, truth["ERR", chip.extver].data[rows])
            np.testing.assert_array_equal(
                dq, truth["DQ", chip.extver].data[rows].astype(np.int16).view(np.uint16)
            )
            assert masked is None
            assert [a.dtype for a in (sci, err, dq)] == [np.float32, np.float32, np.uint16]
            assert all(a.dtype.isnative and a.flags.writeable for a in (sci, err, dq))


@pytest.mark.parametrize("dtype", ["i4", "u2", "f4", "u1"])
def test_dq_of_any_number_type_is_sixteen_bits(make, dtype):
    values = np.arange(130 * 96).reshape(130, 96) % 200

    def change(hdus):
        hdus["DQ", 1].data = values.astype(dtype)

    (exposure,) = open_exposures(make(change=change))
    dq = read_chip_rows(exposure, exposure.chips[0], 10, 60)[2]
    assert dq.dtype == np.uint16
    np.testing.assert_array_equal(dq, values[10:60])


def test_dq_that_is_no_set_of_bits_is_refused(make):
    def change(hdus):
        hdus["DQ", 1].data = np.full((130, 96), 0.5, np.float32)

    (exposure,) = open_exposures(make(change=change))
    with pytest.raises(InputError, match="whole numbers") as caught:
        read_chip_rows(exposure, exposure.chips[0], 0, 5)
    assert caught.value.ext == "DQ,1"


def test_bad_values_are_handed_on_as_they_are(make):
    def change(hdus):
        hdus["SCI", 1].data[3, 4] = np.nan
        hdus["ERR", 1].data[3, 4] = -1.0

    (exposure,) = open_exposures(make(change=change))
    sci, err, _, _ = read_chip_rows(exposure, exposure.chips[0], 3, 4)
    assert np.isnan(sci[0, 4])
    assert err[0, 4] == -1.0


def test_a_constant_array_needs_no_pixels(make):
    def change(hdus):
        hdus["DQ", 2].data = None
        hdus["DQ", 2].header.update(NPIX1=96, NPIX2=130, PIXVALUE=0)

    (exposure,) = open_exposures(make(change=change))
    dq = read_chip_rows(exposure, exposure.chips[1], 5, 9)[2]
    assert dq.shape == (4, 96)
    assert not dq.any()


def test_an_error_of_zero_everywhere_is_none(make):
    """Else every pixel would weigh nothing, without a word."""

    def change(hdus):
        hdus["ERR", 1].data = None
        hdus["ERR", 1].header.update(NPIX1=96, NPIX2=130, PIXVALUE=0.0)

    (exposure,) = open_exposures(make(change=change))
    assert [chip.err is None for chip in exposure.chips] == [True, False]
    assert "no ERR extension" in exposure.verdict.reason


def test_masks_stay_apart_from_the_flags(make, tmp_path):
    (exposure,) = open_exposures(make())
    plain = read_chip_rows(exposure, exposure.chips[1], 60, 100)
    bad = np.zeros((130, 96), bool)
    bad[70:80, 5:9] = True
    more = np.zeros((130, 96), bool)
    more[99] = True
    for name, array in (("user", bad), ("trail", more)):
        exposure = exposure.with_mask(2, write_mask(tmp_path / f"{name}.mask", array, name))
    rows = read_chip_rows(exposure, exposure.chips[1], 60, 100)
    np.testing.assert_array_equal(rows.dq, plain.dq)
    np.testing.assert_array_equal(rows.masked, (bad | more)[60:100])
    assert read_chip_rows(exposure, exposure.chips[0], 60, 100).masked is None


def test_masks_need_no_dq(make, tmp_path):
    (exposure,) = open_exposures(make())
    mask = write_mask(tmp_path / "m.mask", np.ones((130, 96)), "user")
    rows = read_chip_rows(exposure, replace(exposure.chips[0], dq=None, masks=(mask,)), 3, 6)
    assert rows.dq is None
    assert rows.masked.all()


def in_companion(exposure, path):
    """The exposure's DQ, read from another file that is a copy of its own."""
    status = os.stat(path)
    identity = replace(exposure.identity, size=status.st_size, stamp=str(status.st_mtime_ns))
    chip = exposure.chips[0]
    return replace(chip, dq=replace(chip.dq, url=str(path), identity=identity))


def test_flags_of_a_companion_file(make, tmp_path):
    (exposure,) = open_exposures(make())
    path = tmp_path / "companion.fits"
    shutil.copy(exposure.url, path)
    chip = in_companion(exposure, path)
    with fits.open(path, mode="update") as other:
        other["DQ", 1].data[...] = 33
    with pytest.raises(InputError, match="changed") as caught:
        read_chip_rows(exposure, chip, 5, 9)
    assert caught.value.path == str(path)
    rows = read_chip_rows(exposure, in_companion(exposure, path), 5, 9)
    assert (rows.dq == 33).all()
    np.testing.assert_array_equal(rows.sci, read_chip_rows(exposure, exposure.chips[0], 5, 9).sci)
    os.remove(path)
    with pytest.raises(InputError, match="cannot be opened"):
        read_chip_rows(exposure, chip, 5, 9)


def test_a_chip_without_err_or_dq(make):
    (exposure,) = open_exposures(make())
    chip = replace(exposure.chips[0], err=None, dq=None)
    _, err, dq, _ = read_chip_rows(exposure, chip, 0, 3)
    assert err is None
    assert dq is None


@pytest.mark.parametrize("how", ["touched", "longer", "gone"])
def test_a_file_that_is_not_the_one_opened_is_refused(make, how):
    path = make()
    (exposure,) = open_exposures(path)
    if how == "touched":
        os.utime(path, ns=(1, 1))
    elif how == "longer":
        status = path.stat()
        with path.open("ab") as file:
            file.write(b"\0" * 2880)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"changed|No such file") as caught:
        read_chip_rows(exposure, exposure.chips[0], 0, 5)
    assert caught.value.remedy


def test_an_address_beyond_the_file_is_refused(make):
    (exposure,) = open_exposures(make())
    chip = replace(exposure.chips[0], sci=PixelSource(10**9, ">f4"))
    with pytest.raises(InputError, match="truncated") as caught:
        read_chip_rows(exposure, chip, 0, 5)
    assert caught.value.ext == "SCI,1"
