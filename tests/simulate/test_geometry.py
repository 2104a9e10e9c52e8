"""Where pixels are: the real distortion, carried rigidly to anywhere on the sky."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.errors import ParameterError
from hapdask.simulate import Options, Pointing, PointingError, Scene, simulate_exposure
from hapdask.simulate.detectors import get_detector
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.pointing import TangentFrame, attitude, direction
from hapdask.simulate.templates import load_template

REAL = [("WFC3", "UVIS"), ("WFC3", "IR"), ("ACS", "WFC"), ("ACS", "HRC"), ("WFPC2", "PC")]
INVENTED = [("STIS", "CCD"), ("STIS", "NUV-MAMA"), ("STIS", "FUV-MAMA"), ("NICMOS", "NIC1"),
            ("NICMOS", "NIC2"), ("NICMOS", "NIC3")]  # fmt: skip
DETECTORS = [*REAL, ("ACS", "SBC"), *INVENTED]
TRUTH = Path(__file__).parent / "data" / "template_positions.csv"
MAS = 1 / 3.6e6  # degrees


def vectors(ra, dec):
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def separation(ra1, dec1, ra2, dec2):
    """Degrees, precise for small angles and at the poles."""
    chord = np.linalg.norm(vectors(ra1, dec1) - vectors(ra2, dec2), axis=-1)
    return np.degrees(2 * np.arcsin(0.5 * chord))


def template_frame(template, extver):
    header = template.headers["SCI", extver]
    cd = np.array([[header[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)])
    return TangentFrame((header["CRVAL1"], header["CRVAL2"]), cd)


@pytest.mark.parametrize(("instrument", "name"), REAL)
def test_the_distortion_is_that_of_the_original_files(instrument, name):
    detector = get_detector(instrument, name)
    template = load_template(detector.template)
    with TRUTH.open() as stream:
        rows = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    for extver in template.chips:
        mine = [r for r in rows if (r["template"], r["extver"]) == (template.name, str(extver))]
        x, y, ra, dec = (
            np.array([float(row[key]) for row in mine]) for key in ("x", "y", "ra", "dec")
        )
        chip = ChipGeometry(template, extver, template_frame(template, extver), detector.shape)
        assert x.size == 8
        assert separation(*chip.pixel_to_sky(x, y), ra, dec).max() < 1e-11


@pytest.mark.parametrize("name", ["wfc3_uvis", "acs_wfc"])
def test_the_tables_are_complete(name):
    tables = load_template(name).tables
    assert set(tables) == {(kind, ver) for kind in ("WCSDVARR", "D2IMARR") for ver in range(1, 5)}
    for table in tables.values():
        assert table.shape == (32, 64)
        assert table.dtype == np.float32
        assert 0.001 < np.abs(table).max() < 0.2


@settings(max_examples=40, deadline=None)
@given(
    ra=st.floats(0, 360),
    dec=st.sampled_from([-90.0, 90.0, 89.9999, -89.99]) | st.floats(-90, 90),
    roll=st.floats(-360, 360),
)
def test_a_pointing_is_a_rigid_rotation(ra, dec, roll):
    """Distances between points of both chips never change, poles and RA 0 included."""
    detector = get_detector("ACS", "WFC")
    template = load_template(detector.template)
    x, y = np.array([0.0, 4095.0, 1800.0]), np.array([0.0, 2047.0, 900.0])

    def distances(frames):
        chips = [ChipGeometry(template, v, frames[v], detector.shape) for v in (1, 2)]
        points = np.concatenate([vectors(*chip.pixel_to_sky(x, y)) for chip in chips])
        return np.linalg.norm(points[:, None] - points[None], axis=-1)

    original = {v: template_frame(template, v) for v in (1, 2)}
    there = attitude(template, Pointing(ra, dec, roll), truth=True)
    assert np.abs(distances(there.frames) - distances(original)).max() < 2e-13
    assert all(0 <= frame.crval[0] < 360 for frame in there.frames.values())
    x0, y0 = ChipGeometry(template, 1, there.frames[1], detector.shape).sky_to_pixel(
        *there.frames[1].crval
    )
    # the distortion tables do not vanish at the reference pixel
    assert np.hypot(x0 - 2047, y0 - 1023)[0] < 0.2


@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
def test_the_target_falls_on_the_aperture_moved_by_the_dither(instrument, name):
    detector = get_detector(instrument, name)
    template = load_template(detector.template)
    base = attitude(template, Pointing(50.0, 30.0, 20.0), truth=True)
    assert separation(*base.aperture, 50.0, 30.0) < 1e-12
    dither = (3.0, -7.0) if name != "NIC1" else (1.5, -3.5)  # its field is 11 arcsec wide
    moved = attitude(template, Pointing(50.0, 30.0, 20.0, dither=dither), truth=True)
    offset = separation(*moved.aperture, 50.0, 30.0) * 3600
    assert offset == pytest.approx(math.hypot(*dither), 1e-6)
    # the same sky moves by +dither in detector pixels (distortion: a few per cent)
    extver = template.chips[0]
    before, after = (
        ChipGeometry(template, extver, a.frames[extver], detector.shape) for a in (base, moved)
    )
    ny, nx = detector.shape
    ra, dec = before.pixel_to_sky([nx / 2], [ny / 2])
    x, y = after.sky_to_pixel(ra, dec)
    jacobian = before.jacobian([nx / 2], [ny / 2])[0]
    sky = jacobian @ np.array([x[0] - nx / 2, y[0] - ny / 2])
    assert np.hypot(*sky) == pytest.approx(math.hypot(*dither), 5e-3)  # scale varies
    scale = np.sqrt(abs(np.linalg.det(jacobian)))
    # pixels of HRC and SBC are oblong and their axes 5 degrees from square
    near = 1.3 if name in ("HRC", "SBC") else 0.7
    assert (x[0] - nx / 2) * scale == pytest.approx(dither[0], abs=near)
    assert (y[0] - ny / 2) * scale == pytest.approx(dither[1], abs=near)


@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
@pytest.mark.parametrize(("dec", "roll"), [(-64.9, 12.0), (0.0, 200.0), (75.0, -100.0)])
def test_pa_v3_and_orientat_agree_as_in_makewcs(instrument, name, dec, roll):
    """Oracle: stwcs computes the roll at the aperture from PA_V3 and V2, V3."""
    troll = pytest.importorskip("stwcs.updatewcs.makewcs").troll
    template = load_template(get_detector(instrument, name).template)
    there = attitude(template, Pointing(123.0, dec, roll), truth=True)
    header = template.headers["SCI", 1]
    local = troll(there.pa_v3, there.frames[1].crval[1], header["IDCV2REF"], header["IDCV3REF"])
    skew = math.degrees(math.atan2(header["OCX10"], header["OCY10"]))
    expected = local + header["IDCTHETA"] - skew + (180.0 if name == "WFC" else 0.0)
    difference = math.remainder(there.frames[1].orientat - expected, 360.0)
    assert abs(difference) < 0.01  # the template's own header agrees no better
    # the target's local roll is the one asked for; V1 is up to 6.5 arcmin away
    closeness = 0.15 / math.cos(math.radians(dec))
    assert abs(math.remainder(there.pa_v3 - roll, 360.0)) < closeness


def test_roll_turns_the_header(geometry):
    angles = [
        geometry("WFC3", "IR", 1, Pointing(10.0, 60.0, roll)).frame.orientat for roll in (0.0, 33.0)
    ]
    # the frame is told at CRVAL, some arcsec from the target: meridians converge
    assert math.remainder(angles[1] - angles[0], 360.0) == pytest.approx(33.0, abs=0.01)


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.9999, 55.0), (12.0, 90.0), (7.0, -90.0)])
@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
def test_inverse_map(geometry, instrument, name, ra, dec):
    chip = geometry(instrument, name, 1, Pointing(ra, dec, 130.0))
    ny, nx = chip.shape
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-0.5, nx - 0.5, 200), rng.uniform(-0.5, ny - 0.5, 200)
    found = chip.sky_to_pixel(*chip.pixel_to_sky(x, y))
    assert np.abs(np.stack(found) - np.stack([x, y])).max() < 1e-6
    antipode = ((ra + 180.0) % 360.0, -dec)
    assert np.isnan(chip.sky_to_pixel(*antipode)).all()


@pytest.mark.parametrize(("instrument", "name"), DETECTORS)
def test_pixel_area_is_the_area_of_the_pixel_on_the_sphere(geometry, instrument, name):
    """Oracle: the quadrilateral of the pixel's corners."""
    chip = geometry(instrument, name, 1, Pointing(33.0, 80.0, 10.0))
    ny, nx = chip.shape
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, nx, 50).astype(float), rng.integers(0, ny, 50).astype(float)
    corners = [
        vectors(*chip.pixel_to_sky(x + dx, y + dy))
        for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    ]
    cross = np.cross(corners[2] - corners[0], corners[3] - corners[1])
    area = 0.5 * np.linalg.norm(cross, axis=-1) * np.degrees(3600.0) ** 2
    assert chip.relative_area(x, y) == pytest.approx(area / chip.idcscale**2, rel=2e-6)
    # HRC's IDCSCALE of 0.025 is smaller than its pixels by 6 %
    assert 0.85 < area.min() / chip.idcscale**2 < 1.15
    assert 0.98 < area.max() / chip.idcscale**2 < 1.2


