"""Whether errors stated of visits years apart are true, while their field's stars drift together.

A visit with reference stars is published; a later one has none, and is tied to it by sources alone.
What they cannot tell, the field's common motion, is told by those reference stars whose motions
are measured.  Lists of sources, no pixels.  A pull is an error over the stated one: rms 1 where
drifts, and the differences of bright and faint stars, are as large as the parameters say, which
nobody can know of one field.  Fields of *given* drift show what is stated of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.joint import pulls, visits
from benchmarks.report import Figure, make_parser, show
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.solving import solve
from tests.helpers.joint_simulation import Field

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Floats]

_P = JointParameters()
#: Years of the later visits.
YEARS = (0.3, 1.0, 5.0, 15.0)
#: Reference stars with motions; with 0, forty that have none.
KNOWN = (0, 5, 200)
_SOURCES = 300
#: Of motions of stars of a catalog such as Gaia's, mas / yr.
_MEASURED = 0.2


def of_length(least: float, most: float) -> Draw:
    """Vectors of such lengths in any direction."""

    def draw(rng: np.random.Generator) -> Floats:
        angle, size = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(least, most)
        return size * np.array([np.cos(angle), np.sin(angle)])

    return draw


def scattered(sigma: float) -> Draw:
    """Vectors of such a scatter per axis."""
    return lambda rng: rng.normal(0.0, sigma, 2)


def cell(drift: Draw, differ: Draw, known: int, runs: int) -> dict[float, tuple[float, float]]:
    """The rms pull and the median stated error, mas, of visits without stars, by their years."""
    found: dict[float, tuple[list[float], list[float]]] = {y: ([], []) for y in YEARS}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        bright = known or 40
        field = Field(rng, n=_SOURCES + bright, common=tuple(drift(rng)))
        rows = np.arange(bright)
        field.pm[rows] += differ(rng)
        stars = field.references(rows, pm_error=_MEASURED if known else np.nan)
        # Those after the first are too deep for the bright stars.
        made, truth = visits(field, (0.0, *YEARS), n=2, unseen=bright)
        first = solve(made[:2], stars).release
        for k, year in enumerate(YEARS, 1):
            new = made[2 * k : 2 * k + 2]
            release = solve([*made[:2], *new], None, published=first).release
            names = [e.name for e in new]
            found[year][0].extend(pulls(release, truth, names))
            found[year][1].extend(release[n].error_mas() for n in names)
    return {y: (_rms(p), float(np.median(s))) for y, (p, s) in found.items()}


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def figures(
    label: str, drift: Draw, differ: Draw, runs: int, *, gated: bool, known: Sequence[int] = KNOWN
) -> list[Figure]:
    """Figures of one kind of fields."""
    made = []
    for count in known:
        for year, (pull, stated) in cell(drift, differ, count, runs).items():
            name = f"{label}, {count} known motions, {year:g} years"
            gates = (("<=", 1.15), (">=", 0.9)) if gated else (("", 0.0),)
            made += [Figure(f"{name}: rms pull", pull, "", *gate) for gate in gates]
            made.append(Figure(f"{name}: stated error", stated, "mas"))
    return made


def main() -> None:
    """Measure all."""
    options = make_parser(__doc__).parse_args()
    runs = 1 if options.quick else 60
    none = scattered(0.0)
    truth = figures(
        "as the parameters say",
        scattered(_P.mean_motion),
        scattered(_P.population_motion),
        runs,
        gated=True,
    )
    show("Fields drawn from what the parameters say", truth, quick=options.quick)
    some = 1 if options.quick else 24
    for drift in (0.0, 3.0, 6.0):
        given = of_length(drift, drift)
        made = figures(f"drift of {drift:g}", given, none, some, gated=False)
        made += figures(
            f"drift of {drift:g}, faint stars 1 to 2 off",
            given,
            of_length(1.0, 2.0),
            some,
            gated=False,
            known=(5, 200),
        )
        show(f"A drift of {drift:g} mas / yr", made, quick=options.quick)


if __name__ == "__main__":
    main()
