"""Files of a visit: names, copies, the header cards of its own, the stored outcome."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from imagers import make_hrc, make_wfpc2

import hapdask as hd
from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.ties import Tie, judge_tie, tie_of
from hapdask.errors import InputError, StoreError
from hapdask.observe.distortion import Correction
from hapdask.observe.masks import write_mask
from hapdask.observe.pixels import open_chip
from hapdask.observe.visits.tree import visit_trees
from hapdask.products.returned.copies import write_copies
from hapdask.products.solutions.telling import with_facts
from hapdask.products.svm.copies import copy_changes, copy_names
from hapdask.products.svm.headers import sky_cell_text
from hapdask.products.svm.names import (
    alignment_catalog,
    colour_names,
    exposure_names,
    filter_names,
    manifest_name,
    outcome_name,
    total_names,
)
from hapdask.products.svm.outcome import VisitOutcome, read_outcome, records_of, write_outcome
from hapdask.sky.footprint import Footprint


@pytest.fixture(scope="module")
def hrc(tmp_path_factory):
    (record,) = hd.open_exposures([make_hrc(tmp_path_factory.mktemp("hrc") / "in")])
    return record


@pytest.fixture(scope="module")
def wfpc2(tmp_path_factory):
    (record,) = hd.open_exposures([make_wfpc2(tmp_path_factory.mktemp("wfpc2") / "in")])
    return record


def named(hrc, name, **changes):
    return replace(hrc, name=name, visit=name[:6], **changes)


def visit_of(hrc):
    """Return records and tree of a WFC3/UVIS visit as HAP's documentation has it."""
    common = {"instrument": "wfc3", "detector": "uvis", "suffix": "flc", "proposal": "11665"}
    records = [
        named(hrc, "ib4606c5q", filter="f555w", **common),
        named(hrc, "ib4606c6q", filter="f814w", **common),
        named(hrc, "ib4606cpq", **common | {"detector": "ir", "filter": "f160w", "suffix": "flt"}),
        named(hrc, "ib4606cqq", **common | {"detector": "ir", "filter": "g141", "suffix": "flt"}),
    ]
    (tree,) = visit_trees(records)
    return records, tree


class TestNames:
    def test_every_file_has_haps_name(self, hrc):
        records, tree = visit_of(hrc)
        uvis = next(d for d in tree.detectors if d.detector == "uvis")
        ir = next(d for d in tree.detectors if d.detector == "ir")
        exposure = exposure_names(tree, records[0])
        stem = "hst_11665_06_wfc3_uvis_f555w_ib4606c5"
        assert exposure.product.fits == f"{stem}_drc.fits"
        assert exposure.copy == f"{stem}_flc.fits"
        assert exposure.headerlet == f"{stem}_hlet.fits"
        assert exposure.trailer == f"{stem}_trl.txt"
        assert (
            exposure_names(tree, records[3]).copy == "hst_11665_06_wfc3_ir_g141_ib4606cq_flt.fits"
        )
        one = filter_names(tree, uvis, uvis.filters[0])
        stem = f"hst_11665_06_wfc3_uvis_{uvis.filters[0].filter}_ib4606"
        assert one.product.fits == f"{stem}_drc.fits"
        assert one.trailer == f"{stem}_trl.txt"
        assert one.point_catalog == f"{stem}_point-cat.ecsv"
        assert one.segment_catalog == f"{stem}_segment-cat.ecsv"
        assert one.reference_catalog == f"{stem}_ref_cat.ecsv"
        assert (
            total_names(tree, uvis).product.fits == "hst_11665_06_wfc3_uvis_total_ib4606_drc.fits"
        )
        assert total_names(tree, ir).product.fits == "hst_11665_06_wfc3_ir_total_ib4606_drz.fits"
        assert manifest_name(tree) == "wfc3_b46_06_manifest.txt"
        assert outcome_name(tree) == "wfc3_b46_06_visit.json"
        colour = colour_names(tree, uvis, ["f814w", "f555w"])
        assert colour.jpg == "hst_11665_06_wfc3_uvis_total_ib4606_f814w-f555w_drc.jpg"
        assert alignment_catalog(tree, uvis, "GAIAeDR3") == (
            "hst_11665_06_wfc3_uvis_ib4_metawcs_all_GAIAeDR3_ref_cat.ecsv"
        )

    def test_wfpc2_is_pc_and_drz(self, wfpc2):
        (tree,) = visit_trees([wfpc2])
        found = exposure_names(tree, wfpc2)
        assert found.product.fits == "hst_6941_01_wfpc2_pc_f555w_u40x010h_drz.fits"
        assert found.copy == "hst_6941_01_wfpc2_pc_f555w_u40x010h_c0m.fits"

    def test_imsets_have_names_of_their_own(self, hrc):
        records = [named(hrc, f"o8k401010-{k}", instrument="stis", detector="ccd") for k in (1, 2)]
        (tree,) = visit_trees(records)
        names = {exposure_names(tree, record).product.stem for record in records}
        assert len(names) == 2
        assert "hst_9019_01_stis_ccd_f606w_o8k40101-2" in names

    def test_words_that_cannot_be_in_a_name_are_refused(self, hrc):
        record = named(hrc, "ib4606c5q", proposal="../x")
        (tree,) = visit_trees([record])
        with pytest.raises(StoreError, match="proposal"):
            exposure_names(tree, record)


