"""Sky levels: measured, from the header, or none."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.sky import set_sky
from hapdask.errors import InputError
from hapdask.observe.masks import write_mask
from hapdask.observe.pixels import read_chip_rows

LEVELS = (52.0, 47.0)


@pytest.fixture
def record(expose, fields):
    """Two chips of different levels, with stars, and flagged pixels that are far off."""
    levels = iter(LEVELS)

    def fill(rng, shape):
        level = next(levels)
        sci = rng.normal(level, 5.0, shape)
        sci[rng.random(shape) < 0.02] += 800.0
        dq = np.where(rng.random(shape) < 0.3, rng.choice([16, 4096, 4], shape), 0)
        sci[dq > 0] = 1e4
        sci[3, :50] = np.nan
        clean = fields.clean(rng, shape)
        return replace(clean, sci=sci.astype(np.float32), dq=dq.astype(np.int16))

    return expose("ia0a01aaq", shape=(300, 400), fill=fill)


def level(record, chip, parameters):
    """Sky of one chip by itself."""
    (measured,) = set_sky(replace(record, chips=(chip,)), parameters).chips
    return measured.sky


def test_the_lowest_surface_brightness_serves_all_chips(record):
    measured = [level(record, chip, DrizzleParameters()) for chip in record.chips]
    np.testing.assert_allclose(measured, LEVELS, atol=0.15)
    after = set_sky(record, DrizzleParameters())
    assert [c.sky for c in after.chips] == pytest.approx([min(measured)] * 2, abs=1e-6)
    # Chips of unlike pixels have one brightness, not one level.
    first, second = record.chips
    unlike = replace(record, chips=(first, replace(second, idcscale=2 * second.idcscale)))
    skies = [c.sky for c in set_sky(unlike, DrizzleParameters()).chips]
    assert skies[1] == pytest.approx(4 * skies[0], abs=1e-5)


def test_flags_that_are_good_are_measured(record):
    assert level(record, record.chips[0], DrizzleParameters(good_bits=None)) > LEVELS[0] + 0.5


def test_header_and_none(record):
    assert [c.sky for c in set_sky(record, DrizzleParameters(sky="none")).chips] == [0.0, 0.0]
    told = replace(
        record,
        chips=tuple(replace(c, keywords=(("MDRIZSKY", 10.5 * c.extver),)) for c in record.chips),
    )
    assert [c.sky for c in set_sky(told, DrizzleParameters(sky="header")).chips] == [10.5, 21.0]
    assert [c.sky for c in set_sky(record, DrizzleParameters(sky="header")).chips] == [0.0, 0.0]


def test_a_chip_without_a_clean_pixel(expose, fields, caplog):
    def flagged(rng, shape):
        return replace(fields.clean(rng, shape), dq=np.full(shape, 4, np.int16))

    record = expose("ia0a01aaq", shape=(50, 60), fill=flagged)
    with caplog.at_level(logging.WARNING):
        after = set_sky(record, DrizzleParameters())
    assert [c.sky for c in after.chips] == [0.0, 0.0]
    assert "no pixel left" in caplog.text
    assert "no pixel left" in after.verdict.reason


def test_pixels_that_cannot_be_read(record):
    with pytest.raises(InputError):
        set_sky(replace(record, url=record.url + ".gone"), DrizzleParameters())


def test_pixels_without_light_do_not_enter_and_masks_do_not_matter(record, tmp_path):
    chip = record.chips[0]
    plain = level(record, chip, DrizzleParameters())
    mask = write_mask(tmp_path / "m.mask", np.ones(chip.shape), "user")
    assert level(record, replace(chip, masks=(mask,)), DrizzleParameters()) == plain
    rows = read_chip_rows(record, chip, 50, 150)
    part = level(record, replace(chip, window=(100, 300, 50, 150)), DrizzleParameters())
    use = (rows.dq[:, 100:300] == 0) & np.isfinite(rows.sci[:, 100:300])
    assert part == pytest.approx(np.median(rows.sci[:, 100:300][use]), abs=0.15)
    assert part != plain
