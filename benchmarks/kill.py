"""Kill -9 the writer at random moments; the rerun must give the bytes of an undisturbed run.

Each trial starts from an empty store (every third one from a finished store that lacks one
exposure: an update), kills the writer at a moment drawn over the length of an undisturbed run,
checks that every tile that looks finished is so, and runs again to the end.
Then the two stores must be the same files with the same bytes.

Everything that touches a store happens in forked children: the parent only imports and compiles.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import hapdask as hd
from benchmarks.inputs import middle_of_cell, simulated
from benchmarks.report import Figure, make_parser, show
from hapdask.drizzling.plan import make_plan
from hapdask.drizzling.warm import compile_kernels
from hapdask.observe.record import ExposureRecord
from hapdask.products.store import MosaicStore
from hapdask.recipes.sky_cells import Job, Place, plan_jobs, prepare, run_job
from hapdask.sky.frame import Frame

_LOCK = "writer.lock"


@dataclass
class Tally:
    """What the trials found."""

    kills: int = 0
    finished_tiles: int = 0  # that stood in a killed store
    false_tiles: int = 0  # of these, with other bytes than they should have
    other_files: int = 0  # that differ after the rerun
    partial_runs: int = 0  # kills that left some tiles and lacked others


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder, by its path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != _LOCK
    }


def forked(work: Callable[[], object]) -> int:
    """Start work in a child; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def to_the_end(work: Callable[[], object]) -> float:
    """Run work in a child and return its seconds."""
    start = time.perf_counter()
    _, status = os.waitpid(forked(work), 0)
    if status:
        raise RuntimeError(f"a run that was not killed ended with status {status}")
    return time.perf_counter() - start


def kill_after(work: Callable[[], object], seconds: float) -> bool:
    """Kill a child with work after some time; False if it had ended before."""
    pid = forked(work)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def without_one(job: Job) -> Job:
    """Plan a job again without its last exposure: what stood in the store before an update."""
    plan = job.plan
    fewer = make_plan(
        plan.exposures[:-1], plan.frame, plan.layer, plan.parameters, tile=plan.tile,
        whole_tiles=True,
    )  # fmt: skip
    return replace(job, plan=fewer)


def check_finished(job: Job, out: Path, reference: Path, report: Path) -> None:
    """Write how many tiles of a killed store look finished, and how many of these are wrong."""
    stores = []
    for root in (out, reference):
        place, plan = job.place, job.plan
        stores.append(
            MosaicStore.create_or_open(
                root, place.root, plan.layer, plan.tile, place=place.group, variables=plan.variables
            )
        )
    import zarr

    finished = wrong = 0
    groups = [zarr.open_group(store.url, mode="r") for store in stores]
    for index, digest in job.plan.digests.items():
        if not stores[0].finished(index, digest):
            continue
        finished += 1
        part = stores[0].layout.slices(index)
        for name in job.plan.variables:
            found, expected = (np.asarray(group[name][part]) for group in groups)
            wrong += found.tobytes() != expected.tobytes()
    report.write_text(f"{finished} {wrong}")


def trial(job: Job, folder: Path, seconds: float, update: bool, threads: int, tally: Tally) -> bool:
    """Kill one run and rerun it; False if the run ended before it could be killed."""
    out, reference, report = folder / "killed", folder / "undisturbed", folder / "report"
    shutil.rmtree(out, ignore_errors=True)
    if update:
        to_the_end(lambda: run_job(without_one(job), out, threads=threads))
    if not kill_after(lambda: run_job(job, out, threads=threads), seconds):
        return False
    tally.kills += 1
    if (out / job.place.group).exists():
        to_the_end(lambda: check_finished(job, out, reference, report))
        finished, wrong = map(int, report.read_text().split())
        tally.finished_tiles += finished
        tally.false_tiles += wrong
        tally.partial_runs += 0 < finished < len(job.plan.tiles)
    to_the_end(lambda: run_job(job, out, threads=threads))
    found, expected = tree(out), tree(reference)
    keys = found.keys() | expected.keys()
    tally.other_files += sum(found.get(key) != expected.get(key) for key in keys)
    return True


def make_job(records: Sequence[ExposureRecord], frame: Frame, tile: int) -> Job:
    """Plan the one layer of some exposures on a frame of its own."""
    prepared = prepare(records)
    (job,) = plan_jobs(prepared, frame=frame, name="kill", tile=tile)
    assert isinstance(job.place, Place)
    return job


def measure(job: Job, folder: Path, kills: int, seed: int, threads: int) -> list[Figure]:
    """Kill, rerun and compare."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    # Twice: the first run in a fresh child also pays for loading what the others find loaded.
    for _ in range(2):
        shutil.rmtree(folder / "undisturbed", ignore_errors=True)
        length = to_the_end(lambda: run_job(job, folder / "undisturbed", threads=threads))
    draws = 0
    while tally.kills < kills and draws < 10 * kills:
        update = draws % 3 == 2
        draws += 1
        trial(job, folder, rng.uniform(0.0, length), update, threads, tally)
        print(".", end="", flush=True)
    return [
        Figure("writers killed", tally.kills, "", "==", kills, f"run of {length:.2f} s"),
        Figure("files that differ after the rerun", tally.other_files, "", "==", 0),
        Figure("tiles that looked finished and were not", tally.false_tiles, "", "==", 0),
        Figure("tiles found finished in killed stores", tally.finished_tiles),
        Figure("kills between the first and the last tile", tally.partial_runs),
    ]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument(
        "files", type=Path, nargs="*", help="exposures of one layer; simulated if absent"
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--side", type=int, default=1536, help="output pixels along an edge")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    detector = "IR" if options.quick else "UVIS"
    files = options.files or [
        simulated(options.workdir, "WFC3", detector, dither=dither)
        for dither in ((0.0, 0.0), (4.0, 9.0))
    ]
    records = hd.open_exposures(files, strict=True)
    centre = middle_of_cell(2).center if not options.files else _centre(records)
    frame = Frame.from_center(*centre, 0.04, (options.side, options.side))
    job = make_job(records, frame, options.tile)
    compile_kernels(job.plan.patches)
    options.workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.workdir) as folder:
        kills = min(options.kills, 2) if options.quick else options.kills
        figures = measure(job, Path(folder), kills, options.seed, options.threads)
    show("Kill", figures, quick=options.quick)
    return figures


def _centre(records: Sequence[ExposureRecord]) -> tuple[float, float]:
    vector, _ = records[0].footprint.bounding_cap
    x, y, z = vector
    ra, dec = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return float(ra), float(dec)


if __name__ == "__main__":
    main()
