"""Clipped statistics of parts of images, against stsci.imagestats and against plain NumPy."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array

from hapdask.kernels.image_statistics import Clipping, clip, median, mode, whole

DATA = Path(__file__).parents[1] / "data" / "kernels" / "imagestats_truth.json"
TRUTH = json.loads(DATA.read_text())["truth"]


def hashed(n, k):
    """Uniform numbers without a generator: the same for ever."""
    i = np.arange(n, dtype=np.uint64) + np.uint64(k * 1000003)
    with np.errstate(over="ignore"):
        i = (i ^ (i >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        i = (i ^ (i >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        i = i ^ (i >> np.uint64(31))
    return ((i >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def noise(n, k):
    """Nearly normal: twelve uniform numbers."""
    return sum(hashed(n, 100 * k + j) for j in range(12)) - 6.0


def arrays():
    """Make what the truth was made of: name, values."""
    n = 20000
    stars = np.where(hashed(n, 7) < 0.03, 30.0 / hashed(n, 8), 0.0)
    made = {
        "noise": 50 + 7 * noise(n, 1),
        "stars": 50 + 7 * noise(n, 2) + stars,
        "holes": np.where(hashed(n, 9) < 0.01, -500.0, 3 + 2 * noise(n, 3) + stars),
        "counts": np.floor(4 + 2.5 * noise(n, 4) + 0.1 * stars),
        "bright": 30000 + 170 * noise(n, 5),
        "rates": 0.7 + 0.02 * noise(n, 6),
        "few": [3.0, 5.0, 4.0, 4.0, 900.0, 4.5, 3.5, 4.25],
        "two": [1.0, 2.0],
        "constant": np.full(100, 2.5),
    }
    return {name: np.asarray(values, np.float32).reshape(-1, 2) for name, values in made.items()}


WAYS = {
    "sky": (Clipping(5, 4.0, 4.0), 0.1),
    "static": (Clipping(3, 3.0, 3.0), 0.1),
    "narrow": (Clipping(2, 2.0, 1.5), 0.3),
    "limited": (Clipping(3, 3.0, 3.0, 1.0, 60.0), 0.1),
    "plain": (Clipping(0), 0.5),
}


@pytest.fixture(scope="module")
def made():
    return arrays()


@pytest.mark.parametrize("case", TRUTH)
def test_imagestats(case, made):
    name, way = case.split("/")
    image, (clipping, binwidth) = made[name], WAYS[way]
    everything = np.ones(image.shape, bool), whole(image.shape)
    clipped = clip(image, *everything, clipping, upstream=True)
    peak, bins = mode(image, *everything, clipped, binwidth=binwidth, upstream=True)
    middle = median(image, *everything, clipped)
    truth = TRUTH[case]
    if truth is None:
        assert clipped.n == 0
        assert math.isnan(middle)
        assert math.isnan(peak)
        return
    assert (clipped.n, bins) == (truth["n"], truth["bins"])
    assert (clipped.mean, clipped.stddev, middle) == pytest.approx(
        (truth["mean"], truth["stddev"], truth["median"]), rel=2e-7
    )
    assert peak == pytest.approx(truth["mode"], abs=3e-7 * truth["stddev"] * bins, rel=1e-9)


def plain(values, clipping):
    """Clip with NumPy."""
    values = values[np.isfinite(values)].astype(np.float64)
    values = values[(values >= clipping.lower) & (values <= clipping.upper)]
    kept = values
    for _ in range(clipping.iterations):
        if kept.size == 0:
            break
        deviation = kept.std(ddof=1) if kept.size > 1 else 0.0
        low = np.float32(kept.mean() - clipping.lower_sigma * deviation)
        high = np.float32(kept.mean() + clipping.upper_sigma * deviation)
        kept = values[(values >= low) & (values <= high)]
    return kept


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (40, 50), (300, 1000)])
def test_part_of_an_image_with_stars_and_holes(seed, shape):
    rng = np.random.default_rng(seed)
    image = rng.normal(50.0, 7.0, shape).astype(np.float32)
    bright = rng.random(shape) < 0.04
    image[bright] += rng.pareto(1.0, int(bright.sum())).astype(np.float32) * 100
    image[rng.random(shape) < 0.01] = np.nan
    image[rng.random(shape) < 0.001] = np.inf
    use = rng.random(shape) < 0.9
    ny, nx = shape
    ends = np.sort(rng.integers(0, nx + 1, (ny, 2)), axis=1)
    spans = np.column_stack([np.arange(ny), ends]).astype(np.int64)
    x = np.arange(nx)
    inside = (x >= ends[:, :1]) & (x < ends[:, 1:])
    clipping = Clipping(5, 4.0, 3.0)
    clipped = clip(image, use, spans, clipping)
    kept = plain(image[use & inside], clipping)
    assert clipped.n == kept.size
    if kept.size:
        assert clipped.mean == pytest.approx(kept.mean(), rel=1e-12)
        assert clipped.stddev == pytest.approx(kept.std(ddof=1) if kept.size > 1 else 0, rel=1e-9)
    found = median(image, use, spans, clipped)
    assert found == pytest.approx(np.median(kept) if kept.size else np.nan, nan_ok=True, abs=0)


@given(
    any_array(
        np.float32, st.tuples(st.integers(0, 6), st.integers(0, 7)),
        elements=st.integers(-3, 3) | st.sampled_from([float("nan"), float("inf"), -0.0, 1e3]),
    ),
    st.integers(0, 2**42),
)  # fmt: skip
def test_small_sets_with_ties(image, mask):
    use = np.array([bool(mask >> k & 1) for k in range(image.size)], bool).reshape(image.shape)
    clipping = Clipping(2, 2.0, 2.0)
    clipped = clip(image, use, whole(image.shape), clipping)
    kept = plain(image[use], clipping)
    assert clipped.n == kept.size
    expected = np.median(kept) if kept.size else np.nan
    assert median(image, use, whole(image.shape), clipped) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("size", [1 << 14, 1 << 15])
def test_where_samples_mislead(size):
    """Every sampled pixel is another than the rest."""
    image = np.zeros((600, 600), np.float32)
    step = image.size // size | 1
    image.ravel()[::step] = 5.0
    image.ravel()[1::step] = -3.0
    image.ravel()[2 :: 7 * step] = 4000.0
    everything = np.ones(image.shape, bool), whole(image.shape)
    for clipping in (Clipping(0), Clipping(3, 2.0, 2.0)):
        clipped = clip(image, *everything, clipping)
        kept = plain(image, clipping)
        assert clipped.n == kept.size
        assert clipped.mean == pytest.approx(kept.mean(), rel=1e-12)
        assert median(image, *everything, clipped) == np.median(kept)


@pytest.mark.parametrize("sigmas", [(4.0, 4.0), (1.0, 1.5), (0.3, 5.0)])
@pytest.mark.parametrize("kind", ["noise", "counts", "two", "tail"])
def test_large_images_of_all_kinds(kind, sigmas):
    """Cores that clipping cuts, values that are alike, and tails too long to set aside."""
    rng = np.random.default_rng(5)
    shape = (500, 801)
    image = {
        "noise": lambda: rng.normal(3.0, 2.0, shape),
        "counts": lambda: rng.poisson(1.3, shape),
        "two": lambda: np.where(rng.random(shape) < 0.5, 10.0, 20.0),
        "tail": lambda: rng.pareto(0.3, shape),
    }[kind]().astype(np.float32)  # fmt: skip
    use = rng.random(shape) < 0.7
    clipping = Clipping(4, *sigmas, upper=1e20)
    clipped = clip(image, use, whole(shape), clipping)
    kept = plain(image[use], clipping)
    assert clipped.n == kept.size
    assert clipped.mean == pytest.approx(kept.mean(), rel=1e-9)
    assert clipped.stddev == pytest.approx(kept.std(ddof=1), rel=1e-7, abs=1e-9)
    assert median(image, use, whole(shape), clipped) == np.median(kept)


def test_modes_of_noise_have_no_bias():
    """Ours tells where the peak is; upstream's is low by up to a bin, differently each time."""
    rng = np.random.default_rng(2)
    found = {True: [], False: []}
    for _ in range(20):
        image = rng.normal(50.0, 7.0, (1000, 1000)).astype(np.float32)
        everything = np.ones(image.shape, bool), whole(image.shape)
        for upstream, modes in found.items():
            clipped = clip(image, *everything, Clipping(), upstream=upstream)
            modes.append(mode(image, *everything, clipped, upstream=upstream)[0])
    error = 7.0 * 35.0 / 1000.0  # of one mode
    assert np.mean(found[False]) == pytest.approx(50.0, abs=3 * error / math.sqrt(20))
    assert np.std(found[False]) < 2 * error
    assert np.mean(found[True]) < np.mean(found[False])


