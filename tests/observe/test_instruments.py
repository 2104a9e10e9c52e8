"""The table of detectors, filter names and units."""

import pytest

from hapdask.errors import InputError
from hapdask.observe.instruments import (
    INSTRUMENTS,
    filter_elements,
    filter_name,
    find_instrument,
    flux_unit,
)

UVIS = INSTRUMENTS["WFC3", "UVIS"]
IR = INSTRUMENTS["WFC3", "IR"]
WFC = INSTRUMENTS["ACS", "WFC"]


def test_the_three_detectors_of_step_one():
    assert {i.label for i in INSTRUMENTS.values()} == {"WFC3/UVIS", "WFC3/IR", "ACS/WFC"}
    assert IR.scales == ("coarse", "fine")
    assert UVIS.scales == WFC.scales == ("fine",)
    assert UVIS.chip_of_extver == WFC.chip_of_extver == (2, 1)


def test_the_case_of_header_values_does_not_matter():
    assert find_instrument({"INSTRUME": "wfc3 ", "DETECTOR": "Uvis"}, "a.fits") is UVIS


@pytest.mark.parametrize(
    "cards",
    [{}, {"INSTRUME": "WFPC2"}, {"INSTRUME": "ACS", "DETECTOR": "HRC"}, {"INSTRUME": 7}],
)
def test_an_unknown_detector_lists_the_known_ones(cards):
    with pytest.raises(InputError, match="WFC3/UVIS, WFC3/IR, ACS/WFC"):
        find_instrument(cards, "a.fits")


@pytest.mark.parametrize(
    ("instrument", "cards", "name"),
    [
        (UVIS, {"FILTER": "F606W"}, "f606w"),
        (WFC, {"FILTER1": "CLEAR1L", "FILTER2": "F814W"}, "f814w"),
        (WFC, {"FILTER1": "F606W", "FILTER2": "CLEAR2L"}, "f606w"),
        (WFC, {"FILTER1": "POL0V", "FILTER2": "F606W"}, "f606w-pol0v"),
        (WFC, {"FILTER1": "F606W", "FILTER2": "POL120V"}, "f606w-pol120v"),
        (WFC, {"FILTER1": "CLEAR1L", "FILTER2": "CLEAR2L"}, "clear"),
        (WFC, {"FILTER1": "F115LP", "FILTER2": "N/A"}, "f115lp"),
    ],
)
def test_filters_are_named_as_in_the_archive(instrument, cards, name):
    assert filter_name(filter_elements(cards, instrument), "a.fits") == name


@pytest.mark.parametrize("value", ["../../etc", "F 606", "F606W/x", "é", ""])
def test_a_filter_that_could_not_stand_in_a_file_name_is_refused(value):
    with pytest.raises(InputError, match="filter"):
        filter_name(filter_elements({"FILTER": value}, UVIS), "a.fits")


@pytest.mark.parametrize(
    ("bunit", "unit"),
    [
        ("ELECTRONS", "electron"),
        ("electrons", "electron"),
        ("ELECTRONS/S", "electron / s"),
        ("electron / s", "electron / s"),
        ("e-/s", "electron / s"),
        (None, "electron"),
        ("  ", "electron"),
    ],
)
def test_units(bunit, unit):
    assert flux_unit(bunit, UVIS, "a.fits", "SCI,1") == unit


def test_the_unit_of_infrared_is_a_rate_when_nothing_is_said():
    assert flux_unit(None, IR, "a.fits", "SCI,1") == "electron / s"


@pytest.mark.parametrize("bunit", ["COUNTS", "ERGS/CM**2", "DN/S", 5])
def test_other_units_are_refused(bunit):
    with pytest.raises(InputError, match="BUNIT") as caught:
        flux_unit(bunit, UVIS, "a.fits", "SCI,1")
    assert caught.value.ext == "SCI,1"
