"""Kernels of the later steps, loaded while the first ones read pixels.

Loading compiled code and importing modules is work for one thread, a tenth of a second in all;
while exposures are measured the calling thread has nothing to do.  Where nothing is compiled yet
this compiles.  What is loaded is needed in any case: results do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

from hapdask.drizzling import steps
from hapdask.drizzling.cosmic_rays import Stack
from hapdask.drizzling.median import StackMember
from hapdask.drizzling.warm import compile_kernels, compile_stack
from hapdask.errors import HapdaskError

if TYPE_CHECKING:
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun

#: Stands for what is not measured yet: its figures choose no kernel.
_MEMBER = StackMember(mean_weight=1.0, sky=0.0, read_noise=1.0)


@contextmanager
def loading_ahead(run: AstroDrizzleRun, planes: Sequence[str]) -> Iterator[None]:
    """Load what a run needs once it is measured, for the length of a ``with`` block.

    Parameters
    ----------
    run : AstroDrizzleRun
    planes : sequence of str
        Of the mosaic that will be written.
    """
    thread = Thread(target=_load, args=(run, planes), name="hapdask-ahead")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _load(run: AstroDrizzleRun, planes: Sequence[str]) -> None:
    """Load it; what is wrong with the inputs is told by the steps themselves."""
    p, exposures = run.planned.parameters, tuple(run.planned.exposures)
    with suppress(HapdaskError):
        if p.median.median and p.cosmic_rays.driz_cr and len(exposures) > 1:
            stack = Stack(
                exposures,
                (_MEMBER,) * len(exposures),
                steps.separate_parameters(p),
                steps.combination(p),
                steps.cosmic_ray_test(p),
                len(exposures),
            )
            compile_stack(stack, run.median_frame)
    with suppress(HapdaskError):
        if p.final.driz_combine:
            plan = run.plan_of(exposures, planes)
            compile_kernels(plan.patches, plan.parameters.kernel, plan.variables)
