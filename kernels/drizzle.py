"""Dropping a chip's pixels on a tile, by any kernel: the door of this folder.

Strategy: the blocks of a chip that can reach the tile are visited in the chip's own order; the
kernel shapes each row of drops (`square`, `separable`) and adds it to the tile's sums (`adding`).
Positions are those of the root grid and the tile's integer offset only shifts indices, so a tile's
bits depend on neither its size nor its place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels import separable, square
from hapdask.kernels.areas import make_buffers
from hapdask.kernels.blocks import BLOCK, ChipPixels
from hapdask.kernels.chains import Chain
from hapdask.kernels.mapping import PixelMap, make_pixel_map
from hapdask.kernels.sums import Layer, Reserve, with_room

#: Relative head room of the patch over the largest square drop found at the sampled points.
_HEADROOM = 1.05
#: Smaller drops are points, as in the C library.
_SMALLEST = 0.001
SQUARE = "square"
#: Every kernel by its name in drizzle.  Not tophat: it loses flux, and pixels between four others.
KERNELS = (SQUARE, *separable.CODES)


class Drop(NamedTuple):
    """The shape in which detector pixels of one chip are dropped on a grid.

    Attributes
    ----------
    kernel : str
        One of `KERNELS`.
    pixfrac : float
        Linear size of the drop over that of the pixel, in (0, 1].
    scale : float
        Side of an output pixel over that of a detector pixel.
    """

    kernel: str
    pixfrac: float
    scale: float

    @property
    def shape(self) -> separable.Shape:
        """The 1-D shape; of no meaning for the square kernel."""
        name = "point" if self.pixfrac <= _SMALLEST else self.kernel
        return separable.make_shape(name, self.pixfrac, self.scale)

    @property
    def is_square(self) -> bool:
        """Whether the drop is the pixel's own quadrilateral."""
        return self.kernel == SQUARE and self.pixfrac > _SMALLEST

    @property
    def signed(self) -> bool:
        """Whether overlaps may be negative."""
        return self.kernel in ("lanczos2", "lanczos3")

    @property
    def halo(self) -> float:
        """How far a drop reaches from its pixel's centre, output pixels, beyond the pixel."""
        return 0.0 if self.is_square else self.shape.half

    def patch(self, extent: float) -> int:
        """Side of the square of output pixels that holds any drop.

        Parameters
        ----------
        extent : float
            Of the chip's pixels, see `ChipReach`.
        """
        if self.is_square:
            return int(extent * self.pixfrac * _HEADROOM) + 2
        return separable.taps_of(self.shape)


class ChipGeometry(NamedTuple):
    """How the pixels of one chip fall on one root grid.

    Attributes
    ----------
    pixel_map : PixelMap
    shape : tuple of int
        Detector rows and columns.
    drop : Drop
    patch : int
        Side of the square of output pixels that holds any drop.
    """

    pixel_map: PixelMap
    shape: tuple[int, int]
    drop: Drop
    patch: int

    def smoothed(self) -> ChipGeometry:
        """Give it a map that is four times faster: good enough for medians and blots.

        About the nodes of D2IM and NPOL tables, in strips as wide as the largest D2IM shift, the
        exact chain gives way to its bicubic: wrong there by up to 2e-5 pixel on UVIS and WFC.
        """
        return self._replace(pixel_map=self.pixel_map._replace(guard=np.zeros(2)))


def make_geometry(
    chain: Chain,
    shape: tuple[int, int],
    drop: Drop,
    patch: int,
    blocks: NDArray[np.int64],
    stepsize: int = 0,
) -> ChipGeometry:
    """Make ready to drizzle some blocks of a chip.

    Parameters
    ----------
    chain : Chain
        From the chip to the root grid.
    shape : tuple of int
        Detector rows and columns.
    drop : Drop
    patch : int
        From `Drop.patch`.
    blocks : ndarray of int64, shape (n, 2)
        From `blocks_reaching`; no other block may be drizzled.
    stepsize : int
        0 for the exact map; see `hapdask.kernels.mapping.make_pixel_map`.
    """
    (j0, i0), (j1, i1) = blocks.min(axis=0), blocks.max(axis=0) + 1
    rows = int(j0) * BLOCK[0], int(j1) * BLOCK[0]
    # The square kernel maps the far border of its last pixel too.
    columns = int(i0) * BLOCK[1] - 1, int(i1) * BLOCK[1] + 1
    return ChipGeometry(make_pixel_map(chain, shape, rows, stepsize, columns), shape, drop, patch)


def drizzle_chip(
    geometry: ChipGeometry,
    blocks: NDArray[np.int64],
    pixels: ChipPixels,
    origin: tuple[int, int],
    clean: Layer,
    reserve: Reserve,
) -> Reserve:
    """Add a chip's pixels to a tile's sums.

    Parameters
    ----------
    geometry : ChipGeometry
    blocks : ndarray of int64, shape (n, 2)
        From `blocks_reaching`; their rows must be in ``pixels``.
    pixels : ChipPixels
    origin : tuple of int
        Root-grid row and column of element [0, 0] of the layer's arrays.
    clean : Layer
        Receives pixels without doubtful flags.
    reserve : Reserve
        Receives the others, where there is nothing clean yet; must not be used afterwards.

    Returns
    -------
    Reserve
        The reserve with what was added.
    """
    patch, drop = geometry.patch, geometry.drop
    reserve = with_room(reserve, int(np.count_nonzero(pixels.doubt)) * patch * patch)
    place = (origin, clean.sums, reserve)
    chip = (geometry.pixel_map, geometry.shape, blocks, pixels)
    sides = tuple(range(patch))
    if drop.is_square:
        columns = tuple(range(patch + 1))
        square.drizzle_blocks(*chip, drop.pixfrac, sides, columns, make_buffers(patch), *place)
    else:
        separable.drizzle_blocks(*chip, drop.shape, sides, *place)
    return reserve