@pytest.mark.parametrize("dec", [0.0, 45.0, 89.999, -90.0])
def test_a_pointing_error_is_a_known_rigid_motion(geometry, dec):
    error = PointingError(east=0.3, north=-0.2, rotation=0.05)
    pointing = Pointing(40.0, dec, 15.0, error=error)
    true = geometry("WFC3", "IR", 1, pointing)
    told = geometry("WFC3", "IR", 1, pointing, truth=False)
    x, y = true.sky_to_pixel(pointing.ra, pointing.dec)
    ra, dec_told = told.pixel_to_sky(x, y)
    shift = separation(ra, dec_told, pointing.ra, pointing.dec)[0] * 3600
    assert shift == pytest.approx(math.hypot(0.3, 0.2), 1e-5)
    turn = true.frame.cd @ np.linalg.inv(told.frame.cd)
    assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-12)
    if abs(dec) < 80.0:  # at a pole the axes of "east, north" turn with the place
        assert (ra[0] - 40.0) * math.cos(math.radians(dec)) * 3600 == pytest.approx(0.3, 1e-4)
        assert (dec_told[0] - dec) * 3600 == pytest.approx(-0.2, 1e-4)
        assert told.frame.orientat - true.frame.orientat == pytest.approx(0.05, abs=2e-4)


