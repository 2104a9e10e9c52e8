"""The joint solution after the exposures of a visit were placed, with records and source lists."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from two_chips import record, seen_by

from hapdask.astrometry.fitting.lists import places_of_catalog, places_of_sources
from hapdask.astrometry.fitting.members import Member, joint_geometry, unscaled_mas
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.refine import refine, settle
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.solving import solve
from hapdask.config.alignment import AlignmentParameters
from hapdask.errors import ParameterError
from hapdask.observe.distortion import Correction
from hapdask.sky.tangent import deproject, project

CENTER = (359.999, 71.0)
RULES = AlignmentParameters(floor=0.5)
YEAR = 365.25


class Sky:
    """Stars that move, and visits of them with wrong headers."""

    def __init__(self, seed, stars=400, center=CENTER, scatter=5.0):
        self.rng, self.center = np.random.default_rng(seed), center
        self.xy = self.rng.uniform(-130, 130, (stars, 2))
        self.pm = self.rng.normal(0, scatter, (stars, 2))
        self.records, self.truth, self.sources = [], [], []

    def at(self, mjd):
        moved = self.xy + self.pm * (mjd - 57388.5) / YEAR / 1000.0
        return deproject(moved[:, 0] / 3600.0, moved[:, 1] / 3600.0, *self.center)

    def visit(self, name="ia0a01", *, exposures=4, mjd=57388.0, shift=1.0, jitter=0.01, **options):
        """Records of a visit; their true corrections and sources are kept."""
        common, roll = self.rng.normal(0, shift, 2), np.radians(self.rng.normal(0, 0.01))
        records = []
        for k in range(exposures):
            place = self.rng.uniform(-5, 5, 2) / 3600.0
            here = tuple(float(c) for c in deproject(*place, *self.center))
            header = record(here, name=f"{name}a{k}q", mjd=mjd + 0.03 * k)
            matrix = (np.cos(roll), -np.sin(roll), np.sin(roll), np.cos(roll))
            move = common + self.rng.normal(0, jitter, 2)
            truth = Correction(here, tuple(map(float, matrix)), tuple(map(float, move)))
            sources = seen_by(header, truth, *self.at(header.mid_mjd), self.rng, **options)
            self.records.append(header)
            self.truth.append(truth)
            self.sources.append(sources)
            records.append(len(self.records) - 1)
        return records

    def catalog(self, count, error=0.3, known=True):
        pick = self.rng.permutation(len(self.xy))[:count]
        seen = self.xy[pick] + self.rng.normal(0, error, (len(pick), 2)) / 1000.0
        ra, dec = deproject(seen[:, 0] / 3600.0, seen[:, 1] / 3600.0, *self.center)
        pm = self.pm[pick] + self.rng.normal(0, 0.2, (len(pick), 2))
        if not known:
            return ReferenceCatalog.of(ra, dec, error=error, epoch=2016.0, name="GSC242")
        return ReferenceCatalog.of(
            ra, dec, error=error, epoch=2016.0, name="GAIAeDR3",
            pmra=pm[:, 0], pmdec=pm[:, 1], pmra_error=0.2, pmdec_error=0.2,
        )  # fmt: skip

    def placed(self, which, catalogs):
        """Members of the exposures as `align_visit` places them."""
        places = [places_of_sources(self.sources[k], self.records[k]) for k in which]
        catalogs = [places_of_catalog(c.at(self.records[which[0]].mid_mjd)) for c in catalogs]
        found = align_visit(places, catalogs, RULES)
        return [
            Member.of(self.records[k], self.sources[k], p)
            for k, p in zip(which, found, strict=True)
        ]

    def off(self, k, correction):
        """How far an exposure's border is from the truth, east and north, mas."""
        header, center = self.records[k], self.center
        given = header if correction is None else header.corrected(correction)
        ends = [
            np.concatenate([np.stack(project(*c.border(), *center), 1) for c in r.chips])
            for r in (given, header.corrected(self.truth[k]))
        ]
        return 3.6e6 * (ends[0] - ends[1])

    def without_common(self, which, off):
        """The same without what a turn, scale and shift of all exposures together explains."""
        places = []
        for k in which:
            chips = self.records[k].corrected(self.truth[k]).chips
            xy = [np.stack(project(*c.border(), *self.center), 1) for c in chips]
            places.append(3600.0 * np.concatenate(xy))
        design = [np.hstack([xy, np.ones((len(xy), 1))]) for xy in places]
        linear, *_ = np.linalg.lstsq(np.concatenate(design), np.concatenate(off), rcond=None)
        return [o - d @ linear for o, d in zip(off, design, strict=True)]


