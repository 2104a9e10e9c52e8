"""Weights of detector pixels from errors, flags and exposure time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel


def pixel_weights(
    sci: NDArray[np.float32],
    err: NDArray[np.float32] | None,
    dq: NDArray[np.uint16] | None,
    *,
    good_bits: int | None,
    doubtful_bits: int,
    inverse_variance: bool,
    scale: float,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Weight and doubtful flags of every pixel.

    A pixel counts if its value is finite, its error (where there are errors) is positive and
    finite, and it has no DQ flag outside ``good_bits`` and ``doubtful_bits``.

    Parameters
    ----------
    sci : ndarray of float32, shape (ny, nx)
    err : ndarray of float32, shape (ny, nx), or None
    dq : ndarray of uint16, shape (ny, nx), or None
    good_bits : int or None
        Flags that do no harm; None looks at no flag at all.
    doubtful_bits : int
        Flags of pixels that are used for want of better ones.
    inverse_variance : bool
        Weight 1 / (err * scale)**2 instead of ``scale``.
    scale : float
        The weight of every pixel that counts, or the factor that brings ``err`` to output units.

    Returns
    -------
    weight : ndarray of float32, shape (ny, nx)
        0 for pixels that do not count.
    doubt : ndarray of uint16, shape (ny, nx)
        Doubtful flags of pixels that count.
    """
    weight = np.empty(sci.shape, np.float32)
    doubt = np.zeros(sci.shape, np.uint16)
    no_err: NDArray[Any] = np.empty((0, 0), np.float32)
    no_dq: NDArray[Any] = np.empty((0, 0), np.uint16)
    _fill(
        sci,
        no_err if err is None else err,
        no_dq if dq is None or good_bits is None else dq,
        np.uint16((good_bits or 0) & 0xFFFF),
        np.uint16(doubtful_bits),
        inverse_variance,
        scale,
        weight,
        doubt,
    )
    return weight, doubt


@kernel
def _fill(
    sci: NDArray[np.float32],
    err: NDArray[np.float32],
    dq: NDArray[np.uint16],
    good: np.uint16,
    doubtful: np.uint16,
    inverse_variance: bool,
    scale: float,
    weight: NDArray[np.float32],
    doubt: NDArray[np.uint16],
) -> None:
    for y in range(np.uint64(sci.shape[0])):
        for x in range(np.uint64(sci.shape[1])):
            counts = np.isfinite(sci[y, x])
            w = scale
            if err.size:
                e = np.float64(err[y, x]) * scale
                counts = counts and err[y, x] > 0.0 and np.isfinite(err[y, x])
                if inverse_variance:
                    w = 1.0 / (e * e)
            if dq.size:
                flags = dq[y, x] & ~good
                counts = counts and (flags & ~doubtful) == 0
                doubt[y, x] = flags if counts else np.uint16(0)
            w32 = np.float32(w)
            weight[y, x] = w32 if counts and np.isfinite(w32) else np.float32(0.0)
