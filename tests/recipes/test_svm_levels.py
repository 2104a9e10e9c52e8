"""Which of the archive's parameters each level of a visit's products has."""

import pytest
from svm_visits import DITHERS, RA

import hapdask as hd
from hapdask.drizzling.visit_frame import visit_frame
from hapdask.recipes.svm.parameters import Settings
from hapdask.recipes.svm.steps import FilterSteps, Workshop
from hapdask.simulate import Pointing, Scene, simulate_exposure

DEC = -10.0


@pytest.fixture(scope="module")
def infrared(tmp_path_factory):
    """Two exposures without a star: only their headers are looked at."""
    folder, sky = tmp_path_factory.mktemp("ir"), Scene.stars([RA], [DEC], [22.0])
    for number, dither in enumerate(DITHERS, 1):
        simulate_exposure(
            sky, "WFC3", "IR", "F160W", Pointing(RA, DEC, 10.0, dither=dither), 400.0,
            seed=number, rootname=f"ib46070{number}q", proposal=11665,
        ).write(folder)  # fmt: skip
    return list(hd.open_exposures(folder / "*_flt.fits", select="visit"))


def _final(records, preset, where):
    settings = Settings(preset=preset)
    frame = visit_frame(records, scale=None, compat=settings.is_archive)
    steps = FilterSteps(records, frame, settings, Workshop(where=where))
    return steps.resolved_for(records[0]).parameters


@pytest.mark.parametrize(("count", "bits", "reset"), [(2, 65535, 0), (1, 528, 4096)])
def test_the_filters_exposures_decide_which_flags_count(infrared, tmp_path, count, bits, reset):
    """HAP counts the exposures of the *filter*: only one that is alone in it is taken as that is.

    Its products of exposures show every flagged pixel, cosmic rays too.
    """
    found = _final(infrared[:count], "compat", tmp_path)
    assert (found.final.final_bits, found.general.resetbits) == (bits, reset)
    assert not found.sky.skysub
    assert not found.static.static


def test_by_default_an_exposure_has_the_flags_of_its_filter(infrared, tmp_path):
    ours = _final(infrared, "default", tmp_path)
    assert ours.final.final_bits is not None
    assert not ours.final.final_bits & 4096
