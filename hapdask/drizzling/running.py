"""Running many independent tasks, a bounded number at a time, on threads or on a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from distributed import Client

Result_co = TypeVar("Result_co", covariant=True)

#: Tasks in flight per thread: enough to keep it busy, few enough to stop soon.
_IN_FLIGHT = 2


class Task(Protocol[Result_co]):
    """A picklable piece of work; what can go wrong is part of its result."""

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""

    def __call__(self) -> Result_co:
        """Do it."""


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
    return _on_cluster(tasks, client) if client else _on_threads(tasks, threads)


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


def _on_cluster(tasks: Iterable[Task[Result_co]], client: Client) -> Iterator[Result_co]:
    from distributed import as_completed

    waiting = iter(tasks)
    limit = _IN_FLIGHT * max(sum(client.nthreads().values()), 1)
    first = [_submit(client, task) for task in islice(waiting, limit)]
    running = as_completed(first, loop=client.loop)
    for future in running:
        result: Result_co = future.result()
        for task in islice(waiting, 1):
            running.add(_submit(client, task))
        yield result


def _submit(client: Client, task: Task[Result_co]) -> Any:
    # Not pure: a tile that was lost with its receipt must be made again under the same digest.
    return client.submit(task, key=f"{task.key}-{time.monotonic_ns()}", retries=2)
