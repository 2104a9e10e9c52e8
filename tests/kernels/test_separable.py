"""Turbo, point, gaussian and Lanczos: known pixels, the C library, what is conserved, bits.

Truth values: facts of DrizzlePac's own kernel tests (a shift by half pixels, single bright pixels).
"""

import numpy as np
import pytest
from dropping import as_chip, by_c, drizzle, mean, shifted, window_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.config.parameters import KERNELS as NAMES
from hapdask.config.parameters import DrizzleParameters
from hapdask.errors import ParameterError
from hapdask.kernels.drizzle import KERNELS, Drop

SEPARABLE = ("turbo", "point", "gaussian", "lanczos2", "lanczos3")
TURNED = ((0.9, 0.31), (-0.33, 0.88))


def image_of(kernel, sci, shift, shape, pixfrac=1.0):
    chip = as_chip(sci, np.ones_like(sci))
    return drizzle(shifted(*shift), chip, Drop(kernel, pixfrac, 1.0), shape)[0]


def single(kernel):
    sci = np.zeros((10, 10))
    sci[3, 3] = 1e4
    return image_of(kernel, sci, (1.5, 1.5), (13, 13))


def lanczos(order, t):
    return np.where(np.abs(t) < order, np.sinc(t) * np.sinc(t / order), 0.0)


def test_every_kernel_has_one_name():
    assert tuple(sorted(KERNELS, key=NAMES.index)) == NAMES
    assert set(NAMES) == set(KERNELS)


def test_tophat_is_refused_with_the_reason():
    with pytest.raises(ParameterError, match="does not keep flux"):
        DrizzleParameters(kernel="tophat")


def test_turbo_shares_a_pixel_between_four():
    image = mean(single("turbo"))
    assert image[4:6, 4:6] == pytest.approx(2500.0)
    assert np.nansum(image) == pytest.approx(1e4, rel=1e-7)


@pytest.mark.parametrize(("shift", "at"), [(1.501, 5), (1.499, 4)])
def test_point_takes_the_nearest_pixel(shift, at):
    sci = np.zeros((10, 10))
    sci[3, 3] = 1e4
    image = mean(image_of("point", sci, (shift, shift), (13, 13)))
    assert image[at, at] == pytest.approx(1e4)
    assert np.nansum(image) == pytest.approx(1e4)


def test_a_gaussian_about_a_corner():
    sums = single("gaussian")
    image = mean(sums)
    assert image[4:6, 4:6] == pytest.approx(2480.581, abs=1e-3)
    assert image[3, 4] == pytest.approx(9.691, abs=1e-3)
    assert image[3, 3] == pytest.approx(0.038, abs=1e-3)
    assert np.nansum(image) == pytest.approx(1e4, abs=1e-3)
    assert sums[..., 1].sum() == pytest.approx(88.9457, abs=1e-3)


def test_gaussian_pixels_of_a_shift_along_one_axis():
    sci = np.zeros((60, 50))
    sci[20:22, 21] = 100.0
    image = mean(image_of("gaussian", sci, (3.0, 0.5), (66, 51)))
    for y, x, value in (
        (21, 24, 88.54251), (20, 24, 44.44421), (22, 24, 44.44421), (21, 23, 5.53417),
        (20, 25, 2.77789), (19, 24, 0.17295), (23, 24, 0.17295),
    ):  # fmt: skip
        assert image[y, x] == pytest.approx(value, abs=2e-4)
    assert np.nansum(image) == pytest.approx(199.99998, abs=1e-3)


def test_a_gaussian_at_the_edge_and_in_blocks():
    edge = np.zeros((60, 50))
    edge[0, 21] = 100.0
    image = mean(image_of("gaussian", edge, (3.0, 0.5), (66, 51)))
    for y, x, value in (
        (0, 24, 88.54252), (1, 24, 44.35756), (0, 23, 5.53417), (1, 25, 2.77248), (2, 24, 0.17295),
    ):  # fmt: skip
        assert image[y, x] == pytest.approx(value, abs=2e-4)
    assert np.nansum(image) == pytest.approx(149.70795, abs=1e-3)
    block = np.zeros((60, 50))
    block[21:25, 22:26] = 100.0
    image = mean(image_of("gaussian", block, (3.0, 0.5), (66, 51)))
    assert np.nansum(image) == pytest.approx(1599.99984, abs=1e-3)
    assert image[23, 26:28] == pytest.approx(99.99998, abs=1e-4)
    assert image[22, 26] == pytest.approx(99.80541, abs=1e-4)


