"""Running many independent tasks, a bounded number at a time, on threads or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING

from hapdask.drizzling.cluster import Result_co, Task, run_on_cluster

if TYPE_CHECKING:
    from distributed import Client


def processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(
    tasks: Iterable[Task[Result_co]], client: Client | None = None, threads: int = 1
) -> Iterator[Result_co]:
    """Run tasks and give each result as it comes.

    Parameters
    ----------
    tasks : iterable of Task
        Made as they are needed.
    client : distributed.Client, optional
        Threads of this process if absent.
    threads : int
        Number of threads without a client.
    """
    return run_on_cluster(tasks, client) if client else _on_threads(tasks, threads)


def _on_threads(tasks: Iterable[Task[Result_co]], threads: int) -> Iterator[Result_co]:
    waiting = iter(tasks)
    with ThreadPoolExecutor(threads) as pool:
        running = {pool.submit(task) for task in islice(waiting, threads)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(task) for task in islice(waiting, len(done))}
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()
