"""Dispersed exposures follow the direct ones of their visit, and never the other way."""

import math
from dataclasses import replace

import numpy as np
import pytest
from guided_records import DEC, IDC, RA, exposure, off

from hapdask.astrometry.grism.between import correction_between, shift_at
from hapdask.astrometry.grism.carrying import Direct, carry_over
from hapdask.astrometry.grism.names import basis_of, common_name, is_fitted
from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.errors import ParameterError

FITTED = f"{IDC}-FIT_SVM_GAIAeDR3"


def aligned(opened, correction, *, facts=True):
    solved = replace(opened.corrected(correction), wcsname=FITTED)
    return Direct((opened,), solved, WcsFacts(FITTED, "GAIAeDR3", 40) if facts else None)


def grism(minute=20.0, **changes):
    return exposure("icat01g1q", minute, filter_name="g141", **changes)


def sky(record, x=200.0, y=900.0):
    ra, dec = record.chips[0].distortion.pixel_to_sky(np.array([x]), np.array([y]))
    return float(ra[0]), float(dec[0])


def mas(a, b):
    return math.hypot((a[0] - b[0]) * math.cos(math.radians(DEC)), a[1] - b[1]) * 3.6e6


TRUTH = off(0.62, -0.31, 0.003)


def test_it_is_given_the_correction_of_the_nearest_direct_exposure():
    near, far = exposure("icat01d1q", 10.0), exposure("icat01d2q", 70.0)
    direct = [aligned(near, TRUTH), aligned(far, off(0.624, -0.312, 0.003))]
    before = [d.solved for d in direct]
    (found,) = carry_over([grism(at=(RA + 0.002, DEC - 0.003))], direct)
    expected = grism(at=(RA + 0.002, DEC - 0.003)).corrected(TRUTH)
    assert mas(sky(found.record), sky(expected)) < 0.01
    assert (found.source, round(found.minutes)) == ("icat01d1q", 10)
    assert found.scatter_mas == pytest.approx(math.hypot(4, 2), abs=0.5)
    assert found.record.wcsname == FITTED
    assert (found.facts.catalog, found.facts.matches) == ("GAIAeDR3", 0)
    assert "icat01d1q" in found.told
    assert "agree within" in found.told
    assert found.record.verdict == grism().verdict
    assert [d.solved for d in direct] == before


def test_a_direct_image_that_starts_from_its_own_fit_is_taken_by_another_wcs():
    """The pipeline's FLT of a direct image is fitted already: its primary WCS is no basis."""
    plain = exposure("icat01d1q", 10.0)
    piped = off(0.60, -0.30, 0.003)
    opened = replace(plain.corrected(piped), wcsname=f"{IDC}-FIT_REL_GAIAeDR3", correction=None)
    solved = replace(opened.corrected(off(0.02, -0.01)), wcsname=FITTED)
    (found,) = carry_over([grism()], [Direct((opened, plain), solved)])
    moved = sky(plain, 507, 507), sky(solved, 507, 507)
    g = sky(grism(), 507, 507), sky(found.record, 507, 507)
    assert mas(*moved) == pytest.approx(mas(*g), abs=0.05)
    assert mas(*g) > 600
    (kept,) = carry_over([grism()], [Direct((opened,), solved)])
    assert kept.facts is None
    assert "same basis" in kept.told


def test_it_stays_where_the_direct_image_stays():
    plain = exposure("icat01d1q", 10.0)
    (found,) = carry_over([grism()], [Direct((plain,), plain)])
    assert (found.source, found.facts) == ("icat01d1q", None)
    assert found.record == grism()
    assert "it keeps its WCS, as icat01d1q does" in found.told


def test_a_header_that_was_confirmed_is_carried_too():
    plain = exposure("icat01d1q", 10.0)
    confirmed = replace(plain.corrected(TRUTH), wcsname=f"{IDC}-HSC30", correction=None)
    (found,) = carry_over([grism()], [Direct((confirmed, plain), confirmed)])
    assert mas(sky(found.record), sky(grism().corrected(TRUTH))) < 0.01
    assert found.record.wcsname == f"{IDC}-HSC30"


