"""Exposures whose telescope moved, and such whose telescope did not: which are set aside?

100 exposures move: they drift by 0.1" to 5", shake by 0.1" to 0.3" (rms on each axis), or lose
their lock and find another 0.2" to 3" away, of all detectors, in fields of 15 to 1000 stars, of
which some are too faint to tell.  100 do not: crowded ones, sparse ones of eight sources, galaxies
alone, saturated stars with spikes and bleeding columns, long exposures full of cosmic rays,
ordinary ones with the focus off, and fields without a source.  None has its cosmic rays flagged.
Positions, brightnesses, rolls and kinds are drawn at random, from a seed.

Asked: 95 of the first set aside, at most 1 of the second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.report import Figure, make_parser, show
from hapdask.astrometry.guiding import Guiding, check_guiding
from hapdask.observe.exposure import open_exposures
from hapdask.simulate import (
    Mode,
    Motion,
    Options,
    Pointing,
    Scene,
    Subarray,
    simulate_exposure,
)

_RA, _DEC = 150.1, 2.2
_SEED = 20260523


@dataclass(frozen=True)
class Setup:
    """How a detector is used: a part of it about the target, for speed."""

    instrument: str
    detector: str
    filter: str
    exptime: float
    half: float  # of the field in arcsec
    bright: float  # magnitudes of stars, from here...
    faint: float  # ...to there
    mode: Mode | None = None
    moved: tuple[float, float] = (0.0, 0.0)  # the target, off the gap between the chips


_PART = Mode(subarray=Subarray(1, 1600, 1000, 800, 800))
SETUPS = (
    Setup("WFC3", "UVIS", "F606W", 500.0, 16.0, 18.5, 25.0, _PART, (0.0, -25.0)),
    Setup("WFC3", "UVIS", "F336W", 800.0, 16.0, 18.5, 24.0, _PART, (0.0, -25.0)),
    Setup("ACS", "WFC", "F814W", 700.0, 20.0, 18.5, 25.0, _PART, (0.0, -35.0)),
    Setup("WFC3", "IR", "F160W", 500.0, 65.0, 18.0, 24.5),
    Setup("WFC3", "IR", "F110W", 300.0, 65.0, 18.0, 24.5),
    Setup("ACS", "HRC", "F606W", 500.0, 13.0, 18.0, 24.0),
    Setup("WFPC2", "PC", "F606W", 500.0, 60.0, 18.0, 24.0),
    Setup("STIS", "CCD", "50CCD", 300.0, 25.0, 19.0, 25.0),
)

#: Numbers of stars and of galaxies, from and to.
FIELDS = {
    "sparse": ((8, 8), (2, 6)),
    "few": ((15, 25), (2, 6)),
    "ordinary": ((30, 120), (5, 25)),
    "crowded": ((500, 1000), (0, 5)),
    "galaxies": ((0, 3), (25, 60)),
    "empty": ((0, 0), (0, 0)),
}
MOVED = ("trail", "trail", "long trail", "jitter", "jump")
STILL = ("crowded", "sparse", "galaxies", "saturated", "cosmic rays", "focus", "ordinary", "empty")


@dataclass(frozen=True)
class Case:
    """One exposure."""

    number: int
    kind: str
    field: str
    setup: Setup
    motion: Motion
    options: Options
    longer: float = 1.0

    @property
    def label(self) -> str:
        """What it is."""
        told = f"{self.setup.detector}/{self.setup.filter}, {self.kind}, {self.field}"
        moved = self.motion
        return f"{self.number}: {told}, {moved.trail:.2f} {moved.jitter:.2f} {moved.jump:.2f}"

    def scene(self) -> Scene:
        """Draw the field."""
        rng = np.random.default_rng([_SEED, self.number, 1])
        stars, galaxies = (int(rng.integers(a, b + 1)) for a, b in FIELDS[self.field])
        side = 2.0 * self.setup.half / 3600.0
        at = rng.uniform(-0.5, 0.5, (2, stars + galaxies)) * side
        ra, dec = _RA + at[0] / np.cos(np.radians(_DEC)), _DEC + at[1]
        bright, faint = self.setup.bright, self.setup.faint
        mag = faint - (faint - bright) * rng.power(1.5, stars)[::-1] ** 1.5
        if self.kind == "saturated":
            mag[: max(3, stars // 6)] = rng.uniform(bright - 4.0, bright - 1.0, max(3, stars // 6))
        scene = Scene.stars(ra[:stars], dec[:stars], mag)
        if not galaxies:
            return scene
        extended = Scene.galaxies(
            ra[stars:], dec[stars:], rng.uniform(bright + 1.5, faint - 1.5, galaxies),
            rng.uniform(0.15, 0.9, galaxies), rng.uniform(0.2, 1.0, galaxies),
            rng.uniform(0.0, 180.0, galaxies),
        )  # fmt: skip
        return scene + extended

    def judge(self, folder: Path) -> Guiding:
        """Simulate and judge."""
        rng = np.random.default_rng([_SEED, self.number, 2])
        setup = self.setup
        pointing = Pointing(_RA, _DEC, float(rng.uniform(0.0, 360.0)), dither=setup.moved)
        exposure = simulate_exposure(
            self.scene(), setup.instrument, setup.detector, setup.filter, pointing,
            setup.exptime * self.longer, seed=self.number, options=self.options, mode=setup.mode,
        )  # fmt: skip
        path = exposure.write(folder)
        (record,) = open_exposures(str(path), strict=True)
        return check_guiding(record)


def moved_case(number: int) -> Case:
    """Draw an exposure that moves."""
    rng = np.random.default_rng([_SEED, number])
    kind = MOVED[number % len(MOVED)]
    angle = float(rng.uniform(0.0, 180.0))
    draw = rng.random()
    motion = {
        "trail": Motion(trail=0.1 * 5.0**draw, angle=angle),
        "long trail": Motion(trail=0.5 * 10.0**draw, angle=angle),
        "jitter": Motion(jitter=0.1 * 3.0**draw),
        "jump": Motion(jump=0.2 * 15.0**draw, angle=2 * angle, share=float(rng.uniform(0.2, 0.8))),
    }[kind]
    setup = SETUPS[int(rng.integers(len(SETUPS)))]
    field = ("few", "ordinary", "ordinary", "crowded")[int(rng.integers(4))]
    options = Options(flag_cosmic_rays=0.0, spikes=True, bleeding=True, motion=motion)
    return Case(number, kind, field, setup, motion, options)


def still_case(number: int) -> Case:
    """Draw an exposure that does not move."""
    rng = np.random.default_rng([_SEED, number])
    kind = STILL[number % len(STILL)]
    options = Options(
        flag_cosmic_rays=0.0, spikes=True, bleeding=True, focus=4.0 if kind == "focus" else 2.0
    )
    setup = SETUPS[int(rng.integers(len(SETUPS)))]
    field = kind if kind in FIELDS else "ordinary"
    longer = 2.5 if kind == "cosmic rays" else 1.0
    return Case(number, kind, field, setup, Motion(), options, longer)


@dataclass
class Tally:
    """What was judged."""

    rates: dict[str, list[bool]]
    wrong: list[str]
    unknown: int = 0
    untold: int = 0

    def add(self, case: Case, found: Guiding, *, moved: bool) -> None:
        """Count one case."""
        for name in (case.kind, f"{case.setup.instrument}/{case.setup.detector}"):
            group = f"{'moved' if moved else 'still'}, {name}"
            self.rates.setdefault(group, []).append(found.trailed)
        self.unknown += moved and found.status == "unknown"
        self.untold += not moved and found.status == "unknown"
        if found.trailed != moved:
            self.wrong.append(f"{case.label}: {found.status}, {found.reason}")

    def figures(self) -> list[Figure]:
        """Tell the rates."""
        made = []
        for moved, sense, asked in (("moved", ">=", 95.0), ("still", "<=", 1.0)):
            mine = {name: each for name, each in self.rates.items() if name.startswith(moved)}
            whole = [one for name, each in mine.items() if "/" not in name for one in each]
            share = 100.0 * float(np.mean(whole))
            made.append(Figure(f"{moved}: set aside, of {len(whole)}", share, "%", sense, asked))
            made += [
                Figure(f"  {name}, of {len(each)}", 100.0 * float(np.mean(each)), "%")
                for name, each in sorted(mine.items())
            ]
        told = (("moved", self.unknown), ("still", self.untold))
        return [*made, *(Figure(f"{kind}: too few stars to tell", float(n)) for kind, n in told)]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    """Judge all cases and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--cases", type=int, default=100, help="of either kind")
    given = parser.parse_args(argv)
    count = 2 if given.quick else given.cases
    tally = Tally({}, [])
    given.workdir.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        for moved, case in ((True, moved_case(number)), (False, still_case(1000 + number))):
            with tempfile.TemporaryDirectory(dir=given.workdir) as folder:
                tally.add(case, case.judge(Path(folder)), moved=moved)
    figures = tally.figures()
    show("Guiding", figures, quick=given.quick)
    if tally.wrong:
        print("judged wrongly:", *tally.wrong, sep="\n  ")
    return figures


if __name__ == "__main__":
    main()
