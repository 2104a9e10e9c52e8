"""Names and facts of WCS solutions."""

import pytest

from hapdask.astrometry.headers.facts import WcsFacts, correction_history
from hapdask.astrometry.headers.names import (
    fitted_name,
    headerlet_name,
    stem_of,
    unique_name,
    wcs_type,
)
from hapdask.errors import ParameterError
from hapdask.observe.distortion import Correction


@pytest.mark.parametrize(
    ("previous", "label", "expected"),
    [
        ("IDC_0461802ej", "SVM", "IDC_0461802ej-FIT_SVM_GAIAeDR3"),
        ("IDC_0461802ej-GSC240", "REL", "IDC_0461802ej-FIT_REL_GAIAeDR3"),
        ("IDC_0461802ej-FIT_SVM_2MASS", "MVM", "IDC_0461802ej-FIT_MVM_GAIAeDR3"),
        ("OPUS", "IMG", "OPUS-FIT_IMG_GAIAeDR3"),
        ("", "EVM", "FIT_EVM_GAIAeDR3"),
    ],
)
def test_names_of_fits(previous, label, expected):
    assert fitted_name(previous, label, "GAIAeDR3") == expected


@pytest.mark.parametrize(("label", "catalog"), [("HAP", "GAIA"), ("SVM", " "), ("SVM", "G\xb5")])
def test_names_that_cannot_be(label, catalog):
    with pytest.raises(ParameterError):
        fitted_name("IDC_x", label, catalog)


@pytest.mark.parametrize(
    ("wcsname", "expected"),
    [  # the first five stand in a file of the archive (tests/data/observe/uvis)
        (
            "IDC_2731450pi-FIT_SVM_GAIAeDR3",
            "undistorted a posteriori solution aligned by visit to GAIAEDR3",
        ),
        (
            "IDC_2731450pi-FIT_REL_GAIAeDR3",
            "undistorted a posteriori solution relatively aligned to GAIAEDR3",
        ),
        ("IDC_2731450pi-HSC30", "undistorted a priori solution based on HSC30"),
        ("IDC_2731450pi", "undistorted not aligned"),
        ("OPUS", "pipeline default not aligned"),
        ("OPUS-GSC240", "pipeline default a priori solution based on GSC240"),
        (
            "IDC_x-FIT_IMG_2MASS-1",
            "undistorted a posteriori solution aligned image-by-image to 2MASS",
        ),
        (
            "IDC_x-FIT_EVM_GAIADR2",
            "undistorted a posteriori solution aligned by visit-exposures to GAIADR2",
        ),
        ("IDC_x-FIT_OWN_GAIADR2", "user-defined"),
        ("TWEAK", "user-defined"),
        ("", "not aligned"),
    ],
)
def test_what_a_name_says(wcsname, expected):
    assert wcs_type(wcsname) == expected


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("IDC", ["IDC_A"], "IDC"),
        ("IDC", ["IDC_A", "idc"], "IDC-1"),
        ("IDC", ["IDC", "IDC-1"], "IDC-2"),
        ("IDC-1", ["IDC", "IDC-1"], "IDC-2"),
        ("IDC_A", ["IDC_A"], "IDC_A-1"),
    ],
)
def test_numbers_of_names(name, taken, expected):
    assert unique_name(name, taken) == expected


def test_names_of_headerlets():
    assert stem_of("s3://b/a/ia0a01aaq_flc.fits.gz") == "ia0a01aaq_flc"
    assert headerlet_name("C:\\x\\j_flt.fits", "IDC_1") == "j_flt_IDC_1-hlet.fits"


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "caf\xe9"])
def test_a_name_that_no_card_holds(name):
    with pytest.raises(ParameterError, match="no WCSNAME"):
        WcsFacts(name)


def test_rms_that_is_not_known_is_none():
    with pytest.raises(ParameterError, match="None if unknown"):
        WcsFacts("A", rms_mas=(1.0, float("nan")))


def test_figures_of_a_correction():
    turned = Correction((10.0, -20.0), (1.0001, 0.0, 0.0, 1.0001), (0.25, -0.5))
    text = "\n".join(correction_history(turned))
    assert "x_shift (east): 250.0000 mas" in text
    assert "y_shift (north): -500.0000 mas" in text
    assert "scale: 1.0001000000" in text
    assert "rotation (y axis): 0.00000000 deg" in text
