"""Stacks combined: every kind against NumPy, thresholds, masks, the same bits in every window."""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.astrodrizzle import COMBINATIONS
from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.median import Combination, combine_exposures
from hapdask.drizzling.members import stack_member
from hapdask.drizzling.separate import drizzle_single
from hapdask.errors import ParameterError
from hapdask.observe.masks import write_mask
from hapdask.sky.frame import Frame

FRAME = Frame.from_center(150.1, 2.2, 0.05, (500, 600))
TURBO = DrizzleParameters(kernel="turbo", good_bits=None, doubtful_bits=0)
PLAIN = Combination(type="median", maskpt=0.0)


@pytest.fixture(scope="module")
def exposures(fields, tmp_path_factory):
    """Five dithered exposures of one chip, with sky; they cover each other partly."""
    from hapdask.observe.exposure import open_exposures

    folder = tmp_path_factory.mktemp("stack")
    facts = [(0.0, (0.0, 0.0)), (20.0, (4.0, -3.0)), (70.0, (-5.0, 2.0)), (3.0, (6.0, 6.0)),
             (45.0, (-2.0, -7.0))]  # fmt: skip
    paths = [
        fields.write_exposure(
            folder, f"ia0b0{k}aaq", shape=(260, 420), chips=1, roll=roll, offset=offset,
            exptime=100.0 + 50.0 * k, fill=fields.clean,
        )
        for k, (roll, offset) in enumerate(facts)
    ]  # fmt: skip
    return [record.with_sky(40.0) for record in open_exposures(paths)]


@pytest.fixture(scope="module")
def members(exposures):
    return [stack_member(e, FRAME, TURBO) for e in exposures]


@pytest.fixture(scope="module")
def planes(exposures):
    return np.stack([drizzle_single(e, FRAME, TURBO).sci for e in exposures])


@pytest.fixture(scope="module")
def weights(exposures):
    return np.stack([drizzle_single(e, FRAME, TURBO).wht for e in exposures])


def combine(exposures, members, how, frame=FRAME, images=None):
    images = images or len(exposures)
    return combine_exposures(exposures, members, frame, TURBO, how, images=images).sci


def bad_of(weights, members, maskpt):
    return weights < maskpt * np.array([m.mean_weight for m in members])[:, None, None]


def latest(planes):
    last = np.zeros(planes.shape[1:], np.float32)
    for plane in planes:
        last = np.where(np.isnan(plane), last, plane)
    return last


@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Mean of empty")
@pytest.mark.parametrize(("kind", "numpy"), [("median", np.nanmedian), ("mean", np.nanmean)])
def test_median_and_mean(exposures, members, planes, weights, kind, numpy):
    how = replace(PLAIN, type=kind)
    np.testing.assert_allclose(
        combine(exposures, members, how), np.nan_to_num(numpy(planes, axis=0)), atol=1e-6
    )
    masked = np.where(bad_of(weights, members, 0.7), np.nan, planes)
    np.testing.assert_allclose(
        combine(exposures, members, replace(how, maskpt=0.7)),
        np.nan_to_num(numpy(masked, axis=0)),
        atol=1e-6,
    )


def test_the_sum_is_of_all(exposures, members, planes):
    """Masks, thresholds, nlow and nhigh are of no account, as in upstream."""
    how = Combination(type="sum", maskpt=1.0, lthresh=0.0, nlow=9)
    expected = np.nansum(planes, axis=0)
    np.testing.assert_allclose(combine(exposures, members, how), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["median", "mean", "minmed"])
