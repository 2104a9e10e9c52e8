"""Weights of chips that have been read: every unit, every weight, masks whatever flags are good."""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.tile import drizzle_tile
from hapdask.drizzling.weighting import background_variance, electron_gain, needs_error, weigh
from hapdask.errors import InputError
from hapdask.observe.masks import write_ivm, write_mask
from hapdask.observe.pixels import ChipRows
from hapdask.photometry.fluxfactor import apply_gain_factors
from hapdask.sky.frame import Frame

SHAPE = (70, 40)
GAIN = 0.37  # from SCI to output units


@pytest.fixture
def record(expose, fields):
    return expose("ia0a01aaq", shape=SHAPE, chips=1, fill=fields.clean, exptime=250.0)


def in_unit(record, unit, **facts):
    return replace(record, unit=unit, chips=(replace(record.chips[0], **facts),))


def rows(err=None, masked=None):
    rng = np.random.default_rng(1)
    sci = rng.normal(8.0, 3.0, SHAPE).astype(np.float32)
    sci[3, 4], sci[5, 6] = np.nan, -40.0
    return ChipRows(sci, err, None, masked)


def weights(record, given, weight, **options):
    parameters = DrizzleParameters(weight=weight, **options)
    return weigh(given, 0, record, record.chips[0], GAIN, parameters)


UNITS = {"electron": 1.0, "electron / s": 250.0, "count": 7.12, "count / s": 7.12 * 250.0}


@pytest.mark.parametrize("unit", UNITS)
def test_errors_are_made_where_the_file_has_none(record, unit):
    """From the light, the dark and the read noise, in the unit of SCI."""
    gain = 7.12 if unit.startswith("count") else 1.0
    record = in_unit(record, unit, gain=gain, read_noise=5.3, dark=4.5)
    given = rows()
    pixels = weights(record, given, "ERR")
    electrons = np.maximum(given.sci.astype(float) * UNITS[unit], 0.0)
    expected = np.sqrt(electrons + 4.5 + 5.3**2) / UNITS[unit]
    use = np.isfinite(given.sci)
    np.testing.assert_allclose(pixels.err[use], expected[use], rtol=1e-6)
    np.testing.assert_allclose(pixels.weight[use], (expected * GAIN)[use] ** -2, rtol=3e-6)
    assert pixels.weight[3, 4] == 0.0
    plain = weights(record, given, "EXP")
    np.testing.assert_array_equal(plain.weight, np.where(use, np.float32(250.0), 0))


@pytest.mark.parametrize("unit", UNITS)
def test_background_weights(record, unit):
    """Read noise, dark and sky, in output units: the sources' own noise plays no part."""
    gain = 7.12 if unit.startswith("count") else 1.0
    record = in_unit(record, unit, gain=gain, read_noise=5.3, dark=1.5).with_sky(3.25)
    variance = (5.3**2 + 1.5 + 3.25 * UNITS[unit]) / UNITS[unit] ** 2
    assert background_variance(record, record.chips[0]) == pytest.approx(variance, rel=1e-12)
    err = np.full(SHAPE, 2.0, np.float32)
    err[10, 11], err[12, 13], err[14, 15] = 0.0, -1.0, np.nan
    pixels = weights(record, rows(err), "IVM")
    bad = np.isnan(rows().sci) | ~(err > 0)
    expected = np.where(bad, 0, np.float32(1.0 / (variance * GAIN**2)))
    np.testing.assert_array_equal(pixels.weight, expected)
    # A sky below zero is no light.
    dim = record.with_sky(-5.0)
    assert background_variance(dim, dim.chips[0]) == pytest.approx(
        (5.3**2 + 1.5) / UNITS[unit] ** 2
    )


def test_background_weights_without_read_noise(record):
    """ERR stands in; a photon counter has no read noise to know."""
    err = np.full(SHAPE, 2.0, np.float32)
    assert needs_error(record, record.chips[0])
    np.testing.assert_array_equal(
        weights(record, rows(err), "IVM").weight, weights(record, rows(err), "ERR").weight
    )
    with pytest.raises(InputError, match="no ERR, which weight IVM needs"):
        weights(record, rows(), "IVM")
    counter = replace(record, instrument="acs", detector="sbc")
    assert needs_error(counter, counter.chips[0])  # neither dark nor sky
    assert not needs_error(counter, counter.with_sky(0.01).chips[0])


