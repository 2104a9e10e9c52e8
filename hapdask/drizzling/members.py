"""What must be known of an exposure before any tile of the median: weight, sky, read noise.

The mean weight is that of the pixels that the exposure, drizzled alone, covers.  A drop gives away
its pixel's whole weight, so the sum of all is known from the detector; and an output pixel is
covered where any good pixel's centre lies within reach of it, which is tried at many places.  No
pixel is drizzled, and SCI is not read where flags tell which pixels are good.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.cosmic_ray_test import rate_variance
from hapdask.drizzling.inputs import chain_to_root, make_drop
from hapdask.drizzling.median import StackMember
from hapdask.drizzling.weighting import electron_gain, to_electrons, weigh
from hapdask.kernels.chains import Chain, map_points
from hapdask.kernels.drizzle import Drop
from hapdask.kernels.weights import covered_area
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

Bad = NDArray[np.bool_]

#: Points along each edge of a chip from which its area on the frame is measured.
_EDGE = 32
#: Places at which a chip's coverage is tried.
_POINTS = 200_000
#: Rows that are looked at together for a pixel with weight.
_ROWS = 128
#: Half the span over which a chip's scale is taken, detector pixels.
_SPAN = 20.0


def stack_member(
    exposure: ExposureRecord,
    frame: Frame,
    parameters: DrizzleParameters,
    *,
    upstream: bool = False,
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
    upstream : bool
        Take the frame's pixels to be as large as the detector's, as AstroDrizzle does: on larger
        ones it believes the noise too small, and takes the minimum for the median too often.

    Returns
    -------
    StackMember
        Its mean weight is 0 where no pixel is good.  Its sky is the lowest of its chips, its read
        noise the root mean square of theirs, as AstroDrizzle has them; its area is the median.

    Raises
    ------
    InputError
        If the exposure or a mask cannot be read.
    """
    weight = area = 0.0
    for chip in exposure.chips:
        total, bad = _weigh_chip(exposure, chip, frame, parameters)
        weight += total
        area += _covered(chain_to_root(chip, frame), bad, make_drop(chip, frame, parameters))
    areas = [
        1.0 if upstream else (frame.pixel_scale / chip.idcscale) ** 2 for chip in exposure.chips
    ]
    skies = (_sky(exposure, chip) * a for chip, a in zip(exposure.chips, areas, strict=True))
    noise = math.sqrt(sum(c.read_noise**2 for c in exposure.chips) / len(exposure.chips))
    return StackMember(
        weight / area if area else 0.0,
        min(skies),
        noise,
        float(np.median(areas)),
        rate_variance(exposure),
        exposure.exptime,
    )


def chips_without_pixels(
    exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters
) -> list[int]:
    """Find the chips of which no pixel has any weight, flags, masks, SCI and ERR together.

    Rows are read until one is found that has some: the first ones, as a rule.

    Returns
    -------
    list of int
        EXTVER of each.

    Raises
    ------
    InputError
        If the exposure or a mask cannot be read.
    """
    empty = []
    for chip in exposure.chips:
        gain = electron_gain(exposure, chip, frame)
        with open_chip(exposure, chip) as reader:
            for first in range(0, chip.shape[0], _ROWS):
                rows = reader.read(first, first + _ROWS)
                pixels = weigh(rows, first, exposure, chip, gain, parameters, errors=False)
                if pixels.weight.any():
                    break
            else:
                empty.append(chip.extver)
    return empty


def _sky(exposure: ExposureRecord, chip: ChipRecord) -> float:
    """Sky of a detector pixel, electrons / s, subtracted by us or by others."""
    return (chip.sky + chip.removed) * to_electrons(exposure, chip) / exposure.exptime


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


def _covered(chain: Chain, bad: Bad, drop: Drop) -> float:
    """Output pixels that the drops of a chip's good pixels touch."""
    ny, nx = bad.shape
    t = np.arange(_EDGE) / _EDGE
    zero, one = np.zeros(_EDGE), np.ones(_EDGE)
    x = np.concatenate([t, one, 1 - t, zero]) * nx - 0.5
    y = np.concatenate([zero, t, one, 1 - t]) * ny - 0.5
    px, py = _mapped(chain, x, y)
    px, py = px - px[0], py - py[0]
    area = 0.5 * abs(float(np.sum(px * np.roll(py, -1) - np.roll(px, -1) * py)))
    jacobian = _jacobian(chain, 0.5 * (nx - 1), 0.5 * (ny - 1))
    inverse = np.linalg.inv(jacobian).astype(np.float64)
    reach = np.array([0.5 + drop.halo, 0.5 + drop.halo, np.inf, np.inf])
    if drop.is_square:
        # Two rectangles touch where they do along the sides of either.
        reach[:2] = 0.5 + 0.5 * drop.pixfrac * np.abs(jacobian).sum(axis=1)
        reach[2:] = 0.5 * drop.pixfrac + 0.5 * np.abs(inverse).sum(axis=1)
    elif drop.signed:
        reach[:2] = drop.halo
    touched: float = covered_area(bad, jacobian, inverse, reach, _POINTS)
    return float(touched * area / (nx * ny))


def _jacobian(chain: Chain, x: float, y: float) -> NDArray[np.float64]:
    """Output pixels by detector pixels about a place, averaged over the bends of tables."""
    step = np.array([-_SPAN, _SPAN, 0.0, 0.0])
    px, py = _mapped(chain, x + step, y + step[::-1])
    return np.array([[px[1] - px[0], px[2] - px[3]], [py[1] - py[0], py[2] - py[3]]]) / (2 * _SPAN)


def _mapped(
    chain: Chain, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    px, py = np.empty_like(x), np.empty_like(y)
    map_points(chain, x, y, px, py)
    return px, py
