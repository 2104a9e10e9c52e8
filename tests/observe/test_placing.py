"""Subarrays, binned images and quadrants: where they lie, their scale, their map, their flux."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from hypothesis import given
from hypothesis import strategies as st
from imagers import make_wfpc2, set_cards

import hapdask as hd
from hapdask.config.parameters import DrizzleParameters
from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.instruments import INSTRUMENTS, ChipFacts, Quadrant
from hapdask.observe.placing import Placement, pixel_scale, place, window_of
from hapdask.observe.vignette import vignetted_rows
from hapdask.sky.frame import Frame

UVIS, WFC, PC = (INSTRUMENTS[key] for key in (("WFC3", "UVIS"), ("ACS", "WFC"), ("WFPC2", "PC")))
GATE = 1e-6  # pixels


@pytest.mark.parametrize(
    ("primary", "science", "shape", "instrument", "placement"),
    [
        ({}, {}, (2051, 4096), UVIS, (1, 0, 0)),
        ({}, {"LTV1": 0.0, "BINAXIS1": 1, "BINAXIS2": 1}, (2051, 4096), UVIS, (1, 0, 0)),
        ({}, {"LTV1": -3072.0, "LTV2": -1024.0}, (1024, 1024), WFC, (1, 3072, 1024)),
        ({}, {"BINAXIS1": 2, "BINAXIS2": 2}, (1026, 2048), UVIS, (2, 0, 0)),
        ({}, {"BINAXIS1": 3, "BINAXIS2": 3, "LTV1": 1 / 3}, (684, 1366), UVIS, (3, 0, 0)),
        ({}, {"BINAXIS1": 2, "BINAXIS2": 2, "LTV2": -256.0}, (256, 256), UVIS, (2, 0, 512)),
        ({"MODE": "AREA"}, {}, (400, 400), PC, (2, 0, 0)),
        ({"MODE": "FULL"}, {}, (800, 800), PC, (1, 0, 0)),
        # what LTV still counts of the overscan
        ({}, {"LTV1": 24.0}, (2048, 4096), WFC, (1, -24, 0)),
    ],
)  # fmt: skip
def test_where_an_image_lies(primary, science, shape, instrument, placement):
    assert place(primary, science, shape, instrument) == placement


@pytest.mark.parametrize(
    ("primary", "science", "shape", "instrument", "words"),
    [
        ({}, {}, (2052, 4096), UVIS, "a chip of WFC3/UVIS has 4096 x 2051"),
        ({}, {"BINAXIS1": 2, "BINAXIS2": 2}, (2051, 4096), UVIS, "binned by 2"),
        ({}, {"LTV1": -3600.0}, (1024, 1024), WFC, "LTV1 = -3600 puts the image outside"),
        ({}, {"LTV2": 500.0}, (1024, 1024), WFC, "LTV2 = 500"),
        ({}, {"SIZAXIS2": 512, "LTV2": -9}, (1024, 1024), WFC, "SIZAXIS2 = 512"),
        ({}, {"BINAXIS1": 2, "BINAXIS2": 1}, (1024, 1024), WFC, "not square"),
        ({}, {"BINAXIS1": 0}, (1024, 1024), WFC, "BINAXIS1 = 0 is no binning"),
        ({}, {"BINAXIS1": True}, (1024, 1024), WFC, "no binning"),
        ({"MODE": "HALF"}, {}, (400, 400), PC, "no binning"),
        ({"MODE": "AREA"}, {}, (800, 800), PC, "binned by 2"),
    ],
)
def test_what_cannot_lie_on_the_detector_is_told(primary, science, shape, instrument, words):
    with pytest.raises(InputError, match=words) as caught:
        place(primary, science, shape, instrument, path="a.fits", ext="SCI,1")
    assert (caught.value.path, caught.value.ext) == ("a.fits", "SCI,1")


@pytest.mark.parametrize(
    ("idcscale", "side", "scale"),
    [(0.0396, 1, 0.0396), (0.0396, 2, 0.0792), (0.0792, 2, 0.0792), (0.1188, 3, 0.1188),
     (0.0396, 3, 0.1188), (0.025, 1, 0.025)],
)  # fmt: skip
def test_the_scale_is_that_of_the_pixels_in_the_file(idcscale, side, scale):
    assert pixel_scale(idcscale, ChipFacts(1, 0.03962), side) == pytest.approx(scale)


@given(
    st.integers(1, 3), st.integers(0, 3000), st.integers(0, 1500), st.integers(0, 3),
    st.tuples(st.integers(1, 700), st.integers(1, 1400)),
)  # fmt: skip
def test_a_window_holds_the_pixels_that_lie_wholly_in_the_quadrant(side, x0, y0, which, shape):
    quadrants = sorted({q.window for q in UVIS.quadrants.values()})
    quadrant = Quadrant("Q", 1, quadrants[which % len(quadrants)])
    placement = Placement(side, x0 // side * side, y0 // side * side)
    found = window_of(quadrant, placement, shape)
    inside = np.zeros(shape, bool)
    if found is not None:
        inside[found[2] : found[3], found[0] : found[1]] = True
        assert 0 <= found[0] < found[1] <= shape[1]
        assert 0 <= found[2] < found[3] <= shape[0]
    x = placement.x0 + np.arange(shape[1]) * side
    y = placement.y0 + np.arange(shape[0]) * side
    left, right, low, high = quadrant.window
    in_x = (x >= left) & (x + side <= right)
    in_y = (y >= low) & (y + side <= high)
    np.testing.assert_array_equal(inside, in_y[:, None] & in_x)


def test_each_quad_filter_has_one_quadrant():
    assert len(UVIS.quadrants) == 20
    names = [q.name for q in UVIS.quadrants.values()]
    assert {name: names.count(name) for name in "ABCD"} == dict.fromkeys("ABCD", 5)
    areas = {(q.name, q.chip, q.window) for q in UVIS.quadrants.values()}
    assert len(areas) == 4
    assert {q.chip for q in UVIS.quadrants.values() if q.name in "AB"} == {1}


@pytest.mark.parametrize(("filter_", "chip", "columns"), [("FQ508N", 1, 0), ("FQ906N", 2, 0)])
def test_only_the_own_quadrant_of_a_quad_filter_enters(make, filter_, chip, columns):
    path = make(primary={"FILTER": filter_}, science={"LTV1": -2000.0})
    exposures = open_exposures(path)
    (record,) = exposures
    (only,) = record.chips
    assert (only.chip, only.window) == (chip, (0, 48, columns, 130))
    assert "quadrant" in exposures.verdicts[0][1].reason
    bad = vignetted_rows(only, 20, 30)
    assert not bad[:, :48].any()
    assert bad[:, 48:].all()
    x, y = np.array([20.0, 70.0]), np.array([60.0, 60.0])
    inside = record.footprint.contains(*only.distortion.pixel_to_sky(x, y))
    assert inside.tolist() == [True, False]


def test_a_subarray_beside_its_filters_quadrant_is_left_out(make):
    exposures = open_exposures(make(primary={"FILTER": "FQ508N"}, science={"LTV1": -3000.0}))
    assert len(exposures) == 0
    assert "quadrant" in exposures.verdicts[0][1].reason


def worst_pixel(path, record):
    """Largest distance between our map and astropy's on the same header, pixels."""
    rng = np.random.default_rng(2)
    worst = 0.0
    with fits.open(path) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        for chip in record.chips:
            ny, nx = chip.shape
            x, y = rng.uniform(-0.5, nx - 0.5, 3000), rng.uniform(-0.5, ny - 0.5, 3000)
            wcs = WCS(hdus["SCI", chip.extver].header, fobj=hdus)
            ra, dec = wcs.all_pix2world(x, y, 0)
            ours = chip.distortion.pixel_to_sky(x, y)
            off_ra = (np.remainder(ours[0] - ra + 180, 360) - 180) * np.cos(np.radians(dec))
            off = np.hypot(off_ra, ours[1] - dec) * 3600 / chip.idcscale
            worst = max(worst, float(off.max()))
    return worst


