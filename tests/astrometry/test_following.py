"""An exposure without sources follows others of its visit that agree, and no others."""

import math

import pytest
from guided_records import DEC, IDC, RA, exposure, off

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.following.followers import FOLLOWED, Leader, follow
from hapdask.astrometry.following.guide_stars import MOST_SCATTER

TURN = 0.01
NEAR, FAR = off(0.62, -0.31), off(0.63, -0.31)


def leader(name, minute, correction, error=2.0, **changes):
    status = "confirmed" if correction is None else "aligned"
    placement = Placement(name, status, "told", correction, "GAIAeDR3", error_mas=error)
    return Leader(exposure(name, minute, **changes), placement)


def lost(**changes):
    return exposure("icat01n1q", 20.0, filter_name="f126n", **changes)


def placed(leaders, record=None):
    record = record or lost()
    before = Placement(record.name, reason="no source")
    return follow(record, before, leaders, header_rotation=TURN)


def pair(correction=FAR, **changes):
    return [
        leader("icat01d2q", 90.0, correction, **changes),
        leader("icat01d1q", 10.0, NEAR, **changes),
    ]


def test_it_takes_the_correction_of_the_nearest_of_those_that_agree():
    found = placed(pair())
    assert (found.status, found.method, found.reference) == ("relative", FOLLOWED, "icat01d1q")
    assert found.correction == NEAR
    assert "follows icat01d1q" in found.reason
    assert "agree within 10.0 mas" in found.reason
    assert found.grade == 5
    assert found.catalog == ""


@pytest.mark.parametrize(("minute", "guiding"), [(20.0, 5.0), (-60.0, 20.0)])
def test_its_error_has_all_that_may_put_it_beside_the_other(minute, guiding):
    """The scatter, jitter or the guide stars acquired anew, the roll, and the other's own error."""
    found = placed(pair(), exposure("icat01n1q", minute, filter_name="f126n"))
    assert found.reference == "icat01d1q"
    across = 1014 * 128.0 / math.sqrt(12.0)  # mas; the border lies farther out than the pixels
    roll = math.sqrt(found.relative_mas**2 - 10.0**2 - guiding**2)
    assert 1.4 * across < roll / math.radians(TURN) < 2.5 * across
    assert found.error_mas == pytest.approx(math.hypot(found.relative_mas, 2.0))


def test_the_order_of_the_others_does_not_matter():
    assert placed(pair()).to_dict() == placed(pair()[::-1]).to_dict()


def test_it_stays_where_the_others_stay():
    found = placed([leader("icat01d1q", 10.0, None), leader("icat01d2q", 30.0, None)])
    assert found.status == "relative"
    assert found.correction is None
    assert found.header_mas == 0.0
    assert "which stays" in found.reason


@pytest.mark.parametrize(
    ("leaders", "why"),
    [
        (pair(off(0.62 + 1.01e-3 * MOST_SCATTER, -0.31)), "differ by 30 mas"),
        (pair(None), "differ by 693 mas"),
        (pair()[:1], "icat01d2q alone"),
    ],
)
def test_it_does_not_follow_those_that_disagree_or_one_alone(leaders, why):
    found = placed(leaders)
    assert (found.status, found.correction) == ("unaligned", None)
    assert "no source" in found.reason
    assert why in found.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"visit": "icat02"},
        {"detector": "uvis"},
        {"roll": 33.2},
        {"at": (RA, DEC + 0.05)},
        {"wcsname": f"{IDC}-GSC240"},
    ],
)
def test_only_those_that_were_guided_alike_lead(changes):
    found = placed(pair(**changes))
    assert (found.status, found.reason) == ("unaligned", "no source")


def test_a_wcs_that_was_fitted_follows_nobody():
    name = f"{IDC}-FIT_SVM_GAIAeDR3"
    assert placed(pair(wcsname=name), lost(wcsname=name)).status == "unaligned"
