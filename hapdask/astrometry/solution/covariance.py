"""Errors of a solved problem: covariances of exposures and sources, and the freedom used up.

All are statistical.  Where published exposures are held, what their own errors do to the others
is bounded from above, for only their own covariances are published, not those between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.elimination import Eliminated
from hapdask.astrometry.solution.factors import Factor
from hapdask.astrometry.solution.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Covariances:
    """Statistical covariances.

    Attributes
    ----------
    blocks : ndarray of float64, shape (blocks, 6, 6), mas**2
    relative : ndarray of float64, shape (blocks, 6, 6), mas**2
        Against the exposures held; the same where none is.
    sources : ndarray of float64, shape (sources, 4, 4)
    freedom : float
        Unknowns that the data, not the headers, determine.
    """

    blocks: Floats
    relative: Floats
    sources: Floats
    freedom: float


def covariances(
    problem: Problem, system: Eliminated, factor: Factor, information: Any, held: Floats
) -> Covariances:
    """Give the errors.

    Parameters
    ----------
    problem : Problem
    system : Eliminated
        With the final weights.
    factor : Factor
        Of it; used up.
    information : sparse array
        Of the headers.
    held : ndarray of float64, shape (exposures, 6, 6)
        Covariances of the exposures that are held; 0 elsewhere.
    """
    gain = _gain(problem, system, factor, information) if problem.held.any() else None
    inverse = factor.dense_inverse()
    frequent = system.frequent() if inverse is not None else np.zeros(len(system.root), bool)
    frame = np.zeros((len(system.root), 4, 4))
    if inverse is not None and gain is None:
        for part, dense in system.dense_chunks(frequent):
            spread = (inverse @ dense).reshape(system.size, -1, 4)
            frame[part] = np.einsum(
                "pna,pnb->nab", dense.reshape(spread.shape), spread, optimize=False
            )
    relative, freedom = _by_columns(
        system, factor, information, frame, ~frequent if gain is None else None
    )
    if gain is None:
        root = system.root
        sources = system.conditional + root.transpose(0, 2, 1) @ frame @ root
        return Covariances(relative, relative, sources, freedom)
    blocks = relative.copy()
    blocks[: len(held)] += held
    blocks += _handed_on(gain, held[problem.held], system)
    return Covariances(blocks, relative, _bounded(system, blocks), freedom)


def _by_columns(
    system: Eliminated,
    factor: Factor,
    information: Any,
    frame: Floats,
    rare: NDArray[np.bool_] | None,
) -> tuple[Floats, float]:
    """Covariances of blocks and the freedom; adds to ``frame`` what rare sources get from them."""
    blocks = len(system.column)
    relative = np.zeros((blocks, 6, 6))
    held_back = 0.0
    information = information.tocsc()
    walk = None if rare is None else _Walk(system, rare)
    for b in range(blocks):
        mine = np.flatnonzero(system.column[b] >= 0)
        if not len(mine):
            continue
        spread = np.zeros((system.size + 1, 6))
        spread[:-1, mine] = factor.columns(system.column[b, mine])
        whole = spread[system.column]  # column -1: the last row, which is 0
        relative[b] = whole[b]
        for k in mine:
            low, high = information.indptr[6 * b + k : 6 * b + k + 2]
            rows = information.indices[low:high]
            held_back += float(information.data[low:high] @ whole.reshape(-1, 6)[rows, k])
        if walk is not None:
            walk.add(b, whole, frame)
    relative = 0.5 * (relative + relative.transpose(0, 2, 1))
    return relative, system.size - held_back


class _Walk:
    """The part of the sources' covariance that comes by one block, block after block."""

    def __init__(self, system: Eliminated, rare: NDArray[np.bool_]) -> None:
        self._system = system
        n = len(system.root)
        self._begin = np.searchsorted(system.source, np.arange(n))
        self._count = np.bincount(system.source, minlength=n)
        order = np.argsort(system.block, kind="stable")
        order = order[rare[system.source[order]]]
        ends = np.searchsorted(system.block[order], np.arange(len(system.column) + 1))
        self._of_block = [order[a:b] for a, b in pairwise(ends.tolist())]

    def add(self, b: int, spread: Floats, frame: Floats) -> None:
        here = self._of_block[b]
        if not len(here):
            return
        s = self._system
        source = s.source[here]
        count = self._count[source]
        ends = np.concatenate([[0], np.cumsum(count)])
        every = np.arange(ends[-1]) - np.repeat(ends[:-1] - self._begin[source], count)
        part = s.coupling[every].transpose(0, 2, 1) @ spread[s.block[every]]
        total = np.add.reduceat(part, ends[:-1], axis=0)
        frame[source] += total @ s.coupling[here]


def _gain(problem: Problem, system: Eliminated, factor: Factor, information: Any) -> Floats:
    """How the unknowns follow the held exposures, shape (size, held, 6)."""
    rows = np.flatnonzero(problem.held)
    column = np.full(system.column.shape, -1, np.int64)
    column[rows] = np.arange(6 * len(rows)).reshape(-1, 6)
    every = np.ones(len(system.root), bool)
    own = system.sparse(every, system.column, system.size)
    others = system.sparse(every, column, 6 * len(rows))
    chosen = np.flatnonzero(system.column.ravel() >= 0)
    held = (6 * rows[:, np.newaxis] + np.arange(6)).ravel()
    between = information[chosen][:, held].toarray() - (own @ others.T).toarray()
    return -factor.solve(between).reshape(system.size, len(rows), 6)


def _handed_on(gain: Floats, held: Floats, system: Eliminated) -> Floats:
    """Upper bound of the covariance that held exposures hand on, shape (blocks, 6, 6)."""
    padded = np.concatenate([gain, np.zeros((1, *gain.shape[1:]))])
    by_block = padded[system.column]  # (blocks, 6, held, 6)
    parts = np.einsum("bphk,hkl,bqhl->bhpq", by_block, held, by_block, optimize=True)
    return _bound(parts, axis=1)


def _bound(parts: Floats, axis: int) -> Floats:
    """Bound the covariance of a sum of terms whose correlations nobody knows.

    cov(sum e) <= sum cov(e) / share for any shares that sum to 1; those in proportion to the
    terms' standard deviations have the least trace.
    """
    size = np.sqrt(np.maximum(np.trace(parts, axis1=-2, axis2=-1), 0.0))
    total = size.sum(axis=axis, keepdims=True)
    factor = np.divide(total, size, out=np.zeros_like(size), where=size > 0)
    return np.asarray((parts * factor[..., np.newaxis, np.newaxis]).sum(axis=axis))


def _bounded(system: Eliminated, blocks: Floats) -> Floats:
    """Upper bound of the covariances of sources, given those of the blocks."""
    n = len(system.root)
    if not n:
        return system.conditional
    follow = system.root.transpose(0, 2, 1)[system.source] @ system.coupling.transpose(0, 2, 1)
    parts = follow @ blocks[system.block] @ follow.transpose(0, 2, 1)
    size = np.sqrt(np.maximum(np.trace(parts, axis1=1, axis2=2), 0.0))
    begin = np.searchsorted(system.source, np.arange(n))
    total = np.add.reduceat(size, begin)[system.source]
    factor = np.divide(total, size, out=np.zeros_like(size), where=size > 0)
    whole = np.add.reduceat(parts * factor[:, np.newaxis, np.newaxis], begin, axis=0)
    return np.asarray(system.conditional + whole)
