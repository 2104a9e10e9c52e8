"""The regions of sky that a catalog is asked for: a `Cone`, or a `Footprint` of the sky floor.

Here: containment, widening, and the HEALPix cells that a region needs.  Not here: the stars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.sky.footprint import Footprint
from hapdask.sky.tangent import deproject, project, sky_of, unit_vectors, wrap

FloatArray = npt.NDArray[np.float64]

#: Queries are rounded outwards to this, degrees: regions that differ by less share a cached answer.
ROUNDING = 0.001
#: What a question adds around a region, degrees: stars of 1 arcsec / yr move in from so far.
MARGIN = 30.0 / 3600.0
#: Orders of the HEALPix cells of a region: the deepest has 52 arcsec, more than `MARGIN`.
_ORDERS = (3, 12)
#: A region is about so many cells across, unless it is small.
_CELLS_ACROSS = 32


@dataclass(frozen=True)
class Cone:
    """A circle on the sky.

    Parameters
    ----------
    ra, dec : float
        Centre, ICRS degrees.
    radius : float
        Degrees, above 0 and at most 180.

    Raises
    ------
    ParameterError
        If this is no circle on the sky.
    """

    ra: float
    dec: float
    radius: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.ra) and abs(self.dec) <= 90.0):
            raise ParameterError(f"({self.ra}, {self.dec}) is no position on the sky, in degrees")
        if not 0.0 < self.radius <= 180.0:
            raise ParameterError(f"radius = {self.radius} is not between 0 and 180 degrees")
        object.__setattr__(self, "ra", float(wrap(self.ra)))

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether positions (ICRS degrees) lie inside."""
        return self.distance(ra, dec) <= self.radius

    def distance(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> FloatArray:
        """Angular distances of positions (ICRS degrees) from the centre, degrees."""
        points, centre = unit_vectors(ra, dec), unit_vectors(self.ra, self.dec)
        chord = np.linalg.norm(points - centre, axis=-1)
        return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0))))


Region: TypeAlias = Cone | Footprint


class Cells(NamedTuple):
    """HEALPix cells of one order: ``pixels`` is an ndarray of int64, nested."""

    order: int
    pixels: npt.NDArray[np.int64]


def bounding_cone(region: Region, margin: float = MARGIN) -> Cone:
    """Make a cone, rounded outwards to `ROUNDING`, that holds a region and a margin (degrees)."""
    if isinstance(region, Cone):
        ra, dec, radius = region.ra, region.dec, region.radius
    else:
        cap = region.bounding_cap
        (ra, dec), radius = map(float, sky_of(cap.vector)), cap.radius
    # The centre moves by less than ROUNDING, so that much more is asked for.
    steps = np.ceil((radius + margin) / ROUNDING) + 1.0
    size = float(np.round(steps * ROUNDING, 6))
    rounded = float(np.round(np.round(dec / ROUNDING) * ROUNDING, 6))
    step = ROUNDING / max(np.cos(np.radians(rounded)), ROUNDING)
    turned = float(np.round(np.round(ra / step) * step, 6))
    return Cone(turned, max(-90.0, min(90.0, rounded)), min(size, 180.0))


def widened_outline(region: Region, margin: float = MARGIN) -> tuple[FloatArray, FloatArray] | None:
    """Vertices of a convex polygon, widened by at least a margin.

    Parameters
    ----------
    region : Cone or Footprint
    margin : float
        Degrees.

    Returns
    -------
    ra, dec : ndarray of float64, or None
        ICRS degrees, counterclockwise as seen on the sky; None where the region is not one
        convex polygon.
    """
    if isinstance(region, Cone) or len(region.polygons) != 1:
        return None
    ra0, dec0 = map(float, sky_of(region.bounding_cap.vector))
    xi, eta = project(*region.polygons[0], ra0, dec0)
    dxi, deta = np.roll(xi, -1) - xi, np.roll(eta, -1) - eta
    turns = dxi * np.roll(deta, -1) - deta * np.roll(dxi, -1)
    # Twice the area of the triangle of each edge and the middle: its sign tells the side.
    areas = xi * np.roll(eta, -1) - eta * np.roll(xi, -1)
    same_side = np.all(areas > 0.0) or np.all(areas < 0.0)
    if not (same_side and (np.all(turns >= 0.0) or np.all(turns <= 0.0))):
        return None
    nearest = float((np.abs(areas) / np.hypot(dxi, deta)).min())
    scale = 1.0 + margin / nearest
    # Beyond a degree the plane is no longer the sky for an outline so much enlarged.
    if scale * float(np.hypot(xi, eta).max()) > 1.0:
        return None
    ra, dec = deproject(scale * xi, scale * eta, ra0, dec0)
    return (ra[::-1], dec[::-1]) if areas[0] > 0.0 else (ra, dec)  # east is left on the sky


def healpix_cells(region: Region) -> Cells:
    """HEALPix cells that a region touches and, as a margin for what moves, their neighbours."""
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from mocpy import MOC

    width = 2.0 * (region.radius if isinstance(region, Cone) else region.bounding_cap.radius)
    wanted = np.log2(_CELLS_ACROSS * 58.6 / width)  # a cell of order 0 is 58.6 degrees wide
    order = int(np.clip(np.floor(wanted), *_ORDERS))
    if isinstance(region, Cone):
        moc = MOC.from_cone(
            lon=Longitude(region.ra, unit="deg"),
            lat=Latitude(region.dec, unit="deg"),
            radius=region.radius * u.deg,
            max_depth=order,
        )
    else:
        moc = region.to_moc(order)
    return Cells(order, np.asarray(moc.add_neighbours().flatten(), dtype=np.int64))
