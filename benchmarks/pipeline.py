"""Files to files: AstroDrizzle 3.11 whole against ``hapdask astrodrizzle``.

Four dithered UVIS exposures with the settings of the archive's pipeline: minmed, square final
kernel, pixfrac 1, cosmic rays.  Both sides are programs: imports are counted, compilation is not (a
run before fills Numba's cache).  Gates, medians of alternating pairs: wall time at least 12 times
less (goal 20), CPU seconds 6 times (goal 8), against AstroDrizzle with the number of cores that is
best for it; peak RSS at most 1.5 GiB; nothing written but the products.

Both make the same products: SCI, WHT, CTX.  Ours has an ERR too unless told not to; what that adds
is told beside the gates.  The other parameters are those of our preset: exact map, noise from ERR,
right borders.  With ``--preset compat`` they are AstroDrizzle's own.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.astrodrizzle import find_peer
from benchmarks.inputs import simulated
from benchmarks.processes import Usage, run_program
from benchmarks.report import Figure, alternate, make_parser, median, show, spread

_PEER = Path(__file__).with_name("pipeline_peer.py")
#: Arcsec: between whole and half pixels, and enough to clear bad columns and the gap.
DITHERS = ((0.0, 0.0), (2.406, 1.231), (-1.297, 3.615), (3.713, -2.388))
#: Given to both sides by the same names.
PARAMETERS: dict[str, object] = {
    "skymethod": "localmin",
    "sky_bits": "0",
    "driz_sep_kernel": "turbo",
    "driz_sep_bits": "16+64",
    "combine_type": "minmed",
    "combine_nsigma": "4 3",
    "combine_nhigh": 0,
    "driz_cr_snr": "3.5 3.0",
    "driz_cr_scale": "1.5 1.2",
    "final_wht_type": "EXP",
    "final_kernel": "square",
    "final_pixfrac": 1.0,
    "final_bits": "16+64",
    "build": False,
    "context": True,
}
#: Given to ours alone: AstroDrizzle has no flags between good and bad.
_OURS: dict[str, object] = {"final_doubtful_bits": 0}
#: Pages that hold part of a product, directories, a log: what may be written beyond the products.
_OVERHEAD = 1.02


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: what it took, and the bytes of the files that it left."""

    usage: Usage
    products: float


def inputs_of(workdir: Path, *, quick: bool) -> list[Path]:
    """Simulate the exposures, unless they are there: two of IR if quick."""
    detector, count = ("IR", 2) if quick else ("UVIS", 4)
    return [
        simulated(workdir, "WFC3", detector, seed=41 + k, dither=dither)
        for k, dither in enumerate(DITHERS[:count])
    ]


def run_ours(
    inputs: Sequence[Path], out: Path, threads: int, preset: str, *, errors: bool = False
) -> Trial:
    """Run the command in an empty folder; with ``errors`` it makes ERR, too."""
    shutil.rmtree(out, ignore_errors=True)
    settings = [
        word for item in (PARAMETERS | _OURS).items() for word in ("--set", "{}={}".format(*item))
    ]
    program = Path(sys.executable).with_name("hapdask")
    command = [program, "astrodrizzle", *inputs, "-o", out, "--preset", preset, *settings]
    options = ["--threads", str(threads)] + ["--no-err"] * (not errors)
    usage = run_program([*command, *options])
    return Trial(usage, _bytes_in(out))


