"""Runs in which exposures have no partner, or in which steps are off: nothing is lost by that."""

import numpy as np
import pytest
from astropy.io import fits
from stacks import DEC, RA, crowded, observe_stack

import hapdask as hd
from hapdask.errors import InputError, ParameterError, PlanError
from hapdask.recipes.astrodrizzle.keeping import KEPT
from hapdask.simulate import Mode, Pointing, Subarray, simulate_exposure


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return observe_stack(tmp_path_factory.mktemp("alone"), count=2)[0]


@pytest.fixture(scope="module")
def apart(files, tmp_path_factory):
    """An exposure a minute of arc beside the others."""
    pointing = Pointing(RA, DEC, 10.0, dither=(60.0, 0.0))
    mode = Mode(subarray=Subarray(1, 1800, 900, 420, 420))
    made = simulate_exposure(
        crowded(), "WFC3", "UVIS", "F606W", pointing, 600.0, seed=9, mode=mode,
        rootname="icr0901aq",
    )  # fmt: skip
    return made.write(tmp_path_factory.mktemp("apart"))


def _flagged(path, folder):
    """A copy in which no pixel is good."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    with fits.open(copy, mode="update") as hdus:
        hdus["DQ"].data[:] = 4
    return copy


def _sky_and_sci(folder):
    with fits.open(folder / "icr0001aq_drc_sci.fits") as hdus:
        return hdus["HDRTAB"].data["MDRIZSKY"][0], hdus[0].data


def test_a_single_exposure_is_measured_before_it_is_written(files, tmp_path):
    run = hd.astrodrizzle(files[:1], threads=1)
    keep = ("single", "crmask", "staticmask", "skymask")
    written = run.write(tmp_path, keep=keep, dq_copies=True)
    names = {path.name for path in written.files}
    assert {"icr0001aq_single_sci.fits", "icr0001aq_sci1_crmask.fits"} <= names
    sky, sci = _sky_and_sci(tmp_path)
    assert sky > 1.0  # electrons of 600 s
    assert abs(np.nanmedian(sci)) < 0.1 * sky / 600.0
    assert fits.getdata(tmp_path / "icr0001aq_sci1_crmask.fits").min() == 0  # by their shape
    assert run.seconds["Cosmic rays by shape"] > 0.0
    assert "Driz_CR" not in run.seconds


def test_written_without_keeping_it_is_measured_all_the_same(files, tmp_path):
    hd.astrodrizzle(files[:1], threads=1).write(tmp_path)
    assert _sky_and_sci(tmp_path)[0] > 1.0


def test_steps_of_exposures_of_which_one_has_no_partner(files, apart, tmp_path):
    run = hd.astrodrizzle([*files, apart], threads=2, driz_cr_corr=True)
    written = run.write(tmp_path, keep=tuple(KEPT))
    names = {path.name for path in written.files}
    assert {f"icr0{k}01aq_single_sci.fits" for k in (0, 1, 9)} <= names
    assert {f"icr0{k}01aq_sci1_crmask.fits" for k in (0, 1, 9)} <= names
    assert {name for name in names if "_blt" in name} == {
        f"icr0{k}01aq_sci1_blt.fits" for k in (0, 1)
    }
    with pytest.raises(ParameterError, match="icr0901aq overlaps with no other"):
        _ = run["icr0901aq"].blot
    assert run["icr0901aq"].crmask.values.any()


def test_no_exposure_has_a_partner(files, apart, tmp_path):
    run = hd.astrodrizzle([files[0], apart], threads=2)
    written = run.write(tmp_path, keep=tuple(KEPT))
    assert not [path for path in written.files if "_med" in path.name or "_blt" in path.name]
    with pytest.raises(ParameterError, match="no exposure has a partner"):
        _ = run.median
    assert run.left_out == ()


def test_one_is_lost_and_the_other_is_masked_by_shape(files, tmp_path):
    broken = _flagged(files[1], tmp_path)
    run = hd.astrodrizzle([files[0], broken], threads=2)
    run.write(tmp_path / "out", keep=("median", "crmask"))  # a step that the loss turned off
    assert [each.file for each in run.left_out] == [str(broken)]
    assert run["icr0001aq"].crmask.values.any()
    assert not (tmp_path / "out" / "final_med.fits").exists()


def test_no_usable_pixel_is_an_error_for_one_exposure_too(files, tmp_path):
    broken = _flagged(files[0], tmp_path)
    with pytest.raises(PlanError, match="no usable pixel"):
        hd.astrodrizzle([broken]).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_single_images_without_a_median(files):
    run = hd.astrodrizzle(files, median=False, blot=False, driz_cr=False, threads=1)
    assert run.measured.members == ()
    alone = [run[e.name].single.sci for e in run.exposures]
    both = np.isfinite(np.stack([image.values for image in alone]))
    assert both.any(axis=(1, 2)).all()
    assert alone[0].name == alone[1].name == "sci"
    assert (both[0] != both[1]).any()  # each its own


@pytest.mark.parametrize("parameter", ["skyfile", "skymask_cat"])
def test_files_that_parameters_name_are_read_at_once(files, parameter):
    with pytest.raises(InputError, match=r"nosuch\.txt"):
        hd.astrodrizzle(files, **{parameter: "nosuch.txt"})


def test_nothing_to_drizzle_says_why(tmp_path):
    with pytest.raises(PlanError, match=r"nosuch_flc\.fits: cannot be opened"):
        hd.astrodrizzle([tmp_path / "nosuch_flc.fits"])


def test_runs_that_share_a_folder_keep_their_own_masks(files, tmp_path):
    first = hd.astrodrizzle(files[:1], where=tmp_path)
    mosaic = first.mosaic.sci
    other = hd.astrodrizzle(files[:1], where=tmp_path, driz_sep_bits=65535, resetbits=0)
    assert (first["icr0001aq"].crmask != other["icr0001aq"].crmask).any()
    again = hd.astrodrizzle(files[:1], where=tmp_path)
    assert again.mosaic.sci.values.tobytes() == mosaic.values.tobytes()
