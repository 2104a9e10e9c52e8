"""The noun: motion to a date, growing errors, selections, at the poles and at RA 0."""

import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from hapdask.astrometry.references.catalog import UNITS, ReferenceCatalog
from hapdask.astrometry.references.motion import PM_PRIOR
from hapdask.astrometry.references.region import (
    MARGIN,
    Cone,
    bounding_cone,
    healpix_cells,
    widened_outline,
)
from hapdask.errors import ParameterError
from hapdask.sky.footprint import Footprint

MJD = 59945.25  # 6.9999 years from J2016


def years(mjd, epoch=2016.0):
    return Time(mjd, format="mjd", scale="tdb").jyear - epoch


def separation_mas(a, b):
    first, second = (SkyCoord(c.ra, c.dec, unit="deg") for c in (a, b))
    return first.separation(second).to_value(u.mas)


@pytest.mark.filterwarnings("ignore:ERFA function")  # the distance is meant to be great
@pytest.mark.parametrize("dec", [0.0, -45.0, 60.0, 89.0, -89.99])
def test_motion_is_that_of_astropy(dec):
    rng = np.random.default_rng(5)
    ra, decs = rng.uniform(0, 360, 50), dec + rng.uniform(-0.005, 0.005, 50)
    pm = rng.normal(0, 200.0, (2, 50))
    stars = ReferenceCatalog.of(ra, decs, pmra=pm[0], pmdec=pm[1])
    moved = stars.at(MJD)
    # a star far away (1 Mpc) moves as astropy says, which needs a distance
    theirs = SkyCoord(
        ra * u.deg, decs * u.deg, distance=1e6 * u.pc, pm_ra_cosdec=pm[0] * u.mas / u.yr,
        pm_dec=pm[1] * u.mas / u.yr, radial_velocity=0 * u.km / u.s,
        obstime=Time(2016.0, format="jyear", scale="tdb"),
    ).apply_space_motion(Time(MJD, format="mjd", scale="tdb"))  # fmt: skip
    off = SkyCoord(moved.ra, moved.dec, unit="deg").separation(theirs).to_value(u.mas)
    assert off.max() < 2e-3
    np.testing.assert_allclose(moved.pmra, theirs.pm_ra_cosdec.to_value("mas/yr"), atol=1e-3)
    np.testing.assert_allclose(moved.pmdec, theirs.pm_dec.to_value("mas/yr"), atol=1e-3)


def test_parallax_is_that_of_astropy():
    ra, dec = np.array([10.0, 120.0, 250.0, 33.0]), np.array([-60.0, 0.0, 30.0, 89.5])
    parallax = np.array([100.0, 50.0, 700.0, 20.0])
    moved = ReferenceCatalog.of(ra, dec, parallax=parallax, parallax_error=0.0).at(MJD)
    from astropy.coordinates import get_body_barycentric

    place = SkyCoord(ra * u.deg, dec * u.deg, distance=(parallax * u.mas).to(u.pc, u.parallax()))
    earth = get_body_barycentric("earth", Time(MJD, format="mjd", scale="tdb"), "builtin")
    seen = SkyCoord(place.cartesian - earth)
    got = SkyCoord(moved.ra, moved.dec, unit="deg")
    off = got.separation(SkyCoord(seen.ra, seen.dec)).to_value(u.mas)
    assert off.max() < 5e-3
    assert separation_mas(moved, ReferenceCatalog.of(ra, dec)).min() > 5.0


def test_across_ra_zero_and_the_pole():
    stars = ReferenceCatalog.of(
        [359.9999999, 45.0, 77.0], [0.0, 89.9999999, -90.0], pmra=[1000.0, 0.0, 0.0],
        pmdec=[0.0, 1000.0, 500.0],
    )  # fmt: skip
    moved = stars.at(MJD)
    t = years(MJD)
    np.testing.assert_allclose(
        separation_mas(stars, moved), t * np.array([1000, 1000, 500]), rtol=1e-7
    )
    assert moved.ra[0] == pytest.approx(t / 3600 - 1e-7, abs=1e-12)
    assert moved.ra[1] == pytest.approx(225.0)
    # over the pole north has become south
    assert moved.pmdec[1] == pytest.approx(-1000.0)
    assert moved.pmdec[2] == pytest.approx(500.0)


def test_errors_grow_by_what_is_known_of_the_motion():
    stars = ReferenceCatalog.of(
        [10.0] * 4, [20.0] * 4, error=0.3, pmra=[1.0, 1.0, np.nan, np.nan],
        pmdec=[1.0, 1.0, np.nan, 1.0], pmra_error=[0.1, np.nan, np.nan, np.nan], pmdec_error=0.2,
    )  # fmt: skip
    moved = stars.at(MJD)
    t = abs(years(MJD))
    expected = np.hypot(0.3, t * np.array([0.1, 1.0, PM_PRIOR, PM_PRIOR]))
    np.testing.assert_allclose(moved.ra_error, expected, rtol=1e-6)
    np.testing.assert_allclose(
        moved.dec_error, np.hypot(0.3, t * np.array([0.2, 0.2, 7, 7])), rtol=1e-6
    )
    # without a motion a star keeps its place to the bit
    assert moved.ra[2] == stars.ra[2]
    assert moved.dec[3] == stars.dec[3]
    np.testing.assert_allclose(
        stars.at(MJD, pm_prior=2.0).ra_error[2], np.hypot(0.3, 2 * t), rtol=1e-6
    )


