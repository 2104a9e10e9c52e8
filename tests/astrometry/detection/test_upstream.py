"""TweakReg's and HAP's ways, and the parameters of all three."""

import numpy as np
import pytest
from astropy.io import fits

from hapdask.astrometry.detection import default_parameters, detect_sources
from hapdask.astrometry.detection.daofind import make_kernel, marginal_centroids, symmetry
from hapdask.astrometry.detection.imagefind import find_image_sources
from hapdask.config.detection import PRESETS, load_detection
from hapdask.errors import ParameterError
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.simulate import Scene

from .conftest import DEC, IR, RA, UVIS, make_scene


@pytest.fixture(scope="module")
def quiet(observe):
    return observe(make_scene(5, 120, galaxies=0), UVIS, cosmic_rays=False)


@pytest.mark.parametrize(("preset", "within"), [("tweakreg", 0.1), ("hap", 0.15)])
def test_bright_stars_are_found_where_they_are(quiet, preset, within):
    found = detect_sources(quiet.record, default_parameters(quiet.record, preset)).brightest(60)
    assert len(found) >= 50
    away, _ = quiet.nearest(found)
    assert np.median(away) < within
    assert np.all(np.isfinite(found.error))


def test_hap_finds_stars_with_saturated_cores(observe):
    """They are the brightest it has, and without their cores they have no centroid at all.

    HAP's own centroids are made of the few pixels of a segment; on IR they scatter by 0.3 pixel
    (27 mas in the WCS of two exposures, where these give 4).  That is not followed.
    """
    rng = np.random.default_rng(3)
    ra, dec = RA + rng.uniform(-0.015, 0.015, 80), DEC + rng.uniform(-0.015, 0.015, 80)
    seen = observe(Scene.stars(ra, dec, rng.uniform(16.5, 20.0, 80)), IR)
    found = detect_sources(seen.record, default_parameters(seen.record, "hap"))
    away = np.hypot(seen.x[:, None] - found.x, seen.y[:, None] - found.y).min(axis=1)
    inside = (seen.x > 10) & (seen.y > 10) & (seen.x < 1003) & (seen.y < 1003)
    dq = fits.getdata(seen.record.url, "DQ")
    saturated = np.zeros(inside.size, bool)
    at = seen.y[inside].round().astype(int), seen.x[inside].round().astype(int)
    saturated[inside] = (dq[at] & 256) > 0
    assert saturated.sum() > 10
    assert np.mean(away[saturated] < 0.7) > 0.85


def test_hap_leaves_most_cosmic_rays_out(uvis):
    parameters = [
        load_detection("WFC3", "UVIS", preset="hap", overrides={"classify": c, "num_sources": 9999})
        for c in (True, False)
    ]
    kept, whole = (detect_sources(uvis.record, p) for p, _ in parameters)
    assert uvis.false(kept) < 0.6 * uvis.false(whole)
    many, _ = load_detection("WFC3", "UVIS", preset="hap", overrides={"num_sources": 30})
    assert len(detect_sources(uvis.record, many)) <= 30


#: What DrizzlePac 3.11 finds on `plain_field` (findobj.findstars, fwhm 2.5, threshold 30).
UPSTREAM = np.array(
    [(9.0026, 10.0074), (27.4034, 10.5670), (45.7313, 11.2301), (64.1107, 11.8262),
     (82.5620, 12.5042), (10.8479, 43.0510), (29.2267, 43.6362), (47.5511, 44.2812),
     (65.9598, 44.8784), (84.3535, 45.5712), (12.6839, 76.1009), (31.0702, 76.6967),
     (49.5011, 77.3429), (67.8053, 77.9295)]
)  # fmt: skip
#: Sums of its boxes, background included.
UPSTREAM_FLUX = [807.2, 993.8, 1331.6, 1857.1, 2016.6, 3056.4, 4683.6, 7337.3, 8262.9, 13279.2,
                 21766.0, 35345.6, 39564.7, 65855.8]  # fmt: skip