class TestCopies:
    def test_a_copy_says_that_it_is_one_of_a_visit(self, hrc, tmp_path):
        (tree,) = visit_trees([hrc])
        moved = hrc.corrected(Correction(hrc.chips[0].distortion.crval, shift=(0.5, 0.0)))
        self.write(tree, moved, tmp_path)
        path = tmp_path / "hst_9019_06_acs_hrc_f606w_j8bt06ny_flt.fits"
        with fits.open(path) as copy, fits.open(hrc.url) as before:
            primary, science = copy[0].header, copy["SCI", 1].header
            assert primary["HAPLEVEL"] == 1
            assert primary["IPPPSSOO"] == "j8bt06nyq"
            assert primary["FILENAME"] == path.name
            assert primary["ROOTNAME"] == before[0].header["ROOTNAME"]
            assert science["SKYCELL"] == sky_cell_text(moved.footprint)
            corner = moved.chips[0].distortion.pixel_to_sky(np.array([0.0]), np.array([0.0]))
            words = science["S_REGION"].split()
            assert words[:2] == ["POLYGON", "ICRS"]
            assert [float(w) for w in words[2:4]] == [float(corner[0][0]), float(corner[1][0])]
            assert len(words) == 2 + 2 * 5
            assert (copy["SCI", 1].data == before["SCI", 1].data).all()

    def test_flags_of_wfpc2_are_found_beside_its_copy(self, wfpc2, tmp_path):
        (tree,) = visit_trees([wfpc2])
        names = copy_names(tree, wfpc2)
        assert sorted(names.values()) == [
            "hst_6941_01_wfpc2_pc_f555w_u40x010h_c0m.fits",
            "hst_6941_01_wfpc2_pc_f555w_u40x010h_c1m.fits",
        ]
        for url, name in names.items():
            shutil.copy(url, tmp_path / name)
        (again,) = hd.open_exposures([tmp_path / names[wfpc2.url]])
        assert [chip.dq is not None for chip in again.chips] == [True] * 4
        assert again.name == wfpc2.name

    @staticmethod
    def write(tree, record, folder):
        done = write_copies(
            [record], folder, None,
            more={record.url: copy_changes(tree, record)}, names=copy_names(tree, record),
        )  # fmt: skip
        assert not done.failures


def test_sky_cells_of_a_footprint():
    """The figures of the archive's sample files (facts of HAP's tests)."""
    ra, dec = [137.82, 137.83, 137.83], [-64.91, -64.91, -64.905]
    assert sky_cell_text(Footprint.from_vertices(ra, dec)) == "p0121x12y16"


# --- ties -------------------------------------------------------------------------------------


def told(hrc, wcsname, **cards):
    chip = hrc.chips[0]
    kept = tuple((k, v) for k, v in chip.keywords if k not in cards)
    own = replace(chip, keywords=(*kept, *cards.items()))
    return replace(hrc, wcsname=wcsname, chips=(own,))


FIGURES = {"NMATCHES": 381, "RMS_RA": 2.28, "RMS_DEC": 2.37, "FITGEOM": "rscale"}