def test_modes_that_cannot_be_told():
    image = np.array([[0.0, 1e6, 2e6]], np.float32)
    everything = np.ones(image.shape, bool), whole(image.shape)
    clipped = clip(image, *everything, Clipping(0))
    with pytest.raises(ValueError, match="bins are too narrow"):
        mode(image, *everything, clipped, binwidth=1e-9)
    constant = np.full((5, 5), 2.5, np.float32)
    everything = np.ones(constant.shape, bool), whole(constant.shape)
    assert mode(constant, *everything, clip(constant, *everything, Clipping())) == (2.5, 1)


def test_values_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(4)
    image = (1e6 + rng.normal(0, 3.0, (100, 1000))).astype(np.float32)
    everything = np.ones(image.shape, bool), whole(image.shape)
    clipped = clip(image, *everything, Clipping())
    kept = plain(image, Clipping())
    assert clipped.n == kept.size
    assert clipped.stddev == pytest.approx(kept.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize(
    ("first", "truth"),
    [(None, 1.4729032516479492), (5000.0, 1.4732148170471193), (-5000.0, 1.7035120391845808)],
)
def test_upstream_takes_a_clipped_first_pixel_for_an_extreme(first, truth):
    """ImageStats begins its search for extremes there: its histogram ends at the limit.  Figures
    of stsci.imagestats 1.8.4; ours do not depend on one pixel."""
    image = (np.random.default_rng(5).integers(0, 4000, (40, 50)) / 64).astype(np.float32) ** 2 / 40
    if first is not None:
        image[0, 0] = first
    everything = np.ones(image.shape, bool), whole(image.shape)
    clipping = Clipping(3, 3.0, 3.0)
    peaks = {}
    for upstream in (True, False):
        clipped = clip(image, *everything, clipping, upstream=upstream)
        peaks[upstream] = mode(image, *everything, clipped, upstream=upstream)[0]
    assert peaks[True] == pytest.approx(truth, abs=1e-6)
    assert peaks[False] == pytest.approx(1.47, abs=0.05)
