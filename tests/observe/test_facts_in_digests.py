"""Each figure of a chip that can change a pixel is in its exposure's digest and in its tiles'."""

from dataclasses import replace

import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import Layer, make_plan
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame


@pytest.mark.parametrize(
    "change",
    [
        {"gain": 7.12},
        {"read_noise": 5.24},
        {"dark": 0.5},
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
    frame = Frame.from_center(150.25, 2.002, 0.04, (200, 200))
    digests = [
        make_plan([r], frame, Layer.of(r), DrizzleParameters()).tiles[0].digest
        for r in (record, changed)
    ]
    assert digests[0] != digests[1]
