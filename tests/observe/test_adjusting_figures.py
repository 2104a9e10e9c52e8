"""Gain, read noise, dark and time: what every detector has by default, and what a user gives.

The table is AstroDrizzle's; where ours differs on purpose, the test says why.
"""

import pytest
from imagers import make_synthetic, make_wfpc2

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.drizzling.weighting import to_electrons
from hapdask.errors import InputError, ParameterError
from hapdask.observe.adjusting.adjust import adjust
from hapdask.observe.adjusting.figures import with_figures
from hapdask.observe.exposure import open_exposures
from hapdask.observe.instruments import INSTRUMENTS, electronics

AMPLIFIERS = {
    **{f"ATODGN{amp}": gain for amp, gain in zip("ABCD", (1.5, 0.0, 1.7, 1.6), strict=True)},
    **{f"READNSE{amp}": noise for amp, noise in zip("ABCD", (3.0, 3.2, 0.0, 3.4), strict=True)},
}
SECONDS = 200.0
TIMES = {"EXPTIME": SECONDS, "DARKTIME": 210.0}

#: Instrument, detector, cards, then AstroDrizzle's factor from SCI counts to electrons, read
#: noise, and dark.
FACTS = [
    ("ACS", "WFC", {**AMPLIFIERS, "MEANDARK": 0.7}, 1.0, 3.2, 0.7),
    ("ACS", "HRC", {**AMPLIFIERS, "MEANDARK": 0.7}, 1.0, 3.2, 0.7),
    ("ACS", "SBC", {"MEANDARK": 0.02}, 1.0, 0.0, 0.02),
    ("WFC3", "UVIS", {**AMPLIFIERS, "MEANDARK": 0.7}, 1.0, 3.2, 0.7),
    ("WFC3", "IR", {**AMPLIFIERS, "MEANDARK": 0.7}, 1.0, 3.2, 0.7),
    ("NICMOS", "NIC1", {"EXPTIME": SECONDS}, 5.4, 26.0, 0.08 * SECONDS),
    ("NICMOS", "NIC2", {"EXPTIME": SECONDS}, 5.4, 26.0, 0.08 * SECONDS),
    ("NICMOS", "NIC3", {"EXPTIME": SECONDS}, 6.5, 29.0, 0.15 * SECONDS),
]
WFPC2 = {
    (7, 1): (7.12, 5.24),
    (7, 2): (7.12, 5.51),
    (7, 3): (6.90, 5.22),
    (7, 4): (7.10, 5.19),
    (15, 1): (13.99, 7.02),
    (15, 2): (14.50, 7.84),
    (15, 3): (13.95, 6.99),
    (15, 4): (13.95, 8.32),
}
#: Rates of dark of AstroDrizzle, which takes them for electrons in the whole exposure, and ours.
STIS = {"CCD": (0.009, 0.009), "NUV-MAMA": (0.0013, 0.0013), "FUV-MAMA": (0.07, 1.5e-4)}


class TestDefaults:
    @pytest.mark.parametrize(("instrument", "detector", "cards", "gain", "noise", "dark"), FACTS)
    def test_headers_and_fixed_figures(self, instrument, detector, cards, gain, noise, dark):
        row = INSTRUMENTS[instrument, detector]
        assert electronics(cards, {}, row, row.chips[0]) == pytest.approx((gain, noise, dark))

    @pytest.mark.parametrize(("setting", "chip"), WFPC2)
    def test_wfpc2_by_gain_and_chip(self, setting, chip):
        row = INSTRUMENTS["WFPC2", "PC"]
        cards = {"ATODGAIN": float(setting), **TIMES}
        found = electronics(cards, {}, row, row.chip(chip))
        assert found == pytest.approx((*WFPC2[setting, chip], 0.005 * 210.0))

    @pytest.mark.parametrize("detector", STIS)
    def test_stis_has_a_dark_that_grows_with_time(self, detector):
        """Upstream's figure is a rate that it does not multiply; its FUV rate is 470 times ours.

        Theirs gives a CCD exposure of 200 s a dark of 0.009 electrons; ours, 1.8.  Ours of the FUV
        is the exposure time calculator's.
        """
        theirs, rate = STIS[detector]
        row = INSTRUMENTS["STIS", detector]
        cards = {"ATODGAIN": 4.016, "READNSE": 7.9, "EXPTIME": SECONDS}
        gain, noise, dark = electronics(cards, {}, row, row.chips[0])
        assert (gain, noise) == ((4.016, 7.9) if detector == "CCD" else (1.0, 0.0))
        assert dark == pytest.approx(rate * SECONDS)
        assert dark != pytest.approx(theirs)

    def test_the_table_is_whole(self):
        named = {fact[:2] for fact in FACTS} | {("WFPC2", "PC")} | {("STIS", d) for d in STIS}
        assert named == set(INSTRUMENTS)


def figures(**values):
    return AstroDrizzleParameters.from_values(values).instrument


def facts(exposure):
    chip = exposure.chips[0]
    return chip.gain, chip.read_noise, exposure.exptime


@pytest.fixture
def stis(tmp_path):
    (exposure,) = open_exposures(
        make_synthetic(tmp_path, "ccd", primary={"RN1": 3.0, "RN2": 0.0, "RN3": 5.0, "WORD": "x"}),
        strict=True,
    )
    return exposure


