"""Reference stars for the fields of an alignment: whom to ask, and what each answered.

Sources are asked one after the other, and only while exposures are without a tie.  Not here: the
sources (`hapdask.astrometry.references`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as declare
from typing import Any

import numpy as np

from hapdask.astrometry.fitting.lists import places_of_catalog
from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import UNITS, ReferenceCatalog
from hapdask.astrometry.references.finding import (
    CacheUse,
    Inquiry,
    KnownStars,
    Source,
    find_references,
)
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.solved_sources import stars_of_release
from hapdask.config.alignment import AlignmentParameters
from hapdask.recipes.alignment.fields import Field
from hapdask.recipes.alignment.outages import Outages
from hapdask.recipes.reporting import Listener, Step, silence

#: Added to the search radius: turned and moved exposures reach so much farther, arcsec.
_SLACK = 10.0
#: Sources of a release nearer to a star of a catalog than this are the same, degrees.
_SAME = 0.15 / 3600.0
#: Name of the sources of other fields of a run, where they serve as a catalog: they tie a field by
#: being seen in it, so that in the joint solution they are no reference stars.
SOLVED = "SOLVED"


@dataclass(frozen=True, kw_only=True)
class Library:
    """Where reference stars come from, and which of them are taken.

    Attributes
    ----------
    sources : tuple of Source
        In order.
    minimum : int
        Stars of a field that are enough.
    radius : float, arcsec
        How far headers may be wrong.
    faintest, brightest : float or None, mag
        Limits of the stars' magnitudes.
    most : int
        The brightest so many; 0 for all.
    cache : {"use", "refresh", "off"}
    offline : bool
    outages : Outages
        Services that have failed in this run: they are not waited for by every visit.
    progress : callable
        Told when a service is asked: it may take minutes.
    """

    sources: tuple[Source, ...]
    minimum: int
    radius: float
    faintest: float | None = None
    brightest: float | None = None
    most: int = 0
    cache: CacheUse = "use"
    offline: bool = False
    outages: Outages = declare(default_factory=Outages, compare=False)
    progress: Listener = declare(default=silence, compare=False)

    def needing(self, rules: AlignmentParameters) -> Library:
        """Ask for as many stars, as far around, as a detector's rules need."""
        minimum = min(rules.least(geometry) for geometry in rules.geometries)
        return replace(self, minimum=minimum, radius=rules.searchrad)

    def then(self, other: Library | None) -> Library:
        """Ask the sources of another one last."""
        return self if other is None else replace(self, sources=(*self.sources, *other.sources))

    def chosen(self, stars: ReferenceCatalog) -> ReferenceCatalog:
        """Leave out the stars that the limits exclude."""
        keep = np.ones(len(stars), bool)
        if self.faintest is not None:
            keep &= stars.mag <= self.faintest
        if self.brightest is not None:
            keep &= stars.mag >= self.brightest
        stars = stars.take(keep) if not keep.all() else stars
        return stars.brightest(self.most) if self.most else stars


@dataclass
class Desk:
    """Asks for one field, and keeps what was answered.

    Attributes
    ----------
    field : Field
    library : Library
    inquiries : list of Inquiry
        Of all sources that were asked so far.
    catalogs : dict of str to ReferenceCatalog
        Drawn so far, by name, at the date of the field.
    """

    field: Field
    library: Library
    inquiries: list[Inquiry] = declare(default_factory=list)
    catalogs: dict[str, ReferenceCatalog] = declare(default_factory=dict)

    def draw(self) -> Iterator[Places]:
        """Give the stars of one source after the other; a source is asked no sooner."""
        library = self.library
        cone = self.field.cone(library.radius + _SLACK)
        for source in library.sources:
            down = source.is_remote and library.outages.is_down(source.name)
            if source.is_remote and not library.offline:
                library.progress(Step(f"stars of {source.name}", 0, 1, "questions"))
            stars, told = find_references(
                source,
                cone,
                self.field.mjd,
                minimum=library.minimum,
                cache=library.cache,
                offline=library.offline or down,
            )
            if down and not library.offline and told[-1].status == "skipped":
                why = "it has failed for other visits of this run"
                told = (Inquiry(source.name, "failed", reason=why),)
            if source.is_remote and not library.offline:
                library.progress(Step(f"stars of {source.name}", 1, 1, "questions"))
            self.inquiries += told
            if not down and source.is_remote and told[-1].status == "failed":
                library.outages.note(source.name)
            if stars is None:
                continue
            chosen = library.chosen(stars)
            if len(chosen):
                self.catalogs.setdefault(chosen.name, chosen)
                yield places_of_catalog(chosen)

    @property
    def why_none(self) -> str:
        """Why no catalog could be drawn; empty where one was."""
        if self.catalogs:
            return ""
        sources: dict[str, list[str]] = defaultdict(list)
        for i in self.inquiries:  # the question is long, and told beside the reason
            sources[i.reason.removeprefix(f"{i.question}: ") or i.status].append(i.source)
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in sources.items())
        return f"no reference catalog ({told})" if told else "no reference catalog was given"


def joined(catalogs: Sequence[ReferenceCatalog]) -> ReferenceCatalog | None:
    """Put catalogs together as they were published, each star once; None where there is none.

    A star that an earlier catalog has is not taken from one of another name.
    """
    published: list[ReferenceCatalog] = []
    for each in (c.published or c for c in catalogs if len(c)):
        found: ReferenceCatalog | None = each
        for before in published:
            if before.name != each.name and found is not None:
                found = without_those_of(found, before)
        if found is not None and len(found):
            published.append(found)
    if not published:
        return None
    columns = {key: np.concatenate([getattr(c, key) for c in published]) for key in UNITS}
    ids = np.concatenate([c.ids for c in published])
    places = np.stack([columns["ra"], columns["dec"], columns["epoch"]], axis=1).round(9)
    first = np.sort(np.unique(places, axis=0, return_index=True)[1])
    names = "+".join(dict.fromkeys(c.name for c in published))
    origins = "; ".join(dict.fromkeys(c.origin for c in published))
    chosen: dict[str, Any] = {key: values[first] for key, values in columns.items()}
    return ReferenceCatalog.of(**chosen, ids=ids[first], name=names, origin=origins)


def library_of_release(release: Release | None, like: Library | None) -> Library | None:
    """Make a library of the sources of a release alone; None where it has none.

    With ``like``, whose limits it takes, they are the sources of this very run: `SOLVED`.
    """
    stars = stars_of_release(release, "" if like is None else SOLVED)
    if stars is None:
        return None
    sources: tuple[Source, ...] = (KnownStars(stars),)
    return (
        Library(sources=sources, minimum=1, radius=0.0)
        if like is None
        else replace(like, sources=sources, faintest=None, brightest=None, most=0)
    )


def without_those_of(
    catalog: ReferenceCatalog | None, other: ReferenceCatalog | None
) -> ReferenceCatalog | None:
    """Leave out the stars that another catalog has."""
    if catalog is None or other is None or not len(other):
        return catalog
    from scipy.spatial import cKDTree

    from hapdask.sky.tangent import unit_vectors

    tree = cKDTree(unit_vectors(other.ra, other.dec))
    near, _ = tree.query(unit_vectors(catalog.ra, catalog.dec))
    return catalog.take(np.asarray(near > np.radians(_SAME)))
