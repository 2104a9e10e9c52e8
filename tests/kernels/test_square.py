"""The square kernel: known pixels, the C library of ``drizzle`` 3, and what is conserved."""

import numpy as np
import pytest
from dropping import as_chip, by_c, mean, shifted, window_of
from dropping import square as drizzle
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.kernels.blocks import blocks_reaching, chip_reach
from hapdask.kernels.drizzle import Drop
from hapdask.simulate import Pointing
from hapdask.sky.frame import Frame


def test_known_pixels_of_a_shift_by_one_and_a_half():
    sci = np.zeros((10, 10))
    sci[3, 3] = 1e4
    out, _, _ = drizzle(shifted(1.5, 1.5), as_chip(sci, np.ones_like(sci)), 1.0, (13, 13))
    expected = np.zeros((13, 13))
    expected[4:6, 4:6] = 2500.0
    image = mean(out)[2:11, 2:11]
    assert np.abs(image - expected[2:11, 2:11]).max() < 1e-3
    assert np.nansum(image) == pytest.approx(1e4, rel=1e-7)


def test_known_pixels_of_a_shift_along_one_axis():
    sci = np.zeros((60, 50))
    sci[20:22, 21] = 100.0
    out, _, _ = drizzle(shifted(3.0, 0.5), as_chip(sci, np.ones_like(sci)), 1.0, (66, 54))
    image = mean(out)[2:60, 5:50]
    expected = np.zeros((66, 54))
    expected[20:23, 24] = 50.0, 100.0, 50.0
    assert np.abs(image - expected[2:60, 5:50]).max() < 1e-5


@pytest.mark.parametrize("pixfrac", [1.0, 0.8, 0.5])
def test_agreement_with_the_c_library(strip, pixfrac):
    chain, pixels, origin, shape = strip
    ours, _, _ = drizzle(chain, pixels, pixfrac, shape, origin)
    image, weight, context = by_c(chain, pixels, Drop("square", pixfrac, 1.0), origin, shape)
    assert np.mean((ours[..., 1] > 0.0) != (context > 0)) < 1e-6
    deep = weight > 0.01
    relative = np.abs(ours[..., 1][deep] / weight[deep] - 1.0)
    assert np.quantile(relative, 0.999) < 2e-5
    assert ours[..., 0].sum() == pytest.approx(np.sum(image * weight.astype(float)), rel=1e-8)
    difference = (mean(ours) - image)[deep]
    assert difference.std() < 5e-6 * image[deep].std()


@pytest.mark.parametrize("pixfrac", [1.0, 0.5])
def test_weight_and_flux_are_conserved(strip, pixfrac):
    chain, pixels, origin, shape = strip
    ours, _, _ = drizzle(chain, pixels, pixfrac, shape, origin)
    weight = pixels.weight.astype(float)
    assert ours[..., 1].sum() == pytest.approx(weight.sum(), rel=1e-9)
    flux = (weight * pixels.sci * pixels.gain).sum()
    assert ours[..., 0].sum() == pytest.approx(flux, rel=1e-9)


