"""Fields whose stars drift: what stars of known motion tell visits without any, and releases."""

import json
from dataclasses import replace

import numpy as np
import pytest
from joint_simulation import Catalog, Field, header_errors

from hapdask.astrometry.solution.areas import Areas
from hapdask.astrometry.solution.geometry import design, local_axes
from hapdask.astrometry.solution.inputs import Stars
from hapdask.astrometry.solution.motions import (
    FieldMotion,
    expected_motion,
    field_motions,
    merged_motions,
)
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.solving import solve
from hapdask.sky.tangent import unit_vectors

P = JointParameters()
START, YEAR = 57388.0, 365.25


def visits(field, *years, bright=0, n=2):
    """Visits at so many years; those after the first do not see the bright stars."""
    made, truth = [], {}
    for v, year in enumerate(years):
        for k, theta in enumerate(header_errors(field.rng, n, P)):
            name = f"v{v:02d}aaa{k}"
            at = field.rng.uniform(-15, 15, 2)
            e, rows = field.exposure(name, START + year * YEAR + 0.02 * k, offset=at, theta=theta)
            seen = (rows >= bright) | (v == 0)
            made.append(
                replace(e, **{c: getattr(e, c)[seen] for c in ("xi", "eta", "error", "galaxy")})
            )
            truth[name] = theta
    return made, truth


def off(release, truth, exposures):
    """Errors of shifts, and stated ones, per axis."""
    error = np.array(
        [np.array(release[e.name].parameters[:2]) - truth[e.name][:2] for e in exposures]
    )
    return error, np.array([[release[e.name].error_mas()] for e in exposures])


def drifting(seed, known, differ=0.0, drift=P.mean_motion, pm_error=0.2):
    rng = np.random.default_rng(seed)
    field = Field(rng, n=150 + known, common=tuple(rng.normal(0, drift, 2)))
    field.pm[:known] += rng.normal(0, differ, 2)
    return field, field.references(np.arange(known), pm_error=pm_error)


@pytest.mark.parametrize(
    ("known", "stated"), [(40, (15.0, 16.0)), (5, (11.0, 13.0)), (200, (6.0, 7.5))]
)
def test_stated_errors_are_true_whatever_is_known(known, stated):
    pulls, errors = [], []
    for seed in range(24):
        unknown = known == 40  # forty stars without motions
        field, stars = drifting(
            seed, known, P.population_motion, pm_error=np.nan if unknown else 0.2
        )
        made, truth = visits(field, 0.0, 5.0, bright=known, n=1)
        first = solve(made[:1], stars).release
        release = solve(made, None, published=first).release
        error, sigma = off(release, truth, made[1:])
        pulls += (error / sigma).ravel().tolist()
        errors.append(sigma[0, 0])
    assert 0.75 < np.sqrt(np.mean(np.square(pulls))) < 1.25  # 48 values: 1 +- 0.1
    assert stated[0] < np.median(errors) < stated[1]


def test_within_a_year_a_layer_keeps_its_exposure():
    field, stars = drifting(1, 200)
    made, truth = visits(field, 0.0, 0.8, bright=200)
    first = solve(made[:2], stars).release
    release = solve(made, None, published=first).release
    error, sigma = off(release, truth, made[2:])
    assert sigma.max() < 1.5
    assert np.abs(error).max() < 3.0 * sigma.max()


def test_a_release_carries_how_its_field_moves():
    field, stars = drifting(2, 100, drift=5.0)
    made, _ = visits(field, 0.0)
    release = solve(made, stars).release
    (motion,) = release.motions
    true = field.pm[:100].mean(axis=0)
    assert np.hypot(motion.pmra - true[0], motion.pmdec - true[1]) < 2.0 * motion.error
    assert 0.4 < motion.error < 1.1
    assert motion.stars > 60
    assert Release.from_dict(json.loads(json.dumps(release.to_dict()))) == release
    again = solve([replace(made[0], name="w00aaa0", visit="w00aaa")], None, published=release)
    assert again.release.motions == release.motions


def test_fast_stars_do_not_move_the_field():
    stars = drifting(3, 60, drift=0.0)[1]
    fast = stars.pmra + 80.0 * (np.arange(60) < 6)
    areas = Areas.of(unit_vectors([150.0], [2.0]))
    given = Stars.of(Catalog(**(vars(stars) | {"pmra": fast})), 5.0)
    (motion,) = field_motions(given, np.arange(60), areas, P)
    assert motion.stars <= 54
    assert np.hypot(motion.pmra, motion.pmdec) < 3.5


