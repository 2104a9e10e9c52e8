"""`find_references`: ask sources in turn, and tell what each answered.

Strategy: a source's question is answered from the cache, else by the source; its stars are moved
to the exposure's date and cut to the region.  The first source with enough of them ends the
search.  Whatever goes wrong with a source is its `Inquiry`, and the next one is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from hapdask.astrometry.references import caching
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.references.files import FileSource, TableSource
from hapdask.astrometry.references.gsss import CATALOGS, GsssSource
from hapdask.astrometry.references.motion import PM_PRIOR
from hapdask.astrometry.references.partitions import HatsSource, is_hats
from hapdask.astrometry.references.region import Region, bounding_cone
from hapdask.astrometry.references.standard import Answer
from hapdask.astrometry.references.tap import TapSource
from hapdask.errors import HapdaskError, ParameterError
from hapdask.observe import remote

log = logging.getLogger(__name__)

#: How the cache is used: answers from it where it has them; asks anew and keeps that, with the
#: kept answer where the source fails; not at all.
CacheUse = Literal["use", "refresh", "off"]
Status = Literal["found", "few", "empty", "failed", "skipped"]


@runtime_checkable
class Source(Protocol):
    """Anything that has reference stars."""

    @property
    def name(self) -> str:
        """Name of the catalog."""

    @property
    def is_remote(self) -> bool:
        """Whether the network is needed; such answers are kept in the cache."""

    def question(self, region: Region) -> str:
        """Tell, in one line, what is asked for a region."""

    def ask(self, region: Region) -> Answer:
        """Answer with all stars of the region and perhaps more; InputError where that fails."""


@dataclass(frozen=True)
class Inquiry:
    """What became of asking one source.

    Parameters
    ----------
    source : str
        Name of the catalog.
    status : {"found", "few", "empty", "failed", "skipped"}
        ``few``: fewer stars than asked for; ``empty``: none in the region.
    stars : int
        In the region at the date.
    reason : str
        Why the source was not enough; empty where it was found.
    notes : tuple of str
        What was dropped and what was taken for granted.
    question : str
        File or query.
    date : str
        Of the answer, ISO 8601; empty without one.
    cached : bool
        Whether the answer came from the cache.
    """

    source: str
    status: Status
    stars: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()
    question: str = ""
    date: str = ""
    cached: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and tables."""
        return asdict(self) | {"notes": list(self.notes)}


@dataclass(frozen=True)
class KnownStars:
    """A `ReferenceCatalog` that is there already, as a source."""

    stars: ReferenceCatalog

    is_remote = False

    @property
    def name(self) -> str:
        """Name of the catalog."""
        return self.stars.name

    def question(self, region: Region) -> str:
        """Tell where its stars come from."""
        return self.stars.origin

    def ask(self, region: Region) -> Answer:
        """Take the whole catalog."""
        return Answer(self.stars, ())


def find_references(
    sources: object | Sequence[object],
    region: Region,
    mjd: float,
    *,
    minimum: int = 1,
    pm_prior: float = PM_PRIOR,
    cache: CacheUse = "use",
    offline: bool = False,
) -> tuple[ReferenceCatalog | None, tuple[Inquiry, ...]]:
    """Find reference stars for a region of sky at a date.

    Parameters
    ----------
    sources : source, or sequence of them
        In the order of preference; each is a `Source`, or what `source_of` takes.
    region : Cone or Footprint
        With whatever margin the errors of pointing need.
    mjd : float
        To which the stars are moved.
    minimum : int
        Stars that are enough, at least 1.
    pm_prior : float
        Scatter of unknown proper motions, mas / yr.
    cache : {"use", "refresh", "off"}
        Of answers from the network.
    offline : bool
        Ask nothing of the network: files, and what the cache has.

    Returns
    -------
    catalog : ReferenceCatalog or None
        Of the first source with enough stars, moved to the date; ``catalog.at(other)`` starts
        again from the published positions.
    inquiries : tuple of Inquiry
        One for every source up to that one.

    Raises
    ------
    ParameterError
        A name or parameter that means nothing.
    """
    if minimum < 1:
        raise ParameterError(f"minimum = {minimum}: at least one star is asked for")
    if cache not in ("use", "refresh", "off"):
        raise ParameterError(f"cache = {cache!r} is not 'use', 'refresh' or 'off'")
    one_only = isinstance(sources, str) or not isinstance(sources, Sequence)
    wanted: Sequence[object] = [sources] if one_only else sources  # type: ignore[assignment]
    inquiries: list[Inquiry] = []
    for source in [source_of(one) for one in wanted]:
        stars, inquiry = _inquire(source, region, mjd, minimum, pm_prior, cache, offline)
        inquiries.append(inquiry)
        log.info(
            "%s: %s, %d stars %s", inquiry.source, inquiry.status, inquiry.stars, inquiry.reason
        )
        if stars is not None:
            return stars, tuple(inquiries)
    return None, tuple(inquiries)


