"""What a run finds out once, or recalls: what is measured of its exposures, their cosmic rays.

Not here: how it is measured (`measuring`), where it is kept (`recall`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hapdask.drizzling import steps
from hapdask.drizzling.cosmic_rays import Stack
from hapdask.drizzling.rejecting import Rejection, reject_cosmic_rays
from hapdask.drizzling.warm import compile_stack
from hapdask.errors import InputError
from hapdask.recipes.astrodrizzle.measuring import Measured, attach, measure
from hapdask.recipes.astrodrizzle.recall import Recall, key_of_measured, key_of_rejected
from hapdask.recipes.reporting import Step, none_left

if TYPE_CHECKING:
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun


def stack_of(run: AstroDrizzleRun) -> Stack:
    """Give the exposures of a run that are compared with each other, and how."""
    p, measured = run.parameters, run.measured
    left = {exposure.name for exposure in run.exposures} - measured.lone
    pairs = zip(measured.exposures, measured.members, strict=bool(measured.members))
    partners = [(e, m) for e, m in pairs if e.name in left]
    return Stack(
        tuple(exposure for exposure, _ in partners),
        tuple(member for _, member in partners),
        steps.separate_parameters(p),
        steps.combination(p),
        steps.cosmic_ray_test(p),
        len(partners),
    )


def measure_run(run: AstroDrizzleRun) -> Measured:
    """Measure what must be known of every exposure of a run, or recall it.

    Raises
    ------
    PlanError
        If no exposure is left.
    """
    recall = Recall(run.where)
    records, lost = attach(run.planned, run.where / "masks")
    key = key_of_measured(records, run.planned.parameters, run.median_frame)
    known = recall.measured(key, records)
    if known is None:
        known = measure(
            records,
            run.planned,
            run.where / "masks" / key,  # masks of other parameters stay as they are
            threads=run.threads,
            progress=run.progress,
            seconds=run.seconds,
        )
        recall.keep_measured(key, known)
    known = replace(known, exposures=known.warned, left_out=lost + known.left_out)
    if not known.exposures:
        raise none_left(known.left_out)
    return known


def find_all(run: AstroDrizzleRun) -> Rejection:
    """Find the cosmic rays of all exposures of a run, or recall them.

    Raises
    ------
    StoreError
        If a mask cannot be written.
    """
    run.require("median")
    recall, stack = Recall(run.where), run.stack
    key = key_of_rejected(stack, run.median_frame)
    known = recall.rejected(key, stack.exposures)
    if known is not None or not stack.exposures:
        return Rejection(known or ())
    if run.client is not None:
        with suppress(InputError):  # told by the stage itself, which goes on without it
            compile_stack(stack, run.median_frame)
    found = reject_cosmic_rays(
        stack,
        run.median_frame,
        run.where / "masks" / key,
        client=run.client,
        threads=run.threads,
        progress=lambda done: run.progress(Step("cosmic rays", done, 0, "tiles")),
    )
    if not found.failures:
        recall.keep_rejected(key, found.exposures)
    return found
