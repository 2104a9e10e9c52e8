"""The product of an AstroDrizzle run: what it tells, units and fills, names, forms."""

import re
import shutil
import subprocess

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from imagers import make_hrc, make_wfpc2
from numpy.testing import assert_array_equal

import hapdask as hd
from hapdask.config.astrodrizzle import NAMES
from hapdask.config.astrodrizzle_presets import load_astrodrizzle
from hapdask.errors import ParameterError, StoreError
from hapdask.photometry.fluxfactor import apply_gain_factors, layer_gain
from hapdask.products.export_zarr import open_export, write_zarr
from hapdask.products.finishing import finish_mosaic
from hapdask.products.fits_reader import open_fits
from hapdask.products.header_source import HeaderSource
from hapdask.products.index import attach_frame, frame_of
from hapdask.products.layout import variable_attributes
from hapdask.products.run_product import product_path, write_product
from hapdask.products.told import Told, run_attributes, told_of
from hapdask.sky.frame import Frame

SHAPE = (700, 650)


@pytest.fixture(scope="module")
def hrc(tmp_path_factory):
    """Two exposures of ACS/HRC."""
    path = make_hrc(tmp_path_factory.mktemp("hrc"))
    other = path.with_name("j8bt06nzq_flt.fits")
    with fits.open(path) as hdus:
        hdus[0].header["ROOTNAME"] = "j8bt06nzq"
        hdus[0].header["EXPTIME"] = 2 * hdus[0].header["EXPTIME"]
        hdus.writeto(other)
    first, second = hd.open_exposures([path, other], strict=True)
    return first.with_sky(1.5), second.with_sky(2.5)


@pytest.fixture(scope="module")
def wfpc2(tmp_path_factory):
    path = make_wfpc2(tmp_path_factory.mktemp("wfpc2"))
    return tuple(apply_gain_factors(hd.open_exposures([path], strict=True)))


def resolve(exposures, **overrides):
    first = exposures[0]
    return load_astrodrizzle(
        first.instrument, first.detector, len(exposures), preset="compat", overrides=overrides
    )


def mosaic(exposures, resolved, *, unit="electron / s", chunks=300, notes=()):
    """A mosaic of a run as it is before it is finished: a third of it without data."""
    rng = np.random.default_rng(5)
    wht = rng.uniform(1.0, 900.0, SHAPE).astype(np.float32)
    wht[:, :200] = 0
    ctx = np.where(wht > 0, np.uint64(77), np.uint64(0))
    sci = np.where(wht > 0, rng.normal(0.2, 1.0, SHAPE), np.nan).astype(np.float32)
    planes = {"sci": sci, "wht": wht, "err": np.abs(sci) + np.float32(0.1), "ctx": ctx}
    variables = {
        name: (("y", "x"), da.from_array(plane, chunks=chunks), variable_attributes(name, unit))
        for name, plane in planes.items()
    }
    chips = tuple((e.name, c.extver) for e in exposures for c in e.chips)
    variables["ctx"][2]["palette"] = {0: (), 77: chips}
    ra, dec = (float(np.mean(side)) for side in exposures[0].footprint.polygons[0])
    frame = Frame.from_center(ra, dec, 0.025, SHAPE)
    attrs = {
        "instrument": exposures[0].instrument,
        "detector": exposures[0].detector,
        "filter": exposures[0].filter,
        "scale": "custom",
        "flux_unit": unit,
        "records": {e.name: e for e in exposures},
        **run_attributes(resolved, notes),
    }
    return attach_frame(xr.Dataset(variables, attrs=attrs), frame)


# Units and fills


def test_without_anything_asked_for_the_planes_are_the_same_objects(hrc):
    before = mosaic(hrc, resolve(hrc))
    after = finish_mosaic(before, hrc, resolve(hrc).parameters)
    for name in before:
        assert after[name].data is before[name].data
    assert after.attrs["flux_unit"] == "electron / s"
    assert frame_of(after) == frame_of(before)


