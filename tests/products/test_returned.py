"""What inputs get back: copies that differ where they should, flags as zarr; inputs untouched."""

import gzip
import shutil
import subprocess
import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from astropy.io import fits
from imagers import make_hrc, make_synthetic, make_wfpc2
from numpy.testing import assert_array_equal

import hapdask as hd
from hapdask.drizzling.rejecting import KIND
from hapdask.errors import StoreError
from hapdask.kernels.blocks import BLOCK
from hapdask.observe.masks import write_mask
from hapdask.products.returned.copies import write_clean, write_copies
from hapdask.products.returned.dq_zarr import write_dq_zarr
from hapdask.products.returned.flags import FlagChange

CHANGE = FlagChange(crbit=4096, resetbits=4096)
HIT, OLD_HIT, HOT, NEW_AND_HOT = (4, 7), (100, 5), (20, 21), (50, 60)


def flag(hdus):
    """Put a former run's cosmic ray and hot pixels into DQ."""
    for hdu in hdus:
        if hdu.name in ("DQ", "SDQ"):
            hdu.data[OLD_HIT] = 4096
            hdu.data[HOT] |= 16
            hdu.data[NEW_AND_HOT] |= 16


def masked(exposure, folder):
    """Give an exposure skies, and two cosmic rays on every chip."""
    skies = {chip.extver: 0.5 + chip.extver for chip in exposure.chips}
    exposure = exposure.with_sky(skies)
    for chip in exposure.chips:
        mask = np.zeros(chip.shape, np.uint8)
        mask[HIT] = mask[NEW_AND_HOT] = 1
        path = folder / f"{exposure.name}_{chip.extver}.npy"
        exposure = exposure.with_mask(chip.extver, write_mask(path, mask, KIND))
    return exposure


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(hd.open_exposures([path], strict=True))


@pytest.fixture
def nicmos(tmp_path):
    path = make_synthetic(tmp_path / "in", "nic2", change=flag)
    with fits.open(path) as hdus:  # an HDU behind it, and one image of one value
        hdus.append(fits.BinTableHDU.from_columns([fits.Column("X", "1D", array=[1.0])]))
        hdus.writeto(path, overwrite=True, checksum=True)
    return path


def hdu_bytes(path, number):
    with fits.open(path, disable_image_compression=True) as hdus:
        info = hdus[number].fileinfo()
        stop = info["datLoc"] + info["datSpan"]
    return path.read_bytes()[info["hdrLoc"] : stop]


def check_flags(dq, before):
    """Check the flags of a chip against those of its input."""
    expected = before.astype(np.int64) & ~4096
    expected[HIT] |= 4096
    expected[NEW_AND_HOT] |= 4096
    assert_array_equal(dq, expected)
    assert (dq[OLD_HIT] & 4096, dq[NEW_AND_HOT], dq[HIT]) == (0, 4112, 4096)


def test_a_copy_differs_in_flags_sky_and_their_checksums_alone(tmp_path, nicmos):
    before = nicmos.read_bytes()
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    copies = write_copies([exposure], tmp_path / "updated", CHANGE)
    (path,) = copies.paths
    assert copies.failures == ()
    assert path == tmp_path / "updated" / nicmos.name
    assert nicmos.read_bytes() == before
    for number in (0, 2, 4):  # PRIMARY, ERR, the table
        assert hdu_bytes(path, number) == hdu_bytes(nicmos, number)
    with fits.open(path, checksum=True) as new, fits.open(nicmos) as old:
        for hdu in new:
            assert hdu.verify_checksum() == hdu.verify_datasum() == 1
        assert new["SCI"].header["MDRIZSKY"] == 1.5
        assert_array_equal(new["SCI"].data, old["SCI"].data)
        check_flags(new["DQ"].data, old["DQ"].data)
        own = {"MDRIZSKY", "CHECKSUM", "DATASUM"}
        for name in ("SCI", "DQ"):
            cards = [
                [str(c) for c in h[name].header.cards if c.keyword not in own] for h in (new, old)
            ]
            assert cards[0] == cards[1]
    if shutil.which("fitsverify"):
        done = subprocess.run(["fitsverify", path], capture_output=True, text=True, check=False)
        assert "and 0 error(s)" in done.stdout, done.stdout
    again = opened(path)[0]
    assert again.header_sky() == {1: 1.5}


