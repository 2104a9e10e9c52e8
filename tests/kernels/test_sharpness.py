"""What is sharper than a star: against SciPy's filters on the whole image."""

import numpy as np
import pytest
from scipy import ndimage

from hapdask.kernels import sharpness
from hapdask.kernels.sharpness import PAD, SharpTest, StarShape

SHAPE = (70, 90)
#: Nothing is a star, and every hit is bright enough.
NO_STAR = StarShape((9.0, 9.0, 9.0), 0.0)
SQUARE = np.ones((3, 3))


def field(seed, sharp=70):
    """Noise, blobs of all widths, tracks and single pixels, also on the border."""
    rng = np.random.default_rng(seed)
    light = rng.normal(0.0, 5.0, SHAPE)
    y, x = np.indices(SHAPE)
    for _ in range(12):
        cy, cx, width = rng.uniform(0.0, SHAPE[0]), rng.uniform(0.0, SHAPE[1]), rng.uniform(1, 4)
        light += 10 ** rng.uniform(1, 3.5) * np.exp(-0.5 * np.hypot(y - cy, x - cx) ** 2 / width**2)
    noise = np.sqrt(np.maximum(light, 0.0) + 25.0)
    for row, column in zip(*(rng.integers(0, n, sharp) for n in SHAPE), strict=True):
        light[row, column : column + rng.integers(1, 6)] += 10 ** rng.uniform(1.5, 3.5)
    return light.astype(np.float32), noise.astype(np.float32)


def find(light, noise, test, star=NO_STAR, holes=None, bad=None):
    none = np.zeros(light.shape, np.uint8)
    holes = none if holes is None else holes.astype(np.uint8)
    bad = holes if bad is None else bad.astype(np.uint8)
    out = np.empty(np.array(light.shape) + 2 * PAD, np.uint8)
    padded = [np.pad(a, PAD, mode="edge") for a in (light, noise, holes, bad)]
    sharpness.find(*padded, test, star, out)
    assert not out[:PAD].any()
    assert not out[:, -PAD:].any()
    return out[PAD:-PAD, PAD:-PAD].astype(bool)


def laplacian(light):
    """Van Dokkum's: twice as many pixels each way, rises alone, back to one."""
    fine = np.kron(light.astype(np.float64), np.ones((2, 2)))
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    rises = np.maximum(ndimage.convolve(fine, kernel, mode="nearest"), 0.0)
    return rises.reshape(light.shape[0], 2, light.shape[1], 2).mean(axis=(1, 3))


def by_filters(light, noise, test):
    """One round, with whole-image filters."""
    light, noise = (np.pad(a, PAD, mode="edge") for a in (light, noise))
    steep = laplacian(light) / (2.0 * noise)
    sharp = steep - ndimage.median_filter(steep, 5)
    smooth = ndimage.median_filter(light, 3)
    fine = np.maximum((smooth - ndimage.median_filter(smooth, 7)) / noise, 0.01)
    lumps = test.lumps * ndimage.maximum_filter(light, 2 * PAD + 1) / noise
    hit = (light > test.sigclip * noise) & (steep > test.sigclip) & (sharp > test.sigclip)
    hit &= (sharp > test.objlim * fine) & (sharp > lumps)
    inner = np.s_[PAD:-PAD, PAD:-PAD]
    hit, sharp = hit[inner], sharp[inner]
    for limit in (test.sigclip, test.sigfrac * test.sigclip):
        hit |= ndimage.binary_dilation(hit, SQUARE) & (sharp > limit)
    return hit & ndimage.binary_dilation(hit & (light[inner] > 0.0), np.ones((5, 5)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_round_is_lacosmics(seed):
    light, noise = field(seed)
    test = SharpTest(rounds=1)
    hit = find(light, noise, test)
    assert hit.sum() > 60
    assert np.array_equal(hit, by_filters(light, noise, test))


def test_a_second_round_takes_what_the_first_uncovers():
    light, noise = field(4)
    one, two = (find(light, noise, SharpTest(rounds=n)) for n in (1, 2))
    assert not (one & ~two).any()
    assert two.sum() > one.sum()


def test_every_hit_has_a_bright_pixel_near():
    light, noise = field(5)
    everything = find(light, noise, SharpTest())
    hit = find(light, noise, SharpTest(), NO_STAR._replace(told_from=40.0))
    bright = everything & (light > 40.0 * noise)
    assert np.array_equal(hit, everything & ndimage.binary_dilation(bright, np.ones((5, 5))))


def test_what_is_not_judged_is_no_hit_and_holes_are_filled():
    light, noise = field(6)
    holes = np.random.default_rng(7).random(SHAPE) < 0.03
    filled = np.where(holes, np.float32(-3e4), light)
    hit = find(filled, noise, SharpTest(), holes=holes)
    assert not (hit & holes).any()
    far = ~ndimage.binary_dilation(holes, np.ones((3, 3)), iterations=4)
    assert np.array_equal(hit & far, find(light, noise, SharpTest(rounds=2)) & far)


def test_crowds_of_bad_pixels_spoil_what_is_around_them():
    bad = np.random.default_rng(8).random((50, 60)) < 0.2
    bad[:2, :2] = bad[-2:, -2:] = True
    out = np.empty(bad.shape, np.uint8)
    sharpness.spoil(bad.view(np.uint8), 4, 2, out)
    crowd = ndimage.convolve(bad.astype(int), SQUARE.astype(int), mode="constant")
    expected = ndimage.binary_dilation(bad & (crowd >= 4), np.ones((5, 5)))
    assert np.array_equal(out.astype(bool), expected)


def test_one_pixel_can_count_for_a_crowd():
    bad = np.zeros((20, 20), np.uint8)
    bad[4, 5], bad[12, 12] = 1, 4
    out = np.empty(bad.shape, np.uint8)
    sharpness.spoil(bad, 4, 2, out)
    assert out[10:15, 10:15].all()
    assert out.sum() == 25