@pytest.mark.parametrize(("kernel", "order"), [("lanczos2", 2), ("lanczos3", 3)])
@pytest.mark.parametrize(("pixfrac", "scale"), [(1.0, 1.0), (0.8, 1.0), (1.0, 1.3), (1.0, 0.5)])
def test_lanczos_is_its_formula(kernel, order, pixfrac, scale):
    """Taps of one pixel, at positions over a whole pixel, to rounding."""
    for shift in np.linspace(8.0, 9.0, 23):
        sci = np.ones((1, 1))
        drop = Drop(kernel, pixfrac, scale)
        sums, _, _ = drizzle(shifted(shift, 9.0), as_chip(sci, sci), drop, (20, 20))
        x, y = np.arange(20) - shift, np.arange(20) - 9.0
        taps = [lanczos(order, t * scale / pixfrac) for t in (y, x)]
        assert np.abs(sums[..., 1] - np.outer(*taps)).max() < 1e-13


def test_lanczos_differs_from_c_by_the_steps_of_its_table():
    """Drizzle 3 takes the nearest of a table's steps of 0.003: up to 0.0015 times the slope."""
    rng = np.random.default_rng(4)
    chip = as_chip(rng.normal(0, 1, (40, 50)), np.ones((40, 50)))
    chain, drop = shifted(20.3, 30.7, TURNED), Drop("lanczos3", 1.0, 1.0)
    sums, _, _ = drizzle(chain, chip, drop, (90, 90))
    with pytest.warns(Warning, match="flux"):
        _, weight, _ = by_c(chain, chip, drop, (0, 0), (90, 90))
    alone = np.zeros((9, 9))
    alone[4, 4] = 1.0
    one = as_chip(alone, alone)
    worst = 0.0
    for shift in np.linspace(10.0, 11.0, 31):
        ours, _, _ = drizzle(shifted(shift, 10.0), one, drop, (20, 20))
        with pytest.warns(Warning, match="flux"):
            _, theirs, _ = by_c(shifted(shift, 10.0), one, drop, (0, 0), (20, 20))
        worst = max(worst, np.abs(ours[..., 1] - theirs).max())
    assert 1e-4 < worst < 0.0015 * 1.2
    assert np.abs(sums[..., 1] - weight).max() < 36 * worst


@pytest.mark.parametrize("kernel", ["turbo", "point", "gaussian"])
@pytest.mark.parametrize("pixfrac", [1.0, 0.8, 0.5])
@pytest.mark.filterwarnings("ignore:Kernel 'gaussian'")
def test_agreement_with_the_c_library(strip, kernel, pixfrac):
    chain, pixels, _, _ = strip
    drop = Drop(kernel, pixfrac, pixels.gain**0.5)
    origin, shape = window_of(chain, pixels.sci.shape, drop)
    ours, _, _ = drizzle(chain, pixels, drop, shape, origin)
    image, weight, context = by_c(chain, pixels, drop, origin, shape)
    assert np.mean((ours[..., 1] > 0.0) != (context > 0)) < 1e-6
    deep = weight > 0.01
    relative = np.abs(ours[..., 1][deep] / weight[deep] - 1.0)
    assert np.quantile(relative, 0.999) < 2e-5
    assert ours[..., 0].sum() == pytest.approx(np.sum(image * weight.astype(float)), rel=1e-7)
    difference = (mean(ours) - image)[deep]
    assert difference.std() < 5e-6 * image[deep].std()


