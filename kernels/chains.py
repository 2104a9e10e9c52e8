"""The exact map from detector pixels to output pixels of a tangent-plane grid, as it stands.

A Hubble chip maps to its own tangent plane by D2IM tables, then SIP polynomial and NPOL tables
(FITS WCS Paper IV and the SIP convention, in astropy's order), then CD; tangent plane to tangent
plane is one 3x3 homography.  Not here: mapping whole rows fast (`mapping`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel

Floats = NDArray[np.float64]


class LookupTable(NamedTuple):
    """A bilinear correction table on the detector (D2IM or NPOL).

    Attributes
    ----------
    values : ndarray of float64, shape (ny, nx), pixels
        Added to the pixel coordinate.
    start : tuple of float
        0-based detector position (x, y) of ``values[0, 0]``.
    step : tuple of float
        Detector pixels between neighbouring entries, (x, y).
    """

    values: Floats
    start: tuple[float, float]
    step: tuple[float, float]


class Chain(NamedTuple):
    """Everything that the exact chain needs, as plain arrays.

    ``geometry[k] = (1/step_x, -start_x/step_x, 1/step_y, -start_y/step_y)`` turns a detector
    position into a coordinate of table ``k``: D2IM x, D2IM y, NPOL x, NPOL y.
    """

    homography: Floats  # (3, 3): focal-plane offset in pixels -> homogeneous output pixel
    crpix: Floats  # (2,), 0-based x, y
    sip: Floats  # (2, n, n): coefficient [axis, p, q] of u**p v**q
    geometry: Floats  # (4, 4)
    d2im_x: Floats
    d2im_y: Floats
    npol_x: Floats
    npol_y: Floats


def tangent_basis(ra: float, dec: float) -> Floats:
    """Give unit vectors (east, north, outward) at a position, as the rows of a 3x3 array."""
    a, d = math.radians(ra), math.radians(dec)
    sa, ca, sd, cd = math.sin(a), math.cos(a), math.sin(d), math.cos(d)
    return np.array([[-sa, ca, 0.0], [-sd * ca, -sd * sa, cd], [cd * ca, cd * sa, sd]])


def tangent_homography(
    cd_in: Floats,
    crval_in: tuple[float, float],
    cd_out: Floats,
    crval_out: tuple[float, float],
    crpix_out: tuple[float, float],
) -> Floats:
    """Homography from focal-plane offsets of a chip to pixels of an output TAN grid.

    Parameters
    ----------
    cd_in, cd_out : ndarray of float64, shape (2, 2), degrees / pixel
        CD matrices.
    crval_in, crval_out : tuple of float, degrees
        Tangent points (RA, Dec).
    crpix_out : tuple of float
        0-based reference pixel (x, y) of the output grid.

    Returns
    -------
    ndarray of float64, shape (3, 3)
        ``H @ (f, g, 1)`` is the homogeneous 0-based output pixel; a point behind the output
        tangent plane has a third component <= 0.
    """
    to_plane = np.eye(3)
    to_plane[:2, :2] = np.radians(cd_in)
    rotation = tangent_basis(*crval_out) @ tangent_basis(*crval_in).T
    to_pixel = np.eye(3)
    to_pixel[:2, :2] = np.linalg.inv(np.radians(cd_out))
    to_pixel[:2, 2] = crpix_out
    return np.ascontiguousarray(to_pixel @ rotation @ to_plane)


def make_chain(
    homography: Floats,
    crpix: tuple[float, float],
    sip_a: Floats,
    sip_b: Floats,
    tables: tuple[LookupTable | None, LookupTable | None, LookupTable | None, LookupTable | None],
) -> Chain:
    """Assemble a `Chain`; ``tables`` are D2IM x, D2IM y, NPOL x, NPOL y, ``crpix`` is 0-based."""
    n = max(sip_a.shape[0], sip_b.shape[0])
    sip = np.zeros((2, n, n))
    sip[0, : sip_a.shape[0], : sip_a.shape[1]] = sip_a
    sip[1, : sip_b.shape[0], : sip_b.shape[1]] = sip_b
    geometry = np.zeros((4, 4))
    values = []
    for k, table in enumerate(tables):
        if table is None:
            values.append(np.zeros((2, 2)))
            continue
        (x0, y0), (dx, dy) = table.start, table.step
        geometry[k] = 1 / dx, -x0 / dx, 1 / dy, -y0 / dy
        # A table of one row or column is constant along it: repeat it, so look-ups need no case.
        padded = np.pad(table.values, [(0, int(n < 2)) for n in table.values.shape], mode="edge")
        values.append(np.ascontiguousarray(padded, dtype=np.float64))
    return Chain(homography, np.array(crpix, dtype=np.float64), sip, geometry, *values)


@inline
def _lookup(table: Floats, geometry: Floats, x: float, y: float) -> float:
    ny, nx = table.shape
    tx = min(max(x * geometry[0] + geometry[1], 0.0), nx - 1.0)
    ty = min(max(y * geometry[2] + geometry[3], 0.0), ny - 1.0)
    i, j = min(int(tx), nx - 2), min(int(ty), ny - 2)
    fx, fy = tx - i, ty - j
    below = (1 - fx) * table[j, i] + fx * table[j, i + 1]
    above = (1 - fx) * table[j + 1, i] + fx * table[j + 1, i + 1]
    value: float = (1 - fy) * below + fy * above
    return value


@inline
def _polynomial(c: Floats, u: float, v: float) -> float:
    """Sum of c[p, q] u**p v**q for p + q < n, by Horner's rule in u of Horner's rule in v."""
    n = c.shape[0]
    total = 0.0
    for p in range(n - 1, -1, -1):
        inner = 0.0
        for q in range(n - 1 - p, -1, -1):
            inner = inner * v + c[p, q]
        total = total * u + inner
    return total


@inline
def map_point(chain: Chain, x: float, y: float) -> tuple[float, float]:
    """Output pixel of one detector position by the exact chain; NaN behind the tangent plane."""
    xd = x + _lookup(chain.d2im_x, chain.geometry[0], x, y)
    yd = y + _lookup(chain.d2im_y, chain.geometry[1], x, y)
    u, v = xd - chain.crpix[0], yd - chain.crpix[1]
    f = u + _polynomial(chain.sip[0], u, v) + _lookup(chain.npol_x, chain.geometry[2], xd, yd)
    g = v + _polynomial(chain.sip[1], u, v) + _lookup(chain.npol_y, chain.geometry[3], xd, yd)
    h = chain.homography
    depth = h[2, 0] * f + h[2, 1] * g + h[2, 2]
    scale = 1.0 / depth if depth > 0.0 else np.nan
    return (
        (h[0, 0] * f + h[0, 1] * g + h[0, 2]) * scale,
        (h[1, 0] * f + h[1, 1] * g + h[1, 2]) * scale,
    )


@kernel
def map_points(chain: Chain, x: Floats, y: Floats, out_x: Floats, out_y: Floats) -> None:
    """Map detector positions by the exact chain.

    Parameters
    ----------
    chain : Chain
    x, y : ndarray of float64, shape (n,)
        0-based detector positions.
    out_x, out_y : ndarray of float64, shape (n,)
        Receive 0-based output pixels; NaN for points behind the output tangent plane.
    """
    for k in range(x.size):
        out_x[k], out_y[k] = map_point(chain, x[k], y[k])
