"""Which detections are one source."""

import numpy as np
import pytest
from joint_simulation import Field

from hapdask.astrometry.solution.association import associate
from hapdask.astrometry.solution.inputs import ExposureSources, Stars


def exposure(name, xi, eta, mjd=57388.0, center=(10.0, 20.0)):
    return ExposureSources(
        name, name[:3], "wfc3.uvis", mjd, center, np.array(xi), np.array(eta), np.ones(len(xi))
    )


def no_stars():
    return Stars.of(None, 1.0)


def test_detections_of_a_star_are_one_source_and_strangers_are_not():
    rng = np.random.default_rng(0)
    field = Field(rng, n=200, scatter=0.0)
    made = [field.exposure(f"v{k}a", 57388 + k, keep=0.8) for k in range(6)]
    found = associate([e for e, _ in made], no_stars(), 0.15)
    truth = np.concatenate([rows for _, rows in made])
    pairs = np.unique(np.stack([truth, found.source], axis=1), axis=0)
    assert len(pairs) == len(np.unique(truth)) == len(found.star)


def test_friends_of_friends_are_one_source():
    row = [exposure(f"e{k}", [0.1 * k], [0.0]) for k in range(5)]
    assert set(associate(row, no_stars(), 0.15).source.tolist()) == {0}
    assert len(set(associate(row, no_stars(), 0.05).source.tolist())) == 5


def test_two_detections_of_an_exposure_are_two_sources():
    close = [exposure(f"e{k}", [0.0, 0.1], [0.001 * k, 0.0]) for k in range(4)]
    found = associate(close, no_stars(), 0.15)
    assert found.source.tolist() == [0, 1] * 4


def test_a_star_is_met_at_the_epoch_of_each_exposure():
    rng = np.random.default_rng(1)
    field = Field(rng, n=50, scatter=150.0)
    made = [field.exposure("v0a", 57388 - 3650, start_error=1.0)]
    made.append(field.exposure("v1a", 57388 + 1825, start_error=1.0))
    stars = Stars.of(field.references(np.arange(50)), 1.0)
    exposures = [e.usable() for e, _ in made]
    found = associate([e for e, _ in exposures], stars, 0.15)
    truth = np.concatenate([r[o] for (_, r), (_, o) in zip(made, exposures, strict=True)])
    star = found.star[found.source]
    assert np.mean(star >= 0) > 0.97
    assert np.array_equal(stars.which[star[star >= 0]], truth[star >= 0])


def test_works_across_ra_zero_and_at_the_pole():
    for center in ((0.0, 0.0), (123.0, 90.0), (10.0, -89.99)):
        rng = np.random.default_rng(2)
        field = Field(rng, center=center, n=100, scatter=0.0)
        made = [
            field.exposure(f"v{k}a", 57388, offset=(9.0 * k, 9.0 * k), start_error=1.0)
            for k in range(3)
        ]
        found = associate([e for e, _ in made], no_stars(), 0.15)
        truth = np.concatenate([rows for _, rows in made])
        assert len(np.unique(np.stack([truth, found.source]), axis=1).T) == len(np.unique(truth))


def test_nothing_gives_nothing():
    found = associate([exposure("e0", [], [])], no_stars(), 0.15)
    assert found.source.size == found.star.size == 0


@pytest.mark.parametrize(
    ("n", "found_at_least", "false_at_most"), [(300, 0.93, 0.03), (2500, 0.6, 0.1)]
)
def test_stars_are_followed_over_years_and_strangers_are_not_paired(
    n, found_at_least, false_at_most
):
    rng = np.random.default_rng(5)
    field = Field(rng, n=n, scatter=7.0)
    made = [field.exposure(f"v{k}a", 57388 + 5479 * k, keep=0.9) for k in range(2)]
    exposures, truth = [e for e, _ in made], np.concatenate([rows for _, rows in made])
    near = associate(exposures, no_stars(), 0.15)
    far = associate(exposures, no_stars(), 0.15, scatter=7.0)
    both = len(set(made[0][1]) & set(made[1][1]))
    for found, least in ((near, 0.0), (far, found_at_least)):
        order = np.argsort(found.source, kind="stable")
        source, star = found.source[order], truth[order]
        pair = source[1:] == source[:-1]
        right = pair & (star[1:] == star[:-1])
        assert right.sum() > least * both
        assert pair.sum() - right.sum() <= max(1.5 * false_at_most * both, 3)
    linked = far.wide[far.source]
    right = [len(set(truth[far.source == s])) == 1 for s in np.unique(far.source[linked])]
    assert len(right) > 0.15 * both
    assert np.mean(right) > 1.0 - false_at_most
