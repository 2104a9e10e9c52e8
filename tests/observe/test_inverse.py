"""From the sky to pixels: the inverse of a chip's distortion."""

from __future__ import annotations

import numpy as np
import pytest

from hapdask.observe.distortion import Distortion
from hapdask.observe.inverse import sky_to_pixel


def chip(crval):
    sip_a, sip_b = np.zeros((5, 5)), np.zeros((5, 5))
    sip_a[2, 0], sip_a[1, 1], sip_b[0, 2], sip_b[3, 0] = 8e-6, -5e-6, 9e-6, 1e-10
    step = 0.05 / 3600.0
    cd = (-0.7 * step, 0.714 * step, 0.714 * step, 0.7 * step)
    return Distortion((2048, 4096), crval, (2048.0, 1024.0), cd, sip_a, sip_b)


@pytest.mark.parametrize("crval", [(150.0, 2.0), (359.999, -71.0), (10.0, 89.995)])
def test_it_leads_back(crval):
    distortion = chip(crval)
    x, y = np.random.default_rng(0).uniform([[-20], [-20]], [[4116], [2068]], (2, 400))
    back = sky_to_pixel(distortion, *distortion.pixel_to_sky(x, y))
    assert np.abs(np.array(back) - [x, y]).max() < 1e-6


def test_what_is_elsewhere_has_no_pixel():
    ra, dec = np.array([150.0, 330.0, np.nan, 152.0]), np.array([2.0, -2.0, 2.0, 2.0])
    x, y = sky_to_pixel(chip((150.0, 2.0)), ra, dec)
    assert np.isfinite([x[0], y[0]]).all()
    assert np.isnan(x[1:]).all()
    assert np.isnan(y[1:]).all()
    assert sky_to_pixel(chip((150.0, 2.0)), ra[:0], dec[:0])[0].size == 0
