"""Visits: what is selected, rule by rule; the product tree; pollers of all kinds."""

import itertools
import json

import numpy as np
import pytest

from hapdask.errors import StoreError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.observe.selection import judge
from hapdask.observe.visits.roles import role_of
from hapdask.observe.visits.tree import VisitTree, exposure_root, in_hap_order, visit_trees
from hapdask.observe.visits.zeros import judge_zeros

UVIS = INSTRUMENTS["WFC3", "UVIS"]
IR = INSTRUMENTS["WFC3", "IR"]
WFC = INSTRUMENTS["ACS", "WFC"]
PC = INSTRUMENTS["WFPC2", "PC"]
GOOD = {"OBSTYPE": "IMAGING", "EXPTIME": 300.0, "FILTER": "F606W", "FGSLOCK": "FINE", "MTFLAG": ""}
SHAPE = (32, 24)


def verdict_of(instrument=UVIS, **cards):
    return judge(GOOD | cards, instrument, select="visit")


@pytest.mark.parametrize(
    ("cards", "keyword"),
    [
        ({"OBSTYPE": "SPECTROSCOPIC"}, "OBSTYPE"),
        ({"DRIZCORR": "OMIT"}, "DRIZCORR"),
        ({"DRIZCORR": "SKIPPED"}, "DRIZCORR"),
        ({"MTFLAG": "T"}, "MTFLAG"),
        ({"MTFLAG": True}, "MTFLAG"),
        ({"SCAN_TYP": "C"}, "SCAN_TYP"),
        ({"SCAN_TYP": "D"}, "SCAN_TYP"),
        *(
            ({"TARGNAME": f"A-{word}-B"}, "TARGNAME")
            for word in ("DARK", "TUNG", "BIAS", "FLAT", "DEUT", "EARTH-CAL")
        ),
        ({"EXPTIME": 9e-6}, "EXPTIME"),
        ({"CHINJECT": "CONT"}, "CHINJECT"),
        ({"FILTER": "BLOCK"}, "FILTER"),
        ({"FILTER": "BLANK"}, "FILTER"),
    ],
)
def test_a_visit_rejects(cards, keyword):
    verdict = verdict_of(**cards)
    assert (verdict.status, verdict.keyword) == ("rejected", keyword)
    assert verdict.reason


def test_wfpc2_is_judged_by_its_own_words():
    cards = {"EXPTIME": 100.0, "FILTNAM1": "F555W", "TARGNAME": "DARK-CLOUD"}
    assert judge(cards | {"IMAGETYP": "EXT"}, PC, select="visit").status == "accepted"
    assert judge(cards | {"IMAGETYP": "DARK"}, PC, select="visit").keyword == "IMAGETYP"


@pytest.mark.parametrize(
    ("lock", "status"),
    [("FINE", "accepted"), ("GYROS", "warning"), ("FINE/GYRO", "warning"), ("COARSE", "warning")],
)
def test_loose_guiding_is_only_warned_of(lock, status):
    verdict = verdict_of(FGSLOCK=lock)
    assert verdict.status == status
    assert ("trailed" in verdict.reason) == (status == "warning")


@pytest.mark.parametrize(
    ("instrument", "cards", "words"),
    [
        (UVIS, {"FILTER": "FQ889N"}, "quadrant"),
        (UVIS, {"FILTER": "FQ999N"}, "aligned"),
        (WFC, {"FILTER1": "FR505N", "FILTER2": "CLEAR2L"}, "aligned"),
        (UVIS, {"FILTER": "G280"}, "direct images"),
        (IR, {"FILTER": "G141", "OBSTYPE": "SPECTROSCOPIC", "DRIZCORR": "OMIT"}, "direct images"),
        (WFC, {"FILTER1": "G800L", "FILTER2": "F814W"}, "direct images"),
        (WFC, {"FILTER1": "CLEAR1S", "FILTER2": "PR200L"}, "direct images"),
    ],
)
def test_a_visit_keeps_beside_its_products(instrument, cards, words):
    found = judge(GOOD | cards, instrument, select="visit")
    assert found.status == "warning"
    assert words in found.reason
    layer = judge(GOOD | cards, instrument)
    assert layer.status == ("rejected" if "FQ889N" not in cards.values() else "warning")