def test_the_last_value_stands_where_all_are_bad(exposures, members, planes, weights, kind):
    """What upstream's documentation says; its code does so in the first column alone."""
    how = Combination(type=kind, maskpt=0.9)
    bad = (bad_of(weights, members, 0.9) | np.isnan(planes)).all(axis=0)
    covered = ~np.isnan(planes).all(axis=0)
    zero = combine(exposures, members, how)
    last = combine(exposures, members, replace(how, type=f"i{kind}"))
    assert (bad & covered).sum() > 100
    assert (zero[bad] == 0.0).all()
    np.testing.assert_array_equal(last[bad], latest(planes)[bad])
    np.testing.assert_array_equal(last[~bad], zero[~bad])
    assert (last[~covered] == 0.0).all()


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_thresholds_are_electrons_per_second_of_the_median(exposures, members, planes):
    low, high = (float(v) for v in np.nanquantile(planes, [0.2, 0.9]))
    how = replace(PLAIN, lthresh=low, hthresh=high)
    kept = np.where((planes >= low) & (planes < high), planes, np.nan)
    np.testing.assert_allclose(
        combine(exposures, members, how), np.nan_to_num(np.nanmedian(kept, axis=0)), atol=1e-6
    )
    minmed = Combination(lthresh=low, hthresh=high)
    np.testing.assert_array_equal(
        combine(exposures, members, minmed), combine(exposures, members, Combination())
    )


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_minmed_by_its_rule(exposures, members, planes, weights):
    """Median without the highest; the minimum where that is beyond the noise below it."""
    noisy = [replace(m, sky=0.001, read_noise=0.5) for m in members]
    how = Combination(maskpt=0.3, nsigma=(2.0, 1.0), grow=1)
    good = np.where(bad_of(weights, members, 0.3), np.nan, planes)
    count = (~np.isnan(good)).sum(axis=0)
    ordered = np.sort(good, axis=0)
    rest = np.where(np.arange(len(good))[:, None, None] < np.maximum(count - 1, 1), ordered, np.nan)
    median, lowest = np.nan_to_num(np.nanmedian(rest, axis=0)), np.nan_to_num(ordered[0])
    area = members[0].area
    total = weights.sum(axis=0, dtype=float) / area
    background = sum(
        w / area * m.sky + np.isfinite(p) * m.read_noise**2 * area
        for w, p, m in zip(weights, good, noisy, strict=True)
    )
    noise = np.sqrt(np.maximum(median * total + background, 0.0))
    excess = (median - lowest) * total
    far = np.pad(excess > 2.0 * noise, 1)
    near = np.any(
        [far[j : j + FRAME.shape[0], i : i + FRAME.shape[1]] for j in range(3) for i in range(3)],
        axis=0,
    )
    expected = np.where(excess > np.where(near, 1.0, 2.0) * noise, lowest, median)
    found = combine(exposures, noisy, how)
    # The rim is decided by pixels beyond this frame.
    inner = (slice(1, -1), slice(1, -1))
    alike = np.isclose(found, expected, atol=1e-6)[inner]
    assert alike.mean() > 0.9999  # a few stand on the limit
    assert (expected != median)[inner].sum() > 100
    scaled = combine(exposures, noisy, replace(how, wt_scl=100.0))
    assert (scaled != found).any()


def test_a_pair_is_averaged(exposures, members, planes):
    """Of two images minmed takes the mean, where it does not take the minimum."""
    pair = combine(exposures[:2], members[:2], Combination(nsigma=(1e9, 1e9), maskpt=0.0))
    both = np.isfinite(planes[:2]).all(axis=0)
    np.testing.assert_allclose(pair[both], planes[:2].mean(axis=0)[both], atol=1e-6)
    low = combine(exposures[:2], members[:2], Combination(nsigma=(0.0, 0.0), maskpt=0.0))
    np.testing.assert_allclose(low[both], planes[:2].min(axis=0)[both], atol=1e-6)


def test_one_image_is_itself(exposures, members, planes):
    for kind in COMBINATIONS:
        alone = combine(exposures[:1], members[:1], Combination(type=kind, maskpt=0.0))
        np.testing.assert_array_equal(alone, np.nan_to_num(planes[0]))


@pytest.mark.parametrize("kind", COMBINATIONS)
def test_windows_have_the_same_bits(exposures, members, kind):
    how = Combination(type=kind, nsigma=(1.0, 0.5), grow=2)
    whole = combine(exposures, members, how)
    for rows, columns in ((slice(0, 97), slice(0, 600)), (slice(201, 402), slice(123, 380)),
                          (slice(250, 251), slice(299, 300))):  # fmt: skip
        part = combine(exposures, members, how, FRAME[rows, columns])
        np.testing.assert_array_equal(part, whole[rows, columns])


