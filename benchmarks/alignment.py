"""Our alignment and TweakReg 3.11's on the same simulated visits, against the truth.

Visits of four exposures with errors of 1 arcsec and 0.01 degrees and a few hundred reference stars
of Gaia's errors and proper motions.  Asked for, as the median distance of the stars on the chips
from their true positions: ours at most 0.3 mas in every exposure, the median over exposures not
above TweakReg's, no exposure worse than TweakReg's by more than two of its stated sigmas.  With 15
reference stars: 1 mas (UVIS), 3 mas (IR).  With none, relative to a solved visit that half covers
it: 1 mas within a year, the stated error after five.  Within a visit of 100 stars, from data alone:
0.5 mas rms.

Most visits are of a quarter of a chip (1024 x 1024 pixels), which changes nothing for a star;
``--full`` says how many are of whole detectors.  TweakReg gets what its users give it: stars of the
date of the visit, searchrad 3, saturated stars left out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import hapdask as hd
from benchmarks.astrodrizzle import find_peer
from benchmarks.processes import run_program
from benchmarks.report import Figure, make_parser, median, show
from benchmarks.visits import (
    DITHERS,
    RADIUS,
    Observation,
    SimulatedVisit,
    make_scene,
    on_chips,
    reference_catalog,
    residuals,
    simulate_visit,
    typical,
)
from hapdask.astrometry.references.finding import find_references
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.fields import fields_of
from hapdask.recipes.alignment.run import Alignment, align
from hapdask.simulate import Mode, Scene, Subarray
from hapdask.simulate.modes import WHOLE

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

_PEER = Path(__file__).with_name("alignment_peer.py")
#: Given to TweakReg.
TWEAKREG: dict[str, dict[str, object]] = {
    "tweakreg": {
        "searchrad": 3.0,
        "minobj": 15,
        "fitgeometry": "rscale",
        "nclip": 3,
        "sigma": 3.0,
    },
    "imagefind": {
        "threshold": 20.0,
        "conv_width": 3.5,
        "peakmax": 60000.0,
        "use_sharp_round": True,
    },
}
_FEW = 15
#: Between the solved visit and the one without reference stars, arcsec along the chip's x.
_APART = 20.0
_DATE, _YEAR_LATER, _FIVE_LATER = "2018-06-01", "2019-03-20", "2023-06-10"


@dataclass(frozen=True, slots=True)
class Look:
    """A detector, the part of it that is read, and how many sources there are.

    ``references`` stars are known to the catalog, ``others`` and ``galaxies`` are fainter; all
    within ``radius`` degrees.  ``middle`` (arcsec) is the dither that puts the middle of the
    subarray on the target.
    """

    detector: str
    filter_name: str
    references: int
    others: int
    galaxies: int
    radius: float = RADIUS
    middle: tuple[float, float] = (0.0, 0.0)
    mode: Mode = WHOLE

    def observations(self, count: int, *, along: float = 0.0) -> list[Observation]:
        """Dithered exposures, all moved by ``along`` arcsec."""
        x0, y0 = self.middle
        return [
            Observation(
                "WFC3", self.detector, self.filter_name, (x0 + x + along, y0 + y), mode=self.mode
            )
            for x, y in DITHERS[:count]
        ]


_QUARTER = Mode(subarray=Subarray(2, 1535, 0, 1024, 1024))
_HERE = (0.0, 10.4)
CROP = Look("UVIS", "F606W", 600, 800, 60, 0.0095, _HERE, _QUARTER)
#: Room for a neighbour.
WIDE = Look("UVIS", "F606W", 1600, 2200, 160, 0.0155, _HERE, _QUARTER)
SPARSE = Look("UVIS", "F606W", 300, 0, 0, 0.0095, _HERE, _QUARTER)
FULL = Look("UVIS", "F606W", 700, 1200, 300)
IR = Look("IR", "F160W", 700, 1200, 300)


def make_visit(workdir: Path, name: str, look: Look, seed: int, *, count: int) -> SimulatedVisit:
    """Simulate a visit of a sky of its own."""
    scene, table = sky_of(look, seed)
    return simulate_visit(
        workdir / "inputs" / f"align-{name}-{seed}-{count}",
        scene,
        table,
        look.observations(count),
        seed=seed,
    )


@cache
def sky_of(look: Look, seed: int) -> tuple[Scene, Table]:
    """Make a sky and its reference catalog."""
    scene = make_scene(
        seed,
        references=look.references,
        others=look.others,
        galaxies=look.galaxies,
        radius=look.radius,
    )
    return scene, reference_catalog(scene, look.references, seed)


@dataclass(frozen=True, slots=True)
class Found:
    """How far an exposure is from the truth, median, and the error stated for it; mas."""

    true: float
    stated: float


def ours(visit: SimulatedVisit, refcat: object) -> list[Found]:
    """Align a visit, and look how far its exposures are from the truth."""
    found = align(list(map(str, visit.exposures)), refcat=refcat)
    return [
        Found(typical(residuals(each.record, visit.truth(path))), each.placement.error_mas)
        for path, each in zip(visit.exposures, found, strict=True)
    ]


def theirs(peer: str, visits: Sequence[SimulatedVisit], folder: Path) -> list[list[float]]:
    """Align copies of visits with TweakReg, all in one process."""
    folders = [folder / visit.folder.name for visit in visits]
    for visit, place in zip(visits, folders, strict=True):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for path in visit.exposures:
            shutil.copy(path, place)
        (field,) = fields_of(opened(visit))
        stars, _ = find_references(str(visit.catalog), field.cone(30.0), field.mjd)
        assert stars is not None
        np.savetxt(place / "refcat.txt", np.stack([stars.ra, stars.dec], axis=1), fmt="%.10f")
    (folder / "parameters.json").write_text(json.dumps(TWEAKREG))
    run_program([peer, "-P", _PEER, folder / "parameters.json", *folders])
    results = []
    for visit, place in zip(visits, folders, strict=True):
        solved = hd.open_exposures([str(place / path.name) for path in visit.exposures])
        pairs = zip(solved, visit.exposures, strict=True)
        results.append([typical(residuals(record, visit.truth(path))) for record, path in pairs])
    shutil.rmtree(folder)
    return results


def opened(visit: SimulatedVisit) -> Sequence[ExposureRecord]:
    """Open the exposures of a visit."""
    return hd.open_exposures(list(map(str, visit.exposures)), strict=True)


def many_stars(workdir: Path, peer: str | None, crops: int, fulls: int, count: int) -> list[Figure]:
    """Compare on a few hundred reference stars."""
    visits = [make_visit(workdir, "crop", CROP, seed, count=count) for seed in range(1, crops + 1)]
    visits += [make_visit(workdir, "full", FULL, seed, count=count) for seed in range(1, fulls + 1)]
    mine = [found for visit in visits for found in ours(visit, str(visit.catalog))]
    true = [found.true for found in mine]
    figures = [
        Figure("hundreds of stars: exposures", len(mine)),
        Figure("hundreds of stars: worst exposure", max(true), "mas", "<=", 0.3),
        Figure("hundreds of stars: median", median(true), "mas"),
        Figure("hundreds of stars: median stated", median([f.stated for f in mine]), "mas"),
    ]
    if peer is None:
        return figures
    other = [x for found in theirs(peer, visits, workdir / "tweakreg") for x in found]
    worse = [(f.true - x) / f.stated for f, x in zip(mine, other, strict=True)]
    ratio = median(true) / median(other)
    return [
        *figures,
        Figure("TweakReg: median", median(other), "mas", note=f"(to {max(other):.3g})"),
        Figure("ours over TweakReg's, medians", ratio, "", "<=", 1.0),
        Figure("worst against TweakReg, stated sigmas", max(worse), "", "<=", 2.0),
    ]


def few_stars(workdir: Path, visits: int, count: int) -> list[Figure]:
    """Align to 15 reference stars."""
    figures = []
    for look, name, asked in ((CROP, "crop", 1.0), (IR, "ir", 3.0)):
        found: list[Found] = []
        for seed in range(1, visits + 1):
            visit = make_visit(workdir, name, look, seed, count=count)
            found += ours(visit, some_stars(visit, sky_of(look, seed)[1], seed))
        true = [each.true for each in found]
        stated = median([each.true / each.stated for each in found])
        label = f"15 stars, {look.detector}"
        figures += [
            Figure(f"{label}: worst exposure", max(true), "mas", "<=", asked),
            Figure(f"{label}: median", median(true), "mas"),
            Figure(f"{label}: median over the stated error", stated),
        ]
    return figures


def some_stars(visit: SimulatedVisit, catalog: Table, seed: int) -> Table:
    """Choose 15 stars of a catalog that all exposures see, none at the edge."""
    seen = set.intersection(*(stars_on(visit, k, 40.0) for k in range(len(visit.exposures))))
    known = np.flatnonzero(np.isin(catalog["source_id"], list(seen)))
    chosen = np.random.default_rng([seed, 5]).choice(known, _FEW, replace=False)
    return catalog[np.sort(chosen)]


def stars_on(visit: SimulatedVisit, k: int, margin: float) -> set[int]:
    """Numbers of the sources on the chips of an exposure, as in the catalog."""
    truth = visit.truth(visit.exposures[k])
    (record,) = hd.open_exposures(str(visit.exposures[k]), strict=True)
    return set(np.asarray(truth["id"])[on_chips(record, truth, margin)].tolist())


def without_stars(workdir: Path, visits: int, count: int) -> list[Figure]:
    """Align visits without a reference star to one that was solved and covers half of them."""
    figures = []
    for label, date, years in (("10 months", _YEAR_LATER, 1), ("5 years", _FIVE_LATER, 5)):
        off: list[Found] = []
        for seed in range(1, visits + 1):
            later = neighbour(workdir, seed, date, count)
            off += relative_to_solved(solved_visit(workdir, later, seed, count), later)
        true, pulls = [each.true for each in off], [each.true / each.stated for each in off]
        asked = ("<=", 1.0) if years == 1 else ("", 0.0)
        told = ("<=", 1.0) if years == 5 else ("", 0.0)
        name = f"no stars, {label} after"
        figures += [
            Figure(f"{name}: worst exposure, relative", max(true), "mas", *asked),
            Figure(f"{name}: median", median(true), "mas"),
            Figure(f"{name}: median stated", median([each.stated for each in off]), "mas"),
            Figure(f"{name}: worst over the stated error", max(pulls), "", *told),
        ]
    return figures


def neighbour(workdir: Path, seed: int, date: str, count: int) -> SimulatedVisit:
    """Simulate a visit that has no reference star."""
    scene, table = sky_of(WIDE, seed)
    return simulate_visit(
        workdir / "inputs" / f"align-late-{date[:4]}-{seed}-{count}",
        scene,
        table[:0],
        WIDE.observations(count, along=_APART),
        seed=1000 * int(date[:4]) + seed,
        visit="08",
        date=f"{date}T02:00:00",
        roll=50.0,
    )


def solved_visit(
    workdir: Path, later: SimulatedVisit, seed: int, count: int
) -> tuple[SimulatedVisit, Table]:
    """Simulate the visit that is solved, and give the stars that only it sees."""
    scene, table = sky_of(WIDE, seed)
    visit = simulate_visit(
        workdir / "inputs" / f"align-wide-{seed}-{count}",
        scene,
        table,
        WIDE.observations(count),
        seed=seed,
    )
    near = set().union(*(stars_on(later, k, -100.0) for k in range(len(later.exposures))))
    return visit, table[~np.isin(table["source_id"], list(near))]


def relative_to_solved(solved: tuple[SimulatedVisit, Table], later: SimulatedVisit) -> list[Found]:
    """Solve the one, then the other with the first one's release; compare their errors."""
    visit, stars = solved
    first = align(list(map(str, visit.exposures)), refcat=stars)
    second = align(list(map(str, later.exposures)), refcat=(), published=first.release)
    held = mean_offsets(visit, first)
    found = []
    for path, each in zip(later.exposures, second, strict=True):
        offsets = offsets_of(later, path, each.record)
        common = sorted(held.keys() & offsets.keys())
        relative = np.array([offsets[k] - held[k] for k in common])
        found.append(Found(typical(relative), each.placement.error_mas))
    return found


