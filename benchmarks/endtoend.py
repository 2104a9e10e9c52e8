"""FITS files to tiles to zarr: throughput, and where the time goes.

No gate of its own (facts/kernels.md: 15 Mpixel/s on 2 cores is a floor, 30 a stretch).  The parts
are CPU seconds of the threads that run tiles; what zarr's own threads spend on compression and
files is the rest of the process.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.inputs import make_job, middle_of_cell, one_record, pixels_in, spread_over
from benchmarks.report import CACHE, Figure, make_parser, show, wall_and_cpu
from hapdask.drizzling import inputs as drizzling_inputs
from hapdask.drizzling import tile as tiles
from hapdask.drizzling import weighting
from hapdask.drizzling.input_sets import InputSets
from hapdask.drizzling.tile import TileSums
from hapdask.kernels import blocks
from hapdask.observe.pixels import ChipReader
from hapdask.products.writer import MosaicStore
from hapdask.recipes.sky_cells import Job, run_job

#: What is timed: label, where it is looked up, its name there.  None holds another.
_PARTS: tuple[tuple[str, Any, str], ...] = (
    ("read detector rows", ChipReader, "read"),
    ("weights", weighting, "weigh"),
    ("reach of chips", blocks, "chip_reach"),
    ("fit the map's cells", drizzling_inputs, "make_geometry"),
    ("drizzle", tiles, "drizzle_chip"),
    ("note inputs", InputSets, "fold"),
    ("make planes", TileSums, "planes"),
    ("hand planes to zarr", MosaicStore, "_write_plane"),
)


@contextmanager
def timed_parts() -> Iterator[dict[str, float]]:
    """CPU seconds of each part, over all threads that run tiles."""
    seconds: dict[str, float] = defaultdict(float)
    lock = threading.Lock()

    def call(label: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*args, **options)
        finally:
            with lock:
                seconds[label] += time.thread_time() - start

    def timing(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            result = call(label, function, *args, **options)
            # A generator works when it is asked for its next item.
            return each(label, result) if isinstance(result, Iterator) else result

        return timed

    def each(label: str, items: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while (item := call(label, next, items, end)) is not end:
            yield item

    originals = [(owner, name, getattr(owner, name)) for _, owner, name in _PARTS]
    for (label, owner, name), (_, _, original) in zip(_PARTS, originals, strict=True):
        setattr(owner, name, timing(label, original))
    try:
        yield seconds
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def make_whole_job(workdir: Path, count: int, side: int, *, quick: bool) -> Job:
    """Plan ``count`` exposures over a window of ``side`` pixels in the middle of the cell."""
    window = middle_of_cell(side)
    records = spread_over(one_record(workdir, quick=quick), count, 0.3 * side * window.pixel_scale)
    return make_job(records, window, quick=quick)


class EndToEnd:
    """Eight UVIS exposures over 8000 pixels, two threads."""

    timeout = 600.0

    def setup(self) -> None:
        self.job = make_whole_job(CACHE, 8, 8000, quick=False)
        self.out = CACHE / "endtoend"
        self.time_run()

    def time_run(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        run_job(self.job, self.out, threads=2)

    def teardown(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--exposures", type=int, default=8)
    parser.add_argument("--side", type=int, default=8000, help="of the window, pixels")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    count, side = (2, 1000) if options.quick else (options.exposures, options.side)
    job = make_whole_job(options.workdir, count, side, quick=options.quick)
    out = options.workdir / "endtoend"
    for _ in range(2):  # the first run fills the page cache and compiles
        shutil.rmtree(out, ignore_errors=True)
        with timed_parts() as parts:
            wall, cpu = wall_and_cpu(lambda: run_job(job, out, threads=options.threads))
    shutil.rmtree(out)
    pixels = pixels_in(job.plan)
    figures = [
        Figure("tiles", len(job.plan.tiles)),
        Figure("bytes of planes", job.plan.bytes_out / 1e9, "GB"),
        Figure("detector pixels", pixels / 1e6, "Mpix"),
        Figure(f"throughput, {options.threads} threads", pixels / wall / 1e6, "Mpix/s"),
        Figure("the same per CPU second", pixels / cpu / 1e6, "Mpix/s"),
        Figure("CPU in all", cpu, "s", note=f"{cpu / pixels * 1e9:.0f} ns per detector pixel"),
    ]
    rest = cpu - sum(parts.values())
    for label, seconds in [*parts.items(), ("zarr's threads, palettes, all else", rest)]:
        note = f"{seconds / cpu:.0%}, {seconds / pixels * 1e9:.1f} ns per detector pixel"
        figures.append(Figure(f"  {label}", seconds, "s", note=note))
    show("End to end", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
