"""Poller to products: runsinglehap 3.11 against ``hapdask svm`` on simulated visits.

A UVIS visit of two filters and four exposures, and an IR visit of two exposures; headers wrong by
1 arcsec and 0.01 degrees.  Both sides are programs, both get the same reference stars: upstream
asks a catalog service, which runs here on loopback; its source catalogs are switched off.  Gates:
the UVIS visit in a tenth of upstream's wall time on two cores, at most 2 GiB; the same products
with the same extensions.  Told beside: CPU seconds, bytes written, and how far either solution is
from the truth.

runsinglehap needs ``photutils < 3``: ``--peer-python`` names the Python of an environment with
drizzlepac 3.11 and that.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hapdask as hd
from benchmarks.astrodrizzle import find_peer
from benchmarks.processes import Usage, run_program
from benchmarks.report import Figure, alternate, make_parser, median, show, spread
from benchmarks.visits import (
    DITHERS,
    Observation,
    SimulatedVisit,
    make_scene,
    reference_catalog,
    residuals,
    simulate_visit,
    typical,
)

_PEER = Path(__file__).with_name("svm_peer.py")
_REFERENCES = 700


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: what it took, and the folder that it left."""

    usage: Usage
    folder: Path


def inputs_of(workdir: Path, detector: str) -> SimulatedVisit:
    """Simulate a visit, unless it is there."""
    seed, name = {"UVIS": (11, "06"), "IR": (12, "07")}[detector]
    filters = {"UVIS": ("F606W", "F606W", "F814W", "F814W"), "IR": ("F160W", "F160W")}[detector]
    scene = make_scene(seed, references=_REFERENCES)
    return simulate_visit(
        workdir / "inputs" / f"svm-{detector.lower()}",
        scene,
        reference_catalog(scene, _REFERENCES, seed),
        [Observation("WFC3", detector, f, d) for f, d in zip(filters, DITHERS, strict=False)],
        seed=seed,
        visit=name,
    )


def run_ours(visit: SimulatedVisit, out: Path, threads: int, preset: str) -> Trial:
    """Run the command in an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    program = Path(sys.executable).with_name("hapdask")
    options: list[str | Path] = [
        "--refcat",
        visit.catalog,
        "--preset",
        preset,
        "--threads",
        str(threads),
    ]
    return Trial(run_program([program, "svm", visit.poller, "-o", out, *options]), out)


def run_theirs(peer: str, visit: SimulatedVisit, folder: Path) -> Trial:
    """Run runsinglehap on copies of the inputs, which are removed when it is done."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copies = [Path(shutil.copy(path, folder)) for path in (*visit.exposures, visit.poller)]
    with catalog_service(visit) as url:
        usage = run_program([peer, "-P", _PEER, folder, visit.poller.name, url])
    for path in copies:
        path.unlink()
    return Trial(usage, folder)


@contextmanager
def catalog_service(visit: SimulatedVisit) -> Iterator[str]:
    """Serve the reference stars of a visit as the archive's catalog service does; gives its URL."""
    from astropy.table import Table

    from tests.helpers.gsss_server import COLUMNS, serving

    table = Table.read(visit.catalog)
    renamed = {"objID": "source_id", "mag": "phot_g_mean_mag", "epoch": "ref_epoch"}
    stars = {
        name: np.full(len(table), np.nan)
        if name == "parallax"
        else np.asarray(table[renamed.get(name, name)])
        for name in COLUMNS
    }
    with serving(stars) as service:
        yield service.root


def accuracy(trial: Trial, visit: SimulatedVisit) -> list[float]:
    """Tell how far the WCS of each exposure's product copy is from the truth, median, mas."""
    found = []
    for path in visit.exposures:
        (copy,) = trial.folder.rglob(f"hst_*_{path.name[:8]}_fl?.fits")
        (record,) = hd.open_exposures(str(copy), strict=True)
        found.append(typical(residuals(record, visit.truth(path))))
    return found


def products_in(folder: Path) -> dict[str, Path]:
    """Give the products of a folder by name; not logs of runs, nor what upstream never makes."""
    suffixes = (".fits", "_trl.txt", "_manifest.txt")
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(suffixes))
    return {path.name: path for path in found}


