"""Sky levels: clipped statistics against astropy, whole solutions against AstroDrizzle's skymatch.

Gates: clipped mean, deviation and median of a 4096 x 2051 chip with stars, cosmic rays and a mask
at least 30 times as fast, per core, as ``astropy.stats.sigma_clipped_stats``; differences between
exposures within 0.02 electrons and 3 times their statistical error of those of the same statistic
on source-free realisations; absolute bias at most 0.3 %; static masks and matched sky of four UVIS
exposures in 1.5 CPU seconds; static masks identical to AstroDrizzle's; levels in its convention
within 1e-3 of the noise of its own.

AstroDrizzle's part is left out unless it is found: ``--peer-python`` names another environment's
Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hapdask as hd
from benchmarks.inputs import one_record, spread_over
from benchmarks.report import (
    Figure,
    alternate,
    cpu_seconds,
    keep_memory,
    make_parser,
    median,
    show,
    spread,
    wall_and_cpu,
)
from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.coverage import choose_pairs, find_coverage
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.drizzling.sky_levels.solution import SkySolution
from hapdask.drizzling.static_mask import attach_static_masks, find_static_masks
from hapdask.errors import ParameterError
from hapdask.kernels import image_statistics
from hapdask.observe.record import ExposureRecord

_PEER = Path(__file__).with_name("sky_peer.py")
#: Roll, dither (arcsec), sky (electrons / s / pixel).
_SET = (
    (35.0, (0.0, 0.0), 0.08),
    (35.0, (2.4, 5.1), 0.10),
    (75.0, (-3.2, 1.7), 0.07),
    (75.0, (1.1, -4.3), 0.12),
)
_CENTER, _SECONDS = (150.1, 2.2), 600.0
#: CPU seconds that steps 1 and 2 of four UVIS exposures may take.
_BOTH = 1.5


class ClippedStatistics:
    """One chip through ours and through astropy."""

    def setup(self, rows: int = 2051) -> None:
        rng = np.random.default_rng(1)
        shape = (rows, 4096)
        self.image = rng.normal(50.0, 7.0, shape).astype(np.float32)
        bright = rng.random(shape) < 0.02
        self.image[bright] += rng.pareto(1.0, int(bright.sum())).astype(np.float32) * 100.0
        self.use = rng.random(shape) > 0.05
        self.spans = image_statistics.whole(shape)
        self.ours()
        self.mode()

    def ours(self) -> tuple[float, float, float]:
        everything = self.image, self.use, self.spans
        clipped = image_statistics.clip(*everything, image_statistics.Clipping())
        return clipped.mean, image_statistics.median(*everything, clipped), clipped.stddev

    def mode(self) -> float:
        everything = self.image, self.use, self.spans
        clipped = image_statistics.clip(*everything, image_statistics.Clipping())
        return image_statistics.mode(*everything, clipped)[0]

    def astropy(self) -> tuple[float, float, float]:
        from astropy.stats import sigma_clipped_stats

        found: tuple[float, float, float] = sigma_clipped_stats(
            self.image, mask=~self.use, sigma=4.0, maxiters=5, cenfunc="mean"
        )
        return found

    def astropy_default(self) -> tuple[float, float, float]:
        from astropy.stats import sigma_clipped_stats

        found: tuple[float, float, float] = sigma_clipped_stats(
            self.image, mask=~self.use, sigma=4.0, maxiters=5
        )
        return found

    def time_chip(self) -> None:
        self.ours()


def statistics(rows: int, pairs: int) -> list[Figure]:
    """Speed and agreement of one chip's statistics."""
    case = ClippedStatistics()
    case.setup(rows)
    mine, theirs = case.ours(), case.astropy()
    figures = [
        Figure("median, distance from astropy's", abs(mine[1] - theirs[1]) / theirs[2], "sigma")
    ]
    # The gate is astropy's own default, clipping about medians; its faster way is told beside.
    for label, peer in (("", case.astropy_default), (" about means", case.astropy)):
        times = alternate(lambda: cpu_seconds(peer), lambda: cpu_seconds(case.ours), pairs)  # noqa: B023
        ratios = [slow / fast for slow, fast in times]
        told = spread(ratios)
        figures += [
            Figure(f"astropy{label}", 1e3 * median([t for t, _ in times]), "ms"),
            Figure("ours", 1e3 * median([t for _, t in times]), "ms"),
            Figure(f"times astropy{label}", median(ratios), "", "" if label else ">=", 30.0, told),
        ]
    figures.append(Figure("mode, clipping with it", 1e3 * cpu_seconds(case.mode), "ms"))
    return figures


