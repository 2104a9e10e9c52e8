"""Walking through a Dataset block by block, in bounded memory.

The blocks are those that the Dataset is made of, so that nothing is computed twice; all its
variables are computed together.  On threads of this process each block is a job of its own, and
the next ones are computed while the caller is busy with one; another scheduler of Dask (a
cluster) gets as many together as the memory holds.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.drizzling.palette import Palette
    from hapdask.sky.frame import Frame

#: Side of the blocks of a Dataset that is in memory, pixels.
_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """The pixels of one block, where it lies, and what was computed beside it.

    With ``keys``, its ``ctx`` holds numbers of sets of inputs, of which these are the keys.
    """

    y0: int
    x0: int
    data: dict[str, npt.NDArray[Any]]
    beside: Any = None
    keys: npt.NDArray[np.uint64] | None = None


@dataclass(frozen=True, slots=True)
class Blocks:
    """A mosaic that is made block by block while it is written.

    Attributes
    ----------
    frame : Frame
    variables : tuple of str
        Of every block.
    visit : callable
        Makes the blocks and calls its argument with each, and with the palette of its ``ctx``;
        from any thread, from several at a time.
    """

    frame: Frame
    variables: tuple[str, ...]
    visit: Callable[[Visitor], None]


Visitor = Callable[[Block, "Palette | None"], None]
Beside = Callable[[slice, slice], Any]


Window = tuple[slice, slice]


def blocks_of(
    dataset: xr.Dataset,
    memory: int,
    beside: Beside | None = None,
    *,
    threads: int | None = None,
    ordered: bool = True,
) -> Iterator[Block]:
    """Compute a Dataset block by block.

    Parameters
    ----------
    dataset : Dataset
        Variables of one shape on dims ``y``, ``x``, lazy or not; all are computed.
    memory : int
        Bytes of blocks computed at a time; one block is computed even if it is larger.
    beside : callable, optional
        Gives, for the rows and columns of a block, something (a Dask collection, say) to be
        computed together with it.
    threads : int, optional
        Threads of this process to compute on, where Dask has not been told otherwise; as many as
        it would take if None.
    ordered : bool
        Whether blocks come in the order of their rows, or as they are done.

    Yields
    ------
    Block
    """
    walk = _Walk({name: dataset[name].variable for name in dataset.data_vars}, beside)
    windows = _windows(dataset)
    lazy = beside is not None or any(v.chunks for v in walk.variables.values())
    if not (lazy and _on_own_threads()):
        yield from walk.together(windows, memory)
        return
    yield from walk.apart(windows, memory, threads or _default_threads(), ordered)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Computes blocks of some variables."""

    variables: Mapping[Hashable, xr.Variable]
    beside: Beside | None

    def together(self, windows: Sequence[Window], memory: int) -> Iterator[Block]:
        """Compute a batch at a time; each block is let go before the next ones are computed."""
        batch: list[Window] = []
        for window in (*windows, None):
            size = sum(self._bytes(w) for w in (*batch, window) if w is not None)
            if batch and (window is None or size > memory):
                done = self._compute(batch, None)
                batch = []
                while done:
                    yield done.pop(0)
            if window is not None:
                batch.append(window)

    def apart(
        self, windows: Sequence[Window], memory: int, threads: int, ordered: bool
    ) -> Iterator[Block]:
        """Compute each block by itself, some on threads while the caller has another."""
        waiting = deque(windows)
        running: dict[Future[Block], int] = {}  # oldest first
        with ThreadPoolExecutor(threads) as pool:
            try:
                while waiting or running:
                    while waiting and (
                        not running or sum(running.values()) + self._bytes(waiting[0]) <= memory
                    ):
                        window = waiting.popleft()
                        running[pool.submit(self._one, window)] = self._bytes(window)
                    first = next(iter(running)) if ordered else None
                    done = wait([first] if first else running, return_when=FIRST_COMPLETED).done
                    future = first or done.pop()
                    yield future.result()
                    del running[future], future, done, first
            finally:
                for left in running:
                    left.cancel()

    def _one(self, window: Window) -> Block:
        from dask.local import get_sync  # by its name, Dask would import its cluster to find it

        return self._compute([window], get_sync)[0]

    def _compute(self, batch: Sequence[Window], scheduler: Any) -> list[Block]:
        from dask.base import compute

        lazy = [{name: v[w].data for name, v in self.variables.items()} for w in batch]
        others = [None if self.beside is None else self.beside(*window) for window in batch]
        options = {} if scheduler is None else {"scheduler": scheduler}
        computed, done = compute(lazy, others, **options)
        blocks = []
        for (rows, columns), data, other in zip(batch, computed, done, strict=True):
            arrays = {str(name): np.asarray(array) for name, array in data.items()}
            blocks.append(Block(rows.start, columns.start, arrays, other))
        return blocks

    def _bytes(self, window: Window) -> int:
        pixel = sum(int(v.dtype.itemsize) for v in self.variables.values())
        return _pixels(window) * pixel


def _on_own_threads() -> bool:
    """Whether Dask would compute on threads of this process, as it does unless told otherwise."""
    import dask.threaded

    if dask.config.get("pool", None) is not None:
        return False
    if dask.config.get("scheduler", None) is None and "distributed" not in sys.modules:
        return True  # no cluster can be there, and to ask Dask would import it
    from dask.base import get_scheduler

    scheduler = get_scheduler()
    return bool(scheduler is None or scheduler is dask.threaded.get)


def _default_threads() -> int:
    import dask
    from dask.system import CPU_COUNT

    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _windows(dataset: xr.Dataset) -> list[tuple[slice, slice]]:
    chunks = next((v.chunks for v in dataset.data_vars.values() if v.chunks), None)
    if chunks is None:
        shape = (dataset.sizes["y"], dataset.sizes["x"])
        chunks = tuple(_even(n) for n in shape)
    rows, columns = (_slices(sizes) for sizes in chunks)
    return list(product(rows, columns))


def _even(n: int) -> tuple[int, ...]:
    return tuple(min(_SIDE, n - start) for start in range(0, n, _SIDE))


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _pixels(window: tuple[slice, slice]) -> int:
    rows, columns = window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