@pytest.mark.parametrize("cards", [{"MTFLAG": "T"}, {"EXPTIME": 0.0}, {"TARGNAME": "TUNGSTEN"}])
def test_a_grism_alone_excuses_nothing_else(cards):
    assert judge(GOOD | {"FILTER": "G141"} | cards, IR, select="visit").status == "rejected"


def test_a_name_with_a_g_in_it_is_no_grism():
    names = ("f606w", "f225w-pol0v", "clear", "fgood")
    assert {role_of(name) for name in names} == {"drizzled"}


def test_pixels_that_are_all_zero_reject(make):
    def empty(*extvers):
        def change(hdus):
            for extver in extvers:
                hdus["SCI", extver].data[:] = 0

        return change

    paths = [
        make(f"ia0a01a{k}q", change=empty(*extvers)) for k, extvers in enumerate([(), (1,), (1, 2)])
    ]
    found = [judge_zeros(record) for record in open_exposures(paths)]
    assert [v.status for v in found] == ["accepted", "warning", "rejected"]
    assert "SCI,1" in found[1].reason


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [(0, 0, "zero"), (np.nan, np.nan, "NaN"), (0, np.nan, "zero or NaN")],
)
def test_pixels_that_are_no_numbers_are_not_told_to_be_zero(make, first, second, told):
    def change(hdus):
        hdus["SCI", 1].data[:] = first
        hdus["SCI", 2].data[:] = second

    (record,) = open_exposures([make(change=change)])
    assert judge_zeros(record).reason == f"all pixels of SCI are {told}"


def one_nonzero(hdus):
    for extver in (1, 2):
        data = hdus["SCI", extver].data
        data[:] = 0
        data[0, 0] = np.nan
    hdus["SCI", 2].data[-1, -1] = 1


def test_a_single_pixel_is_enough(make):
    (record,) = open_exposures([make(change=one_nonzero)])
    assert "SCI,1" in judge_zeros(record).reason
    assert judge_zeros(record).status == "warning"


# --- the tree ---------------------------------------------------------------------------------


def records_of(make, *rows, select="visit"):
    """Open exposures of (name, detector, suffix, primary cards)."""
    paths = [
        make(name, detector, suffix=suffix, shape=SHAPE, tables=False, primary=cards)
        for name, detector, suffix, cards in rows
    ]
    opened = open_exposures(paths, select=select)
    assert len(opened) == len(rows), opened.table()
    return list(opened)


def uvis(name, filter_name, seconds=300.0, suffix="flc", **cards):
    return (name, "UVIS", suffix, {"FILTER": filter_name, "EXPTIME": seconds, **cards})


def test_a_visit_is_a_tree_of_detectors_filters_and_exposures(make):
    records = records_of(
        make,
        uvis("ib4606c1q", "F814W", 600.0),
        uvis("ib4606c2q", "F555W", 100.0),
        uvis("ib4606c3q", "F555W", 300.0),
        ("ib4606c4q", "IR", "flt", {"FILTER": "F160W", "EXPTIME": 50.0}),
        ("ib4606c5q", "IR", "flt", {"FILTER": "G141", "OBSTYPE": "SPECTROSCOPIC"}),
        uvis("ib4606c6q", "FQ619N", 900.0),
    )
    (tree,) = visit_trees(records)
    assert (tree.visit, tree.proposal, tree.obset) == ("ib4606", "12345", "06")
    assert tree.instrument == "wfc3"
    assert [(d.instrument, d.detector) for d in tree.detectors] == [
        ("wfc3", "ir"),
        ("wfc3", "uvis"),
    ]
    ir, chips = tree.detectors
    assert ir.grism == ("ib4606c5q",)
    assert [f.filter for f in ir.filters] == ["f160w"]
    assert [f.filter for f in chips.filters] == ["f555w", "f814w", "fq619n"]
    assert chips.filters[0].exposures == ("ib4606c2q", "ib4606c3q")
    assert [f.singleton for f in chips.filters] == [False, True, True]
    assert [f.drizzled for f in chips.filters] == [True, True, False]
    assert chips.direct == ("ib4606c2q", "ib4606c3q", "ib4606c1q", "ib4606c6q")
    assert chips.framed == chips.direct[:3]
    assert chips.filter_of("ib4606c6q") == chips.filters[2]
    assert chips.filter_of("ib4606c4q") is None
    assert tree.left_out == ()
    assert sorted(tree.exposures) == sorted(r.name for r in records)


