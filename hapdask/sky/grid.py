"""`SkyGrid`: which projection cells and sky cells there are, and which ones hold what.

Here: the all-sky tessellation as values, cells by name, by position (a million at once) and by
footprint. Not here: the frames of the cells (`hapdask.sky.cells`).

The searches are geometric and complete: every cell whose pixels hold the position, or whose area
overlaps the footprint, in every projection cell; no rule by band of declination, no seam at RA 0.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from hapdask.errors import FrameError, ParameterError
from hapdask.sky.cells import ProjectionCell, SkyCell, Tessellation, parse_name
from hapdask.sky.footprint import Footprint
from hapdask.sky.planar import polygon_meets_boxes
from hapdask.sky.tangent import axes, project, unit_vectors

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Cells must share this much with a footprint along both axes, fine pixels: more than the
#: rounding of a position, so that regions that merely touch do not overlap.
_MIN_OVERLAP = 1e-6


class Band(NamedTuple):
    """Projection cells of one declination, at equal steps of RA from RA 0.

    Attributes
    ----------
    first : int
        Number of the first projection cell.
    cells : int
        How many there are.
    dec : float
        Declination of their tangent points, degrees.
    """

    first: int
    cells: int
    dec: float


class Located(NamedTuple):
    """Pairs of a position and a sky cell that holds it, sorted by position, then cell.

    Attributes
    ----------
    position : ndarray of int64, shape (k,)
        Index into the positions asked for.
    projection_cell : ndarray of int64, shape (k,)
    x, y : ndarray of int64, shape (k,)
        Indices of the sky cell, from 1.
    """

    position: IntArray
    projection_cell: IntArray
    x: IntArray
    y: IntArray


class Projected(NamedTuple):
    """Pairs of a position and a projection cell whose stored array holds it.

    Attributes
    ----------
    position, projection_cell : ndarray of int64, shape (k,)
    x, y : ndarray of float64, shape (k,)
        0-based fine pixels of the projection cell's grid.
    """

    position: IntArray
    projection_cell: IntArray
    x: FloatArray
    y: FloatArray


@cache
def hap_bands() -> tuple[Band, ...]:
    """Read the 46 bands of the HAP tessellation (packaged; origin in ``data/README.md``)."""
    text = resources.files("hapdask.sky").joinpath("data/hap_bands.csv").read_text("ascii")
    return tuple(
        Band(int(row["first"]), int(row["cells"]), float(row["dec"]))
        for row in csv.DictReader(text.splitlines())
    )


@dataclass(frozen=True)
class SkyGrid:
    """An all-sky tessellation; by default HAP's 2644 projection cells of 21 x 21 sky cells.

    Parameters
    ----------
    bands : tuple of Band
        Projection cells by declination.
    tessellation : Tessellation
        How a projection cell is divided.

    Examples
    --------
    >>> grid = SkyGrid()
    >>> grid[1889].crval
    (180.0, 26.0)
    >>> [cell.name for cell in grid.at(ra=150.1, dec=2.2)]
    ['skycell-p1359x02y12', 'skycell-p1360x19y12']
    """

    bands: tuple[Band, ...] = field(default_factory=hap_bands)
    tessellation: Tessellation = field(default_factory=Tessellation)

    def __post_init__(self) -> None:
        first = 0
        for band in self.bands:
            if band.first != first or band.cells < 1 or not abs(band.dec) <= 90.0:
                raise ParameterError(f"{band} does not follow {first} projection cells")
            first += band.cells

    def __reduce__(self) -> tuple[object, ...]:
        # Without the cached tables: they are cheap to make again.
        return (SkyGrid, (self.bands, self.tessellation))

    def __len__(self) -> int:
        return self.bands[-1].first + self.bands[-1].cells

    def __iter__(self) -> Iterator[ProjectionCell]:
        return (self[number] for number in range(len(self)))

    @overload
    def __getitem__(self, key: str) -> SkyCell: ...

    @overload
    def __getitem__(self, key: int) -> ProjectionCell: ...

    def __getitem__(self, key: str | int) -> SkyCell | ProjectionCell:
        if isinstance(key, str):
            number, x, y = parse_name(key)
            return self[number].cell(x, y)
        if not 0 <= key < len(self):
            raise ParameterError(f"projection cell {key}: they run from 0 to {len(self) - 1}")
        ra, dec = self._tangent_points
        return ProjectionCell(int(key), (float(ra[key]), float(dec[key])), self.tessellation)

    def at(self, *, ra: float, dec: float) -> list[SkyCell]:
        """All sky cells that hold one position (ICRS degrees), sorted by name."""
        found = self.locate(ra, dec)
        return [
            self[int(number)].cell(int(x), int(y))
            for number, x, y in zip(found.projection_cell, found.x, found.y, strict=True)
        ]

    def locate(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> Located:
        """Find all sky cells that hold each of many positions.

        Parameters
        ----------
        ra, dec : array_like, shape (n,) or scalar
            ICRS degrees.

        Returns
        -------
        Located
            A position lies in one to about nine sky cells.

        Raises
        ------
        FrameError
            A position is not on the sky.
        """
        hits = self.project(ra, dec)
        step, size = self.tessellation.step, self.tessellation.cell_size
        last = self.tessellation.cells_per_side - 1
        parts = []
        # Cell i, from 0, spans pixels [i step, i step + size): a pixel is in the cell whose
        # step it falls in, and in earlier ones as far as the overlap reaches.
        own_x = np.floor((hits.x + 0.5) / step).astype(np.int64)
        own_y = np.floor((hits.y + 0.5) / step).astype(np.int64)
        reach = -(-size // step)
        for back_y in range(reach):
            for back_x in range(reach):
                i, j = own_x - back_x, own_y - back_y
                held = (i >= 0) & (i <= last) & (hits.x < i * step + size - 0.5)
                held &= (j >= 0) & (j <= last) & (hits.y < j * step + size - 0.5)
                which = np.flatnonzero(held)
                where = (hits.position[which], hits.projection_cell[which])
                parts.append(np.stack([*where, i[which] + 1, j[which] + 1]))
        table = np.concatenate(parts, axis=1)
        return Located(*table[:, np.lexsort(table[::-1])])

    def project(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> Projected:
        """Find the pixel of each position in every projection cell that holds it.

        Parameters
        ----------
        ra, dec : array_like, shape (n,) or scalar
            ICRS degrees.

        Returns
        -------
        Projected
            Unsorted. Held are positions in the stored array, 507 pixels more than nominal.

        Raises
        ------
        FrameError
            A position is not on the sky.
        """
        ra, dec = np.broadcast_arrays(np.atleast_1d(ra), np.atleast_1d(dec))
        ra, dec = ra.astype(np.float64).ravel(), dec.astype(np.float64).ravel()
        if not (np.isfinite(ra).all() and (np.abs(dec) <= 90.0).all()):
            raise FrameError("a position is not on the sky: RA not finite or |Dec| > 90")
        order = np.argsort(dec, kind="stable")
        sorted_dec = dec[order]
        parts: list[tuple[IntArray, IntArray, FloatArray, FloatArray]] = []
        for band in self.bands:
            limits = (band.dec - self._radius, band.dec + self._radius)
            low, high = np.searchsorted(sorted_dec, limits)
            which = order[low:high]
            if which.size:
                parts.extend(self._project_on_band(band, which, ra[which], dec[which]))
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return Projected(none, none, np.zeros(0), np.zeros(0))
        position, number, x, y = zip(*parts, strict=True)
        return Projected(
            np.concatenate(position), np.concatenate(number), np.concatenate(x), np.concatenate(y)
        )

    def overlapping(self, footprint: Footprint) -> list[SkyCell]:
        """All sky cells that share area with a footprint, sorted by name.

        Parameters
        ----------
        footprint : Footprint
            Its polygons become polygons of each tangent plane, exactly; cells inside one are
            found as well as cells on its edge.

        Returns
        -------
        list of SkyCell
        """
        found: set[tuple[int, int, int]] = set()
        for vectors in footprint.vertex_vectors():
            middle = vectors.sum(axis=0) / np.linalg.norm(vectors.sum(axis=0))
            radius = math.acos(min(1.0, max(-1.0, float((vectors @ middle).min()))))
            reach = min(radius + math.radians(self._radius) + 1e-6, math.pi)
            near = np.flatnonzero(self._tangent_vectors @ middle >= math.cos(reach))
            for number in near.tolist():
                found.update((number, y, x) for x, y in self._cells_met(self[number], vectors))
        cells = [self[number].cell(x, y) for number, y, x in found]
        return sorted(cells, key=lambda cell: cell.name)

    @cached_property
    def _tangent_points(self) -> tuple[FloatArray, FloatArray]:
        """RA and Dec of all tangent points, degrees, by projection cell."""
        ra = np.concatenate([np.arange(band.cells) * 360.0 / band.cells for band in self.bands])
        dec = np.concatenate([np.full(band.cells, band.dec) for band in self.bands])
        return ra, dec

    @cached_property
    def _tangent_vectors(self) -> FloatArray:
        return unit_vectors(*self._tangent_points)

    @cached_property
    def _radius(self) -> float:
        """Distance of the furthest stored pixel from its tangent point, degrees, and a little."""
        frame = self.tessellation.root_frame((0.0, 0.0), "fine")
        far = (frame.shape[0] - frame.crpix[0] + 1.0) * frame.pixel_scale / 3600.0
        return math.degrees(math.atan(math.radians(far) * math.sqrt(2.0))) + 1e-6

    def _project_on_band(
        self, band: Band, which: IntArray, ra: FloatArray, dec: FloatArray
    ) -> Iterator[tuple[IntArray, IntArray, FloatArray, FloatArray]]:
        """Pixels of positions near a band in each of its projection cells that holds them."""
        frame = self.tessellation.root_frame((0.0, band.dec), "fine")
        limit = frame.shape[0] - 0.5
        turns = ra * (band.cells / 360.0)
        nearest = np.rint(turns)
        # Haversine: how far in RA a projection cell can lie and still reach the position.
        spread = np.cos(np.radians(dec)) * math.cos(math.radians(band.dec))
        widest = math.sin(math.radians(self._radius / 2)) ** 2
        left_over = widest - np.sin(np.radians((dec - band.dec) / 2)) ** 2
        ratio = np.clip(left_over / np.maximum(spread, 1e-300), 0.0, 1.0)
        reach = np.degrees(2.0 * np.arcsin(np.sqrt(ratio))) * (band.cells / 360.0) + 1e-6
        ahead = min(int(np.max(reach) + 0.5), band.cells // 2)
        behind = min(ahead, (band.cells - 1) // 2)
        for offset in range(-behind, ahead + 1):
            close = np.flatnonzero(np.abs(nearest + offset - turns) <= reach)
            number = np.mod(nearest[close] + offset, band.cells)
            xi, eta = project(ra[close], dec[close], number * 360.0 / band.cells, band.dec)
            x = (frame.crpix[0] - 1.0) + xi / frame.cd[0]
            y = (frame.crpix[1] - 1.0) + eta / frame.cd[3]
            held = np.flatnonzero((x >= -0.5) & (x < limit) & (y >= -0.5) & (y < limit))
            numbers = number[held].astype(np.int64) + band.first
            yield which[close[held]], numbers, x[held], y[held]

    def _cells_met(self, cell: ProjectionCell, vectors: FloatArray) -> list[tuple[int, int]]:
        """Find the sky cells of one projection cell that overlap: indices (x, y), from 1."""
        local = _clip_to_front(vectors @ axes(*cell.crval).T)
        if len(local) < 3:
            return []
        frame = self.tessellation.root_frame(cell.crval, "fine")
        plane = np.degrees(local[:, :2] / local[:, 2:])
        polygon = plane / [frame.cd[0], frame.cd[3]] + np.array(frame.crpix) - 1.0
        step, size = self.tessellation.step, self.tessellation.cell_size
        last = self.tessellation.cells_per_side - 1
        low = np.floor((polygon.min(axis=0) + 0.5 - size) / step).astype(int)
        high = np.floor((polygon.max(axis=0) + 0.5) / step).astype(int)
        low, high = np.clip(low, 0, last + 1), np.clip(high, -1, last)
        i, j = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        corner = np.stack([i.ravel(), j.ravel()], axis=-1) * step - 0.5
        met = polygon_meets_boxes(polygon, corner + _MIN_OVERLAP, corner + size - _MIN_OVERLAP)
        return list(zip((i.ravel()[met] + 1).tolist(), (j.ravel()[met] + 1).tolist(), strict=True))


def _clip_to_front(local: FloatArray, depth: float = 0.1) -> FloatArray:
    """Cut off what lies far behind, so that a polygon of any size can be projected.

    The chord of an edge is cut, not its arc. Edges span 160 degrees at most (`MAX_RADIUS`), so
    chords pass the origin at 0.17 or more, and where the arc is within a projection cell's
    reach of the tangent point the chord is deeper than 0.17: nothing that matters is cut.

    Source: Sutherland and Hodgman 1974, Communications of the ACM 17, 32, one plane.

    Parameters
    ----------
    local : ndarray of float64, shape (n, 3)
        Vertices as unit vectors along east, north and the tangent point.
    depth : float
        Kept is what is deeper along the tangent point.

    Returns
    -------
    ndarray of float64, shape (m, 3)
        Vertices; m may be 0.
    """
    kept: list[FloatArray] = []
    for start, end in zip(local, np.roll(local, -1, axis=0), strict=True):
        if start[2] >= depth:
            kept.append(start)
        if (start[2] >= depth) != (end[2] >= depth):
            kept.append(start + (depth - start[2]) / (end[2] - start[2]) * (end - start))
    return np.array(kept).reshape(-1, 3)