def offsets_of(visit: SimulatedVisit, path: Path, record: ExposureRecord) -> dict[int, Floats]:
    """Tell how far the stars on a solved exposure are from the truth, by their numbers; mas."""
    truth = visit.truth(path)
    names = np.asarray(truth["id"])[on_chips(record, truth)].tolist()
    return dict(zip(names, residuals(record, truth), strict=True))


def mean_offsets(visit: SimulatedVisit, found: Alignment) -> dict[int, Floats]:
    """Tell how far the stars that all exposures see are from the truth, in the mean."""
    each = [
        offsets_of(visit, path, one.record)
        for path, one in zip(visit.exposures, found, strict=True)
    ]
    common = set.intersection(*(set(offsets) for offsets in each))
    return {k: np.mean([offsets[k] for offsets in each], axis=0) for k in sorted(common)}


def within_visits(workdir: Path, visits: int, count: int) -> list[Figure]:
    """Align visits of a hundred stars to themselves alone."""
    rms, stars = [], []
    for seed in range(1, visits + 1):
        visit = make_visit(workdir, "sparse", SPARSE, seed, count=count)
        found = align(list(map(str, visit.exposures)), refcat=())
        mean = mean_offsets(visit, found)
        stars.append(float(np.median([len(each.sources) for each in found])))
        for path, each in zip(visit.exposures, found, strict=True):
            offsets = offsets_of(visit, path, each.record)
            apart = np.array([offsets[k] - mean[k] for k in mean])
            rms.append(float(np.sqrt(np.mean(np.sum(apart**2, axis=1)))))
    return [
        Figure("within a visit: stars", median(stars)),
        Figure("within a visit, from data alone: worst exposure", max(rms), "mas rms", "<=", 0.5),
        Figure("within a visit, from data alone: median", median(rms), "mas rms"),
    ]


PARTS: dict[str, Callable[[Path, int, int], list[Figure]]] = {
    "few": few_stars,
    "none": without_stars,
    "within": within_visits,
}


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac")
    parser.add_argument("--alone", action="store_true", help="without TweakReg")
    parser.add_argument("--visits", type=int, default=8, help="of a quarter of a chip, each kind")
    parser.add_argument("--full", type=int, default=2, help="visits of whole detectors")
    parser.add_argument("--parts", nargs="+", choices=["many", *PARTS], default=["many", *PARTS])
    options = parser.parse_args(argv)
    peer = None if options.alone else find_peer(options.peer_python)
    visits, full, count = (1, 0, 2) if options.quick else (options.visits, options.full, 4)
    figures: list[Figure] = []
    for part in options.parts:
        if part == "many":
            figures += many_stars(options.workdir, peer, visits, full, count)
        else:
            figures += PARTS[part](options.workdir, visits, count)
    show("alignment against the truth", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
