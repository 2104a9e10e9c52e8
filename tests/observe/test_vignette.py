"""The shadow of WFPC2's pyramid against the pipeline's own mask; windows of quad filters."""

from dataclasses import replace

import numpy as np
import pytest
from imagers import DATA, make_wfpc2

from hapdask.observe.exposure import open_exposures
from hapdask.observe.vignette import vignetted_rows


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    (record,) = open_exposures(make_wfpc2(tmp_path_factory.mktemp("wfpc2")))
    return record.chips


def test_the_shadow_is_that_of_the_real_data_quality(chips):
    """Edges of flag 2 in a real c1m, smoothed along the chip: within two pixels."""
    truth = np.load(DATA / "wfpc2_truth.npz")
    places = np.arange(100, 780, 20)
    for chip in chips:
        bad = vignetted_rows(chip, 0, 800)
        lowest, leftmost = np.argmin(bad[:, 700]), np.argmin(bad[700])
        assert 20 < lowest < 60
        assert 20 < leftmost < 60
        ours = np.argmin(bad, axis=0), np.argmin(bad, axis=1)
        for found, name in zip(ours, ("lowest", "leftmost"), strict=True):
            theirs = truth[name][chip.extver - 1]
            for place in places:
                near = np.median(theirs[place - 20 : place + 20])
                assert abs(found[place] - near) <= 2.5


def test_beyond_both_edges_every_pixel_is_lit(chips):
    for chip in chips:
        bad = vignetted_rows(chip, 0, 800)
        assert not bad[60:, 60:].any()
        assert bad[:20].all()
        assert bad[:, :20].all()


def test_rows_are_rows_of_the_whole(chips):
    for chip in chips[:2]:
        whole = vignetted_rows(chip, 0, 800)
        for row0, row1 in ((0, 1), (17, 64), (40, 40), (790, 800)):
            np.testing.assert_array_equal(vignetted_rows(chip, row0, row1), whole[row0:row1])


def test_a_chip_without_either_has_no_mask(chips):
    assert vignetted_rows(replace(chips[0], shadow=()), 0, 10) is None


def test_shadow_and_window_add_up(chips):
    chip = replace(chips[0], window=(100, 300, 200, 400))
    bad = vignetted_rows(chip, 190, 210)
    assert bad[:10].all()
    assert not bad[10:, 100:300].any()
    assert bad[10:, :100].all()
    assert bad[10:, 300:].all()