def extensions(path: Path) -> Counter[tuple[str, int]]:
    """Count the extensions of a FITS file by name and version; their order means nothing."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        return Counter((hdu.name, hdu.ver) for hdu in hdus)


def agreement(label: str, mine: Trial, peer: Trial) -> list[Figure]:
    """Compare names and extensions of the products."""
    first, second = products_in(mine.folder), products_in(peer.folder)
    absent, more = sorted(second.keys() - first.keys()), sorted(first.keys() - second.keys())
    both = [name for name in second if name in first and name.endswith(".fits")]
    pairs = {name: (extensions(first[name]), extensions(second[name])) for name in both}
    lacking = [name for name, (ours, theirs) in pairs.items() if theirs - ours]
    added = Counter(name for ours, theirs in pairs.values() for name, _ in (ours - theirs))
    note = " ".join(f"{name} in {count}" for name, count in sorted(added.items()))
    return [
        Figure(f"{label}: upstream's products", len(second)),
        Figure(f"{label}: of them absent", len(absent), "", "==", 0.0, " ".join(absent)),
        Figure(f"{label}: ours that upstream has not", len(more), note=" ".join(more)),
        Figure(
            f"{label}: files without an extension", len(lacking), "", "==", 0.0, " ".join(lacking)
        ),
        Figure(f"{label}: extensions that upstream has not", added.total(), note=note),
    ]


def own_figures(label: str, trials: Sequence[Trial], visit: SimulatedVisit) -> list[Figure]:
    """What ours takes, and how good its solution is."""
    true = accuracy(trials[-1], visit)
    peak = max(trial.usage.peak for trial in trials) / 2**30
    return [
        Figure(f"{label}: wall", median([t.usage.wall for t in trials]), "s"),
        Figure(f"{label}: CPU", median([t.usage.cpu for t in trials]), "s"),
        Figure(f"{label}: peak RSS", peak, "GiB", "<=", 2.0),
        Figure(f"{label}: written", median([t.usage.written for t in trials]) / 1e9, "GB"),
        Figure(f"{label}: worst exposure from the truth", max(true), "mas", "<=", 1.0),
    ]


def against(
    label: str, pairs: Sequence[tuple[Trial, Trial]], visit: SimulatedVisit, *, gate: bool
) -> list[Figure]:
    """How many times more upstream takes, and how good its solution is."""
    wall = [peer.usage.wall / mine.usage.wall for mine, peer in pairs]
    cpu = [peer.usage.cpu / mine.usage.cpu for mine, peer in pairs]
    theirs = [peer.usage for _, peer in pairs]
    true = accuracy(pairs[-1][1], visit)
    asked = (">=", 10.0) if gate else ("", 0.0)
    return [
        Figure(f"{label}, upstream: wall", median([u.wall for u in theirs]), "s"),
        Figure(f"{label}, upstream: CPU", median([u.cpu for u in theirs]), "s"),
        Figure(f"{label}, upstream: peak RSS", max(u.peak for u in theirs) / 2**30, "GiB"),
        Figure(f"{label}, upstream: written", median([u.written for u in theirs]) / 1e9, "GB"),
        Figure(f"{label}, upstream: worst exposure from the truth", max(true), "mas"),
        Figure(f"{label}, upstream: wall, times ours", median(wall), "", *asked, spread(wall)),
        Figure(f"{label}, upstream: CPU, times ours", median(cpu), note=spread(cpu)),
        *agreement(label, *pairs[-1]),
    ]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac, photutils < 3")
    parser.add_argument("--alone", action="store_true", help="without runsinglehap")
    parser.add_argument("--detectors", nargs="+", choices=["UVIS", "IR"], default=["UVIS", "IR"])
    parser.add_argument("--threads", type=int, default=2, help="of hapdask")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--preset", default="default", help="of hapdask")
    parser.add_argument("--keep", action="store_true", help="the products of both sides")
    options = parser.parse_args(argv)
    peer = None if options.alone else find_peer(options.peer_python)
    figures: list[Figure] = []
    folder = options.workdir / "svm"
    for detector in ["IR"] if options.quick else options.detectors:
        visit, here = inputs_of(options.workdir, detector), folder / detector.lower()

        def mine(visit: SimulatedVisit = visit, here: Path = here) -> Trial:
            return run_ours(visit, here / "ours", options.threads, options.preset)

        def theirs(visit: SimulatedVisit = visit, here: Path = here) -> Trial:
            assert peer is not None
            return run_theirs(peer, visit, here / "theirs")

        mine()  # compile
        if peer is None:
            figures += own_figures(detector, [mine()], visit)
        else:
            pairs = alternate(mine, theirs, options.pairs)
            figures += own_figures(detector, [first for first, _ in pairs], visit)
            figures += against(detector, pairs, visit, gate=detector == "UVIS")
    if not options.keep:
        shutil.rmtree(folder)
    show("single-visit mosaics, poller to products", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
