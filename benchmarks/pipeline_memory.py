"""Peak memory of ``hapdask.astrodrizzle``: 4, 40 and 400 UVIS exposures, all steps, two threads.

Gates: 1.5 GiB for 4 exposures, 2 GiB for 40 and for 400.  One pixel file serves them all, each at
its own dither and orientation; each run is a process of its own, and what it writes is removed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import hapdask as hd
from benchmarks.inputs import simulated, spread_over
from benchmarks.memory import peak_rss
from benchmarks.report import Figure, make_parser, show

#: Gates by the number of exposures, GiB.
_ASKED = {4: 1.5, 40: 2.0, 400: 2.0}
#: Of the square that holds the centres of the exposures, arcsec.
_SIDE = 8.0


def run_once(workdir: Path, count: int, threads: int, *, quick: bool) -> None:
    """Run all steps in this process and print what it took, as JSON."""
    path = simulated(workdir, "WFC3", "IR" if quick else "UVIS")
    (record,) = hd.open_exposures(path, strict=True)
    out = workdir / f"pipeline-memory-{count}"
    shutil.rmtree(out, ignore_errors=True)
    before = peak_rss()
    start, cpu = time.perf_counter(), time.process_time()
    run = hd.astrodrizzle(
        spread_over(record, count, _SIDE), where=out / "masks", threads=threads, build=True
    )
    run.write(out / "products")
    found = {
        "peak": peak_rss(),
        "before": before,
        "pixels": run.frame.shape[0] * run.frame.shape[1],
        "wall": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "stored": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }
    shutil.rmtree(out)
    print(json.dumps(found))


def in_process(options: list[str]) -> dict[str, float]:
    """Run this script in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


class PipelinePeakMemory:
    """Peak RSS of all steps."""

    timeout = 7200.0
    params = (list(_ASKED),)
    param_names = ("exposures",)
    unit = "bytes"

    def track_peak(self, exposures: int) -> float:
        return in_process(["--once", str(exposures)])["peak"]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--exposures", type=int, nargs="+", default=list(_ASKED))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--once", type=int, metavar="N", help="one run in this process, as JSON")
    options = parser.parse_args(argv)
    if options.once:
        run_once(options.workdir, options.once, options.threads, quick=options.quick)
        return []
    passed = ["--workdir", str(options.workdir), "--threads", str(options.threads)]
    passed += ["--quick"] if options.quick else []
    figures = []
    for count in [2, 4] if options.quick else options.exposures:
        found = in_process(["--once", str(count), *passed])
        note = (
            f"{found['pixels'] / 1e6:.0f} Mpix out, {found['wall']:.0f} s wall, "
            f"{found['cpu']:.0f} s CPU, {found['stored'] / 1e9:.2f} GB stored, "
            f"{found['before'] / 2**20:.0f} MiB before"
        )
        name = f"peak RSS, {count} exposures, {options.threads} threads"
        asked = _ASKED.get(count, 2.0)
        figures.append(Figure(name, found["peak"] / 2**30, "GiB", "<=", asked, note))
        print(figures[-1], flush=True)
    show("Memory of all steps", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
