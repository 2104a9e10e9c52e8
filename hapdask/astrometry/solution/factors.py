"""Factorisation of the exposures' system, dense or sparse, and columns of its inverse.

One interface over both, so that nothing above knows which it was.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.elimination import Eliminated
from hapdask.errors import ParameterError

Floats = NDArray[np.float64]


#: Columns that are mirrored at a time.
_STRIP = 256


class Factor(Protocol):
    """A factorised system."""

    def solve(self, right: Floats) -> Floats:
        """Solve, shape (size,) or (size, k)."""

    def columns(self, which: NDArray[np.int64]) -> Floats:
        """Columns of the inverse, shape (size, k)."""

    def dense_inverse(self) -> Floats | None:
        """Give the whole inverse, where it is kept."""


def factorise(system: Eliminated, most_dense: int) -> Factor:
    """Factorise; dense up to so many unknowns, else sparse."""
    return _Dense(system) if system.size <= most_dense else _Sparse(system)


def _selected(system: Eliminated) -> Any:
    chosen = np.flatnonzero(system.column.ravel() >= 0)
    return system.normal[chosen][:, chosen]


class _Dense:
    def __init__(self, system: Eliminated) -> None:
        from scipy.linalg.blas import dsyrk
        from scipy.linalg.lapack import dpotrf

        matrix = _selected(system).toarray().T  # symmetric, and columns first as LAPACK wants
        frequent = system.frequent()
        for _, dense in system.dense_chunks(frequent):
            matrix = dsyrk(-1.0, dense, beta=1.0, c=matrix, lower=1, overwrite_c=1)
        if not frequent.all():
            rare = system.sparse(~frequent, system.column, system.size)
            product = (rare @ rare.T).tocoo()
            matrix[product.row, product.col] -= product.data
        self._root, failed = dpotrf(matrix, lower=1, overwrite_a=1)
        if failed:
            raise ParameterError(_SINGULAR)
        self._inverse: Floats | None = None

    def solve(self, right: Floats) -> Floats:
        from scipy.linalg.lapack import dpotrs

        return np.asarray(dpotrs(self._root, right, lower=1)[0])

    def columns(self, which: NDArray[np.int64]) -> Floats:
        return self.dense_inverse()[:, which]

    def dense_inverse(self) -> Floats:
        """Invert in the place of the factor: after it, `solve` is over."""
        from scipy.linalg.lapack import dpotri

        if self._inverse is None:
            inverse = dpotri(self._root, lower=1, overwrite_c=1)[0]
            for k in range(0, len(inverse), _STRIP):
                here = inverse[k : k + _STRIP, k : k + _STRIP]
                here[:] = np.tril(here) + np.tril(here, -1).T
                inverse[k : k + _STRIP, k + _STRIP :] = inverse[k + _STRIP :, k : k + _STRIP].T
            self._inverse = inverse
        return self._inverse


class _Sparse:
    def __init__(self, system: Eliminated) -> None:
        from scipy.sparse.linalg import splu

        every = np.ones(len(system.root), bool)
        coupling = system.sparse(every, system.column, system.size)
        matrix = (_selected(system) - coupling @ coupling.T).tocsc()
        self._size = system.size
        try:
            self._lu = splu(
                matrix,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError as error:
            raise ParameterError(_SINGULAR) from error

    def solve(self, right: Floats) -> Floats:
        return np.asarray(self._lu.solve(right))

    def columns(self, which: NDArray[np.int64]) -> Floats:
        right = np.zeros((self._size, len(which)))
        right[which, np.arange(len(which))] = 1.0
        return np.asarray(self._lu.solve(right))

    def dense_inverse(self) -> None:
        return None


_SINGULAR = (
    "the joint solution is singular: errors of detections and priors differ by too many powers "
    "of ten; give detections true errors in mas"
)
