"""Exposures of a published release are put where it has them, whatever WCS they come with."""

import numpy as np
import pytest
from astropy.io import fits
from small_visits import simulate_visit

import hapdask as hd

FAST = {"guiding": False}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return simulate_visit(tmp_path_factory.mktemp("visit"), 2)


@pytest.fixture(scope="module")
def found(visit):
    return hd.align(visit.files, refcat=visit.catalog(), updatehdr=True, threads=2, **FAST)


def _held(files, found):
    lists = {e.opened.name: e.sources for e in found}
    return hd.align(files, services=False, published=found.release, sources=lists, **FAST)


def _places(aligned):
    return _corners(aligned.record)


def _corners(record):
    chip = record.chips[0]
    corners = np.array([0.0, chip.shape[1] - 1.0]), np.array([0.0, chip.shape[0] - 1.0])
    return np.stack(chip.distortion.pixel_to_sky(*corners))


def test_a_copy_that_has_the_solution_is_not_moved_again(visit, found, tmp_path):
    updated = found.write(tmp_path / "out").files
    copies = [p for p in updated if p.parent.name == "updated"]
    assert len(copies) == 2
    held = _held(visit.files, found)
    again = _held(copies, found)
    for before, plain, copied in zip(found, held, again, strict=True):
        assert before.placement.status == plain.placement.status == "aligned"
        assert copied.placement.status == "confirmed"
        assert copied.facts is None
        assert "whose WCS it has" in copied.placement.reason
        for each in (plain, copied):
            assert np.allclose(_places(each), _places(before), rtol=0.0, atol=0.01 / 3.6e6)


def test_another_wcs_is_told_and_stays(visit, found, tmp_path):
    path = tmp_path / visit.files[0].name
    path.write_bytes(visit.files[0].read_bytes())
    with fits.open(path, mode="update") as hdus:
        for hdu in hdus:
            if hdu.name == "SCI":
                hdu.header["CRVAL2"] += 0.05 / 3600.0
    (held,) = _held([path], found)
    assert held.placement.status == "unaligned"
    assert "release 1 was solved with another WCS, 50 mas from" in held.placement.reason
    assert held.record.correction is None
    assert "not aligned" in held.record.verdict.reason


def test_a_release_is_applied_to_the_wcs_that_it_was_solved_with_alone(visit, found, tmp_path):
    for record in found.release.apply(e.opened for e in found):
        assert record.correction == found.release[record.name].correction
        assert record.verdict.status == "accepted"
    path = tmp_path / visit.files[0].name
    path.write_bytes(visit.files[0].read_bytes())
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].header["CRVAL2"] += 0.05 / 3600.0
    (other,) = found.release.apply(hd.open_exposures(path))
    assert other.correction is None
    assert "release 1 was solved with another WCS, 50 mas from" in other.verdict.reason
    copies = [p for p in found.write(tmp_path / "out").files if p.parent.name == "updated"]
    for before, after in zip(found, found.release.apply(hd.open_exposures(copies)), strict=True):
        assert after.correction is None
        assert after.verdict.status == "accepted"
        assert np.allclose(_corners(after), _places(before), rtol=0.0, atol=0.01 / 3.6e6)
