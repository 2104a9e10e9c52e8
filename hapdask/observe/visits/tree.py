"""The product tree of a visit: visit, detector, filter, exposures; names only, pure data.

Exposures stand in HAP's order: by exposure time, then by sensitivity (PHOTFLAM, descending); it
decides the order of detectors and filters too.  Not here: which exposures enter
(`hapdask.observe.selection`), file names (`hapdask.products.svm.names`), pixels.

Source: facts of HAP's ``poller_utils``.  Not followed: upstream marks the first exposure of every
filter as one to be cleaned by itself, for it asks before the others are known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hapdask.errors import StoreError
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.roles import role_of

#: Suffix of the inputs: corrected for charge-transfer efficiency, or not.
InputSuffix = Literal["flc", "flt"]


@dataclass(frozen=True, slots=True)
class FilterProduct:
    """The exposures of one filter.

    Attributes
    ----------
    filter : str
        HAP name.
    exposures : tuple of str
        Names of the members, in order; where some exposures are FLC, those alone.
    singleton : bool
        Whether there is but one member: no other can tell its cosmic rays.
    drizzled : bool
        False for ramps and quads, which are aligned and not drizzled.
    suffix : {"flc", "flt"}
        Of the members.
    apart : tuple of str
        FLT among FLC, and exposures without the tie that the others have: each has products of its
        own; none enters the filter's.
    """

    filter: str
    exposures: tuple[str, ...]
    singleton: bool
    drizzled: bool
    suffix: InputSuffix = "flt"
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectorProduct:
    """The filters of one detector, which share a frame.

    Attributes
    ----------
    instrument, detector : str
        HAP names.
    filters : tuple of FilterProduct
        Direct images; ramps and quads too.
    grism : tuple of str
        Exposures through a grism or a prism.
    total_members : tuple of str
        Exposures of the total product: of all drizzled filters that have more than one, or of all
        where none has.
    """

    instrument: str
    detector: str
    filters: tuple[FilterProduct, ...]
    grism: tuple[str, ...]
    total_members: tuple[str, ...]

    @property
    def drizzled(self) -> tuple[FilterProduct, ...]:
        """The filters that have products."""
        return tuple(f for f in self.filters if f.drizzled)

    @property
    def direct(self) -> tuple[str, ...]:
        """All direct exposures, which are aligned together, filter by filter."""
        return tuple(name for f in self.filters for name in (*f.exposures, *f.apart))

    @property
    def framed(self) -> tuple[str, ...]:
        """The exposures whose outlines make the frame: those with products."""
        return tuple(name for f in self.drizzled for name in (*f.exposures, *f.apart))

    @property
    def suffix(self) -> InputSuffix:
        """Of the total product's members: FLC where any of them is."""
        members = set(self.total_members)
        of_members = {f.suffix for f in self.drizzled if members & set(f.exposures)}
        return "flc" if "flc" in of_members else "flt"

    def filter_of(self, exposure: str) -> FilterProduct | None:
        """Find the filter of a direct exposure."""
        found = (f for f in self.filters if exposure in (*f.exposures, *f.apart))
        return next(found, None)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An exposure of a visit that enters no product, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class VisitTree:
    """What a visit's exposures make.

    Attributes
    ----------
    visit : str
        ``ipppss``.
    proposal, obset : str
        PROPOSID as the header has it, ``ss``.
    detectors : tuple of DetectorProduct
    left_out : tuple of LeftOut
    notes : tuple of str
        What is unusual: two targets, exposures that stand apart from those of their filter.
    """

    visit: str
    proposal: str
    obset: str
    detectors: tuple[DetectorProduct, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def instrument(self) -> str:
        """HAP name: the first letter of ``ipppss`` says it, so a visit has one."""
        return self.detectors[0].instrument if self.detectors else ""

    @property
    def exposures(self) -> tuple[str, ...]:
        """All exposures of the tree, direct ones before dispersed ones of each detector."""
        return tuple(n for d in self.detectors for n in (*d.direct, *d.grism))

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON; `from_dict` gives back an equal tree."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VisitTree:
        """Rebuild the tree that `to_dict` was called on.

        Raises
        ------
        StoreError
            If the data are no such tree.
        """
        try:
            detectors = tuple(_detector_from(d) for d in data["detectors"])
            left_out = tuple(LeftOut(**each) for each in data["left_out"])
            changed = {"detectors": detectors, "left_out": left_out, "notes": tuple(data["notes"])}
            return cls(**(dict(data) | changed))
        except (KeyError, TypeError) as error:
            raise StoreError(f"the data are not the tree of a visit: {error!r}") from error


def visit_trees(
    records: Sequence[ExposureRecord], *, untied: Collection[str] = ()
) -> tuple[VisitTree, ...]:
    """Group exposures into visits and their products.

    Parameters
    ----------
    records : sequence of ExposureRecord
        Those that were selected, of any visits, in any order; not stripped.
    untied : collection of str
        Names of exposures that alignment could not tie to anything.  They enter no product of
        several exposures where others are tied: stars that lie elsewhere would be taken for cosmic
        rays, in the good exposures too.

    Returns
    -------
    tuple of VisitTree
        One per visit (``ipppss``), by name.  A visit none of whose exposures can be used has a
        tree without detectors.

    Examples
    --------
    >>> visit_trees([])
    ()
    """
    visits: dict[str, list[ExposureRecord]] = {}
    for record in in_hap_order(records):
        visits.setdefault(record.visit, []).append(record)
    return tuple(_tree(visit, visits[visit], untied) for visit in sorted(visits))


def in_hap_order(records: Iterable[ExposureRecord]) -> list[ExposureRecord]:
    """Sort exposures as HAP does: short before long, then by PHOTFLAM, descending.

    What is equal in both stands in order of time and name, whatever order was given.
    """
    return sorted(records, key=lambda r: (r.exptime, -r.chips[0].photflam, r.expstart, r.name))


def exposure_root(name: str) -> str:
    """Shorten an exposure's name to ``ipppssoo``, with the imset of a file of several.

    Examples
    --------
    >>> exposure_root("ib4606c5q"), exposure_root("o8k401010-2")
    ('ib4606c5', 'o8k40101-2')
    """
    name, hyphen, imset = name.partition("-")
    return f"{name[:8]}{hyphen}{imset}"


def _tree(visit: str, records: Sequence[ExposureRecord], untied: Collection[str]) -> VisitTree:
    usable, left_out = _with_names(visit, records)
    by_detector: dict[tuple[str, str], list[ExposureRecord]] = {}
    for record in usable:
        by_detector.setdefault((record.instrument, record.detector), []).append(record)
    detectors = tuple(_detector(*key, members, untied) for key, members in by_detector.items())
    return VisitTree(
        visit=visit,
        proposal=usable[0].proposal if usable else "",
        obset=visit[4:6],
        detectors=detectors,
        left_out=tuple(left_out),
        notes=tuple(_notes(usable, detectors)),
    )


def _with_names(
    visit: str, records: Sequence[ExposureRecord]
) -> tuple[list[ExposureRecord], list[LeftOut]]:
    """Leave out what cannot be named as a product of the visit, or would take another's name."""
    proposal = next((r.proposal for r in records if r.proposal), "")
    usable: list[ExposureRecord] = []
    left_out: list[LeftOut] = []
    taken: dict[str, str] = {}
    for record in records:
        root = exposure_root(record.name)
        problem = ""
        if len(visit) != 6 or len(root.partition("-")[0]) != 8:
            problem = "its name is not that of an exposure of a visit (ipppssoot)"
        elif not record.proposal:
            problem = "PROPOSID is missing: its products cannot be named"
        elif record.proposal != proposal:
            problem = f"PROPOSID is {record.proposal}, that of the visit's others {proposal}"
        elif root in taken:
            problem = f"its products would have the names of those of {taken[root]}"
        if problem:
            left_out.append(LeftOut(record.name, problem))
        else:
            taken[root] = record.name
            usable.append(record)
    return usable, left_out


def _detector(
    instrument: str, detector: str, records: Sequence[ExposureRecord], untied: Collection[str]
) -> DetectorProduct:
    by_filter: dict[str, list[ExposureRecord]] = {}
    for record in records:
        if role_of(record.filter) != "dispersed":
            by_filter.setdefault(record.filter, []).append(record)
    filters = tuple(_filter(name, members, untied) for name, members in by_filter.items())
    tied = [f for f in filters if not set(f.exposures) <= set(untied)]
    return DetectorProduct(
        instrument=instrument,
        detector=detector,
        filters=filters,
        grism=tuple(r.name for r in records if role_of(r.filter) == "dispersed"),
        total_members=_total_members(tied) or _total_members(filters),
    )


def _filter(name: str, records: Sequence[ExposureRecord], untied: Collection[str]) -> FilterProduct:
    tied = [r for r in records if r.name not in untied] or records
    suffix: InputSuffix = "flc" if any(r.suffix == "flc" for r in tied) else "flt"
    members = tuple(r.name for r in tied if r.suffix == suffix or suffix == "flt")
    return FilterProduct(
        filter=name,
        exposures=members,
        singleton=len(members) == 1,
        drizzled=role_of(name) == "drizzled",
        suffix=suffix,
        apart=tuple(r.name for r in records if r.name not in members),
    )


def _total_members(filters: Iterable[FilterProduct]) -> tuple[str, ...]:
    """Give the exposures of the total product: single ones only where there are no others."""
    drizzled = [f for f in filters if f.drizzled]
    several = [f for f in drizzled if not f.singleton]
    return tuple(name for f in several or drizzled for name in f.exposures)


def _notes(
    records: Sequence[ExposureRecord], detectors: Iterable[DetectorProduct]
) -> Iterator[str]:
    suffixes = {r.name: r.suffix for r in records}
    targets = list(dict.fromkeys(r.target for r in records if r.target))
    if len(targets) > 1:
        yield f"{len(targets)} targets in one visit: {', '.join(targets)}"
    for detector in detectors:
        for each in detector.filters:
            plain = [n for n in each.apart if suffixes[n] != each.suffix]
            if plain:
                names = ", ".join(plain)
                yield f"{each.filter}: {names} without CTE correction, beside others that have it"
            lone = [n for n in each.apart if n not in plain]
            if lone:
                names, verb = ", ".join(lone), "is" if len(lone) == 1 else "are"
                yield f"{each.filter}: {names} {verb} not aligned, and only in a product of its own"
        if detector.grism and not detector.filters:
            yield f"{detector.detector}: no direct image beside the dispersed ones"


def _detector_from(data: Mapping[str, Any]) -> DetectorProduct:
    filters = tuple(
        FilterProduct(
            **(dict(f) | {"exposures": tuple(f["exposures"]), "apart": tuple(f["apart"])})
        )
        for f in data["filters"]
    )
    changed = {
        "filters": filters,
        "grism": tuple(data["grism"]),
        "total_members": tuple(data["total_members"]),
    }
    return DetectorProduct(**(dict(data) | changed))
