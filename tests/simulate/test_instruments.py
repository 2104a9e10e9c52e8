"""Every detector and mode: fluxes against truth, units, files, and what readers make of them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from hapdask.observe.exposure import open_exposures
from hapdask.simulate import (
    Mode,
    Options,
    Pointing,
    Scene,
    Setup,
    Subarray,
    Visit,
    simulate_exposure,
    simulate_field,
)
from hapdask.simulate.detectors import get_detector, get_passband
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.modes import lay_out
from hapdask.simulate.pointing import attitude
from hapdask.simulate.templates import load_template
from hapdask.simulate.vignetting import shadowed, transmission

POINTING = Pointing(201.3, -47.2, 77.0, "2003-05-01T00:00:00")
WHOLE = Mode()
UVIS_PART = Subarray(2, 2100, 500, 800, 600)

#: instrument, detector, filter, mode, half width of the aperture in pixels
CASES = {
    "uvis-sub": ("WFC3", "UVIS", "F606W", Mode(subarray=UVIS_PART), 50),
    "uvis-sub-2x2": ("WFC3", "UVIS", "F606W", Mode(2, UVIS_PART), 30),
    "uvis-3x3": ("WFC3", "UVIS", "F606W", Mode(binning=3), 20),
    "uvis-quad": ("WFC3", "UVIS", "FQ508N", Mode(subarray=Subarray(2, 900, 800, 800, 600)), 50),
    "ir": ("WFC3", "IR", "F160W", WHOLE, 40),
    "wfc-sub": ("ACS", "WFC", "F814W", Mode(subarray=Subarray(2, 100, 300, 700, 800)), 60),
    "hrc": ("ACS", "HRC", "F606W", WHOLE, 70),
    "sbc": ("ACS", "SBC", "F150LP", WHOLE, 60),
    "wfpc2-7": ("WFPC2", "PC", "F555W", Mode(gain=7), 55),
    "wfpc2-15": ("WFPC2", "PC", "F814W", Mode(gain=15), 60),
    "wfpc2-area": ("WFPC2", "PC", "F555W", Mode(2, gain=7), 30),
    "stis-1": ("STIS", "CCD", "50CCD", WHOLE, 60),
    "stis-4": ("STIS", "CCD", "F28X50LP", Mode(gain=4), 60),
    "stis-nuv": ("STIS", "NUV-MAMA", "25MAMA", WHOLE, 60),
    "stis-fuv": ("STIS", "FUV-MAMA", "25MAMA", WHOLE, 60),
    "nic1": ("NICMOS", "NIC1", "F110W", WHOLE, 60),
    "nicmos": ("NICMOS", "NIC2", "F160W", WHOLE, 60),
    "nic3": ("NICMOS", "NIC3", "F160W", WHOLE, 60),
}


def grid_of_stars(instrument, name, mode, margin):
    """Stars over every chip of a file, far from each other, from the edges and the shadow."""
    detector = get_detector(instrument, name)
    template, windows = lay_out(detector, load_template(detector.template), mode, None)
    frames = attitude(template, POINTING, truth=True).frames
    places = []
    for ver, window in windows.items():
        ny, nx = window.shape
        low = margin + (70 // window.binning if detector.shadow else 0)
        steps = 2 if min(ny, nx) < 500 else 3
        x, y = np.meshgrid(
            np.linspace(low + 1.3, nx - margin - 1.4, steps),
            np.linspace(low + 1.1, ny - margin - 1.2, steps),
        )
        chip = ChipGeometry(template, ver, frames[ver], window.shape)
        places.append(np.stack(chip.pixel_to_sky(x.ravel(), y.ravel())))
    return np.concatenate(places, axis=1)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_aperture_sums_times_pam_are_the_truth(case):
    """Counts x gain (x exposure time of rates) x PAM = electrons of the truth, within 0.1 %."""
    instrument, name, band, mode, half = case
    ra, dec = grid_of_stars(instrument, name, mode, half)
    made = simulate_exposure(
        Scene.stars(ra, dec, 19.0, 0.2), instrument, name, band, POINTING, 400.0, seed=1,
        mode=mode, options=Options.noise_free(sky=0.0),
    )  # fmt: skip
    checked, areas = 0, []
    for ver, chip in made.chips.items():
        image = made.hdus["SCI", ver].data.astype(float) * made.setting.gain(ver)
        image *= made.exptime if made.detector.rate else 1.0
        ny, nx = image.shape
        drawn = chip.sources
        for x, y, rate, area in zip(drawn.x, drawn.y, drawn.rate, drawn.area, strict=True):
            ix, iy = round(x), round(y)
            if not (half <= ix < nx - half and half <= iy < ny - half):
                continue
            total = image[iy - half : iy + half + 1, ix - half : ix + half + 1].sum() * area
            assert total == pytest.approx(rate * made.exptime, rel=1e-3)
            checked += 1
            areas.append(area)
        # the header's PHOTFLAM turns counts into the source's flux
        flux = drawn.rate / made.setting.gain(ver) * made.setting.photflam(ver)
        expected = made.scene.rates(made.passband)[drawn.source] * made.passband.photflam
        assert flux == pytest.approx(expected, rel=1e-12)
        header = {**made.hdus[0].header, **made.hdus["SCI", ver].header}
        assert header["PHOTFLAM"] == made.setting.photflam(ver)
    assert checked >= 4 * len(made.chips)


@pytest.mark.parametrize("gain", [7, 15])
def test_wfpc2_is_a_pair_of_files_in_counts(tmp_path, gain):
    scene = Scene.random(201.3, -47.2, 0.04, 100, 10, 2)
    made = simulate_exposure(
        scene, "WFPC2", "PC", "F555W", POINTING, 300.0, seed=3, mode=Mode(gain=gain),
        rootname="usim0101q",
    )  # fmt: skip
    path = made.write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "usim0101q_c0m.fits",
        "usim0101q_c1m.fits",
    ]
    with fits.open(path) as science, fits.open(tmp_path / "usim0101q_c1m.fits") as quality:
        assert [h.name for h in science[1:]] == ["SCI"] * 4 + ["D2IMARR"]
        assert [h.name for h in quality[1:]] == ["SDQ"] * 4
        assert science[0].header["ATODGAIN"] == quality[0].header["ATODGAIN"] == gain
        assert science[0].header["FILTNAM1"] == "F555W"
        assert science[0].header["FILENAME"] == path.name
        assert quality[0].header["FILENAME"] == "usim0101q_c1m.fits"
        assert (science[0].header["FILETYPE"], quality[0].header["FILETYPE"]) == ("SCI", "SDQ")
        for ver in (1, 2, 3, 4):
            header, dq = science["SCI", ver].header, quality["SDQ", ver].data
            assert science["SCI", ver].data.dtype == np.dtype(">f4")
            assert header["DETECTOR"] == quality["SDQ", ver].header["DETECTOR"] == ver
            assert "BUNIT" not in header
            assert header["PHOTMODE"] == f"WFPC2,{ver},A2D{gain},F555W,,CAL"
            assert header["IDCSCALE"] == pytest.approx(0.0455 if ver == 1 else 0.0996, rel=2e-3)
            assert ("D2IM2.EXTVER" in header) == (ver == 1)
            assert (dq[:15] & 2).all()  # the pyramid's shadow
            assert (dq[:, :15] & 2).all()
            assert 0.8 < ((dq & 2) == 0).mean() < 0.95
            assert 0.001 < ((dq & 4096) != 0).mean() < 0.02
            # counts: sky of the truth over the gain
            lit = science["SCI", ver].data[(dq == 0)]
            sky = made.chips[ver].sky * 300.0 / made.setting.gain(ver)
            assert np.median(lit) == pytest.approx(sky, rel=0.1)
    factor = {7: 3.439e-18, 15: 6.953e-18}[gain]
    assert made.setting.photflam(3) == pytest.approx(factor, rel=1e-3)


def test_the_light_falls_off_in_the_shadow_only():
    detector = get_detector("WFPC2", "PC")
    for mode in (WHOLE, Mode(binning=2)):
        layout = lay_out(detector, load_template("wfpc2"), mode, None)
        for window in layout.windows.values():
            share, dark = transmission(detector, window, ""), shadowed(detector, window)
            assert share.shape == dark.shape == window.shape
            assert (share[~dark] == 1.0).all()
            assert (share[dark] < 1.0).all()
            assert share[0, 0] == 0.0
    plain = get_detector("ACS", "HRC")
    (window,) = lay_out(plain, load_template("acs_hrc"), WHOLE, None).windows.values()
    assert transmission(plain, window, "") is shadowed(plain, window) is None


@pytest.mark.parametrize(("band", "extver", "left"), [("FQ508N", 2, True), ("FQ924N", 1, False)])
def test_quad_filters_light_their_quadrant(band, extver, left):
    made = simulate_exposure(
        Scene.stars([], [], []), "WFC3", "UVIS", band, POINTING, 100.0, seed=1,
        options=Options.noise_free(sky=1.0),
    )  # fmt: skip
    own, other = made.hdus["SCI", extver].data, made.hdus["SCI", 3 - extver].data
    half = own[:, :2048] if left else own[:, 2048:]
    away = own[:, 2048 + 120 :] if left else own[:, : 2048 - 120]
    assert (half == 100.0).all()
    assert not away.any()
    assert not other.any()
    assert 0.0 < own[5, 2048 if left else 2047] < 100.0
    assert made.hdus[0].header["FILTER"] == band


def test_sbc_counts_photons():
    scene = Scene.stars(201.3, -47.2, 18.0)
    made = simulate_exposure(scene, "ACS", "SBC", "F150LP", POINTING, 500.0, seed=1)
    sci, err, dq = (made.hdus[name, 1].data for name in ("SCI", "ERR", "DQ"))
    counts = sci + 500.0 * made.detector.dark
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    assert not (dq & 4096).any()
    assert not made.chips[1].cosmic_rays.any()
    assert err == pytest.approx(np.sqrt(np.maximum(sci, 1.0)))
    assert made.hdus[0].header["FILTER1"] == "F150LP"
    assert not any(key.startswith("READNSE") for key in made.hdus[0].header)


@pytest.mark.parametrize(
    ("instrument", "name", "band", "cards"),
    [
        ("ACS", "HRC", "F555W", {"FILTER1": "F555W", "FILTER2": "CLEAR2S", "DETECTOR": "HRC"}),
        ("ACS", "HRC", "F814W", {"FILTER1": "CLEAR1S", "FILTER2": "F814W", "CCDAMP": "C"}),
        ("ACS", "SBC", "F125LP", {"FILTER1": "F125LP", "FILTER2": "N/A", "DETECTOR": "SBC"}),
        ("WFPC2", "PC", "F814W", {"FILTNAM1": "F814W", "FILTNAM2": "", "MODE": "FULL"}),
        ("STIS", "CCD", "50CCD", {"APERTURE": "50CCD", "ATODGAIN": 1.0, "READNSE": 5.4}),
        ("STIS", "NUV-MAMA", "25MAMA", {"APERTURE": "25MAMA", "DETECTOR": "NUV-MAMA"}),
        ("STIS", "FUV-MAMA", "25MAMA", {"APERTURE": "25MAMA", "DETECTOR": "FUV-MAMA"}),
        ("NICMOS", "NIC1", "F110W", {"FILTER": "F110W", "CAMERA": 1}),
        ("NICMOS", "NIC2", "F110W", {"FILTER": "F110W", "CAMERA": 2}),
        ("NICMOS", "NIC3", "F160W", {"FILTER": "F160W", "CAMERA": 3}),
    ],
)
def test_headers_and_hapdask_itself(tmp_path, instrument, name, band, cards):
    """The files open as exposures with the unit, gain, noise, epoch and map that were simulated."""
    made = simulate_exposure(
        Scene.random(201.3, -47.2, 0.03, 30, 3, 1), instrument, name, band, POINTING, 200.0, seed=1
    )
    path = made.write(tmp_path)
    header = fits.getheader(path)
    assert {key: header[key] for key in cards} == cards
    assert (header["INSTRUME"], header["EXPTIME"]) == (instrument, 200.0)
    (record,) = open_exposures([path])
    assert record.exptime == 200.0
    assert record.instrument.lower() == instrument.lower()
    quantity = "count" if made.detector.bunit.startswith("COUNTS") else "electron"
    assert record.unit == quantity + (" / s" if made.detector.rate else "")
    assert record.expstart == pytest.approx(made.setting.expstart, abs=1e-9)
    for chip in record.chips:
        assert chip.photflam == pytest.approx(made.setting.photflam(chip.extver), rel=1e-7)
        assert chip.gain == pytest.approx(made.setting.gain(chip.extver))
        ny, nx = chip.shape
        x, y = np.array([0.0, nx - 1, nx / 3]), np.array([0.0, ny / 2, ny - 1])
        truth = made.chips[chip.extver].header_geometry.pixel_to_sky(x, y)
        found = chip.distortion.pixel_to_sky(x, y)
        assert np.abs(np.subtract(found, truth)).max() * 3600 < 1e-6


def test_response_of_the_four_chips_and_two_gains():
    """One star's flux is the same from every chip and gain: PHOTFLAM differs, light does not."""
    band = get_passband(get_detector("WFPC2", "PC"), "F555W")
    scene = Scene.stars([], [], [])
    for gain in (7, 15):
        made = simulate_exposure(
            scene, "WFPC2", "PC", "F555W", POINTING, 10.0, seed=1, mode=Mode(gain=gain),
            options=Options.noise_free(),
        )  # fmt: skip
        for ver in (1, 2, 3, 4):
            electrons = made.setting.response(ver) * 1000.0
            counts = electrons / made.setting.gain(ver)
            found = counts * made.hdus["SCI", ver].header["PHOTFLAM"]
            assert found == pytest.approx(1000.0 * band.photflam, rel=1e-12)
    assert {round(made.setting.response(v), 3) for v in (1, 2, 3, 4)} == {1.0, 1.026, 0.981, 0.99}


def test_wfpc2_in_a_field(tmp_path):
    setups = (
        Setup("WFPC2", "PC", "F555W", 60.0, mode=Mode(gain=15)),
        Setup("ACS", "SBC", "F150LP", 60.0),
    )
    visit = Visit("01", 10.0, "2002-01-01T00:00:00", setups)
    made = simulate_field(tmp_path, 10.0, 10.0, 1, visits=[visit])
    assert [p.name for p in made.exposures] == ["usim0101q_c0m.fits", "jsim0102q_flt.fits"]
    assert (tmp_path / "usim0101q_c1m.fits").exists()
    masks = np.load(made.cosmic_rays[0])
    assert sorted(masks.files) == ["sci1", "sci2", "sci3", "sci4"]
