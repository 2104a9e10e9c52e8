"""`astrodrizzle` and the run that it gives: every image of every step, lazily.

A run is planned from headers; static masks, sky levels and mean weights are measured when the first
image is asked for, once; everything else is a graph.  Not here: what is measured (`measuring`), the
images of one exposure (`exposure_steps`), files (`writing`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle, for_exposures
from hapdask.drizzling.cosmic_rays import Stack
from hapdask.drizzling.plan import Plan
from hapdask.drizzling.running import processors
from hapdask.drizzling.sky_levels.solution import SkySolution
from hapdask.drizzling.step_graphs import StepGraphs
from hapdask.errors import InputError, ParameterError
from hapdask.observe.masking.sources import Maps, Masks
from hapdask.observe.record import ExposureRecord
from hapdask.products.names import Suffix
from hapdask.recipes.astrodrizzle.exposure_steps import ExposureSteps, on_frame
from hapdask.recipes.astrodrizzle.final import final_mosaic, plan_final
from hapdask.recipes.astrodrizzle.finding import find_all, measure_run, stack_of
from hapdask.recipes.astrodrizzle.measuring import REJECT, Measured
from hapdask.recipes.astrodrizzle.planning import (
    Files,
    Place,
    Planned,
    Request,
    check_unchanged,
    plan_run,
)
from hapdask.recipes.astrodrizzle.recall import temporary_folder
from hapdask.recipes.reporting import LeftOut, Listener, none_left, silence, timed
from hapdask.schema import ALL
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

    from hapdask.recipes.astrodrizzle.writing import Written

log = logging.getLogger(__name__)

Records = tuple[ExposureRecord, ...]


def astrodrizzle(
    exposures: Files | Iterable[Files] | Iterable[ExposureRecord],
    *,
    preset: str = "default",
    file: str | Path | None = None,
    frame: Place | None = None,
    output: str = "",
    where: str | Path | None = None,
    masks: Masks = (),
    ivm: Maps = (),
    track: object = None,
    threads: int | None = None,
    client: Client | None = None,
    progress: Listener = silence,
    **parameters: object,
) -> AstroDrizzleRun:
    """Do what DrizzlePac's AstroDrizzle does, as one lazy graph.

    Nothing but headers is read here, and nothing is written; no input is ever changed.

    Parameters
    ----------
    exposures : Exposures, records, or files as `hapdask.open_exposures` takes them
        Of one detector.  The first gives the default frame its orientation.
    preset : {"default", "compat", "compat-svm"}
        Ours, AstroDrizzle's own, those of its visit pipeline.
    file : path, optional
        Parameters over the preset: TOML, or a .cfg file of AstroDrizzle.
    frame : Frame, SkyCell, str or mapping, optional
        Of the product, in place of AstroDrizzle's default: see `frame_of_place`.
    output : str
        Root of the products' names; see `run_name` for the default.
    where : path, optional
        Keeps what is measured for other runs; workers of a cluster must see it.  A temporary
        folder, gone with this process, if absent.
    masks, ivm
        Pixels not to be used, and weights of pixels; see `hapdask.measure`.
    track : path, table or Track, optional
        Of a moving target; see `hapdask.observe.adjusting.track.read_track`.
    threads : int, optional
        All cores if absent.
    client : distributed.Client, optional
        A cluster for the cosmic rays and the mosaic; threads of this process if absent.
    progress : callable, optional
        Told of every `hapdask.recipes.reporting.Step`.
    **parameters
        AstroDrizzle's, by its names, over everything else.

    Raises
    ------
    PlanError
        If no exposure can be used, or they do not belong together.
    ParameterError
        If parameters are unknown (the nearest name is told) or contradict each other.
    InputError
        If a file that a parameter names cannot be used.
    """
    request = Request(
        preset=preset,
        file=file,
        overrides=parameters,
        frame=frame,
        output=output,
        track=track,
        masks=masks,
        ivm=ivm,
    )
    planned = plan_run(exposures, request)
    return AstroDrizzleRun(planned, where=where, threads=threads, client=client, progress=progress)


class AstroDrizzleRun:
    """A run of AstroDrizzle: its frames, records and images.

    ``run["j8c0d1bwq"]`` has the images of one exposure.

    Attributes
    ----------
    planned : Planned
    seconds : dict of str to float
        Wall time by step, of what was done so far.
    """

    def __init__(
        self,
        planned: Planned,
        *,
        where: str | Path | None = None,
        threads: int | None = None,
        client: Client | None = None,
        progress: Listener = silence,
    ) -> None:
        self.planned = planned
        self.client, self.progress = client, progress
        self.threads = threads or processors()
        self.seconds: dict[str, float] = {}
        self.where = temporary_folder() if where is None else Path(where)
        self._masked: Records | None = None
        self._lost: tuple[LeftOut, ...] = ()

    def __repr__(self) -> str:
        names = [exposure.name for exposure in self.exposures]
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        ny, nx = self.frame.shape
        return f"<AstroDrizzleRun {self.output}: {len(names)} exposures ({shown}) on {nx} x {ny}>"

    @property
    def resolved(self) -> ResolvedAstroDrizzle:
        """Parameters and where each came from, with the steps that its exposures allow."""
        resolved = self.planned.resolved
        if "measured" not in self.__dict__:
            return resolved
        left, lone = len(self.measured.exposures), self.measured.lone
        if left == len(self.planned.exposures) and len(lone) < left:
            return resolved
        parameters, changed = for_exposures(resolved.parameters, 1 if len(lone) == left else left)
        return replace(resolved, parameters=parameters, origin=resolved.origin | changed)

    @property
    def parameters(self) -> AstroDrizzleParameters:
        """Parameters of all steps."""
        return self.resolved.parameters

    @property
    def exposures(self) -> Sequence[ExposureRecord]:
        """Records in the order of the run, as known so far: with sky and masks once they are."""
        if self._masked is not None:
            return self._masked
        return self.measured.exposures if "measured" in self.__dict__ else self.planned.exposures

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Inputs that are not used, and why, as known so far."""
        measured = self.measured.left_out if "measured" in self.__dict__ else ()
        return (*self.planned.left_out, *measured, *self._lost)

    @property
    def output(self) -> str:
        """Root of the products' names."""
        return self.planned.output

    @property
    def suffix(self) -> Suffix:
        """Suffix of the product: drz, drc or drw."""
        return self.planned.suffix

    @property
    def frame(self) -> Frame:
        """Frame of the product."""
        return self.planned.frame

    @property
    def median_frame(self) -> Frame:
        """Frame of the separate images and of their median."""
        return self.planned.median_frame

    @cached_property
    def measured(self) -> Measured:
        """What is measured of every exposure before any tile: read here, once.

        Raises
        ------
        PlanError
            If no exposure is left.
        """
        return measure_run(self)

    @property
    def sky(self) -> SkySolution:
        """Sky levels of the exposures."""
        return self.measured.sky

    @property
    def median(self) -> xr.DataArray:
        """Median of the exposures on `median_frame`, lazily.

        Raises
        ------
        ParameterError
            If the run makes none.
        """
        self.require("median")
        return self.median_by(self.graphs)

    def median_by(self, graphs: StepGraphs) -> xr.DataArray:
        """Median of the exposures as some graphs make it."""
        return on_frame(graphs.median(), self.median_frame, "median", "electron / s")

    @property
    def mosaic(self) -> xr.Dataset:
        """The product, lazily: as `hapdask.mosaic` gives it, in the units asked for."""
        _ = self.measured  # which exposures are left
        return self.mosaic_of(self.exposures)

    def __getitem__(self, name: str) -> ExposureSteps:
        """Give the images of one exposure; KeyError names those there are."""
        _ = self.measured  # which exposures are left
        names = [exposure.name for exposure in self.exposures]
        if name not in names:
            raise KeyError(f"{name!r} is not an exposure of this run; there are {', '.join(names)}")
        return ExposureSteps(self, name)

    def reject(self) -> AstroDrizzleRun:
        """Find all cosmic rays now, on threads or the cluster, and keep them as masks.

        Without it the graph of the mosaic finds those that it needs whenever it is computed.

        Raises
        ------
        StoreError
            If a mask cannot be written.
        """
        _ = self.measured  # also where no step is left that needs it: sky, masks, what is lost
        if self._masked is None and self.parameters.cosmic_rays.driz_cr:
            with timed(self.seconds, REJECT):
                found = find_all(self)
            masked = {e.name: e for e in found.exposures}
            lost = {e.name for e in self.stack.exposures} - set(masked)
            kept = (e for e in self.measured.exposures if e.name not in lost)
            self._masked = tuple(masked.get(e.name, e) for e in kept)
            self.__dict__.pop("graphs", None)  # without those that are lost
            self.lose(LeftOut.of(error) for error in found.failures)
            if not self._masked:
                raise none_left(self._lost)
        return self

    def again(self, **parameters: object) -> AstroDrizzleRun:
        """Plan the product anew, with what was measured and found so far.

        Parameters
        ----------
        **parameters
            Of the final step, or of the general ones.

        Raises
        ------
        ParameterError
            If a parameter changes what comes before the final step.
        """
        request = replace(
            self.planned.request, overrides={**self.planned.request.overrides, **parameters}
        )
        planned = plan_run(self.planned.opened, request)
        check_unchanged(self.planned.parameters, planned.parameters)
        other = copy(self)  # shares what is measured
        other.planned, other.seconds = planned, {}
        return other

    def write(self, out: str | Path, **options: Any) -> Written:
        """Make the products; see `hapdask.recipes.astrodrizzle.writing.write_run`."""
        from hapdask.recipes.astrodrizzle.writing import write_run

        return write_run(self, out, **options)

    def lose(self, failures: Iterable[LeftOut]) -> None:
        """Note inputs that were left out of what is written."""
        self._lost += tuple(failures)

    def leave_out(self, error: InputError) -> None:
        """Go on without the exposures that an error is of; the others keep the masks they have.

        Raises
        ------
        InputError
            The error itself, if it is of none of them.
        PlanError
            If none is left.
        """
        kept = tuple(e for e in self.exposures if error.path not in e.files)
        if len(kept) == len(self.exposures):
            raise error
        log.warning("left out: %s", error)
        self._masked = kept
        self.__dict__.pop("graphs", None)
        self.lose([LeftOut.of(error)])
        if not kept:
            raise none_left(self._lost)

    def warn(self, names: Collection[str], reason: str) -> None:
        """Say something in the verdicts of some exposures."""
        self._masked = tuple(
            e.with_verdict(e.verdict.warned(reason)) if e.name in names else e
            for e in self.exposures
        )

    def require(self, step: str) -> None:
        """Raise a ParameterError where a step is not on, and say why."""
        if not self.parameters.values()[step]:
            raise ParameterError(f"{step} is not made: {step} is {self.resolved.origin[step]}")

    @property
    def stack(self) -> Stack:
        """The exposures that are compared with each other, and how."""
        return stack_of(self)

    @cached_property
    def graphs(self) -> StepGraphs:
        """Graphs of the steps before the final one."""
        return StepGraphs(self.stack, self.median_frame, threads=self.threads)

    def mosaic_of(
        self, exposures: Sequence[ExposureRecord], variables: Sequence[str] = ALL
    ) -> xr.Dataset:
        """Make the lazy mosaic of some of the exposures.

        Parameters
        ----------
        exposures : sequence of ExposureRecord
        variables : sequence of str
            See `hapdask.schema`.
        """
        plan = self.plan_of(exposures, variables)
        waiting = self._masked is None and self.parameters.cosmic_rays.driz_cr
        return final_mosaic(
            plan,
            [e for e in self.exposures if e.name in {each.name for each in plan.exposures}],
            self.resolved,
            self.planned.notes,
            self.graphs.rejected(plan) if waiting else None,
        )

    @property
    def plan(self) -> Plan:
        """Plan of the product, as known so far."""
        return self.plan_of(self.exposures)

    def plan_of(self, exposures: Sequence[ExposureRecord], variables: Sequence[str] = ALL) -> Plan:
        """Plan the mosaic of some of the exposures.

        Raises
        ------
        PlanError
            If none of them reaches the frame.
        """
        masked = {e.name: e for e in self._masked or ()}
        records = [masked.get(e.name, e) for e in exposures]
        return plan_final(records, self.frame, self.parameters, variables)
