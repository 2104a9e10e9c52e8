"""What a user asks of an output frame, and how that changes a grid that is there.

The rules and their order are AstroDrizzle's, and so is the arithmetic: where a size is rounded up,
the last bit decides on a row of pixels.  Not here: the grid to begin with
(`hapdask.drizzling.output_frame`, `hapdask.drizzling.reference_frame`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hapdask.config.astrodrizzle import (
    CRPIX_LIMITS,
    ROTATION_LIMITS,
    SCALE_LIMITS,
    SIZE_LIMITS,
    CustomFrame,
)
from hapdask.config.fields import read_number
from hapdask.errors import ParameterError
from hapdask.sky.frame import Frame

Floats = NDArray[np.float64]
_T = TypeVar("_T", int, float)

_EPSILON = 10.0 * np.finfo(float).eps  # relative: scales nearer than this are one


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRequest:
    """What an output frame should be; None leaves it as it is.

    Parameters
    ----------
    scale : float, arcsec / pixel, optional
    rotation : float, degrees, optional
        Position angle of the y axis, from north through east.
    shape : (ny, nx), optional
        Then the tangent point stands in the middle, unless ``crpix`` says otherwise.
    center : (ra, dec), degrees, optional
        The tangent point moves here; the size stays.
    crpix : (x, y), optional
        FITS CRPIX, 1-based.
    reference : Frame or str, optional
        The grid to begin with in place of the default one: a frame, or a FITS file, with
        ``[SCI,1]`` or ``[1]`` where the first extension with a WCS is not meant.

    Raises
    ------
    ParameterError
        If a value is no number, or absurd.
    """

    scale: float | None = None
    rotation: float | None = None
    shape: tuple[int, int] | None = None
    center: tuple[float, float] | None = None
    crpix: tuple[float, float] | None = None
    reference: Frame | str | None = None

    def __post_init__(self) -> None:
        if self.scale is not None:
            object.__setattr__(self, "scale", read_number("scale", self.scale, *SCALE_LIMITS))
        if self.rotation is not None:
            rotation = read_number("rotation", self.rotation, *ROTATION_LIMITS)
            object.__setattr__(self, "rotation", rotation)
        for name, limits in _PAIRS.items():
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _two(name, given, limits))
        if self.reference is not None and not isinstance(self.reference, Frame | str):
            raise ParameterError(f"reference must be a Frame or a path, not {self.reference!r}")
        if self.reference == "":
            raise ParameterError("reference is an empty path: leave it out")

    @classmethod
    def from_parameters(cls, custom: CustomFrame | None) -> FrameRequest:
        """Make the request of the parameters of step 3a or 7a; None asks for nothing.

        Pairs of them are both given or both not: the parameters have been checked.
        """
        if custom is None:
            return cls()
        return cls(
            scale=custom.scale,
            rotation=custom.rot,
            shape=_both(custom.outny, custom.outnx),
            center=_both(custom.ra, custom.dec),
            crpix=_both(custom.crpix1, custom.crpix2),
            reference=custom.refimage or None,
        )

    @property
    def changes_nothing(self) -> bool:
        """Whether the grid to begin with is the frame."""
        values = (self.scale, self.rotation, self.shape, self.center, self.crpix)
        return all(value is None for value in values)


_PAIRS = {
    "shape": (SIZE_LIMITS, SIZE_LIMITS),
    "center": ((-360.0, 360.0), (-90.0, 90.0)),
    "crpix": (CRPIX_LIMITS, CRPIX_LIMITS),
}


class Grid(NamedTuple):
    """A TAN grid with the figures of it that AstroDrizzle carries beside its matrix.

    ``cd`` is float64 (2, 2), degrees per pixel; ``scale`` the length of its first column, arcsec;
    ``orientation`` the position angle of y, degrees.  They may differ from ``cd`` in the last bit.
    """

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: Floats
    shape: tuple[int, int]
    scale: float
    orientation: float
    name: str = ""

    def frame(self) -> Frame:
        """Make the frame."""
        (cd11, cd12), (cd21, cd22) = self.cd.tolist()
        return Frame(self.crval, self.crpix, (cd11, cd12, cd21, cd22), self.shape, name=self.name)


def grid_of(frame: Frame) -> Grid:
    """Take a frame as the grid to begin with; its root grid is not kept."""
    cd = np.reshape(frame.cd, (2, 2)).astype(np.float64)
    scale, orientation = scale_and_orientation(cd)
    return Grid(frame.crval, frame.crpix_window, cd, frame.shape, scale, orientation, frame.name)


def scale_and_orientation(cd: Floats) -> tuple[float, float]:
    """Length of the first column, arcsec, and position angle of the second, degrees."""
    scale = np.sqrt(cd[0, 0] ** 2 + cd[1, 0] ** 2) * 3600.0
    return float(scale), float(np.arctan2(cd[0, 1], cd[1, 1]) * 180.0 / np.pi)


def apply_request(grid: Grid, request: FrameRequest) -> Grid:
    """Change a grid as asked, in AstroDrizzle's order.

    Parameters
    ----------
    grid : Grid
    request : FrameRequest
        Its ``reference`` is not looked at.

    Returns
    -------
    Grid

    Notes
    -----
    A size that is given stands as it is; else the old one is scaled, or, turned, its outline
    taken about the tangent point.  CRVAL moves only to a ``center``: given alone, it leaves size
    and CRPIX as they were.

    Source: `mergeWCS` of DrizzlePac 3.11 (facts; no code).
    """
    ratio = None
    if request.scale is not None and not _is_close(request.scale, grid.scale):
        ratio = grid.scale / request.scale
    turn = 0.0 if request.rotation is None else grid.orientation - request.rotation
    shape, crpix = _size(grid, request.shape, ratio, turn)
    cd = grid.cd if ratio is None else grid.cd / ratio
    if turn:
        cd = np.dot(cd, _rotation(turn))
    return grid._replace(
        crval=request.center or grid.crval,
        crpix=request.crpix or crpix,
        cd=cd,
        shape=shape,
        scale=grid.scale if ratio is None or request.scale is None else request.scale,
        orientation=grid.orientation - turn,
    )


def _size(
    grid: Grid, asked: tuple[int, int] | None, ratio: float | None, turn: float
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Shape, and the CRPIX that goes with it."""
    if asked is not None:
        return asked, ((asked[1] + 1.0) / 2.0, (asked[0] + 1.0) / 2.0)
    ny, nx = grid.shape
    if turn:
        corners = np.array([[0.5, 0.5], [nx + 0.5, 0.5], [0.5, ny + 0.5], [nx + 0.5, ny + 0.5]])
        corners -= grid.crpix
        if ratio is not None:
            corners *= ratio
        turned = np.dot(corners, _rotation(turn))
        (x0, y0), (x1, y1) = turned.min(axis=0).tolist(), turned.max(axis=0).tolist()
        return (_whole(y1 - y0), _whole(x1 - x0)), (-x0 + 0.5, -y0 + 0.5)
    if ratio is None:
        return grid.shape, grid.crpix
    x, y = grid.crpix
    shape = (_whole(ratio * ny), _whole(ratio * nx))
    return shape, (1.0 + ratio * (x - 1.0), 1.0 + ratio * (y - 1.0))


def _rotation(degrees: float) -> Floats:
    """Matrix for row vectors, and for the right side of a CD matrix."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def _whole(size: float) -> int:
    return max(1, int(np.ceil(size)))


def _is_close(scale: float, other: float) -> bool:
    return bool(abs(scale - other) <= _EPSILON * abs(other))


def _both(first: _T | None, second: _T | None) -> tuple[_T, _T] | None:
    return None if first is None or second is None else (first, second)


def _two(name: str, given: object, limits: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ParameterError(f"{name} must be two numbers, not {given!r}")
    pair = tuple(
        read_number(name, value, *limit) for value, limit in zip(given, limits, strict=True)
    )
    if name != "shape":
        return pair
    if any(value != int(value) for value in pair):
        raise ParameterError(f"{name} must be whole numbers of pixels, not {given!r}")
    return tuple(int(value) for value in pair)
