"""One visit from its exposures to all its files: aligned, drizzled, given back, told.

Order: alignment (the one barrier), then detector by detector the products, then copies and
headerlets, then what tells of them all; the outcome comes last, so that a visit that has it is
finished.  Not here: several visits (`run`), each of these steps.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.drizzling.running import processors
from hapdask.errors import HapdaskError
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import VisitTree, visit_trees
from hapdask.products.names import inside
from hapdask.products.report.model import AlignmentLine
from hapdask.products.returned.flags import FlagChange
from hapdask.products.svm.names import exposure_names, manifest_name, outcome_name
from hapdask.recipes.alignment.outages import Outages
from hapdask.recipes.reporting import LeftOut, Listener, Step, none_left, silence, timed
from hapdask.recipes.svm.aligned import VisitAlignment
from hapdask.recipes.svm.aligning import AlignmentSettings, align_visit
from hapdask.recipes.svm.frames import fields_of
from hapdask.recipes.svm.ledger import Ledger
from hapdask.recipes.svm.mosaics import PLANES, Studio
from hapdask.recipes.svm.parameters import Settings
from hapdask.recipes.svm.products import DetectorRun, Product, finished
from hapdask.recipes.svm.returned import Returned, give_back, named_facts, renamed
from hapdask.recipes.svm.steps import Workshop
from hapdask.recipes.svm.telling import tell_visit

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is made of every visit, besides its drizzled products.

    Attributes
    ----------
    planes : tuple of str
        Of FITS files, beside CTX.
    pictures : bool
        Previews and thumbnails, and a colour picture of each detector.
    copies : bool
        Aligned copies of the exposures, and headerlets.
    quality : bool
        Figures of quality, as JSON.
    """

    planes: tuple[str, ...] = PLANES
    pictures: bool = True
    copies: bool = True
    quality: bool = True


