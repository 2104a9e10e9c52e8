"""Dropping small chips on small grids, by our kernels and by the C library of ``drizzle`` 3."""

from __future__ import annotations

import numpy as np

from hapdask.kernels import chains, sums
from hapdask.kernels.blocks import ChipPixels, blocks_reaching, chip_reach
from hapdask.kernels.drizzle import Drop, drizzle_chip, make_geometry

BORDER = 24


def as_chip(sci, weight, doubt=None, err=None, offset=0.0, gain=1.0):
    sci, weight = (np.ascontiguousarray(a, dtype=np.float32) for a in (sci, weight))
    if doubt is None:
        doubt = np.zeros(sci.shape, np.uint16)
    if err is None:
        err = np.zeros((0, 0), np.float32)
    return ChipPixels(0, sci, err, weight, doubt, offset, gain)


def drizzle(chain, pixels, drop, shape, origin=(0, 0)):
    """Sums (ny, nx, 2 or 4), reserve's sums and flags of one chip on a window of the root grid."""
    every_plane = bool(pixels.err.size)
    chip_shape = pixels.sci.shape
    reach = chip_reach(chain, chip_shape, drop.halo)
    y0, x0 = origin
    blocks = blocks_reaching(reach, y0, y0 + shape[0], x0, x0 + shape[1])
    geometry = make_geometry(chain, chip_shape, drop, drop.patch(reach.extent), blocks)
    assert geometry.patch <= BORDER
    padded = (shape[0] + 2 * BORDER, shape[1] + 2 * BORDER)
    clean = sums.make_layer(padded, every_plane=every_plane)
    reserve = sums.make_reserve(padded, every_plane=every_plane)
    start = (y0 - BORDER, x0 - BORDER)
    reserve = drizzle_chip(geometry, blocks, pixels, start, clean, reserve)
    inner = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
    slot = reserve.slot[inner]
    return clean.sums[inner], reserve.sums[slot], reserve.flags[slot]


def square(chain, pixels, pixfrac, shape, origin=(0, 0)):
    return drizzle(chain, pixels, Drop("square", pixfrac, 1.0), shape, origin)


def shifted(dx, dy, matrix=((1.0, 0.0), (0.0, 1.0))):
    """Chain of a chip without distortion, moved and turned."""
    homography = np.eye(3)
    homography[:2, :2], homography[:2, 2] = matrix, (dx, dy)
    none = (None, None, None, None)
    return chains.make_chain(homography, (0.0, 0.0), np.zeros((1, 1)), np.zeros((1, 1)), none)


def mean(accumulated):
    with np.errstate(invalid="ignore"):
        return accumulated[..., 0] / accumulated[..., 1]


def window_of(chain, shape, drop):
    """Origin and size of the window that holds all that a chip can reach."""
    bounds = chip_reach(chain, shape, drop.halo).bounds
    origin = int(bounds[..., 2].min()), int(bounds[..., 0].min())
    return origin, (
        int(bounds[..., 3].max()) - origin[0],
        int(bounds[..., 1].max()) - origin[1],
    )


def by_c(chain, pixels, drop, origin, shape):
    """Output, weight and context by the C library, given the exact map as its pixmap."""
    from drizzle import cdrizzle

    ny, nx = pixels.sci.shape
    y, x = np.mgrid[:ny, :nx].astype(np.float64).reshape(2, -1)
    out = np.empty((2, x.size))
    chains.map_points(chain, x, y, out[0], out[1])
    pixmap = np.ascontiguousarray(np.moveaxis(out.reshape(2, ny, nx), 0, -1) - origin[::-1])
    image, weight = (np.zeros(shape, np.float32) for _ in range(2))
    context = np.zeros(shape, np.int32)
    cdrizzle.tdriz(
        input=pixels.sci, weights=pixels.weight, pixmap=pixmap, output=image, counts=weight,
        context=context, uniqid=1, xmin=0, xmax=nx - 1, ymin=0, ymax=ny - 1, iscale=pixels.gain,
        pscale_ratio=drop.scale, pixfrac=drop.pixfrac, kernel=drop.kernel, in_units="cps",
        expscale=1.0, wtscale=1.0, fillstr="0",
    )  # fmt: skip
    return image, weight, context
