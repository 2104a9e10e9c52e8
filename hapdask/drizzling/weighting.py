"""Pixels of a chip with their weights: what the drizzle kernels take in."""

from __future__ import annotations

import numpy as np

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip, block_rows, flux_gain
from hapdask.errors import InputError
from hapdask.kernels import square
from hapdask.kernels.weights import pixel_weights
from hapdask.observe.pixels import read_chip_rows
from hapdask.sky.frame import Frame


def read_pixels(
    found: ReachingChip, frame: Frame, parameters: DrizzleParameters, *, errors: bool
) -> square.ChipPixels:
    """Read the detector rows of the blocks of a chip that reach a frame, and weigh them.

    Parameters
    ----------
    found : ReachingChip
    frame : Frame
    parameters : DrizzleParameters
    errors : bool
        Keep ERR for the variance planes.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    exposure, chip = found.exposure, found.chip
    first, last = block_rows(found.blocks, chip)
    sci, err, dq = read_chip_rows(exposure, chip, first, last)
    gain = flux_gain(exposure, chip, frame)
    by_variance = parameters.weight == "ERR"
    if by_variance and err is None:
        raise InputError(
            exposure.url,
            "it has no ERR, which weight ERR needs",
            ext=f"SCI,{chip.extver}",
            remedy="use weight EXP, or leave the exposure out",
        )
    weight, doubt = pixel_weights(
        sci,
        err,
        dq,
        good_bits=parameters.good_bits,
        doubtful_bits=parameters.doubtful_bits,
        inverse_variance=by_variance,
        scale=gain if by_variance else exposure.exptime,
    )
    if err is None:
        err = np.full(sci.shape, np.nan, np.float32)
    kept = err if errors else np.empty((0, 0), np.float32)
    return square.ChipPixels(first, sci, kept, weight, doubt, chip.sky, gain)
