"""What must be known of an exposure before any tile of the median: weight, sky, read noise.

The mean weight is that of the pixels that the exposure, drizzled alone, covers.  A drop gives away
its pixel's whole weight, so the sum of all is known from the detector; and an output pixel is
covered where any good pixel's centre lies within reach of it, which is a count of windows on the
detector.  No pixel is drizzled, and SCI is not read where flags tell which pixels are good.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import chain_to_root, make_drop
from hapdask.drizzling.median import StackMember
from hapdask.drizzling.weighting import electron_gain, to_electrons, weigh
from hapdask.kernels.drizzle import Drop
from hapdask.kernels.mapping import Chain, map_points
from hapdask.kernels.weights import windows_with_good
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Bad = NDArray[np.bool_]

#: Points along each edge of a chip from which its area on the frame is measured.
_EDGE = 32
#: Windows of a size that is rarer than this are not counted.
_RARE = 1e-3


def stack_member(
    exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters
) -> StackMember:
    """Find the figures of an exposure without drizzling it.

    Parameters
    ----------
    exposure : ExposureRecord
        With its sky levels and masks.
    frame : Frame
        Of the separate drizzle; the exposure need not be all on it.
    parameters : DrizzleParameters
        Of the separate drizzle.

    Returns
    -------
    StackMember
        Its mean weight is 0 where no pixel is good.  Its sky is the lowest of its chips, its read
        noise the root mean square of theirs, as AstroDrizzle has them.

    Raises
    ------
    InputError
        If the exposure or a mask cannot be read.
    """
    weight = area = 0.0
    for chip in exposure.chips:
        total, bad = _weigh_chip(exposure, chip, frame, parameters)
        weight += total
        pixel = _area(chain_to_root(chip, frame), chip.shape) / (chip.shape[0] * chip.shape[1])
        area += pixel * _covered(bad, make_drop(chip, frame, parameters))
    sky = min(_sky(exposure, chip, frame) for chip in exposure.chips)
    noise = math.sqrt(sum(c.read_noise**2 for c in exposure.chips) / len(exposure.chips))
    return StackMember(weight / area if area else 0.0, sky, noise)


def _sky(exposure: ExposureRecord, chip: ChipRecord, frame: Frame) -> float:
    """Sky of one of the frame's pixels, electrons / s."""
    ratio = frame.pixel_scale / chip.idcscale
    return chip.sky * to_electrons(exposure, chip) / exposure.exptime * ratio**2


def _weigh_chip(
    exposure: ExposureRecord, chip: ChipRecord, frame: Frame, parameters: DrizzleParameters
) -> tuple[float, Bad]:
    """Sum of the weights of a chip's good pixels, and which are bad."""
    clean = replace(parameters, doubtful_bits=0)
    with open_chip(exposure, chip) as reader:
        if clean.weight == "EXP" and chip.dq is not None:
            bad = reader.read_bad(clean.good_bits)
            return exposure.exptime * (bad.size - int(np.count_nonzero(bad))), bad
        rows = reader.read(0, chip.shape[0], errors=clean.weight != "EXP")
    gain = electron_gain(exposure, chip, frame)
    weight = weigh(rows, 0, exposure, chip, gain, clean, errors=False).weight
    return float(weight.sum(dtype=np.float64)), weight == 0.0


def _area(chain: Chain, shape: tuple[int, int]) -> float:
    """Area of a chip on the frame, output pixels."""
    t = np.arange(_EDGE) / _EDGE
    zero, one = np.zeros(_EDGE), np.ones(_EDGE)
    x = np.concatenate([t, one, 1 - t, zero]) * shape[1] - 0.5
    y = np.concatenate([zero, t, one, 1 - t]) * shape[0] - 0.5
    px, py = np.empty_like(x), np.empty_like(y)
    map_points(chain, x, y, px, py)
    px, py = px - px[0], py - py[0]
    return 0.5 * abs(float(np.sum(px * np.roll(py, -1) - np.roll(px, -1) * py)))


def _covered(bad: Bad, drop: Drop) -> float:
    """Detector pixels' worth of output pixels that the drops of good pixels touch.

    An output pixel is touched by the drops whose centres lie in a window about it: as wide as
    drop and pixel together.  A window of n + f pixels holds n centres or, in the part f of all
    places, n + 1 along an axis; the windows that hold a good one are counted.
    """
    n, f = divmod(_window(drop), 1.0)
    sides = ((int(n), 1.0 - f), (int(n) + 1, f))
    total = 0.0
    for height, p in sides:
        for width, q in sides:
            if height and width and p * q > _RARE:
                total += p * q * windows_with_good(bad, height, width)
    return total


def _window(drop: Drop) -> float:
    """Side of the window, detector pixels."""
    if drop.is_square:
        return drop.scale + drop.pixfrac
    reach = 2.0 * drop.halo if drop.signed else 2.0 * drop.halo + 1.0
    return reach * drop.scale
