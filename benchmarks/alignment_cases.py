"""Alignment of randomised visits from lists of stars: is anything wrong ever accepted?

Gates: in 200 cases no wrong solution is accepted (one whose true residual is more than five stated
errors with the detector's floor), and none worse than the header that it replaces; each refusal
says why.  The true residual over the stated error is 1 at 68 % and 2 at 95 % where errors are true.
Figures of several seeds are of all their cases together; ``--seeds 3`` takes three times 200.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure, make_parser, show
from benchmarks.starfields import Seen, Setting, StarField
from hapdask.astrometry.fitting.lists import places_of_catalog
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.refine import refine
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.config.alignment import AlignmentParameters, load_alignment
from hapdask.observe.distortion import Correction

_CASES = 200
_UVIS = Setting()
_IR = Setting(side=130.0, pixel=0.13, softness=4.0, sources=150, fixed=5)
#: Errors beyond which a solution is wrong, and the least that is called so, mas.
_WRONG, _LEAST = 5.0, 1.0


@dataclass(frozen=True, eq=False)
class Case:
    """A visit, its catalogs, and what must not happen.

    Attributes
    ----------
    kind : str
    seen : list of Seen
    catalogs : list of Places
        At the date of the visit.
    stars : ReferenceCatalog or None
        As published, for the joint solution; None leaves that out.
    mjd : float
    detector : tuple of str
    hopeless : frozenset of int
        Exposures that nothing can tie to these catalogs: to do so is wrong.
    """

    kind: str
    seen: list[Seen]
    catalogs: list[Places]
    stars: ReferenceCatalog | None = None
    mjd: float = 0.0
    detector: tuple[str, str] = ("wfc3", "uvis")
    hopeless: frozenset[int] = frozenset()


@dataclass
class Tally:
    """What was found of all exposures of all cases."""

    cases: int = 0
    status: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    pulls: list[float] = field(default_factory=list)
    kept_pulls: list[float] = field(default_factory=list)

    def take(self, label: str, case: Case, placements: Sequence[Placement]) -> None:
        """Judge the placements of a case by the truth."""
        self.cases += 1
        rules = _rules(case, "default")
        counts = self.by_kind.setdefault(case.kind, Counter())
        for k, (seen, placed) in enumerate(zip(case.seen, placements, strict=True)):
            how = f"{placed.status} by {placed.method}" if placed.method else placed.status
            self.status[placed.status] += 1
            counts[how] += 1
            name = f"{label} {case.kind} {placed.exposure}"
            if not placed.reason:
                self.silent.append(name)
            self.refused.update(
                f"joint: {_short(a.reason)}"
                for a in placed.attempts
                if a.method == "joint" and not a.accepted
            )
            if placed.status in ("aligned", "confirmed"):
                self._tied(name, k in case.hopeless, rules, seen, placed)
            else:
                self.reasons[_short(placed.reason)] += 1
        self._together(label, case, placements, rules)

    def _tied(
        self, name: str, hopeless: bool, rules: AlignmentParameters, seen: Seen, placed: Placement
    ) -> None:
        after, before = (_rms(seen.off(c)) for c in (placed.correction, None))
        stated = math.hypot(placed.error_mas, math.sqrt(2.0) * rules.floor)
        told = f"{name}: {before:.2f} to {after:.2f} mas, stated {stated:.2f}, {placed.reason}"
        if hopeless or after > max(_WRONG * stated, _LEAST):
            self.wrong.append(told)
        if placed.status == "aligned":
            self.after.append(after)
            self.pulls.append(after / placed.error_mas)
            if after > before:
                self.worse.append(told)
        else:
            self.kept_pulls.append(after / placed.error_mas)

    def _together(
        self,
        label: str,
        case: Case,
        placements: Sequence[Placement],
        rules: AlignmentParameters,
    ) -> None:
        """Exposures aligned to each other alone must agree better than their headers."""
        named = {p.exposure: k for k, p in enumerate(placements)}
        for k, placed in enumerate(placements):
            first = named.get(placed.reference, k)
            if placed.status != "relative" or first == k:
                continue
            after, before = (
                _rms(_beside(case.seen[k], a, case.seen[first], b))
                for a, b in ((placed.correction, placements[first].correction), (None, None))
            )
            stated = math.hypot(placed.relative_mas, rules.floor)
            if after > max(before, _WRONG * stated):
                self.apart.append(
                    f"{label} {case.kind} {placed.exposure}: {before:.2f}, {after:.2f}"
                )

    def figures(self) -> list[Figure]:
        """Figures beside the gates."""
        tied = self.status["aligned"] + self.status["confirmed"]
        return [
            Figure("cases", self.cases),
            Figure("exposures", sum(self.status.values())),
            Figure("tied to a catalog", tied, note=_listed(self.status)),
            Figure("wrong solutions accepted", len(self.wrong), "", "==", 0.0),
            Figure("worse than the header replaced", len(self.worse), "", "==", 0.0),
            Figure("apart after relative alignment", len(self.apart), "", "==", 0.0),
            Figure("without a reason", len(self.silent), "", "==", 0.0),
            Figure("median true residual of aligned", _at(self.after, 50), "mas"),
            Figure("true over stated error, 68 %", _at(self.pulls, 68), "", "<=", 1.15),
            Figure("true over stated error, 95 %", _at(self.pulls, 95), "", "<=", 2.2),
            *self._kept(),
        ]

    def _kept(self) -> list[Figure]:
        if not self.kept_pulls:
            return []
        return [
            Figure("of headers kept, 68 %", _at(self.kept_pulls, 68)),
            Figure("of headers kept, 95 %", _at(self.kept_pulls, 95), "", "<=", 2.2),
        ]


def run(
    seeds: Sequence[int],
    cases: int,
    *,
    preset: str = "default",
    kinds: Sequence[str] | None = None,
    joint: bool = False,
) -> Tally:
    """Align so many random cases of each seed.

    Parameters
    ----------
    seeds : sequence of int
    cases : int
        Of each seed; the kinds take turns.
    preset : {"default", "compat"}
    kinds : sequence of str, optional
    joint : bool
        Whether the joint solution follows.
    """
    tally = Tally()
    names = list(kinds or KINDS)
    for seed in seeds:
        for number in range(cases):
            rng = np.random.default_rng([seed, number])
            case = KINDS[names[number % len(names)]](names[number % len(names)], rng)
            placements = aligned(case, _rules(case, preset), joint=joint)
            tally.take(f"{seed}/{number}", case, placements)
    return tally


def aligned(case: Case, rules: AlignmentParameters, *, joint: bool) -> Sequence[Placement]:
    """Align a case, with or without the joint solution."""
    placements = align_visit(
        [s.places for s in case.seen],
        case.catalogs,
        rules,
        outlines=[s.outline for s in case.seen],
    )
    if not joint or case.stars is None:
        return placements
    members = [s.as_input(p, case.mjd) for s, p in zip(case.seen, placements, strict=True)]
    return refine(members, case.stars, rules).placements


def _rules(case: Case, preset: str) -> AlignmentParameters:
    return load_alignment(*case.detector, preset=preset)[0]


# The kinds of cases


def _somewhere(rng: np.random.Generator, setting: Setting, **changes: object) -> Setting:
    """Vary a setting: place, date, number of exposures, size of the headers' errors."""
    centers = (
        (float(rng.uniform(0, 360)), float(rng.uniform(-80, 80))),
        (0.0, float(rng.uniform(-60, 60))),
        (float(rng.uniform(0, 360)), float(rng.choice([-1, 1])) * float(90 - rng.uniform(0, 0.02))),
    )
    drawn = {
        "center": centers[int(rng.integers(3))],
        "exposures": int(rng.integers(1, 5)),
        "years": float(rng.choice([-15.0, -8.0, 0.0, 8.0, 15.0])),
        "shift": float(rng.choice([0.3, 1.0, 3.0])),
        "known_motion": bool(rng.uniform() < 0.7),
    }
    return replace(setting, **(drawn | changes))  # type: ignore[arg-type]


