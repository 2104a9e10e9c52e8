"""Our own detection against simulated truth: errors, bias, completeness, cosmic rays."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from hapdask.astrometry.detection import default_parameters, detect_sources
from hapdask.astrometry.guiding import check_guiding
from hapdask.astrometry.sources import BLENDED, SATURATED
from hapdask.config.detection import load_detection
from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masks import write_mask
from hapdask.simulate import Options, Pointing, Scene, simulate_exposure

from .conftest import DEC, IR, RA, UVIS, make_scene


def clean(truth, found):
    """Sources that are single unsaturated stars, with their offsets from the truth."""
    alone = np.hypot(truth.x[:, None] - truth.x, truth.y[:, None] - truth.y)
    np.fill_diagonal(alone, np.inf)
    away, which = truth.nearest(found)
    good = (
        (away < 0.7) & (found.flags & (SATURATED | BLENDED) == 0) & (alone.min(axis=1)[which] > 8.0)
    )
    return (
        found.take(good),
        found.x[good] - truth.x[which[good]],
        (found.y[good] - truth.y[which[good]]),
        which[good],
    )


@pytest.mark.parametrize("name", ["uvis", "ir"])
def test_errors_are_true_and_centroids_unbiased(name, request):
    truth = request.getfixturevalue(name)
    stars, dx, dy, which = clean(truth, detect_sources(truth.record))
    assert len(stars) > 100
    pulls = np.concatenate([dx, dy]) / np.concatenate([stars.error, stars.error])
    assert 0.8 < np.mean(np.clip(pulls, -4, 4) ** 2) < 1.25
    bright = stars.snr > 100
    assert abs(np.median(dx[bright])) < 0.005
    assert abs(np.median(dy[bright])) < 0.005
    phase = 2 * np.pi * np.concatenate([stars.x[bright], stars.y[bright]])
    off = np.concatenate([dx[bright], dy[bright]])
    bias = np.hypot(np.mean(off * np.sin(phase)), np.mean(off * np.cos(phase))) * 2
    assert bias < 0.01
    ratio = stars.flux[bright] * 500.0 / truth.electrons[which[bright]]
    assert np.median(ratio) == pytest.approx(0.94, abs=0.06)  # the halo is taken for background


@pytest.mark.parametrize("name", ["uvis", "ir"])
def test_stars_are_found_and_cosmic_rays_are_not(name, request):
    truth = request.getfixturevalue(name)
    found = detect_sources(truth.record)
    assert truth.false(found) <= 2  # of several thousand hits on the part of the CCD
    away, which = truth.nearest(found)
    noise = np.sqrt(truth.electrons + 8 * (36.0 if name == "ir" else 5.8) ** 2)
    easy = np.flatnonzero(truth.electrons / noise > 30)
    assert np.isin(easy, which[away < 1.0]).mean() > 0.85  # the rest is blended, or hit


def test_saturated_stars_are_flagged(observe):
    truth = observe(Scene.stars([RA, RA + 0.003], DEC, [15.5, 20.0]), UVIS, cosmic_rays=False)
    found = detect_sources(truth.record)
    hot = found.take(found.flags & SATURATED > 0)
    assert len(hot) == 1
    away, _ = truth.nearest(hot)
    assert away[0] < 5 * hot.error[0]
    assert (
        SATURATED
        not in detect_sources(
            truth.record, load_detection("WFC3", "UVIS", overrides={"saturated": False})[0]
        ).flags
    )


def test_a_close_pair_is_told_apart(observe):
    step = 5 * 0.0396 / 3600
    truth = observe(
        Scene.stars([RA, RA + step, *(RA + np.linspace(0.001, 0.004, 8))], DEC, 20.5), UVIS,
        cosmic_rays=False,
    )  # fmt: skip
    found = detect_sources(truth.record)
    away, which = truth.nearest(found)
    assert sorted(which.tolist()) == list(range(truth.x.size))
    assert np.sort(np.diff(np.sort(truth.x)))[0] < 6
    assert np.all(away < 6 * found.error + 0.01)


def test_masks_and_exclusions_are_honoured(uvis, tmp_path):
    found = detect_sources(uvis.record)
    shape = uvis.record.chips[0].shape
    mask = np.zeros(shape, bool)
    mask[:, : shape[1] // 2] = True
    masked = uvis.record.with_mask(1, write_mask(tmp_path / "m.mask", mask, "user"))
    right = detect_sources(masked)
    assert 0 < len(right) < len(found)
    assert right.x.min() > shape[1] // 2 - 1
    region = tmp_path / f"{uvis.record.name}_x.reg"
    region.write_text(f"image\nbox({shape[1] / 4},{shape[0] / 2},{shape[1] / 2},{shape[0]},0)\n")
    assert detect_sources(uvis.record, exclude=[region]).x.min() > shape[1] // 2 - 2


def test_threads_and_repeats_change_no_bit(uvis):
    assert detect_sources(uvis.record, threads=2) == detect_sources(uvis.record)


def test_nothing_to_find(observe, tmp_path):
    truth = observe(Scene.stars(RA + 1.0, DEC, 20.0), UVIS)
    assert len(detect_sources(truth.record)) <= 2
    record = truth.record
    everything = write_mask(tmp_path / "all.mask", np.ones(record.chips[0].shape, bool), "user")
    assert len(detect_sources(record.with_mask(1, everything))) == 0


def test_a_file_that_is_gone_is_an_input_error(observe):
    truth = observe(make_scene(3, 5), IR)
    import os

    os.unlink(truth.record.url)
    with pytest.raises(InputError):
        detect_sources(truth.record, default_parameters(truth.record))


@pytest.fixture
def spoiled(ir, tmp_path):
    """Make a copy of an exposure whose file was changed."""

    def make(change):
        path = tmp_path / Path(ir.record.url).name
        with fits.open(ir.record.url) as hdus:
            changed = fits.HDUList([hdu.copy() for hdu in hdus])
            change(changed)
            changed.writeto(path)
        (record,) = open_exposures(path, strict=True)
        return record

    return make


def all_nan(hdus):
    hdus["SCI", 1].data[:] = np.nan


def all_flagged(hdus):
    hdus["DQ", 1].data[:] = 4


def all_zero(hdus):
    hdus["SCI", 1].data[:] = 0.0
    hdus["ERR", 1].data[:] = 0.0


def all_saturated(hdus):
    hdus["DQ", 1].data[:] = 256


@pytest.mark.parametrize("change", [all_nan, all_flagged, all_zero, all_saturated])
@pytest.mark.parametrize("preset", ["default", "hap", "tweakreg"])
def test_an_image_of_nothing_gives_no_source(spoiled, change, preset):
    record = spoiled(change)
    found = detect_sources(record, default_parameters(record, preset))
    assert len(found) == 0 or preset == "tweakreg"  # it does not look at DQ
    assert check_guiding(record).status == "unknown"


@pytest.mark.parametrize("preset", ["default", "hap", "tweakreg"])
def test_holes_in_the_pixels_do_no_harm(spoiled, preset):
    def holes(hdus):
        hdus["SCI", 1].data[::50, ::7] = np.nan
        hdus["ERR", 1].data[::40] = np.nan
        hdus["ERR", 1].data[:, ::60] = 0.0

    record = spoiled(holes)
    found = detect_sources(record, default_parameters(record, preset))
    assert len(found) > 30
    assert np.isfinite(found.x).all()
    assert np.isfinite(found.flux).all()


def test_a_file_without_dq_and_err_is_searched(tmp_path):
    made = simulate_exposure(
        make_scene(6, 60), "WFPC2", "PC", "F606W", Pointing(RA, DEC, 0.0), 300.0, seed=1,
        chips=[1], rootname="uaaa01aaq", options=Options(flag_cosmic_rays=0.0),
    )  # fmt: skip
    path = made.write(tmp_path)
    for beside in tmp_path.glob("*c1m.fits"):
        beside.unlink()
    (record,) = open_exposures(path, strict=True)
    found = detect_sources(record)
    drawn = made.chips[1].sources
    away = np.hypot(found.x[:, None] - drawn.x, found.y[:, None] - drawn.y).min(axis=1)
    assert len(found) > 10
    assert np.mean(away < 1.0) > 0.7
    assert check_guiding(record, found).status != "trailed"
