"""Randomised visits: nothing wrong is accepted, nothing worse than the header (a sample of 200)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hapdask.astrometry.fitting import ladder

cases = pytest.importorskip("benchmarks.alignment_cases", reason="not in the repository")


#: Where the joint solution has something to do, and is quick.
JOINT = (
    "usual",
    "infrared, few stars",
    "few",
    "cosmic rays",
    "doubled references",
    "a good header",
)


def test_every_kind_of_case_once():
    tally = cases.run([77], len(cases.KINDS))
    assert tally.cases == len(cases.KINDS) == 20
    assert tally.wrong == tally.worse == tally.apart == tally.silent == []
    assert tally.status["aligned"] > 20
    assert tally.status["unaligned"] > 3
    assert np.percentile(tally.pulls, 95) < 2.6
    assert np.median(tally.after) < 3.0
    for kind in ("usual", "crowded", "doubled references", "rolled, far off", "long visit"):
        assert set(tally.by_kind[kind]) <= {
            f"aligned by {how}" for how in ("relative", "histogram")
        }
    assert set(tally.by_kind["noise alone"]) == {"unaligned"}


def test_the_joint_solution_makes_nothing_worse():
    tally = cases.run([78], len(JOINT), kinds=JOINT, joint=True)
    assert tally.wrong == tally.worse == tally.apart == tally.silent == []
    assert sum(counts["aligned by joint"] for counts in tally.by_kind.values()) >= 5
    assert np.percentile(tally.pulls, 95) < 2.6


def lost_in_cosmic_rays(*, joint):
    """Nine stars that a shift fits to 4 mas; a turn finds pairs in the window, and 62 mas."""
    kind = "lost in cosmic rays"
    case = cases.KINDS[kind](kind, np.random.default_rng([1001, 88]))
    rules = cases.load_alignment("wfc3", "uvis")[0]
    placements = cases.aligned(case, rules, joint=joint)
    tally = cases.Tally()
    tally.take("1001/88", case, placements)
    assert tally.wrong == tally.worse == []
    assert tally.status["aligned"] == 4
    assert max(tally.after) < 5.0
    return [a for a in placements[3].attempts if a.exposure == "e3" and a.method == "relative"]


@pytest.mark.parametrize("joint", [False, True])
def test_a_turn_that_cosmic_rays_lead_astray_begins_again_from_the_shift(joint):
    (only,) = lost_in_cosmic_rays(joint=joint)
    assert (only.matches, only.geometry != "shift") == (9, True)
    assert only.rms < 10.0


def test_what_the_histogram_shows_is_no_evidence_of_a_turn(monkeypatch):
    monkeypatch.setattr(ladder.Ladder, "_is_astray", lambda *rungs: False)
    turned, shifted = lost_in_cosmic_rays(joint=False)
    assert (turned.geometry, turned.accepted, turned.grade) == ("rshift", False, 5)
    assert "may be chance" in turned.reason
    assert (shifted.geometry, shifted.matches) == ("shift", 9)


def test_a_wrong_solution_would_be_seen():
    """The judge itself: placements of another seed are all wrong."""
    rng = np.random.default_rng([77, 0])
    case = cases.KINDS["usual"]("usual", rng)
    rules = cases.load_alignment("wfc3", "uvis")[0]
    placements = cases.aligned(case, rules, joint=False)
    other = cases.KINDS["usual"]("usual", np.random.default_rng([78, 0]))
    tally = cases.Tally()
    count = min(len(placements), len(other.seen))
    stripped = replace(other, seen=other.seen[:count])
    tally.take("77", stripped, placements[:count])
    assert len(tally.wrong) == count
