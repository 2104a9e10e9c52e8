"""Compile the kernels before workers start, so that none of them waits for another's compiler."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from hapdask.drizzling.by_shape import find_in_rows
from hapdask.drizzling.cosmic_rays import Stack, find_cosmic_rays
from hapdask.drizzling.input_sets import InputFacts
from hapdask.drizzling.tile import TileSums
from hapdask.kernels.blocks import ChipPixels, chip_reach
from hapdask.kernels.chains import make_chain
from hapdask.kernels.drizzle import Drop, make_geometry
from hapdask.kernels.weights import pixel_weights
from hapdask.observe.pixels import ChipRows
from hapdask.schema import ALL
from hapdask.sky.frame import Frame


def compile_kernels(
    patches: Collection[int], kernel: str = "square", variables: Collection[str] = ALL
) -> None:
    """Run every kernel once on a few pixels: from Numba's cache, or compiled into it.

    Parameters
    ----------
    patches : collection of int
        Patch sizes that will occur; each is a compilation of its own.
    kernel : str
        Shape of the drops.
    variables : collection of str
        Planes that will be asked for.
    """
    frame = Frame.from_center(0.0, 0.0, 1.0, (8, 8))
    shape = (4, 4)
    blocks = np.zeros((1, 2), np.int64)
    sci = np.ones(shape, np.float32)
    weight, doubt = pixel_weights(
        sci,
        sci,
        np.array([[0, 16], [0, 0]] * 2, np.uint16).repeat(2, axis=1),
        good_bits=0,
        doubtful_bits=16,
        by_error=False,
        scale=1.0,
    )
    for patch in patches:
        tile = TileSums(frame, tuple(variables), border=patch)
        err = sci if tile.every_plane else np.empty((0, 0), np.float32)
        pixels = ChipPixels(0, sci, err, weight, doubt, 0.0, 1.0)
        # Pixels as large as the patch allows: half the patch on a side.
        size = 0.5 * patch
        chain = make_chain(
            np.array([[size, 0.0, 1.0], [0.0, size, 1.0], [0.0, 0.0, 1.0]]),
            (0.0, 0.0),
            np.zeros((1, 1)),
            np.zeros((1, 1)),
            (None, None, None, None),
        )
        drop = Drop(kernel, 1.0, 1.0 / size)
        reach = chip_reach(chain, shape, drop.halo)
        geometry = make_geometry(chain, shape, drop, patch, blocks)
        facts = InputFacts("none", 1, 1.0, 0.0)
        tile.add_chip(geometry, blocks, reach.bounds[0], pixels, facts)
        for _ in tile.planes():
            pass


def compile_stack(stack: Stack, frame: Frame) -> None:
    """Run the kernels of a stack once, on a few pixels in the middle of an exposure.

    Parameters
    ----------
    stack : Stack
    frame : Frame
        Of the median.

    Raises
    ------
    InputError
        If an exposure there cannot be read.
    """
    chip = stack.exposures[0].chips[0]
    ny, nx = chip.shape
    middle = chip.distortion.pixel_to_sky(np.array([0.5 * nx]), np.array([0.5 * ny]))
    x, y = (int(value[0]) for value in frame.sky_to_pixel(*middle))
    row, column = y + frame.origin[0], x + frame.origin[1]
    find_cosmic_rays(stack, Frame(frame.crval, frame.crpix, frame.cd, (8, 8), (row, column)))
    if stack.test.by_shape:
        hit = ChipRows(np.full((3, 3), 1e9, np.float32), None, None, None)
        find_in_rows(hit, stack.exposures[0], chip, stack.parameters.good_bits)
