"""Weighted least squares of shift, rshift, rscale and general, with the full covariance.

tweakwcs's linear fits take one weight per position and give no covariance; the errors of
reference stars differ by axis, and acceptance needs the covariance.  With equal weights both agree
to rounding (tested).

``reference = matrix @ source + shift``, solved about the weighted middle of the sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.result import PARAMETERS

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solved:
    """Outcome of one least squares.

    Attributes
    ----------
    matrix : ndarray of float64, shape (2, 2)
    shift : ndarray of float64, shape (2,)
    covariance : ndarray of float64, shape (6, 6)
        Of m11, m12, m21, m22, shift x, shift y; not scaled by chi2.
    residuals : ndarray of float64, shape (n, 2)
        Reference less fitted source.
    """

    matrix: Floats
    shift: Floats
    covariance: Floats
    residuals: Floats

    def apply(self, xy: Floats) -> Floats:
        """Map source positions, shape (n, 2)."""
        moved: Floats = xy @ self.matrix.T + self.shift
        return moved


def solve(geometry: str, sources: Floats, references: Floats, variance: Floats) -> Solved | None:
    """Fit one geometry.

    Parameters
    ----------
    geometry : {"shift", "rshift", "rscale", "general"}
    sources, references : ndarray of float64, shape (n, 2)
    variance : ndarray of float64, shape (n, 2)
        Of their differences; positive.

    Returns
    -------
    Solved or None
        None where the positions cannot fix the geometry: too few, or all in one line.
    """
    if 2 * len(sources) < PARAMETERS[geometry]:
        return None
    weight = 1.0 / variance
    middle = np.average(sources, axis=0, weights=weight.sum(axis=1))
    centred = sources - middle
    matrix = np.eye(2)
    steps = 3 if geometry == "rshift" else 1  # a rotation alone is not linear
    for _ in range(steps):
        start = centred @ matrix.T
        design = _design(geometry, start)
        found = _least_squares(design, references - middle - start, weight)
        if found is None:
            return None
        parameters, covariance = found
        change, shift = _unpack(geometry, parameters)
        matrix = change @ matrix
    if geometry == "general":
        # the first-order change is the whole change: start was the source itself
        matrix = change
    full = _full_covariance(geometry, covariance, middle)
    total = middle + shift - matrix @ middle
    return Solved(matrix, total, full, references - sources @ matrix.T - total)


def _design(geometry: str, xy: Floats) -> Floats:
    """Give the derivatives of both coordinates by the parameters, shape (n, 2, p); shifts first."""
    out = np.zeros((len(xy), 2, PARAMETERS[geometry]))
    out[:, 0, 0] = out[:, 1, 1] = 1.0
    x, y = xy.T
    if geometry in ("rshift", "rscale"):
        out[:, 0, 2], out[:, 1, 2] = -y, x
    if geometry == "rscale":
        out[:, 0, 3], out[:, 1, 3] = x, y
    if geometry == "general":
        out[:, 0, 2], out[:, 0, 3], out[:, 1, 4], out[:, 1, 5] = x, y, x, y
    return out


def _least_squares(design: Floats, target: Floats, weight: Floats) -> tuple[Floats, Floats] | None:
    """Solve by QR with columns scaled: parameters and their covariance."""
    root = np.sqrt(weight).ravel()
    a = design.reshape(len(root), -1) * root[:, None]
    norm = np.linalg.norm(a, axis=0)
    if not np.all(norm > 0):
        return None
    q, r = np.linalg.qr(a / norm)
    diagonal = np.abs(np.diag(r))
    if diagonal.min() < 1e-9:
        return None
    inverse = np.linalg.inv(r)
    parameters = inverse @ (q.T @ (target.ravel() * root)) / norm
    return parameters, (inverse @ inverse.T) / np.outer(norm, norm)


def _unpack(geometry: str, p: Floats) -> tuple[Floats, Floats]:
    shift = p[:2]
    if geometry == "shift":
        return np.eye(2), shift
    if geometry == "rshift":
        c, s = np.cos(p[2]), np.sin(p[2])
        return np.array([[c, -s], [s, c]]), shift
    if geometry == "rscale":
        return np.array([[1 + p[3], -p[2]], [p[2], 1 + p[3]]]), shift
    return np.array([[1 + p[2], p[3]], [p[4], 1 + p[5]]]), shift


#: Derivatives of m11, m12, m21, m22 by the parameters after the shifts, near identity.
_JACOBIANS = {
    "shift": np.zeros((4, 0)),
    "rshift": np.array([[0.0], [-1.0], [1.0], [0.0]]),
    "rscale": np.array([[0.0, 1.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
    "general": np.eye(4),
}


def _full_covariance(geometry: str, covariance: Floats, middle: Floats) -> Floats:
    """Covariance of the six numbers about the origin, from that about the middle."""
    jacobian = np.zeros((6, PARAMETERS[geometry]))
    jacobian[:4, 2:] = _JACOBIANS[geometry]
    jacobian[4, :2], jacobian[5, :2] = (1.0, 0.0), (0.0, 1.0)
    x, y = middle
    lever = np.array([[x, y, 0.0, 0.0], [0.0, 0.0, x, y]])
    jacobian[4:, :] -= lever @ jacobian[:4, :]
    full: Floats = jacobian @ covariance @ jacobian.T
    return full