def shifted_tables(sign):
    """Give full-frame tables the CRVAL of a subarray: origin added (updatewcs) or taken away."""

    def change(hdus):
        for hdu in hdus:
            if hdu.name in ("D2IMARR", "WCSDVARR"):
                rng = np.random.default_rng(hdu.ver)
                hdu.data = rng.normal(0, 0.1, (32, 64)).astype(np.float32)
                hdu.header.update(CDELT1=64.0, CDELT2=64.0)
                hdu.header.update(CRVAL1=sign * 1024.0, CRVAL2=sign * 512.0)

    return change


@pytest.mark.parametrize(("sign", "status"), [(-1, "accepted"), (1, "warning")])
def test_tables_of_a_subarray_are_read_as_astropy_reads_them(make, sign, status):
    path = make(
        science={"LTV1": -1024.0, "LTV2": -512.0, "SIZAXIS1": 96, "SIZAXIS2": 130},
        change=shifted_tables(sign),
    )
    exposures = open_exposures(path)
    (record,) = exposures
    assert exposures.verdicts[0][1].status == status
    assert ("do not reach" in exposures.verdicts[0][1].reason) == (sign == 1)
    assert worst_pixel(path, record) < GATE
    table = record.chips[0].distortion.npol_x
    assert table.start == (sign * 1024.0 + 63.0, sign * 512.0 + 63.0)


