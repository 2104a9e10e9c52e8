"""The joint solution against the truth, and its cost: lists of sources, no pixels.

Gates: chi-square per degree of freedom within 0.9 to 1.1 over 50 simulations; a distortion of 2 mas
is covered by the floor; visits without reference stars are within 1 mas of one that they overlap
within a year, and within the stated error five years apart; 1000 exposures of 300 sources in well
under a minute.  A pull is an error over its stated one: 1 rms where errors are true.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure, make_parser, show, wall_and_cpu
from hapdask.astrometry.solution.inputs import ExposureSources
from hapdask.astrometry.solution.parameters import JointParameters
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.solving import solve
from tests.helpers.joint_simulation import Field, header_errors, offsets

Floats = NDArray[np.float64]
Made = tuple[list[ExposureSources], dict[str, Floats]]
Wave = Callable[[Floats, Floats], Floats]

START, YEAR = 57388.0, 365.25
_PARAMETERS = JointParameters()
#: Of the field's stars in common, mas / yr per axis: what `JointParameters.mean_motion` allows for.
_DRIFT = _PARAMETERS.mean_motion
#: Reference stars of a visit that is published.
_REFERENCES = 40
#: Errors of galaxies' places, in those of stars.
_BLUR = 8.0
#: Sources per square arcsec: 300 in the field of UVIS.
_DENSITY = 300 / 160.0**2


def drifting_field(rng: np.random.Generator, **how: object) -> Field:
    """A field whose stars move together, beside their own motions."""
    return Field(rng, common=tuple(rng.normal(0.0, _DRIFT, 2)), **how)


def visits(
    field: Field,
    years: Sequence[float],
    *,
    n: int = 3,
    places: Sequence[tuple[float, float]] = (),
    wave: Wave | None = None,
    unseen: int = 0,
) -> Made:
    """Visits at so many years, their exposures within 15 arcsec of a place.

    All but the first do not see so many stars, the first of the field.
    """
    rng, made, truth = field.rng, [], {}
    for v, year in enumerate(years):
        x, y = places[v] if places else (0.0, 0.0)
        for k, theta in enumerate(header_errors(rng, n, _PARAMETERS)):
            name, mjd = f"v{v:04d}a{k}", START + year * YEAR + 0.02 * k
            at = (x + rng.uniform(-15, 15), y + rng.uniform(-15, 15))
            how = {"offset": at, "theta": theta, "distortion": wave, "visit": name[:5]}
            e, rows = field.exposure(name, mjd, **how)
            seen = (rows >= unseen) | (v == 0)
            columns = {c: getattr(e, c)[seen] for c in ("xi", "eta", "error", "galaxy")}
            made.append(replace(e, **columns))
            truth[name] = theta
    return made, truth


def shifts(release: Release, truth: Mapping[str, Floats], names: Sequence[str]) -> Floats:
    """Errors of the shifts, mas, shape (names, 2)."""
    return np.array([np.array(release[n].parameters[:2]) - truth[n][:2] for n in names])


def pulls(release: Release, truth: Mapping[str, Floats], names: Sequence[str]) -> list[float]:
    """Errors of the shifts over the stated statistical ones."""
    stated = np.array([[release[n].error_mas()] for n in names])
    return list((shifts(release, truth, names) / stated).ravel())


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def statistics(runs: int) -> list[Figure]:
    """Whether stated errors are true, with reference stars."""
    square = freedom = fit = fit_freedom = 0.0
    for seed in range(runs):
        field = drifting_field(np.random.default_rng(seed), n=60)
        made, truth = visits(field, (0.0, 4.0), n=2)
        release = solve(made, field.references(np.arange(15))).release
        for name, theta in truth.items():
            a, b = offsets(theta, release[name])
            square, freedom = square + a, freedom + b
        fit, fit_freedom = fit + release.chi_square, fit_freedom + release.freedom
    fitted, true = fit / fit_freedom, square / freedom
    return [
        Figure("residuals: chi-square per degree of freedom, at least", fitted, "", ">=", 0.9),
        Figure("residuals: chi-square per degree of freedom, at most", fitted, "", "<=", 1.1),
        Figure("corrections: chi-square by the truth, at least", true, "", ">=", 0.9),
        Figure("corrections: chi-square by the truth, at most", true, "", "<=", 1.1),
    ]


def _wave(rng: np.random.Generator) -> Wave:
    """A distortion of 2 mas rms per axis."""
    a, b = rng.uniform(0, 2 * np.pi, 2)

    def at(xi: Floats, eta: Floats) -> Floats:
        return 2.0 * np.sqrt(2.0) * np.stack([np.sin(xi / 25.0 + a), np.cos(eta / 30.0 + b)])

    return at


def _waves(rng: np.random.Generator) -> Wave:
    """Another such distortion at each call."""
    return lambda xi, eta: _wave(rng)(xi, eta)


def distortions(runs: int) -> list[Figure]:
    """What 2 mas of distortion do: of each exposure its own, or of the detector."""
    found = []
    for label, common in (("of each exposure its own", False), ("of the detector", True)):
        within: list[bool] = []
        off: list[float] = []
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            field = drifting_field(rng, n=200)
            wave = _wave(rng) if common else _waves(rng)
            made, truth = visits(field, (0.0, 2.0), wave=wave)
            release = solve(made, field.references(np.arange(40))).release
            for name in truth:
                error = np.abs(shifts(release, truth, [name])[0])
                within += (error < release[name].total_error_mas()).tolist()
                off += error.tolist()
        share = float(np.mean(within))
        found.append(Figure(f"2 mas {label}: shifts within the error", share, "", ">=", 0.68))
        found.append(Figure(f"2 mas {label}: rms error of shifts", _rms(off), "mas"))
    return found


def _beside_published(
    field: Field, year: float, *, again: bool = True
) -> tuple[Floats, list[float]]:
    """Errors of a visit so many years after a published one, largest axis, and its pulls.

    The published one has forty reference stars, which the later one sees ``again``, or not.
    """
    made, truth = visits(field, (0.0, year), unseen=0 if again else _REFERENCES)
    first = solve(made[:3], field.references(np.arange(_REFERENCES))).release
    release = solve(made, None, published=first).release
    names = [e.name for e in made[3:]]
    return np.abs(shifts(release, truth, names)).max(axis=1), pulls(release, truth, names)


def _chain(field: Field) -> list[float]:
    """Pulls of the last visits of a row, the first of which alone has reference stars."""
    places = ((-150.0, 0.0), (-50.0, 0.0), (50.0, 0.0), (150.0, 0.0))
    made, truth = visits(field, (0.0, 0.3, 0.1, 0.5), places=places)
    west = np.flatnonzero(field.offsets()[0] < -150.0)[:30]
    release = solve(made, field.references(west)).release
    return pulls(release, truth, [e.name for e in made[6:]])


#: Of fields: a name, how to make one, and whether the reference stars are seen again.
_KINDS = (
    ("at rest", Field, True),
    ("drifting", drifting_field, True),
    ("at rest, those of the release not seen again", Field, False),
    ("drifting, those of the release not seen again", drifting_field, False),
)


def without_stars(runs: int) -> list[Figure]:
    """Visits without reference stars, held to one that is published or tied through others."""
    found = []
    for year in (0.3, 1.0, 5.0):
        for label, make, again in _KINDS:
            both = [
                _beside_published(make(np.random.default_rng(k), n=150), year, again=again)
                for k in range(runs)
            ]
            error = float(np.median(np.concatenate([e for e, _ in both])))
            gate = ("<=", 1.0) if year <= 1.0 and again else ("", 0.0)
            name = f"{year:g} years, no star, a field {label}"
            found.append(Figure(f"{name}: median error", error, "mas", *gate))
            pull = _rms([p for _, own in both for p in own])
            found.append(Figure(f"{name}: rms pull", pull, "", "<=", 1.3))
    chained = []
    for k in range(runs):
        chained += _chain(drifting_field(np.random.default_rng(1000 + k), n=1200, half=250.0))
    return [
        *found,
        Figure("tied through other visits alone: rms pull", _rms(chained), "", "<=", 1.3),
    ]


def galaxies(runs: int) -> list[Figure]:
    """What a dozen galaxies or so tell where no star's motion is known: told from stars, or not."""
    found = []
    for year in (1.0, 5.0, 15.0):
        for label, told in (("not told", False), ("told", True)):
            error, stated, pull = [], [], []
            for seed in range(runs):
                how = {"n": 150, "galaxies": 0.1, "blur": _BLUR}
                field = drifting_field(np.random.default_rng(seed), **how)
                made, truth = visits(field, (0.0, year))
                made = made if told else [replace(e, galaxy=None) for e in made]
                stars = field.references(
                    np.flatnonzero(~field.galaxy)[:_REFERENCES], pm_error=np.nan
                )
                first = solve(made[:3], stars).release
                release = solve(made, None, published=first).release
                names = [e.name for e in made[3:]]
                error += np.abs(shifts(release, truth, names)).max(axis=1).tolist()
                stated += [release[n].error_mas() for n in names]
                pull += pulls(release, truth, names)
            name = f"{year:g} years, a tenth galaxies, {label}"
            found.append(Figure(f"{name}: median error", float(np.median(error)), "mas"))
            found.append(Figure(f"{name}: stated error", float(np.median(stated)), "mas"))
            found.append(Figure(f"{name}: rms pull", _rms(pull), "", "<=", 1.3))
    return found