@pytest.mark.parametrize(
    ("name", "cards", "tie", "words"),
    [
        (
            "IDC_0461802ej-FIT_SVM_GAIAeDR3",
            FIGURES,
            Tie("fitted", "SVM", "GAIAeDR3", 381, (2.28, 2.37), "rscale"),
            "aligned by visit to GAIAeDR3: 381 matches, rms 2.3 x 2.4 mas, rscale",
        ),
        ("FIT_REL_GSC242", {}, Tie("fitted", "REL", "GSC242"), "relatively aligned to GSC242"),
        ("IDC_x-FIT_SVM_NONE", {}, Tie("relative", "SVM"), "aligned by visit to other exposures"),
        ("IDC_x-HSC30", {}, Tie("a priori", catalog="HSC30"), "corrected by HSC30"),
        ("IDC_x-GSC240", {}, Tie("a priori", catalog="GSC240"), "corrected by GSC240"),
        ("IDC_x", {}, Tie("pointing"), "not aligned"),
        ("OPUS", {}, Tie("pointing"), "not aligned"),
        ("TWEAK", {}, Tie("unknown"), "not known"),
        ("", {}, Tie("unknown"), "not known"),
        ("IDC_x-MINE", {}, Tie("unknown"), "not known"),
        ("IDC_x-FIT_IMG_2MASS", {"RMS_RA": -1.0}, Tie("fitted", "IMG", "2MASS"), "2MASS"),
    ],
)
def test_a_header_tells_the_tie(hrc, name, cards, tie, words):
    blank = dict.fromkeys(("NMATCHES", "NMATCH", "RMS_RA", "RMS_DEC", "FITGEOM"))
    found = tie_of(told(hrc, name, **blank | cards))
    assert found == tie
    assert words in str(found)


def test_only_a_fit_with_figures_is_verified(hrc):
    fitted = Tie("fitted", "SVM", "GAIAeDR3", 100, (3.0, 4.0), "rscale")
    assert fitted.verified
    assert fitted.error_mas == pytest.approx(5.0 / math.sqrt(200))
    for other in (
        Tie("fitted", "SVM", "GAIAeDR3"),
        Tie("a priori", catalog="GSC240"),
        Tie("unknown"),
    ):
        assert not other.verified


def test_ties_have_an_order(hrc):
    """That of HAP's quality analysis."""
    order = [
        *(Tie("fitted", label, "GAIAeDR3") for label in ("SVM", "REL", "IMG")),
        *(Tie("fitted", label, "GAIADR2") for label in ("SVM", "REL", "IMG")),
        *(Tie("fitted", "SVM", name) for name in ("GAIADR1", "GSC242", "2MASS")),
        *(Tie("relative", "SVM"), Tie("a priori", catalog="HSC30")),
        *(Tie("a priori", catalog="GSC240"), Tie("pointing"), Tie("unknown")),
    ]
    ranks = [tie.rank for tie in order]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


def test_an_exposure_without_a_good_tie_is_warned_of(hrc):
    good = told(hrc, "IDC_x-FIT_SVM_GAIAeDR3", **FIGURES)
    assert judge_tie(good) == hrc.verdict
    poor = told(hrc, "IDC_x-FIT_SVM_GAIAeDR3", **FIGURES | {"NMATCHES": 3, "RMS_RA": 90.0})
    assert "not better known than 37 mas" in judge_tie(poor).reason
    assert judge_tie(poor, limit_mas=50.0) == hrc.verdict
    for name in ("IDC_x", "IDC_x-GSC240", "IDC_x-FIT_SVM_NONE"):
        found = judge_tie(told(hrc, name))
        assert (found.status, found.keyword, found.value) == ("warning", "WCSNAME", name)


def test_an_archived_visits_file_is_a_record(hrc, tmp_path):
    """Its name, solution, cosmic rays and cards are those that HAP gives."""
    path = tmp_path / "hst_9019_06_acs_hrc_f606w_j8bt06ny_flt.fits"
    with fits.open(hrc.url) as hdus:
        hdus[0].header["HAPLEVEL"] = 1
        hdus["SCI", 1].header.update(FIGURES | {"WCSNAME": "IDC_x-FIT_SVM_GAIAeDR3"})
        hdus["DQ", 1].data[5, 6] = 4096
        hdus.writeto(path)
    opened = hd.open_exposures([path], select="visit")
    (record,) = opened
    assert (record.name, record.visit, record.suffix) == ("j8bt06nyq", "j8bt06", "flt")
    assert str(tie_of(record)).startswith("aligned by visit to GAIAeDR3: 381 matches")
    assert judge_tie(record).status == "accepted"
    with open_chip(record, record.chips[0]) as chip:
        assert chip.read(5, 6).dq[0, 6] == 4096
    (tree,) = visit_trees(opened)
    assert exposure_names(tree, record).copy == path.name


def test_our_own_solution_is_told_as_the_archives(hrc):
    facts = WcsFacts("IDC_x-FIT_SVM_GAIAeDR3", "GAIAeDR3", 42, (1.5, 2.0), "rscale")
    assert tie_of(with_facts(hrc, facts)) == Tie(
        "fitted", "SVM", "GAIAeDR3", 42, (1.5, 2.0), "rscale"
    )


