"""TweakReg's text files: what they say is what was given, and true."""

import numpy as np
import pytest
from astropy.io import ascii as text
from astropy.io import fits
from astropy.wcs import WCS

from hapdask.errors import ParameterError, StoreError
from hapdask.observe.distortion import Correction, Distortion
from hapdask.products.tweakreg.catalogs import (
    FittedSources,
    MatchedSources,
    write_chip_catalog,
    write_fit,
    write_matches,
    write_reference_catalog,
    write_sky_catalog,
)
from hapdask.products.tweakreg.shifts import Shift, shift_of, write_shifts
from hapdask.sky.frame import Frame

FRAME = Frame.from_center(150.25, 2.0, 0.04, (1200, 1000), 30.0)


def pixels(frame, ra, dec):
    """0-based positions about CRPIX on the plane of a grid, radians of it over its scale."""
    wcs = frame.to_wcs()
    x, y = wcs.all_world2pix(ra, dec, 0)
    return np.stack([x, y]) - (np.array(frame.crpix_window)[:, None] - 1.0)


CORRECTIONS = {
    "a shift": Correction((150.25, 2.0), shift=(0.4, -0.7)),
    "a turn": Correction(
        (150.25, 2.0),
        (np.cos(1e-3), np.sin(1e-3), -np.sin(1e-3), np.cos(1e-3)),
        (0.1, 0.2),
    ),
    "all, elsewhere": Correction((150.27, 1.99), (1.0002, 3e-4, -2e-4, 1.0001), (-0.3, 0.9)),
}


@pytest.mark.parametrize("correction", CORRECTIONS.values(), ids=CORRECTIONS)
def test_a_shift_is_what_a_fit_would_find(correction):
    scale = 0.04 / 3600
    chip = Distortion(
        (1000, 1000), FRAME.crval, (500.0, 500.0), (-scale, 0.0, 0.0, scale),
        np.zeros((1, 1)), np.zeros((1, 1)),
    )  # fmt: skip
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(400, 600, 5), np.linspace(400, 600, 5)))
    image = pixels(FRAME, *chip.pixel_to_sky(x, y))
    true = pixels(FRAME, *chip.corrected(correction).pixel_to_sky(x, y))
    design = np.stack([*true, np.ones_like(x)], axis=1)
    (p, q), _, _, _ = (c.T if c.ndim > 1 else c for c in np.linalg.lstsq(design, image.T))
    shift = shift_of("a", correction, FRAME)
    assert (shift.dx, shift.dy) == pytest.approx((p[2], q[2]), abs=2e-4)
    turn = np.degrees(np.arctan2(p[1] - q[0], p[0] + q[1])) % 360
    assert (shift.rotation - turn + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
    assert shift.scale == pytest.approx(np.sqrt(p[0] * q[1] - p[1] * q[0]), abs=1e-7)


def test_the_shift_file(tmp_path):
    shifts = [shift_of("a_flc.fits", None, FRAME), Shift("b_flc.fits", 1.5, -2.25, 0.1, 1.0, 0.2)]
    target, wcs = write_shifts(shifts, FRAME, tmp_path / "shifts.txt", tmp_path / "shifts_wcs.fits")
    lines = target.read_text().splitlines()
    assert lines[:4] == [
        "# frame: output",
        "# refimage: shifts_wcs.fits[wcs]",
        "# form: delta",
        "# units: pixels",
    ]
    assert lines[4].split() == ["a_flc.fits", *["0.000000"] * 3, "1.000000", *["0.000000"] * 2]
    assert lines[5].split()[1:4] == ["1.500000", "-2.250000", "0.100000"]
    with fits.open(wcs, checksum=True) as hdus:
        header = hdus["WCS"].header
        assert hdus["WCS"].verify_checksum() == 1
        assert (header["NPIX1"], header["NPIX2"], header["PIXVALUE"]) == (1000, 1200, 0.0)
        there = WCS(header).all_pix2world([[10, 20]], 0)
        assert np.allclose(there, FRAME.to_wcs().all_pix2world([[10, 20]], 0), rtol=0, atol=1e-12)
    with pytest.raises(StoreError, match="exists"):
        write_shifts(shifts, FRAME, target, wcs)


def matched(n=3):
    rng = np.random.default_rng(1)
    pairs = [(rng.uniform(0, 4000, n), rng.uniform(0, 4000, n)) for _ in range(3)]
    ids = np.arange(n)
    return MatchedSources(*pairs, ids, ids + 10, np.full(n, 2), "GAIA eDR3")


def test_source_lists(tmp_path):
    x, y, flux = np.array([0.0, 2047.123456]), np.array([9.5, 1.0]), np.array([12.5, 3e6])
    path = write_chip_catalog(tmp_path, "ia0a01aaq", 2, (x, y), flux, [1, 2])
    assert path.name == "ia0a01aaq_sci2_xy_catalog.coo"
    assert path.read_text().startswith("# Source catalog derived for ia0a01aaq[sci,2]\n")
    table = text.read(path, format="no_header", comment="#")
    assert np.allclose(table["col1"], x + 1, atol=1e-6)
    assert np.allclose(table["col3"], flux)
    sky = np.array([150.123456789012]), np.array([-2.0])
    path = write_sky_catalog(tmp_path, "ia0a01aaq", sky)
    assert path.read_text() == "# RA Dec\n150.123456789012  -2.000000000000\n"
    path = write_reference_catalog(tmp_path, "ia0a01aaq", sky, [19.5], ["G1"], ["gaia"])
    assert path.name == "cumulative_sky_refcat_ia0a01aaq.coo"
    assert path.read_text().split()[-5:] == ["150.123456789012", "-2.000000000000", "19.5", "G1",
                                             "gaia"]  # fmt: skip


def test_matches_and_residuals(tmp_path):
    sources = matched()
    path = write_matches(tmp_path, "ia0a01aaq", sources)
    table = text.read(path, format="no_header", comment="#")
    assert len(table.columns) == 11
    assert np.allclose(table["col7"], sources.original[0] + 1, atol=1e-6)
    assert set(table["col11"]) == {"GAIA_eDR3"}
    fitted = tuple(v + 0.25 for v in sources.reference)
    sky = np.full(3, 150.0), np.full(3, 2.0)
    fit = FittedSources(sources, fitted, sky, [("RMS (pixels)", "0.25")])
    path = write_fit(tmp_path, "ia0a01aaq", fit)
    table = text.read(path, format="no_header", comment="#")
    assert path.name == "ia0a01aaq_catalog_fit.match"
    assert len(table.columns) == 18
    assert np.allclose(table["col7"], 0.25)
    assert np.allclose(table["col15"], 2)
    assert "# RMS (pixels): 0.25" in path.read_text()


def test_no_matches(tmp_path):
    path = write_matches(tmp_path, "a", matched(0))
    assert all(line.startswith("#") for line in path.read_text().splitlines())


def test_columns_that_do_not_fit(tmp_path):
    with pytest.raises(ParameterError, match="columns of"):
        write_sky_catalog(tmp_path, "a", (np.zeros(2), np.zeros(3)))
    assert list(tmp_path.iterdir()) == []
