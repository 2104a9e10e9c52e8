"""`Footprint`: a region of sky bounded by great circles.

Here: polygons on the sphere, S_REGION in and out, MOC out, containment and overlap. Not here:
pixel grids (`hapdask.sky.frame`) and the footprint of an exposure, which needs its distortion
(`hapdask.observe`).

Everything is done with unit vectors, so neither a pole nor RA 0 is special. A polygon's inside
is its smaller side; it must lie within 80 degrees of its middle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hapdask.errors import FrameError
from hapdask.sky import sregion
from hapdask.sky.planar import inside_point, points_in_polygon
from hapdask.sky.tangent import axes, sky_of, unit_vectors, wrap

if TYPE_CHECKING:
    from mocpy import MOC

FloatArray = npt.NDArray[np.float64]
Polygon = tuple[tuple[float, ...], tuple[float, ...]]

#: Largest distance of a vertex from the middle of its polygon, degrees.
MAX_RADIUS = 80.0


class Cap(NamedTuple):
    """A circle on the sky: unit vector of its centre, shape (3,), and radius in degrees."""

    vector: FloatArray
    radius: float


@dataclass(frozen=True)
class Footprint:
    """A region of sky: one or more polygons whose edges are great circles. Immutable.

    Parameters
    ----------
    polygons : tuple of (ra, dec)
        For each polygon the tuples of its vertices' coordinates, ICRS degrees, in either
        sense of rotation. A last vertex that repeats the first is dropped.

    Raises
    ------
    FrameError
        A polygon has fewer than three vertices, a coordinate is impossible, or a vertex is more
        than `MAX_RADIUS` from the polygon's middle.

    Examples
    --------
    >>> pole = Footprint.from_vertices([0.0, 90.0, 180.0, 270.0], [89.0] * 4)
    >>> bool(pole.contains(123.0, 89.9))
    True
    >>> Footprint.from_sregion("CIRCLE ICRS 359.99 0 0.1").overlaps(
    ...     Footprint.from_sregion("CIRCLE ICRS 0.01 0 0.1"))
    True
    """

    polygons: tuple[Polygon, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "polygons", tuple(_checked(*p) for p in self.polygons))

    @classmethod
    def from_vertices(cls, ra: npt.ArrayLike, dec: npt.ArrayLike) -> Footprint:
        """Make a footprint of one polygon from its vertices, ICRS degrees, shape (n,)."""
        return cls(((tuple(np.ravel(ra).tolist()), tuple(np.ravel(dec).tolist())),))

    @classmethod
    def from_sregion(cls, text: str) -> Footprint:
        """Read an S_REGION string: POLYGON and CIRCLE, one or several.

        Parameters
        ----------
        text : str
            For example ``POLYGON ICRS 10.0 20.0 10.1 20.0 10.1 20.1``. A circle becomes a
            polygon of 64 sides around it.

        Raises
        ------
        FrameError
            The string is not understood; says where.
        """
        return cls(tuple(sregion.read(text)))

    def to_sregion(self) -> str:
        """S_REGION string; the first vertex is repeated, numbers are exact."""
        return sregion.write(self.polygons)

    def to_moc(self, order: int) -> MOC:
        """Multi-order coverage map (mocpy) of all HEALPix cells that the region touches.

        Parameters
        ----------
        order : int
            Deepest HEALPix order, 0 to 29.

        Returns
        -------
        mocpy.MOC
        """
        from astropy import units as u
        from mocpy import MOC

        moc = MOC.new_empty(order)
        for ra, dec in self.polygons:
            moc |= MOC.from_polygon(ra * u.deg, dec * u.deg, max_depth=order)
        return moc

    @property
    def bounding_cap(self) -> Cap:
        """A circle that holds the region (not always the smallest).

        Raises
        ------
        FrameError
            The footprint is empty.
        """
        caps = [_cap(vectors) for vectors in self.vertex_vectors()]
        if not caps:
            raise FrameError("an empty footprint has no bounding cap")
        if len(caps) == 1:
            return caps[0]
        total = np.sum([cap.vector for cap in caps], axis=0)
        length = float(np.linalg.norm(total))
        if length < 1e-6:
            return Cap(caps[0].vector, 180.0)
        middle = total / length
        radius = max(_angle(middle, cap.vector) + cap.radius for cap in caps)
        return Cap(middle, min(radius, 180.0))

    def vertex_vectors(self) -> list[FloatArray]:
        """Return the unit vectors of each polygon's vertices, one array (n, 3) per polygon."""
        return [unit_vectors(ra, dec) for ra, dec in self.polygons]

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether positions (ICRS degrees) lie inside; on an edge either answer may come."""
        points = unit_vectors(ra, dec)
        inside = np.zeros(points.shape[:-1], dtype=np.bool_)
        for vectors in self.vertex_vectors():
            inside |= _contains(vectors, points)
        return inside

    def overlaps(self, other: Footprint) -> bool:
        """Whether the regions share some area; where they only touch either answer may come."""
        return any(
            _polygons_overlap(mine, theirs)
            for mine in self.vertex_vectors()
            for theirs in other.vertex_vectors()
        )

    def __or__(self, other: Footprint) -> Footprint:
        return Footprint(self.polygons + other.polygons)

    def _repr_html_(self) -> str:
        from hapdask.sky.drawing import footprint_html

        return footprint_html(self)


def _checked(ra: Iterable[float], dec: Iterable[float]) -> Polygon:
    ra_array, dec_array = np.asarray(tuple(ra), float), np.asarray(tuple(dec), float)
    if ra_array.shape != dec_array.shape:
        raise FrameError(f"a polygon has {ra_array.size} RAs but {dec_array.size} declinations")
    if not (np.isfinite(ra_array).all() and (np.abs(dec_array) <= 90.0).all()):
        raise FrameError("a polygon has a vertex that is no sky position")
    ra_array, dec_array = wrap(ra_array) + 0.0, dec_array + 0.0
    # Of a run of equal vertices the first stays; the closing repetition of vertex 0 goes.
    vertices = [v for v, _ in groupby(zip(ra_array.tolist(), dec_array.tolist(), strict=True))]
    if len(vertices) > 1 and vertices[-1] == vertices[0]:
        del vertices[-1]
    if len(vertices) < 3:
        raise FrameError(f"a polygon needs three different vertices, has {len(vertices)}")
    ras, decs = zip(*vertices, strict=True)
    if _cap(unit_vectors(ras, decs)).radius > MAX_RADIUS:
        raise FrameError(f"a polygon reaches more than {MAX_RADIUS:g} degrees from its middle")
    return (ras, decs)


def _angle(a: FloatArray, b: FloatArray) -> float:
    """Angle of unit vectors in degrees, exact for small and large angles."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))


