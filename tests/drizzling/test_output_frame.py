"""The output frame is AstroDrizzle's, for every instrument and with every override."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import hapdask as hd
from hapdask.config.astrodrizzle import AstroDrizzleParameters, CustomFrame
from hapdask.drizzling.frame_request import FrameRequest
from hapdask.drizzling.output_frame import default_grid, output_frame, product_times, troll
from hapdask.drizzling.reference_frame import read_reference
from hapdask.errors import InputError, ParameterError, PlanError
from hapdask.observe.distortion import Correction

DATA = Path(__file__).parents[1] / "data" / "drizzling"
CASES = json.loads((DATA / "frames_truth.json").read_text())["cases"]


@pytest.fixture(scope="module")
def records():
    """Exposures of each case, opened once."""
    found = {}
    for name, case in CASES.items():
        opened = hd.open_exposures([DATA / "frames" / f"{f}.fits.gz" for f in case["files"]])
        assert len(opened) == len(case["files"]), opened.verdicts
        found[name] = list(opened)
    return found


def request_of(row, folder, default):
    """What a row of the truth asked for, with the reference images that it names."""
    given = dict(row["request"])
    if "refimage" in given:
        write_references(folder, *default["crval"])
        given["refimage"] = str(folder / given["refimage"])
    blank = dict.fromkeys(CustomFrame._fields) | {"refimage": ""}
    return FrameRequest.from_parameters(CustomFrame(**(blank | given)))


def write_references(folder, ra, dec):
    """As the peer was given them."""
    header, angle, scale = fits.Header(), np.deg2rad(33.0), 0.06 / 3600
    sin, cos = scale * np.sin(angle), scale * np.cos(angle)
    header.update(
        {
            "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra % 360, "CRVAL2": dec,
            "CRPIX1": 150.5, "CRPIX2": 200.25, "CD1_1": -cos, "CD1_2": sin, "CD2_1": sin,
            "CD2_2": cos, "WCSNAME": "MYREF",
        }
    )  # fmt: skip
    write_image(folder / "ref.fits", header)
    header.update({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2})
    header.update({"A_2_0": 1e-5, "B_0_2": -2e-5, "CD1_1": -cos * 1.01, "CD2_1": sin * 0.98})
    write_image(folder / "distorted.fits", header)


def write_image(path, header):
    image = fits.ImageHDU(np.zeros((300, 400), np.uint8), header, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)


@pytest.mark.parametrize("name", CASES)
def test_every_override_gives_astrodrizzles_frame(name, records, tmp_path):
    rows = CASES[name]["rows"]
    natural = default_grid(records[name]).scale
    for row in rows:
        request = request_of(row, tmp_path, rows[0]["frame"])
        frame = output_frame(records[name], request, coeffs=row["coeffs"])
        truth, what = row["frame"], f"{name}: {row['request']}, coeffs={row['coeffs']}"
        # half the scale doubles whole sizes but for a last bit, and upstream rounds that up
        slack = 1 if 2 * (request.scale or 0) == pytest.approx(natural, rel=1e-9) else 0
        assert np.abs(np.subtract(frame.shape, truth["shape"])).max() <= slack, what
        assert abs((frame.crval[0] - truth["crval"][0] + 180) % 360 - 180) < 1e-9, what
        assert abs(frame.crval[1] - truth["crval"][1]) < 1e-9, what
        np.testing.assert_allclose(frame.crpix, truth["crpix"], rtol=0, atol=1e-6, err_msg=what)
        size = max(map(abs, truth["cd"]))
        np.testing.assert_allclose(frame.cd, truth["cd"], rtol=0, atol=1e-12 * size, err_msg=what)
        assert frame.name == truth["name"], what


@pytest.mark.parametrize("name", CASES)
def test_times_count_each_exposure_once(name, records):
    truth = CASES[name]["rows"][0]["frame"]
    times = product_times(records[name])
    assert times[:3] == (truth["exptime"], truth["expstart"], truth["expend"])
    assert times.exposures == len(records[name])


def test_a_correction_moves_the_frame_and_does_not_turn_it(records):
    # AstroDrizzle takes the orientation from PA_V3, which no fit changes
    angle = np.deg2rad(0.1)
    matrix = (np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
    chip = records["uvis"][0].chips[0]
    turned = Correction(chip.distortion.crval, matrix, (2.0, -1.0))
    moved = [record.corrected(turned) for record in records["uvis"]]
    before, after = default_grid(records["uvis"]), default_grid(moved)
    assert after.crval != before.crval
    assert abs(after.orientation - before.orientation) < 1e-3
    assert after.scale == pytest.approx(before.scale, rel=1e-15)


def test_the_default_holds_the_middle_of_every_corner_pixel_but_for_a_pixel(records):
    frame = output_frame(records["uvis"])
    for chip in (chip for record in records["uvis"] for chip in record.chips):
        ny, nx = chip.shape
        corners = chip.distortion.pixel_to_sky(
            np.array([0.0, nx - 1.0, nx - 1.0, 0.0]), np.array([0.0, 0.0, ny - 1.0, ny - 1.0])
        )
        x, y = frame.sky_to_pixel(*corners)
        assert x.min() > -0.01
        assert y.min() > -0.01
        assert x.max() < frame.shape[1]
        assert y.max() < frame.shape[0]


def test_the_first_exposure_gives_the_orientation(records):
    one, other = records["uvis"]
    assert default_grid([one, other]).orientation == default_grid([one]).orientation
    assert default_grid([other, one]).orientation == default_grid([other]).orientation
    assert abs(default_grid([other]).orientation - default_grid([one]).orientation) > 40.0


def test_a_frame_as_reference_stays_a_window_of_its_grid(records):
    window = hd.SkyGrid().at(ra=201.0, dec=10.0)[0].frame()[100:400, 200:900]
    assert output_frame(records["stis"], FrameRequest(reference=window)) is window
    finer = output_frame(
        records["stis"], FrameRequest(reference=window, scale=window.pixel_scale / 2)
    )
    assert finer.shape == (600, 1400)
    np.testing.assert_allclose(finer.pixel_to_sky(0, 0), window.pixel_to_sky(0, 0), atol=1e-12)


def test_parameters_ask_for_a_frame_only_where_they_are_on(records):
    off = AstroDrizzleParameters.from_values({"final_scale": 0.1})
    on = AstroDrizzleParameters.from_values({"final_scale": 0.1, "final_wcs": True})
    default = output_frame(records["stis"])
    assert output_frame(records["stis"], FrameRequest.from_parameters(off.final.frame)) == default
    scaled = output_frame(records["stis"], FrameRequest.from_parameters(on.final.frame))
    assert scaled.pixel_scale == pytest.approx(0.1, rel=1e-14)


def test_troll_is_the_roll_itself_far_from_the_poles_and_turns_near_them():
    # close to V1 at the equator there is nothing to turn; near the pole meridians converge
    assert troll(20.0, 0.0, 1.0, 1.0) % 360 == pytest.approx(20.0, abs=1e-6)
    assert abs(troll(20.0, 89.0, 300.0, 300.0) % 360 - 20.0) > 1.0


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": 1e6}, "scale"),
        ({"rotation": 1e5}, "rotation"),
        ({"rotation": True}, "rotation"),
        ({"shape": (0, 10)}, "shape"),
        ({"shape": (10.5, 10)}, "shape"),
        ({"shape": (10, 10**9)}, "shape"),
        ({"shape": 10}, "shape"),
        ({"center": (10.0, 91.0)}, "center"),
        ({"center": (10.0,)}, "center"),
        ({"crpix": (float("inf"), 0.0)}, "crpix"),
        ({"reference": 3}, "reference"),
        ({"reference": ""}, "reference"),
    ],
)
def test_absurd_requests_are_refused_by_name(values, name):
    with pytest.raises(ParameterError, match=name):
        FrameRequest(**values)


def test_records_without_cards_are_refused(records):
    with pytest.raises(PlanError, match="stripped"):
        output_frame([record.strip() for record in records["wfc"]])
    with pytest.raises(PlanError, match="no chip"):
        output_frame([])
    with pytest.raises(PlanError, match="no exposure"):
        product_times([])


def test_exposures_on_opposite_sides_of_the_sky_are_refused(records):
    chip = records["stis"][0].chips[0]
    ra, dec = chip.distortion.crval
    there = replace(chip, distortion=replace(chip.distortion, crval=(ra + 100.0, -dec)))
    away = replace(records["stis"][0], name="away", chips=(there,))
    other = replace(
        records["stis"][0],
        name="other",
        chips=(replace(chip, distortion=replace(chip.distortion, crval=(ra + 230.0, dec))),),
    )
    with pytest.raises(PlanError, match="90 degrees"):
        output_frame([*records["stis"], away, other])


def test_a_header_without_roll_falls_back_on_its_matrix(records, caplog):
    record = records["uvis"][0]
    bare = replace(record, keywords=tuple(c for c in record.keywords if c[0] != "PA_V3"))
    grid = default_grid([bare])
    cd = record.chips[0].distortion.cd
    assert grid.orientation == pytest.approx(np.rad2deg(np.arctan2(cd[1], cd[3])), abs=1e-9)
    assert "PA_V3" in caplog.text


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("none.fits", "none.fits"),
        ("ref.fits[7]", "no extension 7"),
        ("ref.fits[WHT]", "no extension WHT"),
        ("ref.fits[0]", "CTYPE1"),
        ("bare.fits", "no extension has a WCS"),
        ("sin.fits", "RA---SIN"),
    ],
)
def test_reference_images_that_cannot_be_used(reference, problem, tmp_path):
    write_references(tmp_path, 10.0, 20.0)
    fits.PrimaryHDU(np.zeros((4, 4), np.uint8)).writeto(tmp_path / "bare.fits")
    header = fits.getheader(tmp_path / "ref.fits", 1)
    header.update({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"})
    write_image(tmp_path / "sin.fits", header)
    with pytest.raises(InputError, match=problem):
        read_reference(str(tmp_path / reference))


def test_a_reference_of_the_older_system_is_taken_as_it_stands(tmp_path, caplog):
    write_references(tmp_path, 10.0, 20.0)
    with fits.open(tmp_path / "ref.fits", mode="update") as hdus:
        hdus[1].header["RADESYS"] = "FK5"
    frame = read_reference(f"{tmp_path / 'ref.fits'}[sci]")
    assert (frame.crval, frame.shape, frame.name) == ((10.0, 20.0), (300, 400), "MYREF")
    assert "FK5" in caplog.text