def make_set(workdir: Path, *, stars: bool, quick: bool) -> list[ExposureRecord]:
    """Simulate four exposures of unlike sky at two rolls, unless they are there."""
    from hapdask.simulate import Options, Pointing, Scene, simulate_exposure

    detector = "IR" if quick else "UVIS"
    folder = workdir / "inputs" / f"sky-{detector.lower()}-{'stars' if stars else 'blank'}"
    if len(list(folder.glob("*_fl?.fits"))) < len(_SET):
        scene = (
            Scene.random(*_CENTER, 0.045, 1500, 400, seed=7) if stars else Scene.stars([], [], [])
        )
        for k, (roll, dither, sky) in enumerate(_SET):
            pointing = Pointing(*_CENTER, roll, f"2020-01-0{k + 1}T00:00:00", dither)
            simulate_exposure(
                scene, "WFC3", detector, "F160W" if quick else "F606W", pointing, _SECONDS,
                seed=30 + k, options=Options(sky=sky),
            ).write(folder)  # fmt: skip
    return list(hd.open_exposures(str(folder / "*_fl?.fits"), strict=True))


def levels_of(solution: SkySolution) -> NDArray[np.float64]:
    """Sky of the first chips."""
    return np.array([sky.chips[0].sky for sky in solution.exposures])


def truth(stars: Sequence[ExposureRecord], blank: Sequence[ExposureRecord]) -> list[Figure]:
    """Distance from the same statistic without sources, electrons."""
    figures = []
    per = [1.0 if not e.unit.endswith("/ s") else e.exptime for e in stars]
    for stat in ("median", "mean", "mode"):
        parameters = SkyParameters(method="globalmin+match", stat=stat)
        found, true = solve_sky(stars, parameters), solve_sky(blank, parameters)
        off = (levels_of(found) - levels_of(true)) * per
        first = found.exposures[0]
        allowed = [
            0.02
            + 3.0 * found.error_of_difference(first.name, e.name) / first.chips[0].factor * per[0]
            for e in found.exposures[1:]
        ]
        worst = float(np.max(np.abs(off[1:] - off[0]) / allowed))
        bias = 100.0 * float(np.max(np.abs(off / (levels_of(true) * per))))
        figures += [
            Figure(f"{stat}: differences, of what is allowed", worst, "", "<=", 1.0),
            Figure(f"{stat}: largest difference off", float(np.ptp(off)), "electrons"),
            Figure(f"{stat}: bias", bias, "%", *(("<=", 0.3) if stat == "median" else ())),
        ]
    return figures


def solutions(exposures: Sequence[ExposureRecord]) -> list[Figure]:
    """Time of whole solutions, two threads."""
    figures = []
    for method in ("localmin", "match", "globalmin+match"):
        parameters = SkyParameters(method=method)
        wall, cpu = wall_and_cpu(lambda: solve_sky(exposures, parameters, threads=2))  # noqa: B023
        figures += [Figure(f"{method}: wall", wall, "s"), Figure(f"{method}: CPU", cpu, "s")]
    masks = cpu_seconds(lambda: find_static_masks(exposures, threads=2))
    both = f"static masks and {method}: CPU"
    return [*figures, Figure(both, masks + cpu, "s", "<=", _BOTH)]


