"""TweakReg's way of matching and fitting, on lists of stars with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from starlists import Field, header_error

from hapdask.astrometry.fitting.overlaps import overlap_areas
from hapdask.astrometry.fitting.tweakreg import run_tweakreg
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.matching.upstream import offset_votes
from hapdask.config.alignment import AlignmentParameters, TweakRegMatching
from hapdask.errors import ParameterError
from hapdask.sky.frame import Frame

CENTER = (150.0, 2.2)
RULES = AlignmentParameters(floor=0.5)
WIDE = TweakRegMatching(searchrad=5.0, tolerance=3.0)


def frame(rotation=0.0):
    return Frame.from_center(*CENTER, 0.04, (6000, 6000), rotation)


def visit(seed, *, exposures=3, stars=800, shift=3.0, rotation=0.002, step=0.0, **options):
    """Exposures ``step`` arcsec apart whose headers err alike by a shift, and each by a little."""
    rng = np.random.default_rng(seed)
    side = options.pop("side", 162.0)
    field = Field(rng, center=CENTER, stars=stars, side=side if step == 0.0 else 2.0 * side)
    field.side = side
    matrix, move = header_error(rng, shift, rotation)
    seen = [
        field.exposure(
            (matrix, move + rng.normal(0, 0.02, 2)),
            pointing=(step * (k - (exposures - 1) / 2), 0.0),
            name=f"e{k}",
            **options,
        )
        for k in range(exposures)
    ]
    return field, seen


def run(seen, refcat, parameters=WIDE, **options):
    options = {"frame": frame(), "rules": RULES} | options
    return run_tweakreg([s.places for s in seen], refcat, parameters, **options)


def test_exposures_are_aligned_to_a_catalog():
    field, seen = visit(1)
    made = run(seen, field.catalog(400, false=0.0))
    assert [f.status for f in made.fits] == ["aligned"] * 3
    assert made.order == ("e0", "e1", "e2")
    assert set(made.origin) == {"catalog"}
    for exposure, fit in zip(seen, made.fits, strict=True):
        after = np.median(exposure.residuals(fit.correction))
        assert after < 0.6
        assert after < 3.0 * fit.error_mas
        assert fit.header_mas == pytest.approx(
            np.sqrt(np.mean(exposure.residuals(None) ** 2)), rel=0.05
        )
        assert fit.placement.status == "aligned"
        assert fit.placement.method == "tweakreg"
        assert fit.placement.error_mas == fit.error_mas


@pytest.mark.parametrize("geometry", ["shift", "rshift", "rscale", "general"])
@pytest.mark.parametrize("rotation", [0.0, 37.0])
def test_what_is_kept_of_each_source_is_consistent(geometry, rotation):
    field, seen = visit(2, exposures=1, rotation=0.0)
    grid = frame(rotation)
    made = run(seen, field.catalog(400), replace(WIDE, fitgeometry=geometry), frame=grid)
    fit, matches = made.fits[0], made.fits[0].matches
    places = seen[0].places
    x, y = grid.sky_to_pixel(places.ra, places.dec)
    np.testing.assert_allclose(matches.found, np.stack([x, y], 1)[matches.sources], atol=1e-6)
    x, y = grid.sky_to_pixel(made.references.ra, made.references.dec)
    np.testing.assert_allclose(
        matches.reference, np.stack([x, y], 1)[matches.references], atol=1e-6
    )
    # where the correction puts each source, pixel and sky
    plane = places.in_plane(grid.crval).xy[matches.sources]
    fitted = Places.make("", matches.ra, matches.dec, 0.0)
    np.testing.assert_allclose(fitted.in_plane(grid.crval).xy, fit.fit.apply(plane), atol=1e-8)
    np.testing.assert_allclose(
        matches.fitted, np.stack(grid.sky_to_pixel(matches.ra, matches.dec), 1), atol=1e-6
    )
    assert fit.fit.geometry == geometry
    assert fit.fit.matches == np.count_nonzero(matches.used) == fit.fit.matches
    assert fit.fit.rejected == np.count_nonzero(~matches.used)
    used = matches.take(matches.used)
    np.testing.assert_allclose(used.residuals.std(axis=0), fit.rms_pixels, rtol=1e-6)
    assert np.median(seen[0].residuals(fit.correction)) < 1.0


def test_the_stated_error_is_true():
    pulls = []
    for seed in range(15):
        field, seen = visit(seed, exposures=2)
        made = run(seen, field.catalog(200, false=0.0))
        for exposure, fit in zip(seen, made.fits, strict=True):
            after = np.sqrt(np.mean(exposure.residuals(fit.correction) ** 2))
            pulls.append(after / fit.error_mas)
    assert 0.5 < np.percentile(pulls, 68) < 1.6
    assert np.percentile(pulls, 95) < 2.6


def test_lists_without_errors_are_weighed_by_their_scatter():
    field, (seen,) = visit(1, exposures=1)
    places = seen.places
    seen.places = Places.make(places.name, places.ra, places.dec, np.nan, mag=places.mag)
    (fit,) = run([seen], field.catalog(400, false=0.0)).fits
    assert fit.status == "aligned"
    assert np.median(seen.residuals(fit.correction)) < 3.0 * fit.error_mas < 6.0


def test_without_a_catalog_the_first_is_the_reference():
    _, seen = visit(3, shift=0.2)
    made = run(seen, None)
    assert [f.status for f in made.fits] == ["reference", "aligned", "aligned"]
    assert made.fits[0].correction is None
    assert len(made.references) == len(seen[0].places)
    middle = [s.residuals(f.correction)[12] for s, f in zip(seen, made.fits, strict=True)]
    assert np.ptp(middle) < 0.5
    assert made.placements[0].status == "relative"


def test_an_exposure_given_as_the_catalog_stays():
    _, seen = visit(3, shift=0.2)
    made = run(seen, seen[1].places)
    assert [f.status for f in made.fits] == ["aligned", "reference", "aligned"]


def test_expanding_the_references_reaches_what_the_first_does_not_see():
    _, seen = visit(4, exposures=4, step=60.0, side=100.0, stars=1500, shift=0.2)
    narrow = run(seen, None)
    assert [f.status for f in narrow.fits] == ["reference", "aligned", "unaligned", "unaligned"]
    assert narrow.fits[3].reason.startswith("not enough matches: 0 of 15") or (
        "no reference" in narrow.fits[3].reason
    )
    grown = run(seen, None, replace(WIDE, expand_refcat=True))
    assert [f.status for f in grown.fits] == ["reference", "aligned", "aligned", "aligned"]
    assert len(grown.references) == len(grown.origin) > 2 * len(seen[0].places)
    assert set(grown.origin) == {"e0", "e1", "e2", "e3"}
    middle = [s.residuals(f.correction)[12] for s, f in zip(seen, grown.fits, strict=True)]
    assert np.ptp(middle) < 1.5


def test_what_finds_no_match_tries_again_after_the_others():
    _, seen = visit(4, exposures=3, step=60.0, side=100.0, stars=1500, shift=0.2)
    order = [seen[0], seen[2], seen[1]]
    made = run(order, None, replace(WIDE, expand_refcat=True))
    assert [f.status for f in made.fits] == ["reference", "aligned", "aligned"]
    assert made.order == ("e0", "e1", "e2")
    assert [a.accepted for a in made.fits[1].attempts] == [False, True]


def test_the_pair_that_overlaps_most_comes_first_unless_order_is_enforced():
    _, seen = visit(5, exposures=4, step=40.0, side=100.0, stars=1500, shift=0.2)
    grown = replace(WIDE, expand_refcat=True)
    assert run(seen, None, grown).order[0] == "e0"
    free = run(seen, None, replace(grown, enforce_user_order=False))
    assert free.order[0] in ("e1", "e2")
    assert {f.status for f in free.fits} == {"reference", "aligned"}


def test_fewer_than_minobj_matches_are_no_fit():
    field, seen = visit(6, exposures=1)
    few = field.catalog(400, false=0.0)
    inside = np.flatnonzero(np.abs(few.in_plane(CENTER).xy).max(axis=1) < 60)[:14]
    made = run(seen, few.take(inside)).fits[0]
    assert made.status == "unaligned"
    assert "14 of 15" in made.reason or "13 of 15" in made.reason
    assert len(made.matches) < 15
    assert not made.matches.used.any()
    enough = run(seen, few.take(inside), replace(WIDE, minobj=10)).fits[0]
    assert enough.status == "aligned"


def test_exposures_of_few_sources_are_left_out():
    field, seen = visit(7)
    seen[1].places = seen[1].places.take(slice(0, 5))
    seen[2].places = seen[2].places.take(slice(0, 0))
    made = run(seen, field.catalog(300))
    assert [f.status for f in made.fits] == ["aligned", "unaligned", "unaligned"]
    assert made.fits[1].reason == "5 sources of 15 needed"
    assert made.fits[2].reason == "no source"
    assert run(seen[2:], None).fits[0].status == "unaligned"
    assert run([], None).fits == ()


def test_a_catalog_of_another_field_is_believed_by_upstreams_rules_alone():
    _, seen = visit(8, exposures=2, stars=3000)
    other, _ = visit(108, stars=3000)
    easy = replace(WIDE, minobj=3, tolerance=10.0, fitgeometry="shift")
    checked, unseen = (run(seen, other.catalog(2000), easy, rules=r) for r in (RULES, None))
    assert {f.status for f in checked.fits} <= {"refused", "unaligned"}
    assert all(f.correction is None and f.reason for f in checked.fits)
    assert {f.status for f in unseen.fits} == {"aligned"}
    assert all("may be chance" in f.reason for f in unseen.fits)


def test_a_header_as_good_as_the_fit_is_left():
    field, seen = visit(9, exposures=1, shift=0.0, rotation=0.0)
    seen = [field.exposure((np.eye(2), np.zeros(2)), name="e0")]
    made = run(seen, field.catalog(300, false=0.0)).fits[0]
    assert made.status == "confirmed"
    assert made.correction is None
    assert made.fit is not None
    assert made.placement.error_mas >= made.error_mas


def test_the_histogram_is_kept_where_asked_for():
    field, seen = visit(10, exposures=1, rotation=0.0)
    catalog = field.catalog(300, false=0.0)
    made = run(seen, catalog).fits[0].histogram
    assert made.counts.shape == (251, 251)
    assert made.radius == 125.0
    assert made.significance > 10
    places = seen[0].places
    apart = np.subtract(
        np.stack(frame().sky_to_pixel(places.ra, places.dec), 1)[:, None],
        np.stack(frame().sky_to_pixel(catalog.ra, catalog.dec), 1)[None],
    ).reshape(-1, 2)
    bins, *_ = np.histogram2d(*apart.T[::-1], 251, [[-125.5, 125.5]] * 2)
    np.testing.assert_array_equal(made.counts, bins)
    y, x = np.unravel_index(np.argmax(bins), bins.shape)
    assert made.peak == (x - 125, y - 125)
    assert run(seen, catalog, replace(WIDE, see2dplot=False)).fits[0].histogram is None
    near = replace(WIDE, use2dhist=False, xoffset=float(x - 125), yoffset=float(y - 125))
    known = run(seen, catalog, near).fits[0]
    assert known.histogram is None
    assert known.status == "aligned"
    assert run(seen, catalog, replace(near, xoffset=0.0)).fits[0].status == "unaligned"


def test_the_search_radius_has_two_units():
    assert TweakRegMatching().radius(0.04) == pytest.approx(25.0)
    assert TweakRegMatching(searchunits="pixels", searchrad=7.0).radius(0.04) == 7.0
    assert offset_votes(np.zeros((1, 2)), np.array([[3.0, 0.0]]), 2.5).sum() == 1
    assert offset_votes(np.zeros((1, 2)), np.array([[3.6, 0.0]]), 2.5).sum() == 0


def test_pairs_of_many_sources_are_counted_once():
    rng = np.random.default_rng(6)
    sources, references = rng.uniform(0, 60, (600, 2)), rng.uniform(0, 60, (90, 2))
    apart = (sources[:, None] - references).reshape(-1, 2)
    bins, *_ = np.histogram2d(*apart.T[::-1], 13, [[-6.5, 6.5]] * 2)
    np.testing.assert_array_equal(offset_votes(sources, references, 5.3), bins)
    assert offset_votes(np.zeros((0, 2)), references, 5.3).sum() == 0


def test_areas_that_outlines_share():
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    near, far = np.add(square, [4.0, 5.0]), np.add(square, [40.0, 0.0])
    areas = overlap_areas([square, near, far, np.zeros((0, 2))])
    np.testing.assert_allclose(areas[0, 1], 30.0)
    np.testing.assert_allclose(areas, areas.T)
    assert np.count_nonzero(areas) == 2


def test_wrong_arguments_are_told():
    _, seen = visit(1, exposures=2)
    with pytest.raises(ParameterError, match="one name"):
        run([seen[0], seen[0]], None)
    with pytest.raises(ParameterError, match="outlines"):
        run(seen, None, outlines=[])
    with pytest.raises(ParameterError, match="fitgeometry"):
        TweakRegMatching(fitgeometry="cubic")
