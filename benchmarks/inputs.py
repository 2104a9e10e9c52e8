"""Inputs of the benchmarks: simulated files, kept between runs, and many exposures out of one.

A hundred UVIS exposures would fill 17 GB; their pixels do not matter to a clock.  So one file
serves many records: each is the file's own record under another name, turned and shifted on the
sky by an alignment, as real records are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import hapdask as hd
from hapdask.config import DrizzleParameters, load_parameters
from hapdask.drizzling.plan import TILE, Layer, Plan, make_plan
from hapdask.drizzling.sky import set_sky
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.sky_cells import Job, Place
from hapdask.sky.cells import SkyCell
from hapdask.sky.frame import Frame

#: The cell in whose middle the simulated telescope points.
CELL = "skycell-p1889x07y19"
_ORBIT = 0.07  # days between exposures
#: Filters that the simulator's detectors are benchmarked in.
FILTERS = {("WFC3", "UVIS"): "F606W", ("WFC3", "IR"): "F160W", ("ACS", "WFC"): "F814W"}


def cell() -> SkyCell:
    """Return the sky cell of the benchmarks."""
    found = hd.SkyGrid()[CELL]
    assert isinstance(found, SkyCell)
    return found


def simulated(
    workdir: Path,
    instrument: str,
    detector: str,
    *,
    seed: int = 1,
    dither: tuple[float, float] = (0.0, 0.0),
    roll: float = 35.0,
    exptime: float = 600.0,
) -> Path:
    """Simulate an exposure of the middle of the cell, unless it is there already."""
    from hapdask.simulate import Pointing, Scene, simulate_exposure

    folder = workdir / "inputs" / f"{detector.lower()}-{seed}-{dither[0]:g}-{dither[1]:g}-{roll:g}"
    found = sorted(folder.glob("*_fl?.fits"))
    if found:
        return found[0]
    ra, dec = cell().frame().center
    scene = Scene.random(ra, dec, 0.045, 1500, 400, seed=7)
    pointing = Pointing(ra, dec, roll, "2020-01-01T00:00:00", dither)
    exposure = simulate_exposure(
        scene,
        instrument,
        detector,
        FILTERS[instrument, detector],
        pointing,
        exptime,
        seed=seed,
    )
    return exposure.write(folder)


def one_record(workdir: Path, *, quick: bool) -> ExposureRecord:
    """Open the file that serves many exposures, sky measured: UVIS, or the small IR if quick."""
    path = simulated(workdir, "WFC3", "IR" if quick else "UVIS")
    (record,) = hd.open_exposures(path, strict=True)
    return set_sky(record, parameters_of([record]))


def parameters_of(records: Sequence[ExposureRecord]) -> DrizzleParameters:
    """Return the default parameters of the layer of some records."""
    first = records[0]
    return load_parameters(first.instrument, first.detector, len(records)).parameters


def spread_over(record: ExposureRecord, count: int, side: float) -> list[ExposureRecord]:
    """Scatter copies of an exposure evenly over a square, at four rolls.

    Parameters
    ----------
    record : ExposureRecord
        In the middle of the square.
    count : int
        Copies; the first n of them are those of any smaller n.
    side : float, arcsec
        Of the square that holds their centres.
    """
    return [
        _moved(record, k, (_fraction(k, 0.7548776662) * side, _fraction(k, 0.5698402910) * side))
        for k in range(count)
    ]


def _fraction(k: int, step: float) -> float:
    """Term k of an even sequence in -0.5 to 0.5 (Roberts' R2: no gaps at any length)."""
    return (0.5 + k * step) % 1.0 - 0.5


def _moved(record: ExposureRecord, k: int, shift: tuple[float, float]) -> ExposureRecord:
    turn = math.radians(22.5 * (k % 4))
    c, s = math.cos(turn), math.sin(turn)
    center = cell().frame().center
    moved = record.corrected(Correction(center, (c, s, -s, c), shift))
    days = k * _ORBIT
    return replace(
        moved,
        name=f"ib{k:04d}{record.name[-3:]}",
        expstart=record.expstart + days,
        expend=record.expend + days,
    )


def make_job(records: Iterable[ExposureRecord], window: Frame, *, quick: bool) -> Job:
    """Plan the fine layer of some records on a window of the cell; small tiles if quick."""
    exposures = list(records)
    first = exposures[0]
    resolved = load_parameters(first.instrument, first.detector, len(exposures))
    layer = Layer.of(first)
    whole = Place.of_cell(cell(), "fine")
    tile = 512 if quick else TILE
    plan = make_plan(exposures, window, layer, resolved.parameters, tile=tile, whole_tiles=True)
    return Job(replace(whole, window=window), layer, plan, resolved)


def middle_of_cell(side: int) -> Frame:
    """Cut the square window of ``side`` pixels in the middle of the cell."""
    frame = cell().frame()
    y0, x0 = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return frame[y0 : y0 + side, x0 : x0 + side]


def pixels_in(plan: Plan) -> int:
    """Detector pixels that the tiles of a plan drizzle, blocks counted whole."""
    return sum(item.pixels for tile in plan.tiles for item in tile.inputs)
