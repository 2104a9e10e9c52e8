"""A fit's correction does to a record's chips what the fit did in its plane."""

from __future__ import annotations

import numpy as np
import pytest
from two_chips import record

from hapdask.astrometry.fitting.lists import places_of_catalog, places_of_sources
from hapdask.astrometry.fitting.pairing import fit_lists
from hapdask.astrometry.fitting.result import apply_correction, compose, inverse
from hapdask.astrometry.fitting.tasks import Task
from hapdask.astrometry.matching.places import Places, center_of
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.sources import SourceList
from hapdask.config.alignment import AlignmentParameters
from hapdask.observe.distortion import Correction


def sources_of(exposure, count=150):
    rng = np.random.default_rng(1)
    error = rng.uniform(0.005, 0.02, count)
    error[0] = np.nan
    return SourceList(
        exposure.name,
        rng.integers(1, 3, count),
        rng.uniform(0, 4095, count),
        rng.uniform(0, 2050, count),
        error,
        rng.uniform(10, 1e4, count),
        np.full(count, 50.0),
        np.zeros(count, np.uint16),
        2.0,
    )


def catalog_of(ra, dec, noise=0.3):
    rng = np.random.default_rng(2)
    n = len(ra)
    up = rng.normal(0, noise, (2, n)) / 3.6e6
    ra = ra + up[0] / np.cos(np.radians(dec))
    return ReferenceCatalog.of(ra, dec + up[1], error=noise, name="GAIAeDR3")


@pytest.mark.parametrize("geometry", ["shift", "rshift", "rscale", "general"])
@pytest.mark.parametrize("crval", [(359.999, 71.0), (10.0, 89.99)])
def test_the_corrected_record_puts_sources_on_their_stars(geometry, crval):
    header = record(crval)
    sources = sources_of(header)
    middle = crval
    a = np.radians(0.02)
    matrix = {
        "shift": (1.0, 0.0, 0.0, 1.0),
        "rshift": (np.cos(a), -np.sin(a), np.sin(a), np.cos(a)),
        "rscale": (1.0001, -2e-4, 2e-4, 1.0001),
        "general": (1.0001, 2e-4, -1e-4, 0.9998),
    }[geometry]
    truth = header.corrected(Correction(middle, matrix, (2.2, -1.4)))
    catalog = catalog_of(*sources.sky(truth))
    places, stars = places_of_sources(sources, header), places_of_catalog(catalog)
    rules = AlignmentParameters(floor=0.1, geometries=(geometry,))
    outcome = fit_lists(Task(places, stars, center_of(places), rules))
    assert outcome.accepted
    assert outcome.fit.geometry == geometry
    moved = header.corrected(outcome.fit.correction)
    after = Places.make("", *sources.sky(moved), 0.0).in_plane(outcome.fit.correction.center).xy
    # what the fit did in its plane, to 1e-6 pixel
    before = places.in_plane(outcome.fit.correction.center).xy
    assert np.abs(after - outcome.fit.apply(before)).max() < 1e-6 * 0.04 * 50
    there = Places.make("", *sources.sky(truth), 0.0).in_plane(outcome.fit.correction.center).xy
    assert 1000.0 * np.median(np.hypot(*(after - there).T)) < 0.3


def test_corrections_compose_and_undo():
    center = (10.0, 20.0)
    one = Correction(center, (1.0001, 2e-4, -1e-4, 0.9998), (2.0, -1.0))
    two = Correction(center, (0.999, -1e-3, 1e-3, 0.999), (-0.3, 0.2))
    xy = np.random.default_rng(0).uniform(-100, 100, (20, 2))
    both = apply_correction(compose(two, one), xy)
    np.testing.assert_allclose(both, apply_correction(two, apply_correction(one, xy)), atol=1e-12)
    np.testing.assert_allclose(apply_correction(compose(inverse(one), one), xy), xy, atol=1e-11)
    with pytest.raises(ValueError, match="tangent planes"):
        compose(one, Correction((10.0, 21.0)))


def test_places_know_errors_and_magnitudes():
    exposure = record()
    places = places_of_sources(sources_of(exposure), exposure)
    assert 100 < len(places) == 150
    assert places.ra_error[0] == 100.0
    assert 0.005 * 39.5 < places.ra_error[1:].min() < places.ra_error[1:].max() < 0.02 * 39.7
    assert places.detector.shape == (150, 3)
    assert np.all(np.isfinite(places.mag))


@pytest.mark.parametrize("away", [30.0, 7.0])  # beyond all reach, and beyond the search alone
def test_too_few_pairs_are_told_with_what_a_user_may_change(away):
    rng = np.random.default_rng(3)
    ra, dec = 150.0 + rng.uniform(-0.01, 0.01, 30), 2.2 + rng.uniform(-0.01, 0.01, 30)
    places = Places.make("e", ra, dec, 5.0)
    catalog = Places.make("c", ra[:1], dec.max(keepdims=True) + away / 3600.0, 1.0)

    def reason(method):
        rules = AlignmentParameters(searchrad=3.0)
        task = Task(places, catalog, center_of(places), rules, method)
        return fit_lists(task).attempts[-1].reason

    assert reason("histogram").endswith("(widen searchrad, now 3 arcsec; or a deeper catalog)")
    assert "searchrad" not in reason("relative")