class TestGiven:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({}, (4.016, 7.9, 500.0)),
            ({"gain": 2.0}, (2.0, 7.9, 500.0)),
            ({"gain": "2,0,4"}, (3.0, 7.9, 500.0)),
            ({"gnkeyword": "rn1"}, (3.0, 7.9, 500.0)),
            ({"rdnoise": "8, 0"}, (4.016, 8.0, 500.0)),
            ({"rnkeyword": "RN1,RN2,RN3"}, (4.016, 4.0, 500.0)),
            ({"rnkeyword": "RN2"}, (4.016, 0.0, 500.0)),
            ({"exptime": 250}, (4.016, 7.9, 250.0)),
            ({"expkeyword": "RN3"}, (4.016, 7.9, 5.0)),
            ({"expkeyword": "EXPTIME"}, (4.016, 7.9, 500.0)),  # of SCI: PRIMARY has none
            ({"gain": 1, "rdnoise": 2, "exptime": 3}, (1.0, 2.0, 3.0)),
        ],
    )
    def test_values_and_keywords(self, stis, values, expected):
        changed = with_figures(stis, figures(**values))
        assert facts(changed) == pytest.approx(expected)
        assert (changed.digest == stis.digest) == (facts(changed) == facts(stis))
        assert changed.verdict == stis.verdict
        assert adjust([stis], AstroDrizzleParameters.from_values(values)) == (changed,)

    def test_a_dark_goes_with_the_time(self, stis):
        assert with_figures(stis, figures(exptime=250)).chips[0].dark == stis.chips[0].dark / 2

    def test_a_dark_of_the_header_stays(self, make):
        (exposure,) = open_exposures(make(shape=(6, 5), science={"MEANDARK": 0.5}))
        changed = with_figures(exposure, figures(exptime=170))
        assert (changed.exptime, changed.chips[0].dark) == (170.0, 0.5)

    def test_a_rate_becomes_other_electrons(self, make):
        (exposure,) = open_exposures(make(detector="IR", shape=(6, 5)))
        changed = with_figures(exposure, figures(exptime=170))
        assert to_electrons(changed, changed.chips[0]) == 170.0

    def test_primary_goes_before_the_chips(self, make):
        def count(hdus):
            hdus[0].header["NOISE"] = 4.0
            for extver in (1, 2):
                hdus["SCI", extver].header.update(NOISE=7.0, NOISY=float(extver))

        (exposure,) = open_exposures(make(shape=(6, 5), change=count))
        of_both = with_figures(exposure, figures(rnkeyword="NOISE"))
        assert [c.read_noise for c in of_both.chips] == [4.0, 4.0]
        of_each = with_figures(exposure, figures(rnkeyword="NOISE,NOISY"))
        assert [c.read_noise for c in of_each.chips] == [2.5, 3.0]

    def test_chips_of_different_times(self, make):
        def times(hdus):
            for extver in (1, 2):
                hdus["SCI", extver].header["CHIPTIME"] = 100.0 * extver

        (exposure,) = open_exposures(make(shape=(6, 5), change=times))
        with pytest.raises(InputError, match="different times: 100 s, 200 s"):
            with_figures(exposure, figures(expkeyword="CHIPTIME"))


class TestRefused:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"rnkeyword": "RN1,ABSENT"}, "ABSENT is missing"),
            ({"gnkeyword": "WORD"}, "WORD = 'x' is no number"),
            ({"gnkeyword": "RN2"}, "RN2 gives 0"),
            ({"expkeyword": "RN2"}, "RN2 gives 0"),
            ({"rnkeyword": "MTFLAG"}, "is no number"),
        ],
    )
    def test_keywords(self, stis, values, words):
        with pytest.raises(InputError, match=words) as caught:
            with_figures(stis, figures(**values))
        assert caught.value.path == stis.url
        assert caught.value.ext == "PRIMARY and SCI,1"
        assert "another keyword" in caught.value.remedy

    def test_a_stripped_record(self, stis):
        with pytest.raises(ParameterError, match="no header cards"):
            with_figures(stis.strip(), figures(rnkeyword="RN1"))
        assert with_figures(stis.strip(), figures(gain=2)).chips[0].gain == 2.0


class TestOfTheDetector:
    def test_wfpc2_has_its_own_table_before_keywords(self, tmp_path):
        (exposure,) = open_exposures(make_wfpc2(tmp_path))
        changed = with_figures(exposure, figures(gnkeyword="ATODGAIN", rnkeyword="ATODGAIN"))
        assert changed.chips == exposure.chips
        assert "the gain's setting alone" in changed.verdict.reason
        given = with_figures(exposure, figures(gain=7.5, rdnoise=5.0))
        assert {(c.gain, c.read_noise) for c in given.chips} == {(7.5, 5.0)}

    @pytest.mark.parametrize("detector", ["UVIS", "IR", "WFC"])
    def test_a_gain_changes_nothing_in_electrons(self, make, detector):
        (exposure,) = open_exposures(make(detector=detector, shape=(6, 5)))
        for values in ({"gain": 1.5}, {"gnkeyword": "ATODGNA"}):
            changed = with_figures(exposure, figures(**values))
            assert changed.digest == exposure.digest
            assert changed.verdict.status == "warning"
            assert "a gain changes nothing" in changed.verdict.reason

    def test_means_leave_zeros_out(self):
        assert figures(gain="1,0,3").gain == (1.0, 0.0, 3.0)
