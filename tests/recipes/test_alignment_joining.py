"""What the joint solution of an alignment is given of an exposure."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from two_chips import record, seen_by

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.config.alignment import AlignmentParameters
from hapdask.observe.distortion import Correction
from hapdask.recipes.alignment.joining import Member, solve_and_settle
from hapdask.sky.tangent import deproject

CENTER = (150.0, 2.0)


@pytest.fixture
def exposure():
    rng = np.random.default_rng(0)
    made = record(CENTER, name="ia0a01a0q", mjd=57388.0)
    places = deproject(*(rng.uniform(-60, 60, (2, 40)) / 3600.0), *CENTER)
    return made, seen_by(made, Correction(CENTER), *places, rng)


def test_galaxies_come_beside_the_stars_and_are_told(exposure):
    made, found = exposure
    stars, galaxies = found.take(slice(0, 30)), found.take(slice(30, None))
    placed = Placement(made.name, "aligned", correction=Correction(CENTER), geometry="rshift")
    rules = AlignmentParameters()
    given = Member(made, stars, placed, rules, galaxies).as_input()
    assert len(given) == len(found)
    assert np.count_nonzero(given.still) == len(galaxies)
    assert given.still[len(stars) :].all()
    assert given.geometry == "rscale"
    untold = Member(made, stars, placed, rules).as_input()
    assert untold.galaxy is None
    assert len(untold) == len(stars)
    none = Member(made, stars, placed, rules, galaxies.take(slice(0, 0))).as_input()
    assert none.galaxy is not None
    assert not none.still.any()


def test_what_loses_its_tie_is_no_part_of_the_solution():
    rng = np.random.default_rng(3)
    ra, dec = deproject(*(rng.uniform(-90, 90, (2, 150)) / 3600.0), *CENTER)
    stars = ReferenceCatalog.of(ra, dec, error=0.3, epoch=2016.0, name="GAIAeDR3")
    rules, members = AlignmentParameters(floor=0.5), []
    for k in range(3):
        header = record(CENTER, name=f"ia0a01a{k}q", mjd=57388.5)
        truth = Correction(CENTER, shift=(0.8, -0.5))
        placed = Placement(
            header.name, "aligned", correction=truth, catalog="GAIAeDR3", method="relative",
            geometry="rscale", matches=50, error_mas=0.3,
        )  # fmt: skip
        members.append(Member(header, seen_by(header, truth, ra, dec, rng), placed, rules))
    wrong = Correction(CENTER, shift=(0.85, -0.5))
    members[1] = replace(members[1], placement=replace(members[1].placement, correction=wrong))
    fields = [SimpleNamespace(catalogs={"GAIAeDR3": stars})]
    placements, solution = solve_and_settle(members, fields, None)
    assert [placements[m.record.name].status for m in members] == [
        "aligned",
        "unaligned",
        "aligned",
    ]
    left = placements[members[1].record.name]
    assert left.correction is None
    assert "neither is demonstrated" in left.reason
    assert left.attempts[-1].reason == left.reason
    assert {e.name for e in solution.release.exposures} == {"ia0a01a0q", "ia0a01a2q"}
