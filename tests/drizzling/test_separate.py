"""Exposures drizzled alone: as a mosaic of one, the same bits in every window, in electrons."""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip
from hapdask.drizzling.separate import drizzle_single
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import InputError
from hapdask.kernels.mapping import map_row
from hapdask.observe.masks import write_mask
from hapdask.sky.frame import Frame

FRAME = Frame.from_center(150.1, 2.2, 0.05, (900, 900))
TURBO = DrizzleParameters(kernel="turbo", good_bits=16 | 64, doubtful_bits=0)


@pytest.mark.parametrize(
    ("kernel", "pixfrac"),
    [("turbo", 1.0), ("turbo", 0.7), ("square", 1.0), ("square", 0.6), ("point", 1.0),
     ("gaussian", 1.0)],
)  # fmt: skip
def test_alone_is_a_mosaic_of_one(expose, fields, kernel, pixfrac):
    record = expose(
        "ia0a01aaq", shape=(300, 500), roll=31.0, fill=fields.clean, photflam=2e-19
    ).with_sky(37.0)  # fmt: skip
    parameters = replace(TURBO, kernel=kernel, pixfrac=pixfrac)
    single = drizzle_single(record, FRAME, parameters)
    tile = drizzle_tile([record], FRAME, parameters)
    sci, wht = tile.plane("sci"), tile.plane("wht")
    assert np.array_equal(np.isnan(single.sci), np.isnan(sci))
    deep = wht > 0.01 * record.exptime
    # Sums of float32, and positions good to some 1e-4 pixel where the made-up tables bend.
    assert np.abs(single.sci - sci)[deep].max() < 2e-3 * np.nanstd(sci[deep])
    assert np.abs(single.wht - wht)[deep].max() < 1e-3 * wht.max()


def lanczos3(t):
    return np.where(np.abs(t) < 3.0, np.sinc(t) * np.sinc(t / 3.0), 0.0)


def by_table(t):
    """As AstroDrizzle's separate step has it: steps of 0.01, read one entry too far."""
    return lanczos3(0.01 * (np.floor(np.abs(t) / 0.01 + 0.5) + 1.0))


def test_lanczos3_is_its_formula_not_a_table(expose, fields):
    """AstroDrizzle's look-up is off by one entry: the weight of a tap by up to 0.02.

    It keeps pixels of negative weight as well, whose values mean nothing; here they have none.
    """
    # Measured: cdriz.tdriz of drizzlepac 3.11, one pixel of weight 1 moved by (0.3, -0.2).
    upstream = [0.028713, -0.132340, 0.768954, 0.297198, -0.073871, 0.009013]
    offsets = np.arange(-2, 4) - 0.3
    np.testing.assert_allclose(by_table(offsets) * by_table(0.2), upstream, atol=2e-6)

    at = (40, 60)

    def fill(rng, shape):
        dq = np.full(shape, 4, np.int16)
        dq[at] = 0
        return replace(fields.clean(rng, shape), dq=dq)

    record = expose("ia0a01aaq", chips=1, shape=(90, 130), tables=False, fill=fill)
    (chip,) = record.chips
    frame = Frame.from_center(150.1, 2.2, chip.idcscale, (400, 400))
    single = drizzle_single(record, frame, replace(TURBO, kernel="lanczos3"))
    x, y = frame.sky_to_pixel(
        *chip.distortion.pixel_to_sky(np.array([at[1]]) * 1.0, np.array([at[0]]) * 1.0)
    )
    rows, columns = np.arange(400) - y, np.arange(400) - x
    exact = np.outer(lanczos3(rows), lanczos3(columns))
    table = np.outer(by_table(rows), by_table(columns))
    weight = single.wht / record.exptime
    np.testing.assert_allclose(weight, np.maximum(exact, 0.0), atol=1e-6)
    assert np.abs(weight - np.maximum(table, 0.0)).max() > 5e-3
    assert table.min() < -0.05
    assert np.array_equal(np.isfinite(single.sci), single.wht > 0.0)


