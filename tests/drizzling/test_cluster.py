"""Tasks on a cluster that fails: an error that says what to do, and no waiting for ever."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker, NoWorkerError

from hapdask.drizzling.cluster import TIMEOUT, cluster_errors
from hapdask.drizzling.running import run_tasks
from hapdask.errors import ClusterError, StoreError


@dataclass(frozen=True)
class Nap:
    number: int
    seconds: float = 0.02

    @property
    def key(self):
        return f"nap-{self.number}"

    def __call__(self):
        time.sleep(self.seconds)
        return self.number


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:  # fmt: skip
        yield cluster


def killing(cluster, stop):
    """Kill the workers, and all that are started in their place."""
    while not stop.wait(0.05):
        for nanny in list(cluster.workers.values()):
            with suppress(ProcessLookupError, TypeError):  # it is just being started
                os.kill(nanny.pid, signal.SIGKILL)


def test_every_task_is_done_and_then_a_cluster_without_workers_ends_the_run(cluster):
    with Client(cluster) as client:
        assert sorted(run_tasks(map(Nap, range(30)), client)) == list(range(30))
        stop = Event()
        killer = Thread(target=killing, args=(cluster, stop))
        results = run_tasks((Nap(n, 0.5) for n in range(100)), client)
        assert next(results) < 4
        killer.start()
        try:
            with (
                dask.config.set({TIMEOUT: "1s"}),
                pytest.raises(ClusterError, match=r"no worker for 1 s: start workers.*--work"),
            ):
                list(results)
        finally:
            stop.set()
            killer.join()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KilledWorker("t", None, 3), "one task ended 4 workers.*memory"),
        (FutureCancelledError("t", "scheduler-connection-lost"), "the scheduler .* is gone"),
        (NoWorkerError("t", 60.0), "all workers of the cluster are gone.*run the same again"),
    ],
)
def test_what_dask_says_is_said_in_our_words(error, told):
    with pytest.raises(ClusterError, match=told), cluster_errors():
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(StoreError), cluster_errors():
        raise StoreError("full")
