"""Walking through a Dataset block by block, in bounded memory.

The blocks are those that the Dataset is made of, so that nothing is computed twice; all its
variables are computed together, and a few blocks at a time keep the cores busy.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

#: Side of the blocks of a Dataset that is in memory, pixels.
_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """The pixels of one block, where it lies, and what was computed beside it."""

    y0: int
    x0: int
    data: dict[str, npt.NDArray[Any]]
    beside: Any = None


Beside = Callable[[slice, slice], Any]


def blocks_of(dataset: xr.Dataset, memory: int, beside: Beside | None = None) -> Iterator[Block]:
    """Compute a Dataset block by block, in the order of its rows.

    Parameters
    ----------
    dataset : Dataset
        Variables of one shape on dims ``y``, ``x``, lazy or not; all are computed.
    memory : int
        Bytes of blocks computed at a time; one block is computed even if it is larger.
    beside : callable, optional
        Gives, for the rows and columns of a block, something (a Dask collection, say) to be
        computed together with it.

    Yields
    ------
    Block
    """
    variables = {name: dataset[name].variable for name in dataset.data_vars}
    pixel = sum(variable.dtype.itemsize for variable in variables.values())
    batch: list[tuple[slice, slice]] = []
    for window in (*_windows(dataset), None):
        size = sum(_pixels(w) for w in (*batch, window) if w is not None) * pixel
        if batch and (window is None or size > memory):
            yield from _computed(variables, batch, beside)
            batch = []
        if window is not None:
            batch.append(window)


def _computed(
    variables: Mapping[Hashable, xr.Variable],
    batch: Sequence[tuple[slice, slice]],
    beside: Beside | None,
) -> Iterator[Block]:
    """Compute some blocks together; each is let go before the next ones are computed."""
    from dask.base import compute

    lazy = [{name: v[w].data for name, v in variables.items()} for w in batch]
    others = [None if beside is None else beside(*window) for window in batch]
    computed, done = compute(lazy, others)
    blocks = list(computed)
    for (rows, columns), other in zip(batch, done, strict=True):
        data = blocks.pop(0)
        arrays = {str(name): np.asarray(array) for name, array in data.items()}
        yield Block(rows.start, columns.start, arrays, other)


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
