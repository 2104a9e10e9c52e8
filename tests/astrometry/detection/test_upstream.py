"""TweakReg's and HAP's ways, and the parameters of all three."""

import numpy as np
import pytest

from hapdask.astrometry.detection import default_parameters, detect_sources
from hapdask.astrometry.detection.daofind import make_kernel, marginal_centroids, symmetry
from hapdask.config.detection import PRESETS, load_detection
from hapdask.errors import ParameterError
from hapdask.observe.instruments import INSTRUMENTS

from .conftest import UVIS, make_scene


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


def test_hap_leaves_most_cosmic_rays_out(uvis):
    parameters = [
        load_detection("WFC3", "UVIS", preset="hap", overrides={"classify": c, "num_sources": 9999})
        for c in (True, False)
    ]
    kept, whole = (detect_sources(uvis.record, p) for p, _ in parameters)
    assert uvis.false(kept) < 0.6 * uvis.false(whole)
    many, _ = load_detection("WFC3", "UVIS", preset="hap", overrides={"num_sources": 30})
    assert len(detect_sources(uvis.record, many)) <= 30


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