def test_a_second_run_replaces_the_sky_where_it_stands(tmp_path, nicmos):
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    (path,) = write_copies([exposure], tmp_path / "a", CHANGE).paths
    (again,) = (masked(e, tmp_path).with_sky(7.0) for e in opened(path))
    (second,) = write_copies([again], tmp_path / "b", CHANGE).paths
    assert path.stat().st_size == second.stat().st_size
    with fits.open(second) as hdus:
        assert list(hdus["SCI"].header).count("MDRIZSKY") == 1
        assert hdus["SCI"].header["MDRIZSKY"] == 7.0


def test_long_strings_are_announced_once(tmp_path, nicmos):
    """LONGSTRN stands before the first string that goes on; one that is there already stays."""
    with fits.open(nicmos, mode="update") as hdus:
        hdus["SCI", 1].header["S_REGION"] = "POLYGON ICRS " + " ".join(["12.3456789012"] * 10)
    (first,) = write_copies(opened(nicmos), tmp_path / "one", CHANGE).paths
    again = first.rename(tmp_path / first.name)
    (second,) = write_copies(opened(again), tmp_path / "two", CHANGE).paths
    for path in (again, second):
        cards = list(fits.getheader(path, ("SCI", 1)))
        assert cards.count("LONGSTRN") == 1
        assert cards.index("LONGSTRN") < cards.index("S_REGION")
        assert fits.getheader(path, ("SCI", 1))["S_REGION"].count("12.3") == 10
    assert "LONGSTRN" not in fits.getheader(second, ("DQ", 1))


@pytest.mark.parametrize("bit", [0, 32768])
def test_other_bits(tmp_path, nicmos, bit):
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    change = FlagChange(crbit=bit, resetbits=0)
    (path,) = write_copies([exposure], tmp_path / "out", change).paths
    with fits.open(path) as hdus:
        dq = hdus["DQ"].data.astype(np.int16).view(np.uint16)
    assert (dq[HIT], dq[OLD_HIT], dq[NEW_AND_HOT]) == (bit, 4096, bit | 16)


def test_a_header_that_is_full_grows_by_a_block(tmp_path, nicmos):
    with fits.open(nicmos) as hdus:
        header = hdus["SCI"].header
        while (len(header.tostring(padding=False)) // 80) % 36:
            header[f"FILL{len(header)}"] = 1
        hdus.writeto(nicmos, overwrite=True)
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    (path,) = write_copies([exposure], tmp_path / "out", CHANGE).paths
    assert path.stat().st_size == nicmos.stat().st_size + 2880
    with fits.open(path, checksum=True) as new, fits.open(nicmos) as old:
        assert new["SCI"].header["MDRIZSKY"] == 1.5
        assert all(hdu.verify_checksum() for hdu in new if "CHECKSUM" in hdu.header)
        check_flags(new["DQ"].data, old["DQ"].data)


def test_flags_that_are_one_value_become_an_image(tmp_path, nicmos):
    raw = nicmos.read_bytes()
    with fits.open(nicmos) as hdus:
        start = hdus["DQ"].fileinfo()["hdrLoc"]
        stop = hdus["DQ"].fileinfo()["datLoc"] + hdus["DQ"].fileinfo()["datSpan"]
    header = fits.ImageHDU(name="DQ", ver=1).header
    header["BITPIX"] = 16
    header["NPIX1"], header["NPIX2"], header["PIXVALUE"] = 256, 256, 64
    nicmos.write_bytes(raw[:start] + header.tostring().encode() + raw[stop:])
    (exposure,) = opened(nicmos)
    assert exposure.chips[0].dq.constant == 64
    (same,) = write_copies([exposure], tmp_path / "same", CHANGE).paths
    assert "PIXVALUE" in fits.getheader(same, "DQ")
    (path,) = write_copies([masked(exposure, tmp_path)], tmp_path / "out", CHANGE).paths
    with fits.open(path, checksum=True) as hdus:
        assert "PIXVALUE" not in hdus["DQ"].header
        assert hdus["DQ"].data.shape == (256, 256)
        assert (hdus["DQ"].data[HIT], hdus["DQ"].data[OLD_HIT]) == (4096 | 64, 64)
        assert len(hdus) == 5


def test_unsigned_flags_stay_unsigned(tmp_path, nicmos):
    with fits.open(nicmos) as hdus:
        hdus["DQ"].data = hdus["DQ"].data.astype(np.uint16) | np.uint16(32768)
        hdus.writeto(nicmos, overwrite=True)
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    (path,) = write_copies([exposure], tmp_path / "out", CHANGE).paths
    with fits.open(path) as new, fits.open(nicmos) as old:
        assert new["DQ"].data.dtype == np.uint16
        check_values = new["DQ"].data.astype(np.int64) - 32768
        check_flags(check_values, old["DQ"].data.astype(np.int64) - 32768)


def test_compressed_inputs_are_copied_plain(tmp_path, nicmos, monkeypatch):
    monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path / "cache"))
    packed = nicmos.with_name(nicmos.name + ".gz")
    packed.write_bytes(gzip.compress(nicmos.read_bytes(), 1))
    (exposure,) = (masked(e, tmp_path) for e in opened(packed))
    (path,) = write_copies([exposure], tmp_path / "out", CHANGE).paths
    assert path.name == nicmos.name
    (plain,) = (masked(e, tmp_path) for e in opened(nicmos))
    (other,) = write_copies([plain], tmp_path / "plain", CHANGE).paths
    assert path.read_bytes() == other.read_bytes()


