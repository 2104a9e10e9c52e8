"""Masks and maps on their way through a run: verdicts, digests of touched tiles, failures."""

import os
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

import hapdask as hd
from hapdask.drizzling.plan import Layer, make_plan
from hapdask.errors import InputError, ParameterError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masks import write_mask
from hapdask.recipes.prepare import layer_parameters
from hapdask.recipes.sky_cells import plan_jobs, prepare, run_job
from hapdask.sky.frame import Frame

FRAME = Frame.from_center(150.1, 2.2045, 0.04, (900, 900))


@pytest.fixture
def exposures(files):
    return list(open_exposures(files[:3]))


def write_masks(path, *masks):
    hdus = [fits.ImageHDU(np.asarray(m).astype("u1"), ver=k) for k, m in enumerate(masks, 1)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
    return path


def corner(rows, columns, shape=(300, 700)):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def planned(records, weight="EXP"):
    parameters = hd.load_parameters("WFC3", "UVIS", 3, overrides={"weight": weight}).parameters
    return make_plan(records, FRAME, Layer("wfc3", "uvis", "f606w"), parameters, tile=64)


def test_only_tiles_that_a_mask_touches_change(exposures, tmp_path):
    """The sky stays as it was: it must not tell the other tiles of the mask."""
    plain = hd.measure(exposures)
    path = tmp_path / "ia0a11aaq_mask.fits"
    write_masks(path, corner(slice(5, 20), slice(3, 9)), corner([], []))
    some = hd.measure(exposures, masks=[path], where=tmp_path / "m")
    assert [v.status for _, v in some.masks] == ["accepted"]
    assert [[c.sky for c in e.chips] for e in some.exposures] == [
        [c.sky for c in e.chips] for e in plain.exposures
    ]
    write_masks(path, corner(slice(5, 20), slice(3, 9)), corner(slice(290, 299), slice(0, 700)))
    more = hd.measure(exposures, masks=[path], where=tmp_path / "m")
    one, two, three = (planned(p.exposures) for p in (plain, some, more))
    changed = {k for k in one.digests if one.digests[k] != two.digests[k]}
    rows = {
        (t.index, i.extver): (i.row0, i.row1)
        for t in one.tiles
        for i in t.inputs
        if one.exposures[i.exposure].name == "ia0a11aaq"
    }
    assert changed == {
        index for (index, extver), (row0, _) in rows.items() if extver == 1 and row0 == 0
    }
    assert 5 < len(changed) < len(one.tiles) / 2
    again = {k for k in one.digests if two.digests[k] != three.digests[k]}
    assert again == {
        index for (index, extver), (_, row1) in rows.items() if extver == 2 and row1 > 256
    }
    same = hd.measure(exposures, masks=[path], where=tmp_path / "m")
    assert planned(same.exposures).digests == three.digests


def test_a_run_with_regions_masks_them(exposures, tmp_path):
    ra, dec = (float(v) for v in exposures[1].chips[0].distortion.pixel_to_sky(350.0, 150.0))
    path = tmp_path / "star.reg"
    path.write_text(f'icrs\ncircle({ra},{dec},1.5")\n')
    prepared = prepare(exposures, tmp_path / "out", masks=[path])
    (job,) = plan_jobs(prepared, frame=FRAME, tile=512)
    wht = hd.open_mosaic(run_job(job, tmp_path / "out").store).wht.values
    assert wht.shape == FRAME.shape
    y, x = np.indices(wht.shape)
    at = FRAME.sky_to_pixel(ra, dec)
    radius = np.hypot(x - at[0], y - at[1]) * 0.04
    assert not wht[radius < 1.4].any()
    assert (wht[(radius > 1.7) & (radius < 2.5)] > 0).mean() > 0.7


def test_masks_need_a_folder_and_maps_their_weight(exposures, tmp_path):
    with pytest.raises(ParameterError, match="give where"):
        hd.measure(exposures, masks=["x.reg"])
    with pytest.raises(ParameterError, match="weight"):
        hd.measure(exposures, ivm={"ia0a11aaq": "x.fits"}, where=tmp_path)


def test_maps_and_the_warning_where_there_is_none(exposures, tmp_path):
    records = [
        replace(e, chips=tuple(replace(c, read_noise=3.0 * (k < 2)) for c in e.chips))
        for k, e in enumerate(exposures)
    ]
    parameters = layer_parameters(records, overrides={"weight": "IVM"})
    plain = hd.measure(records, parameters)
    assert ["read noise" in e.verdict.reason for e in plain.exposures] == [False, False, True]
    path = tmp_path / "maps.fits"
    values = [np.full((300, 700), 0.04) for _ in range(2)]
    hdus = [fits.ImageHDU(v, name="IVM", ver=k) for k, v in enumerate(values, 1)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    given = hd.measure(records, parameters, ivm={"ia0a21aaq": path}, where=tmp_path / "m")
    assert [e.verdict.status for e in given.exposures] == ["accepted"] * 3
    before, after = planned(plain.exposures, "IVM"), planned(given.exposures, "IVM")
    third = {t.index for t in before.tiles if any(i.exposure == 2 for i in t.inputs)}
    assert {k for k in before.digests if before.digests[k] != after.digests[k]} == third


def test_a_broken_mask_costs_one_exposure(exposures, tmp_path):
    np.save(tmp_path / "ia0a11aaq_sci1.npy", np.zeros((3, 3)))
    prepared = hd.measure(exposures, masks=tmp_path / "*.npy", where=tmp_path / "m")
    assert [e.name for e in prepared.exposures] == ["ia0a01aaq", "ia0a21aaq"]
    assert "shape" in prepared.failures[0].problem
    assert prepared.masks[0][1].status == "rejected"
    with pytest.raises(InputError, match="shape"):
        hd.measure(exposures, masks=tmp_path / "*.npy", where=tmp_path / "m", strict=True)


def test_a_mask_that_is_lost_while_tiles_are_made_costs_one_exposure(exposures, tmp_path):
    path = write_masks(
        tmp_path / "ia0a11aaq_mask.fits", corner(slice(0, 300), slice(5, 9)), corner([], [])
    )
    prepared = prepare(exposures, tmp_path / "out", masks=path)
    (job,) = plan_jobs(prepared, frame=FRAME, tile=512)
    (mask,) = prepared.exposures[1].chips[0].masks
    os.remove(mask.url)
    result = run_job(job, tmp_path / "out")
    assert [e.name for e in result.job.plan.exposures] == ["ia0a01aaq", "ia0a21aaq"]
    assert [error.path for error in result.failures] == [mask.url]


def test_files_of_a_record(exposures, tmp_path):
    mask = write_mask(tmp_path / "m.mask", np.ones((300, 700)), "user")
    record = exposures[0].with_mask(1, mask).with_ivm(2, replace(mask, url="/ivm.npy"))
    assert record.files == {record.url, mask.url, "/ivm.npy"}