def plain_field():
    y, x = np.mgrid[:90, :90].astype(float)
    image = 20.0 + 2.0 * np.sin(12.9898 * x + 78.233 * y) + 1.5 * np.sin(3.7 * x - 9.1 * y)
    for k in range(14):
        a, b = 9.0 + 18.0 * (k % 5) + 0.37 * k, 10.0 + 30.0 * (k // 5) + 0.61 * k
        sigma = 0.9 + 0.05 * (k % 4)
        image += 60.0 * 1.5**k * np.exp(-0.5 * ((x - a) ** 2 + (y - b) ** 2) / sigma**2)
    return image.astype(np.float32)


@pytest.mark.parametrize("sharp", [False, True])
def test_tweakregs_way_finds_what_tweakreg_finds(sharp):
    image = plain_field()
    parameters, _ = load_detection(
        "WFC3", "IR", preset="tweakreg",
        overrides={"computesig": False, "skysigma": 7.5, "use_sharp_round": sharp},
    )  # fmt: skip
    found = find_image_sources(image, np.ones(image.shape, bool), parameters, "a", 1)
    found = found.take(np.argsort(found.y))
    np.testing.assert_allclose(np.stack([found.x, found.y], 1), UPSTREAM, atol=2e-4)
    # ours are without the background, which TweakReg takes for sigma**2 of each of 25 pixels
    np.testing.assert_allclose(found.flux, np.array(UPSTREAM_FLUX) - 25 * 7.5**2, atol=0.2)


def test_limits_of_tweakreg(quiet):
    whole, _ = load_detection("WFC3", "UVIS", preset="tweakreg")
    found = detect_sources(quiet.record, whole)
    for change in (
        {"peakmax": 500.0},
        {"peakmin": 500.0},
        {"fluxmin": 5000.0},
        {"threshold": 40.0},
        {"use_sharp_round": True, "sharplo": 0.45},
        {"dqbits": 0},
        {"computesig": False, "skysigma": 50.0},
    ):
        some, _ = load_detection("WFC3", "UVIS", preset="tweakreg", overrides=change)
        assert 0 < len(detect_sources(quiet.record, some)) < len(found), change


def test_marginal_fits_find_the_middle():
    kernel = make_kernel(3.5, 1.5)
    size = kernel.gauss.shape[0]
    y, x = np.mgrid[:size, :size] - size // 2
    sigma = 3.5 / 2.3548
    boxes = np.array(
        [100 * np.exp(-0.5 * ((x - a) ** 2 + (y - b) ** 2) / sigma**2) + 7 for a, b in
         ((0.0, 0.0), (0.2, -0.1), (-0.3, 0.3))]
    )  # fmt: skip
    dx, dy, turned = marginal_centroids(boxes, kernel)
    np.testing.assert_allclose(dx, [0.0, 0.2, -0.3], atol=0.02)
    np.testing.assert_allclose(dy, [0.0, -0.1, 0.3], atol=0.02)
    assert abs(turned[0]) < 1e-9
    assert abs(symmetry(boxes[:1] - 7)[0]) < 1e-6
    assert kernel.filter.sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_there_is_a_preset_for_every_detector(preset):
    for instrument, detector in INSTRUMENTS:
        parameters, origin = load_detection(instrument, detector, preset=preset)
        assert isinstance(parameters, PRESETS[preset])
        assert origin


def test_wrong_parameters_are_refused():
    for overrides, message in (
        ({"treshold": 3}, "did you mean 'threshold'"),
        ({"threshold": "many"}, "threshold"),
        ({"peakmin": 5, "peakmax": 4}, "not below"),
        ({"computesig": False}, "skysigma"),
    ):
        with pytest.raises(ParameterError, match=message):
            load_detection("WFC3", "UVIS", preset="tweakreg", overrides=overrides)
    with pytest.raises(ParameterError, match="unknown preset"):
        load_detection("WFC3", "UVIS", preset="mine")
