"""One exposure alone on a frame: what the median of a stack is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip
from hapdask.drizzling.weighting import read_pixels
from hapdask.kernels.drizzle import drizzle_chip
from hapdask.kernels.sums import Layer, make_reserve
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame


@dataclass(frozen=True)
class Single:
    """An exposure drizzled alone.

    Attributes
    ----------
    sci : ndarray of float32, shape of the frame, flux per second
        NaN where it has no weight.
    wht : ndarray of float32, shape of the frame
    """

    sci: NDArray[np.float32]
    wht: NDArray[np.float32]


def drizzle_single(
    exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters
) -> Single | None:
    """Drizzle one exposure onto a frame.

    Parameters
    ----------
    exposure : ExposureRecord
    frame : Frame
        A pixel's bits do not depend on it.
    parameters : DrizzleParameters
        Doubtful flags are left out: nothing stands in for a clean pixel here.

    Returns
    -------
    Single or None
        None where no chip reaches the frame.

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    found = [ReachingChip.find(exposure, chip, frame, parameters) for chip in exposure.chips]
    reaching = [chip for chip in found if chip is not None]
    if not reaching:
        return None
    border = max(chip.patch for chip in reaching)
    shape = (frame.shape[0] + 2 * border, frame.shape[1] + 2 * border)
    origin = (frame.origin[0] - border, frame.origin[1] - border)
    none = np.zeros((0, 0))
    layer = Layer(np.zeros((*shape, 2)), none, none, np.zeros((0, 0), np.int32))
    unused = make_reserve((0, 0), every_plane=False)
    for chip in reaching:
        pixels = read_pixels(chip, frame, parameters, errors=False)
        clean = pixels._replace(
            weight=np.where(pixels.doubt == 0, pixels.weight, np.float32(0.0)),
            doubt=np.zeros_like(pixels.doubt),
        )
        drizzle_chip(chip.geometry(), chip.blocks, clean, origin, layer, unused)
    inner = layer.sums[border : shape[0] - border, border : shape[1] - border]
    weight = inner[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        sci = np.where(weight > 0.0, inner[..., 0] / weight, np.nan)
    return Single(sci.astype(np.float32), np.maximum(weight, 0.0).astype(np.float32))
