"""Verdicts from primary headers: every rule, their order, and what an empty header means."""

import pytest

from hapdask.observe.instruments import INSTRUMENTS
from hapdask.observe.selection import ACCEPTED, Verdict, judge

UVIS = INSTRUMENTS["WFC3", "UVIS"]
WFC = INSTRUMENTS["ACS", "WFC"]
GOOD = {"OBSTYPE": "IMAGING", "EXPTIME": 300.0, "FILTER": "F606W", "FGSLOCK": "FINE", "MTFLAG": ""}


def test_a_good_exposure_is_accepted():
    assert judge(GOOD, UVIS) == ACCEPTED


def test_keywords_that_are_absent_accuse_nobody():
    assert judge({"EXPTIME": 1, "FILTER": "F606W"}, UVIS) == ACCEPTED


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("OBSTYPE", "SPECTROSCOPIC"),
        ("DRIZCORR", "OMIT"),
        ("DRIZCORR", "skipped"),
        ("MTFLAG", "T"),
        ("MTFLAG", True),
        ("SCAN_TYP", "C"),
        ("SCAN_TYP", "D"),
        ("TARGNAME", "DARK-NM"),
        ("TARGNAME", "TUNGSTEN"),
        ("TARGNAME", "EARTH-CALIB"),
        ("EXPTIME", 0.0),
        ("EXPTIME", 1e-6),
        ("EXPTIME", -5),
        ("EXPTIME", None),
        ("EXPTIME", "long"),
        ("EXPTIME", float("nan")),
        ("CHINJECT", "CONT"),
        ("QUALITY", "GSFAIL; retry"),
        ("QUALITY", "tdf-down"),
        ("FILTER", "G280"),
        ("FILTER", "PR200L"),
        ("FILTER", "FQ999N"),
        ("FILTER", "FR505N"),
        ("FILTER", "BLOCK"),
    ],
)
def test_every_rule_rejects(keyword, value):
    verdict = judge({**GOOD, keyword: value}, UVIS)
    assert verdict.status == "rejected"
    assert verdict.keyword == keyword
    assert verdict.reason


@pytest.mark.parametrize(
    ("label", "cards", "status"),
    [
        ("WFC3/UVIS", {"FILTER": "FQ508N"}, "warning"),
        ("WFC3/IR", {"FILTER": "G141"}, "rejected"),
        ("ACS/WFC", {"FILTER1": "G800L", "FILTER2": "CLEAR2L"}, "rejected"),
        ("ACS/WFC", {"FILTER1": "F606W", "FILTER2": "POL60V"}, "warning"),
        ("ACS/HRC", {"FILTER1": "PR200L", "FILTER2": "CLEAR2S"}, "rejected"),
        ("ACS/SBC", {"FILTER1": "PR130L"}, "rejected"),
        ("WFPC2/PC", {"FILTNAM1": "FR680P15"}, "rejected"),
        ("WFPC2/PC", {"FILTNAM1": "F606W", "FILTNAM2": "POLQN18"}, "warning"),
        ("WFPC2/PC", {"FILTNAM1": "FQUVN33"}, "rejected"),
        ("WFPC2/PC", {"FILTNAM1": "F606W", "TARGNAME": "DARK-CLOUD"}, "accepted"),
        ("WFPC2/PC", {"FILTNAM1": "F606W", "IMAGETYP": "DARK"}, "rejected"),
        ("WFPC2/PC", {"FILTNAM1": "F606W", "IMAGETYP": "EXT", "MTFLAG": True}, "rejected"),
        ("STIS/CCD", {"APERTURE": "50CCD", "OPT_ELEM": "G750L"}, "rejected"),
        ("STIS/CCD", {"APERTURE": "50CCD", "OPT_ELEM": "MIRVIS"}, "accepted"),
        ("NICMOS/NIC3", {"FILTER": "G096"}, "rejected"),
        ("NICMOS/NIC2", {"FILTER": "POL0L"}, "warning"),
        ("NICMOS/NIC1", {"FILTER": "F110W", "TARGNAME": "FLAT"}, "rejected"),
    ],
)
def test_rules_of_each_instrument(label, cards, status):
    first, second = label.split("/")
    verdict = judge({"EXPTIME": 100.0, **cards}, INSTRUMENTS[first, second])
    assert verdict.status == status
    assert bool(verdict.reason) == (status != "accepted")


def test_warnings_of_several_rules_add_up():
    cards = {"EXPTIME": 1.0, "FILTER1": "F606W", "FILTER2": "POL0V", "FGSLOCK": "GYROS"}
    verdict = judge(cards, WFC)
    assert verdict.status == "warning"
    assert "polariser" in verdict.reason
    assert "fine lock" in verdict.reason


def test_an_absent_exposure_time_is_rejected():
    verdict = judge({k: v for k, v in GOOD.items() if k != "EXPTIME"}, UVIS)
    assert (verdict.status, verdict.keyword) == ("rejected", "EXPTIME")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("MTFLAG", "F"),
        ("MTFLAG", False),
        ("SCAN_TYP", "N"),
        ("CHINJECT", "NONE"),
        ("EXPTIME", 1),
        ("DRIZCORR", "COMPLETE"),
        ("QUALITY", "OK"),
        ("FILTER", "F850LP"),
    ],
)
def test_harmless_values_pass(keyword, value):
    assert judge({**GOOD, keyword: value}, UVIS) == ACCEPTED


@pytest.mark.parametrize("lock", ["GYROS", "COARSE", "FINE/GYRO"])
def test_doubtful_guiding_is_a_warning_only(lock):
    verdict = judge({**GOOD, "FGSLOCK": lock}, UVIS)
    assert (verdict.status, verdict.keyword, verdict.value) == ("warning", "FGSLOCK", lock)


def test_a_warning_never_hides_a_rejection():
    verdict = judge({**GOOD, "FGSLOCK": "GYROS", "FILTER": "G280"}, UVIS)
    assert (verdict.status, verdict.value) == ("rejected", "G280")


def test_the_first_rule_decides():
    verdict = judge({**GOOD, "OBSTYPE": "SPECTROSCOPIC", "EXPTIME": 0.0}, UVIS)
    assert verdict.keyword == "OBSTYPE"


def test_both_filter_wheels_are_looked_at():
    cards = {"EXPTIME": 1.0, "FILTER1": "F606W", "FILTER2": "FR388N"}
    assert judge(cards, WFC).value == "FR388N"
    assert judge({"EXPTIME": 1.0, "FILTER1": "CLEAR1L", "FILTER2": "F814W"}, WFC) == ACCEPTED


def test_warnings_add_up_once_each():
    verdict = ACCEPTED.warned("a", "KEY", "1").warned("b").warned("a")
    assert verdict == Verdict("warning", "a; b", "KEY", "1")