def binned_cards(side, scale=0.0396):
    """Cards of a binned UVIS image, as updatewcs makes them."""
    step = side * scale / 3600.0
    return {
        "BINAXIS1": side, "BINAXIS2": side, "LTM1_1": 1 / side, "LTM2_2": 1 / side,
        "CD1_1": -step, "CD2_2": step, "CD1_2": 0.0, "CD2_1": 0.0,
        "A_2_0": 3e-6 * side, "B_1_1": -2e-6 * side, "CCDCHIP": None,
    }  # fmt: skip


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("idc_is_binned", [False, True])
def test_binned_images_keep_flux(make, side, idc_is_binned):
    """An image of ones gives (output scale / pixel scale)**2 per second, whatever IDCSCALE says."""

    def ones(hdus):
        for extver in (1, 2):
            hdus["SCI", extver].data[:] = 1.0
            hdus["DQ", extver].data[:] = 0
        for hdu in hdus:
            if hdu.name in ("D2IMARR", "WCSDVARR"):
                hdu.header.update(CDELT1=64.0 / side, CDELT2=64.0 / side)
                hdu.data = np.zeros((32, 64), np.float32)

    idcscale = 0.0396 * (side if idc_is_binned else 1)
    path = make(science={**binned_cards(side), "IDCSCALE": idcscale}, change=ones)
    (record,) = open_exposures(path)
    chip = record.chips[0]
    assert chip.bin == side
    assert chip.idcscale == pytest.approx(0.0396 * side)
    assert worst_pixel(path, record) < GATE
    ra, dec = chip.distortion.pixel_to_sky(np.array([47.0]), np.array([60.0]))
    frame = Frame.from_center(ra[0], dec[0], 0.04, (20, 20))
    parameters = DrizzleParameters(sky="none", flux_scaling=False)
    ds = hd.mosaic([record], frame, parameters=parameters)
    expected = (0.04 / (0.0396 * side)) ** 2 / record.exptime
    np.testing.assert_allclose(ds.sci.values[8:12, 8:12], expected, rtol=1e-5)


def area_mode(hdus):
    """Make an AREA image of a full one: binned WCS, D2IM sampled at every other pixel."""
    for extver in range(1, 5):
        header = hdus["SCI", extver].header
        for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "IDCSCALE"):
            header[key] *= 2
        for key in ("CRPIX1", "CRPIX2"):
            header[key] = header[key] / 2
        for axis in "AB":
            for p in range(4):
                for q in range(4 - p):
                    if f"{axis}_{p}_{q}" in header:
                        header[f"{axis}_{p}_{q}"] *= 2.0 ** (p + q - 1)
    table = hdus["D2IMARR", 1]
    set_cards(table.header, {"CDELT1": 0.5, "CDELT2": 0.5})


def test_area_mode_of_wfpc2(tmp_path):
    path = make_wfpc2(tmp_path, side=400, primary={"MODE": "AREA"}, change=area_mode)
    exposures = open_exposures(path)
    (record,) = exposures
    assert exposures.verdicts[0][1].status == "accepted"
    assert [c.bin for c in record.chips] == [2] * 4
    assert [round(c.idcscale, 3) for c in record.chips] == [0.091, 0.199, 0.199, 0.199]
    assert [c.dark for c in record.chips] == [2.0] * 4
    assert worst_pixel(path, record) < GATE
    (full,) = open_exposures(make_wfpc2(tmp_path / "full"))
    for binned, whole in zip(record.chips, full.chips, strict=True):
        lit = ~vignetted_rows(whole, 0, 800)
        four = lit.reshape(400, 2, 400, 2).all(axis=(1, 3))
        np.testing.assert_array_equal(~vignetted_rows(binned, 0, 400), four)