def region(exposures: int, half: float) -> tuple[list[ExposureSources], object]:
    """Visits of four over ten years, spread over a square of so many arcsec to each side."""
    rng = np.random.default_rng(0)
    field = Field(rng, n=int((2 * half) ** 2 * _DENSITY), half=half)
    count = exposures // 4
    places = rng.uniform(80.0 - half, half - 80.0, (count, 2)).tolist()
    made, _ = visits(field, rng.uniform(-5, 5, count).tolist(), n=4, places=places)
    return made, field.references(np.flatnonzero(rng.random(len(field.ra)) < 0.05))


def cost(exposures: int) -> list[Figure]:
    """Wall and CPU time, and the peak of memory, of solving many."""
    found = []
    for label, half in (("wide", 1200.0), ("deep", 150.0)):
        made, stars = region(exposures, half)
        wall, cpu = wall_and_cpu(lambda made=made, stars=stars: solve(made, stars))
        name = f"{label}: {len(made)} exposures, {sum(map(len, made))} detections"
        found.append(Figure(f"{name}: wall", wall, "s", "<=", 40.0))
        found.append(Figure(f"{name}: CPU", cpu, "s"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return [*found, Figure("peak memory of the process", peak, "MiB", "<=", 2048.0)]


def main() -> None:
    """Measure all."""
    options = make_parser(__doc__).parse_args()
    quick = options.quick
    show("Stated errors", statistics(4 if quick else 50), quick=quick)
    show("Distortion that is not modelled", distortions(1 if quick else 12), quick=quick)
    show("No reference stars", without_stars(1 if quick else 24), quick=quick)
    show("Galaxies, and no known motion", galaxies(1 if quick else 24), quick=quick)
    show("Cost", cost(40 if quick else 1000), quick=quick)


if __name__ == "__main__":
    main()
