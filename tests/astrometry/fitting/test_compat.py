"""The compat preset against HAP's facts (hap.md 3.2 to 3.4, 4.2), and against tweakwcs itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from starlists import Field, header_error

from hapdask.astrometry.fitting import starting
from hapdask.astrometry.fitting.hap_quality import hap_quality
from hapdask.astrometry.fitting.result import Fit, apply_correction
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.matching.nearest import Pairs
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.matching.upstream import XYXYRules, match_xyxy
from hapdask.config.alignment import load_alignment
from hapdask.observe.distortion import Correction

DETECTORS = (("acs", "wfc"), ("acs", "hrc"), ("acs", "sbc"), ("wfc3", "uvis"), ("wfc3", "ir"))


@pytest.mark.parametrize(("instrument", "detector"), DETECTORS)
def test_the_preset_is_haps_table(instrument, detector):
    rules, _ = load_alignment(instrument, detector, preset="compat")
    assert rules.catalogs == ("GAIAeDR3", "GSC242", "2MASS")
    assert rules.methods == ("relative", "histogram", "header")
    assert rules.geometries == ("rscale", "general")
    assert (rules.min_rscale, rules.min_general) == (12, 25)
    assert rules.relative_geometry == "rscale"
    assert (rules.nclip, rules.sigma) == (1, 3.0)
    assert (rules.good_rms, rules.max_rms) == (20.0, 150.0)


@pytest.mark.parametrize(("instrument", "detector"), DETECTORS)
def test_each_method_has_its_parameters(instrument, detector, monkeypatch):
    """searchrad, separation, tolerance, use2dhist of facts 3.4c."""
    used = []

    def remember(sources, references, rules, *, pixel_scale):
        used.append(rules)
        return match_xyxy(sources, references, rules, pixel_scale=pixel_scale)

    monkeypatch.setattr(starting, "match_xyxy", remember)
    rules, _ = load_alignment(instrument, detector, preset="compat")
    places = Places.make("e", np.linspace(10.0, 10.01, 5), np.zeros(5), 1.0).in_plane((10.0, 0.0))
    for method in rules.methods:
        starting.match_upstream(places, places, method, rules, 0.04)
    wide = 400.0 if detector in ("wfc", "uvis") else 250.0
    assert used == [
        XYXYRules(125.0, 4.0, 2.0, True),
        XYXYRules(wide, 4.0, 2.0, True),
        XYXYRules(250.0, 0.1, 10.0, False),
    ]


def exposures(seed, count, *, shift=3.0, stars=700):
    rng = np.random.default_rng(seed)
    field = Field(rng, stars=stars)
    matrix, move = header_error(rng, shift, 0.003)
    return field, [
        field.exposure((matrix, move + rng.normal(0, 0.02, 2)), name=f"e{k}") for k in range(count)
    ]


@pytest.mark.parametrize("seed", [4, 5])
def test_a_single_exposure_is_placed_as_by_tweakwcs(seed):
    from astropy.table import Table
    from astropy.wcs import WCS
    from tweakwcs import FITSWCSCorrector, XYXYMatch, align_wcs

    field, (seen,) = exposures(seed, 1)
    catalog = field.catalog(400)
    rules, _ = load_alignment("wfc3", "uvis", preset="compat")
    (placed,) = align_visit([seen.places], [catalog], rules)
    assert placed.status == "aligned"
    assert (placed.method, placed.geometry) == ("histogram", "rscale")

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], field.center
    wcs.wcs.crpix, wcs.wcs.cd = [2048, 2048], np.diag([-1.0, 1.0]) * 0.04 / 3600.0
    wcs.pixel_shape = (4096, 4096)
    x, y = wcs.all_world2pix(seen.places.ra, seen.places.dec, 0)
    corrector = FITSWCSCorrector(wcs, meta={"catalog": Table({"x": x, "y": y}), "name": "e0"})
    weight = 1.0 / (catalog.ra_error**2 + catalog.dec_error**2)
    stars = Table({"RA": catalog.ra, "DEC": catalog.dec, "weight": weight})
    stars.meta["name"] = "catalog"
    align_wcs(
        [corrector],
        stars,
        match=XYXYMatch(searchrad=400, separation=4.0, tolerance=2.0, use2dhist=True),
        expand_refcat=False,
        fitgeom="rscale",
        minobj=12,
        nclip=1,
        sigma=(3.0, "rmse"),
    )
    assert corrector.meta["fit_info"]["status"] == "SUCCESS"
    sky = corrector.wcs.all_pix2world(*wcs.all_world2pix(*seen.header, 0), 0)
    center = placed.correction.center
    theirs = Places.make("", *sky, 0.0).in_plane(center).xy
    header = Places.make("", *seen.header, 0.0).in_plane(center).xy
    apart = theirs - apply_correction(placed.correction, header)
    assert 1000.0 * np.abs(apart).max() < 0.01  # mas; the shift is 3 arcsec


def test_methods_are_tried_in_haps_order():
    _, seen = exposures(6, 2)
    other, _ = exposures(106, 1)
    rules, _ = load_alignment("wfc3", "uvis", preset="compat")
    nothing = [other.catalog(200), replace(other.catalog(100), name="second")]
    for placed in align_visit([s.places for s in seen], nothing, rules):
        assert placed.status == "relative"
        tried = [(a.catalog, a.method) for a in placed.attempts if a.catalog[0] != "e"]
        assert list(dict.fromkeys(tried)) == [
            (c, m) for c in ("catalog", "second") for m in ("relative", "histogram", "header")
        ]
    alone = align_visit([seen[0].places], nothing, rules)[0]
    assert [a.method for a in alone.attempts] == ["histogram", "header"] * 2


def test_eleven_reference_stars_are_no_fit():
    field, seen = exposures(7, 1)
    rules, _ = load_alignment("wfc3", "uvis", preset="compat")
    stars = field.catalog(400, false=0.0)
    inside = np.flatnonzero(np.abs(stars.in_plane(field.center).xy).max(axis=1) < 60.0)
    found = [
        align_visit([seen[0].places], [stars.take(inside[:n])], rules)[0].status for n in (11, 16)
    ]
    assert found == ["unaligned", "aligned"]


def a_fit(matches, rms, *, matrix=(1.0, 0.0, 0.0, 1.0)):
    """A fit whose separations have that standard deviation, mas."""
    sizes = np.where(np.arange(matches) % 2 == 0, 1.0, 1.0 + 2.0 * rms)
    residuals = np.stack([sizes, np.zeros(matches)], axis=1)
    numbers = np.arange(matches)
    return Fit(
        correction=Correction((0.0, 0.0), matrix),
        geometry="rscale",
        pairs=Pairs(numbers, numbers),
        rejected=0,
        residuals=residuals,
        rms_mas=(rms, 0.0),
        covariance=np.zeros((6, 6)),
        chi2=1.0,
    )


@pytest.mark.parametrize(
    ("matches", "rms", "offset", "correlation", "category"),
    [
        (12, 5.0, 1.0, 0.0, 1),
        (12, 30.0, 1.0, 0.0, 3),
        (12, 149.0, 1.0, 0.0, 3),
        (12, 151.0, 1.0, 0.0, 5),
        (11, 5.0, 1.0, 1.0, 5),  # rscale needs 12
        (12, 5.0, 12.4, 0.0, 5),  # 14 x 0.36 = 5.04 > 0.8 + 1.24^8 = 6.39 is false
        (12, 5.0, 11.9, 0.0, 1),  # 0.8 + 1.19^8 = 4.82
        (100, 5.0, 15.0, 0.0, 1),  # 36.7 > 0.8 + 25.6
    ],
)
def test_the_category_is_haps(matches, rms, offset, correlation, category):
    found = hap_quality(
        a_fit(matches, rms),
        offset=offset,
        required=12,
        correlation=correlation,
        good_rms=20.0,
        max_rms=150.0,
    )
    assert found.category == category
    assert (found.category == 5) == bool(found.reasons)


@pytest.mark.parametrize(
    ("rms", "correlation", "category"),
    [(5.0, 0.6, 1), (5.0, -0.6, 1), (5.0, 0.4, 2), (5.0, math.nan, 2), (30.0, 0.4, 4)],
)
def test_magnitudes_of_few_matches_are_compared(rms, correlation, category):
    found = hap_quality(
        a_fit(8, rms), offset=0.1, required=4, correlation=correlation, good_rms=20.0, max_rms=150.0
    )
    assert found.category == category


def test_a_singular_fit_is_invalid():
    skewed = a_fit(20, 5.0, matrix=(1.03, 0.0, 3e-4, 1.0))
    told = hap_quality(
        skewed, offset=0.1, required=12, correlation=1.0, good_rms=20.0, max_rms=150.0
    )
    assert told.reasons == ("potential singularity",)
