"""Cores of stars narrower than a pixel are no cosmic rays: our presets for the sharp detectors,
and for pixels that were binned on the chip."""

import numpy as np
import pytest

import hapdask as hd
from hapdask.simulate import Mode, Options, Pointing, Scene, Subarray, simulate_exposure

RA, DEC = 179.8643, 26.0027
DITHERS = ((0.0, 0.0), (0.61, 0.33), (-0.47, 0.71), (0.29, -0.53))
#: Setup, chips, half width and step of a square of stars (arcsec), their magnitude.
CASES = {
    "nic3": ("NICMOS", "NIC3", "F160W", None, 22.0, 8.0, 19.5),
    "stis": ("STIS", "CCD", "50CCD", None, 20.0, 5.0, 19.0),
    "wfpc2": ("WFPC2", "PC", "F555W", (1,), 14.0, 4.0, 20.0),
}
#: Part of a UVIS chip, and its centre, arcsec east and north of where the telescope points.
PART, EAST, NORTH = Subarray(1, 1800, 512, 600, 600), -59.6, -8.6


@pytest.fixture(params=CASES, scope="module")
def field(request, tmp_path_factory):
    """Four dithered exposures without cosmic rays, and where their stars are."""
    instrument, detector, band, chips, half, step, mag = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    x, y = np.meshgrid(np.arange(-half, half + 0.1, step), np.arange(-half, half + 0.1, step))
    x, y = x.ravel() + 0.1 * np.sin(np.arange(x.size)), y.ravel() + 0.1 * np.cos(np.arange(x.size))
    scene = Scene.stars(RA + x / 3600.0 / np.cos(np.radians(DEC)), DEC + y / 3600.0, mag)
    made = [
        simulate_exposure(
            scene, instrument, detector, band, Pointing(RA, DEC, 35.0, dither=dither), 200.0,
            seed=i, chips=chips, options=Options(cosmic_rays=False),
        )
        for i, dither in enumerate(DITHERS)
    ]  # fmt: skip
    files = [exposure.write(folder) for exposure in made]
    return files, {exposure.rootname: exposure.chips[1].sources for exposure in made}


def test_cores_of_stars_stay(field):
    """At most one pixel in 200 of the 3 x 3 about each star is taken for a cosmic ray."""
    files, stars = field
    run = hd.astrodrizzle(files)
    run.reject()
    flagged = seen = 0
    for exposure in run.exposures:
        mask = run[exposure.name].crmask[0].values
        ny, nx = mask.shape
        drawn = stars[exposure.name]
        for x, y in zip(np.rint(drawn.x).astype(int), np.rint(drawn.y).astype(int), strict=True):
            if 60 < x < nx - 3 and 60 < y < ny - 3:  # outside the shadow of WFPC2's pyramid
                core = mask[y - 1 : y + 2, x - 1 : x + 2]
                flagged, seen = flagged + int(core.sum()), seen + core.size
    assert seen > 300
    assert flagged <= seen / 200


@pytest.fixture(params=[2, 3], ids=["2x2", "3x3"], scope="module")
def binned(request, tmp_path_factory):
    """Scene of single stars; files without cosmic rays and with them; which pixels they raised."""
    side = np.arange(-10.0, 10.1, 1.5)
    x, y = (v.ravel() + 0.3 * f(np.arange(v.size) ** 2)
            for v, f in zip(np.meshgrid(side, side), (np.sin, np.cos), strict=True))  # fmt: skip
    ra, dec = RA + (x + EAST) / 3600.0 / np.cos(np.radians(DEC)), DEC + (y + NORTH) / 3600.0
    scene = Scene.stars(ra, dec, np.linspace(20.5, 23.5, x.size))
    files, raised = {False: [], True: []}, {}
    for i, dither in enumerate(DITHERS[:3]):
        pair = [
            simulate_exposure(
                scene, "WFC3", "UVIS", "F606W", Pointing(RA, DEC, 35.0, dither=dither), 300.0,
                seed=i, mode=Mode(binning=request.param, subarray=PART),
                options=Options(cosmic_rays=hit, flag_cosmic_rays=0.0, focus=2.0),
            )
            for hit in (False, True)
        ]  # fmt: skip
        for hit, exposure in zip((False, True), pair, strict=True):
            files[hit].append(exposure.write(tmp_path_factory.mktemp("binned")))
        clean, hit = (exposure.hdus for exposure in pair)
        charge = hit["SCI"].data - clean["SCI"].data
        raised[pair[0].rootname] = (charge > 5.0 * clean["ERR"].data) & (clean["DQ"].data == 0)
    return scene, files, raised


