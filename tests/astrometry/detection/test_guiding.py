"""Trails are found; galaxies, cosmic rays and charge transfer are none."""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.astrometry.detection import check_guiding
from hapdask.astrometry.detection.guiding import judge_shapes
from hapdask.astrometry.detection.shapes import Shapes

from .conftest import IR, UVIS, make_scene, trailed


def size_of(setup):
    return 0.015 if setup == IR else 0.005


@pytest.mark.parametrize("setup", [UVIS, IR], ids=["uvis", "ir"])
def test_a_steady_exposure_is_good(observe, setup):
    assert (
        check_guiding(observe(make_scene(11, 150, size_of(setup)), setup).record).status == "good"
    )


@pytest.mark.parametrize(
    ("setup", "length", "angle"), [(UVIS, 0.12, 30.0), (IR, 0.2, 30.0), (IR, 0.8, 150.0)]
)
def test_trails_are_found_with_length_and_angle(observe, setup, length, angle):
    found = check_guiding(
        observe(trailed(make_scene(12, 150, size_of(setup)), length, angle), setup).record
    )
    assert found.trailed, found
    assert found.length == pytest.approx(length, rel=0.35)
    assert abs((found.angle - angle + 90) % 180 - 90) < 15


def test_what_the_header_says(uvis):
    record = replace(uvis.record, keywords=(*uvis.record.keywords, ("QUALITY", "GSFAIL; 1/1")))
    assert check_guiding(record).trailed


def shapes_of(rng, n, plus=0.0, cross=0.0, along=False):
    row = rng.uniform(0, 1, n)
    grows = row**2 if along else np.ones(n)
    return Shapes(
        plus * grows + rng.normal(0, 2e-4, n), cross * grows + rng.normal(0, 2e-4, n), row,
        (0.0, 0.0), (1.0, 0.0),
    )  # fmt: skip


def test_charge_left_along_the_columns_is_no_trail():
    rng = np.random.default_rng(1)
    assert judge_shapes([shapes_of(rng, 200, plus=2e-3)]).trailed
    tails = judge_shapes([shapes_of(rng, 200, plus=3e-3, along=True)])
    assert tails.status == "good"
    assert "charge transfer" in tails.reason


def test_few_sources_tell_nothing():
    rng = np.random.default_rng(1)
    assert judge_shapes([shapes_of(rng, 3, plus=2e-3)]).status == "unknown"
    assert judge_shapes([]).status == "unknown"