def rms(off):
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def test_all_exposures_of_a_visit_get_better():
    after, pulls = [], []
    for seed in range(3):
        sky = Sky(seed)
        visit, catalog = sky.visit(), sky.catalog(150)
        members = sky.placed(visit, [catalog])
        made = refine(members, catalog, RULES)
        assert made.refused == {}
        assert {p.status for p in made.placements} == {"aligned"}
        for k, member, placed in zip(visit, members, made.placements, strict=True):
            assert placed.exposure == member.placement.exposure
            assert placed.attempts[:-1] == member.placement.attempts
            assert placed.attempts[-1].method == "joint"
            if placed.method == "joint":
                assert placed.error_mas < member.placement.error_mas
                assert placed.floor_mas == 1.5
                assert 0.5 < placed.chi2 < 1.6
                assert placed.matches >= 50
            after.append(rms(sky.off(k, placed.correction)))
            pulls.append(after[-1] / placed.error_mas)
    assert np.median(after) < 0.3
    assert np.percentile(pulls, 95) < 2.2


def test_fifteen_reference_stars_are_enough_for_a_mas():
    after = []
    for seed in range(4):
        sky = Sky(seed + 50)
        visit, catalog = sky.visit(), sky.catalog(40)
        members = sky.placed(visit, [catalog])
        made = refine(members, catalog, RULES)
        after += [
            rms(sky.off(k, p.correction)) for k, p in zip(visit, made.placements, strict=True)
        ]
    assert np.median(after) < 1.0


def test_exposures_of_a_visit_agree_to_half_a_mas_from_data_alone():
    """Gate: 100 stars in common, no reference star."""
    apart = []
    for seed in range(5):
        sky = Sky(seed + 20, stars=230)  # 100 to 110 of them in all exposures
        visit = sky.visit()
        members = sky.placed(visit, [])
        assert {m.placement.status for m in members} == {"relative"}
        off = [sky.off(k, m.placement.correction) for k, m in zip(visit, members, strict=True)]
        apart += [rms(o) for o in sky.without_common(visit, off)]
    assert math.sqrt(np.mean(np.square(apart))) < 0.5


def test_a_visit_without_reference_stars_is_tied_to_a_solved_one():
    """Gate: within a year, 1 mas relative to it."""
    relative = []
    for seed in range(3):
        sky = Sky(seed + 30, stars=600)
        first = sky.visit()
        catalog = sky.catalog(200)
        solved = refine(sky.placed(first, [catalog]), catalog, RULES)
        release = solved.solution.release
        second = sky.visit("ia0b02", mjd=57388.0 + 200.0)
        # places alone: no reference star lies where the second visit does
        stars = ReferenceCatalog.of(
            release.sources.ra, release.sources.dec,
            ra_error=release.sources.ra_error, dec_error=release.sources.dec_error,
            epoch=release.sources.epoch, name="release1",
        )  # fmt: skip
        members = sky.placed(second, [stars])
        held = [Member.of(sky.records[k], sky.sources[k], p).sources
                for k, p in zip(first, solved.placements, strict=True)]  # fmt: skip
        made = refine(members, None, RULES, published=release, held=held)
        assert {p.status for p in made.placements} == {"aligned"}
        assert {p.method for p in made.placements} == {"joint"}
        assert made.solution.release.version == 2
        before = np.mean(
            [
                sky.off(k, p.correction).mean(0)
                for k, p in zip(first, solved.placements, strict=True)
            ],
            axis=0,
        )
        for k, p in zip(second, made.placements, strict=True):
            relative.append(rms(sky.off(k, p.correction) - before))
            assert "published" in p.reason
    assert math.sqrt(np.mean(np.square(relative))) < 1.0


