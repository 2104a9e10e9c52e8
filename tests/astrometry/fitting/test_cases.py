"""Randomised visits: nothing wrong is accepted, nothing worse than the header (a sample of 200)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

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
