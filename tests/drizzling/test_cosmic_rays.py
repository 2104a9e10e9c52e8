"""Cosmic rays of a stack: found, the same for tiles of any size, kept as masks."""

import errno
import math
from dataclasses import replace

import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.cosmic_rays import CosmicRayTest, Stack, find_cosmic_rays
from hapdask.drizzling.hits import ChipHits, HitSpool
from hapdask.drizzling.median import Combination, StackMember
from hapdask.drizzling.rejecting import _outside, reject_cosmic_rays, tile_tests
from hapdask.drizzling.sky import set_sky
from hapdask.drizzling.step_graphs import TILE, StepGraphs
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import ParameterError, StoreError
from hapdask.observe.exposure import open_exposures
from hapdask.simulate import Mode, Pointing, Scene, Subarray, simulate_exposure
from hapdask.sky.frame import Frame

RA, DEC = 150.1, 2.2
SIDE = 420
#: Dithers (arcsec) and rolls of four UVIS subarrays.
SET = (((0.0, 0.0), 10.0), ((0.9, 0.5), 10.0), ((-0.4, 0.7), 10.0), ((0.3, -0.6), 11.5))
#: No flag is looked at: the simulator tells cosmic rays in DQ.
PARAMETERS = DrizzleParameters(kernel="turbo", good_bits=None, doubtful_bits=0)


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """Records of the four exposures, and which pixels of each are truly hit."""
    folder = tmp_path_factory.mktemp("stack")
    rng = np.random.default_rng(8)
    scene = Scene.stars(
        RA + rng.uniform(-0.004, 0.004, 30), DEC + rng.uniform(-0.004, 0.004, 30),
        rng.uniform(19.0, 24.0, 30),
    )  # fmt: skip
    mode = Mode(subarray=Subarray(1, 1800, 900, SIDE, SIDE))
    records, hit = [], {}
    for k, (dither, roll) in enumerate(SET):
        exposure = simulate_exposure(
            scene, "WFC3", "UVIS", "F606W", Pointing(RA, DEC, roll, dither=dither), 600.0,
            seed=k + 1, mode=mode, rootname=f"icr0{k}01aq",
        )  # fmt: skip
        (record,) = open_exposures(exposure.write(folder), strict=True)
        records.append(set_sky(record, PARAMETERS))
        hit[record.name] = exposure.chips[1].cosmic_rays
    return tuple(records), hit


@pytest.fixture(scope="module")
def stack(observed):
    records, _ = observed
    members = tuple(
        StackMember(e.exptime, e.chips[0].sky / e.exptime, e.chips[0].read_noise) for e in records
    )
    how, test = Combination(), CosmicRayTest()
    return Stack(records, members, PARAMETERS, how, test, len(records))


@pytest.fixture(scope="module")
def frame(observed):
    ra, dec = observed[0][0].footprint.polygons[0]
    return Frame.from_center(float(np.mean(ra)), float(np.mean(dec)), 0.04, (640, 640))


@pytest.fixture(scope="module")
def whole(stack, frame):
    """Pixels found in one tile, by exposure."""
    return {hits.name: hits.pixels for hits in find_cosmic_rays(stack, frame)}


@pytest.mark.parametrize("side", [160, 300])
def test_tiles_of_any_size_find_the_same(stack, frame, whole, side):
    found = {name: [] for name in whole}
    for _, part in frame.tiles(side):
        for hits in find_cosmic_rays(stack, part):
            found[hits.name].append(hits.pixels)
    for name, pixels in whole.items():
        assert np.array_equal(np.sort(np.concatenate(found[name])), pixels), name


def test_what_is_hit_is_found_and_little_else(observed, stack, frame, whole):
    """Of pixels raised by more than five sigma, where at least three exposures overlap."""
    records, truth = observed
    depth = drizzle_tile(records, frame, PARAMETERS).plane("nexp")
    found = clean = wrong = raised = 0
    for record in records:
        (chip,) = record.chips
        y, x = np.mgrid[: chip.shape[0], : chip.shape[1]]
        px, py = frame.sky_to_pixel(*chip.distortion.pixel_to_sky(x * 1.0, y * 1.0))
        j, i = np.rint(py).astype(int), np.rint(px).astype(int)
        deep = depth[j.clip(0, 639), i.clip(0, 639)] >= 3
        mask = np.zeros(chip.shape, bool)
        mask.reshape(-1)[whole[record.name]] = True
        bright = truth[record.name] & deep & _raised(record)
        raised += bright.sum()
        found += (bright & mask).sum()
        clean += (deep & ~truth[record.name]).sum()
        wrong += (deep & ~truth[record.name] & mask).sum()
    assert raised > 1000
    assert found / raised > 0.99
    assert wrong / clean < 3e-4  # hot pixels among them, since no flag is looked at


def _raised(record):
    """Pixels more than five sigma of the sky above it."""
    from hapdask.observe.pixels import read_chip_rows

    (chip,) = record.chips
    rows = read_chip_rows(record, chip, 0, chip.shape[0])
    return rows.sci - chip.sky > 5.0 * np.sqrt(chip.sky + chip.read_noise**2)


