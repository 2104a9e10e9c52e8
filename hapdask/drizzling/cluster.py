"""Running tasks on a Dask cluster, and what is said where the cluster fails.

A cluster that has lost its workers waits for others for ever, and so would who waits for it: here
that ends after a while.  Not here: threads (`running`), where a cluster comes from.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hapdask.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

Result_co = TypeVar("Result_co", covariant=True)

#: Tasks in flight per thread: enough to keep it busy, few enough to stop soon.
_IN_FLIGHT = 2
#: Seconds without a result after which the workers are looked at.
_LOOK = 1.0
#: Dask's own word for how long no worker may be there, and what we take where it says nothing.
TIMEOUT = "distributed.scheduler.no-workers-timeout"
_PATIENCE = "5 minutes"
_GOES_ON = (
    "run the same again: tiles of a store that are finished, and with --work (or where) sky levels "
    "and masks, are not made again"
)
_ANEW = f"start workers and {_GOES_ON}"


class Task(Protocol[Result_co]):
    """A picklable piece of work; what can go wrong is part of its result."""

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""

    def __call__(self) -> Result_co:
        """Do it."""


def run_on_cluster(tasks: Iterable[Task[Result_co]], client: Client) -> Iterator[Result_co]:
    """Run tasks, a bounded number at a time, and give each result as it comes.

    Raises
    ------
    ClusterError
        If the scheduler is gone, no worker has been there for long (Dask's
        ``distributed.scheduler.no-workers-timeout``, else 5 minutes), or a task ends its workers.
    """
    waiting = iter(tasks)
    with cluster_errors():
        limit = _IN_FLIGHT * max(sum(client.nthreads().values()), 1)
        running = {_submit(client, task) for task in islice(waiting, limit)}
        while running:
            done, running = _first_done(running, client)
            running |= {_submit(client, task) for task in islice(waiting, len(done))}
            yield from (future.result() for future in done)


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Say in words of ours, with a remedy, why a cluster failed.

    Raises
    ------
    ClusterError
    """
    from concurrent.futures import CancelledError

    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"one task ended {error.allowed_failures + 1} workers one after another, for want of "
            "memory as a rule: give each worker more of it, or have fewer; then run the same again"
        ) from error
    except (NoWorkerError, NoValidWorkerError) as error:
        raise ClusterError(f"all workers of the cluster are gone: {_ANEW}") from error
    except (CancelledError, CommClosedError) as error:
        raise ClusterError(
            f"the scheduler of the cluster is gone: start one and {_GOES_ON}"
        ) from error


def _first_done(running: Collection[Any], client: Client) -> tuple[set[Any], set[Any]]:
    """Wait for the first results: futures that are done, and the others."""
    import dask
    from dask.utils import parse_timedelta
    from distributed import wait

    patience = parse_timedelta(dask.config.get(TIMEOUT, None) or _PATIENCE)
    alone_since: float | None = None
    while True:
        try:
            found = wait(list(running), timeout=_LOOK, return_when="FIRST_COMPLETED")
            return found.done, found.not_done
        except TimeoutError:
            now = time.monotonic()
        if client.nthreads():
            alone_since = None
        elif alone_since is None:
            log.warning("the cluster has no worker: waiting up to %.0f s for one", patience)
            alone_since = now
        elif now - alone_since > patience:
            raise ClusterError(f"the cluster has had no worker for {patience:.0f} s: {_ANEW}")


def _submit(client: Client, task: Task[Result_co]) -> Any:
    # Not pure: a tile that was lost with its receipt must be made again under the same digest.
    return client.submit(task, key=f"{task.key}-{time.monotonic_ns()}", retries=2)
