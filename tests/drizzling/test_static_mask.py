"""Static masks: AstroDrizzle's to the pixel, shared, attached, and where they cannot be made."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skies

from hapdask.drizzling.static_mask import (
    KIND,
    Signature,
    attach_static_masks,
    find_static_masks,
    low_pixels,
)
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masks import read_mask_rows, write_mask

TRUTH = Path(__file__).parents[1] / "data" / "drizzling" / "skymatch_truth.json"


@pytest.fixture(scope="module")
def exposures(fields, tmp_path_factory):
    folder = tmp_path_factory.mktemp("skies")
    return list(open_exposures(skies.write_set(fields, folder), strict=True))


def one_root(exposure):
    return "final"


def test_as_astrodrizzle(exposures):
    truth = json.loads(TRUTH.read_text())["truth"]["static"]
    masks = find_static_masks(exposures, root=one_root, threads=2)
    assert not masks.failures
    for key, bad in masks.bad.items():
        shape, count, content = truth[f"_120x256_{key.extver}_staticMask.fits"]
        assert list(bad.shape) == shape
        assert int(bad.sum()) == count
        assert hashlib.sha256(np.packbits(bad).tobytes()).hexdigest() == content
    assert len(masks.bad) == 2


def test_products_sizes_and_chips_have_masks_of_their_own(exposures):
    masks = find_static_masks(exposures, root=lambda e: e.visit)
    visits = {e.visit for e in exposures}
    shape = skies.SHAPE
    assert set(masks.bad) == {Signature(v, shape, extver) for v in visits for extver in (1, 2)}
    together = find_static_masks(exposures, root=one_root).bad["final", shape, 1]
    by_visit = [masks.bad[v, shape, 1] for v in sorted(visits)]
    np.testing.assert_array_equal(together, np.logical_or.reduce(by_visit))


def test_attached_once_and_replaced(exposures, tmp_path):
    masks = find_static_masks(exposures, root=one_root)
    done = attach_static_masks(exposures, masks, tmp_path / "m", root=one_root)
    assert len(list((tmp_path / "m").iterdir())) == 2
    for before, after in zip(exposures, done, strict=True):
        assert after.digest != before.digest
        for chip in after.chips:
            (mask,) = chip.masks
            bad = read_mask_rows(mask, chip.shape, 0, chip.shape[0])
            np.testing.assert_array_equal(bad, masks.bad["final", chip.shape, chip.extver])
    user = write_mask(tmp_path / "user.mask", np.eye(*skies.SHAPE), "user")
    record = done[0].with_mask(1, user)
    stricter = find_static_masks([record], sigma=3.0, root=one_root)
    (again,) = attach_static_masks([record], stricter, tmp_path / "m", root=one_root)
    assert [m.kind for m in again.chip(1).masks] == ["user", KIND]
    assert again.chip(1).masks[1] != record.chip(1).masks[0]
    nothing = find_static_masks([record], sigma=50.0, root=one_root)
    (bare,) = attach_static_masks([record], nothing, tmp_path / "m", root=one_root)
    assert [m.kind for m in bare.chip(1).masks] == ["user"]


def test_only_low_pixels():
    rng = np.random.default_rng(1)
    sci = rng.normal(30.0, 2.0, (200, 300)).astype(np.float32)
    sci[5, 7], sci[6, 7], sci[7, 7], sci[8, 7] = 15.0, 45.0, np.nan, -np.inf
    bad = low_pixels(sci, 6.0)
    assert bad is not None
    assert np.argwhere(bad).tolist() == [[5, 7], [8, 7]]


@pytest.mark.parametrize(
    "sci", [np.full((9, 9), 3.0), np.full((9, 9), np.nan), np.zeros((0, 4)), np.ones((1, 1))]
)
def test_too_alike_to_tell(sci):
    assert low_pixels(sci.astype(np.float32)) is None


def test_one_that_cannot_be_read(exposures):
    gone = replace(exposures[0], url=exposures[0].url + ".gone")
    masks = find_static_masks([gone, *exposures[1:]], root=one_root)
    assert masks.left_out == (gone.name,)
    assert len(masks.failures) == 1
    rest = find_static_masks(exposures[1:], root=one_root)
    for key, bad in rest.bad.items():
        np.testing.assert_array_equal(masks.bad[key], bad)


def test_a_constant_chip_masks_nothing(expose, fields, caplog):
    def constant(rng, shape):
        return replace(fields.clean(rng, shape), sci=np.full(shape, 7.0, np.float32))

    masks = find_static_masks([expose("ia0a01aaq", fill=constant)])
    assert not any(bad.any() for bad in masks.bad.values())
    assert "too alike" in caplog.text