def test_the_masks_are_part_of_the_records(stack, frame, whole, tmp_path):
    rejection = reject_cosmic_rays(stack, frame, tmp_path / "masks", threads=2)
    assert not rejection.failures
    assert [e.name for e in rejection.exposures] == [e.name for e in stack.exposures]
    mosaic = drizzle_tile(rejection.exposures, frame, PARAMETERS)
    before = drizzle_tile(stack.exposures, frame, PARAMETERS)
    deep = before.plane("nexp") == 4
    # What is left of the hits: the brightest pixels of a mosaic of sky and faint stars.
    assert np.nanquantile(mosaic.plane("sci")[deep], 0.9999) < 0.5 * np.nanquantile(
        before.plane("sci")[deep], 0.9999
    )
    for exposure in rejection.exposures:
        (mask,) = exposure.chips[0].masks
        assert mask.kind == "cosmic rays"


def test_one_broken_exposure_leaves_the_others(stack, frame, tmp_path):
    gone = replace(stack.exposures[1], url=str(tmp_path / "gone_flc.fits"))
    broken = replace(stack, exposures=(stack.exposures[0], gone, *stack.exposures[2:]))
    rejection = reject_cosmic_rays(broken, frame, tmp_path / "masks")
    assert [e.name for e in rejection.exposures] == [
        e.name for e in stack.exposures if e.name != gone.name
    ]
    (failure,) = rejection.failures
    assert failure.path == gone.url


def test_deep_stacks_get_small_tiles(stack, frame):
    """Memory is bounded by the tile, not by the number of exposures."""
    assert {t.tile.shape for t in tile_tests(stack, frame)} == {frame.shape}
    copies = tuple(replace(e, name=f"{e.name}{k}") for k in range(25) for e in stack.exposures)
    deep = replace(stack, exposures=copies, members=stack.members * 25, images=len(copies))
    sizes = {math.prod(t.tile.shape) for t in tile_tests(deep, frame, threads=8)}
    assert max(sizes) <= 512**2
    assert StepGraphs(deep, frame, threads=8).tile <= 512
    assert StepGraphs(stack, frame, threads=8).tile == TILE


def test_what_lies_outside_the_median_frame_is_told(stack, frame, tmp_path):
    """A user's frame may be smaller than the exposures: what is beyond keeps its cosmic rays."""
    part = frame[:, :320]
    rejection = reject_cosmic_rays(stack, part, tmp_path / "masks")
    for exposure in rejection.exposures:
        assert exposure.verdict.status == "warning"
        assert "outside the median frame" in exposure.verdict.reason
    whole = reject_cosmic_rays(stack, frame, tmp_path / "masks")
    assert not any("outside" in e.verdict.reason for e in whole.exposures)
    # AstroDrizzle's frames end at centres of pixels of the corners: half a pixel is no part.
    edge = [_outside(e, 0, _cut_half_a_pixel(frame, e)) for e in stack.exposures]
    assert edge == [0.0] * len(edge)


def _cut_half_a_pixel(frame, exposure):
    """A frame whose border runs through the outer pixels of an exposure."""
    frame = frame.pad(200)
    x, y = frame.sky_to_pixel(*exposure.chips[0].border())
    return frame[round(y.min()) + 1 : round(y.max()), round(x.min()) + 1 : round(x.max())]


def test_too_few_exposures_for_the_values_left_out(stack, frame, tmp_path):
    """A mistake from the start; where one of them could not be read, the others go on as they are.

    So does AstroDrizzle: it gives up the median, the blot and the test, and goes on.
    """
    how = Combination("median", nlow=1, nhigh=2)
    gone = replace(stack.exposures[1], url=str(tmp_path / "gone_flc.fits"))
    broken = replace(
        stack, exposures=(stack.exposures[0], gone, *stack.exposures[2:]), combination=how
    )
    rejection = reject_cosmic_rays(broken, frame, tmp_path / "masks")
    assert len(rejection.exposures) == 3
    for exposure in rejection.exposures:
        assert "too few" in exposure.verdict.reason
        assert not exposure.chips[0].masks
    how = Combination("median", nlow=1, nhigh=3)
    with pytest.raises(ParameterError, match="leave nothing of 4 exposures"):
        reject_cosmic_rays(replace(stack, combination=how), frame, tmp_path / "masks")


def test_a_folder_that_cannot_be_made(stack, frame, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot keep masks"):
        reject_cosmic_rays(stack, frame, tmp_path / "file" / "masks")


@pytest.mark.parametrize("held", [100, 10**6])
def test_a_spool_keeps_the_pixels_of_every_chip(held, tmp_path, monkeypatch):
    """In memory or, once they are many, on disk; nothing stays there."""
    monkeypatch.setattr("hapdask.drizzling.hits._HELD", held)
    rng = np.random.default_rng(1)
    shapes = {("a", 1): (7, 13), ("a", 2): (64, 64), ("b", 1): (1, 1)}
    expected = {chip: np.zeros(shape, np.uint8) for chip, shape in shapes.items()}
    with HitSpool(tmp_path) as spool:
        for _ in range(3):
            for chip, mask in expected.items():
                pixels = np.sort(rng.choice(mask.size, max(mask.size // 5, 1), replace=False))
                spool.add(ChipHits(*chip, pixels))
                mask.reshape(-1)[pixels] = 1
        for chip, mask in expected.items():
            assert np.array_equal(spool.mask(*chip, shapes[chip]), mask)
        assert not spool.mask("c", 1, (3, 3)).any()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told(tmp_path):
    with HitSpool(tmp_path) as spool:
        spool._file.write = _no_space
        with pytest.raises(StoreError, match="cannot keep cosmic rays: No space left"):
            spool.add(ChipHits("a", 1, np.arange(3)))


def _no_space(content):
    raise OSError(errno.ENOSPC, "No space left on device")
