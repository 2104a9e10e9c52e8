"""Each figure of a chip that can change a pixel is in its exposure's digest and in its tiles'."""

from dataclasses import replace

import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import Layer, make_plan
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord, MaskRef
from hapdask.sky.frame import Frame


@pytest.mark.parametrize(
    "change",
    [
        {"gain": 7.12},
        {"bin": 2},
        {"shadow": (52.0, 0.01, -1e-5, 42.0, 0.01, -1e-5)},
        {"window": (0, 48, 0, 130)},
        "companion",
    ],
    ids=str,
)
def test_a_figure_of_a_chip_is_in_the_digests(make, change):
    (record,) = open_exposures(make())
    first = record.chips[0]
    if change == "companion":
        identity = replace(record.identity, stamp="another")
        change = {"dq": replace(first.dq, url="/elsewhere/c1m.fits", identity=identity)}
    changed = replace(record, chips=(replace(first, **change), *record.chips[1:]))
    assert changed.digest != record.digest
    assert ExposureRecord.from_dict(changed.to_dict()) == changed
    assert tile_digest(changed) != tile_digest(record)


def tile_digest(record, weight="EXP"):
    frame = Frame.from_center(150.25, 2.002, 0.04, (200, 200))
    parameters = DrizzleParameters(weight=weight)
    return make_plan([record], frame, Layer.of(record), parameters).tiles[0].digest


@pytest.mark.parametrize(
    "change",
    [{"read_noise": 5.24}, {"dark": 0.5}, {"ivm": MaskRef("ivm", "/i.npy", ("1", "2", "3"))}],
    ids=str,
)
def test_what_the_noise_is_made_of_counts_where_it_is_made(make, change):
    """It changes no pixel where the file has ERR and the weight is no background's."""
    (record,) = open_exposures(make())
    first = record.chips[0]

    def with_first(**facts):
        return replace(record, chips=(replace(first, **facts), *record.chips[1:]))

    assert with_first(**change).digest != record.digest
    for weight in ("EXP", "ERR"):
        assert tile_digest(with_first(**change), weight) == tile_digest(record, weight)
    assert tile_digest(with_first(**change), "IVM") != tile_digest(record, "IVM")
    if "ivm" not in change:
        made = with_first(**change, err=None)
        assert tile_digest(made) != tile_digest(with_first(err=None))