def fluxes(run, scene):
    """Sum of the pixels within 0.48 arcsec of every star; NaN near the rim of the exposures."""
    sci, depth = run.mosaic.sci.values, run.mosaic.nexp.values
    radius, sums = 0.48 / run.frame.pixel_scale, []
    reach = int(radius) + 2
    for x, y in zip(*run.frame.sky_to_pixel(scene.ra, scene.dec), strict=True):
        i, j = round(x), round(y)
        box = np.s_[max(j - reach, 0) : j + reach + 1, max(i - reach, 0) : i + reach + 1]
        rows, columns = np.mgrid[box]
        inside = np.hypot(rows - y, columns - x) <= radius
        known = depth[box].shape == inside.shape and (depth[box] >= 3).all()
        sums.append(sci[box][inside].sum() if known else np.nan)
    return np.array(sums)


OFF = {"median": False, "blot": False, "driz_cr": False}


def scatter(ratio):
    """Two thirds of the values are nearer to 1."""
    return np.nanpercentile(np.abs(ratio - 1.0), 68)


def test_stars_of_binned_pixels_keep_their_light(binned):
    """Without cosmic rays nothing is lost; with them the median flux is right, and most are found.

    Pixels of 3 x 3 are hit nine times as often, many in two of three exposures: no test of three
    finds those.
    """
    scene, files, raised = binned
    wanted = fluxes(hd.astrodrizzle(files[False], **OFF), scene)
    spared = fluxes(hd.astrodrizzle(files[False]), scene) / wanted
    assert np.isfinite(spared).sum() > 60
    assert np.nanmedian(spared) == 1.0
    assert np.nanmean(spared < 0.99) <= 0.02
    run = hd.astrodrizzle(files[True])
    ratio = fluxes(run, scene) / wanted
    assert abs(np.nanmedian(ratio) - 1.0) < 0.01
    pixels = wanted / 10.0 ** (-0.4 * scene.mag)  # scatters by where in its pixel a star falls
    assert scatter(ratio) < max(scatter(pixels / np.nanmedian(pixels)), 0.05)
    assert run.resolved.origin["driz_cr_scale"].endswith("default.toml [binned]")
    inner = np.s_[30:-30, 30:-30]
    found = sum((run[n].crmask[0].values & hit)[inner].sum() for n, hit in raised.items())
    assert found > 0.85 * sum(hit[inner].sum() for hit in raised.values())
    unknown = fluxes(hd.astrodrizzle(files[False], driz_cr_scale="1.5 1.2"), scene) / wanted
    assert np.nanmean(unknown < 0.95) > 0.3  # what whole pixels have


def test_a_single_binned_exposure_is_not_tested_by_shape(binned):
    """The test knows stars on whole pixels: it took nearly all the light of binned ones."""
    _, files, _ = binned
    run = hd.astrodrizzle(files[False][:1])
    assert not run.parameters.cosmic_rays.driz_cr_single
    wanted = hd.astrodrizzle(files[False][:1], **OFF, driz_cr_single=False)
    assert np.array_equal(run.mosaic.sci.values, wanted.mosaic.sci.values, equal_nan=True)