def test_windows_have_the_same_bits(medium):
    whole = drizzle_single(medium[1], FRAME, TURBO)
    for rows, columns in ((slice(0, 900), slice(0, 313)), (slice(377, 501), slice(255, 900)),
                          (slice(449, 450), slice(100, 811))):  # fmt: skip
        part = drizzle_single(medium[1], FRAME[rows, columns], TURBO)
        np.testing.assert_array_equal(part.sci, whole.sci[rows, columns])
        np.testing.assert_array_equal(part.wht, whole.wht[rows, columns])


def test_doubtful_is_bad_and_masks_hold(medium, tmp_path):
    record = medium[0]
    doubtful = replace(TURBO, good_bits=0, doubtful_bits=16 | 64)
    strict = replace(doubtful, doubtful_bits=0)
    one, two = (drizzle_single(record, FRAME, p) for p in (doubtful, strict))
    np.testing.assert_array_equal(one.wht, two.wht)
    bad = np.zeros(record.chips[0].shape, np.bool_)
    bad[:, 200:260] = True
    masked = record.with_mask(1, write_mask(tmp_path / "m.mask", bad, "user"))
    fewer = drizzle_single(masked, FRAME, strict)
    assert (fewer.wht <= two.wht).all()
    assert fewer.wht.sum() < 0.98 * two.wht.sum()


def test_time_weights_do_not_look_at_err(medium):
    """Upstream does not either; a mosaic leaves out pixels whose ERR is no error."""
    (chip, *others) = medium[0].chips
    without = replace(medium[0], chips=(replace(chip, err=None), *others))
    one, two = drizzle_single(medium[0], FRAME, TURBO), drizzle_single(without, FRAME, TURBO)
    np.testing.assert_array_equal(one.sci, two.sci)
    assert (one.wht > 0).sum() >= (drizzle_tile(medium[:1], FRAME, TURBO).plane("wht") > 0).sum()


def test_error_weights(medium):
    parameters = replace(TURBO, weight="ERR")
    wht = drizzle_single(medium[0], FRAME, parameters).wht
    tile = drizzle_tile(medium[:1], FRAME, parameters).plane("wht")
    assert np.abs(wht - tile).max() < 1e-3 * tile.max()


def test_counts_become_electrons(medium):
    """The noise of a stack is that of electrons, whatever unit the file has."""
    counts = replace(medium[0], chips=tuple(replace(c, gain=7.0) for c in medium[0].chips))
    one, seven = drizzle_single(medium[0], FRAME, TURBO), drizzle_single(counts, FRAME, TURBO)
    np.testing.assert_allclose(seven.sci, 7.0 * one.sci, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(seven.wht, one.wht)
    scaled = drizzle_single(medium[0], FRAME, TURBO, scale=2.5)
    np.testing.assert_array_equal(scaled.sci, one.sci)
    np.testing.assert_allclose(scaled.wht, 2.5 * one.wht, rtol=1e-6)


def test_what_misses_the_frame_and_what_is_gone(medium, tmp_path):
    far = Frame.from_center(151.0, 2.2, 0.05, (50, 50))
    assert drizzle_single(medium[0], far, TURBO) is None
    gone = replace(medium[0], url=str(tmp_path / "gone.fits"))
    with pytest.raises(InputError, match="gone"):
        drizzle_single(gone, FRAME, TURBO)


@pytest.mark.parametrize("detector", ["UVIS", "WFC"])
def test_the_smoothed_map_is_as_good(starry, detector):
    """Where D2IM and NPOL tables bend it is a little wrong, elsewhere it is the map."""
    record = starry(detector).record
    worst = 0.0
    for chip in record.chips:
        frame = Frame.from_center(*chip.distortion.crval, 0.05, (6000, 6000))
        found = ReachingChip.find(record, chip, frame, TURBO)
        exact, smooth = found.geometry().pixel_map, found.geometry().smoothed().pixel_map
        nx = chip.shape[1]
        one, two = np.empty((2, nx)), np.empty((2, nx))
        for y in range(0, chip.shape[0], 7):
            map_row(exact, 0.0, float(y), nx, one[0], one[1])
            map_row(smooth, 0.0, float(y), nx, two[0], two[1])
            worst = max(worst, float(np.abs(one - two).max()))
    assert 0.0 < worst < 5e-5