def _at_visit(sky: StarField) -> Places:
    return places_of_catalog(sky.catalog().at(sky.mjd))


def _case(
    kind: str,
    sky: StarField,
    seen: list[Seen],
    detector: str = "uvis",
    hopeless: Iterable[int] = (),
) -> Case:
    stars = sky.catalog()
    catalogs = [places_of_catalog(stars.at(sky.mjd))]
    return Case(kind, seen, catalogs, stars, sky.mjd, ("wfc3", detector), frozenset(hopeless))


def _plain(setting: Setting, detector: str = "uvis", **changes: object) -> Callable[..., Case]:
    """A visit of a star field, with its catalog."""

    def make(kind: str, rng: np.random.Generator) -> Case:
        sky = StarField(rng, _somewhere(rng, setting, **changes))
        return _case(kind, sky, sky.visit(), detector)

    return make


def _few(setting: Setting, detector: str, sources: tuple[int, int]) -> Callable[..., Case]:
    """Few sources, and a catalog that has a random part of them."""

    def make(kind: str, rng: np.random.Generator) -> Case:
        count = int(rng.integers(*sources))
        drawn = {"sources": count, "references": int(rng.integers(2, 4 * count + 1))}
        some = _somewhere(rng, setting, fixed=int(rng.integers(0, 4)), **drawn)
        sky = StarField(rng, some)
        return _case(kind, sky, sky.visit(), detector)

    return make


