"""Normal equations of a problem, with the sources eliminated by their Schur complement.

A source's four unknowns are a small block, coupled to the blocks of the exposures that see it:
elimination leaves a system of the exposures alone, N - G G^T.  Sources seen by many exposures are
subtracted as dense products (BLAS), the others as a sparse one.
Source: Triggs et al. 2000, "Bundle adjustment - a modern synthesis", section 6.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.problem import Problem
from hapdask.astrometry.solution.robust import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A source in at least this share of the blocks is subtracted densely.
_FREQUENT = 0.1
#: Columns of a dense product: bounds its memory.
_CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Eliminated:
    """The system of the blocks, and what leads back to the sources.

    Attributes
    ----------
    column : ndarray of int, shape (blocks, 6)
        Unknown of each parameter; -1 where it is not solved for.
    size : int
        Unknowns.
    normal : sparse array, shape (6 blocks, 6 blocks)
        Before elimination.
    right : ndarray of float64, shape (6 blocks,)
        After elimination.
    block, source : ndarray of int, shape (q,)
        Couplings, by source.
    coupling : ndarray of float64, shape (q, 6, 4)
        G: of a block with a source, in units of the source's errors.
    root : ndarray of float64, shape (sources, 4, 4)
        Inverse of the lower Cholesky factor of each source's block.
    source_right : ndarray of float64, shape (sources, 4)
    """

    column: Ints
    size: int
    normal: Any
    right: Floats
    block: Ints
    source: Ints
    coupling: Floats
    root: Floats
    source_right: Floats

    @property
    def conditional(self) -> Floats:
        """Covariance of each source where the blocks are known, shape (sources, 4, 4)."""
        return np.asarray(self.root.transpose(0, 2, 1) @ self.root)

    def frequent(self) -> NDArray[np.bool_]:
        """Tell which sources are in many blocks."""
        times = np.bincount(self.source, minlength=len(self.root))
        return np.asarray(times >= max(8.0, _FREQUENT * len(self.column)))

    def dense_chunks(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[Ints, Floats]]:
        """Give some sources at a time, and their couplings as a dense array (size, 4 sources)."""
        rows = np.flatnonzero(chosen)
        step = _CHUNK // 4
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            place = np.full(len(self.root), -1, np.int64)
            place[part] = np.arange(len(part))
            k = np.flatnonzero(place[self.source] >= 0)
            dense = np.zeros((len(part), 4, self.size))  # its transpose is as BLAS likes it
            for p in range(6):
                column = self.column[self.block[k], p]
                real = column >= 0
                row = place[self.source[k[real]]]
                dense[row, :, column[real]] = self.coupling[k[real], p]
            yield part, dense.reshape(-1, self.size).T

    def sparse(self, chosen: NDArray[np.bool_], column: Ints, size: int) -> Any:
        """Couplings of some sources as a sparse array (size, 4 sources), for other columns."""
        from scipy.sparse import csr_array

        k = np.flatnonzero(chosen[self.source])
        rows = np.broadcast_to(column[self.block[k]][:, :, np.newaxis], (len(k), 6, 4))
        columns = 4 * self.source[k][:, np.newaxis, np.newaxis] + np.arange(4)
        columns = np.broadcast_to(columns, rows.shape)
        real = rows >= 0
        values = self.coupling[k][real]
        return csr_array((values, (rows[real], columns[real])), shape=(size, 4 * len(self.root)))

    def sources(self, step: Floats) -> Floats:
        """Give the sources' step, shape (sources, 4), that goes with the blocks' (blocks, 6)."""
        return _by_transpose(self.root, self.source_right - self._pulled(step))

    def product(self, step: Floats) -> Floats:
        """Multiply a step of the blocks, shape (blocks, 6), by the system's matrix."""
        back = (self.coupling @ self._pulled(step)[self.source][:, :, np.newaxis])[:, :, 0]
        own = (self.normal @ step.ravel()).reshape(step.shape)
        return np.asarray(own - _scattered(back, self.block, len(step)))

    def _pulled(self, step: Floats) -> Floats:
        """Sum what a step of the blocks does to each source, shape (sources, 4)."""
        pulled = np.einsum("qpc,qp->qc", self.coupling, step[self.block], optimize=False)
        return _summed(pulled, self.source, len(self.root))


