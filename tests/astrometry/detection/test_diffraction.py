"""Stars as diffraction draws them: the simulator's images, and centroids on them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from hapdask.astrometry.detection import detect_sources
from hapdask.astrometry.detection.airy import airy_psf
from hapdask.astrometry.detection.peaks import saturated_areas
from hapdask.astrometry.detection.psf import Psf
from hapdask.astrometry.sources import BLENDED, SATURATED
from hapdask.simulate import Scene
from hapdask.simulate.detectors import get_detector, get_passband
from hapdask.simulate.diffraction import diffraction_images

from .conftest import DEC, IR, RA

IR_BLUE = ("WFC3", "IR", "F110W")


@pytest.fixture(scope="module")
def images():
    detector = get_detector("WFC3", "UVIS")
    return diffraction_images(detector, get_passband(detector, "F606W"), 0.0396, (400, 300))


def drawn(images, x, y, flux=1.0):
    image = np.zeros(images.shape)
    images.add_stars(image, *(np.array([value], float) for value in (x, y, flux)))
    return image


def test_light_is_kept_and_lies_where_the_star_is(images):
    image = drawn(images, 150.3, 200.8, 7.0)
    assert image.sum() == pytest.approx(7.0, rel=5e-3)
    assert ndimage.center_of_mass(image) == pytest.approx((200.8, 150.3), abs=0.15)
    assert drawn(images, -0.5, 200.0).sum() == pytest.approx(0.5, abs=0.05)
    assert drawn(images, 900.0, 200.0).sum() == 0.0


def test_images_change_over_the_chip_and_with_focus(images):
    one, other = (
        drawn(images, x, y)[y - 3 : y + 4, x - 3 : x + 4] for x, y in ((9, 9), (290, 390))
    )
    assert 0.002 < np.abs(one - other).max() < 0.05
    detector = get_detector("WFC3", "UVIS")
    band = get_passband(detector, "F606W")
    blurred = diffraction_images(detector, band, 0.0396, (400, 300), focus=5.0)
    assert drawn(blurred, 150, 200).max() < 0.97 * drawn(images, 150, 200).max()


@pytest.mark.parametrize(("blur", "width"), [(0.066, 0.77), (0.47, 1.28), (0.0, 0.6)])
def test_the_airy_image_is_a_share_of_the_light(blur, width):
    psf = airy_psf(blur, width)
    image, by_x, by_y = psf.images(np.array([0.2]), np.array([-0.3]), 6)
    assert 0.90 < image.sum() < 1.0  # the rest is farther out
    step = 1e-4
    moved = psf.images(np.array([0.2 + step]), np.array([-0.3]), 6)[0]
    near = np.s_[0, 3:10, 3:10]
    assert np.allclose((moved - image)[near] / step, by_x[near], atol=2e-3)
    assert np.abs(by_y).max() > 0.05
    even = psf.images(np.zeros(1), np.zeros(1), 6)[0][0]
    assert np.allclose(even, even.T)
    assert np.allclose(even, even[::-1])


def test_a_table_adds_nothing_beyond_itself():
    psf = airy_psf(0.2, 0.8)
    bare = replace(psf, table=None)
    far = (
        psf.images(np.array([15.0]), np.zeros(1), 2)[0]
        - bare.images(np.array([15.0]), np.zeros(1), 2)[0]
    )
    assert np.abs(far).max() == 0.0
    assert isinstance(bare, Psf)


def test_centroids_of_diffraction_images_are_as_good_as_they_say(observe):
    """Where a star hardly fills a pixel two Gaussians alone are wrong by 0.02 pixel or more."""
    rng = np.random.default_rng(4)
    x, y = (v.ravel() for v in np.meshgrid(*[np.linspace(-0.016, 0.016, 13)] * 2))
    x, y = (v + rng.uniform(-5e-4, 5e-4, v.size) for v in (x, y))
    scene = Scene.stars(RA + x, DEC + y, rng.uniform(20.0, 24.5, x.size))
    truth = observe(scene, IR_BLUE, diffraction=True, focus=2.0)
    found = detect_sources(truth.record).without(SATURATED | BLENDED)
    away, which = truth.nearest(found)
    good = away < 0.5
    stars, which = found.take(good), which[good]
    assert len(stars) > 100
    off = np.stack([stars.x - truth.x[which], stars.y - truth.y[which]])
    place = np.stack([np.ones(len(stars)), stars.x, stars.y])
    off -= off @ np.linalg.pinv(place) @ place  # coma moves all stars: left to the distortion
    pulls = off / stars.error
    assert 0.3 < np.mean(np.clip(pulls, -4, 4) ** 2) < 1.6
    bright = stars.snr > 60
    phase = 2 * np.pi * np.stack([stars.x, stars.y])[:, bright]
    bias = 2 * np.hypot(
        np.mean(off[:, bright] * np.sin(phase)), np.mean(off[:, bright] * np.cos(phase))
    )
    assert bias < 0.013


def test_saturated_rings_are_no_stars(observe):
    mask = np.zeros((100, 100), bool)
    mask[40:50, 40:50] = mask[45, 53:55] = mask[36:38, 45] = mask[80, 80] = True
    assert [each.tolist() for each in saturated_areas(mask, 400, 8.0)] == [[44, 80], [45, 80]]
    assert [each.tolist() for each in saturated_areas(mask, 50, 8.0)] == [[80], [80]]
    assert saturated_areas(np.zeros((9, 9), bool), 400, 8.0)[0].size == 0
    rng = np.random.default_rng(2)
    ra, dec = (at + rng.uniform(-0.012, 0.012, 60) for at in (RA, DEC))
    mag = np.append(rng.uniform(20.0, 23.0, 58), [14.0, 16.0])
    truth = observe(Scene.stars(ra, dec, mag), IR, diffraction=True)
    found = detect_sources(truth.record)
    hot = found.take(found.flags & SATURATED > 0)
    away, _ = truth.nearest(hot)
    assert len(hot) == 2
    assert np.all(away < 1.0)
    assert np.all(away < 5 * hot.error)