def _blank(kind: str, rng: np.random.Generator) -> Case:
    """One exposure, or all, without any source."""
    sky = StarField(rng, _somewhere(rng, _UVIS))
    seen = sky.visit()
    empty = range(len(seen)) if rng.uniform() < 0.3 else [int(rng.integers(len(seen)))]
    for k in empty:
        seen[k] = replace(seen[k], places=seen[k].places.take(slice(0, 0)))
    return _case(kind, sky, seen, hopeless=empty)


def _noise(kind: str, rng: np.random.Generator) -> Case:
    """Cosmic rays and hot pixels alone, many, and a rich catalog."""
    sky = StarField(rng, _somewhere(rng, _UVIS, sources=1000, spurious=1.0, references=2000))
    seen = sky.visit()
    for k, each in enumerate(seen):
        bad = each.places.take(slice(len(each.places) - 1000, None))
        seen[k] = replace(each, places=bad)
    return _case(kind, sky, seen, hopeless=range(len(seen)))


def _elsewhere(kind: str, rng: np.random.Generator) -> Case:
    """A catalog of other stars, beside the exposures or all over them."""
    setting = _somewhere(rng, _UVIS)
    sky, other = StarField(rng, setting), StarField(rng, replace(setting, references=1200))
    seen, catalog = sky.visit(), _at_visit(other)
    if rng.uniform() < 0.5:
        catalog = replace(catalog, dec=np.clip(catalog.dec - 0.2, -90, 90))
    return Case(kind, seen, [catalog], hopeless=frozenset(range(len(seen))))


def _units(kind: str, rng: np.random.Generator) -> Case:
    """Right ascensions in hours, or all in radians, or with NaN."""
    sky = StarField(rng, _somewhere(rng, _UVIS, center=(float(rng.uniform(20, 340)), 20.0)))
    seen, c = sky.visit(), _at_visit(sky)
    way = int(rng.integers(3))
    ra, dec = [(c.ra / 15.0, c.dec), (np.radians(c.ra), np.radians(c.dec)), (c.ra, c.dec)][way]
    if way == 2:
        ra = np.where(rng.uniform(size=len(ra)) < 0.3, np.nan, ra)
    catalog = Places.make(c.name, ra, dec, (c.ra_error, c.dec_error), mag=c.mag)
    return Case(kind, seen, [catalog], hopeless=frozenset(range(len(seen)) if way < 2 else ()))


def _degree(kind: str, rng: np.random.Generator) -> Case:
    """One exposure's header, or all, wrong by a degree."""
    sky = StarField(rng, _somewhere(rng, _UVIS))
    far = StarField(rng, replace(sky.setting, shift=3600.0))
    seen = sky.visit()
    lost = range(len(seen)) if rng.uniform() < 0.5 else [int(rng.integers(len(seen)))]
    sky.matrix, sky.shift = far.matrix, far.shift
    strayed = sky.visit()
    for k in lost:
        seen[k] = strayed[k]
    return _case(kind, sky, seen, hopeless=lost)


