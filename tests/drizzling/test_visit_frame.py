"""The common frame of a detector in a visit: what it holds, and what does not move it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hapdask.drizzling import visit_frame as module
from hapdask.drizzling.output_frame import output_frame
from hapdask.drizzling.visit_frame import hap_scale, visit_frame
from hapdask.errors import PlanError
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures


@pytest.fixture(scope="module")
def ir(small_field):
    return list(open_exposures(small_field.ir))


@pytest.fixture(scope="module")
def uvis(small_field):
    return list(open_exposures(small_field.uvis))


def test_it_is_north_up_at_the_detectors_scale(ir, uvis):
    for records, scale in ((ir, 0.12825), (uvis, 0.03962)):
        frame = visit_frame(records)
        assert hap_scale(records) == scale
        assert frame.pixel_scale == pytest.approx(scale, abs=1e-12)
        assert frame.cd == (-scale / 3600, 0.0, 0.0, scale / 3600)
        assert all(float(value).is_integer() for value in frame.crpix)
        assert np.array_equal(np.round(frame.crval, 4), frame.crval)
        ny, nx = frame.shape
        assert abs(frame.crpix[0] - nx / 2) < 0.1 * nx
        assert abs(frame.crpix[1] - ny / 2) < 0.1 * ny


def test_it_holds_every_chip_to_its_outer_edges_and_no_more(ir):
    frame = visit_frame(ir)
    borders = [chip.border() for record in ir for chip in record.chips]
    x, y = frame.sky_to_pixel(*np.concatenate(borders, axis=1))
    for positions, size in ((x, frame.shape[1]), (y, frame.shape[0])):
        assert -0.5 <= positions.min() < 0.5
        assert size - 1.5 <= positions.max() <= size - 0.5


def test_neither_order_nor_number_of_a_solutions_last_digits_moves_it(ir):
    frames = {visit_frame(order) for order in itertools.permutations(ir)}
    assert len(frames) == 1
    center = (float(ir[0].chips[0].distortion.crval[0]), float(ir[0].chips[0].distortion.crval[1]))
    tiny = Correction(center=center, matrix=(1.0, 0.0, 0.0, 1.0), shift=(1e-9, -1e-9))
    assert visit_frame([r.corrected(tiny) for r in ir]) in frames


def test_a_scale_can_be_given(ir):
    frame = visit_frame(ir, scale=0.1)
    assert frame.pixel_scale == pytest.approx(0.1, abs=1e-12)
    grown = visit_frame(ir).shape[0] * 0.12825 / 0.1
    assert abs(frame.shape[0] - grown) < 2


def test_binned_pixels_count_as_they_are(ir):
    binned = [replace(r, chips=tuple(replace(c, bin=2) for c in r.chips)) for r in ir]
    assert hap_scale(binned) == 2 * 0.12825


def test_hrc_and_sbc_have_haps_own_scale(ir):
    assert hap_scale([replace(r, instrument="acs", detector="hrc") for r in ir]) == 0.025


def test_haps_frame_differs_by_its_roundings_alone(ir):
    """Its scale is the first chip's own, and half a pixel of the border may be cut."""
    own, hap = visit_frame(ir), visit_frame(list(reversed(ir)), compat=True)
    assert hap == visit_frame(ir, compat=True)
    assert hap.pixel_scale == pytest.approx(0.12825, rel=1e-3)
    assert abs(hap.cd[1]) + abs(hap.cd[2]) < 1e-15
    shapes = np.array(own.shape) - np.array(hap.shape) * hap.pixel_scale / own.pixel_scale
    grown = output_frame(ir).shape
    assert np.all(shapes < 3)
    assert np.all(np.array(hap.shape) > 0.5 * np.array(grown))


def test_nothing_to_drizzle_and_too_much(ir, monkeypatch):
    with pytest.raises(PlanError, match="no exposure"):
        visit_frame([])
    monkeypatch.setattr(module, "MOST_PIXELS", 1000)
    with pytest.raises(PlanError, match="so far apart"):
        visit_frame(ir)
