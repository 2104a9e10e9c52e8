"""Alignment of randomised visits from lists of stars: is anything wrong ever accepted?

Gates: in 200 cases no wrong solution is accepted (one whose true residual is more than five stated
errors with the detector's floor), and none worse than the header that it replaces; each refusal
says why.  The true residual over the stated error is 1 at 68 % and 2 at 95 % where errors are true.
Figures of several seeds are of all their cases together; ``--seeds 3`` takes three times 200.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure, make_parser, show
from benchmarks.starfields import Seen
from benchmarks.visit_kinds import KINDS, Case
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.refine import refine
from hapdask.astrometry.fitting.visit import align_visit
from hapdask.astrometry.matching.places import Places
from hapdask.config.alignment import AlignmentParameters, load_alignment
from hapdask.observe.distortion import Correction

_CASES = 200
#: Errors beyond which a solution is wrong, and the least that is called so, mas.
_WRONG, _LEAST = 5.0, 1.0


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
