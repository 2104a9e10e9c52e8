"""Galaxies told from stars on simulated exposures: rarely all of them, and never a star."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hapdask.astrometry.detection import detect_sources
from hapdask.astrometry.sources import EXTENDED, SourceList
from hapdask.simulate import Scene

from .conftest import DEC, IR, RA, UVIS, Truth, make_scene


def field(seed: int, stars: int, galaxies: int, size: float) -> Scene:
    """Stars, and as many galaxies as a deep field has small ones."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-size, size, (2, galaxies))
    mag = rng.uniform(21.5, 25.0, galaxies)
    small = Scene.galaxies(
        RA + places[0], DEC + places[1], mag, 0.25 * 10 ** rng.normal(-0.06 * (mag - 24.0), 0.15),
        rng.uniform(0.4, 1.0, galaxies), rng.uniform(0.0, 180.0, galaxies),
    )  # fmt: skip
    points = make_scene(seed, stars, size, galaxies=1)
    return Scene(**{k: np.concatenate([v, getattr(small, k)]) for k, v in vars(points).items()})


def away(found: SourceList, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest of some places, and which."""
    distance = np.hypot(found.x[:, None] - x, found.y[:, None] - y)
    return distance.min(axis=1), distance.argmin(axis=1)


@pytest.mark.parametrize(("setup", "size", "least"), [(UVIS, 0.005, 4), (IR, 0.018, 15)])
def test_what_is_told_is_a_galaxy(
    observe: Callable[..., Truth], setup: tuple[str, str, str], size: float, least: int
) -> None:
    truth = observe(field(7, 60, 80, size), setup)
    found = detect_sources(truth.record, galaxies=True)
    galaxies = found.having(EXTENDED)
    assert detect_sources(truth.record) == found.without(EXTENDED)
    assert len(galaxies) >= least
    near, which = away(galaxies, *truth.galaxies)
    assert near.max() < 1.5
    assert truth.nearest(galaxies)[0].min() > 2.0
    off = np.concatenate([galaxies.x, galaxies.y]) - truth.galaxies[:, which].ravel()
    pulls = off / np.tile(galaxies.error, 2)
    assert 0.3 < np.sqrt(np.mean(pulls**2)) < 1.3
    assert galaxies.error.min() >= 0.03


@pytest.mark.parametrize("name", ["uvis", "ir"])
def test_no_star_is_told_to_be_one(name: str, request: pytest.FixtureRequest) -> None:
    truth = request.getfixturevalue(name)
    galaxies = detect_sources(truth.record, galaxies=True).having(EXTENDED)
    if len(galaxies):
        assert away(galaxies, *truth.galaxies)[0].max() < 1.5
