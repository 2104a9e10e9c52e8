"""`svm`: the single-visit mosaics of any number of visits, planned from headers and made at once.

Visits are independent of each other: on threads some are made at a time, as many as the memory
allows; on a cluster each is one task.  A visit that fails is told, and loses no other.  Not here:
one visit (`visit`), what is planned of it (`planning`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.drizzling.running import processors, run_tasks
from hapdask.observe.exposure import Exposures
from hapdask.observe.masking.sources import Masks, list_sources
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import storage_errors
from hapdask.recipes.alignment.outages import Outages
from hapdask.recipes.reporting import LeftOut, Listener, Step, none_left, silence
from hapdask.recipes.svm.aligning import AlignmentSettings, check_settings
from hapdask.recipes.svm.parameters import Settings
from hapdask.recipes.svm.planning import Files, PlannedVisit, open_visits, plan_visits
from hapdask.recipes.svm.visit import VisitMade, VisitTask, Wanted

if TYPE_CHECKING:
    from distributed import Client

#: Bytes that visits may hold together, by the estimates of their plans.
_MEMORY = 4 << 30


def svm(
    exposures: Files | Iterable[Files] | Iterable[ExposureRecord],
    *,
    refcat: Any = None,
    preset: str = "default",
    file: str | Path | None = None,
    alignment: Mapping[str, object] | None = None,
    alignment_file: str | Path | None = None,
    masks: Masks = (),
    threads: int | None = None,
    client: Client | None = None,
    progress: Listener = silence,
    **parameters: object,
) -> SvmRun:
    """Plan the single-visit mosaics of some exposures: all products of HAP's visit pipeline.

    Nothing but headers is read here, and nothing is written; no input is ever changed.

    Parameters
    ----------
    exposures : Exposures, records, or files as `hapdask.open_exposures` takes them
        Of any visits; a poller of HAP's pipeline, for example.
    refcat : path, name, table or ReferenceCatalog, or several of them, optional
        Reference stars, best first; see `hapdask.align`.
    preset : {"default", "compat"}
        Ours, or what HAP's pipeline does.
    file : path, optional
        AstroDrizzle's parameters over the preset: TOML, or a .cfg file.
    alignment : mapping, optional
        Parameters of the alignment, by their names.
    alignment_file : path, optional
        The same in a file.
    masks
        Pixels not to be used, nor their sources; see `hapdask.measure`.
    threads : int, optional
        All cores if absent.
    client : distributed.Client, optional
        A cluster; threads of this process if absent.
    progress : callable, optional
        Told of every `hapdask.recipes.reporting.Step`.
    **parameters
        AstroDrizzle's, by its names, over everything else.

    Returns
    -------
    SvmRun

    Raises
    ------
    PlanError, ParameterError
        If no exposure can be used, or parameters are unknown or contradict each other.
    InputError
        If a file that a parameter names cannot be used.
    """
    masks = tuple(list_sources(masks))
    settings = Settings(preset=preset, file=file, overrides=parameters, masks=masks)
    wanted = AlignmentSettings(
        refcat=refcat, preset=preset, file=alignment_file, overrides=alignment or {}, exclude=masks
    )
    opened = open_visits(exposures)
    visits, left_out = plan_visits(opened, settings)
    if not any(visit.tree.detectors for visit in visits):
        raise none_left(left_out)
    check_settings([e for visit in visits for e in visit.exposures], wanted)
    return SvmRun(
        opened, visits, left_out, settings, wanted,
        threads=threads or processors(), client=client, progress=progress,
    )  # fmt: skip


@dataclass(frozen=True)
class SvmMade:
    """What became of all visits.

    Attributes
    ----------
    visits : tuple of VisitMade
        In the order of the plan.
    left_out : tuple of LeftOut
        Inputs that were not used, of all visits and of none.
    seconds : dict of str to float
        Wall time by step, summed over the visits.
    """

    visits: tuple[VisitMade, ...]
    left_out: tuple[LeftOut, ...]
    seconds: dict[str, float]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(path for visit in self.visits for path in visit.files)

    @property
    def failed(self) -> tuple[VisitMade, ...]:
        """Visits that are not finished."""
        return tuple(visit for visit in self.visits if visit.problem)

    @property
    def unaligned(self) -> tuple[VisitMade, ...]:
        """Visits of which exposures were to be aligned, and are not."""
        return tuple(visit for visit in self.visits if visit.is_unaligned)


class SvmRun:
    """Single-visit mosaics, planned.

    Attributes
    ----------
    opened : Exposures
    visits : tuple of PlannedVisit
    left_out : tuple of LeftOut
        Inputs that cannot be used, and why.
    settings : Settings
    alignment : AlignmentSettings
    """

    def __init__(
        self,
        opened: Exposures,
        visits: tuple[PlannedVisit, ...],
        left_out: tuple[LeftOut, ...],
        settings: Settings,
        alignment: AlignmentSettings,
        *,
        threads: int,
        client: Client | None = None,
        progress: Listener = silence,
    ) -> None:
        self.opened, self.visits, self.left_out = opened, visits, left_out
        self.settings, self.alignment = settings, alignment
        self.threads, self.client, self.progress = threads, client, progress
        self._outages = Outages()

    def __repr__(self) -> str:
        count = sum(len(visit.exposures) for visit in self.visits)
        names = ", ".join(visit.tree.visit for visit in self.visits[:5])
        return f"<SvmRun: {len(self.visits)} visits ({names}), {count} exposures>"

    def write(
        self,
        out: str | Path,
        *,
        err: bool = False,
        pictures: bool = True,
        copies: bool = True,
        quality: bool = True,
    ) -> SvmMade:
        """Make all products.

        Parameters
        ----------
        out : path
            Folder, made when missing.  A run that was interrupted goes on from what is there.
        err : bool
            Write ERR into the products too.
        pictures : bool
            Make previews and thumbnails.
        copies : bool
            Write aligned copies of the exposures, and headerlets.
        quality : bool
            Write figures of quality.

        Returns
        -------
        SvmMade

        Raises
        ------
        StoreError
            If the folder cannot be written to.
        ClusterError
            If the cluster is gone.
        """
        planes = Wanted().planes + ("err",) * err
        wanted = Wanted(planes=planes, pictures=pictures, copies=copies, quality=quality)
        folder = Path(out).absolute()
        for planned in self.visits if copies else ():
            planned.refuse_inputs(folder)
        with storage_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
        seconds: dict[str, float] = {}
        made = {visit.tree.visit: visit for visit in self._made(folder, wanted)}
        done = tuple(made[visit.tree.visit] for visit in self.visits)
        for visit in done:
            for part, value in visit.seconds.items():
                seconds[part] = seconds.get(part, 0.0) + value
        lost = (item for visit in done for item in visit.left_out)
        return SvmMade(done, tuple(dict.fromkeys((*self.left_out, *lost))), seconds)

    def _made(self, out: Path, wanted: Wanted) -> Iterator[VisitMade]:
        """Make the visits, and give each as it comes."""
        tasks = [self._task(visit, out, wanted) for visit in self.visits]
        if len(tasks) == 1:
            yield replace(
                tasks[0], threads=self.threads, client=self.client, progress=self.progress
            )()
            return
        at_once = self.at_once
        share = max(1, self.threads // at_once)
        if self.client is not None:
            share = min(self.client.nthreads().values(), default=1)
        self.progress(Step("visits", 0, len(tasks), "visits"))
        # made as they are needed, so that tasks of other processes know what earlier ones found
        later = (replace(task, threads=share) for task in tasks)
        for done, visit in enumerate(run_tasks(later, self.client, at_once), 1):
            if self.client is not None:
                self._outages.learn(visit.failures)
            self.progress(Step("visits", done, len(tasks), "visits"))
            yield visit

    @property
    def at_once(self) -> int:
        """How many visits are made at a time on threads of this process."""
        largest = max((visit.memory(1) for visit in self.visits), default=1)
        return max(1, min(len(self.visits), self.threads, _MEMORY // max(largest, 1)))

    def _task(self, visit: PlannedVisit, out: Path, wanted: Wanted) -> VisitTask:
        return VisitTask(
            tree=visit.tree,
            exposures=visit.exposures,
            settings=self.settings,
            alignment=self.alignment,
            wanted=wanted,
            out=out,
            beside=self._beside(out),
            outages=self._outages,
        )

    def _beside(self, out: Path) -> tuple[Path, ...]:
        """Give the inputs that lie in a folder, used or not: nothing may remove them."""
        files = [url for record in self.opened for url in record.files]
        files += [item.file for item in self.left_out]
        folder = os.path.realpath(out)
        found = {os.path.realpath(file) for file in files if file and "://" not in file}
        return tuple(Path(file) for file in sorted(found) if os.path.dirname(file) == folder)
