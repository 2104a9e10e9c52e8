"""AstroDrizzle's run when exposures fail on the way; blots of many exposures; what is refused."""

import os

import numpy as np
import pytest
from astropy.io import fits
from stacks import observe_stack

import hapdask as hd
from hapdask.drizzling.step_tasks import MedianTile
from hapdask.errors import InputError, ParameterError, PlanError
from hapdask.recipes.astrodrizzle import writing

BLIND = {"sky_bits": None, "driz_sep_bits": None, "final_bits": None}


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    return observe_stack(tmp_path_factory.mktemp("losses"))


@pytest.fixture
def files(observed, tmp_path):
    """Four exposures of the test's own."""
    return [exposure.write(tmp_path) for exposure in observed[1]]


def change(path):
    """Let a file look as if another had taken its place."""
    os.utime(path, ns=(1, 1))


def spoil(path, name, extver=1):
    with fits.open(path, mode="update") as hdus:
        hdus[name, extver].data[:] = np.nan


@pytest.fixture
def medians(monkeypatch):
    """Tiles of the median that are made of exposures, in their order."""
    made, make = [], MedianTile.__call__

    def counted(self):
        made.extend([self.tile.box] if self.stack.exposures else [])
        return make(self)

    monkeypatch.setattr(MedianTile, "__call__", counted)
    return made


class TestBlots:
    @pytest.mark.parametrize("count", [2, 4])
    def test_each_tile_of_the_median_is_made_once(self, files, tmp_path, medians, count):
        """However many exposures look at it, and however many rows of each."""
        run = hd.astrodrizzle(files[:count], threads=2, where=tmp_path / "work", **BLIND)
        written = run.write(
            tmp_path / "out", keep=("median", "blot"), formats=("fits",), planes=("sci", "wht")
        )
        assert len(medians) == len(set(medians)) == len(run.graphs.reading("x")[1]) > 0
        assert not list((tmp_path / "work").glob("medians-*"))
        blots = [path for path in written.files if path.name.endswith("_blt.fits")]
        assert len(blots) == count

    def test_blots_have_the_bits_of_the_lazy_ones(self, files, tmp_path):
        run = hd.astrodrizzle(files, threads=2, driz_cr_corr=True, **BLIND)
        run.write(tmp_path / "out", keep=("median", "blot"), planes=("sci", "wht"))
        kept = fits.getdata(tmp_path / "out/final_med.fits").astype(np.float32)
        assert kept.tobytes() == run.median.values.tobytes()
        for exposure in run.exposures:
            blot = run[exposure.name].blot.values[0]
            path = tmp_path / f"out/{exposure.name}_sci1_blt.fits"
            assert fits.getdata(path).astype(np.float32).tobytes() == blot.tobytes()
            hit = run[exposure.name].crmask.values[0]
            clean = fits.getdata(tmp_path / f"out/{exposure.name}_crclean.fits", ("SCI", 1))
            assert np.array_equal(clean, np.where(hit, blot, fits.getdata(exposure.url, 1)))

    def test_an_exposure_that_fails_is_in_no_median(self, files, tmp_path, monkeypatch):
        """It changes after the cosmic rays were found, and after all files were looked at."""
        monkeypatch.setattr(writing, "look_again", lambda run: change(files[1]))
        run = hd.astrodrizzle(files, threads=2, **BLIND)
        run.write(tmp_path / "out", keep=("median", "blot", "single"), planes=("sci", "wht"))
        assert [each.file for each in run.left_out] == [str(files[1])]
        header = fits.getheader(tmp_path / "out/final_med.fits")
        assert header["NCOMBINE"] == 3
        assert len(list((tmp_path / "out").glob("*_blt.fits"))) == 3
        assert len(list((tmp_path / "out").glob("*_single_sci.fits"))) == 3


class TestChanges:
    @pytest.mark.parametrize("noticed", [True, False])
    def test_a_file_that_changes_after_the_test(self, files, tmp_path, monkeypatch, noticed):
        """Noticed before the mosaic or while it is made: it is left out, the others are drizzled
        with the masks that they have."""
        if not noticed:
            monkeypatch.setattr(writing, "look_again", lambda run: None)
        run = hd.astrodrizzle(files, threads=2, build=True, **BLIND).reject()
        masks = {e.name: e.chips[0].masks for e in run.exposures}
        change(files[2])
        lost = run.exposures[2].name
        run.write(tmp_path / "out", per_exposure=True, formats=("fits", "zarr"), dq_copies=True)
        (left_out,) = run.left_out
        assert left_out.file == str(files[2])
        assert "changed" in left_out.reason
        assert {e.name: e.chips[0].masks for e in run.exposures} == {
            name: each for name, each in masks.items() if name != lost
        }
        with fits.open(tmp_path / "out/final_drc.fits") as product:
            assert product[0].header["NDRIZIM"] == 3
            written = product["SCI"].data.astype(np.float32)
        others = hd.mosaic(run.exposures, run.frame, parameters=run.plan.parameters)
        assert written.tobytes() == others.sci.values.tobytes()
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert f"{lost}_drc.fits" not in names
        assert f"{lost}_drc.zarr" not in names
        assert not (tmp_path / "out/updated" / files[2].name).exists()

    def test_a_run_that_loses_an_exposure_still_has_its_images(self, files):
        run = hd.astrodrizzle(files[:3], threads=2, **BLIND)
        _ = run.measured, run.graphs
        files[0].unlink()
        run.reject()
        assert np.isfinite(run.median.values).all()
        assert np.isfinite(run[run.exposures[0].name].blot.values).any()

    def test_when_all_have_changed(self, files, tmp_path):
        run = hd.astrodrizzle(files[:2], threads=2, **BLIND).reject()
        for path in files[:2]:
            change(path)
        with pytest.raises(PlanError, match=r"no exposure is left(?s:.)*has changed"):
            run.write(tmp_path / "out")
        assert not list(tmp_path.glob("out/*"))

    def test_an_error_of_no_exposure_is_one(self, files, tmp_path, monkeypatch):
        def refuse(*arguments, **options):
            raise InputError("elsewhere.fits", "is odd")

        run = hd.astrodrizzle(files[:2], threads=2, **BLIND).reject()
        monkeypatch.setattr(writing, "write_product", refuse)
        with pytest.raises(InputError, match="is odd"):
            run.write(tmp_path / "out")