def _targets(kind: str, rng: np.random.Generator) -> Case:
    """Two targets in a visit; the catalog of one, or of both."""
    setting = _somewhere(rng, _UVIS, exposures=2)
    a = StarField(rng, setting)
    b = StarField(rng, replace(setting, center=(float(rng.uniform(0, 360)), 30.0)))
    seen, both = [*a.visit("a"), *b.visit("b")], rng.uniform() < 0.5
    one, two = _at_visit(a), _at_visit(b)
    catalog = Places.joined("catalog", [one, two] if both else [one])
    return Case(kind, seen, [catalog], hopeless=frozenset(() if both else (2, 3)))


def _good_header(kind: str, rng: np.random.Generator) -> Case:
    """Headers right to some mas, and references that may be worse."""
    shift = float(10 ** rng.uniform(-3.3, -1.3))
    worse = _somewhere(rng, _UVIS if rng.uniform() < 0.5 else _IR, shift=shift, jitter=0.3 * shift)
    worse = replace(worse, rotation=2e-4, references=int(rng.integers(20, 300)))
    sky = StarField(rng, worse)
    detector = "uvis" if worse.side == _UVIS.side else "ir"
    return _case(kind, sky, sky.visit(), detector)


KINDS: dict[str, Callable[..., Case]] = {
    "usual": _plain(_UVIS),
    "no motions known": _plain(_UVIS, known_motion=False, years=15.0),
    "infrared": _plain(_IR, "ir"),
    "infrared, few stars": _few(_IR, "ir", (10, 30)),
    "sparse": _few(_UVIS, "uvis", (5, 12)),
    "few": _few(_UVIS, "uvis", (12, 60)),
    "crowded": _plain(_UVIS, sources=5000, references=1500, exposures=2),
    "cosmic rays": _plain(_UVIS, spurious=1.0),
    "lost in cosmic rays": _few(replace(_UVIS, spurious=10.0), "uvis", (10, 60)),
    "noise alone": _noise,
    "doubled references": _plain(_UVIS, doubled=0.3),
    "false references": _plain(_UVIS, false=1.0),
    "without a source": _blank,
    "another catalog": _elsewhere,
    "wrong units": _units,
    "wrong by a degree": _degree,
    "two targets": _targets,
    "a good header": _good_header,
    "rolled, far off": _plain(_UVIS, rotation=0.05, shift=12.0),
    "long visit": _plain(_UVIS, exposures=10, dither=40.0, sources=150),
}


def _beside(
    one: Seen, a: Correction | None, other: Seen, b: Correction | None
) -> NDArray[np.float64]:
    """How far an exposure lies from the system of another, whatever that is turned by, mas."""
    center = float(other.truth[0][12]), float(other.truth[1][12])
    here, there = (Places.make("", *s.truth, 0.0).in_plane(center).xy for s in (one, other))
    ones = np.ones((len(there), 1))
    linear, *_ = np.linalg.lstsq(np.hstack([there, ones]), other.off(b), rcond=None)
    return one.off(a) - np.hstack([here, ones]) @ linear


def _rms(off: NDArray[np.float64]) -> float:
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def _at(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else math.nan


def _short(reason: str) -> str:
    """A reason without its figures."""
    words = [
        w for w in reason.replace(";", ":").split(":")[0].split() if not any(map(str.isdigit, w))
    ]
    return " ".join(words)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    """Print the figures, then what went wrong, kinds and reasons."""
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="times 200 cases")
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--preset", default="default", choices=("default", "compat"))
    parser.add_argument("--joint", action="store_true", help="with the joint solution")
    parser.add_argument("--kind", nargs="*", help="of the cases; all if not given")
    options = parser.parse_args(argv)
    seeds = (
        [options.first] if options.quick else range(options.first, options.first + options.seeds)
    )
    cases = 20 if options.quick else _CASES
    tally = run(list(seeds), cases, preset=options.preset, kinds=options.kind, joint=options.joint)
    figures = tally.figures()
    show("Alignment of randomised visits", figures, quick=options.quick)
    for title in ("wrong", "worse", "apart", "silent"):
        for line in getattr(tally, title):
            print(f"{title}: {line}")
    for kind, counts in tally.by_kind.items():
        print(f"{kind:<24} {_listed(counts)}")
    for reason, count in (tally.reasons + tally.refused).most_common():
        print(f"{count:>5} {reason}")
    return figures


if __name__ == "__main__":
    main()