def test_wfpc2_gets_both_its_files(tmp_path):
    source = make_wfpc2(tmp_path / "in")
    (exposure,) = (masked(e, tmp_path) for e in opened(source))
    copies = write_copies([exposure], tmp_path / "out", CHANGE)
    assert [path.name for path in copies.paths] == ["u40x010hm_c0m.fits", "u40x010hm_c1m.fits"]
    with fits.open(copies.paths[0]) as hdus, fits.open(source) as old:
        skies = [hdus["SCI", k].header["MDRIZSKY"] for k in (1, 2, 3, 4)]
        assert skies == [1.5, 2.5, 3.5, 4.5]
        assert_array_equal(hdus["SCI", 4].data, old["SCI", 4].data)
    quality = source.with_name("u40x010hm_c1m.fits")
    with fits.open(copies.paths[1]) as hdus, fits.open(quality) as old:
        for k in (1, 2, 3, 4):
            assert (hdus["SDQ", k].data[HIT], hdus["SDQ", k].data[3, 5 + k] & 8) == (4096, 8)
            assert np.count_nonzero(hdus["SDQ", k].data != old["SDQ", k].data) == 2
    again = opened(copies.paths[0])[0]
    assert [chip.dq.url for chip in again.chips] == [str(copies.paths[1])] * 4


def test_exposures_of_one_file_are_copied_together(tmp_path):
    path = make_synthetic(tmp_path / "in", "ccd", imsets=2)
    exposures = [masked(e, tmp_path) for e in opened(path)]
    assert len(exposures) == 2
    (copy,) = write_copies(exposures, tmp_path / "out", CHANGE).paths
    with fits.open(copy) as hdus:
        assert [hdus["DQ", k].data[HIT] for k in (1, 2)] == [4096, 4096]


def test_the_input_itself_is_never_written(tmp_path, nicmos):
    before = nicmos.read_bytes()
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    (tmp_path / "link").symlink_to(nicmos.parent)
    for folder in (nicmos.parent, tmp_path / "link"):
        with pytest.raises(StoreError, match=r"is the input itself \(choose another folder"):
            write_copies([exposure], folder, CHANGE, overwrite=True)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / nicmos.name).hardlink_to(nicmos)
    with pytest.raises(StoreError, match="is the input itself"):
        write_copies([exposure], linked, CHANGE, overwrite=True)
    assert nicmos.read_bytes() == before


def test_two_inputs_of_one_name_are_refused(tmp_path):
    paths = [make_synthetic(tmp_path / name, "nic2") for name in ("a", "b")]
    exposures = [e for path in paths for e in opened(path)]
    with pytest.raises(StoreError, match="would both be copied"):
        write_copies(exposures, tmp_path / "out", CHANGE)
    assert not (tmp_path / "out").exists()


