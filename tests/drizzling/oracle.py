"""A mosaic by brute force: polygons clipped one by one, sums in dictionaries, rules as told.

Shares with the code under test the reading of pixels, ``Distortion.pixel_to_sky`` and
``Frame.sky_to_pixel``, each tested against astropy elsewhere; nothing of mapping, overlaps,
weights, sums, sets of inputs or planes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from types import ModuleType

import numpy as np

from hapdask.observe.pixels import read_chip_rows
from hapdask.schema import VARIABLES

_SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


class Pixel:
    """What one output pixel gets from one class of detector pixels."""

    def __init__(self) -> None:
        self.flux = self.weight = self.variance = self.pooled = self.epoch = 0.0
        self.inputs: dict[tuple[str, int], tuple[float, float]] = {}
        self.flags = 0


def mosaic(exposures, frame, parameters, polygons: ModuleType):
    """Every plane of `hapdask.schema` except ctx, and the inputs of every pixel (y, x)."""
    classes: tuple[dict, dict] = (defaultdict(Pixel), defaultdict(Pixel))
    for exposure in exposures:
        for chip in exposure.chips:
            _add(classes, exposure, chip, frame, parameters, polygons)
    planes = {n: np.full(frame.shape, v.fill, v.dtype) for n, v in VARIABLES.items() if n != "ctx"}
    inputs = {}
    for at in np.ndindex(frame.shape):
        if at in classes[0] or at in classes[1]:
            pixel = classes[0].get(at) or classes[1][at]
            _publish(planes, at, pixel, clean=at in classes[0])
            inputs[at] = frozenset(pixel.inputs)
    return planes, inputs


def _publish(planes, at, pixel, *, clean):
    exposures = {name: facts for (name, _), facts in pixel.inputs.items()}
    times = [time for _, time in exposures.values()]
    values = {
        "sci": pixel.flux / pixel.weight,
        "wht": pixel.weight,
        "err": math.sqrt(pixel.variance) / pixel.weight,
        "noise_ratio": math.sqrt(pixel.pooled / pixel.variance) if pixel.variance else math.nan,
        "nexp": len(exposures),
        "exptime": sum(exptime for exptime, _ in exposures.values()),
        "epoch": pixel.epoch / pixel.weight,
        "epoch_min": min(times),
        "epoch_max": max(times),
        "quality": 0 if clean else pixel.flags,
    }
    for name, value in values.items():
        planes[name][at] = value


def _weight(parameters, exposure, gain, value, err, flags):
    """Weight and doubtful flags by the rules of science.md."""
    if not math.isfinite(value) or not (math.isfinite(err) and err > 0.0):
        return 0.0, 0
    bits = 0 if parameters.good_bits is None else flags & ~parameters.good_bits
    if bits & ~parameters.doubtful_bits:
        return 0.0, 0
    if parameters.weight == "ERR":
        return float(np.float32(1.0 / (err * gain) ** 2)), bits
    return float(np.float32(exposure.exptime)), bits


def _add(classes, exposure, chip, frame, parameters, polygons):
    ny, nx = chip.shape
    sci, err, dq, masked = read_chip_rows(exposure, chip, 0, ny)
    gain = chip.flux_factor * (frame.pixel_scale / chip.idcscale) ** 2
    if exposure.unit == "electron":
        gain /= exposure.exptime
    y, x = np.mgrid[:ny, :nx]
    corners = [_to_frame(chip, frame, x + dx, y + dy) for dx, dy in _SQUARE]
    center = _to_frame(chip, frame, x, y)
    key = (exposure.name, chip.extver)
    for at in np.ndindex(ny, nx):
        variance = float(err[at]) if err is not None else 1.0
        weight, doubt = _weight(
            parameters, exposure, gain, float(sci[at]), variance, 0 if dq is None else int(dq[at])
        )
        if weight == 0.0 or (masked is not None and masked[at]):
            continue
        drop = [(float(cx[at]), float(cy[at])) for cx, cy in corners]
        if parameters.pixfrac < 1.0:
            middle = float(center[0][at]), float(center[1][at])
            drop = polygons.shrink(drop, middle, parameters.pixfrac)
        size = abs(polygons.area(drop))
        u = math.nan if err is None else (weight * variance * gain) ** 2
        for place, overlap in polygons.overlaps(drop).items():
            a = overlap / size
            # The kernel leaves out overlaps that are rounding noise.
            if a > 1e-9 and 0 <= place[0] < frame.shape[0] and 0 <= place[1] < frame.shape[1]:
                pixel = classes[doubt != 0][place]
                pixel.flux += a * weight * (float(sci[at]) - chip.sky) * gain
                pixel.weight += a * weight
                pixel.variance += a * a * u
                pixel.pooled += a * u
                pixel.epoch += a * weight * exposure.mid_mjd
                pixel.inputs[key] = (exposure.exptime, exposure.mid_mjd)
                pixel.flags |= doubt


def _to_frame(chip, frame, x, y):
    return frame.sky_to_pixel(*chip.distortion.pixel_to_sky(x, y))
