"""A drizzled image's solution carried back to its inputs."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from hapdask.astrometry.headers.tweakback import carry_back, read_tweaked
from hapdask.errors import InputError, ParameterError
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures
from tests.observe.conftest import Maker

GRID = np.meshgrid(np.linspace(0, 95, 9), np.linspace(0, 129, 11))
SCALE = 0.04 / 3600


def grid_header(key="", *, crval=(150.2501, 2.0031), turn=0.0, crpix=(501.0, 401.0), size=1.0):
    c, s = np.cos(np.radians(turn)) * SCALE * size, np.sin(np.radians(turn)) * SCALE * size
    cards = {
        "WCSAXES": 2, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRVAL1": crval[0], "CRVAL2": crval[1], "CRPIX1": crpix[0], "CRPIX2": crpix[1],
        "CD1_1": -c, "CD1_2": s, "CD2_1": s, "CD2_2": c, "RADESYS": "ICRS",
    }  # fmt: skip
    return {f"{name}{key}": value for name, value in cards.items()}


def drizzled(path, tweak, *, inputs=("ia0a01aaq_flc.fits[sci,1]",), extension="SCI"):
    """An image with the WCS it was drizzled on (DRZ, key A) and a tweaked one."""
    image = fits.ImageHDU(np.zeros((800, 1000), np.float32), name=extension)
    image.header.update(grid_header("A"), WCSNAMEA="DRZWCS")
    image.header.update(grid_header(**tweak))
    image.header.update(WCSNAME="DRZWCS-FIT", CRDER1=1e-6, CRDER2=2e-6)
    primary = fits.PrimaryHDU()
    for number, name in enumerate(inputs, start=1):
        primary.header[f"D{number:03d}DATA"] = name
    fits.HDUList([primary, image]).writeto(path)
    return path


TWEAKS = {
    "nothing": {},
    "moved": {"crval": (150.25035, 2.00284)},
    "turned": {"crval": (150.25035, 2.00284), "turn": 0.3},
    "shifted in the plane": {"crpix": (503.5, 398.25)},
    "larger": {"size": 1.0002, "crpix": (500.5, 401.0)},
}


@pytest.mark.parametrize("tweak", TWEAKS.values(), ids=TWEAKS)
def test_exposures_move_as_the_image_did(tmp_path, tweak):
    exposures = [*open_exposures([Maker(tmp_path)(name) for name in ("ia0a01aaq", "ia0a02aaq")])]
    image = read_tweaked(drizzled(tmp_path / "x_drz.fits", tweak), "DRZWCS")
    moved = carry_back(exposures, image)
    with fits.open(tmp_path / "x_drz.fits") as hdus:
        old, new = (WCS(hdus["SCI"].header, key=key) for key in ("A", " "))
    for before, after in zip(exposures, moved, strict=True):
        assert after.wcsname == "DRZWCS-FIT"
        for chip, was in zip(after.chips, before.chips, strict=True):
            x, y = old.all_world2pix(*was.distortion.pixel_to_sky(*GRID), 0)
            ra, dec = new.all_pix2world(x, y, 0)
            got = chip.distortion.pixel_to_sky(*GRID)
            off = np.hypot((got[0] - ra) * np.cos(np.radians(dec)), got[1] - dec)
            assert np.max(off) * 3600 / chip.distortion.pixel_scale < 1e-6
            assert chip.distortion.sip_a is was.distortion.sip_a


def test_what_the_image_tells(tmp_path):
    inputs = ("a_flc.fits[sci,1]", "a_flc.fits[sci,2]", "/data/b_flc.fits[sci,1]")
    path = drizzled(tmp_path / "x_drz.fits", {}, inputs=inputs)
    for original in ("A", "a", "drzwcs"):
        image = read_tweaked(path, original)
        assert image.inputs == ("a_flc.fits", "b_flc.fits")
        assert image.rms_mas == pytest.approx((3.6, 7.2))
        assert image.wcsname == "DRZWCS-FIT"
    back = read_tweaked(path, "DRZWCS-FIT", "A")
    assert back.rms_mas is None
    assert back.wcsname == "DRZWCS"


@pytest.mark.parametrize(
    ("original", "tweaked", "match"),
    [("B", "", "no WCS 'B'"), ("IDC", "", "no WCS"), ("A", "DRZWCS", "the same WCS")],
)
def test_a_wcs_that_is_not_there(tmp_path, original, tweaked, match):
    path = drizzled(tmp_path / "x_drz.fits", {})
    with pytest.raises(InputError, match=match) as caught:
        read_tweaked(path, original, tweaked)
    assert caught.value.remedy


def test_images_that_are_no_tweaked_mosaic(tmp_path):
    path = drizzled(tmp_path / "x_drz.fits", {})
    with fits.open(path, mode="update") as hdus:
        for name in ("CRVAL1A", "CRVAL2A", "CTYPE1A"):
            del hdus["SCI"].header[name]
    with pytest.raises(InputError, match="only one WCS"):
        read_tweaked(path, "A")
    flat = drizzled(tmp_path / "y_drz.fits", {})
    fits.setval(flat, "CTYPE1A", value="RA---ARC", ext=1)
    with pytest.raises(InputError, match="no plain tangent plane"):
        read_tweaked(flat, "A")
    other = drizzled(tmp_path / "z_drz.fits", {}, extension="WHT")
    with pytest.raises(InputError, match="no image called SCI"):
        read_tweaked(other, "A")
    assert read_tweaked(other, "A", extension="wht").wcsname == "DRZWCS-FIT"


def test_an_aligned_record_is_not_moved_again(tmp_path):
    (record,) = open_exposures(Maker(tmp_path)())
    image = read_tweaked(drizzled(tmp_path / "x_drz.fits", {}), "A")
    with pytest.raises(ParameterError, match="corrected already"):
        carry_back([record.corrected(Correction((150.0, 2.0)))], image)
