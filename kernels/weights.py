"""Weights of detector pixels from errors, flags, masks and exposure time; errors from counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import kernel


def pixel_weights(
    sci: NDArray[np.float32],
    err: NDArray[np.float32] | None,
    dq: NDArray[np.uint16] | None,
    masked: NDArray[np.bool_] | None = None,
    inverse_variance: NDArray[np.float32] | None = None,
    *,
    good_bits: int | None,
    doubtful_bits: int,
    by_error: bool,
    scale: float,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Weight and doubtful flags of every pixel.

    A pixel counts if its value is finite, its error (where there are errors) is positive and
    finite, it is not masked, and it has no DQ flag outside ``good_bits`` and ``doubtful_bits``.

    Parameters
    ----------
    sci : ndarray of float32, shape (ny, nx)
    err : ndarray of float32, shape (ny, nx), or None
    dq : ndarray of uint16, shape (ny, nx), or None
    masked : ndarray of bool, shape (ny, nx), or None
        Pixels that never count, whatever their flags.
    inverse_variance : ndarray of float32, shape (ny, nx), or None
        Weights to be multiplied by ``scale``.
    good_bits : int or None
        Flags that do no harm; None looks at no flag at all.
    doubtful_bits : int
        Flags of pixels that are used for want of better ones.
    by_error : bool
        Without ``inverse_variance``: weight 1 / (err * scale)**2 instead of ``scale``.
    scale : float
        The weight of every pixel that counts, or the factor that brings ``err``, or
        ``inverse_variance``, to output units.

    Returns
    -------
    weight : ndarray of float32, shape (ny, nx)
        0 for pixels that do not count.
    doubt : ndarray of uint16, shape (ny, nx)
        Doubtful flags of pixels that count.
    """
    weight = np.empty(sci.shape, np.float32)
    doubt = np.zeros(sci.shape, np.uint16)
    none: NDArray[Any] = np.empty((0, 0), np.float32)
    _fill(
        sci,
        none if err is None else err,
        none if inverse_variance is None else inverse_variance,
        none.astype(np.uint16) if dq is None or good_bits is None else dq,
        none.astype(np.bool_) if masked is None else masked,
        np.uint16((good_bits or 0) & 0xFFFF),
        np.uint16(doubtful_bits),
        by_error,
        scale,
        weight,
        doubt,
    )
    return weight, doubt


@kernel
def _fill(
    sci: NDArray[np.float32],
    err: NDArray[np.float32],
    inverse_variance: NDArray[np.float32],
    dq: NDArray[np.uint16],
    masked: NDArray[np.bool_],
    good: np.uint16,
    doubtful: np.uint16,
    by_error: bool,
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
                if by_error:
                    w = 1.0 / (e * e)
            if inverse_variance.size:
                w = np.float64(inverse_variance[y, x]) * scale
                counts = counts and w > 0.0
            if masked.size:
                counts = counts and not masked[y, x]
            if dq.size:
                flags = dq[y, x] & ~good
                counts = counts and (flags & ~doubtful) == 0
                doubt[y, x] = flags if counts else np.uint16(0)
            w32 = np.float32(w)
            weight[y, x] = w32 if counts and np.isfinite(w32) else np.float32(0.0)


def counting_errors(
    sci: NDArray[np.float32], to_electrons: float, floor: float
) -> NDArray[np.float32]:
    """Errors of pixels whose file has none: sqrt(max(electrons, 0) + floor).

    Parameters
    ----------
    sci : ndarray of float32, shape (ny, nx)
    to_electrons : float
        Electrons of the whole exposure per unit of ``sci``.
    floor : float, electrons**2
        Variance of a pixel without light: dark and read noise.

    Returns
    -------
    ndarray of float32, shape (ny, nx), unit of ``sci``
        0, which weighs nothing, where neither light nor floor is; NaN where ``sci`` is.
    """
    err = np.empty(sci.shape, np.float32)
    _counting_errors(sci, to_electrons, floor, err)
    return err


@kernel
def _counting_errors(
    sci: NDArray[np.float32], to_electrons: float, floor: float, err: NDArray[np.float32]
) -> None:
    for y in range(np.uint64(sci.shape[0])):
        for x in range(np.uint64(sci.shape[1])):
            electrons = np.float64(sci[y, x]) * to_electrons
            light = electrons if not electrons < 0.0 else 0.0  # NaN stays
            err[y, x] = np.float32(np.sqrt(light + floor) / to_electrons)


@kernel
def windows_with_good(bad: NDArray[np.bool_], height: int, width: int) -> int:
    """Count the windows that hold a good pixel, in every place where one touches the array.

    Parameters
    ----------
    bad : ndarray of bool, shape (ny, nx)
    height, width : int
        Of the window, at least 1.
    """
    ny, nx = bad.shape
    good, near = np.zeros(nx, np.bool_), np.zeros(nx + width - 1, np.bool_)
    total = 0
    for y in range(ny + height - 1):
        good[:] = False
        for j in range(max(y - height + 1, 0), min(y + 1, ny)):
            line = bad[j]
            for x in range(np.uint64(nx)):
                good[x] |= not line[x]
        near[:] = False
        for step in range(width):
            part = near[step : step + nx]
            for x in range(np.uint64(nx)):
                part[x] |= good[x]
        for x in range(np.uint64(nx + width - 1)):
            total += near[x]
    return total