@pytest.mark.parametrize("center", [CENTER, (10.0, 89.995)])
def test_the_unknown_motion_of_a_field_is_in_the_error(center):
    """15 years at 3 mas / yr and axis are 64 mas, at a pole too, whatever the number of stars."""
    sky = Sky(12, center=center)
    visit, catalog = sky.visit(exposures=2, mjd=57388.0 + 15 * YEAR), sky.catalog(200, known=False)
    members = sky.placed(visit, [catalog])
    assert all(60.0 < m.placement.error_mas < 75.0 for m in members)
    made = refine(members, catalog, RULES)
    assert all(60.0 < p.attempts[-1].error < 75.0 for p in made.placements)
    assert all(p.status == "aligned" for p in made.placements)


def with_a_start_moved(sky, by, **changes):
    """A visit of four whose third exposure starts elsewhere, by so many arcsec."""
    visit, catalog = sky.visit(), sky.catalog(150)
    members = sky.placed(visit, [catalog])
    old = members[2].placement
    east, north = old.correction.shift
    wrong = replace(old, correction=replace(old.correction, shift=(east + by, north)), **changes)
    members[2] = Member.of(sky.records[visit[2]], sky.sources[visit[2]], wrong)
    return members, catalog


def test_a_start_that_the_solution_contradicts_is_believed_no_longer():
    members, catalog = with_a_start_moved(Sky(5), 0.05)
    old = members[2].placement
    assert old.status == "aligned"
    made = refine(members, catalog, RULES)
    assert set(made.refused) == {old.exposure}
    assert "mas away" in made.refused[old.exposure]
    left = made.placements[2]
    assert (left.status, left.correction, left.method, left.grade) == ("unaligned", None, "", 5)
    assert math.isnan(left.error_mas)
    assert left.reason.startswith(made.refused[old.exposure])
    assert "neither is demonstrated" in left.reason
    assert left.attempts[:-1] == old.attempts
    assert (left.attempts[-1].method, left.attempts[-1].reason) == ("joint", left.reason)
    assert not left.attempts[-1].accepted
    assert old.exposure not in made.solution.release
    others = [p for k, p in enumerate(made.placements) if k != 2]
    assert {p.status for p in others} == {"aligned"}


def test_settling_a_solution_takes_the_tie_as_refining_does():
    members, catalog = with_a_start_moved(Sky(5), 0.05)
    solution = solve([m.sources for m in members], catalog)
    assert [p.status for p in settle(members, solution, RULES)] == [
        "aligned", "aligned", "unaligned", "aligned",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "changes"),
    [
        (0.005, {}),  # not by much more than both errors and the floor
        (0.05, {"matches": 100_000, "attempts": ()}),  # rests on less than the start
    ],
)
def test_a_start_that_may_be_right_is_kept(by, changes):
    members, catalog = with_a_start_moved(Sky(5), by, **changes)
    old = members[2].placement
    made = refine(members, catalog, RULES)
    assert set(made.refused) == {old.exposure}
    kept = made.placements[2]
    assert (kept.status, kept.correction) == ("aligned", old.correction)
    assert kept.attempts[-1].reason == made.refused[old.exposure]
    assert not kept.attempts[-1].accepted


def test_starts_by_published_sources_have_the_error_of_these():
    """A fit to them sees how they scatter, not how far all of them are off."""
    sky = Sky(31, stars=600)
    first = sky.visit()
    catalog = sky.catalog(40, error=20.0)
    solved = refine(sky.placed(first, [catalog]), catalog, RULES)
    release = solved.solution.release
    published = math.sqrt(2.0) * min(e.error_mas() for e in release.exposures)
    second = sky.visit("ia0b02", mjd=57388.0 + 200.0)
    stars = ReferenceCatalog.of(
        release.sources.ra, release.sources.dec, error=0.3,
        epoch=release.sources.epoch, name="release1",
    )  # fmt: skip
    members = sky.placed(second, [stars])
    held = [
        Member.of(sky.records[k], sky.sources[k], p).sources
        for k, p in zip(first, solved.placements, strict=True)
    ]
    made = refine(members, None, RULES, published=release, held=held)
    for member, placed in zip(members, made.placements, strict=True):
        assert member.placement.error_mas < 0.5 * published
        assert (placed.status, placed.method) == ("aligned", "joint")
        assert placed.error_mas > 0.9 * published