@settings(max_examples=25)
@given(
    kernel=st.sampled_from(["turbo", "point"]),
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.4, 1.35),
    pixfrac=st.sampled_from([1.0, 0.6, 0.0005]),
    seed=st.integers(0, 2**16),
)
def test_turbo_and_point_keep_weight_and_flux(kernel, angle, scale, pixfrac, seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 80)), int(rng.integers(1, 300)))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    chain = shifted(*rng.uniform(-5e4, 4e5, 2), ((c, -s), (s, c)))
    pixels = as_chip(rng.normal(5, 3, shape), rng.uniform(0, 2, shape), offset=1.5, gain=0.3)
    pixels.sci[pixels.weight < 0.1] = np.nan
    pixels.weight[pixels.weight < 0.1] = 0.0
    drop = Drop(kernel, pixfrac, 1.0 / scale)
    origin, size = window_of(chain, shape, drop)
    ours, _, _ = drizzle(chain, pixels, drop, size, origin)
    weight = pixels.weight.astype(float)
    assert ours[..., 1].sum() == pytest.approx(weight.sum(), rel=1e-9, abs=1e-12)
    flux = np.nansum(weight * (pixels.sci - 1.5) * 0.3)
    assert ours[..., 0].sum() == pytest.approx(flux, rel=1e-9, abs=1e-9 * weight.sum())


@pytest.mark.parametrize("kernel", SEPARABLE)
@pytest.mark.parametrize("scale", [0.35, 1.0, 2.5])
def test_the_bounds_hold_everything(kernel, scale):
    shape = (70, 300)
    matrix = np.array(TURNED) / scale
    drop = Drop(kernel, 1.0, scale)
    chain = shifted(500.0, 700.0, matrix)
    pixels = as_chip(np.ones(shape), np.ones(shape))
    origin, size = window_of(chain, shape, drop)
    inside, _, _ = drizzle(chain, pixels, drop, size, origin)
    room, _, _ = drizzle(
        chain, pixels, drop, (size[0] + 20, size[1] + 20), (origin[0] - 10, origin[1] - 10)
    )
    assert room[10:-10, 10:-10].tobytes() == inside.tobytes()
    assert np.abs(room).sum() == pytest.approx(np.abs(inside).sum())


@pytest.mark.parametrize("kernel", SEPARABLE)
def test_windows_split_nowhere_differ(kernel):
    rng = np.random.default_rng(2)
    shape = (200, 600)
    chain = shifted(5.0, 400.0, ((0.7, 0.6), (-0.6, 0.7)))
    doubt = np.where(rng.random(shape) < 0.3, 16, 0).astype(np.uint16)
    err = rng.uniform(1, 2, shape).astype(np.float32)
    pixels = as_chip(rng.normal(0, 1, shape), rng.uniform(0.5, 1, shape), doubt, err)
    drop = Drop(kernel, 1.0, 1.1)
    whole = drizzle(chain, pixels, drop, (700, 620))
    for y0, y1, x0, x1 in ((0, 700, 0, 300), (123, 124, 77, 400), (350, 611, 250, 251)):
        part = drizzle(chain, pixels, drop, (y1 - y0, x1 - x0), (y0, x0))
        for mine, all_ in zip(part, whole, strict=True):
            assert mine.tobytes() == np.ascontiguousarray(all_[y0:y1, x0:x1]).tobytes()


@pytest.mark.parametrize("kernel", SEPARABLE)
def test_variance_sums(kernel):
    """Sums of a A u and a^2 u, A the total overlap of a drop: of a few pixels, one by one."""
    rng = np.random.default_rng(9)
    shape = (5, 6)
    sci, weight, err = (rng.uniform(0.5, 2.0, shape).astype(np.float32) for _ in range(3))
    pixels = as_chip(sci, weight, err=err, gain=0.7)
    drop, chain = Drop(kernel, 0.9, 1.2), shifted(20.2, 22.9, TURNED)
    ours, _, _ = drizzle(chain, pixels, drop, (45, 45))
    expected = np.zeros((45, 45, 4))
    for at in np.ndindex(shape):
        alone = pixels._replace(weight=np.zeros(shape, np.float32))
        alone.weight[at] = 1.0
        a = drizzle(chain, alone, drop, (45, 45))[0][..., 1]
        w = float(weight[at])
        u = (w * float(err[at]) * 0.7) ** 2
        terms = (a * w * float(sci[at]) * 0.7, a * w, a * a.sum() * u, a * a * u)
        expected += np.stack(terms, axis=-1)
    assert np.abs(ours - expected).max() < 1e-6