@dataclass(frozen=True)
class VisitMade:
    """What became of a visit.

    Attributes
    ----------
    tree : VisitTree
        As it was made.
    problem : str
        Why it was not finished; empty where it was.
    products : tuple of Product
    returned : tuple of Returned
    others : tuple of Path
        Files besides products, copies and headerlets; the outcome last.
    records : tuple of ExposureRecord
        As they are in the products.
    told : mapping
        What is told of the alignment, plain data.
    lines : tuple of AlignmentLine
        The same for the report.
    left_out : tuple of LeftOut
    removed : tuple of Path
        Files of an earlier run that are not of this one.
    seconds : dict of str to float
    failures : mapping of str to list of float
        When services failed, for the tasks of other processes; see `Outages`.
    """

    tree: VisitTree
    problem: str = ""
    products: tuple[Product, ...] = ()
    returned: tuple[Returned, ...] = ()
    others: tuple[Path, ...] = ()
    records: tuple[ExposureRecord, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[AlignmentLine, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    removed: tuple[Path, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    failures: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def is_unaligned(self) -> bool:
        """Whether an exposure has no solution, or none has a tie to the catalog asked for."""
        without = any(line.status == "unaligned" for line in self.lines)
        return without or bool(self.told.get("lacks_tie"))

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in the order of the manifest."""
        drizzled = (path for product in self.products for path in product.made.files)
        given_back = (path for each in self.returned for path in each.files)
        return (*drizzled, *given_back, *self.others)


@dataclass(frozen=True, kw_only=True)
class VisitTask:
    """The making of one visit; picklable.

    Attributes
    ----------
    tree : VisitTree
        As planned from headers.
    exposures : tuple of ExposureRecord
        As opened.
    settings : Settings
    alignment : AlignmentSettings
    wanted : Wanted
    out : Path
        Folder of the files.
    beside : tuple of Path
        Inputs that lie in that folder.
    threads : int or None
        Those of the machine it runs on if None.
    client : distributed.Client or None
        For the work within the visit.
    progress : callable
    outages : Outages
        Shared by the visits of a run in one process.
    """

    tree: VisitTree
    exposures: tuple[ExposureRecord, ...]
    settings: Settings
    alignment: AlignmentSettings
    wanted: Wanted
    out: Path
    beside: tuple[Path, ...] = ()
    threads: int | None = None
    client: Client | None = None
    progress: Listener = silence
    outages: Outages = field(default_factory=Outages)

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""
        return f"hapdask-visit-{self.tree.visit}"

    @property
    def where(self) -> Path:
        """Folder of what is found and kept."""
        return self.out / manifest_name(self.tree).replace("_manifest.txt", "_records")

    def __call__(self) -> VisitMade:
        """Make the visit; what is wrong with it is part of the result."""
        making = VisitMaking(self)
        try:
            making.make()
        except (HapdaskError, OSError) as error:
            log.warning("visit %s is not finished: %s", self.tree.visit, error)
            making.problem = str(error)
        return making.made()


class VisitMaking:
    """A visit while it is made.

    Parameters
    ----------
    task : VisitTask
    """

    def __init__(self, task: VisitTask) -> None:
        self.task, self.tree = task, task.tree
        threads = task.threads or processors()
        self.shop = Workshop(
            where=task.where,
            threads=threads,
            client=task.client,
            progress=task.progress,
            outages=task.outages,
        )
        self.problem, self.seconds = "", dict[str, float]()
        self.alignment: VisitAlignment | None = None
        self.runs: list[DetectorRun] = []
        self.returned: list[Returned] = []
        self.others: list[Path] = []
        self.left_out: list[LeftOut] = []
        self.removed: list[Path] = []

    def make(self) -> None:
        """Go through all steps.

        Raises
        ------
        HapdaskError
            If nothing can be made, or not written.
        """
        with timed(self.seconds, "alignment"):
            self.alignment = align_visit(self.task.exposures, self.task.alignment, self.shop)
        self.left_out += self.alignment.left_out
        records = self._told(self.alignment)
        if not records:
            raise none_left(self.left_out)
        studio = self._studio(self.alignment)
        # that of an earlier run is of other files from here on
        inside(self.task.out, outcome_name(self.tree)).unlink(missing_ok=True)
        for run in self._runs(records, studio):
            self.runs.append(run)
            run.make()
            self.left_out += run.left_out
        if self.task.wanted.copies:
            self.task.progress(Step("copies", 0, len(records), "exposures"))
            with timed(self.seconds, "copies"):
                self._give_back(records, studio)
        with timed(self.seconds, "pictures and lists"):
            self.others += tell_visit(self, studio, quality=self.task.wanted.quality)

    def made(self) -> VisitMade:
        """Give what became of it so far."""
        seconds = dict(self.seconds)
        for run in self.runs:
            for part in (run.seconds, *(steps.seconds for steps in run.steps)):
                for name, value in part.items():
                    seconds[name] = seconds.get(name, 0.0) + value
        return VisitMade(
            tree=self.tree,
            problem=self.problem,
            products=tuple(p.small() for run in self.runs for p in run.products),
            returned=tuple(self.returned),
            others=tuple(self.others),
            records=tuple(self.final_records()),
            told={} if self.alignment is None else self.alignment.told,
            lines=() if self.alignment is None else self.alignment.lines,
            left_out=tuple(dict.fromkeys(self.left_out)),
            removed=tuple(self.removed),
            seconds=seconds,
            failures=dict(self.task.outages.failures),
        )

    def final_records(self) -> list[ExposureRecord]:
        """Give the records as they are in the products; others as they were aligned."""
        aligned = {} if self.alignment is None else self._told(self.alignment)
        drizzled = finished(self.runs)
        return [drizzled.get(name, record) for name, record in aligned.items()]

    def _told(self, alignment: VisitAlignment) -> dict[str, ExposureRecord]:
        """Give the aligned records by name, as their copies tell of them."""
        facts = self._facts(alignment)
        return {r.name: renamed(self.tree, r, facts.get(r.name)) for r in alignment.records}

    def _facts(self, alignment: VisitAlignment) -> dict[str, Any]:
        return {
            r.name: named_facts(self.tree, r, alignment.facts[r.name])
            for r in alignment.records
            if r.name in alignment.facts
        }

    def _studio(self, alignment: VisitAlignment) -> Studio:
        task = self.task
        return Studio(
            out=task.out,
            ledger=Ledger(task.where / "made", task.out),
            date=alignment.date,
            planes=task.wanted.planes,
            copies=self._copies(alignment),
            pictures=task.wanted.pictures,
            threads=self.shop.threads,
            client=task.client,
        )

    def _copies(self, alignment: VisitAlignment) -> dict[str, str]:
        records = alignment.records if self.task.wanted.copies else ()
        return {record.name: exposure_names(self.tree, record).copy for record in records}

    def _runs(self, records: Mapping[str, ExposureRecord], studio: Studio) -> Iterator[DetectorRun]:
        """List the detectors, each field of them by itself, of the exposures that are left."""
        assert self.alignment is not None
        # the archive's products hold all exposures, wherever they lie
        untied = () if self.task.settings.is_archive else self.alignment.untied
        (tree,) = visit_trees(list(records.values()), untied=untied)
        self.tree = tree
        for detector in tree.detectors:
            members = [records[name] for name in detector.framed]
            for number, group in enumerate(fields_of(members) if members else (), 1):
                (part,) = visit_trees(group, untied=untied)
                (product,) = part.detectors
                yield DetectorRun(
                    tree,
                    product,
                    records,
                    self.task.settings,
                    studio,
                    self.shop,
                    field_number=number,
                )

    def _give_back(self, records: Mapping[str, ExposureRecord], studio: Studio) -> None:
        assert self.alignment is not None
        final = self.final_records()
        found, lost = give_back(
            self.tree, final, self._facts(self.alignment), self._flags(), studio
        )
        self.returned += found
        self.left_out += lost

    def _flags(self) -> dict[str, FlagChange]:
        """Tell how DQ of exposures changes: as the runs of their filters say."""
        changes: dict[str, FlagChange] = {}
        for run in self.runs:
            for steps in run.steps:
                general = steps.run.parameters.general
                change = FlagChange(crbit=general.crbit, resetbits=general.resetbits or 0)
                changes |= dict.fromkeys(steps.names, change)
        return changes
