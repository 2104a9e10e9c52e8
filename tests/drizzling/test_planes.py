"""Every plane of a tile against brute force: weights, flags, errors, provenance, epochs."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling import input_sets
from hapdask.drizzling.plan import sort_exposures
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import InputError
from hapdask.schema import ALL, BASIC, VARIABLES
from hapdask.sky.frame import Frame

SHAPE = (22, 26)  # detector pixels of a chip

#: Relative tolerance of each plane: float32 rounding, or exact.
TOLERANCE = {
    "sci": 3e-6, "wht": 2e-6, "err": 2e-6, "noise_ratio": 3e-6, "nexp": 0.0, "exptime": 1e-7,
    "epoch": 0.0, "epoch_min": 1e-15, "epoch_max": 1e-15, "quality": 0.0,
}  # fmt: skip
#: And absolute: sci about 0, and days times the digits of the weights that average them.
ABSOLUTE = {"sci": 1e-7, "epoch": 1e-5}


def small_frame(center=(150.1, 2.2), scale=0.04, shape=(60, 62), rotation=12.0):
    return Frame.from_center(*center, scale, shape, rotation)


def key_of(inputs):
    """The promised key: exclusive or of the first 8 bytes of SHA-256 of ``name[SCI,extver]``."""
    key = 0
    for name, extver in inputs:
        digest = hashlib.sha256(f"{name}[SCI,{extver}]".encode()).digest()
        key ^= int.from_bytes(digest[:8], "big")
    return key


def check(exposures, frame, parameters, oracle):
    """Compare all planes; return them."""
    records = sort_exposures(exposures)
    tile = drizzle_tile(records, frame, parameters)
    found = dict(tile.planes())
    expected, inputs = oracle(records, frame, parameters)
    assert set(found) == {*expected, "ctx"}
    for name, plane in found.items():
        assert (plane.dtype, plane.shape) == (VARIABLES[name].dtype, frame.shape)
    # Slivers: a pixel that a drop merely grazes may be in one and not in the other.
    firm = expected["wht"] > 1e-6 * expected["wht"].max()
    firm |= (expected["wht"] == 0) & (found["wht"] == 0)
    assert np.mean(~firm) < 0.02
    for name, tolerance in TOLERANCE.items():
        np.testing.assert_allclose(
            found[name][firm], expected[name][firm], rtol=tolerance, equal_nan=True,
            atol=ABSOLUTE.get(name, 0.0), err_msg=name,
        )  # fmt: skip
    palette = tile.palette
    for at in zip(*np.nonzero(firm), strict=True):
        names = inputs.get(at, frozenset())
        assert int(found["ctx"][at]) == key_of(names)
        assert set(palette[int(found["ctx"][at])]) == set(names)
    return found


@pytest.fixture
def three(expose):
    """Three overlapping exposures of 22 x 26 pixels, two chips each, at odd rolls."""
    return [
        expose(
            f"ia0a{k}1aaq", shape=SHAPE, offset=offset, roll=roll, exptime=exptime, seed=k,
            start=57000.0 + 300.25 * k,
        ).with_sky({1: 38.5 + k, 2: 41.0 - k})
        for k, (offset, roll, exptime) in enumerate(
            [((0.0, 0.0), 5.0, 120.0), ((0.13, -0.2), 63.0, 300.0), ((-0.3, 0.11), -150.0, 45.5)]
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "parameters",
    [
        DrizzleParameters(),
        DrizzleParameters(weight="ERR", pixfrac=0.8),
        DrizzleParameters(good_bits=None),
        DrizzleParameters(good_bits=16 | 4096, doubtful_bits=0),
        DrizzleParameters(good_bits=64, doubtful_bits=256),
    ],
    ids=["default", "errors", "no flags", "strict", "some"],
)
def test_all_planes(three, oracle, parameters):
    found = check(three, small_frame(), parameters, oracle)
    assert (found["nexp"] == 3).sum() > 100
    assert np.unique(found["ctx"]).size > 5


def test_flux_factors_scale_flux_and_error(three, oracle):
    frame = small_frame()
    plain = check(three[:1], frame, DrizzleParameters(), oracle)
    scaled = check([three[0].with_flux_factors(1.25)], frame, DrizzleParameters(), oracle)
    for name in ("sci", "err"):
        np.testing.assert_allclose(scaled[name], 1.25 * plain[name], rtol=3e-7)
    for name in ("wht", "noise_ratio", "quality", "nexp"):
        np.testing.assert_array_equal(scaled[name], plain[name])
    # With ERR weights a brighter system has larger errors, so lower weights.
    errors = DrizzleParameters(weight="ERR")
    mixed = [three[0].with_flux_factors({1: 1.25, 2: 0.9}), *three[1:]]
    check(mixed, frame, errors, oracle)


def test_rates_and_coarse_pixels(expose, oracle):
    """IR in electrons per second, on pixels about its own size."""
    records = [
        expose(
            f"ib0b{k}1aaq", detector="IR", shape=(15, 17), offset=(0.1 * k, 0.03), roll=31.0 * k,
            exptime=400.0 + k, start=58000.0 + k,
        ).with_sky(40.0)
        for k in range(2)
    ]  # fmt: skip
    check(records, small_frame(scale=0.12, shape=(30, 30)), DrizzleParameters(), oracle)


def test_a_sixth_of_a_pixel(expose, oracle):
    """IR pixels on a grid three times finer."""
    record = expose("ib0b01aaq", detector="IR", shape=(9, 8), roll=3.0, exptime=400.0)
    frame = small_frame(shape=(52, 52), rotation=0.0)
    check([record.with_sky(40.0)], frame, DrizzleParameters(weight="ERR"), oracle)


def test_without_errors_or_flags(expose, fields, oracle):
    """WHT and SCI need neither; the error of a chip without ERR is not known."""
    record = expose("ia0a01aaq", shape=SHAPE, fill=fields.clean)
    record = replace(
        record, chips=tuple(replace(c, err=None, dq=None) for c in record.chips), exptime=50.0
    )
    with pytest.raises(InputError, match="no ERR, which weight ERR needs"):
        drizzle_tile([record], small_frame(), DrizzleParameters(weight="ERR"))
    tile = drizzle_tile([record], small_frame(), DrizzleParameters())
    exptime, _ = oracle([record], small_frame(), DrizzleParameters())
    covered = exptime["wht"] > 1e-3
    np.testing.assert_allclose(tile.plane("wht")[covered], exptime["wht"][covered], rtol=2e-6)
    np.testing.assert_allclose(tile.plane("sci")[covered], exptime["sci"][covered], rtol=2e-6)
    assert np.isnan(tile.plane("err")).all()
    assert np.isnan(tile.plane("noise_ratio")).all()


def test_chips_that_overlap_are_one_exposure(expose, oracle):
    """Nexp and exptime count exposures, not chips, also where both chips fall on one pixel."""
    record = expose("ia0a01aaq", shape=SHAPE, exptime=77.0)
    first, second = record.chips
    moved = replace(second, distortion=replace(second.distortion, crval=first.distortion.crval))
    other = expose("ia0a02aaq", shape=SHAPE, exptime=11.0, offset=(0.2, 0.0), start=58001.0)
    both = [replace(record, chips=(first, moved)), other]
    found = check(both, small_frame(), DrizzleParameters(), oracle)
    assert found["nexp"].max() == 2
    assert found["exptime"].max() == 88.0


def test_more_chips_than_bits(expose, oracle):
    """One hundred and sixty chips in one pixel: no limit of 32 or 64 inputs."""
    record = expose("ia0a01aaq", shape=(5, 6), tables=False)
    rng = np.random.default_rng(8)
    crowd = []
    for k in range(80):
        east, north = rng.normal(0.0, 1e-5, 2)
        chips = tuple(
            replace(c, distortion=replace(c.distortion, crval=(150.1 + east, 2.2 + north)))
            for c in record.chips
        )
        name = f"ia0a{k:02d}aaq"
        crowd.append(replace(record, name=name, chips=chips, expstart=58000.0 + k, exptime=10.0))
    found = check(crowd, small_frame(shape=(16, 16)), DrizzleParameters(), oracle)
    assert found["nexp"].max() == 80
    assert found["exptime"].max() == 800.0
    tile = drizzle_tile(sort_exposures(crowd), small_frame(shape=(16, 16)), DrizzleParameters())
    assert max(len(inputs) for inputs in tile.palette.values()) == 160


def test_many_sets_are_told_apart(expose, fields, monkeypatch):
    """Random holes in many exposures make thousands of sets; those in use are all named."""

    def holes(rng, shape):
        dq = np.where(rng.random(shape) < 0.25, 4, 0)
        dq[rng.random(shape) < 0.1] = 16
        return replace(fields.clean(rng, shape), dq=dq.astype(np.int16))

    records = [
        expose(f"ia0a{k:02d}aaq", shape=(60, 80), chips=1, fill=holes, seed=k, start=58000.0 + k)
        for k in range(24)
    ]
    frame = small_frame(shape=(60, 60), rotation=0.0)
    parameters = DrizzleParameters(pixfrac=0.3)
    tile = drizzle_tile(records, frame, parameters)
    ctx, palette = tile.plane("ctx"), tile.palette
    assert np.unique(ctx).size > 1000
    assert set(np.unique(ctx).tolist()) - {0} == set(palette) - {0}
    for key in np.unique(ctx)[1:]:
        assert key_of(palette[int(key)]) == int(key)
    counts = np.vectorize(lambda key: len(palette[int(key)]) if key else 0)(ctx)
    np.testing.assert_array_equal(counts, tile.plane("nexp"))
    # Dropping sets without a pixel, again and again, changes nothing.
    monkeypatch.setattr(input_sets, "_ROOM", 40)
    pruned = drizzle_tile(records, frame, parameters)
    for name, plane in tile.planes():
        assert pruned.plane(name).tobytes() == plane.tobytes()
    assert dict(pruned.palette) == dict(palette)
    # Each exposure alone tells where it is an input.
    single = np.zeros(frame.shape, int)
    clean = replace(parameters, doubtful_bits=0)
    for record in records:
        single += drizzle_tile([record], frame, clean).plane("nexp")
    published_clean = tile.plane("quality") == 0
    np.testing.assert_array_equal(counts[published_clean], single[published_clean])


def test_a_doubtful_pixel_is_used_only_for_want_of_a_clean_one(expose, fields):
    def flagged(flag):
        def fill(rng, shape):
            pixels = fields.clean(rng, shape)
            pixels.sci[:] = 1000.0 if flag else 10.0
            pixels.dq[8:16, 8:16] = flag
            return pixels

        return fill

    clean = expose("ia0a01aaq", shape=SHAPE, chips=1, fill=flagged(0), exptime=100.0)
    frame = small_frame(rotation=0.0)
    inside = drizzle_tile([clean], frame, DrizzleParameters()).plane("wht") > 99.0
    for flag in (16, 64, 256, 512):
        poor = expose("ia0a02aaq", shape=SHAPE, chips=1, fill=flagged(flag), start=58001.0)
        alone = drizzle_tile([poor], frame, DrizzleParameters())
        core = alone.plane("quality") == flag
        assert core.sum() > 20
        assert np.all(alone.plane("sci")[core] > 0)  # used, for want of better
        both = drizzle_tile([clean, poor], frame, DrizzleParameters())
        assert not both.plane("quality")[inside].any()
        assert np.all(both.plane("nexp")[core & inside] == 1)
        palette = both.palette
        for key in np.unique(both.plane("ctx")[core & inside]):
            assert palette[int(key)] == (("ia0a01aaq", 1),)
    for flag in (4096, 8192, 4, 4096 | 16):
        bad = expose("ia0a03aaq", shape=SHAPE, chips=1, fill=flagged(flag), start=58002.0)
        alone = drizzle_tile([bad], frame, DrizzleParameters())
        hole = (alone.plane("wht") == 0) & inside
        assert hole.sum() > 20
        assert np.isnan(alone.plane("sci")[hole]).all()
        assert not alone.plane("quality").any()


def test_basic_planes_are_the_same_bytes(medium):
    frame = Frame.from_center(150.1, 2.2, 0.04, (200, 180))
    parameters = DrizzleParameters(pixfrac=0.8)
    everything = dict(drizzle_tile(medium, frame, parameters, ALL).planes())
    basic = dict(drizzle_tile(medium, frame, parameters, BASIC).planes())
    counted = dict(drizzle_tile(medium, frame, parameters, ("wht", "nexp", "exptime")).planes())
    assert list(basic) == list(BASIC)
    for name, plane in (basic | counted).items():
        assert plane.tobytes() == everything[name].tobytes()
    assert np.isfinite(everything["sci"]).all()


def test_a_tile_without_inputs():
    tile = drizzle_tile([], small_frame(), DrizzleParameters())
    for name, plane in tile.planes():
        expected = np.full(plane.shape, VARIABLES[name].fill, VARIABLES[name].dtype)
        np.testing.assert_array_equal(plane, expected)
    assert set(tile.palette) <= {0}
    assert tile.statistics()["covered"] == 0


def test_a_plane_that_was_not_asked_for():
    tile = drizzle_tile([], small_frame(), DrizzleParameters(), ("sci",))
    with pytest.raises(KeyError, match="wht"):
        tile.plane("wht")
    assert tile.statistics()["covered"] == 0


def test_memory_does_not_grow_with_the_number_of_exposures(medium):
    import tracemalloc

    frame = Frame.from_center(150.1, 2.2, 0.04, (200, 180))

    def peak(count):
        crowd = [replace(medium[0], name=f"ia0a{k:02d}aaq") for k in range(count)]
        tracemalloc.start()
        drizzle_tile(crowd, frame, DrizzleParameters())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    few, many = peak(3), peak(30)
    # What is kept of a chip are its blocks and its place in the table of sets: kilobytes.
    assert many < few + 27 * 2 * 10_000
