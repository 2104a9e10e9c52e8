"""The median of a whole stack, made once and kept as files for as long as it is looked at.

Blots of many exposures look at the same tiles of the median.  A lazy image makes those that it
needs anew, so the work for all blots would grow with the square of their number; with the tiles on
disk each is made once, and only a window of it is read.  Not here: what a tile is made of
(`step_tasks`), which tiles there are (`step_graphs`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from hapdask.drizzling.running import run_tasks
from hapdask.drizzling.step_graphs import StepGraphs
from hapdask.drizzling.step_tasks import MedianTile
from hapdask.errors import HapdaskError, StoreError

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True)
class KeepTile:
    """Makes a tile of the median and keeps it as a file."""

    tile: MedianTile
    path: str

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""
        return "hapdask-median-{}-{}-{}-{}".format(*self.tile.tile.box)

    def __call__(self) -> HapdaskError | None:
        """Make it; an error of hapdask's is a result, so that no cluster tries again."""
        side = f"{self.path}.{uuid4().hex}.npy"
        try:
            np.save(side, self.tile())
            os.replace(side, self.path)  # a task that a cluster runs twice leaves a whole file
        except HapdaskError as error:
            return error
        except OSError as error:
            return StoreError(f"{self.path} cannot be written: {error}")
        return None


@contextmanager
def kept_medians(
    graphs: StepGraphs, where: Path, *, client: Client | None = None, threads: int = 1
) -> Iterator[StepGraphs]:
    """Make all medians of a stack, and keep them for the length of a ``with`` block.

    Parameters
    ----------
    graphs : StepGraphs
    where : Path
        For a folder of their own, gone afterwards; the workers of a cluster must see it.
    client : distributed.Client, optional
    threads : int
        Number of threads without a client.

    Yields
    ------
    StepGraphs
        Of the same bits: its images read the medians that were kept.

    Raises
    ------
    InputError
        If an exposure cannot be read.
    StoreError
        If a median cannot be written.
    """
    try:
        where.mkdir(parents=True, exist_ok=True)
        # What a file system still holds of an open file must not end a run that has its products.
        folder = TemporaryDirectory(
            prefix="medians-", dir=where.absolute(), ignore_cleanup_errors=True
        )
    except OSError as error:
        raise StoreError(f"{where} cannot be written: {error}") from error
    with folder as name:
        reading, tiles = graphs.reading(name)
        tasks = (KeepTile(tile, path) for path, tile in tiles.items())
        for failure in run_tasks(tasks, client, threads):
            if failure is not None:
                raise failure
        yield reading