def test_headers_that_are_right_are_left():
    sky = Sky(6)
    visit, catalog = sky.visit(shift=0.0, jitter=0.0), sky.catalog(150)
    for k in visit:
        sky.truth[k] = Correction(sky.truth[k].center)
        sky.sources[k] = seen_by(
            sky.records[k], sky.truth[k], *sky.at(sky.records[k].mid_mjd), sky.rng
        )
    members = sky.placed(visit, [catalog])
    assert {m.placement.status for m in members} == {"confirmed"}
    made = refine(members, catalog, RULES)
    assert [p.correction for p in made.placements] == [m.placement.correction for m in members]
    assert {p.status for p in made.placements} == {"confirmed"}
    assert all(
        p.attempts[-1].reason.startswith(("the header is as good", "the joint solution's error"))
        for p in made.placements
    )


def test_exposures_that_have_no_tie_take_no_part():
    sky = Sky(7)
    visit, catalog = sky.visit(exposures=2), sky.catalog(150)
    members = sky.placed(visit, [catalog])
    alone = replace(members[0], placement=Placement(sky.records[visit[0]].name, reason="none"))
    made = refine([alone, members[1]], catalog, RULES)
    assert made.placements[0] is alone.placement
    assert alone.placement.exposure not in made.solution.release
    nothing = refine([alone], catalog, RULES)
    assert nothing.solution is None
    assert nothing.placements == (alone.placement,)
    assert refine([], None, RULES).placements == ()


def test_without_a_reference_star_nothing_is_believed_to_be_tied():
    sky = Sky(8)
    members = sky.placed(sky.visit(), [sky.catalog(150)])
    made = refine(members, None, RULES)
    assert made.solution is None
    assert [p.correction for p in made.placements] == [m.placement.correction for m in members]
    assert set(made.refused.values()) == {"the joint solution has no tie to the sky"}


def test_any_order_gives_the_same_bits():
    sky = Sky(9)
    visit, catalog = sky.visit(), sky.catalog(100)
    members = sky.placed(visit, [catalog])
    rules = {m.placement.exposure: RULES for m in members}
    one, two = refine(members, catalog, RULES), refine(members[::-1], catalog, rules)
    assert [p.to_dict() for p in one.placements] == [p.to_dict() for p in two.placements[::-1]]
    assert one.solution.release.digest == two.solution.release.digest


def test_a_record_that_is_corrected_is_refused():
    sky = Sky(10)
    (k,) = sky.visit(exposures=1)
    corrected = sky.records[k].corrected(sky.truth[k])
    with pytest.raises(ParameterError, match="corrected already"):
        Member.of(corrected, sky.sources[k], Placement(corrected.name))


def test_a_scale_that_a_fit_leaves_to_the_header_is_part_of_its_error():
    side = np.array([-80.0, 80.0])
    xi, eta = (c.ravel() for c in np.meshgrid(side, side))
    given = JointParameters(header_scale=3.0, exposure_scale=4.0).to_dict()
    for geometry in ("", "shift", "rshift"):
        left = unscaled_mas(geometry, xi, eta, given)
        assert left == pytest.approx(5.0 * 0.8 * math.sqrt(2.0))
    assert unscaled_mas("rscale", xi, eta, given) == unscaled_mas("general", xi, eta, given) == 0.0
    assert {joint_geometry(Placement("e", geometry=g)) for g in ("", "shift", "rshift")} == {
        "rscale"
    }
    assert joint_geometry(Placement("e", geometry="general")) == "general"


def test_what_no_geometry_follows_is_no_less_in_the_joint_solution():
    sky = Sky(3)
    visit, catalog = sky.visit(), sky.catalog(150)
    bent = []
    for member in sky.placed(visit, [catalog]):
        start = member.placement
        fit = replace(start.fit, misfit_mas=30.0)
        error = math.hypot(start.error_mas, 30.0 * math.sqrt(2.0))
        bent.append(replace(member, placement=replace(start, fit=fit, error_mas=error)))
    for placed in refine(bent, catalog, RULES).placements:
        assert 42.0 < placed.error_mas < 43.0
