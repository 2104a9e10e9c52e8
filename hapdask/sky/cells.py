"""`ProjectionCell` and `SkyCell`: the two nouns of the all-sky tessellation, and their frames.

Here: the numbers of the tessellation, names, and which window of which grid a cell is. Not
here: where the projection cells lie on the sky and which cells hold a position
(`hapdask.sky.grid`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hapdask.errors import ParameterError
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame

Scale = str

_NAME = re.compile(r"(?:skycell-)?p(\d{4})x(\d{2})y(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tessellation:
    """How a projection cell is divided; the defaults are HAP's.

    Parameters
    ----------
    pixel_scale : float
        Side of a fine pixel, arcsec.
    size : int
        Nominal side of a projection cell, fine pixels.
    cells_per_side : int
        Sky cells along a side of a projection cell.
    overlap : int
        A sky cell is this much wider than the step on either side, fine pixels; all of it
        hangs over at the upper end, so that neighbours share twice as much.
    coarse_factor : int
        Side of a coarse pixel, fine pixels.
    """

    pixel_scale: float = 0.04
    size: int = 450287
    cells_per_side: int = 21
    overlap: int = 256
    coarse_factor: int = 3

    @property
    def step(self) -> int:
        """Fine pixels from one sky cell to the next."""
        return int(self.size / self.cells_per_side + 0.5)

    @property
    def cell_size(self) -> int:
        """Side of a sky cell, fine pixels."""
        return self.step + 2 * self.overlap

    @property
    def stored_size(self) -> int:
        """Side of the array that holds all sky cells: the last one ends beyond `size`."""
        return (self.cells_per_side - 1) * self.step + self.cell_size

    def root_frame(self, crval: tuple[float, float], scale: Scale, name: str = "") -> Frame:
        """Frame of a whole projection cell, wide enough for its last sky cells.

        Fine: CRPIX at the middle of the nominal size. Coarse: CRPIX is the fine one divided by
        the factor (75048.0), as in the archive's own coarse cells, so a coarse pixel is not a
        block of whole fine pixels.
        """
        factor = self._factor(scale)
        crpix = (0.5 * self.size + 0.5) / factor
        pixel = self.pixel_scale / 3600.0 * factor
        side = -(-self.stored_size // factor)
        return Frame(crval, (crpix, crpix), (-pixel, 0.0, 0.0, pixel), (side, side), name=name)

    def cell_span(self, index: int, scale: Scale) -> tuple[int, int]:
        """First pixel and one past the last, on the root grid, of sky cell `index` (from 1).

        Coarse: the fine span divided by the factor and rounded outwards, which covers all
        pixels of the archive's coarse cell of that name, whatever its sub-pixel phase.
        """
        factor = self._factor(scale)
        first = (index - 1) * self.step
        return first // factor, -(-(first + self.cell_size) // factor)

    def _factor(self, scale: Scale) -> int:
        if scale not in ("fine", "coarse"):
            raise ParameterError(f"scale must be 'fine' or 'coarse', not {scale!r}")
        return 1 if scale == "fine" else self.coarse_factor


@dataclass(frozen=True, slots=True)
class ProjectionCell:
    """One tangent plane of the tessellation. Immutable.

    Parameters
    ----------
    id : int
        Number on the sky, 0 to 2643 for HAP.
    crval : (ra, dec)
        Tangent point, ICRS degrees.
    tessellation : Tessellation
        How it is divided.
    """

    id: int
    crval: tuple[float, float]
    tessellation: Tessellation = field(default_factory=Tessellation)

    @property
    def name(self) -> str:
        """Short name, for example ``p1889``."""
        return f"p{self.id:04d}"

    def frame(self, scale: Scale = "fine") -> Frame:
        """Return the one grid of this projection cell at a scale, as stored (fine: 450794)."""
        return self.tessellation.root_frame(self.crval, scale, self.name)

    def cell(self, x: int, y: int) -> SkyCell:
        """Sky cell by its indices, from 1 at the lower left (largest RA, lowest Dec)."""
        return SkyCell(self, x, y)

    def cells(self) -> Iterator[SkyCell]:
        """All sky cells, row by row from the lower left."""
        indices = range(1, self.tessellation.cells_per_side + 1)
        return (SkyCell(self, x, y) for y in indices for x in indices)


@dataclass(frozen=True, slots=True)
class SkyCell:
    """A named window of a projection cell; its neighbours share 512 fine pixels. Immutable.

    Parameters
    ----------
    projection_cell : ProjectionCell
        The tangent plane.
    x, y : int
        Indices from 1; x grows towards smaller RA, y towards north.

    Examples
    --------
    >>> from hapdask.sky import SkyGrid
    >>> cell = SkyGrid()["skycell-p1889x07y19"]
    >>> cell.frame().crpix_window, cell.frame().shape
    ((96492.0, -160812.0), (21954, 21954))
    """

    projection_cell: ProjectionCell
    x: int
    y: int

    def __post_init__(self) -> None:
        n = self.projection_cell.tessellation.cells_per_side
        if not (1 <= self.x <= n and 1 <= self.y <= n):
            raise ParameterError(f"sky cell x={self.x}, y={self.y}: both run from 1 to {n}")

    @property
    def id(self) -> str:
        """Short name as in the FITS keywords SCELLID and SKYCELL: ``p1889x07y19``."""
        return f"{self.projection_cell.name}x{self.x:02d}y{self.y:02d}"

    @property
    def name(self) -> str:
        """Name as in the archive: ``skycell-p1889x07y19``."""
        return f"skycell-{self.id}"

    def frame(self, scale: Scale = "fine") -> Frame:
        """Window of the projection cell's one grid at a scale.

        Parameters
        ----------
        scale : {"fine", "coarse"}

        Returns
        -------
        Frame
            Fine: the archive's own pixels. Coarse: the pixels of the one coarse grid that
            cover the archive's coarse cell; for that cell itself see `upstream_coarse_frame`.
        """
        tessellation = self.projection_cell.tessellation
        root = tessellation.root_frame(self.projection_cell.crval, scale)
        y0, y1 = tessellation.cell_span(self.y, scale)
        x0, x1 = tessellation.cell_span(self.x, scale)
        return Frame(root.crval, root.crpix, root.cd, (y1 - y0, x1 - x0), (y0, x0), self.name)

    def upstream_coarse_frame(self) -> Frame:
        """Coarse grid of the archive's file of this name: a root grid of its own.

        CRPIX is the fine one times 0.04 / 0.12, rounding included, so that headers agree to
        the last bit; its fraction takes one of three values along each axis.
        """
        tessellation = self.projection_cell.tessellation
        fine = self.frame()
        ratio = tessellation.pixel_scale / (tessellation.pixel_scale * tessellation.coarse_factor)
        crpix_x, crpix_y = fine.crpix_window
        cd11, cd12, cd21, cd22 = fine.cd
        side = int(tessellation.cell_size * ratio)
        return Frame(
            fine.crval,
            (crpix_x * ratio, crpix_y * ratio),
            (cd11 / ratio, cd12 / ratio, cd21 / ratio, cd22 / ratio),
            (side, side),
            name=self.name,
        )

    @property
    def footprint(self) -> Footprint:
        """Outline on the sky, along the outer edges of the fine pixels."""
        return self.frame().footprint

    def _repr_html_(self) -> str:
        from hapdask.sky.drawing import sky_cell_html

        return sky_cell_html(self)


def parse_name(name: str) -> tuple[int, int, int]:
    """Projection cell, x and y of ``skycell-p1889x07y19`` or ``p1889x07y19``.

    Raises
    ------
    ParameterError
        The name has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ParameterError(f"{name!r} is no sky cell name such as 'skycell-p1889x07y19'")
    return (int(match[1]), int(match[2]), int(match[3]))
