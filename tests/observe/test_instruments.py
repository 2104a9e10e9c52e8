"""The table of detectors, filter names and units."""

import pytest

from hapdask.config.presets import PRESETS, load_parameters
from hapdask.errors import InputError
from hapdask.observe.instruments import (
    INSTRUMENTS,
    electronics,
    filter_elements,
    filter_name,
    find_instrument,
    flux_unit,
)

UVIS = INSTRUMENTS["WFC3", "UVIS"]
PC = INSTRUMENTS["WFPC2", "PC"]
CCD = INSTRUMENTS["STIS", "CCD"]
NIC1 = INSTRUMENTS["NICMOS", "NIC1"]
IR = INSTRUMENTS["WFC3", "IR"]
WFC = INSTRUMENTS["ACS", "WFC"]


def test_every_imager_has_a_row():
    assert [i.label for i in INSTRUMENTS.values()] == [
        "WFC3/UVIS",
        "WFC3/IR",
        "ACS/WFC",
        "ACS/HRC",
        "ACS/SBC",
        "WFPC2/PC",
        "STIS/CCD",
        "STIS/NUV-MAMA",
        "STIS/FUV-MAMA",
        "NICMOS/NIC1",
        "NICMOS/NIC2",
        "NICMOS/NIC3",
    ]
    assert IR.scales == PC.scales == ("coarse", "fine")
    assert UVIS.scales == WFC.scales == ("fine",)
    assert UVIS.chip_of_extver == WFC.chip_of_extver == (2, 1)
    assert PC.chip_of_extver == (1, 2, 3, 4)


@pytest.mark.parametrize("row", INSTRUMENTS.values(), ids=lambda row: row.label)
def test_a_row_is_of_one_piece(row):
    """What recipes and presets look up by HAP's names is there; figures are of their order."""
    assert INSTRUMENTS[row.hap_instrument.upper(), row.hap_detector.upper()] is row
    for preset in PRESETS:
        for count in (1, 2, 10):
            load_parameters(row.hap_instrument, row.hap_detector, count, preset=preset)
    bits = load_parameters(row.hap_instrument, row.hap_detector, 4).parameters
    assert bits.good_bits & bits.doubtful_bits == 0
    assert not bits.good_bits & (4096 | 8192)
    assert len({chip.number for chip in row.chips}) == len(row.chips)
    for chip in row.chips:
        assert 0.02 < chip.scale < 0.25
        assert len(chip.shadow) in (0, 6)
        assert row.chip(chip.number) is chip
    for quadrant in row.quadrants.values():
        x0, x1, y0, y1 = quadrant.window
        assert 0 <= x0 < x1 <= row.shape[1]
        assert 0 <= y0 < y1 <= row.shape[0]
        assert quadrant.chip in row.chip_of_extver


def test_the_case_of_header_values_does_not_matter():
    assert find_instrument({"INSTRUME": "wfc3 ", "DETECTOR": "Uvis"}, "a.fits") is UVIS


@pytest.mark.parametrize(
    "cards",
    [{}, {"INSTRUME": "WFPC"}, {"INSTRUME": "ACS", "DETECTOR": "X"}, {"INSTRUME": 7}],
)
def test_an_unknown_detector_lists_the_known_ones(cards):
    with pytest.raises(InputError, match="WFC3/UVIS, WFC3/IR, ACS/WFC"):
        find_instrument(cards, "a.fits")


@pytest.mark.parametrize(
    ("cards", "label"),
    [
        ({"INSTRUME": "WFPC2"}, "WFPC2/PC"),
        ({"INSTRUME": "WFPC2", "DETECTOR": "PC"}, "WFPC2/PC"),
        ({"INSTRUME": "STIS", "DETECTOR": "FUV-MAMA"}, "STIS/FUV-MAMA"),
        ({"INSTRUME": "NICMOS", "CAMERA": 2}, "NICMOS/NIC2"),
        ({"INSTRUME": "NICMOS", "CAMERA": 2, "DETECTOR": "x"}, "NICMOS/NIC2"),
    ],
)
def test_what_tells_an_instruments_detectors(cards, label):
    assert find_instrument(cards, "a.fits").label == label


def test_the_unknown_is_named():
    with pytest.raises(InputError, match="NICMOS/5: not a detector"):
        find_instrument({"INSTRUME": "NICMOS", "CAMERA": 5}, "a.fits")
    with pytest.raises(InputError, match="INSTRUME and DETECTOR are missing"):
        find_instrument({}, "a.fits")


@pytest.mark.parametrize(
    ("instrument", "chip", "cards", "expected"),
    [
        (PC, 1, {"ATODGAIN": 7.0, "DARKTIME": 100.0}, (7.12, 5.24, 0.5)),
        (PC, 2, {"ATODGAIN": 15, "EXPTIME": 40.0}, (14.50, 7.84, 0.2)),
        (PC, 3, {"ATODGAIN": 7.0, "MODE": "AREA", "DARKTIME": 100.0}, (6.90, 5.22, 2.0)),
        (PC, 4, {"ATODGAIN": 15.0, "DARKTIME": 0.0}, (13.95, 8.32, 0.0)),
        (UVIS, 1, {"ATODGNA": 1.5, "READNSEA": 3.0, "READNSEB": 3.2, "MEANDARK": 0.5},
         (1.0, 3.1, 0.5)),
        (UVIS, 1, {"READNSEA": 0.0, "READNSEC": 4.7, "MEANDARK": -0.5}, (1.0, 4.7, 0.0)),
        (UVIS, 2, {"READNSEA": "high"}, (1.0, 0.0, 0.0)),
        (CCD, 1, {"ATODGAIN": 1.0, "READNSE": 5.4, "EXPTIME": 1000.0}, (1.0, 5.4, 9.0)),
        (NIC1, 1, {"EXPTIME": 100.0}, (5.4, 26.0, 8.0)),
    ],
)  # fmt: skip
def test_gain_read_noise_and_dark(instrument, chip, cards, expected):
    found = electronics(cards, {}, instrument, instrument.chip(chip))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("setting", [None, 8.0, "7", True])
def test_an_unknown_gain_setting_is_told(setting):
    with pytest.raises(InputError, match="expected 7 or 15"):
        electronics({"ATODGAIN": setting}, {}, PC, PC.chip(1), path="a.fits")


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


@pytest.mark.parametrize(
    ("bunit", "instrument", "unit"),
    [
        (None, PC, "count"),
        ("COUNTS", PC, "count"),
        ("DN", PC, "count"),
        ("COUNTS/S", NIC1, "count / s"),
        ("counts / s", CCD, "count / s"),
        (None, NIC1, "count / s"),
        ("COUNTS", NIC1, "count"),
    ],
)
def test_units_of_detectors_that_count(bunit, instrument, unit):
    assert flux_unit(bunit, instrument, "a.fits", "SCI,1") == unit


@pytest.mark.parametrize("bunit", ["ELECTRONS", "ELECTRONS/S", "erg", "/s"])
def test_electrons_are_no_counts(bunit):
    with pytest.raises(InputError, match="not counts"):
        flux_unit(bunit, PC, "a.fits", "SCI,1")


def test_the_unit_of_infrared_is_a_rate_when_nothing_is_said():
    assert flux_unit(None, IR, "a.fits", "SCI,1") == "electron / s"


@pytest.mark.parametrize("bunit", ["COUNTS", "ERGS/CM**2", "DN/S", 5])
def test_other_units_are_refused(bunit):
    with pytest.raises(InputError, match="BUNIT") as caught:
        flux_unit(bunit, UVIS, "a.fits", "SCI,1")
    assert caught.value.ext == "SCI,1"
