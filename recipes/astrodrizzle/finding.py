"""Finding the cosmic rays of a run: of the stack, on threads or a cluster, once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hapdask.drizzling.rejecting import Rejection, reject_cosmic_rays
from hapdask.drizzling.warm import compile_stack
from hapdask.errors import InputError
from hapdask.recipes.astrodrizzle.recall import Recall, key_of_rejected
from hapdask.recipes.reporting import Step

if TYPE_CHECKING:
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun


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
