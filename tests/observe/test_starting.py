"""WCSs of a file that others start from: which it has, and opening it with them."""

import pytest

from hapdask.astrometry.grism.starting import starts_of, wcs_names
from hapdask.errors import ParameterError
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures

_LINEAR = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")


def with_alternate(hdus):
    """Give it an a-priori WCS 1 arcsec north of its primary one, as alternate A."""
    for hdu in hdus:
        if hdu.name == "SCI":
            header = hdu.header
            for card in ("CTYPE1", "CTYPE2", *_LINEAR):
                header[f"{card}A"] = header[card]
            header["CRVAL2A"] = header["CRVAL2"] + 1 / 3600
            header["WCSNAMEA"] = "IDC_test-GSC240"


def test_each_basis_is_opened_once(make):
    (record,) = open_exposures([make(change=with_alternate)])
    assert wcs_names(record) == ("IDC_test-FIT_REL_GAIAeDR3", "IDC_test-GSC240")
    primary, other = starts_of(record, ["GSC240", "HSC30"])
    assert primary is record
    assert other.wcsname == "IDC_test-GSC240"
    north = other.chips[0].distortion.crval[1] - record.chips[0].distortion.crval[1]
    assert north == pytest.approx(1 / 3600, abs=1e-12)
    assert starts_of(record, [""]) == (record,)


def test_an_aligned_exposure_starts_nowhere_else(make):
    (record,) = open_exposures([make(change=with_alternate)])
    moved = record.corrected(Correction(center=(150.25, 2.0), shift=(0.1, 0.0)))
    with pytest.raises(ParameterError, match="aligned"):
        starts_of(moved, ["GSC240"])
