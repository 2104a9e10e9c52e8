"""How a detector is read: subarrays, binning, AREA mode, gains, and the cards that tell it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from hapdask.errors import ParameterError
from hapdask.simulate import (
    Mode,
    Options,
    Pointing,
    PointingError,
    Scene,
    Subarray,
    parse_setup,
    simulate_exposure,
)
from hapdask.simulate.detectors import get_detector
from hapdask.simulate.effects import make_defects
from hapdask.simulate.modes import Window

POINTING = Pointing(33.0, -12.0, 130.0, "2003-02-03T04:05:06", (1.0, -2.0))
NOTHING = Scene.stars([], [], [])
QUIET = Options.noise_free(sky=0.1)
MODES = [
    ("WFC3", "UVIS", "F606W", Mode(subarray=Subarray(2, 1900, 700, 301, 203))),
    ("WFC3", "UVIS", "F606W", Mode(binning=2)),
    ("WFC3", "UVIS", "F606W", Mode(binning=3)),
    ("WFC3", "IR", "F160W", Mode(subarray=Subarray(1, 379, 379, 256, 256))),
    ("ACS", "WFC", "F606W", Mode(subarray=Subarray(1, 0, 1024, 400, 1024))),
    ("ACS", "HRC", "F606W", Mode(subarray=Subarray(1, 400, 100, 200, 300))),
    ("WFPC2", "PC", "F555W", Mode(binning=2)),
    ("STIS", "CCD", "50CCD", Mode(subarray=Subarray(1, 0, 400, 1024, 100))),
]
NAMES = ["uvis-sub", "uvis-2x2", "uvis-3x3", "ir-sub", "wfc-sub", "hrc-sub", "area", "stis-sub"]


def simulate(instrument, detector, band, mode, options=QUIET, scene=NOTHING, pointing=POINTING):
    return simulate_exposure(
        scene, instrument, detector, band, pointing, 100.0, seed=4, mode=mode, options=options
    )


@pytest.fixture(scope="module", params=MODES, ids=NAMES)
def made(request):
    *names, mode = request.param
    pointing = Pointing(33.0, -12.0, 130.0, error=PointingError(0.2, 0.1, 0.01))
    return simulate(*names, mode, pointing=pointing)


def test_the_file_tells_the_simulated_map(made):
    """What astropy reads from the file is the told geometry, tables and all."""
    for ver, chip in made.chips.items():
        header = made.hdus["SCI", ver].header
        wcs = WCS(header, fobj=made.hdus)
        ny, nx = made.hdus["SCI", ver].shape
        x, y = np.random.default_rng(1).uniform(0, 1, (2, 30)) * [[nx - 1], [ny - 1]]
        told = chip.header_geometry.pixel_to_sky(x, y)
        assert np.abs(np.subtract(wcs.all_pix2world(x, y, 0), told)).max() < 1e-11


def test_the_mode_is_a_piece_of_the_full_frame(made):
    """Same sky in the same detector pixels; the tables only nearly (stwcs's rule is not exact)."""
    mode, detector = made.setting.mode, made.detector
    full = simulate_exposure(
        NOTHING, detector.instrument, detector.detector, made.passband.filter,
        made.pointing, 100.0, seed=4, options=QUIET,
    )  # fmt: skip
    for ver, chip in made.chips.items():
        window, b = made.setting.windows[ver], mode.binning
        ny, nx = window.shape
        x, y = np.random.default_rng(2).uniform(0, 1, (2, 40)) * [[nx - 1], [ny - 1]]
        whole = full.chips[window.extver].geometry
        detector_x = window.x0 + b * (x + 0.5) - 0.5
        detector_y = window.y0 + b * (y + 0.5) - 0.5
        px, py = whole.sky_to_pixel(*chip.geometry.pixel_to_sky(x, y))
        off = np.hypot(px - detector_x, py - detector_y).max()
        has_tables = bool(made.setting.template.tables)
        assert off < (0.25 if has_tables else 2e-6)
        assert chip.geometry.idcscale == pytest.approx(whole.idcscale * b)
        area = whole.relative_area(px, py)
        rough = 3e-3 if has_tables else 1e-6
        assert chip.geometry.relative_area(x, y) == pytest.approx(area, rel=rough)


def test_cards_of_a_subarray():
    made = simulate(*MODES[0])
    primary, header = made.hdus[0].header, made.hdus["SCI", 1].header
    assert [hdu.name for hdu in made.hdus[1:4]] == ["SCI", "ERR", "DQ"]
    assert (primary["SUBARRAY"], primary["CCDAMP"], header["CCDCHIP"]) == (True, "AB", 1)
    whole = made.setting.template.headers["SCI", 1]
    assert (header["LTV1"], header["LTV2"]) == (-1900, -700)
    assert (header["SIZAXIS1"], header["SIZAXIS2"]) == (301, 203)
    assert (header["BINAXIS1"], header["LTM1_1"]) == (1, 1.0)
    assert header["CRPIX1"] == whole["CRPIX1"]
    assert header["CRPIX1"] == pytest.approx(2048.0 - 1900, abs=1.0)
    for name in ("WCSDVARR", "D2IMARR"):
        assert [h.ver for h in made.hdus if h.name == name] == [1, 2]
        table = made.hdus[name, 1].header
        assert (table["CRVAL1"], table["CRVAL2"], table["CDELT1"]) == (1900, 700, 64)
    assert made.hdus["DQ", 1].header["LTV1"] == -1900
    one_amp = simulate("WFC3", "UVIS", "F606W", Mode(subarray=Subarray(1, 2500, 0, 64, 64)))
    assert one_amp.hdus[0].header["CCDAMP"] == "D"


def test_cards_of_binned_images():
    made = simulate(*MODES[2])
    header = made.hdus["SCI", 2].header
    assert made.hdus["SCI", 2].shape == (683, 1365)
    assert (header["BINAXIS1"], header["BINAXIS2"]) == (3, 3)
    assert header["LTM1_1"] == pytest.approx(1 / 3)
    assert header["LTV2"] == pytest.approx(1 / 3)
    assert header["IDCSCALE"] == pytest.approx(3 * 0.0396, rel=2e-3)
    assert made.hdus["WCSDVARR", 3].header["CDELT1"] == pytest.approx(64 / 3)
    area = simulate(*MODES[6])
    assert area.hdus[0].header["MODE"] == "AREA"
    assert [h.shape for h in area.hdus if h.name == "SCI"] == [(400, 400)] * 4
    assert [h.shape for h in area.quality[1:]] == [(400, 400)] * 4
    assert simulate("WFPC2", "PC", "F555W", Mode()).hdus[0].header["MODE"] == "FULL"


def test_a_subarray_has_the_defects_and_flags_of_its_place():
    detector = get_detector("WFC3", "UVIS")
    part = Subarray(1, 300, 40, 200, 150)
    made = simulate("WFC3", "UVIS", "F606W", Mode(subarray=part), Options(cosmic_rays=False))
    whole = make_defects(detector, 1, detector.shape).dq[40:190, 300:500]
    assert np.array_equal(made.hdus["DQ", 1].data, whole)


def test_windows_bin_by_what_is_asked():
    chip = np.arange(48.0).reshape(6, 8)
    window = Window(1, (2, 3), x0=1, y0=2, binning=2)
    assert window.cut(chip).tolist() == [[21.5, 23.5, 25.5], [37.5, 39.5, 41.5]]
    assert window.cut(chip, np.sum)[0, 0] == 17 + 18 + 25 + 26
    flags = np.zeros((6, 8), np.int16)
    flags[2, 1], flags[3, 2] = 4, 16
    assert window.cut(flags, np.bitwise_or.reduce)[0].tolist() == [20, 0, 0]
    assert Window(1, (6, 8)).cut(chip) is chip
    assert window.share((6, 8)) == 0.5


def test_noise_of_binned_pixels():
    """On-chip binning reads once: dark grows by the pixels, read noise does not."""
    dark, sky = 0.0015 * 100, 0.0
    noise = {}
    for b in (1, 2):
        made = simulate("WFC3", "UVIS", "F606W", Mode(binning=b), Options.noise_free(sky=sky))
        err = made.hdus["ERR", 1].data.astype(float)
        noise[b] = np.median(err**2) - dark * b * b
        assert made.hdus["SCI", 1].header["MEANDARK"] == pytest.approx(dark * b * b)
    assert noise[1] == pytest.approx(noise[2], rel=1e-3)


def test_impossible_modes_are_refused():
    for names, mode, message in (
        (("WFC3", "IR", "F160W"), Mode(binning=2), "offers 1"),
        (("WFPC2", "PC", "F555W"), Mode(binning=3), "offers 1, 2"),
        (("WFPC2", "PC", "F555W"), Mode(gain=8), "has 7, 15"),
        (("ACS", "HRC", "F606W"), Mode(gain=2), "none to choose"),
        (("ACS", "HRC", "F606W"), Mode(subarray=Subarray(1, 1000, 0, 30, 10)), "1024 x 1024"),
        (("ACS", "HRC", "F606W"), Mode(subarray=Subarray(2, 0, 0, 30, 10)), "EXTVERs"),
        (("WFPC2", "PC", "F555W"), Mode(subarray=Subarray(1, 0, 0, 30, 10)), "no subarrays"),
    ):
        with pytest.raises(ParameterError, match=message):
            simulate(*names, mode)
    with pytest.raises(ParameterError, match="give no chips"):
        simulate_exposure(
            NOTHING, "WFC3", "IR", "F160W", POINTING, 10.0, seed=1, chips=[1],
            mode=Mode(subarray=Subarray(1, 0, 0, 30, 10)),
        )  # fmt: skip


def test_setups_are_read_as_users_write_them():
    setup = parse_setup("wfc3/uvis/f606w:100:bin=2:sub=2,10,20,300,400", ((1.0, 2.0),))
    assert (setup.instrument, setup.detector, setup.filter_name) == ("WFC3", "UVIS", "F606W")
    assert (setup.exptime, setup.dithers) == (100.0, ((1.0, 2.0),))
    assert setup.mode == Mode(2, Subarray(2, 10, 20, 300, 400))
    assert parse_setup("wfpc2/pc/f555w:gain=15").mode == Mode(gain=15)
    for text, message in (
        ("wfc3/f606w", "no setup"),
        ("wfc3/uvis/f606w:fast", "'fast'"),
        ("wfc3/uvis/f606w:sub=1,2", "sub=1,2"),
        ("wfc3/uvis/f606w:mode=2", "mode=2"),
        ("wfc3/uvis/f60w", "nearest"),
        ("acs/sbc/f150lp:bin=2", "binning=2"),
        ("acs/sbc/f150lp:-3", "above 0"),
    ):
        with pytest.raises(ParameterError, match=message):
            parse_setup(text)


def test_modes_name_their_files_apart():
    names = {simulate(*MODES[i]).rootname for i in (1, 2)}
    assert len(names) == 2
