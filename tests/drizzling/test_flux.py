"""What the numbers mean: surface brightness is kept, and stars add up to their light.

Apertures hold all of a star's simulated light: 2.0 arcsec (UVIS), 4.2 (IR), 3.2 (WFC).
Measured: sums times ``pixel_area`` within 2.5e-6 of truth.
"""

from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.tile import drizzle_tile
from hapdask.observe.parts import PixelSource
from hapdask.sky.grid import SkyGrid

CASES = [("UVIS", "fine"), ("IR", "fine"), ("IR", "coarse"), ("WFC", "fine")]

#: Sky cells of one projection cell: its middle, about half way out, its corner.
CELLS = {"middle": (11, 11), "half way": (19, 13), "corner": (21, 21)}


def at_cell(record, cell):
    """The exposure, pointed at the middle of a sky cell (chips keep their places to each other)."""
    ra, dec = cell.frame().center
    first = record.chips[0].distortion.crval
    chips = []
    for chip in record.chips:
        old = chip.distortion.crval
        shift = (old[0] - first[0]) * np.cos(np.radians(old[1])) / np.cos(np.radians(dec))
        crval = (ra + shift, dec + old[1] - first[1])
        chips.append(replace(chip, distortion=replace(chip.distortion, crval=crval)))
    return replace(record, chips=tuple(chips))


def window(frame, ra, dec, half):
    """Square window of a frame about a position, and the position in it."""
    x, y = (float(v) for v in frame.sky_to_pixel(ra, dec))
    y0, x0 = round(y) - half, round(x) - half
    part = frame[max(y0, 0) : y0 + 2 * half + 1, max(x0, 0) : x0 + 2 * half + 1]
    assert part.shape == (2 * half + 1, 2 * half + 1)
    return part


def star_sums(starry, cell, scale, parameters):
    """Light of every star over truth, without and with ``pixel_area``."""
    record = at_cell(starry.record, cell)
    frame, found = cell.frame(scale), []
    half = int(starry.aperture / frame.pixel_scale) + 3
    for chip in record.chips:
        x, y, rate = starry.stars[chip.extver]
        for ra, dec, truth in zip(*chip.distortion.pixel_to_sky(x, y), rate, strict=True):
            part = window(frame, ra, dec, half)
            tile = drizzle_tile([record], part, parameters, ("sci", "wht"))
            sci = tile.plane("sci").astype(float)
            cx, cy = part.sky_to_pixel(ra, dec)
            yy, xx = np.indices(part.shape)
            radius = np.hypot(xx - cx, yy - cy) * frame.pixel_scale
            inside = radius <= starry.aperture
            if np.isnan(sci[inside]).any():
                continue  # the aperture leaves the chip
            area = part.pixel_area()
            found.append((sci[inside].sum() / truth, (sci * area)[inside].sum() / truth))
    return np.array(found)


@pytest.mark.parametrize("place", CELLS)
@pytest.mark.parametrize(("detector", "scale"), CASES)
def test_stars_add_up_to_their_light(starry, detector, scale, place):
    cell = SkyGrid()[1889].cell(*CELLS[place])
    sums = star_sums(starry(detector), cell, scale, DrizzleParameters())
    assert len(sums) >= 7
    assert np.abs(sums[:, 1] - 1.0).max() < 5e-5  # the gate is 1e-3
    excess = sums[:, 0].mean() - 1.0
    expected = {"middle": 0.0, "half way": 0.002, "corner": 0.005}[place]
    assert excess == pytest.approx(expected, abs=4e-4)
    frame = cell.frame(scale)
    centre = frame.pixel_area(0.5 * frame.shape[0], 0.5 * frame.shape[1])
    assert excess == pytest.approx(1.0 / float(centre) - 1.0, abs=2e-4)


def test_small_drops_keep_the_light(starry):
    """Gaps between drops leave fewer samples of a star, not less light of it."""
    cell = SkyGrid()[1889].cell(11, 11)
    sums = star_sums(starry("WFC"), cell, "fine", DrizzleParameters(pixfrac=0.9))
    assert np.abs(sums[:, 1].mean() - 1.0) < 2e-3


