"""Two threads against one, on a real run: files to tiles in a zarr store.

Gates: two threads at least 1.6 times as fast as one (median of 7 alternating runs), total CPU time
at most 1.1 times.  ``--no-store`` leaves the writing out, to tell the kernels from the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.inputs import make_job, middle_of_cell, one_record, pixels_in, spread_over
from benchmarks.report import Figure, alternate, make_parser, median, show, spread, wall_and_cpu
from hapdask.drizzling.build import run
from hapdask.recipes.sky_cells import Job, run_job


class Nowhere:
    """A sink that makes the planes and drops them."""

    def write_tile(
        self,
        index: tuple[int, int],
        frame: object,
        planes: Iterable[tuple[str, object]],
        receipt: Mapping[str, Any],
    ) -> None:
        for _ in planes:
            pass


def trial(job: Job, out: Path | None, threads: int) -> tuple[float, float]:
    """Wall and CPU time of one whole run, into an empty store or nowhere."""
    if out is None:
        return wall_and_cpu(lambda: run(job.plan, Nowhere(), threads=threads))
    shutil.rmtree(out, ignore_errors=True)
    return wall_and_cpu(lambda: run_job(job, out, threads=threads))


def make_small_job(workdir: Path, count: int, side: int, *, quick: bool) -> Job:
    """Plan ``count`` exposures, dithered over a tenth of the window in the middle of the cell."""
    record = one_record(workdir, quick=quick)
    window = middle_of_cell(side)
    dither = 0.1 * side * window.pixel_scale
    return make_job(spread_over(record, count, dither), window, quick=quick)


class TwoThreads:
    """Six UVIS exposures, a window of 6000 pixels, stored."""

    timeout = 600.0
    params = ([1, 2],)
    param_names = ("threads",)

    def setup(self, threads: int) -> None:
        from benchmarks.report import CACHE

        self.out = CACHE / "threads"
        self.job = make_small_job(CACHE, 6, 6000, quick=False)
        trial(self.job, None, 1)

    def time_run(self, threads: int) -> None:
        trial(self.job, self.out, threads)

    def teardown(self, threads: int) -> None:
        shutil.rmtree(self.out, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--exposures", type=int, default=6)
    parser.add_argument("--side", type=int, default=6000, help="of the window, pixels")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--no-store", action="store_true", help="drop the planes")
    options = parser.parse_args(argv)
    count, side, pairs = options.exposures, options.side, options.pairs
    if options.quick:
        count, side, pairs = 2, 1000, 1
    job = make_small_job(options.workdir, count, side, quick=options.quick)
    out = None if options.no_store else options.workdir / "threads"
    trial(job, out, 2)
    times = alternate(lambda: trial(job, out, 1), lambda: trial(job, out, 2), pairs)
    if out is not None:
        shutil.rmtree(out)
    speed_ups = [one[0] / two[0] for one, two in times]
    cpu = [two[1] / one[1] for one, two in times]
    megapixels = pixels_in(job.plan) / 1e6
    figures = [
        Figure("tiles", len(job.plan.tiles)),
        Figure("detector pixels", megapixels, "Mpix"),
        Figure("one thread", megapixels / median([one[0] for one, _ in times]), "Mpix/s"),
        Figure("two threads", megapixels / median([two[0] for _, two in times]), "Mpix/s"),
        Figure("two threads over one", median(speed_ups), "", ">=", 1.6, spread(speed_ups)),
        Figure("CPU time of two over one", median(cpu), "", "<=", 1.1, spread(cpu)),
    ]
    show("Threads", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
