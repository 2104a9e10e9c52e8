"""An alignment moves sky positions as it says: corrected distortions against the affine itself.

A chip takes up the affine by CRVAL and CD alone, which is exact at its CRVAL and leaves second
order terms elsewhere: measured 5e-6 pixel per arcsecond of shift in the corner of a CCD, nothing
for rotations about, and next to nothing for scales of, the tangent point.
"""

from dataclasses import replace

import numpy as np
import pytest
from stwcs.wcsutil import HSTWCS

from hapdask.observe.distortion import Correction, plane_of_sky, sky_of_plane
from hapdask.simulate import Pointing, PointingError


def positions(shape):
    ny, nx = shape
    x, y = np.meshgrid(np.linspace(-0.5, nx - 0.5, 9), np.linspace(-0.5, ny - 0.5, 9))
    return x.ravel(), y.ravel()


def vectors(ra, dec):
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])


def pixels_between(first, second, distortion):
    """Largest separation of two lists of sky positions, pixels of the chip."""
    apart = np.linalg.norm(vectors(*first) - vectors(*second), axis=0)
    return np.degrees(apart).max() * 3600.0 / distortion.pixel_scale


def moved(distortion, correction):
    """What the correction says: pixels to the sky, then the affine in its plane."""
    xi, eta = plane_of_sky(
        *distortion.pixel_to_sky(*positions(distortion.shape)), correction.center
    )
    m11, m12, m21, m22 = correction.matrix
    sx, sy = np.radians(np.array(correction.shift) / 3600.0)
    new = m11 * xi + m12 * eta + sx, m21 * xi + m22 * eta + sy
    return sky_of_plane(*new, correction.center)


def centre(distortion):
    return tuple(c + off for c, off in zip(distortion.crval, (0.01, -0.02), strict=True))


def inverse(correction):
    matrix = np.linalg.inv(np.reshape(correction.matrix, (2, 2)))
    shift = -matrix @ correction.shift
    return Correction(correction.center, tuple(matrix.ravel().tolist()), tuple(shift.tolist()))


@pytest.mark.parametrize("ra", [3.0, 123.0, 201.0, 359.999])
@pytest.mark.parametrize("dec", [-47.0, 0.0, 89.9999])
def test_a_correction_that_moves_nothing(headers, ra, dec):
    distortion = replace(headers.distortion(1), crval=(ra, dec))
    truth = distortion.pixel_to_sky(*positions(distortion.shape))
    for center in (distortion.crval, (ra, dec - 0.03)):
        same = distortion.corrected(Correction(center))
        found = same.pixel_to_sky(*positions(distortion.shape))
        assert pixels_between(found, truth, distortion) < 2e-8
    assert distortion.corrected(None) is distortion


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [
        ((1.0, 0.0, 0.0, 1.0), (0.12, -0.1)),
        ((np.cos(1e-3), -np.sin(1e-3), np.sin(1e-3), np.cos(1e-3)), (0.0, 0.0)),
        ((1 + 2e-5, -3e-5, 3e-5, 1 - 1e-5), (-0.08, 0.1)),
    ],
)
def test_chips_move_as_the_affine_says(headers, matrix, shift):
    correction = Correction(centre(headers.distortion(1)), matrix, shift)
    for extver in headers.extvers:
        distortion = headers.distortion(extver)
        new = distortion.corrected(correction)
        found = new.pixel_to_sky(*positions(distortion.shape))
        assert pixels_between(found, moved(distortion, correction), distortion) < 1e-6
        back = new.corrected(inverse(correction)).pixel_to_sky(*positions(distortion.shape))
        truth = distortion.pixel_to_sky(*positions(distortion.shape))
        assert pixels_between(back, truth, distortion) < 1e-6


@pytest.mark.parametrize("arcsec", [0.3, 1.0, 3.0])
def test_how_far_large_shifts_are_from_the_affine(headers, arcsec):
    for extver in headers.extvers:
        distortion = headers.distortion(extver)
        correction = Correction(centre(distortion), shift=(0.8 * arcsec, -0.6 * arcsec))
        found = distortion.corrected(correction).pixel_to_sky(*positions(distortion.shape))
        apart = pixels_between(found, moved(distortion, correction), distortion)
        assert apart < 1e-5 * arcsec
        scaled = apart * distortion.pixel_scale / (arcsec * 1e-7)
        assert scaled < 3.0  # the square of the chip's size in radians


def test_a_correction_undoes_a_known_pointing_error(headers_at):
    """The simulator turns and shifts the header rigidly: one affine mends all chips."""
    pointing = Pointing(75.0, -69.0, 20.0)
    wrong = Pointing(75.0, -69.0, 20.0, error=PointingError(0.05, -0.07, 0.01))
    headers, spoilt = headers_at("uvis", pointing), headers_at("uvis", wrong)
    turn = np.radians(0.01)
    back = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = back @ (-0.05, 0.07)
    correction = Correction((75.0, -69.0), tuple(back.ravel().tolist()), tuple(shift.tolist()))
    for extver in headers.extvers:
        truth = HSTWCS(headers.hdus, ext=("SCI", extver))
        distortion = spoilt.distortion(extver)
        x, y = positions(distortion.shape)
        found = distortion.corrected(correction).pixel_to_sky(x, y)
        assert pixels_between(found, truth.all_pix2world(x, y, 0), distortion) < 1e-6


def test_digests_follow_the_content(headers):
    distortion, again = headers.distortion(1), headers.distortion(1)
    assert distortion == again
    assert hash(distortion) == hash(again)
    correction = Correction(distortion.crval, shift=(1e-3, 0.0))
    new = distortion.corrected(correction)
    assert new != distortion
    assert new == again.corrected(correction)