def test_counts_are_rates_times_the_exposure_time_once_each(hrc):
    resolved = resolve(hrc, final_units="counts", final_fillval=-7.0)
    before = mosaic(hrc, resolved)
    after = finish_mosaic(before, hrc, resolved.parameters)
    assert dask.is_dask_collection(after.sci.data)
    time = np.float32(hrc[0].exptime + hrc[1].exptime)
    covered = before.wht.values > 0
    assert_array_equal(after.sci.values[covered], before.sci.values[covered] * time)
    assert (after.sci.values[~covered] == -7.0).all()  # AstroDrizzle would have -7 * time
    assert_array_equal(after.err.values, before.err.values * time)
    assert after.wht.data is before.wht.data
    assert after.attrs["flux_unit"] == after.sci.attrs["units"] == "electron"
    assert after.err.attrs["units"] == "electron"
    assert after.attrs["recipe"] == "astrodrizzle"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"final_maskval": 3.0}, 3.0),
        ({"final_fillval": 0.0}, 0.0),
        ({"final_fillval": 0.0, "final_maskval": 3.0}, 0.0),
        ({}, np.nan),
    ],
)
def test_what_stands_where_nothing_has_weight(hrc, given, value):
    before = mosaic(hrc, resolve(hrc))
    after = finish_mosaic(before, hrc, resolve(hrc, **given).parameters)
    empty = before.wht.values == 0
    assert_array_equal(after.sci.values[empty], np.float32(value))
    assert np.isnan(after.err.values[empty]).all()


@pytest.mark.parametrize(
    ("given", "factor"),
    [
        ({"final_wt_scl": 2.5}, 2.5),
        ({"final_wt_scl": "expsq"}, 1.0),
        ({"final_wt_scl": 2.5, "final_wht_type": "ERR"}, 1.0),
    ],
)
def test_a_number_scales_weights_of_type_exp_alone(hrc, given, factor):
    before = mosaic(hrc, resolve(hrc))
    after = finish_mosaic(before, hrc, resolve(hrc, **given).parameters)
    assert_array_equal(after.wht.values, before.wht.values * np.float32(factor))
    assert after.sci.data is before.sci.data


def test_counts_become_electrons_by_the_gain_of_the_last_chip(wfpc2):
    resolved = resolve(wfpc2, proc_unit="electrons")
    before = mosaic(wfpc2, resolved, unit="count / s")
    after = finish_mosaic(before, wfpc2, resolved.parameters)
    gain = layer_gain(wfpc2)
    assert gain == wfpc2[0].chips[-1].gain > 1
    covered = before.wht.values > 0
    assert_array_equal(after.sci.values[covered], before.sci.values[covered] * np.float32(gain))
    assert after.attrs["flux_unit"] == "electron / s"
    native = finish_mosaic(before, wfpc2, resolve(wfpc2).parameters)
    assert native.attrs["flux_unit"] == "count / s"
    assert native.sci.data is before.sci.data
    with pytest.raises(ParameterError, match="final units already"):
        finish_mosaic(after, wfpc2, resolved.parameters)


def test_blocks_of_any_size_give_the_same_bytes(hrc):
    resolved = resolve(hrc, final_units="counts", final_fillval=1.0, final_wt_scl=3.0)
    small, whole = (
        finish_mosaic(mosaic(hrc, resolved, chunks=n), hrc, resolved.parameters) for n in (97, 700)
    )
    for name in ("sci", "wht", "err"):
        assert small[name].values.tobytes() == whole[name].values.tobytes()


# What is told


def test_both_kinds_of_parameters_have_one_form(hrc):
    run = Told.of_astrodrizzle(resolve(hrc, final_pixfrac=0.8, final_wt_scl=2, clean=True))
    assert (run.kernel, run.pixfrac, run.weight, run.weight_scale) == ("square", 0.8, "EXP", 2.0)
    assert run.origin["final_pixfrac"] == "given"
    assert list(run.ignored) == ["clean"]
    assert not run.hap
    layer = Told.of_drizzle(hd.load_parameters("ACS", "HRC", 2, overrides={"pixfrac": 0.8}))
    assert (layer.kernel, layer.pixfrac, layer.weight) == ("square", 0.8, "EXP")
    assert layer.hap
    assert run.drop.pixfrac == layer.drop.pixfrac == 0.8
    assert Told.of_astrodrizzle(resolve(hrc, final_pixfrac=0)).drop.kernel == "point"