def test_members_of_the_total_product(make):
    """Filters with one exposure are left out unless all have one; quads never enter."""
    one, two = uvis("ib4606c1q", "F814W"), uvis("ib4606c2q", "F555W")
    quad = [uvis("ib4606c4q", "FQ619N"), uvis("ib4606c5q", "FQ619N", 301.0)]
    (tree,) = visit_trees(records_of(make, one, two, *quad))
    assert sorted(tree.detectors[0].total_members) == ["ib4606c1q", "ib4606c2q"]
    more = uvis("ib4606c3q", "F555W", 301.0)
    (tree,) = visit_trees(records_of(make, one, two, more, *quad))
    assert tree.detectors[0].total_members == ("ib4606c2q", "ib4606c3q")


def test_only_single_exposures_are_single(make):
    """Upstream marks the first exposure of every filter to be cleaned by itself."""
    rows = [uvis("ib4606c1q", "F814W"), uvis("ib4606c2q", "F814W"), uvis("ib4606c3q", "F606W")]
    (tree,) = visit_trees(records_of(make, *rows))
    assert {f.filter: f.singleton for f in tree.detectors[0].filters} == {
        "f814w": False,
        "f606w": True,
    }


def test_the_order_is_haps_whatever_was_given(make):
    """Exposure time first, then PHOTFLAM descending, then time and name."""

    def faint(hdus):
        hdus["SCI", 1].header["PHOTFLAM"] = 9e-19

    rows = [("ib4606c1q", 30.0, None), ("ib4606c2q", 10.0, None), ("ib4606c3q", 30.0, faint)]
    paths = [
        make(n, shape=SHAPE, tables=False, primary={"EXPTIME": t}, change=change)
        for n, t, change in rows
    ]
    records = list(open_exposures(paths))
    expected = ["ib4606c2q", "ib4606c3q", "ib4606c1q"]
    for order in itertools.permutations(records):
        assert [r.name for r in in_hap_order(order)] == expected
        assert visit_trees(order) == visit_trees(records)


def test_cte_corrected_exposures_stand_apart_from_others(make):
    rows = [
        uvis("ib4606c1q", "F814W", 300.0),
        uvis("ib4606c2q", "F814W", 200.0),
        uvis("ib4606c3q", "F814W", 100.0, suffix="flt"),
    ]
    (tree,) = visit_trees(records_of(make, *rows))
    (found,) = tree.detectors[0].filters
    assert found.exposures == ("ib4606c2q", "ib4606c1q")
    assert (found.suffix, found.apart, found.singleton) == ("flc", ("ib4606c3q",), False)
    assert tree.detectors[0].direct == ("ib4606c2q", "ib4606c1q", "ib4606c3q")
    assert "ib4606c3q" not in tree.detectors[0].total_members
    assert "CTE" in tree.notes[0]
    assert tree.detectors[0].suffix == "flc"


def test_exposures_without_a_tie_stand_apart_where_others_have_one(make):
    records = records_of(
        make,
        uvis("ib4606c1q", "F814W"),
        uvis("ib4606c2q", "F814W"),
        uvis("ib4606c3q", "F814W"),
        uvis("ib4606c4q", "F606W"),
        uvis("ib4606c5q", "F606W"),
    )
    untied = {"ib4606c3q", "ib4606c4q", "ib4606c5q"}
    (tree,) = visit_trees(records, untied=untied)
    found = {f.filter: (f.exposures, f.apart) for f in tree.detectors[0].filters}
    assert found["f814w"] == (("ib4606c1q", "ib4606c2q"), ("ib4606c3q",))
    assert found["f606w"] == (("ib4606c4q", "ib4606c5q"), ())  # as good as each other
    assert tree.detectors[0].total_members == ("ib4606c1q", "ib4606c2q")
    assert tree.notes == ("f814w: ib4606c3q is not aligned, and only in a product of its own",)
    everyone = {r.name for r in records}
    assert visit_trees(records, untied=everyone) == visit_trees(records)