def _cap(vectors: FloatArray) -> Cap:
    """Circle around the mean of the vertices; below 90 degrees it holds the edges too."""
    total = vectors.sum(axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-6 * len(vectors):
        return Cap(vectors[0], 180.0)
    middle = total / length
    sines = np.linalg.norm(np.cross(vectors, middle), axis=1)
    return Cap(middle, float(np.degrees(np.arctan2(sines, vectors @ middle)).max()))


def _plane(middle: FloatArray, vectors: FloatArray) -> FloatArray:
    """Tangent plane coordinates about a direction, radians; NaN at 90 degrees and beyond."""
    ra, dec = sky_of(middle)
    local = vectors @ axes(float(ra), float(dec)).T
    depth = np.where(local[..., 2] > 0.0, local[..., 2], np.nan)
    return np.asarray(local[..., :2] / depth[..., np.newaxis])


def _contains(polygon: FloatArray, points: FloatArray) -> npt.NDArray[np.bool_]:
    middle = _cap(polygon).vector
    plane = _plane(middle, points)
    return points_in_polygon(plane[..., 0], plane[..., 1], _plane(middle, polygon))


def _polygons_overlap(a: FloatArray, b: FloatArray) -> bool:
    cap_a, cap_b = _cap(a), _cap(b)
    if _angle(cap_a.vector, cap_b.vector) > cap_a.radius + cap_b.radius + 1e-9:
        return False
    if _edges_cross(a, b):
        return True
    # No proper crossing: one holds the other, they share edges, or they are apart.
    return bool(_contains(a, _witnesses(b)).any() or _contains(b, _witnesses(a)).any())


def _witnesses(polygon: FloatArray) -> FloatArray:
    """Points that tell containment: vertices, middles of edges, and one point inside."""
    middle = _cap(polygon).vector
    x, y = inside_point(_plane(middle, polygon))
    ra, dec = sky_of(middle)
    inside = np.array([x, y, 1.0]) @ axes(float(ra), float(dec))
    return np.vstack([polygon, polygon + np.roll(polygon, -1, axis=0), inside])


def _edges_cross(a: FloatArray, b: FloatArray) -> bool:
    """Whether any edge of one polygon properly crosses an edge of the other.

    Arcs a1-a2 and b1-b2 cross where the triangles (a1, b1, a2), (b1, a2, b2), (a2, b2, a1),
    (b2, a1, b1) all turn the same way.
    """
    a1, b1 = a[:, np.newaxis, :], b[np.newaxis, :, :]
    a2, b2 = np.roll(a1, -1, axis=0), np.roll(b1, -1, axis=1)
    normal_a, normal_b = np.cross(a1, a2), np.cross(b1, b2)
    turns = np.stack(
        [
            -np.sum(normal_a * b1, axis=-1),
            np.sum(normal_a * b2, axis=-1),
            -np.sum(normal_b * a2, axis=-1),
            np.sum(normal_b * a1, axis=-1),
        ]
    )
    return bool((np.all(turns > 0.0, axis=0) | np.all(turns < 0.0, axis=0)).any())