def test_far_areas_tell_each_other_little_more_than_what_all_share():
    places = unit_vectors([10.0, 10.1, 12.0], [89.0, 89.0, 60.0])
    areas = Areas.of(places)
    assert len(areas) == 2
    assert areas.nearest(places).tolist() == [0, 0, 1]
    known = FieldMotion(10.0, 89.0, 4.0, -3.0, 0.1, 500)
    mean, covariance = expected_motion(areas, [known, None], P, galaxies_told=True)
    sigma = np.sqrt(np.diag(covariance))
    assert P.population_motion * 0.9 < sigma[0] < P.population_motion + 0.2
    assert sigma[0] < sigma[1] < P.mean_motion
    assert np.all(np.abs(mean) < 5.0)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)


def test_areas_have_parallel_axes_at_a_pole():
    places = unit_vectors([0.0, 90.0, 180.0], [89.7, 89.7, 89.7])
    areas = Areas.of(places)
    assert len(areas) == 3
    np.testing.assert_allclose(areas.axes[0], areas.axes[2], atol=0.02)
    assert np.max(np.abs(local_axes(places)[0] - local_axes(places)[2])) > 1.9


def test_untold_galaxies_are_allowed_for():
    areas = Areas.of(unit_vectors([150.0], [2.0]))
    known = [FieldMotion(150.0, 2.0, 6.0, -6.0, 0.3, 200)]
    told, untold = (
        np.sqrt(expected_motion(areas, known, P, galaxies_told=t)[1][0, 0]) for t in (True, False)
    )
    assert told < 1.4
    assert 2.0 < untold < 3.0


def test_the_best_known_motion_of_an_area_is_kept():
    here = FieldMotion(150.0, 2.0, 1.0, 1.0, 0.5, 100)
    worse = FieldMotion(150.05, 2.0, 2.0, 1.0, 1.5, 9)
    far = FieldMotion(152.0, 2.0, 3.0, 1.0, 2.0, 5)
    assert merged_motions([worse, far], [here]) == (here, far)
    assert merged_motions([here], [worse, far]) == (here, far)


def test_sources_of_a_release_share_the_errors_of_its_exposures():
    pulls, corners = [], []
    for seed in range(8):
        # Four reference stars: the release is off by more than its 150 sources scatter.
        field = Field(np.random.default_rng(seed), n=150)
        made, truth = visits(field, 0.0, 0.3)
        inner = np.argsort(np.hypot(*field.offsets()))[:4]
        first = solve(made[:2], field.references(inner, error=4.0)).release
        s = first.sources
        columns = {
            n: np.array(getattr(s, n)) for n in Catalog.__dataclass_fields__ if n != "parallax"
        }
        stars = Catalog(**columns, parallax=np.full(len(s), np.nan))
        release = solve(made[2:], stars, published=first).release
        error, sigma = off(release, truth, made[2:])
        pulls += (error / sigma).ravel().tolist()
        for e in made[2:]:
            solved = release[e.name]
            assert solved.tie == "published"
            # As at the place of the release where it is best known, and not a tenth of it.
            assert solved.error_mas() > 0.7 * min(x.error_mas() for x in first.exposures)
            assert solved.floor == pytest.approx(np.hypot(1.5, 1.5), abs=1e-3)
        # What both say of a source counts once.
        both = solve(made, stars, published=first).release
        assert both[made[2].name].error_mas() > 0.7 * min(x.error_mas() for x in first.exposures)
        # Four stars in the middle hardly tell the roll: that is common to all sources as well.
        for e in made[2:]:
            solved = release[e.name]
            at = design(*np.array([[60.0, -60.0, 60.0, -60.0], [60.0, 60.0, -60.0, -60.0]]))
            moved = at @ (np.array(solved.parameters) - truth[e.name])
            corners += (moved / solved.error_mas(60.0, 60.0)).ravel().tolist()
        assert set(both.sources.kind) <= {"star", "reference"}
    assert np.sqrt(np.mean(np.square(pulls))) < 1.4
    assert np.sqrt(np.mean(np.square(corners))) < 1.6