def constant(record, value=1.0):
    """The exposure with every science pixel of one value, errors 1 and no flags."""
    sci, err = PixelSource(0, ">f4", constant=value), PixelSource(0, ">f4", constant=1.0)
    return replace(record, chips=tuple(replace(c, sci=sci, err=err, dq=None) for c in record.chips))


@pytest.mark.parametrize(
    ("detector", "scale", "place", "pixfrac"),
    [(*case, place, 1.0) for case in CASES for place in ("middle", "corner")]
    + [("UVIS", "fine", "corner", 0.8)],
)
def test_one_per_pixel_gives_the_square_of_the_scale_ratio(starry, detector, scale, place, pixfrac):
    cell = SkyGrid()[1889].cell(*CELLS[place])
    record = at_cell(constant(starry(detector).record), cell)
    frame = cell.frame(scale)
    seconds = 1.0 if detector == "IR" else record.exptime
    for chip in record.chips:
        ratio = (frame.pixel_scale / chip.idcscale) ** 2
        ny, nx = chip.shape
        corners = np.array([[30.0, 30.0], [nx - 31.0, 30.0], [0.5 * nx, 0.5 * ny]]).T
        for ra, dec in zip(*chip.distortion.pixel_to_sky(*corners), strict=True):
            part = window(frame, ra, dec, 12)
            tile = drizzle_tile(
                [record], part, DrizzleParameters(pixfrac=pixfrac), ("sci", "wht", "nexp")
            )
            sci = tile.plane("sci")[tile.plane("nexp") > 0]
            assert sci.size > 300
            assert np.abs(sci * seconds / ratio - 1.0).max() < 1e-6
    known = {("UVIS", "fine"): 1.0193, ("WFC", "fine"): 0.64, ("IR", "fine"): 0.09728}
    if (detector, scale) in known:
        assert ratio == pytest.approx(known[detector, scale], rel=1e-4)


def test_sky_is_subtracted_in_its_own_units(starry):
    cell = SkyGrid()[1889].cell(11, 11)
    record = at_cell(constant(starry("UVIS").record, 120.0), cell)
    chip = record.chips[0]
    ra, dec = (float(v[0]) for v in chip.distortion.pixel_to_sky([700.0], [800.0]))
    part = window(cell.frame(), ra, dec, 10)
    gain = (0.04 / chip.idcscale) ** 2 / record.exptime
    for sky in (0.0, 119.0, 120.0, 130.5):
        sci = drizzle_tile([record.with_sky(sky)], part, DrizzleParameters()).plane("sci")
        np.testing.assert_allclose(sci, (120.0 - sky) * gain, rtol=1e-6, atol=1e-12)


def test_a_wide_sum_has_the_noise_that_err_and_noise_ratio_promise(fields, tmp_path):
    """Empirical: noise of sums over boxes is err N R (1 - r / 3N), science.md."""
    from hapdask.observe.exposure import open_exposures
    from hapdask.sky.frame import Frame

    paths = []
    for k in range(3):
        turn, up = np.radians(24.0 * k), 0.5 * 704 * 0.0396  # the first chip hangs below the centre
        offset = (0.0137 * k - up * np.sin(turn), 0.021 * k + up * np.cos(turn))
        options = {"offset": offset, "roll": 24.0 * k, "seed": k, "start": 58000.0 + k}
        paths.append(
            fields.write_exposure(
                tmp_path, f"ia0a{k}1aaq", shape=(700, 1000), fill=fields.clean, chips=1, **options
            )
        )
    records = [r.with_sky(40.0) for r in open_exposures(paths)]
    frame = Frame.from_center(150.1, 2.2, 0.04, (480, 480))
    tile = drizzle_tile(records, frame, DrizzleParameters())
    sci, err, ratio = (tile.plane(n).astype(float) for n in ("sci", "err", "noise_ratio"))
    n = 20
    boxes = sci.reshape(24, n, 24, n).sum((1, 3))
    per_pixel = np.sqrt(np.mean(err**2))
    wide = np.sqrt(np.mean((err * ratio) ** 2))
    promised = wide * n * (1.0 - 1.0 / (3 * n))
    # The fill has a noise of 6 where the errors say 5; 576 boxes give 3 %.
    assert boxes.std() == pytest.approx(1.2 * promised, rel=0.1)
    assert sci.std() == pytest.approx(1.2 * per_pixel, rel=0.03)
