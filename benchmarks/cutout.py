"""A cutout from a lazy cell of 100 exposures: only its tiles are computed, counted.

Gate: 200 x 200 pixels of a lazy 21954-pixel cell with 100 exposures compute only the tiles that
they touch: one in the middle of a tile, four around a corner of tiles.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

import hapdask as hd
from benchmarks.inputs import cell, one_record, spread_over
from benchmarks.report import Figure, make_parser, show
from hapdask.drizzling import build
from hapdask.drizzling.plan import TILE
from hapdask.observe.record import ExposureRecord

_SIDE = 200


@contextmanager
def counted_tiles() -> Iterator[list[object]]:
    """Collect the frame of every tile that is drizzled meanwhile."""
    original: Any = getattr(build, "drizzle_tile")  # noqa: B009 (it is imported there)
    made: list[object] = []

    def counting(exposures: object, frame: object, *rest: object) -> object:
        made.append(frame)
        return original(exposures, frame, *rest)

    setattr(build, "drizzle_tile", counting)  # noqa: B010
    try:
        yield made
    finally:
        setattr(build, "drizzle_tile", original)  # noqa: B010


def records_over_cell(workdir: Path, count: int, *, quick: bool) -> list[ExposureRecord]:
    """Scatter ``count`` exposures over the whole cell."""
    frame = cell().frame()
    record = one_record(workdir, quick=quick)
    return spread_over(record, count, frame.shape[0] * frame.pixel_scale)


def corners(mosaic: xr.Dataset) -> dict[str, tuple[int, int]]:
    """First pixel (y, x) of cutouts, in the cell: inside a tile, and across four."""
    frame, tile = mosaic.hap.frame, mosaic.attrs["tile"]
    # The corner of tiles nearest to the middle of the cell.
    y, x = ((o + n // 2) // tile * tile - o for o, n in zip(frame.origin, frame.shape, strict=True))
    return {
        "inside a tile": (y + 100, x + 100),
        "across a corner": (y - _SIDE // 2, x - _SIDE // 2),
    }


class Cutout:
    """200 x 200 pixels out of 100 exposures."""

    params = (["inside a tile", "across a corner"],)
    param_names = ("where",)

    def setup(self, where: str) -> None:
        from benchmarks.report import CACHE

        self.mosaic = hd.mosaic(records_over_cell(CACHE, 100, quick=False), cell())
        y, x = corners(self.mosaic)[where]
        self.cutout = self.mosaic.isel(y=slice(y, y + _SIDE), x=slice(x, x + _SIDE))

    def time_sci(self, where: str) -> None:
        self.cutout.sci.compute(scheduler="threads", num_workers=2)

    def track_tiles(self, where: str) -> int:
        with counted_tiles() as made:
            self.time_sci(where)
        return len(made)


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--exposures", type=int, default=100)
    options = parser.parse_args(argv)
    records = records_over_cell(options.workdir, options.exposures, quick=options.quick)
    start = time.perf_counter()
    with counted_tiles() as made:
        mosaic = hd.mosaic(records, cell(), tile=512 if options.quick else TILE)
    figures = [
        Figure("planning the lazy cell", time.perf_counter() - start, "s"),
        Figure("tiles of the cell", _n_tiles(mosaic)),
        Figure("tiles computed by that", len(made), "", "==", 0),
    ]
    for where, (y, x) in corners(mosaic).items():
        window = mosaic.isel(y=slice(y, y + _SIDE), x=slice(x, x + _SIDE))
        ra, dec = window.hap.frame.center
        with counted_tiles() as made:
            start = time.perf_counter()
            cut = mosaic.hap.cutout(ra, dec, size=f"{_SIDE * 0.04} arcsec").sci.compute()
            seconds = time.perf_counter() - start
        assert cut.shape == (_SIDE, _SIDE)
        touched = 1 if where == "inside a tile" else 4
        figures.append(Figure(f"tiles computed, {where}", len(made), "", "==", touched))
        figures.append(Figure(f"seconds, {where}", seconds, "s"))
    show("Cutout", figures, quick=options.quick)
    return figures


def _n_tiles(mosaic: xr.Dataset) -> int:
    rows, columns = mosaic.sci.chunks or ((), ())
    return len(rows) * len(columns)


if __name__ == "__main__":
    main()
