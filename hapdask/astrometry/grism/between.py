"""The correction that leads from one WCS of an exposure to another.

Not here: which two, and what is done with it (`carrying`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import ParameterError
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord
from hapdask.sky import tangent

Floats = NDArray[np.float64]

#: Points along each side of a chip.
_POINTS = 9
_MAS = 3.6e6  # per degree


class Between(NamedTuple):
    """A correction, and what it leaves: rms per axis over the exposure, mas."""

    correction: Correction
    rms_mas: float


def correction_between(before: ExposureRecord, after: ExposureRecord) -> Between:
    """Find the correction that makes one record of an exposure into another.

    Parameters
    ----------
    before, after : ExposureRecord
        Of one exposure, with two WCSs.

    Returns
    -------
    Between
        One affine map for all chips, by least squares over their pixels; where the two differ by
        more than a correction can do (another distortion), the rest is told.

    Raises
    ------
    ParameterError
        If they are not of one exposure.
    """
    if before.name != after.name or [c.extver for c in before.chips] != [
        c.extver for c in after.chips
    ]:
        raise ParameterError(f"{before.name} and {after.name} are not one exposure")
    old, new = _grid(before), _grid(after)
    ra, dec = tangent.sky_of(tangent.unit_vectors(*old).mean(axis=0))
    center = (float(ra), float(dec))
    xi, eta = tangent.project(*old, *center)
    to = np.stack(tangent.project(*new, *center), axis=1)
    design = np.stack([xi, eta, np.ones_like(xi)], axis=1)
    solution, *_ = np.linalg.lstsq(design, to, rcond=None)
    rest = (design @ solution - to) * _MAS
    (m11, m21), (m12, m22), (east, north) = solution.tolist()
    found = Correction(center, (m11, m12, m21, m22), (east * 3600.0, north * 3600.0))
    return Between(found, float(np.sqrt(np.mean(rest**2))))


def shift_at(correction: Correction, ra: float, dec: float) -> Floats:
    """Tell by how much a correction moves a position: east and north, mas."""
    xi, eta = (float(v) for v in tangent.project(ra, dec, *correction.center))
    m11, m12, m21, m22 = correction.matrix
    east, north = (s / 3600.0 for s in correction.shift)
    moved = np.array([m11 * xi + m12 * eta + east - xi, m21 * xi + m22 * eta + north - eta])
    return np.asarray(moved * _MAS)


def _grid(record: ExposureRecord) -> tuple[Floats, Floats]:
    """Sky positions of a grid of pixels of all chips: ra, dec in degrees."""
    found = []
    for chip in record.chips:
        ny, nx = chip.shape
        y, x = np.meshgrid(np.linspace(0, ny - 1, _POINTS), np.linspace(0, nx - 1, _POINTS))
        found.append(chip.distortion.pixel_to_sky(x.ravel(), y.ravel()))
    ra, dec = np.concatenate(found, axis=1)
    return ra, dec