def eliminate(
    problem: Problem, information: Any, theta: Floats, state: Floats, weights: Weights
) -> Eliminated:
    """Make the system about a state of the unknowns.

    Parameters
    ----------
    problem : Problem
    information : sparse array
        Of the headers: `header_information`.
    theta : ndarray of float64, shape (blocks, 6)
    state : ndarray of float64, shape (sources, 4)
    weights : Weights
    """
    p, w = problem, weights.detection
    n = len(p.base)
    residual = p.residuals(theta, state)
    weighted = p.slope * w[:, np.newaxis, np.newaxis]
    slope_t = weighted.transpose(0, 2, 1)
    inner = _summed((slope_t @ p.slope).reshape(-1, 16), p.source, n).reshape(n, 4, 4)
    inner[:, range(4), range(4)] += weights.prior
    pull = _summed((slope_t @ residual[:, :, np.newaxis])[:, :, 0], p.source, n)
    prior = p.prior_residuals(theta, state)
    source_right = pull - weights.prior * prior
    root = np.linalg.inv(np.linalg.cholesky(inner)) if n else np.zeros((0, 4, 4))
    design_t = p.design.transpose(0, 2, 1)
    leaning = np.flatnonzero(p.common.lean.any(axis=(1, 2)))
    lean, area = p.common.lean[leaning], p.first_area + p.common.area[leaning]
    lean_t = (lean * weights.prior[leaning, :, np.newaxis]).transpose(0, 2, 1)
    block, source, coupling = _joined(
        (p.exposure, p.source, -(design_t @ weighted)), (area, leaning, -lean_t)
    )
    coupling = coupling @ root.transpose(0, 2, 1)[source]
    source_right = np.einsum("ncd,nd->nc", root, source_right, optimize=False)
    diagonal, right = np.zeros((p.blocks, 6, 6)), np.zeros((p.blocks, 6))
    exposures = len(p.names)
    design_w = design_t * w[:, np.newaxis, np.newaxis]
    terms = (design_w @ p.design).reshape(-1, 36)
    diagonal[:exposures] = _scattered(terms, p.exposure, exposures).reshape(-1, 6, 6)
    moves = (design_w @ residual[:, :, np.newaxis])[:, :, 0]
    right[:exposures] = -_scattered(moves, p.exposure, exposures)
    diagonal += _scattered((lean_t @ lean).reshape(-1, 36), area, p.blocks).reshape(-1, 6, 6)
    right += _scattered((lean_t @ prior[leaning, :, np.newaxis])[:, :, 0], area, p.blocks)
    pulled = (coupling @ source_right[source][:, :, np.newaxis])[:, :, 0]
    right -= _scattered(pulled, block, p.blocks)
    right_all = right.ravel() - information @ (theta - p.probable()).ravel()
    active = p.active()
    column = np.where(active, np.cumsum(active.ravel()).reshape(active.shape) - 1, -1)
    size = int(active.sum())
    normal = _block_diagonal(diagonal) + information
    return Eliminated(column, size, normal, right_all, block, source, coupling, root, source_right)


def _joined(
    of_exposures: tuple[Ints, Ints, Floats], of_areas: tuple[Ints, Ints, Floats]
) -> tuple[Ints, Ints, Floats]:
    """Put the couplings of two kinds of blocks with sources together, by source."""
    if not len(of_areas[0]):
        return of_exposures
    block, source, coupling = (np.concatenate(c) for c in zip(of_exposures, of_areas, strict=True))
    order = np.argsort(source, kind="stable")
    return block[order], source[order], coupling[order]


def _summed(values: Floats, source: Ints, n: int) -> Floats:
    """Sum rows, sorted by source, per source; every source has one."""
    if not n:
        return np.zeros((0, values.shape[1]))
    return np.asarray(np.add.reduceat(values, np.searchsorted(source, np.arange(n)), axis=0))


def _scattered(values: Floats, block: Ints, n: int) -> Floats:
    """Sum rows per block, in any order of blocks."""
    if not len(values):
        return np.zeros((n, values.shape[1]))
    columns = values.T
    return np.stack([np.bincount(block, weights=c, minlength=n) for c in columns], axis=1)


def _block_diagonal(blocks: Floats) -> Any:
    from scipy.sparse import bsr_array

    n = len(blocks)
    return bsr_array((blocks, np.arange(n), np.arange(n + 1)), shape=(6 * n, 6 * n)).tocsr()


def _by_transpose(root: Floats, values: Floats) -> Floats:
    """Multiply by the transpose of each source's root."""
    return np.asarray(np.einsum("ndc,nd->nc", root, values, optimize=False))
