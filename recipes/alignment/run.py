"""`align`: every exposure gets the best solution that its data support, and a verdict.

Order: headers, sources (tasks), fields one by one as their last exposure comes in, then the joint
solution, records.  Not here: each of these steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.solving import JointSolution
from hapdask.drizzling.running import processors
from hapdask.observe.masking.sources import Masks
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.detecting import Detected, detect_all
from hapdask.recipes.alignment.dispersed import with_dispersed
from hapdask.recipes.alignment.fields import Field
from hapdask.recipes.alignment.following import let_follow
from hapdask.recipes.alignment.joining import Member, settle, solve_and_settle, solve_together
from hapdask.recipes.alignment.outages import Outages
from hapdask.recipes.alignment.outcome import aligned_of
from hapdask.recipes.alignment.placing import Placed, place_field
from hapdask.recipes.alignment.planning import Planned, Request, plan_alignment
from hapdask.recipes.alignment.referring import Library, library_of_release
from hapdask.recipes.alignment.result import Aligned as Aligned
from hapdask.recipes.alignment.result import Alignment as Alignment
from hapdask.recipes.reporting import LeftOut, Listener, Step, none_left, silence, timed

if TYPE_CHECKING:
    from distributed import Client

Files = str | os.PathLike[str]


def align(
    exposures: Files | Iterable[Files] | Iterable[ExposureRecord],
    *,
    refcat: object = None,
    preset: str = "default",
    file: str | Path | None = None,
    exclude: Masks = (),
    sources: Mapping[str, object] | None = None,
    published: Release | str | Path | None = None,
    client: Client | None = None,
    threads: int | None = None,
    progress: Listener = silence,
    outages: Outages | None = None,
    **parameters: object,
) -> Alignment:
    """Align exposures of any visits and detectors; nothing is written, no input is changed.

    Parameters
    ----------
    exposures : Exposures, records, or files as `hapdask.open_exposures` takes them
        Records must carry no correction.
    refcat : path, name, table, ReferenceCatalog, or several of them, optional
        Reference stars, best first, as `hapdask.astrometry.references.finding.source_of` takes
        them.  Default: the catalogs of the preset, from their service.
    preset : {"default", "compat", "tweakreg"}
        Ours; what HAP's visit pipeline does; what TweakReg does.
    file : path, optional
        Parameters over the preset: TOML, or a .cfg file of TweakReg.
    exclude : path, MaskSource, or several
        DS9 regions and images of pixels whose sources are not used.
    sources : mapping of str to SourceList, table or path, optional
        Source lists by rootname, in place of detection; see also ``catfile``.
    published : Release or path, optional
        A joint solution that is held: its exposures keep their places, new ones are tied to it.
    client : distributed.Client, optional
        A cluster for the detection; threads of this process if absent.
    threads : int, optional
        All cores if absent.
    progress : callable, optional
        Told of every `hapdask.recipes.reporting.Step`.
    outages : Outages, optional
        Services that do not answer, shared by the alignments of one run.
    **parameters
        TweakReg's, by its names, and those of detection and matching, over everything else.

    Returns
    -------
    Alignment

    Raises
    ------
    PlanError, ParameterError
        If no exposure can be used, or parameters are unknown or contradict each other.
    InputError
        If a file that a parameter names cannot be used.
    """
    seconds: dict[str, float] = {}
    request = Request(
        preset=preset,
        file=file,
        overrides=parameters,
        refcat=refcat,
        exclude=exclude,
        sources=sources or {},
        published=published,
        outages=outages,
    )
    with timed(seconds, "open"):
        planned = plan_alignment(exposures, request)
    return _Run(planned, threads or processors(), client, progress, seconds).finished()


class _Run:
    """One alignment while it is made."""

    def __init__(
        self,
        planned: Planned,
        threads: int,
        client: Client | None,
        progress: Listener,
        seconds: dict[str, float],
    ) -> None:
        self.planned, self.progress, self.seconds = planned, progress, seconds
        self.threads, self.client = threads, client
        self.detected: dict[str, Detected] = {}
        self.placed: dict[int, Placed] = {}

    def finished(self) -> Alignment:
        """Go through all steps."""
        self._detect_and_place()
        solution = None
        with timed(self.seconds, "joint solution"):
            if self.planned.joint:
                self.progress(Step("joint solution", 0, 1, "times"))
                self._bridge()
                placements, solution = solve_and_settle(
                    self._members(), self._in_order(), self.planned.release
                )
                self.progress(Step("joint solution", 1, 1, "times"))
            else:
                placements = settle(self._members(), None)
        placements = let_follow(self.planned, self.detected, placements)
        return self._alignment(placements, solution)

    def _detect_and_place(self) -> None:
        """Detect on all, and align each field as soon as its last exposure is there."""
        planned, fields = self.planned, self.planned.fields
        waiting = {k: {e.name for e in field.exposures} for k, field in enumerate(fields)}
        of = {name: k for k, names in waiting.items() for name in names}
        total = len(planned.exposures)
        self.progress(Step("sources", 0, total, "exposures"))
        with timed(self.seconds, "sources and fits"):
            found = detect_all(
                planned.exposures,
                {e.name: planned.of(e).detection for e in planned.exposures},
                exclude=planned.exclude,
                guiding=planned.guiding,
                given=planned.sources,
                client=self.client,
                threads=self.threads,
            )
            for each in found:
                self.detected[each.name] = each
                self.progress(Step("sources", len(self.detected), total, "exposures"))
                k = of[each.name]
                waiting[k].discard(each.name)
                if not waiting[k]:
                    self.placed[k] = self._place(fields[k], planned.library_of(fields[k]))

    def _place(self, field: Field, library: Library) -> Placed:
        library = replace(library, progress=self.progress)
        return place_field(field, self.detected, library, self.planned.of(field.exposures[0]))

    def _in_order(self) -> list[Placed]:
        """Give the fields in an order that is that of no input: catalogs are joined in it."""
        return sorted(self.placed.values(), key=lambda p: min(e.name for e in p.field.exposures))

    def _members(self) -> list[Member]:
        placements = {n: p for placed in self._in_order() for n, p in placed.placements.items()}
        return [
            Member(
                e,
                self.detected[e.name].sources,
                placements[e.name],
                self.planned.of(e).matching,
                self.detected[e.name].galaxies,
            )
            for e in self.planned.exposures
            if e.name not in self.planned.held
        ]

    def _bridge(self) -> None:
        """Tie fields without a catalog to the sources that the tied ones were solved with."""
        tied = [k for k, placed in self.placed.items() if placed.is_tied]
        open_ones = [k for k in self.placed if k not in tied]
        if not tied or not open_ones:
            return
        names = {e.name for k in tied for e in self.planned.fields[k].exposures}
        members = [m for m in self._members() if m.record.name in names]
        first = solve_together(members, self._in_order(), self.planned.release)
        if first is None:
            return
        library = library_of_release(first.release, self.planned.library)
        if library is None:
            return
        for k in sorted(open_ones):
            field = self.planned.fields[k]
            again = self._place(
                field, library.needing(self.planned.of(field.exposures[0]).matching)
            )
            common = max(e.error_mas() for e in first.release.exposures)
            self.placed[k] = again.after(self.placed[k], 2.0**0.5 * common)

    def _alignment(
        self, placements: Mapping[str, Placement], solution: JointSolution | None
    ) -> Alignment:
        planned = self.planned
        placed = {e.name: each for each in self._in_order() for e in each.field.exposures}
        found = [
            aligned_of(
                e,
                placements.get(e.name),
                self.detected[e.name],
                placed[e.name],
                planned.of(e),
                solution,
                planned.release,
            )
            for e in planned.exposures
        ]
        errors = (self.detected[e.opened.name].error for e in found)
        lost = [LeftOut.of(error) for error in errors if error is not None]
        release = planned.release if solution is None else solution.release
        kept = [
            e for e in with_dispersed(found, planned) if self.detected[e.opened.name].error is None
        ]
        left_out = (*planned.left_out, *lost)
        if not kept:
            raise none_left(left_out)
        return Alignment(
            kept,
            left_out,
            release,
            self._in_order(),
            planned.by_detector,
            self.seconds,
            asked=planned.asked,
        )


__all__ = ["Aligned", "Alignment", "align"]
