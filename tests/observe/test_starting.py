"""WCSs of a file that others start from: which it has, and opening it with them."""

import pytest

from hapdask.astrometry.grism.carrying import Direct, carry_over
from hapdask.astrometry.grism.common import with_common_wcs
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


def test_a_direct_image_carries_what_its_file_has(make):
    """The pipeline's fit of a direct image, and a dispersed one that GSC240 corrected alone."""
    (direct,) = open_exposures([make("ib4606c1q", change=with_alternate)])
    path = make("ib4606g1q", primary={"FILTER": "G280"}, science={"WCSNAME": "IDC_test-GSC240"})
    (grism,) = open_exposures([path], select="visit")
    moved = direct.corrected(Correction(center=(150.25, 2.0), shift=(0.1, 0.0)))
    (carried,) = carry_over([grism], [Direct(starts_of(direct, ["GSC240"]), moved)])
    # from the alternate WCS back by 1 arcsec to the primary one, and on with its correction
    east, north = carried.record.correction.shift
    assert (east, north) == pytest.approx((0.1, -1.0), abs=1e-3)


def idc_names(hdus):
    """Give it an a-priori WCS named as the archive names it, as alternate A."""
    with_alternate(hdus)
    for hdu in hdus:
        if hdu.name == "SCI":
            hdu.header["WCSNAMEA"] = "IDC_w3m18525i-GSC240"


def test_haps_rule_gives_all_one_apriori_wcs(make):
    names = ("ib4606c1q", "ib4606c2q", "ib4606g1q")
    filters = ("F606W", "F606W", "G280")
    paths = [
        make(name, primary={"FILTER": each}, change=idc_names)
        for name, each in zip(names, filters, strict=True)
    ]
    *direct, grism = open_exposures(paths, select="visit")
    found = with_common_wcs([grism], direct)
    assert sorted(found) == sorted(names)
    assert {record.wcsname for record in found.values()} == {"IDC_w3m18525i-GSC240"}
    north = found[names[0]].chips[0].distortion.crval[1] - direct[0].chips[0].distortion.crval[1]
    assert north == pytest.approx(1 / 3600, abs=1e-12)
    assert with_common_wcs([], direct) == {}


def test_haps_rule_changes_nothing_where_there_is_none(make):
    """With a direct image that lacks the WCS, or a file that is gone."""
    paths = [
        make("ib4606c1q", primary={"FILTER": "F606W"}),
        make("ib4606g1q", primary={"FILTER": "G280"}, change=idc_names),
    ]
    direct, grism = open_exposures(paths, select="visit")
    assert with_common_wcs([grism], [direct]) == {}
    assert list(with_common_wcs([grism], [])) == ["ib4606g1q"]
    paths[1].unlink()
    assert with_common_wcs([grism], []) == {}