def test_the_grown_errors_are_true():
    rng = np.random.default_rng(2)
    n, t = 4000, years(MJD)
    truth = rng.normal(0, 5.0, (2, n))
    stars = ReferenceCatalog.of(
        150.0 + rng.normal(0, 0.4, n) / 3.6e6, rng.normal(0, 0.4, n) / 3.6e6, error=0.4,
        pmra=truth[0] + rng.normal(0, 0.3, n), pmdec=truth[1] + rng.normal(0, 0.3, n),
        pmra_error=0.3, pmdec_error=0.3,
    )  # fmt: skip
    moved = stars.at(MJD)
    off = (moved.ra - 150.0) * 3.6e6 - t * truth[0]
    assert np.mean((off / moved.ra_error) ** 2) == pytest.approx(1.0, abs=0.08)


def test_moving_always_starts_from_what_was_published():
    rng = np.random.default_rng(1)
    stars = ReferenceCatalog.of(
        rng.uniform(0, 1, 9),
        rng.uniform(-1, 1, 9),
        pmra=rng.normal(0, 9, 9),
        pmdec=3.0,
        parallax=2.0,
    )
    direct = stars.at(50000.0).take(np.array([3, 1]))
    again = stars.at(60000.0).take(np.array([3, 1])).at(50000.0)
    for name in UNITS:
        np.testing.assert_array_equal(getattr(direct, name), getattr(again, name))
    np.testing.assert_allclose(again.epoch, 1995.77, atol=0.01)


def test_selections():
    stars = ReferenceCatalog.of(
        [0.001, 359.999, 0.1], [0.0, 0.0, 0.0], mag=[20.0, np.nan, 18.0], ids=["a", "b", "c"]
    )
    assert stars.within(Cone(0.0, 0.0, 0.01)).ids.tolist() == ["a", "b"]
    assert stars.within(Footprint.from_sregion("CIRCLE ICRS 0 0 0.01")).ids.tolist() == ["a", "b"]
    assert stars.brightest(2).ids.tolist() == ["a", "c"]
    assert stars.brightest(1).ids.tolist() == ["c"]
    assert stars.faintest(1).ids.tolist() == ["a"]
    assert len(stars.brightest(0)) == 0
    assert len(stars.take(slice(0, 0)).at(MJD)) == 0
    again = pickle.loads(pickle.dumps(stars))
    np.testing.assert_array_equal(again.ra, stars.ra)
    assert str(stars.to_table()["ra_error"].unit) == "mas"
    with pytest.raises(ValueError, match="read-only"):
        stars.ra[0] = 1.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ra": [np.nan]}, "no position"),
        ({"dec": [91.0]}, "no position"),
        ({"error": np.nan}, "not finite"),
        ({"epoch": np.nan}, "no epoch"),
        ({"dec": [1.0, 2.0]}, "shape"),
        ({"colour": 1.0}, "no colour"),
    ],
)
def test_impossible_catalogs_are_refused(wrong, said):
    with pytest.raises(ParameterError, match=said):
        ReferenceCatalog.of(**({"ra": [1.0], "dec": [1.0]} | wrong))
    with pytest.raises(ParameterError):
        ReferenceCatalog.of([1.0], [1.0]).at(np.nan)
    with pytest.raises(ParameterError):
        ReferenceCatalog.of([1.0], [1.0]).at(MJD, pm_prior=-1.0)


@pytest.mark.parametrize(
    ("ra", "dec"), [(10.0, 5.0), (359.99999, -30.0), (123.0, 89.999), (0.0, -90.0)]
)
def test_questions_hold_the_region_and_a_margin(ra, dec):
    cone = Cone(ra, dec, 0.05)
    asked = bounding_cone(cone)
    assert asked.distance(ra, dec) + cone.radius + MARGIN <= asked.radius < 0.065
    shifted = bounding_cone(Cone(ra, dec, 0.05 + 1e-9))
    assert shifted == asked or shifted.radius <= asked.radius + 0.0011
    around = Footprint.from_sregion(f"CIRCLE ICRS {ra} {dec} 0.05")
    outline = widened_outline(around)
    wide = Footprint.from_vertices(*outline)
    rim = Footprint.from_sregion(f"CIRCLE ICRS {ra} {dec} {0.0499 + MARGIN}")
    assert wide.contains(*rim.polygons[0]).all()


def test_only_convex_outlines_are_asked_for():
    assert widened_outline(Cone(0, 0, 1)) is None
    ell = Footprint.from_vertices([0, 0.2, 0.2, 0.1, 0.1, 0], [0, 0, 0.1, 0.1, 0.2, 0.2])
    assert widened_outline(ell) is None
    square = Footprint.from_vertices([0, 0.1, 0.1, 0], [0, 0, 0.1, 0.1])
    assert widened_outline(square) is not None
    assert widened_outline(square | ell) is None


def test_the_cells_of_a_region():
    square = Footprint.from_vertices([0, 0.1, 0.1, 0], [0, 0, 0.1, 0.1])
    order, cells = healpix_cells(square)
    assert order == 12
    assert 0.01 / 0.0143**2 < cells.size < 4 * 0.01 / 0.0143**2 + 20
    order, cells = healpix_cells(Cone(0, 90, 40.0))
    assert order == 4
    assert cells.max() < 12 * 4**order


@pytest.mark.parametrize("wrong", [(0, 91, 1), (np.nan, 0, 1), (0, 0, 0), (0, 0, 181)])
def test_impossible_cones_are_refused(wrong):
    with pytest.raises(ParameterError):
        Cone(*wrong)
