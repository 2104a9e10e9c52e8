"""`Frame`: an output pixel grid on the sky, and its algebra.

Here: slicing, padding, coarsening, tiling, intersection, pixel to sky and back, FITS cards in
and out. Not here: which frames exist on the sky (`hapdask.sky.grid`, `hapdask.sky.cells`), the
maths of the projection (`hapdask.sky.tangent`), and anything that holds pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hapdask.errors import FrameError
from hapdask.sky import checks, tangent
from hapdask.sky.footprint import Footprint
from hapdask.sky.wcs_cards import Card, HeaderLike, read_cards, write_cards

if TYPE_CHECKING:
    from astropy.wcs import WCS

FloatArray = npt.NDArray[np.float64]
RootKey = tuple[tuple[float, float], tuple[float, float], tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """A TAN pixel grid: a window of a root grid that has no edges. Immutable.

    Frames with equal `root_key` are windows of one grid: their pixels coincide or are
    disjoint, and the algebra (``a[...]``, ``a & b``, `pad`, `tiles`) never leaves it.

    Parameters
    ----------
    crval : (ra, dec)
        Tangent point, ICRS degrees; RA is brought into [0, 360).
    crpix : (x, y)
        1-based FITS CRPIX of the *root* grid.
    cd : (cd11, cd12, cd21, cd22)
        Degrees per pixel.
    shape : (ny, nx)
        Size of this window.
    origin : (y0, x0), default (0, 0)
        Pixel [0, 0] of this window in the root grid; may be negative.
    name : str, optional
        A label; not part of equality, hash or token, and not inherited by other windows.

    Raises
    ------
    FrameError
        A value is not finite, out of range, or the CD matrix is singular.

    Examples
    --------
    >>> frame = Frame.from_center(150.1, 2.2, 0.04, (1000, 1200))
    >>> window = frame[100:400, -200:]
    >>> window.shape, window.origin
    ((300, 200), (100, 1000))
    >>> window & frame[:, 1100:] == frame[100:400, 1100:]
    True
    """

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: tuple[float, float, float, float]
    shape: tuple[int, int]
    origin: tuple[int, int] = (0, 0)
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        shape, origin = checks.window(self.shape, self.origin)
        object.__setattr__(self, "crval", checks.tangent_point(self.crval))
        object.__setattr__(self, "crpix", checks.reference_pixel(self.crpix))
        object.__setattr__(self, "cd", checks.linear_part(self.cd))
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "origin", origin)

    @classmethod
    def from_center(
        cls,
        ra: float,
        dec: float,
        scale_arcsec: float,
        shape: tuple[int, int],
        rotation: float = 0.0,
    ) -> Frame:
        """Make a frame whose centre is its tangent point.

        Parameters
        ----------
        ra, dec : float
            Centre, ICRS degrees.
        scale_arcsec : float
            Side of a pixel, arcsec.
        shape : (ny, nx)
            Size in pixels.
        rotation : float, default 0
            Position angle of the y axis, degrees from north through east.

        Returns
        -------
        Frame
        """
        if not (math.isfinite(scale_arcsec) and scale_arcsec > 0 and math.isfinite(rotation)):
            raise FrameError(f"scale {scale_arcsec} arcsec, rotation {rotation} is no pixel grid")
        scale = scale_arcsec / 3600.0
        sin, cos = math.sin(math.radians(rotation)), math.cos(math.radians(rotation))
        ny, nx = shape
        cd = (-scale * cos, scale * sin, scale * sin, scale * cos)
        return cls((ra, dec), (0.5 * nx + 0.5, 0.5 * ny + 0.5), cd, (ny, nx))

    @classmethod
    def from_header(cls, header: HeaderLike, shape: tuple[int, int] | None = None) -> Frame:
        """Make a frame from FITS cards; the root grid is then the image itself.

        Parameters
        ----------
        header : mapping or astropy Header
            Cards of an undistorted TAN grid in ICRS.
        shape : (ny, nx), optional
            Size; NAXIS2, NAXIS1 of the header where not given.

        Raises
        ------
        FrameError
            Not a TAN grid, or cards that are absent or not finite; says which.
        """
        cards = read_cards(header)
        size = cards.shape if shape is None else shape
        if size is None:
            raise FrameError("the header has no NAXIS1, NAXIS2, and no shape was given")
        return cls(cards.crval, cards.crpix, cards.cd, size)

    # What it is

    @property
    def root_key(self) -> RootKey:
        """Crval, crpix and cd: equal for all windows of one grid."""
        return (self.crval, self.crpix, self.cd)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Window in root pixels as (y0, y1, x0, x1), ends exclusive."""
        (y0, x0), (ny, nx) = self.origin, self.shape
        return (y0, y0 + ny, x0, x0 + nx)

    @property
    def empty(self) -> bool:
        """Whether the window has no pixels."""
        return 0 in self.shape

    @property
    def crpix_window(self) -> tuple[float, float]:
        """FITS CRPIX (x, y), 1-based, of this window."""
        return (self.crpix[0] - self.origin[1], self.crpix[1] - self.origin[0])

    @property
    def pixel_scale(self) -> float:
        """Side of a pixel at the tangent point, arcsec (square root of its area)."""
        return math.sqrt(abs(self._determinant)) * 3600.0

    @property
    def center(self) -> tuple[float, float]:
        """Sky position (ra, dec) of the middle of the window, ICRS degrees."""
        ra, dec = self.pixel_to_sky(0.5 * self.shape[1] - 0.5, 0.5 * self.shape[0] - 0.5)
        return (float(ra), float(dec))

    @property
    def footprint(self) -> Footprint:
        """Outline of the window along the outer edges of its pixels.

        Straight lines of a tangent plane are great circles, so four corners are exact.
        """
        if self.empty:
            return Footprint(())
        ny, nx = self.shape
        x = np.array([0, nx, nx, 0]) - 0.5
        y = np.array([0, 0, ny, ny]) - 0.5
        return Footprint.from_vertices(*self.pixel_to_sky(x, y))

    # Algebra: every result is a window of the same root grid, except `coarsen`

    def __getitem__(self, key: slice | tuple[slice, slice]) -> Frame:
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, slice(None))
        y0, y1 = checks.slice_bounds(rows, self.shape[0])
        x0, x1 = checks.slice_bounds(columns, self.shape[1])
        return self._window(self.origin[0] + y0, y1 - y0, self.origin[1] + x0, x1 - x0)

    def __and__(self, other: Frame) -> Frame:
        self._check_same_root(other)
        (ay0, ay1, ax0, ax1), (by0, by1, bx0, bx1) = self.box, other.box
        y0, y1, x0, x1 = max(ay0, by0), min(ay1, by1), max(ax0, bx0), min(ax1, bx1)
        if y1 <= y0 or x1 <= x0:
            return self._window(0, 0, 0, 0)
        return self._window(y0, y1 - y0, x0, x1 - x0)

    def pad(self, n: int) -> Frame:
        """Grow the window by n >= 0 pixels on every side."""
        if n < 0:
            raise FrameError(f"cannot pad by {n} pixels: slice the frame to shrink it")
        (y0, x0), (ny, nx) = self.origin, self.shape
        return self._window(y0 - n, ny + 2 * n, x0 - n, nx + 2 * n)

    def coarsen(self, n: int) -> Frame:
        """Frame of the blocks of n x n root pixels that touch this window.

        Blocks begin at multiples of n in the root grid; a window that does not end on blocks
        is extended outwards. The result has a root grid of its own.
        """
        whole = self.whole_tiles(n)
        crpix = ((self.crpix[0] - 0.5) / n + 0.5, (self.crpix[1] - 0.5) / n + 0.5)
        cd = (self.cd[0] * n, self.cd[1] * n, self.cd[2] * n, self.cd[3] * n)
        shape = (whole.shape[0] // n, whole.shape[1] // n)
        origin = (whole.origin[0] // n, whole.origin[1] // n)
        return Frame(self.crval, crpix, cd, shape, origin)

    def whole_tiles(self, n: int) -> Frame:
        """Extend the window outwards to multiples of n root pixels."""
        _check_tile(n)
        y0, y1, x0, x1 = self.box
        y0, x0 = y0 // n * n, x0 // n * n
        ny, nx = (0, 0) if self.empty else (-(-y1 // n) * n - y0, -(-x1 // n) * n - x0)
        return self._window(y0, ny, x0, nx)

    def tiles(self, n: int) -> Iterator[tuple[tuple[int, int], Frame]]:
        """Cut the window along multiples of n root pixels.

        Parameters
        ----------
        n : int
            Side of a tile, pixels.

        Yields
        ------
        (ty, tx) : tuple of int
            Index of the tile in the root grid: the same for every window.
        tile : Frame
            The part of the tile inside this window; never empty. The tiles partition it.
        """
        _check_tile(n)
        if self.empty:
            return
        y0, y1, x0, x1 = self.box
        for ty in range(y0 // n, -(-y1 // n)):
            top, bottom = max(ty * n, y0), min(ty * n + n, y1)
            for tx in range(x0 // n, -(-x1 // n)):
                left, right = max(tx * n, x0), min(tx * n + n, x1)
                yield (ty, tx), self._window(top, bottom - top, left, right - left)

    def slices_in(self, other: Frame) -> tuple[slice, slice]:
        """NumPy slices (rows, columns) of this window in an array on another frame.

        Raises
        ------
        FrameError
            This window is not inside the other, or has another root grid.
        """
        self._check_same_root(other)
        if self.empty:
            return (slice(0, 0), slice(0, 0))
        if (self & other).box != self.box:
            raise FrameError(f"window {self.box} is not inside window {other.box}; intersect first")
        y, x = self.origin[0] - other.origin[0], self.origin[1] - other.origin[1]
        return (slice(y, y + self.shape[0]), slice(x, x + self.shape[1]))

    # Pixels and sky

    def pixel_to_sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Sky position of pixels.

        Parameters
        ----------
        x, y : array_like
            0-based pixels of this window, integer at the centre of a pixel.

        Returns
        -------
        ra, dec : ndarray of float64
            ICRS degrees. Float64 degrees resolve 5.7e-14 at RA 360, which is 5e-9 pixels of
            0.04 arcsec: no WCS library can do better from sky positions in degrees.
        """
        dx, dy = self._offsets(x, y)
        cd11, cd12, cd21, cd22 = self.cd
        return tangent.deproject(cd11 * dx + cd12 * dy, cd21 * dx + cd22 * dy, *self.crval)

    def sky_to_pixel(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Pixel of sky positions, inside the window or not.

        Parameters
        ----------
        ra, dec : array_like
            ICRS degrees.

        Returns
        -------
        x, y : ndarray of float64
            0-based pixels of this window; NaN 90 degrees and more from the tangent point.
            Windows of one root grid differ by their integer origins exactly.
        """
        xi, eta = tangent.project(ra, dec, *self.crval)
        cd11, cd12, cd21, cd22 = self.cd
        det = self._determinant
        x = (self.crpix[0] - 1.0) + (cd22 * xi - cd12 * eta) / det
        y = (self.crpix[1] - 1.0) + (cd11 * eta - cd21 * xi) / det
        return x - self.origin[1], y - self.origin[0]

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether sky positions (ICRS degrees) lie in a pixel of this window."""
        x, y = self.sky_to_pixel(ra, dec)
        ny, nx = self.shape
        return (x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5)

    def pixel_area(
        self, y: npt.ArrayLike | None = None, x: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Area of pixels on the sky, relative to a pixel at the tangent point.

        Parameters
        ----------
        y, x : array_like, optional
            0-based pixels, broadcast against each other; the whole axis where not given,
            ``y`` down the rows and ``x`` along the columns.

        Returns
        -------
        ndarray of float64
            cos^3 of the distance to the tangent point; shape (ny, nx) when called without
            arguments.
        """
        rows = np.arange(self.shape[0])[:, np.newaxis] if y is None else y
        columns = np.arange(self.shape[1])[np.newaxis, :] if x is None else x
        dx, dy = self._offsets(columns, rows)
        cd11, cd12, cd21, cd22 = np.radians(self.cd)
        radius2 = (cd11 * dx + cd12 * dy) ** 2 + (cd21 * dx + cd22 * dy) ** 2
        return np.asarray((1.0 + radius2) ** -1.5)

    # Other forms

    def to_header(self) -> dict[str, Card]:
        """FITS WCS cards of this window (without NAXIS), in header order."""
        return write_cards(self.crval, self.crpix_window, self.cd)

    def to_wcs(self) -> WCS:
        """Make an astropy WCS of this window, with its ``pixel_shape``."""
        from astropy.wcs import WCS

        wcs = WCS(self.to_header())
        # A header keeps 14 digits: 2e-9 pixel in the corner of a projection cell.
        wcs.wcs.crval, wcs.wcs.crpix = self.crval, self.crpix_window
        wcs.wcs.cd = np.reshape(self.cd, (2, 2))
        wcs.pixel_shape = (self.shape[1], self.shape[0])
        return wcs

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("hapdask.sky.Frame", *self.root_key, self.shape, self.origin)

    def _repr_html_(self) -> str:
        from hapdask.sky.drawing import frame_html

        return frame_html(self)

    # Parts

    @property
    def _determinant(self) -> float:
        return self.cd[0] * self.cd[3] - self.cd[1] * self.cd[2]

    def _offsets(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Pixels from the reference pixel: root index first, so that no window differs."""
        dx = (np.asarray(x, dtype=np.float64) + self.origin[1]) - (self.crpix[0] - 1.0)
        dy = (np.asarray(y, dtype=np.float64) + self.origin[0]) - (self.crpix[1] - 1.0)
        return dx, dy

    def _window(self, y0: int, ny: int, x0: int, nx: int) -> Frame:
        return Frame(self.crval, self.crpix, self.cd, (ny, nx), (y0, x0))

    def _check_same_root(self, other: Frame) -> None:
        if self.root_key != other.root_key:
            raise FrameError(f"different root grids: {self.root_key} and {other.root_key}")


def _check_tile(n: int) -> None:
    if n < 1:
        raise FrameError(f"a tile of {n} pixels is impossible")