def source_of(what: object) -> Source:
    """Make a source of what a user names.

    Parameters
    ----------
    what : object
        A source; a `ReferenceCatalog`; the name of a catalog of the GSSS service; ``gaia-tap``;
        a path or address of a file, or of a HATS catalog's folder (remote ones end in ``/``);
        an astropy Table, a DataFrame or a dict of columns.

    Returns
    -------
    Source

    Raises
    ------
    ParameterError
        A string that is nothing of this.

    Examples
    --------
    >>> source_of("gaiaedr3").name
    'GAIAeDR3'
    """
    if isinstance(what, ReferenceCatalog):
        return KnownStars(what)
    if isinstance(what, Source):
        return what
    if not isinstance(what, str | Path):
        return TableSource(what)
    text = str(what)
    if text.upper() in CATALOGS:
        return GsssSource(text)
    if text.lower() == "gaia-tap":
        return TapSource()
    if remote.is_remote(text):
        return HatsSource(text) if text.endswith("/") else FileSource(text)
    if is_hats(text):
        return HatsSource(text)
    if isinstance(what, Path) or Path(text).exists() or "." in text or "/" in text:
        return FileSource(text)
    raise ParameterError(
        f"{text!r} is neither a file nor a known catalog: {', '.join(CATALOGS.values())}, gaia-tap"
    )


def _inquire(
    source: Source,
    region: Region,
    mjd: float,
    minimum: int,
    pm_prior: float,
    cache: CacheUse,
    offline: bool,
) -> tuple[ReferenceCatalog | None, Inquiry]:
    try:
        question = source.question(region)
    except HapdaskError as error:
        return None, Inquiry(source.name, "failed", reason=str(error))
    answer, reason, cached = _answered(source, region, question, cache, offline)
    if answer is None:
        status: Status = "skipped" if offline and source.is_remote else "failed"
        return None, Inquiry(source.name, status, reason=reason, question=question)
    moved = answer.catalog.at(mjd, pm_prior=pm_prior)
    stars = moved.within(region)
    notes = answer.notes + ((f"the answer of the cache, for: {reason}",) if reason else ())

    def told(status: Status, why: str) -> Inquiry:
        name, date = answer.catalog.name, answer.catalog.date
        return Inquiry(name, status, len(stars), why, notes, question, date, cached)

    if not len(stars):
        return None, told("empty", _why_empty(moved, region))
    if len(stars) < minimum:
        return None, told("few", f"{len(stars)} stars in the field, {minimum} are needed")
    return stars, told("found", "")


def _answered(
    source: Source, region: Region, question: str, cache: CacheUse, offline: bool
) -> tuple[Answer | None, str, bool]:
    """Answer, why the source itself gave none, and whether the answer is from the cache."""
    key = caching.key_of(source, question)
    is_kept = source.is_remote and cache != "off"
    if is_kept and (cache == "use" or offline):
        kept = caching.load(key)
        if kept is not None:
            return kept, "", True
    if offline and source.is_remote:
        return None, "offline, and the cache has no answer to this question", False
    try:
        answer = source.ask(region)
    except HapdaskError as error:
        kept = caching.load(key) if is_kept else None
        return kept, str(error), kept is not None
    if is_kept and len(answer.catalog):  # a service in trouble finds nothing, tomorrow it does
        caching.save(key, answer)
    return answer, "", False


def _why_empty(stars: ReferenceCatalog, region: Region) -> str:
    """Say why no star lies in the region, and what the numbers would fit."""
    if not len(stars):
        return "the catalog has no star here"
    cone = bounding_cone(region)
    nearest = float(cone.distance(stars.ra, stars.dec).min())
    told = f"none of its {len(stars)} stars lies in the field; the nearest is {nearest:.3g} deg off"
    for words, turned in _MISREADINGS.items():
        ra, dec = turned(stars.ra, stars.dec)
        if (abs(dec) <= 90.0).all() and cone.contains(ra, dec).any():
            return f"{told}. Its numbers fit if {words}: give columns or units"
    return told


_DEGREES = 57.29577951308232  # of a radian
#: What the numbers of a catalog might be if they are not RA and Dec in degrees.
_MISREADINGS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "RA is in hours": lambda ra, dec: (ra * 15.0, dec),
    "RA and Dec are in radians": lambda ra, dec: (ra * _DEGREES, dec * _DEGREES),
    "RA and Dec are exchanged": lambda ra, dec: (dec, ((ra + 180.0) % 360.0) - 180.0),
}
