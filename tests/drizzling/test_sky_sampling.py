"""Which pixels of a large chip the sky is measured on."""

import numpy as np
import pytest

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels import sampling
from hapdask.drizzling.sky_levels.measuring import measure_spans
from hapdask.drizzling.sky_levels.sampling import read_usable
from hapdask.kernels.image_statistics import whole

OWN, UPSTREAM = SkyParameters(), SkyParameters(convention="upstream")


@pytest.fixture
def exposure(expose):
    return expose("ia0a01aaq", shape=(301, 518))


@pytest.fixture(params=[2, 8])
def step(request, monkeypatch):
    """Make a sample of a small chip as that of a large one is made."""
    monkeypatch.setattr(sampling, "_ENOUGH", 301 * 518 // request.param)
    return request.param


def test_an_even_part_of_every_row(exposure, step):
    chip = exposure.chips[0]
    every, some = (read_usable(exposure, chip, OWN, every=e) for e in (True, False))
    assert (every.step, some.step) == (1, step)
    assert some.sci.shape == (301, -(-518 // step))
    y, x = np.mgrid[: some.sci.shape[0], : some.sci.shape[1]]
    column = x * step + (3 * y) % step
    inside = column < 518
    np.testing.assert_array_equal(some.sci[inside], every.sci[y[inside], column[inside]])
    np.testing.assert_array_equal(some.use[inside], every.use[y[inside], column[inside]])
    assert not some.use[~inside].any()
    seen = np.bincount(column[inside], minlength=518)
    assert seen.min() > 0.9 * 301 / step  # no column is left out


def test_spans_hold_the_pixels_of_the_sample_that_lie_in_them(exposure, step):
    some = read_usable(exposure, exposure.chips[0], OWN)
    spans = np.array([[0, 0, 518], [1, 7, 8], [2, 100, 100], [17, 5, 400], [300, 511, 518]])
    for (y, x0, x1), (row, i0, i1) in zip(spans, some.spans(spans), strict=True):
        column = np.arange(some.sci.shape[1]) * step + (3 * y) % step
        assert row == y
        assert np.flatnonzero((column >= x0) & (column < x1)).tolist() == list(range(i0, i1))


def test_upstream_looks_at_every_pixel(exposure, step):
    """And so differs from ours on large chips, by less than ours says that it may be off."""
    chip = exposure.chips[0]
    levels = {
        p.convention: measure_spans(read_usable(exposure, chip, p), whole(chip.shape), p)
        for p in (OWN, UPSTREAM)
    }
    assert levels["upstream"].n > 1.8 * levels["own"].n
    off = abs(levels["upstream"].value - levels["own"].value)
    assert 0 < off < 4 * np.sqrt(levels["own"].variance)