class TestNothingInIt:
    @pytest.mark.parametrize("name", ["SCI", "ERR"])
    @pytest.mark.parametrize("count", [1, 3])
    def test_an_exposure_of_nan_is_left_out(self, files, name, count):
        spoil(files[0], name)
        run = hd.astrodrizzle(files[:count], threads=2, **BLIND)
        if count == 1:
            with pytest.raises(PlanError, match=r"(?s)no exposure is left.*SCI or ERR"):
                _ = run.measured
            return
        assert len(run.measured.exposures) == 2
        (lost,) = run.left_out
        assert lost.file == str(files[0])
        assert "no pixel has any weight" in lost.reason
        assert lost.remedy

    @pytest.mark.parametrize("steps", [{}, {"driz_cr": False, "static": False, "skysub": False}])
    def test_a_chip_of_nan_is_told(self, fields, tmp_path, steps):
        paths = [
            fields.write_exposure(tmp_path, f"ia0a0{k}aaq", offset=(1.1 * k, 0.0), seed=k)
            for k in (1, 2)
        ]
        spoil(paths[0], "SCI", 2)
        for _ in range(2):  # measured, and recalled
            run = hd.astrodrizzle(paths, threads=2, where=tmp_path / "work", **BLIND, **steps)
            one, two = run.measured.exposures
            assert one.verdict.status == "warning"
            assert "SCI,2" in one.verdict.reason
            assert "SCI" not in two.verdict.reason
            assert not run.left_out


class TestNothingToMake:
    @pytest.mark.parametrize(
        ("parameters", "options"),
        [({"driz_combine": False}, {}), ({"driz_combine": False}, {"formats": ("zarr",)}),
         ({}, {"formats": ()})],
    )  # fmt: skip
    def test_is_refused_before_any_pixel(self, files, tmp_path, monkeypatch, parameters, options):
        monkeypatch.setattr("hapdask.observe.pixels.ChipReader.__init__", None)
        run = hd.astrodrizzle(files[:2], **parameters, **BLIND)
        with pytest.raises(ParameterError, match=r"nothing would be written.*set driz_combine"):
            run.write(tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    def test_what_is_kept_is_enough(self, files, tmp_path):
        run = hd.astrodrizzle(files[:2], threads=2, driz_combine=False, **BLIND)
        (path,) = run.write(tmp_path / "out", keep=("median",)).files
        assert path.name == "final_med.fits"


def test_corrected_and_uncorrected_exposures(fields, tmp_path):
    """AstroDrizzle calls it drc where the first input is a FLC; drc promises that all are."""
    paths = [fields.write_exposure(tmp_path, f"ia0a0{k}aaq", offset=(1.1 * k, 0.0)) for k in (1, 2)]
    paths[1] = paths[1].rename(tmp_path / "ia0a02aaq_flt.fits")
    for order, upstreams in ((paths, "drc"), (paths[::-1], "drz")):
        run = hd.astrodrizzle(order)
        assert run.suffix == "drz"
        assert any("CTE-corrected" in note for note in run.planned.notes)
        assert hd.astrodrizzle(order, preset="compat").suffix == upstreams


def test_an_exposure_that_misses_the_frame_has_no_mosaic_of_its_own(files, fields, tmp_path):
    far = fields.write_exposure(tmp_path, "ia0a09aaq", offset=(2000.0, 0.0))
    frame = hd.astrodrizzle(files[:2]).frame
    run = hd.astrodrizzle([*files[:2], far], threads=2, frame=frame, **BLIND)
    written = run.write(tmp_path / "out", per_exposure=True, planes=("sci", "wht"))
    assert len([path for path in written.files if path.name.endswith("_sci.fits")]) == 3
    assert not run.left_out
    told = {e.name: e.verdict.reason for e in run.exposures}
    assert [name for name, reason in told.items() if "no mosaic of it alone" in reason] == [
        "ia0a09aaq"
    ]