def many(workdir: Path, count: int, *, quick: bool) -> list[Figure]:
    """Which of many exposures overlap, which pairs are measured, and what a tenth of it costs."""
    records = spread_over(one_record(workdir, quick=quick), count, 60.0)
    wall, _ = wall_and_cpu(lambda: find_coverage(records))
    overlap = find_coverage(records).overlap
    parameters = SkyParameters(method="globalmin+match")
    pairs = choose_pairs(overlap, parameters.partners)
    tenth = records[: max(count // 10, 2)]
    seconds = cpu_seconds(lambda: solve_sky(tenth, parameters, threads=2)) / len(tenth)
    return [
        Figure(f"{count} exposures: who overlaps whom", wall, "s"),
        Figure("pairs that overlap", float(np.count_nonzero(np.triu(overlap, 1)))),
        Figure("pairs that are measured", float(len(pairs))),
        Figure(f"{len(tenth)} exposures: CPU of each", seconds, "s"),
    ]


def peer_of(given: str | None) -> str | None:
    """Find a Python that has AstroDrizzle, or None."""
    here = sys.executable if importlib.util.find_spec("drizzlepac") else None
    return given or os.environ.get("HAPDASK_PEER_PYTHON") or here


def against_peer(peer: str, exposures: Sequence[ExposureRecord], workdir: Path) -> list[Figure]:
    """Static masks and levels of AstroDrizzle's own steps 1 and 2 on the same files."""
    folder = workdir / "sky-peer"
    figures = []
    for method in ("localmin", "match", "globalmin+match"):
        theirs = _their_run(peer, exposures, folder, method)
        wall, cpu = wall_and_cpu(lambda: _our_run(exposures, folder, method))  # noqa: B023
        solution, sums = _our_run(exposures, folder, method)
        differ = float(sums != theirs["masks"])
        off = [
            abs(chip.sky - theirs["sky"][sky.name][chip.extver - 1])
            for sky in solution.exposures
            for chip in sky.chips
        ]
        figures += [
            Figure(f"{method}: static masks that differ", differ, "", "==", 0.0),
            Figure(
                f"{method}: off AstroDrizzle's", max(off) / theirs["sigma"], "sigma", "<=", 1e-3
            ),
            Figure(f"{method}: AstroDrizzle, static mask and sky", theirs["wall"], "s wall"),
            Figure(f"{method}: AstroDrizzle", theirs["cpu"], "s CPU"),
            Figure(f"{method}: ours, both, 2 threads", wall, "s wall"),
            Figure(f"{method}: ours", cpu, "s CPU"),
        ]
    shutil.rmtree(folder)
    return figures


def _their_run(
    peer: str, exposures: Sequence[ExposureRecord], folder: Path, method: str
) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for exposure in exposures:
        shutil.copy(exposure.url, folder)
    command = [peer, "-P", "-W", "ignore", str(_PEER), str(folder), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ParameterError(f"AstroDrizzle failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads((folder / "sky.json").read_text())
    return found


def _our_run(
    exposures: Sequence[ExposureRecord], folder: Path, method: str
) -> tuple[SkySolution, dict[str, int]]:
    masks = find_static_masks(exposures, root=lambda e: "", threads=2)
    records = attach_static_masks(exposures, masks, folder / "masks", root=lambda e: "")
    parameters = SkyParameters(method=method, convention="upstream")
    solution = solve_sky(records, parameters, flux_scaling=False, threads=2)
    return solution, {str(key.extver): int(bad.sum()) for key, bad in masks.bad.items()}


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="of trials")
    parser.add_argument("--peer-python", help="of an environment with drizzlepac")
    options = parser.parse_args(argv)
    keep_memory()
    rows, pairs = (128, 1) if options.quick else (2051, options.pairs)
    figures = statistics(rows, pairs)
    stars, blank = (make_set(options.workdir, stars=s, quick=options.quick) for s in (True, False))
    figures += truth(stars, blank) + solutions(stars)
    figures += many(options.workdir, 12 if options.quick else 400, quick=options.quick)
    peer = peer_of(options.peer_python)
    if peer is not None and not options.quick:
        figures += against_peer(peer, stars, options.workdir)
    show("Sky levels", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