@pytest.mark.parametrize("where", [(0.0, 0.0), (359.9999, -30.0), (88.0, 90.0), (200.0, -90.0)])
def test_hstwcs_reads_the_header_anywhere(tmp_path, where):
    """The file's own WCS is the told geometry to 1e-9 degrees (here on the small detector)."""
    check_hstwcs(tmp_path, "WFC3", "IR", "F160W", Pointing(*where, roll=300.0))


@pytest.mark.parametrize(
    ("instrument", "name", "band"), [("WFC3", "UVIS", "F606W"), ("ACS", "WFC", "F435W")]
)
def test_hstwcs_reads_both_chips(tmp_path, instrument, name, band):
    error = PointingError(0.2, 0.1, 0.03)
    check_hstwcs(tmp_path, instrument, name, band, Pointing(266.4, -29.0, 5.0, error=error))


def check_hstwcs(tmp_path, instrument, name, band, pointing):
    from astropy.io import fits

    hstwcs = pytest.importorskip("stwcs.wcsutil").HSTWCS
    exposure = simulate_exposure(
        Scene.stars([], [], []), instrument, name, band, pointing, 10.0, seed=1,
        options=Options.noise_free(),
    )  # fmt: skip
    path = exposure.write(tmp_path)
    with fits.open(path) as hdus:
        for extver, chip in exposure.chips.items():
            wcs = hstwcs(hdus, ("SCI", extver))
            ny, nx = chip.geometry.shape
            grid = np.meshgrid(np.linspace(0, nx - 1, 40), np.linspace(0, ny - 1, 40))
            x, y = (values.ravel() for values in grid)
            told = chip.header_geometry.pixel_to_sky(x, y)
            assert separation(*wcs.all_pix2world(x, y, 0), *told).max() < 1e-9
            moved = separation(*chip.geometry.pixel_to_sky(x, y), *told)
            expected = math.hypot(pointing.error.east, pointing.error.north) / 3600
            assert moved == pytest.approx(expected, abs=abs(pointing.error.rotation) * 0.05 + 1e-9)


def test_impossible_pointings_are_refused():
    nan_error = PointingError(east=math.nan)
    for bad in ((math.nan, 0.0), (0.0, 91.0), (0.0, 0.0, math.inf)):
        with pytest.raises(ParameterError, match="finite numbers"):
            Pointing(*bad)
    with pytest.raises(ParameterError, match="finite numbers"):
        Pointing(0.0, 0.0, error=nan_error)
    for date in ("yesterday", "2020-13-01", "2020-01-01T00:00:00+02:00"):
        with pytest.raises(ParameterError, match="ISO 8601"):
            Pointing(0.0, 0.0, date=date)
    assert np.allclose(direction(0.0, 90.0), [0, 0, 1])
