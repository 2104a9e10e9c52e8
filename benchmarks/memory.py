"""Peak memory of a whole sky cell: 25, 50 and 100 UVIS exposures, 2 threads, tiles stored.

Gates: 100 exposures over one full cell of 21954 x 21954 pixels below 3 GB peak RSS with 2 threads,
and flat in the number of exposures.  Each run is a process of its own; the store (10 GB for 100
exposures) is removed after it.

Few exposures leave parts of a cell empty, and empty parts of a tile take no memory: to see the
number of exposures alone, let even the fewest cover all: ``--side 6000 --exposures 20 40 80``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import cell, make_job, middle_of_cell, one_record, pixels_in, spread_over
from benchmarks.report import Figure, make_parser, show


def run_once(workdir: Path, count: int, threads: int, side: int | None, *, quick: bool) -> None:
    """Make the cell in this process and print what it took, as JSON."""
    from hapdask.recipes.sky_cells import run_job

    frame = middle_of_cell(side) if side else cell().frame()
    record = one_record(workdir, quick=quick)
    job = make_job(
        spread_over(record, count, frame.shape[0] * frame.pixel_scale), frame, quick=quick
    )
    out = workdir / f"memory-{count}"
    shutil.rmtree(out, ignore_errors=True)
    before = peak_rss()
    start, cpu = time.perf_counter(), time.process_time()
    result = run_job(job, out, threads=threads)
    found = {
        "peak": peak_rss(),
        "before": before,
        "planned": job.plan.peak_memory,
        "tiles": result.made,
        "megapixels": pixels_in(job.plan) / 1e6,
        "wall": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "stored": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }
    shutil.rmtree(out)
    print(json.dumps(found))


def peak_rss() -> float:
    """Peak resident set of this process, bytes; not that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found, "needs Linux's /proc"
    return 1024.0 * int(found[1])


def in_process(options: list[str]) -> dict[str, float]:
    """Run this script in a process of its own."""
    command = [sys.executable, __file__, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


class PeakMemory:
    """Peak RSS of a stored run on a full cell."""

    timeout = 3600.0
    params = ([25, 50, 100],)
    param_names = ("exposures",)
    unit = "bytes"

    def track_peak(self, exposures: int) -> float:
        return in_process(["--once", str(exposures)])["peak"]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--exposures", type=int, nargs="+", default=[25, 50, 100])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, help="pixels of a window instead of the cell")
    parser.add_argument("--once", type=int, metavar="N", help="one run in this process, as JSON")
    options = parser.parse_args(argv)
    counts, side = options.exposures, options.side
    if options.quick:
        counts, side = [1, 2], 1000
    if options.once:
        run_once(options.workdir, options.once, options.threads, side, quick=options.quick)
        return []
    passed = ["--workdir", str(options.workdir), "--threads", str(options.threads)]
    passed += ["--side", str(side)] if side else []
    passed += ["--quick"] if options.quick else []
    one_record(options.workdir, quick=options.quick)
    figures, peaks = [], []
    for count in counts:
        found = in_process(["--once", str(count), *passed])
        peaks.append(found["peak"])
        note = (
            f"{found['tiles']:.0f} tiles, {found['megapixels']:.0f} Mpix in, "
            f"{found['wall']:.0f} s wall, {found['cpu']:.0f} s CPU, "
            f"{found['stored'] / 1e9:.1f} GB stored, {found['before'] / 1e6:.0f} MB before, "
            f"plan says {found['planned'] / 1e6:.0f} MB a task"
        )
        name = f"peak RSS, {count} exposures, {options.threads} threads"
        figures.append(Figure(name, found["peak"] / 1e9, "GB", "<=", 3.0, note))
        print(figures[-1], flush=True)
    figures.append(Figure("most over fewest exposures", peaks[-1] / peaks[0]))
    show("Memory", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