def test_what_does_not_reach_the_frame_changes_nothing(exposures, members):
    window = FRAME[100:160, 100:160]
    far = [
        e for e, m in zip(exposures, members, strict=True)
        if drizzle_single(e, window, TURBO) is not None
    ]  # fmt: skip
    near = [m for e, m in zip(exposures, members, strict=True) if e in far]
    how = Combination()
    np.testing.assert_array_equal(
        combine(far, near, how, window, images=5), combine(exposures, members, how, window)
    )
    nowhere = Frame.from_center(10.0, 0.0, 0.05, (20, 20))
    assert not combine(exposures, members, how, nowhere).any()


def test_nothing_left_is_an_error(exposures, members):
    with pytest.raises(ParameterError, match="leave nothing of 5"):
        combine(exposures, members, Combination(type="mean", nlow=3, nhigh=2))


@pytest.mark.parametrize(
    ("kernel", "scale"),
    [("turbo", 0.02), ("turbo", 0.04), ("turbo", 0.09), ("square", 0.04), ("square", 0.06),
     ("point", 0.04), ("gaussian", 0.04)],
)  # fmt: skip
def test_mean_weight_without_drizzling(medium, kernel, scale):
    """Of pixels that are covered at all, within a percent."""
    side = int(80 / scale)
    frame = Frame.from_center(150.1, 2.2, scale, (side, side))
    for bits in (16 | 64, 0, None):
        parameters = DrizzleParameters(kernel=kernel, good_bits=bits, doubtful_bits=0)
        member = stack_member(medium[1], frame, parameters)
        wht = drizzle_single(medium[1], frame, parameters).wht
        assert member.mean_weight == pytest.approx(wht[wht > 1e-8].mean(dtype=np.float64), rel=0.01)


def test_mean_weight_knows_masks_and_error_weights(medium, tmp_path):
    bad = np.random.default_rng(1).random(medium[0].chips[0].shape) < 0.3
    bad[:, 300:600] = True
    record = medium[0].with_mask(1, write_mask(tmp_path / "m.mask", bad, "user"))
    frame = Frame.from_center(150.1, 2.2, 0.04, (1600, 1600))
    for weight in ("EXP", "ERR"):
        parameters = replace(TURBO, weight=weight, good_bits=0)
        member = stack_member(record, frame, parameters)
        wht = drizzle_single(record, frame, parameters).wht
        assert member.mean_weight == pytest.approx(wht[wht > 0].mean(dtype=float), rel=0.015)


def test_sky_and_read_noise_of_a_member(medium, tmp_path):
    one, two = medium[0].chips
    record = replace(
        medium[0],
        chips=(replace(one, sky=50.0, read_noise=3.0), replace(two, sky=41.0, read_noise=4.0)),
    )
    frame = Frame.from_center(150.1, 2.2, one.idcscale * 2, (300, 300))
    member = stack_member(record, frame, TURBO)
    assert member.sky == pytest.approx(4 * 41.0 * one.gain / record.exptime)
    assert member.read_noise == pytest.approx(np.sqrt(12.5))
    gone = stack_member(record.with_sky(0.0, {1: 50.0, 2: 41.0}), frame, TURBO)
    assert gone == member  # what others subtracted made its noise all the same
    for chip in record.chips:
        all_bad = write_mask(tmp_path / f"{chip.extver}.mask", np.ones(chip.shape), "user")
        record = record.with_mask(chip.extver, all_bad)
    assert stack_member(record, frame, TURBO) == replace(member, mean_weight=0.0)


def test_minmed_knows_how_large_the_pixels_are(exposures):
    """Noise alone hardly makes a minimum of a median, on pixels of any size.

    AstroDrizzle takes them to be as large as the detector's, whatever they are.
    """
    how = Combination(nsigma=(2.5, 2.5), grow=0)

    def minima(side, *, upstream):
        frame = Frame.from_center(150.1, 2.2, side * exposures[0].chips[0].idcscale, (100, 100))
        members = [stack_member(e, frame, TURBO, upstream=upstream) for e in exposures]
        found, never = (
            combine(exposures, members, replace(how, nsigma=sigmas), frame)
            for sigmas in (how.nsigma, (1e9, 1e9))
        )
        return np.mean(found != never)

    assert abs(minima(1.0, upstream=False) - minima(1.0, upstream=True)) < 0.002
    assert max(minima(1.0, upstream=False), minima(0.5, upstream=False)) < 0.005
    assert minima(3.0, upstream=False) < 0.05
    assert minima(3.0, upstream=True) > 0.15