def test_a_copy_is_replaced_when_asked(tmp_path, nicmos):
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    (path,) = write_copies([exposure], tmp_path / "out", CHANGE).paths
    before = path.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        write_copies([exposure], tmp_path / "out", CHANGE)
    write_copies([exposure.with_sky(9.0)], tmp_path / "out", CHANGE, overwrite=True)
    assert path.read_bytes() != before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_one_bad_input_does_not_lose_the_others(tmp_path, nicmos, caplog):
    other = make_hrc(tmp_path / "in")
    exposures = [masked(e, tmp_path) for p in (nicmos, other) for e in opened(p)]
    with fits.open(nicmos, mode="update") as hdus:
        hdus["SCI"].header["CRVAL1"] += 1.0
    copies = write_copies(exposures, tmp_path / "out", CHANGE)
    assert [path.name for path in copies.paths] == [other.name]
    assert "changed after it was opened" in str(copies.failures[0])
    assert "no copy" in caplog.text
    assert [p.name for p in (tmp_path / "out").iterdir()] == [other.name]


# The copy without cosmic rays


def test_the_median_stands_for_cosmic_rays(tmp_path, nicmos):
    (exposure,) = (masked(e, tmp_path) for e in opened(nicmos))
    blot = da.full((256, 256), 77.0, dtype=np.float32, chunks=100)
    path = write_clean(exposure, tmp_path, {1: blot}, CHANGE)
    assert path == tmp_path / f"{exposure.name}_crclean.fits"
    with fits.open(path, checksum=True) as new, fits.open(nicmos) as old:
        bad = np.zeros((256, 256), bool)
        bad[HIT] = bad[NEW_AND_HOT] = True
        assert_array_equal(new["SCI"].data, np.where(bad, 77.0, old["SCI"].data))
        assert_array_equal(new["DQ"].data, np.where(bad, 4096, 0))
        assert_array_equal(new["ERR"].data, old["ERR"].data)
        assert new["SCI"].verify_checksum() == 1


# Flags as zarr


def test_flags_of_all_exposures_as_one_group(tmp_path, nicmos):
    c0m = make_wfpc2(tmp_path / "in")
    first, second = (opened(path)[0] for path in (nicmos, c0m))
    first = masked(first, tmp_path)
    path = write_dq_zarr([first, second], tmp_path / "dq.zarr", CHANGE, about={"output": "final"})
    group = zarr.open_group(path, mode="r")
    assert sorted(group.group_keys()) == sorted([first.name, second.name])
    array = group[first.name]["sci1"]
    assert array.dtype == np.uint16
    check_flags(array[:].astype(int), fits.getdata(nicmos, "DQ"))
    assert (array.attrs["crbit"], array.attrs["tested"], array.attrs["extver"]) == (4096, True, 1)
    other = group[second.name]["sci4"]
    assert not other.attrs["tested"]
    assert_array_equal(other[:], fits.getdata(c0m.with_name("u40x010hm_c1m.fits"), "SDQ", 4))
    assert array.chunks == (256, 256)
    assert other.chunks[0] % BLOCK[0] == 0
    assert group.attrs["run"] == {"output": "final"}
    assert group.attrs["resetbits"] == 4096
    with pytest.raises(StoreError, match="exists"):
        write_dq_zarr([first], path, CHANGE)
    write_dq_zarr([first], path, CHANGE, overwrite=True)
    assert list(zarr.open_group(path, mode="r").group_keys()) == [first.name]
    assert sorted(p.name for p in tmp_path.glob("*dq*")) == ["dq.zarr"]


def test_flags_that_cannot_be_read_are_named(tmp_path, nicmos):
    other = make_hrc(tmp_path / "in")
    exposures = [e for p in (nicmos, other) for e in opened(p)]
    nicmos.write_bytes(nicmos.read_bytes()[:20000])
    group = zarr.open_group(write_dq_zarr(exposures, tmp_path / "dq.zarr", CHANGE), mode="r")
    assert list(group.group_keys()) == [exposures[1].name]
    assert list(group.attrs["left_out"]) == [exposures[0].name]
