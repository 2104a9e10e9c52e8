"""Lists that no shift, turn and scale lay on each other: refused, or with an error that says so.

Each of these was accepted once, many stated errors away from the truth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from starlists import Field, Seen, header_error

from hapdask.astrometry.fitting.result import shared_by_neighbours
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.matching.places import Places
from hapdask.config.alignment import AlignmentParameters
from hapdask.sky.tangent import deproject

UVIS = AlignmentParameters(floor=0.5)
CENTER = (150.0, 2.2)


def scene(seed, *, rotation=0.01, scale=1.0, stars=300):
    rng = np.random.default_rng(seed)
    field = Field(rng, center=CENTER, stars=stars)
    matrix, move = header_error(rng, 1.0, 0.0)
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    return field, field.exposure((scale * np.array([[c, -s], [s, c]]) @ matrix, move))


def placed(seen, *catalogs):
    return align_visit([seen.places], catalogs, UVIS)[0]


def bent(seen, bend):
    """Move what an exposure sees, as a distortion that its header has not."""

    def moved(ra, dec):
        xy = Places.make("", ra, dec, 0.0).in_plane(CENTER).xy
        return deproject(*((xy + bend(xy)).T / 3600.0), *CENTER)

    ra, dec = moved(seen.places.ra, seen.places.dec)
    return Seen(replace(seen.places, ra=ra, dec=dec), moved(*seen.header), seen.truth)


@pytest.mark.parametrize("header", [{"scale": 1.0015}, {"scale": 1.01}, {"rotation": 0.5}])
def test_what_is_impossible_is_not_hidden_in_the_residuals_of_a_simpler_geometry(header):
    field, seen = scene(3, **header)
    found = placed(seen, field.catalog(200))
    assert found.status == "unaligned"
    told = [attempt.reason for attempt in found.attempts]
    assert not any(attempt.accepted for attempt in found.attempts)
    assert any(word in reason for reason in told for word in ("scale", "turns", "fit alike"))


def test_a_catalog_whose_stars_are_of_two_dates_is_refused():
    field, seen = scene(5)
    stars = field.catalog(200)
    late = np.arange(len(stars)) % 2 == 0
    away = replace(
        stars,
        ra=np.where(late, stars.ra + 0.25 / 3600.0, stars.ra),
        dec=np.where(late, stars.dec + 0.2 / 3600.0, stars.dec),
    )
    found = placed(seen, away)
    assert found.status == "unaligned"
    assert "two offsets fit alike" in found.reason or "another place" in found.reason
    few = np.arange(len(stars)) % 5 == 0
    some = replace(stars, ra=np.where(few, stars.ra + 0.25 / 3600.0, stars.ra))
    assert placed(seen, some).status == "aligned"


def test_an_exposure_with_a_chip_elsewhere_is_refused():
    field, seen = scene(11)
    found = placed(
        bent(seen, lambda xy: np.where(xy[:, 1:] > 0, [[0.2, 0.0]], 0.0)), field.catalog(200)
    )
    assert found.status == "unaligned"


@pytest.mark.parametrize("amount", [0.05, 0.1])
def test_a_distortion_that_no_geometry_follows_is_in_the_stated_error(amount):
    field, seen = scene(11)
    curved = bent(seen, lambda xy: amount * (xy[:, :1] / 80.0) * (xy / 80.0))
    found = placed(curved, field.catalog(200))
    assert found.status == "aligned"
    true = float(np.sqrt(np.mean(curved.residuals(found.correction) ** 2)))
    assert found.fit.misfit_mas > 100.0 * amount
    assert true < 4.0 * found.error_mas


def test_noise_is_not_shared_by_neighbours():
    rng = np.random.default_rng(1)
    told = []
    for _ in range(300):
        xy, noise = rng.uniform(-80, 80, (40, 2)), rng.normal(0, 0.003, (40, 2))
        told.append(shared_by_neighbours(xy, noise))
        assert shared_by_neighbours(xy, noise + 0.01 * np.sin(xy / 40.0)) > 0.003**2
    assert np.count_nonzero(told) < 5
    assert shared_by_neighbours(xy[:5], noise[:5]) == 0.0
