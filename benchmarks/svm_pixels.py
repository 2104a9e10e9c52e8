"""Pixels of a visit: ``compat`` on upstream's own aligned copies against runsinglehap 3.11's.

Upstream aligns and drizzles simulated visits; ours then makes all products of *its* aligned copies,
so that alignment plays no part: exposures, filters, total, of UVIS (two filters) and IR.  Gates:
the same frame and coverage, the same weights, no pixel off by its noise.

Where skymatch fails, upstream falls back to ``localmin`` and says so in the trailer; ours is then
told the same.  ``--peer-python`` is as in `benchmarks.svm`; ``--theirs`` takes folders that
runsinglehap has left, in place of running it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.astrodrizzle import find_peer
from benchmarks.report import Figure, make_parser, show
from benchmarks.svm import inputs_of, run_theirs

_FELL_BACK = 'Reverting sky computation to "localmin"'


def make_ours(theirs: Path, out: Path, threads: int) -> None:
    """Make all products of the aligned copies of a folder, with the WCS that they have."""
    from datetime import UTC, datetime

    from hapdask.recipes.svm.ledger import Ledger
    from hapdask.recipes.svm.mosaics import Studio
    from hapdask.recipes.svm.parameters import Settings
    from hapdask.recipes.svm.planning import open_visits, plan_visits
    from hapdask.recipes.svm.products import DetectorRun
    from hapdask.recipes.svm.steps import Workshop

    sky = {"skymethod": "localmin"} if fell_back(theirs) else {}
    settings = Settings(preset="compat", overrides=sky)
    copies = [str(path) for path in sorted(theirs.glob("hst_*_fl[ct].fits"))]
    (visit,), left_out = plan_visits(open_visits(copies), settings)
    if left_out:
        raise SystemExit(f"upstream's copies cannot be used: {left_out[0].reason}")
    out.mkdir(parents=True)
    records = {record.name: record for record in visit.exposures}
    studio = Studio(
        out=out,
        ledger=Ledger(out / "made", out),
        date=datetime.now(UTC).date(),
        pictures=False,
        threads=threads,
    )
    shop = Workshop(where=out / "records", threads=threads)
    for detector in visit.tree.detectors:
        DetectorRun(visit.tree, detector, records, settings, studio, shop).make()


def fell_back(folder: Path) -> bool:
    """Whether upstream's sky was not matched."""
    return any(_FELL_BACK in path.read_text() for path in folder.glob("*_trl.txt"))


def compare(ours: Path, theirs: Path, label: str) -> Iterator[Figure]:
    """Compare all drizzled products of two folders."""
    from astropy.io import fits

    for path in sorted(theirs.glob("hst_*_dr[cz].fits")):
        words = path.stem.split("_")
        name = f"{label} {words[5]} {words[6]}"
        with fits.open(ours / path.name) as mine, fits.open(path) as peer:
            keys = ("NAXIS1", "NAXIS2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2")
            moved = max(abs(mine["SCI"].header[k] - peer["SCI"].header[k]) for k in keys)
            yield Figure(f"{name}: frame", moved, "pixel/deg", "<=", 1e-8)
            if mine["SCI"].shape != peer["SCI"].shape:
                continue
            images = [hdus[key].data for key in ("SCI", "WHT") for hdus in (mine, peer)]
        yield from _figures(name, *images)


def _figures(
    name: str, sci: np.ndarray, peer: np.ndarray, weight: np.ndarray, peer_weight: np.ndarray
) -> Iterator[Figure]:
    both = (weight > 0) & (peer_weight > 0)
    heavier = np.maximum(weight, peer_weight)
    unequal = np.count_nonzero((np.abs(weight - peer_weight) > 1e-3 * heavier)[both])
    alone = np.count_nonzero((weight > 0) != (peer_weight > 0))
    noise = 1.4826 * np.median(np.abs(peer[both] - np.median(peer[both])))
    off = np.abs(sci[both] - peer[both]) / noise
    yield Figure(f"{name}: covered by one only", alone, "pixels", "==", 0.0)
    yield Figure(f"{name}: other weights", unequal, "pixels", "==", 0.0)
    yield Figure(f"{name}: off by more than the noise", np.sum(off > 1.0), "pixels", "==", 0.0)
    yield Figure(f"{name}: off by a hundredth of it", np.sum(off > 0.01), "pixels")
    yield Figure(f"{name}: median difference", np.median(off), "noise", "<=", 1e-3)


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac, photutils < 3")
    parser.add_argument("--theirs", nargs="+", type=Path, help="folders that runsinglehap left")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    folder = options.workdir / "svm_pixels"
    shutil.rmtree(folder, ignore_errors=True)
    theirs = {path.parent.name: path for path in options.theirs or ()}
    if not theirs:
        peer = find_peer(options.peer_python)
        for detector in ["IR"] if options.quick else ["UVIS", "IR"]:
            made = run_theirs(peer, inputs_of(options.workdir, detector), folder / detector)
            theirs[detector] = made.folder
    figures: list[Figure] = []
    for label, path in theirs.items():
        make_ours(path, folder / f"ours-{label}", options.threads)
        figures += compare(folder / f"ours-{label}", path, label)
    shutil.rmtree(folder)
    show("single-visit mosaics, pixel by pixel", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
