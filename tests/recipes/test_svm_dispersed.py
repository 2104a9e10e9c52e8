"""A dispersed exposure in a visit: it follows the direct ones, which keep their fit."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from svm_visits import observe_visit

import hapdask as hd
from hapdask.recipes.svm.aligning import AlignmentSettings, align_visit
from hapdask.recipes.svm.steps import Workshop

GRISM = "ib460604q"
APRIORI = "IDC_w3m18525i-GSC240"
_WCS = (
    *("CTYPE1", "CTYPE2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2"),
    *("CD1_1", "CD1_2", "CD2_1", "CD2_2"),
)


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """A visit whose last exposure is said to be dispersed; all have an a-priori WCS beside."""
    made = observe_visit(tmp_path_factory.mktemp("visit"))
    for path in made.folder.glob("*_fl?.fits"):
        with fits.open(path, mode="update") as hdus:
            if hdus[0].header["ROOTNAME"] == GRISM:
                hdus[0].header["FILTER"] = "G280"
            for hdu in hdus:
                if hdu.name == "SCI":
                    hdu.header.update({f"{card}A": hdu.header[card] for card in _WCS})
                    hdu.header["WCSNAMEA"] = APRIORI
    return made


def aligned(visit, where, preset="default"):
    records = hd.open_exposures(visit.poller, select="visit")
    found = align_visit(
        list(records),
        AlignmentSettings(refcat=visit.catalog, preset=preset),
        Workshop(where=where, threads=2),
    )
    return {record.name: record for record in records}, found


def middle(record):
    return np.concatenate(record.chips[0].distortion.pixel_to_sky([100.0], [100.0]))


def test_it_is_given_the_correction_of_the_direct_exposures(visit, tmp_path):
    opened, found = aligned(visit, tmp_path)
    records = {record.name: record for record in found.records}
    assert set(records) == set(opened)
    moves = {name: (middle(r) - middle(opened[name])) * 3.6e6 for name, r in records.items()}
    direct = [move for name, move in moves.items() if name != GRISM]
    assert np.abs(moves[GRISM] - direct[0]).max() < 2.0
    assert np.abs(moves[GRISM]).max() > 100.0
    assert records[GRISM].wcsname.endswith("-FIT_SVM_refcat")
    assert all(r.wcsname.endswith("-FIT_SVM_refcat") for r in records.values())
    (line,) = (line for line in found.lines if line.name == GRISM)
    assert line.status == "relative"
    assert "given the correction of ib46060" in line.reason
    assert found.untied == frozenset()


def test_haps_way_takes_the_fit_from_all(visit, tmp_path):
    opened, found = aligned(visit, tmp_path, preset="compat")
    assert {record.wcsname for record in found.records} == {APRIORI}
    assert {facts.wcsname for facts in found.facts.values()} == {APRIORI}  # so have their copies
    assert all("as HAP does" in line.reason for line in found.lines)
    for record in found.records:
        assert np.array_equal(middle(record), middle(opened[record.name]))


def test_an_exposure_without_light_is_set_aside(visit, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(visit.folder, folder)
    (dark,) = folder.glob("ib460602q_fl?.fits")
    with fits.open(dark, mode="update") as hdus:
        for hdu in hdus:
            if hdu.name == "SCI":
                hdu.data[:] = 0
    files = sorted(folder.glob("*_fl?.fits"))
    records = list(hd.open_exposures(files, select="visit"))
    shop = Workshop(where=tmp_path / "kept", threads=2)
    found = align_visit(records, AlignmentSettings(refcat=visit.catalog), shop)
    assert "ib460602q" not in {record.name for record in found.records}
    (left_out,) = found.left_out
    assert "zero" in left_out.reason