def test_steps_that_are_off_are_told_and_why(hrc):
    alone = Told.of_astrodrizzle(resolve(hrc[:1], median=True, blot=True, driz_cr=True))
    reason = "no exposure has a partner"
    assert [note for note in alone.notes if reason in note] == [
        f"step {label} not run: {name} is off: {reason}"
        for name, label in (("median", "median"), ("blot", "blot"), ("driz_cr", "cosmic rays"))
    ]
    two = Told.of_astrodrizzle(resolve(hrc, static=False), ("sky of j8bt06nyq given",))
    assert two.notes[0] == "step static mask not run: static is given"
    assert two.notes[-1] == "sky of j8bt06nyq given"


def test_what_is_told_survives_plain_data(hrc):
    resolved = resolve(hrc, combine_nsigma="5 4", gain="1.5,2.5", clean=True)
    told = told_of(run_attributes(resolved, ("a note",)))
    assert told == Told.of_astrodrizzle(resolved, ("a note",))
    assert told.values["combine_nsigma"] == (5.0, 4.0)
    assert told_of({}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"final_kernel": "wobbly"}}, "damaged"),
        ({"parameters": 7}, "damaged"),
        ({"recipe": "alchemy"}, "'alchemy' that this version"),
    ],
)
def test_damaged_parameters_are_an_error(hrc, change, message):
    with pytest.raises(StoreError, match=message):
        told_of(run_attributes(resolve(hrc)) | change)


# Files


@pytest.mark.parametrize(
    ("root", "suffix", "name"),
    [
        ("final", "drc", "final_drc.fits"),
        ("final_drz.fits", "drc", "final_drc.fits"),
        ("final_drz", "drz", "final_drz.fits"),
        ("m51.fits", "drz", "m51.fits"),
        ("u40x010hm", "drw", "u40x010hm_drw.fits"),
    ],
)
def test_names_are_those_of_upstream(tmp_path, root, suffix, name):
    assert product_path(tmp_path, root, suffix) == tmp_path / name
    with pytest.raises(StoreError, match="cannot be a file name"):
        product_path(tmp_path, f"../{root}", suffix)


def finished(hrc, **overrides):
    resolved = resolve(hrc, **overrides)
    dataset = mosaic(hrc, resolved, notes=("a note of the run",))
    return finish_mosaic(dataset, hrc, resolved.parameters)


def source_of(dataset):
    return HeaderSource.of_mosaic(dataset.attrs, frame_of(dataset))


def verified(paths):
    for path in paths:
        done = subprocess.run(["fitsverify", path], capture_output=True, text=True, check=False)
        found = re.findall(r'Name "[A-Z-]+" contains', done.stdout)  # DATE-OBS and its like
        assert f"{len(found)} warning(s) and 0 error(s)" in done.stdout, done.stdout


@pytest.mark.parametrize("build", [False, True])
def test_one_file_or_a_file_per_image(tmp_path, hrc, build):
    dataset = finished(hrc, build=build, final_fillval=0.0, final_units="counts")
    paths = write_product(
        dataset, tmp_path / "out", "final", "drz", source_of(dataset), build=build, context=True
    )
    names = ["final_drz.fits"]
    if not build:
        names = [f"final_drz_{image}.fits" for image in ("sci", "wht", "err", "ctx")]
    assert [path.name for path in paths] == names
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(names)
    if shutil.which("fitsverify"):
        verified(paths)
    again = open_fits(paths[0])
    for name in ("sci", "wht", "err"):
        assert_array_equal(again[name].values, dataset[name].values)
    assert again.attrs["flux_unit"] == "electron"
    with fits.open(paths[0], checksum=True) as hdus:
        assert "HDRTAB" in hdus
        primary, science = hdus[0].header, hdus["SCI"].header if build else hdus[0].header
        table = hdus["HDRTAB"].data
        assert_array_equal(table["MDRIZSKY"], [1.5, 2.5])
        assert "HAPEXPNAME" not in table.names
        assert science["MDRIZSKY"] == 2.0  # ACS: the mean
        assert science["BUNIT"] == "ELECTRONS"
        assert science["NCOMBINE"] == 2
        assert primary["EXPTIME"] == sum(e.exptime for e in hrc)
        assert primary["ROOTNAME"] == "final"
        assert "HAPLEVEL" not in primary
        assert "MEANNEXP" not in primary
        assert (primary["D001OUUN"], primary["D001FVAL"]) == ("counts", "0.0")
        assert primary["D002KERN"] == "square"
        assert primary["D001WTSC"] == 1.0
        history = list(primary["HISTORY"])
        assert "parameter final_units = 'counts' from given" in history
        assert "parameter final_maskval = None from built in" in history
        assert "a note of the run" in history
        told = [line.split()[1] for line in history if line.startswith("parameter ")]
        assert told == list(NAMES)


