"""Workers for a run: a cluster of processes on this machine, or one that is there already."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from hapdask.cli.memory import keep_freed_memory
from hapdask.errors import HapdaskError

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = "10s"
#: How long none of the processes of ours may be there: those that end are started anew at once.
_NO_WORKERS = "60s"


@contextmanager
def workers_for(workers: int | None, scheduler: str | None) -> Iterator[Client | None]:
    """Give a client of the workers asked for; None where threads of this process shall work.

    Parameters
    ----------
    workers : int or None
        Processes of one thread each, started for this run and reachable from this machine only.
    scheduler : str or None
        Address of a scheduler.

    Raises
    ------
    HapdaskError
        If there is no scheduler at the address.
    ClusterError
        If the workers, or the scheduler, are gone for good.
    """
    if workers is None and scheduler is None:
        yield None
        return
    if workers is not None and scheduler is not None:
        raise typer.BadParameter("choose --workers or --scheduler")
    if workers is not None and workers < 1:
        raise typer.BadParameter(f"{workers} workers cannot work", param_hint="--workers")
    import dask
    from distributed import Client, LocalCluster

    from hapdask.drizzling.cluster import TIMEOUT, cluster_errors

    if scheduler is not None:
        try:
            # A client that fails would stay Dask's default one, and all that follows wait for it.
            Client(scheduler, timeout=_PATIENCE, set_as_default=False).close()
        except (OSError, ValueError) as error:
            raise HapdaskError(f"no Dask scheduler answers at {scheduler}: {error}") from error
        with Client(scheduler, timeout=_PATIENCE) as client, cluster_errors():
            yield client
        return
    patience = dask.config.get(TIMEOUT, None) or _NO_WORKERS
    with _no_interrupts(), dask.config.set({TIMEOUT: patience}):
        cluster = LocalCluster(
            n_workers=workers,
            processes=True,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster) as client, cluster_errors():
        client.run(keep_freed_memory)
        yield client


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C: it is this process that ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
