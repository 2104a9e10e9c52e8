"""One list of sources against references: what is near, where to begin, and the climb from there.

Not here: first offsets (`starting`), geometries and their fits (`ladder`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.ladder import Ladder
from hapdask.astrometry.fitting.starting import find_start, match_upstream
from hapdask.astrometry.fitting.tasks import Outcome, Task
from hapdask.astrometry.matching.places import Plane


def fit_lists(task: Task) -> Outcome:
    """Align a list of sources with references.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Outcome
        Its fit's pairs are indices of the two lists.
    """
    if not len(task.sources):
        return task.failed("no source")
    sources = task.sources.in_plane(task.center)
    near, references = _nearby(task, sources)
    if not len(references):
        return task.failed(f"no reference within reach of the exposure{task.remedy}")
    if task.parameters.upstream:
        start = match_upstream(sources, references, task.method, task.parameters, task.pixel_scale)
    else:
        start = find_start(sources, references, task.sources.mag, task.method, task.parameters)
    if isinstance(start, str):
        return task.failed(start)
    ladder = Ladder(task, sources, references, near, start)
    if not task.sources.errors_known:
        ladder.measure_errors()
    return ladder.climb()


def _nearby(task: Task, sources: Plane) -> tuple[NDArray[np.int64], Plane]:
    """Find the references that a source may be, and their indices."""
    plane = task.references.in_plane(task.center)
    rules = task.parameters
    reach = max(rules.searchrad, rules.relative_searchrad, rules.header_tolerance) + 5.0
    if rules.upstream:
        pixels = max(rules.use2dhist_searchrad, rules.default_searchrad, rules.relative_pixels)
        reach = 1.5 * pixels * task.pixel_scale
    low, high = sources.xy.min(axis=0) - reach, sources.xy.max(axis=0) + reach
    index = np.flatnonzero(np.all((plane.xy > low) & (plane.xy < high), axis=1))
    return index.astype(np.int64), plane.take(index)
