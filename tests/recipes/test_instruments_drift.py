"""A constant star over epochs, chips and gains of a simulated instrument, through a store.

PHOTFLAM drifts by 3 % in ten years.  What is asked: flux x PHOTFLAM within 0.1 % of the truth, and
no tile that a later visit does not reach is touched.  Measured: 2e-5.
"""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

import hapdask as hd
from hapdask.recipes.batch import Request, plan_batch, run_batch
from hapdask.simulate import Mode, Options, Pointing, Scene, simulate_exposure
from hapdask.simulate.detectors import get_detector
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.pointing import attitude
from hapdask.simulate.templates import load_template

STAR = (201.3, -47.2)
TILE = 128
#: Instrument, detector, filter, scale of the mosaic (arcsec), seconds, and by epoch: year, roll
#: (degrees), gain, EXTVER of the chip that the star falls on, and where on it (parts of its side).
SETS = {
    "wfpc2": (
        ("WFPC2", "PC", "F555W", 0.1, 200.0),
        (
            ("1994-06-01", 12.0, 7, 2, (0.55, 0.5)),
            ("1998-06-01", 80.0, 15, 3, (0.5, 0.58)),
            ("2004-06-01", 33.0, 7, 1, (0.55, 0.55)),
        ),
    ),
    "uvis": (
        ("WFC3", "UVIS", "F606W", 0.12, 100.0),
        (
            ("2010-06-01", 12.0, None, 1, (0.45, 0.5)),
            ("2015-06-01", 80.0, None, 2, (0.55, 0.4)),
            ("2020-06-01", 33.0, None, 1, (0.9, 0.85)),
        ),
    ),
}


def pointing_to(instrument, detector, date, roll, extver, place):
    """Point such that the star falls on a place of a chip."""
    template = load_template(get_detector(instrument, detector).template)
    ny, nx = get_detector(instrument, detector).shape
    ra, dec = STAR
    for _ in range(3):
        pointing = Pointing(ra, dec, roll, f"{date}T00:00:00")
        frames = attitude(template, pointing, truth=True).frames
        chip = ChipGeometry(template, extver, frames[extver], (ny, nx))
        there = chip.pixel_to_sky([place[0] * nx], [place[1] * ny])
        ra, dec = ra + STAR[0] - float(there[0][0]), dec + STAR[1] - float(there[1][0])
    return pointing


@pytest.fixture(scope="module", params=SETS.values(), ids=SETS)
def epochs(request, tmp_path_factory):
    """Files of the epochs, true flux, scale and layer."""
    (instrument, detector, band, scale, seconds), rows = request.param
    scene = Scene.stars(*STAR, 18.0)
    made = [
        simulate_exposure(
            scene, instrument, detector, band,
            pointing_to(instrument, detector, date, roll, extver, place), seconds, seed=k,
            mode=Mode(gain=gain), options=Options(
                sky=None, noise=False, cosmic_rays=False, defects=False, saturation=False,
                drift=0.003,
            ),
            chips=None if instrument == "WFPC2" else [extver],
        )
        for k, (date, roll, gain, extver, place) in enumerate(rows)
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("epochs")
    flux = float(scene.rates(made[0].passband)[0] * made[0].passband.photflam)
    layer = f"{instrument}_{detector}_{band}".lower()
    return [m.write(folder) for m in made], flux, scale, layer


def run(paths, out, frame):
    request = Request(out=out, frame=frame, name="field", tile=TILE, formats=("fits",))
    report = run_batch(plan_batch(hd.open_exposures(paths, strict=True), request))
    assert not report.left_out
    return report.results[0]


def star_flux(ds, frame, photflam, scale):
    """Flux in a circle of 4 arcsec."""
    y, x = np.ogrid[: frame.shape[0], : frame.shape[1]]
    px, py = frame.sky_to_pixel(*STAR)
    near = np.hypot(x - px, y - py) < 4.0 / scale
    sci = ds.sci.values.astype(float) * frame.pixel_area()
    return sci[near].sum() * photflam


def test_flux_over_epochs(epochs, tmp_path, snapshot):
    paths, flux, scale, layer = epochs
    side = 5 * TILE
    frame = hd.Frame.from_center(*STAR, scale, (side, side))
    figures = [dict(e.keywords) | dict(e.chips[0].keywords) for e in hd.open_exposures(paths)]
    drift = [c["PHOTFLAM"] for c in figures]
    assert max(drift) / min(drift) > 1.025
    before = run(paths[:2], tmp_path, frame)
    fits_path = next((tmp_path / "field").glob("*.fits"))
    old = hd.open_mosaic(before.store).compute()
    photflam = fits.getheader(fits_path, "SCI")["PHOTFLAM"]
    assert star_flux(old, frame, photflam, scale) == pytest.approx(flux, rel=1e-3)
    files = snapshot(tmp_path)
    after = run(paths, tmp_path, frame)
    new = hd.open_mosaic(after.store).compute()
    assert fits.getheader(fits_path, "SCI")["PHOTFLAM"] == photflam
    assert star_flux(new, frame, photflam, scale) == pytest.approx(flux, rel=1e-3)
    last = after.job.plan.exposures[-1].name
    reached = {
        tile.index
        for tile in after.job.plan.tiles
        if any(after.job.plan.exposures[i.exposure].name == last for i in tile.inputs)
    }
    planned = set(before.job.plan.digests)
    assert reached & planned
    assert planned - reached
    for index in planned - reached:
        ty, tx = index
        window = np.s_[ty * TILE : (ty + 1) * TILE, tx * TILE : (tx + 1) * TILE]
        assert before.job.plan.digests[index] == after.job.plan.digests[index]
        for name in old.data_vars:
            if old[name].dims == ("y", "x"):
                assert old[name].values[window].tobytes() == new[name].values[window].tobytes()
    # Nor are their files written.
    now = snapshot(tmp_path)
    chunks = {p for p in files if "/c/" in p and layer in p}
    changed = {tuple(map(int, p.split("/")[-2:])) for p in chunks if now[p] != files[p]}
    assert changed <= reached
    assert after.kept == len(planned - reached)