def run_theirs(peer: str, inputs: Sequence[Path], folder: Path, cores: int) -> Trial:
    """Run AstroDrizzle on copies of the inputs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in inputs:
        shutil.copy(path, folder)
    parameters = folder / "parameters.json"
    parameters.write_text(json.dumps(PARAMETERS))
    usage = run_program([peer, "-P", _PEER, folder, str(cores), parameters])
    return Trial(usage, sum(path.stat().st_size for path in folder.glob("final_dr*.fits")))


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def ratios(pairs: Sequence[tuple[Trial, Trial]], cores: int) -> list[Figure]:
    """How many times more AstroDrizzle takes."""
    wall = [peer.usage.wall / mine.usage.wall for mine, peer in pairs]
    cpu = [peer.usage.cpu / mine.usage.cpu for mine, peer in pairs]
    taken = f"AstroDrizzle with {cores} core{'s' * (cores > 1)}"
    return [
        Figure(f"{taken}: wall", median([p.usage.wall for _, p in pairs]), "s"),
        Figure(f"{taken}: CPU", median([p.usage.cpu for _, p in pairs]), "s"),
        Figure(
            f"{taken}: peak RSS of a process", max(p.usage.peak for _, p in pairs) / 2**30, "GiB"
        ),
        Figure(f"{taken}: written", pairs[0][1].usage.written / 1e9, "GB"),
        Figure(f"{taken}: wall, times ours", median(wall), note=spread(wall)),
        Figure(f"{taken}: CPU, times ours", median(cpu), note=spread(cpu)),
    ]


def own_figures(trials: Sequence[Trial], full: Sequence[Trial]) -> list[Figure]:
    """What ours takes, without ERR and with it, and whether it writes products alone."""
    written = [trial.usage.written / trial.products for trial in trials]
    return [
        Figure("wall", median([trial.usage.wall for trial in trials]), "s"),
        Figure("CPU", median([trial.usage.cpu for trial in trials]), "s"),
        Figure("peak RSS", max(trial.usage.peak for trial in trials) / 2**30, "GiB", "<=", 1.5),
        Figure("products", trials[0].products / 1e9, "GB"),
        Figure("bytes written, of those of the products", median(written), "", "<=", _OVERHEAD),
        Figure("with ERR: wall", median([trial.usage.wall for trial in full]), "s"),
        Figure("with ERR: CPU", median([trial.usage.cpu for trial in full]), "s"),
        Figure(
            "with ERR: peak RSS", max(trial.usage.peak for trial in full) / 2**30, "GiB", "<=", 1.5
        ),
    ]


def _pairs(
    mine: Callable[[], Trial],
    peer: str,
    inputs: Sequence[Path],
    folder: Path,
    cores: int,
    count: int,
) -> list[tuple[Trial, Trial]]:
    def theirs() -> Trial:
        return run_theirs(peer, inputs, folder, cores)

    pairs = alternate(mine, theirs, count)
    shutil.rmtree(folder)
    return pairs


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac")
    parser.add_argument("--alone", action="store_true", help="without AstroDrizzle")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="of AstroDrizzle")
    parser.add_argument("--threads", type=int, default=2, help="of hapdask")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--preset", default="default", help="of hapdask")
    options = parser.parse_args(argv)
    peer = None if options.alone else find_peer(options.peer_python)
    count, cores = (1, [1]) if options.quick else (options.pairs, options.cores)
    inputs = inputs_of(options.workdir, quick=options.quick)
    folder = options.workdir / "pipeline"

    def mine(*, errors: bool = False) -> Trial:
        place = folder / "ours"
        return run_ours(inputs, place, options.threads, options.preset, errors=errors)

    mine(), mine(errors=True)  # compile
    full = [mine(errors=True) for _ in range(count)]
    if peer is None:
        trials, figures = [mine() for _ in range(count)], []
    else:
        runs = {n: _pairs(mine, peer, inputs, folder / "theirs", n, count) for n in cores}
        trials = [first for pairs in runs.values() for first, _ in pairs]
        figures = [figure for n, pairs in runs.items() for figure in ratios(pairs, n)]
        for kind, asked in (("wall", 12.0), ("CPU", 6.0)):
            found = [f.value for f in figures if f.name.endswith(f"{kind}, times ours")]
            name = f"{kind}, AstroDrizzle at its best over ours"
            figures.append(Figure(name, min(found), "times", ">=", asked))
    shutil.rmtree(folder)
    figures = own_figures(trials, full) + figures
    show("AstroDrizzle whole, files to files", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