# --- the stored outcome -----------------------------------------------------------------------


@pytest.fixture
def outcome(hrc, tmp_path):
    """Return a visit with everything a record can hold; its mask lies in the folder."""
    folder = tmp_path / "out"
    (folder / "masks").mkdir(parents=True)
    mask = np.zeros(hrc.chips[0].shape, np.uint8)
    mask[4, 7] = 1
    reference = write_mask(folder / "masks" / "one.npy", mask, "cosmic_ray")
    facts = WcsFacts("IDC_x-FIT_SVM_GAIAeDR3", "GAIAeDR3", 42, (1.5, 2.0), "rscale")
    crval = hrc.chips[0].distortion.crval
    moved = hrc.corrected(Correction(crval, (1.0, 1e-6, -1e-6, 1.0), (0.31, -0.2)))
    record = with_facts(moved, facts).with_sky(1.25).with_flux_factors(1.01)
    record = record.with_mask(1, reference)
    record = record.with_verdict(record.verdict.warned("guided without fine lock", "FGSLOCK"))
    (tree,) = visit_trees([record])
    return folder, VisitOutcome(
        tree, (record,), "abc", {record.layer_name: 1.3e-19}, {record.name: 4096},
        (("x_flt.fits", "gone"),), {"parameters": {"pixfrac": 1.0}}, "hapdask 0",
    )  # fmt: skip


def test_the_outcome_is_read_back_as_it_was(outcome):
    folder, made = outcome
    path = write_outcome(made, folder)
    assert path.name == "acs_8bt_06_visit.json"
    found = read_outcome(path)
    assert found == made
    assert found.records[0].digest == made.records[0].digest
    assert json.loads(path.read_text())["ties"] == {
        "j8bt06nyq": "aligned by visit to GAIAeDR3: 42 matches, rms 1.5 x 2.0 mas, rscale"
    }
    assert write_outcome(found, folder, overwrite=True).read_bytes() == path.read_bytes()


def test_the_folder_can_be_moved(outcome, tmp_path):
    folder, made = outcome
    write_outcome(made, folder)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    (record,) = read_outcome(moved / "acs_8bt_06_visit.json").records
    assert record.chips[0].masks[0].url == str(moved / "masks" / "one.npy")
    with open_chip(record, record.chips[0]) as chip:
        assert chip.read(0, 8).masked[4, 7]


def test_nothing_is_replaced_unasked(outcome):
    folder, made = outcome
    write_outcome(made, folder)
    with pytest.raises(StoreError, match="exists already"):
        write_outcome(made, folder)


def spoilt(text):
    data = json.loads(text)
    data["release"] = "other"
    return json.dumps(data)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (spoilt, "digest"),
        (lambda text: "[]", "digest"),
        (lambda text: "{}", "digest"),
        (lambda text: "", "JSON"),
    ],
)
def test_a_damaged_outcome_is_no_outcome(outcome, spoil, words):
    folder, made = outcome
    path = write_outcome(made, folder)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(StoreError, match=words):
        read_outcome(path)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"}, {"format": 99}, {"records": [1]}, {"visit": {}}, {"photflam": [1]},
        {"left_out": 3},
    ],
)  # fmt: skip
def test_data_that_are_no_outcome(outcome, change):
    with pytest.raises(StoreError):
        VisitOutcome.from_dict(outcome[1].to_dict() | change)


def test_a_mask_outside_the_folder_is_refused(outcome):
    folder, made = outcome
    chip = made.records[0].chips[0]
    bad = replace(chip, masks=(replace(chip.masks[0], url="./../../etc/mask"),))
    broken = replace(made, records=(replace(made.records[0], chips=(bad,)),))
    path = write_outcome(broken, folder)
    with pytest.raises(StoreError, match="leads out"):
        read_outcome(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError):
        read_outcome(tmp_path / "no_visit.json")


def test_records_of_several_visits(outcome, hrc):
    _, made = outcome
    other = named(hrc, "j8bt07nyq")
    (tree,) = visit_trees([other])
    assert [r.name for r in records_of([made, VisitOutcome(tree, (other,))])] == [
        "j8bt06nyq", "j8bt07nyq",
    ]  # fmt: skip
    with pytest.raises(StoreError, match="j8bt06nyq"):
        records_of([made, VisitOutcome(tree, (made.records[0],))])
