"""The kinds of visits that alignment is tried on, each at random: twenty ways to go wrong.

Not here: what is made of them (``alignment_cases``), how stars and exposures are made
(``starfields``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.starfields import Seen, Setting, StarField
from hapdask.astrometry.fitting.lists import places_of_catalog
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import ReferenceCatalog

_UVIS = Setting()
_IR = Setting(side=130.0, pixel=0.13, softness=4.0, sources=150, fixed=5)


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