def test_several_visits_are_several_trees(make):
    rows = [uvis("ib4607c1q", "F814W"), uvis("ib4606c1q", "F814W"), uvis("ib4606c2q", "F606W")]
    trees = visit_trees(records_of(make, *rows))
    assert [t.visit for t in trees] == ["ib4606", "ib4607"]


def test_two_targets_are_one_visit_with_a_note(make):
    rows = [
        uvis("ib4606c1q", "F814W", TARGNAME="M51"),
        uvis("ib4606c2q", "F814W", TARGNAME="NGC-5195"),
    ]
    (tree,) = visit_trees(records_of(make, *rows))
    assert len(tree.detectors[0].filters[0].exposures) == 2
    assert "2 targets" in tree.notes[0]


def test_what_cannot_be_named_is_left_out_and_the_others_go_on(make):
    rows = [
        uvis("ib4606c1q", "F814W"),
        uvis("ib4606c1s", "F814W"),
        uvis("ib4606c2q", "F814W", PROPOSID=99),
        uvis("ib4606c3q", "F814W", PROPOSID=None),
        uvis("short", "F814W"),
    ]
    trees = visit_trees(records_of(make, *rows))
    assert [t.visit for t in trees] == ["ib4606", "short"]
    assert trees[0].exposures == ("ib4606c1q",)
    assert [each.name for each in trees[0].left_out] == ["ib4606c1s", "ib4606c2q", "ib4606c3q"]
    assert all(each.reason for tree in trees for each in tree.left_out)
    assert trees[1].detectors == ()


def test_grisms_without_direct_images(make):
    records = records_of(make, ("ib4606c5q", "IR", "flt", {"FILTER": "G141"}))
    (tree,) = visit_trees(records)
    assert tree.detectors[0].filters == ()
    assert tree.detectors[0].total_members == ()
    assert "no direct image" in tree.notes[0]


def test_trees_are_plain_data(make):
    rows = [uvis("ib4606c1q", "F814W"), uvis("ib4606c1s", "F814W"), uvis("ib4606c4q", "FQ619N")]
    (tree,) = visit_trees(records_of(make, *rows))
    assert VisitTree.from_dict(json.loads(json.dumps(tree.to_dict()))) == tree
    with pytest.raises(StoreError, match="not the tree"):
        VisitTree.from_dict({"visit": "x"})


def test_roots_keep_the_imset():
    assert exposure_root("ib4606c5q") == "ib4606c5"
    assert exposure_root("o8k401010-12") == "o8k40101-12"


# --- pollers ----------------------------------------------------------------------------------


def row_of(path, columns):
    full = [path.name, "12345", "B46", "06", "300.0", "F814W", "UVIS", str(path)]
    return ",".join({1: full[:1], 2: [path.name, "UVIS"], 8: full}[columns])


@pytest.mark.parametrize("columns", [1, 2, 8])
def test_a_poller_line_that_names_a_missing_file_loses_no_other(make, tmp_path, columns):
    names = ["ib4606c1q", "ib4606c2q", "ib4606c3q"]
    paths = [make(name, shape=SHAPE, tables=False) for name in names]
    paths[1].unlink()
    poller = tmp_path / "poller.out"
    poller.write_text("\n".join(row_of(path, columns) for path in paths))
    opened = open_exposures(poller, select="visit")
    assert [r.name for r in opened] == [names[0], names[2]]
    assert [v.status for _, v in opened.verdicts].count("rejected") == 1
    (rejected,) = [v for _, v in opened.verdicts if v.status == "rejected"]
    assert "line 2" in rejected.reason or "ib4606c2q" in rejected.reason
    (tree,) = visit_trees(opened)
    assert tree.exposures == (names[0], names[2])