@pytest.mark.parametrize("weight", ["EXP", "ERR", "IVM"])
@pytest.mark.parametrize("detector", ["acs/sbc", "stis/nuv-mama", "stis/fuv-mama"])
def test_the_dark_sky_of_a_photon_counter_counts(record, detector, weight):
    """CALSTIS writes ERR = 0 where no photon came: those are most pixels, and no bad ones."""
    instrument, detector = detector.split("/")
    record = replace(in_unit(record, "count", dark=0.02), instrument=instrument, detector=detector)
    sci = np.random.default_rng(4).poisson(0.05, SHAPE).astype(np.float32)
    err = np.sqrt(sci)
    err[7, 8] = np.nan
    for given in (ChipRows(sci, err, None, None), ChipRows(sci, None, None, None)):
        pixels = weights(record, given, weight)
        used = pixels.weight > 0
        assert used.sum() == sci.size - (given.err is not None)
        np.testing.assert_array_equal(pixels.err[used], np.maximum(pixels.err[used], 1.0))
        light = (pixels.weight * sci)[used].sum() / pixels.weight.sum()
        assert light == pytest.approx(sci.mean(), rel=0.02 if weight != "ERR" else 0.1)


def test_a_user_s_map(record, tmp_path):
    values = np.random.default_rng(2).uniform(0.0, 3.0, SHAPE)
    values[values < 0.2] = 0.0
    record = record.with_ivm(1, write_ivm(tmp_path / "ivm.mask", values))
    pixels = weights(record, rows(), "IVM")
    expected = np.where(np.isnan(rows().sci), 0.0, values / GAIN**2)
    np.testing.assert_allclose(pixels.weight, expected, rtol=1e-6)
    parameters = DrizzleParameters(weight="IVM")
    part = ChipRows(*(a if a is None else a[64:] for a in rows()))
    late = weigh(part, 64, record, record.chips[0], GAIN, parameters)
    np.testing.assert_array_equal(late.weight, pixels.weight[64:])
    assert weights(record, rows(), "EXP").weight.max() == 250.0


@pytest.mark.parametrize("weight", ["EXP", "ERR", "IVM"])
@pytest.mark.parametrize("good_bits", [0, 65535, None])
def test_masks_hold_whatever_flags_are_good(record, tmp_path, weight, good_bits):
    mask = np.random.default_rng(3).random(SHAPE) < 0.2
    record = in_unit(record, "electron", read_noise=3.0)
    frame = Frame.from_center(150.1, 2.2, 0.04, (120, 120))
    parameters = DrizzleParameters(weight=weight, good_bits=good_bits)
    plain = weights(record, rows(), weight, good_bits=good_bits).weight
    pixels = weights(record, rows(masked=mask), weight, good_bits=good_bits).weight
    np.testing.assert_array_equal(pixels, np.where(mask, 0, plain))
    whole = record.with_mask(1, write_mask(tmp_path / "m.mask", np.ones(SHAPE), "user"))
    assert drizzle_tile([record], frame, parameters).statistics()["covered"] > 1000
    assert drizzle_tile([whole], frame, parameters).statistics()["covered"] == 0


def test_a_flux_factor_scales_weights_by_its_inverse_square(record):
    """And leaves exposure times as they are."""
    record = in_unit(record, "electron", read_noise=3.0)
    err = np.full(SHAPE, 2.0, np.float32)
    frame = Frame.from_center(150.1, 2.2, 0.04, (120, 120))
    for weight, power in (("EXP", 0), ("ERR", -2), ("IVM", -2)):
        parameters = DrizzleParameters(weight=weight)
        one, two = (
            drizzle_tile([r], frame, parameters).plane("wht")
            for r in (record, record.with_flux_factors(1.25))
        )
        np.testing.assert_allclose(two, one * 1.25**power, rtol=1e-6)
    assert weights(record, rows(err), "EXP").weight.max() == 250.0


def test_counts_of_unlike_gains_become_the_same_electrons(expose):
    """Chips of WFPC2 differ by 3 % in gain, its two settings by a factor of 2."""
    given = []
    for name, gains in (("ia0a01aaq", (7.12, 6.90)), ("ia0a01abq", (13.99, 13.95))):
        record = expose(name, shape=SHAPE, chips=2, exptime=250.0)
        chips = zip(record.chips, gains, strict=True)
        chips = tuple(replace(chip, gain=gain) for chip, gain in chips)
        given.append(replace(record, unit="count", chips=chips))
    frame = Frame.from_center(*given[0].chips[0].distortion.crval, 0.04, (10, 10))
    for record in apply_gain_factors(given):
        for chip in record.chips:
            ratio = 0.04 / chip.idcscale
            electrons = electron_gain(record, chip, frame) * 250.0 / ratio**2
            assert electrons == pytest.approx(chip.gain, rel=1e-9)
