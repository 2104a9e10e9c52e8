"""What noise the test allows, what is marked around cosmic rays, and what replaces them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from hapdask.drizzling.cosmic_ray_test import (
    CosmicRayTest,
    chip_levels,
    cleaned,
    grown,
    typical_variance,
)
from hapdask.kernels import rejection
from hapdask.kernels.rejection import ERROR, LIGHT, UPSTREAM
from hapdask.observe.instruments import INSTRUMENTS, tail


@pytest.fixture
def exposure(expose):
    return expose("ia0a01aaq", chips=1, shape=(64, 64), tables=False).with_sky(30.0)


def levels(exposure, test=None, typical=None, **changes):
    chip = replace(exposure.chips[0], read_noise=3.0, dark=2.0, **changes)
    whole = replace(exposure, chips=(chip,))
    typical = typical_variance([whole]) if typical is None else typical
    return chip_levels(whole, chip, 0.01, test or CosmicRayTest(), typical, has_err=True)


def test_electrons_of_an_exposure_in_electrons(exposure):
    found = levels(exposure)
    assert (found.kind, found.electrons, found.sky, found.light) == (ERROR, 1.0, 30.0, 30.0)
    assert found.counts == pytest.approx(100.0)
    assert found.floor == 11.0
    assert found.factor == pytest.approx(1.2)


def test_counts_are_counted_as_electrons(exposure):
    """Upstream's noise alone takes the gain once too often, for WFPC2 and STIS."""
    counts = replace(exposure, unit="count")
    own = levels(counts, gain=7.0)
    assert (own.electrons, own.sky, own.light) == (7.0, 210.0, 210.0)
    upstream = levels(counts, CosmicRayTest(upstream=True), gain=7.0)
    assert (upstream.kind, upstream.electrons, upstream.factor) == (UPSTREAM, 7.0, 7.0)
    assert (upstream.light, upstream.floor) == (210.0, 9.0)


def test_a_ramp_is_less_noisy_than_its_reads(exposure):
    """What ERR says of a rate holds down to the dark; where there is no ERR, the read noise."""
    rate = replace(exposure, unit="electron / s")
    assert levels(rate).floor == 2.0
    chip = replace(rate.chips[0], read_noise=3.0, dark=2.0)
    assert chip_levels(rate, chip, 0.01, CosmicRayTest(), 0.0, has_err=False).kind == LIGHT
    assert chip_levels(rate, chip, 0.01, CosmicRayTest(), 0.0, has_err=False).floor == 11.0


def test_the_median_has_noise_of_its_own(exposure):
    """A long exposure among short ones meets a noisy median; a short one a quiet one."""
    long = replace(exposure, exptime=1000.0)
    typical = typical_variance([long, exposure, exposure, exposure])
    assert typical == typical_variance([exposure])
    own = typical_variance([replace(long, chips=(replace(long.chips[0], read_noise=3.0),))])
    assert levels(long, typical=20.0 * own).factor > 4.0
    assert levels(exposure, typical=0.0).factor == 1.0


def test_sky_that_others_removed_made_noise(exposure):
    """``skyuser``, or a ``skyfile`` that was applied: nothing to subtract, but not a dark sky."""
    removed = exposure.with_sky(0.0, 30.0)
    assert levels(removed).floor == 11.0 + 30.0
    assert levels(removed).sky == 0.0
    assert typical_variance([removed]) == typical_variance([exposure])
    upstream = levels(removed, CosmicRayTest(upstream=True))
    assert (upstream.sky, upstream.light) == (0.0, 30.0)


@pytest.mark.parametrize("test", [CosmicRayTest(), CosmicRayTest(upstream=True)])
def test_the_halo_holds_all_that_decides(exposure, test):
    """Pixels that have it around them come out alike, whatever is cut off beyond."""
    rng = np.random.default_rng(4)
    blot = rng.gamma(1.0, 0.6, (200, 200)).astype(np.float32)
    sci = 100.0 * blot + rng.normal(0.0, 40.0, blot.shape).astype(np.float32)
    limits = (0.4, 3.5, 0.2, 3.0)
    found = levels(exposure, test)

    def bad(part):
        cut = [np.ascontiguousarray(a[part, part]) for a in (sci, np.sqrt(np.abs(sci)), blot)]
        out = np.empty(cut[0].shape, np.uint8)
        rejection.find(*cut, found, limits, out)
        return out

    whole = bad(slice(0, 200))
    assert 0.005 < whole.mean() < 0.6
    for first in range(4, 160):
        part, inner = slice(first, first + 30), slice(test.halo, 30 - test.halo)
        assert np.array_equal(bad(part)[inner, inner], whole[part, part][inner, inner])


def test_another_level_than_the_sky(exposure):
    """blot_addsky = False: blot_skyval in SCI units, whatever sky was found."""
    found = levels(exposure, CosmicRayTest(sky=4.0))
    assert (found.sky, found.light) == (4.0, 4.0)
    upstream = levels(exposure, CosmicRayTest(sky=4.0, upstream=True))
    assert (upstream.sky, upstream.light) == (4.0, 30.0)


