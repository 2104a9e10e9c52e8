"""Frame on the sky: TAN maths against exact arithmetic and astropy, round trips, areas."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapdask.sky import Frame, SkyGrid
from hapdask.sky.tangent import axes, project, unit_vectors, wrap

PI = Decimal("3.14159265358979323846264338327950288419716939937511")
GRID = SkyGrid()
#: South pole, ring 1, RA 0, mid latitude, ring 44, north pole.
PROJECTION_CELLS = (0, 4, 1322, 1889, 2642, 2643)
CORNERS = {"start": (0, 0), "middle": (225000, 225000), "end": (448700, 448700)}


def cos_sin(degrees: Decimal) -> tuple[Decimal, Decimal]:
    """Cosine and sine by their series, 45 digits."""
    angle = degrees * PI / 180
    sums, term, k = [Decimal(0), Decimal(0)], Decimal(1), 0
    while abs(term) > Decimal("1e-48"):
        sums[k % 2] += term if k % 4 < 2 else -term
        k += 1
        term = term * angle / k
    return sums[0], sums[1]


def exact_pixel(frame: Frame, ra: float, dec: float) -> tuple[Decimal, Decimal]:
    """0-based pixel of a float64 position by the textbook formulae in 50 digits."""
    getcontext().prec = 50
    cos0, sin0 = cos_sin(Decimal(frame.crval[1]))
    cos_dec, sin_dec = cos_sin(Decimal(dec))
    cos_ra, sin_ra = cos_sin(Decimal(ra) - Decimal(frame.crval[0]))
    depth = (sin0 * sin_dec + cos0 * cos_dec * cos_ra) * PI / 180
    xi = cos_dec * sin_ra / depth
    eta = (cos0 * sin_dec - sin0 * cos_dec * cos_ra) / depth
    cd11, cd12, cd21, cd22 = map(Decimal, frame.cd)
    det = cd11 * cd22 - cd12 * cd21
    crpix_x, crpix_y = map(Decimal, frame.crpix_window)
    x = crpix_x - 1 + (cd22 * xi - cd12 * eta) / det
    y = crpix_y - 1 + (cd11 * eta - cd21 * xi) / det
    return x, y


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("number", PROJECTION_CELLS)
def test_own_maths_is_within_1e_9_pixel_of_the_exact_result(number: int, corner: str) -> None:
    y0, x0 = CORNERS[corner]
    window = GRID[number].frame()[y0 : y0 + 2000, x0 : x0 + 2000]
    rng = np.random.default_rng(number)
    ra, dec = window.pixel_to_sky(rng.uniform(0, 2000, 12), rng.uniform(0, 2000, 12))
    x, y = window.sky_to_pixel(ra, dec)
    for i in range(ra.size):
        exact_x, exact_y = exact_pixel(window, float(ra[i]), float(dec[i]))
        assert abs(Decimal(float(x[i])) - exact_x) < Decimal("1e-9")
        assert abs(Decimal(float(y[i])) - exact_y) < Decimal("1e-9")


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("number", PROJECTION_CELLS)
def test_agrees_with_astropy(number: int, corner: str) -> None:
    """2e-8 pixels are wcslib's own rounding (8e-9 of the exact result, measured) with room.

    The same grid written as FITS cards; a float64 RA near 360 degrees steps by 5e-9 pixels.
    """
    y0, x0 = CORNERS[corner]
    window = GRID[number].frame()[y0 : y0 + 2000, x0 : x0 + 2000]
    rng = np.random.default_rng(number)
    x, y = rng.uniform(0, 2000, (2, 5000))
    wcs = window.to_wcs()
    ra, dec = window.pixel_to_sky(x, y)
    their_ra, their_dec = wcs.all_pix2world(x, y, 0)
    turn = (ra - their_ra + 180.0) % 360.0 - 180.0
    pixel = window.pixel_scale / 3600
    assert np.abs(turn * np.cos(np.radians(dec))).max() < 2e-8 * pixel
    assert np.abs(dec - their_dec).max() < 2e-8 * pixel
    np.testing.assert_allclose(window.sky_to_pixel(ra, dec), wcs.all_world2pix(ra, dec, 0),
                               rtol=0, atol=2e-8)  # fmt: skip
    # Our own round trip is limited by degrees as float64, nothing else.
    np.testing.assert_allclose(window.sky_to_pixel(ra, dec), [x, y], rtol=0, atol=6e-9)


@given(
    st.floats(0, 360, exclude_max=True),
    st.floats(-90, 90),
    st.floats(0.01, 5.0),
    st.floats(-180, 180),
    st.lists(st.tuples(st.floats(-2e4, 2e4), st.floats(-2e4, 2e4)), min_size=1, max_size=20),
)
def test_round_trip_anywhere_at_any_roll(
    ra: float, dec: float, scale: float, rotation: float, pixels: list[tuple[float, float]]
) -> None:
    frame = Frame.from_center(ra, dec, scale, (100, 100), rotation)
    x, y = np.array(pixels).T
    sky_ra, sky_dec = frame.pixel_to_sky(x, y)
    assert (sky_ra >= 0).all()
    assert (sky_ra < 360).all()
    # Degrees step by 5.7e-14 at most, and a pixel is stretched by 1 / cos^2 away from the centre.
    stretch = 1 + np.radians(np.hypot(x, y).max() * scale / 3600) ** 2
    tolerance = 2e-13 / (scale / 3600) * stretch + 1e-10
    back = frame.sky_to_pixel(sky_ra, sky_dec)
    np.testing.assert_allclose(back, [x, y], rtol=0, atol=tolerance)


def test_behind_the_tangent_plane_is_nan() -> None:
    frame = Frame.from_center(30.0, 40.0, 0.04, (100, 100))
    x, y = frame.sky_to_pixel([210.0, 120.1, 210.0, 30.0], [-40.0, 0.0, 49.9, -50.1])
    assert np.isnan(x).all()
    assert np.isnan(y).all()
    assert not frame.contains([210.0, np.nan], [-40.0, 0.0]).any()
    assert np.isfinite(frame.sky_to_pixel(119.0, 0.0)).all()


def test_contains_pixels_to_their_outer_edges() -> None:
    frame = Frame.from_center(0.0, 89.999, 0.04, (50, 60), rotation=17.0)[5:45, 10:30]
    x = np.array([-0.49, -0.51, 19.49, 19.51, 7.0, 7.0, 7.0])
    y = np.array([5.0, 5.0, 5.0, 5.0, -0.51, 39.49, 39.51])
    inside = frame.contains(*frame.pixel_to_sky(x, y))
    assert inside.tolist() == [True, False, True, False, False, True, False]
    assert not frame[5:5].contains(*frame.center)


def test_position_angle_of_the_y_axis() -> None:
    frame = Frame.from_center(50.0, 60.0, 0.1, (101, 101), rotation=30.0)
    ra, dec = frame.pixel_to_sky([50.0, 50.0], [50.0, 1050.0])
    xi, eta = project(ra[1], dec[1], ra[0], dec[0])
    assert np.degrees(np.arctan2(xi, eta)) == pytest.approx(30.0, abs=1e-6)


def test_pixel_area_is_cos_cubed_and_sums_to_the_sky() -> None:
    frame = GRID[1889].frame()
    corner = frame[-400:, -400:]
    area = corner.pixel_area()
    assert area.shape == (400, 400)
    ra, dec = corner.pixel_to_sky(np.arange(400)[None, :], np.arange(400)[:, None])
    cosine = unit_vectors(ra, dec) @ unit_vectors(*frame.crval)
    np.testing.assert_allclose(area, cosine**3, rtol=1e-12)
    # The solid angle of the window's four corners, by its two spherical triangles.
    a, b, c, d = (unit_vectors(*v) for v in zip(*corner.footprint.polygons[0], strict=True))
    solid = sum(
        2 * np.arctan2(abs(np.dot(p, np.cross(q, r))), 1 + p @ q + q @ r + r @ p)
        for p, q, r in ((a, b, c), (a, c, d))
    )
    tangent_pixel = np.radians(frame.pixel_scale / 3600) ** 2
    assert area.sum() * tangent_pixel == pytest.approx(solid, rel=1e-7)
    # science.md: 0.2 % at mid cell (2.5 degrees along an axis is 0.29 %), 0.5 % in a corner.
    assert 1 / area.min() - 1 == pytest.approx(0.0057, abs=2e-4)
    assert frame.pixel_area(225143.0, 225143.0) == 1.0


def test_pixel_area_broadcasts() -> None:
    frame = Frame.from_center(10.0, 10.0, 10.0, (30, 40))
    area = frame.pixel_area()
    np.testing.assert_array_equal(frame.pixel_area(y=np.arange(5)[:, None]), area[:5])
    np.testing.assert_array_equal(frame.pixel_area(x=np.arange(7)), area[:, :7])
    np.testing.assert_array_equal(frame.pixel_area(np.arange(5), np.arange(5)),
                                  np.diagonal(area)[:5])  # fmt: skip
    np.testing.assert_array_equal(frame[3:9, 4:8].pixel_area(), area[3:9, 4:8])


@given(st.floats(-720, 720))
def test_wrap(ra: float) -> None:
    wrapped = wrap(ra)
    assert 0 <= wrapped < 360
    turn = abs(wrapped - ra) % 360
    assert min(turn, 360 - turn) < 1e-12


def test_axes_are_a_right_handed_triad_that_projects() -> None:
    for ra, dec in ((0.0, 90.0), (123.0, -90.0), (200.0, 30.0)):
        triad = axes(ra, dec)
        np.testing.assert_allclose(triad @ triad.T, np.eye(3), atol=1e-15)
        xi, eta = project(ra + 1.0, max(dec - 1.0, -89.5), ra, dec)
        local = triad @ unit_vectors(ra + 1.0, max(dec - 1.0, -89.5))
        np.testing.assert_allclose(np.degrees(local[:2] / local[2]), [xi, eta], atol=1e-13)