@pytest.mark.parametrize(
    ("direct", "words"),
    [
        ([], "no direct exposure"),
        ([aligned(exposure("icat02d1q", 10.0), TRUTH)], "no direct exposure"),
        ([aligned(exposure("icat01d1q", 10.0, detector="uvis"), TRUTH)], "no direct exposure"),
        ([aligned(exposure("icat01d1q", 10.0, roll=38.0), TRUTH)], "pointed"),
        ([aligned(exposure("icat01d1q", 10.0, at=(RA, DEC + 0.1)), TRUTH)], "pointed"),
        ([aligned(exposure("icat01d1q", 10.0, wcsname=f"{IDC}-GSC240"), TRUTH)], "basis"),
        ([aligned(exposure("icat01d1q", 200.0), TRUTH)], "180 min away"),
        (
            [
                aligned(exposure("icat01d1q", 10.0), TRUTH),
                aligned(exposure("icat01d2q", 40.0), off(0.72, -0.31, 0.003)),
            ],
            "differ by 100 mas",
        ),
    ],
)
def test_where_the_direct_images_do_not_tell_it_keeps_its_own(direct, words):
    (found,) = carry_over([grism()], direct)
    assert words in found.told
    assert found.record.correction is None
    assert found.record.chips == grism().chips
    assert found.record.verdict.status == "warning"
    assert found.facts is None


def test_one_with_a_fit_of_its_own_is_left_alone():
    own = grism(wcsname=FITTED)
    (found,) = carry_over([own], [aligned(exposure("icat01d1q", 10.0), TRUTH)])
    assert found.record is own


def test_no_order_of_the_direct_images_matters():
    direct = [
        aligned(exposure(f"icat01d{k}q", 20.0 + 10 * sign * k), off(0.62 + 0.001 * k, -0.31))
        for k, sign in ((1, 1), (2, -1), (3, 1))
    ]
    one, two = carry_over([grism()], direct), carry_over([grism()], direct[::-1])
    assert one[0].record.digest == two[0].record.digest


@pytest.mark.parametrize("correction", [TRUTH, off(-30.0, 12.0, 0.3), off(0.0, 0.0)])
@pytest.mark.parametrize("at", [(RA, DEC), (0.0001, 5.0), (120.0, 89.9)])
def test_the_correction_between_two_wcss(at, correction):
    correction = replace(correction, center=at)
    before = exposure("icat01d1q", 0.0, at=at)
    found = correction_between(before, before.corrected(correction))
    again = before.corrected(found.correction)
    assert found.rms_mas < 0.02
    for x, y in ((0, 0), (1013, 0), (507, 1013)):
        one, two = sky(again, x, y), sky(before.corrected(correction), x, y)
        assert math.hypot((one[0] - two[0]) * math.cos(math.radians(at[1])), one[1] - two[1]) < 1e-8
    east, north = shift_at(correction, *at)
    assert (east, north) == pytest.approx([s * 1000 for s in correction.shift], abs=1e-6)


def test_two_exposures_have_no_correction_between_them():
    with pytest.raises(ParameterError, match="not one exposure"):
        correction_between(exposure("icat01d1q", 0.0), exposure("icat01d2q", 0.0))


def test_names():
    assert [basis_of(n) for n in ("OPUS", "", IDC, "X-HSC30")] == ["OPUS", "", "", "HSC30"]
    names = (FITTED, "FIT_SVM_GAIAeDR3", f"{IDC}-GSC240", IDC, "OPUS")
    assert [is_fitted(name) for name in names] == [True, True, False, False, False]


def test_the_common_name_that_upstream_takes():
    gsc = f"{IDC}-GSC240"
    assert common_name([[IDC, gsc], [gsc, IDC, "OPUS"]], [[FITTED, gsc, IDC]]) == gsc
    assert common_name([[IDC, gsc]], [[FITTED, IDC]]) == IDC
    assert common_name([[IDC, gsc]], [["OPUS"]]) is None
    assert common_name([[f"{IDC}-HSC30"]], []) is None
    assert common_name([], [[IDC]]) is None