@pytest.mark.parametrize("turn", [1, -1, 0])
def test_tails_lie_away_from_the_amplifier(exposure, turn):
    chip = replace(exposure.chips[0], tail=turn)
    bad = np.zeros((20, 9), np.uint8)
    bad[10, 4] = 1
    found = grown(bad, chip, CosmicRayTest(ctegrow=3))
    rows = {1: [10, 11, 12, 13], -1: [7, 8, 9, 10], 0: [10]}[turn]
    y, x = np.nonzero(found)
    assert y.tolist() == rows
    assert set(x) == {4}
    boxed = grown(bad, chip, CosmicRayTest(ctegrow=3, grow=3))
    assert boxed.sum() == 9 + max(len(rows) - 2, 0)


def upstream_tails(bad, length, direction):
    """AstroDrizzle's: good neighbours are counted, and beyond its ends a chip is mirrored."""
    kernel = np.zeros((2 * length + 1, 2 * length + 1))
    rows = slice(0, length) if direction > 0 else slice(length + 1, None)
    kernel[rows, length] = 1.0
    return signal.convolve2d(1 - bad, kernel, mode="same", boundary="symm") < length


@pytest.mark.parametrize(
    ("turn", "row", "ours", "more"),
    [(1, 1, [1, 2, 3, 4, 5], [0]), (-1, 10, [6, 7, 8, 9, 10], [11]), (1, 6, [6, 7, 8, 9, 10], [])],
)
def test_tails_are_not_mirrored_at_the_ends_of_a_chip(exposure, turn, row, ours, more):
    """A hit near the first rows has no twin before them whose tail runs into the chip.

    Upstream marks pixels there on the side of the amplifier, which no charge has passed late;
    its direction has the other sign.  (The hit itself is for its other mask.)
    """
    chip = replace(exposure.chips[0], tail=turn)
    bad = np.zeros((12, 5), np.uint8)
    bad[row, 2] = 1
    found = grown(bad, chip, CosmicRayTest(ctegrow=4))
    assert np.flatnonzero(found[:, 2]).tolist() == ours
    theirs = upstream_tails(bad, 4, -turn) | (bad > 0)
    extra = np.flatnonzero(theirs[:, 2] & ~found[:, 2].astype(bool)).tolist()
    assert extra == more
    assert not (found[:, 2].astype(bool) & ~theirs[:, 2]).any()
    upstream = CosmicRayTest(ctegrow=4, upstream=True)
    assert np.array_equal(grown(bad, chip, upstream), found)  # `compat` leaves them, too


def test_upstream_marks_all_where_there_are_no_tails(exposure):
    """Its kernel of zeros never sums up to the length of a tail: every pixel is called bad."""
    bad = np.zeros((20, 9), np.uint8)
    assert not grown(bad, exposure.chips[0], CosmicRayTest(ctegrow=3, upstream=True)).any()
    chip = replace(exposure.chips[0], tail=0)
    assert grown(bad, chip, CosmicRayTest(ctegrow=3, upstream=True)).all()
    assert not grown(bad, chip, CosmicRayTest(ctegrow=3)).any()


@pytest.mark.parametrize(
    ("detector", "amplifier", "chip", "expected"),
    [
        (("WFC3", "UVIS"), "ABCD", 2, 1), (("WFC3", "UVIS"), "ABCD", 1, -1),
        (("ACS", "WFC"), "ABCD", 2, 1), (("ACS", "WFC"), "B", 1, -1),
        (("ACS", "HRC"), "A", 1, -1), (("ACS", "HRC"), "B", 1, -1), (("ACS", "HRC"), "C", 1, 1),
        (("WFPC2", "PC"), "", 3, 1), (("STIS", "CCD"), "D", 1, -1),
        (("WFC3", "IR"), "", 1, 0), (("ACS", "SBC"), "", 1, 0), (("NICMOS", "NIC2"), "", 2, 0),
    ],
)  # fmt: skip
def test_amplifiers_of_all_detectors(detector, amplifier, chip, expected):
    """Facts 1.3.4: cte_dir +1 marks towards lower rows."""
    row = INSTRUMENTS[detector]
    assert tail({"CCDAMP": amplifier}, row, row.chip(chip)) == expected


def test_cleaned_rows():
    sci = np.arange(12, dtype=np.float32).reshape(3, 4)
    blot = np.full((3, 4), 50.0, np.float32)
    blot[0, 0] = np.nan
    cosmic = np.zeros((3, 4), bool)
    cosmic[0, 0] = cosmic[1, 1] = True
    own = cleaned(sci, blot, cosmic)
    assert own[1, 1] == 50.0
    assert own[0, 0] == 0.0
    assert (own != sci).sum() == 1
    flagged = np.zeros((3, 4), bool)
    flagged[2, 2] = True
    assert cleaned(sci, blot, cosmic, flagged)[2, 2] == 50.0