def test_photflam_of_electrons_is_per_electron(wfpc2):
    per_count, per_electron = (
        finish_mosaic(
            mosaic(wfpc2, resolve(wfpc2), unit="count / s"), wfpc2, resolve(wfpc2, **x).parameters
        )
        for x in ({}, {"proc_unit": "electrons"})
    )
    from hapdask.products.headers import ProductCards

    values = [
        {
            c.keyword: c.value
            for c in ProductCards(source_of(d), frame_of(d), "x", {}).image("SCI", "")
        }
        for d in (per_count, per_electron)
    ]
    assert values[0]["PHOTFLAM"] / values[1]["PHOTFLAM"] == pytest.approx(layer_gain(wfpc2))
    assert [v["BUNIT"] for v in values] == ["COUNTS/S", "ELECTRONS/S"]


@pytest.mark.parametrize(("weight", "power"), [("ERR", 0), ("IVM", 2)])
def test_weights_by_error_tell_upstreams_factor(hrc, weight, power):
    from hapdask.products.drizzle_cards import drizzle_cards

    told = Told.of_astrodrizzle(resolve(hrc, final_wht_type=weight, final_wt_scl=3))
    values = {c.keyword: c.value for c in drizzle_cards(hrc, told, 0.05, {}, "x")}
    for number, exposure in enumerate(hrc, 1):
        ratio = 0.05 / exposure.chips[0].idcscale
        expected = exposure.exptime**power / ratio**4
        assert values[f"D00{number}WTSC"] == pytest.approx(expected)


def test_exposures_of_a_run_keep_its_order(hrc):
    resolved = resolve(hrc)
    dataset = mosaic(hrc[::-1], resolved)
    assert [e.name for e in source_of(dataset).exposures] == [e.name for e in hrc[::-1]]


def test_a_mosaic_of_a_run_survives_zarr(tmp_path, hrc):
    dataset = finished(hrc, final_units="counts", combine_nsigma="5 4")
    again = open_export(write_zarr(dataset, tmp_path / "final_drz.zarr"))
    for name in ("sci", "wht", "err", "ctx"):
        assert_array_equal(again[name].values, dataset[name].values)
    assert again.attrs["flux_unit"] == again.sci.attrs["units"] == "electron"
    assert told_of(again.attrs) == told_of(dataset.attrs)
    assert source_of(again).chips == source_of(dataset).chips
    assert again.ctx.attrs["palette"][77] == dataset.ctx.attrs["palette"][77]
    first = write_product(
        again, tmp_path / "a", "x", "drz", source_of(again), build=True, context=True
    )
    second = write_product(
        dataset, tmp_path / "b", "x", "drz", source_of(dataset), build=True, context=True
    )
    assert first[0].read_bytes() == second[0].read_bytes()


def test_a_mosaic_without_its_image_is_refused(tmp_path, hrc):
    dataset = finished(hrc)
    with pytest.raises(StoreError, match="no sci"):
        write_product(
            dataset.drop_vars("sci"), tmp_path, "x", "drz", source_of(dataset),
            build=True, context=False,
        )  # fmt: skip