@settings(max_examples=25)
@given(
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.4, 1.35),
    parity=st.sampled_from([1, -1]),
    pixfrac=st.sampled_from([1.0, 0.7]),
    seed=st.integers(0, 2**16),
)
def test_any_chip_is_conserved_at_any_place(angle, scale, parity, pixfrac, seed):
    """Mirrored and turned chips of odd sizes, anywhere on the root grid, with any offset."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 80)), int(rng.integers(1, 300)))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    chain = shifted(*rng.uniform(-5e4, 4e5, 2), ((c, -parity * s), (s, parity * c)))
    pixels = as_chip(rng.normal(5, 3, shape), rng.uniform(0, 2, shape), offset=1.5, gain=0.3)
    pixels.sci[pixels.weight < 0.1] = np.nan  # weight 0 leaves a pixel out, whatever its value
    pixels.weight[pixels.weight < 0.1] = 0.0
    origin, size = window_of(chain, shape, Drop("square", 1.0, 1.0))
    ours, _, _ = drizzle(chain, pixels, pixfrac, size, origin)
    weight = pixels.weight.astype(float)
    assert ours[..., 1].sum() == pytest.approx(weight.sum(), rel=3e-6, abs=1e-12)
    flux = np.nansum(weight * (pixels.sci - 1.5) * 0.3)
    assert ours[..., 0].sum() == pytest.approx(flux, rel=3e-6, abs=3e-6 * weight.sum())
    border = np.concatenate([ours[0], ours[-1], ours[:, 0], ours[:, -1]])
    assert not border.any()  # the bounds hold everything


@pytest.mark.parametrize("fraction", [0.15, 0.4, 0.9])
def test_doubtful_pixels_are_kept_where_nothing_is_clean(fraction):
    rng = np.random.default_rng(3)
    shape = (30, 40)
    flags = rng.choice([16, 64, 256], shape)
    doubt = np.where(rng.random(shape) < fraction, flags, 0).astype(np.uint16)
    sci, weight = rng.normal(0, 1, shape), rng.uniform(0.5, 1, shape)
    chain = shifted(3.3, 2.7, ((0.9, 0.2), (-0.2, 0.9)))
    clean, doubtful, quality = drizzle(chain, as_chip(sci, weight, doubt), 1.0, (50, 60))
    only, none, _ = drizzle(chain, as_chip(sci, weight * (doubt == 0)), 1.0, (50, 60))
    assert clean.tobytes() == only.tobytes()
    assert not none.any()
    rest, _, _ = drizzle(chain, as_chip(sci, weight * (doubt != 0)), 1.0, (50, 60))
    needed = (clean[..., 1] == 0) & (rest[..., 1] > 0)
    assert needed.any()
    assert doubtful[needed].tobytes() == rest[needed].tobytes()
    for bit in (16, 64, 256):
        touched, _, _ = drizzle(chain, as_chip(sci, weight * (doubt == bit)), 1.0, (50, 60))
        assert np.array_equal((quality & bit)[needed] > 0, touched[..., 1][needed] > 0)


@pytest.mark.parametrize("pixfrac", [1.0, 0.7])
def test_variance_sums(pixfrac, polygons):
    """sum(a u) and sum(a^2 u) of a few pixels, by polygon clipping."""
    rng = np.random.default_rng(9)
    shape = (5, 6)
    matrix = np.array([[0.8, 0.35], [-0.4, 0.75]])
    sci, weight, err = (rng.uniform(0.5, 2.0, shape).astype(np.float32) for _ in range(3))
    pixels = as_chip(sci, weight, err=err, gain=0.7)
    ours, _, _ = drizzle(shifted(10.2, 12.9, matrix), pixels, pixfrac, (25, 25))
    expected = np.zeros((25, 25, 4))
    for (y, x), w in np.ndenumerate(weight.astype(float)):
        square_ = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
        corners = [matrix @ (np.array([x, y]) + pixfrac * np.array(c)) for c in square_]
        drop = [(px + 10.2, py + 12.9) for px, py in corners]
        u = (w * float(err[y, x]) * 0.7) ** 2
        for at, overlap in polygons.overlaps(drop).items():
            a = overlap / abs(polygons.area(drop))
            expected[at] += a * w * float(sci[y, x]) * 0.7, a * w, a * u, a * a * u
    assert np.abs(ours - expected).max() < 1e-7


def test_windows_split_nowhere_differ():
    """Sums of a window are the same bytes as that part of the sums of the whole."""
    rng = np.random.default_rng(2)
    shape = (200, 600)
    chain = shifted(5.0, 400.0, ((0.7, 0.6), (-0.6, 0.7)))
    pixels = as_chip(rng.normal(0, 1, shape), rng.uniform(0.5, 1, shape))
    whole, _, _ = drizzle(chain, pixels, 1.0, (700, 620))
    for y0, y1, x0, x1 in ((0, 700, 0, 300), (123, 124, 77, 400), (350, 611, 250, 251)):
        part, _, _ = drizzle(chain, pixels, 1.0, (y1 - y0, x1 - x0), (y0, x0))
        assert part.tobytes() == np.ascontiguousarray(whole[y0:y1, x0:x1]).tobytes()
        assert part.any()


def test_blocks_behind_the_tangent_plane_reach_nothing(headers_at):
    """Also not a window that holds the origin of the root grid."""
    distortion = headers_at("uvis", Pointing(150.1, 2.2, 31.0)).distortion(1)
    frame = Frame.from_center(330.0, -2.0, 0.04, (100, 100))
    chain = distortion.chain_to(frame.crval, frame.crpix, frame.cd)
    reach = chip_reach(chain, distortion.shape)
    assert not blocks_reaching(reach, -500, 500, -500, 500).size


def test_only_blocks_near_a_window_reach_it():
    """A turned block fills little of the box around it; what lies in the rest is not asked for."""
    shape = (64, 256)
    c, s = np.cos(0.8), np.sin(0.8)
    reach = chip_reach(shifted(500.0, 500.0, ((c, -s), (s, c))), shape)
    x0, x1, y0, y1 = reach.bounds[0, 0]
    for y, x in ((y0, x0), (y1 - 10, x1 - 10), (y0, x1 - 10), (y1 - 10, x0)):
        corner = blocks_reaching(reach, y, y + 10, x, x + 10)
        inverse = np.array([[c, s], [-s, c]]) @ (np.array([x, y]) + 4.5 - 500.0)
        away = max(-inverse[0], inverse[0] - 256, -inverse[1], inverse[1] - 64)
        assert bool(corner.size) == (away < 13.0), away
    assert blocks_reaching(reach, 600, 601, 560, 561).size
