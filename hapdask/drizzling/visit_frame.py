"""The frame that all products of a detector in a visit share: north up, around all exposures.

Ours is a function of the set of exposures alone: neither their order nor a solution's last digits
move it.  HAP's, which goes step by step from the first chip and rounds at each, is there for
comparison.  Not here: which exposures count (`hapdask.observe.visits.tree`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hapdask.drizzling.frame_request import FrameRequest, apply_request
from hapdask.drizzling.output_frame import default_grid
from hapdask.errors import PlanError
from hapdask.observe.instruments.table import instrument_of
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import in_hap_order
from hapdask.sky import tangent
from hapdask.sky.frame import Frame

#: Scales of HAP's products that are not their detectors', arcsec per pixel.
_HAP_SCALES = {("acs", "hrc"): 0.025, ("acs", "sbc"): 0.025}
#: Decimals of the tangent point, degrees.
_DECIMALS = 4
#: Pixels beyond which a plane of 4 bytes would take 8 GB of a file.
MOST_PIXELS = 2_000_000_000


def visit_frame(
    exposures: Sequence[ExposureRecord], *, scale: float | None = None, compat: bool = False
) -> Frame:
    """Give the frame of the products of a detector.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        Aligned; of one detector and all its drizzled filters.  With ``compat``, as opened, with
        their header cards.
    scale : float, arcsec / pixel, optional
        Of the output; HAP's for the detector if None (`hap_scale`).
    compat : bool, default False
        HAP's frame: scale and size come from the first chip in HAP's order, rotation and scale
        are each rounded to whole pixels, and half a pixel of the border may be cut.

    Returns
    -------
    Frame
        North up, with the tangent point near the middle, on the centre of a pixel; it holds every
        chip to the outer edges of its pixels.

    Raises
    ------
    PlanError
        If there is no exposure, or they lie so far apart that no file should hold them all.
    """
    chips = [(exposure, chip) for exposure in exposures for chip in exposure.chips]
    if not chips:
        raise PlanError("no exposure, no frame: nothing of this detector can be drizzled")
    if compat:
        frame = _step_by_step(exposures, scale)
    else:
        frame = _around(exposures, hap_scale(exposures) if scale is None else scale)
    ny, nx = frame.shape
    if ny * nx > MOST_PIXELS:
        raise PlanError(
            f"the exposures lie so far apart that their common image would have {nx} x {ny} "
            "pixels: give those of each field on their own"
        )
    return frame


def hap_scale(exposures: Sequence[ExposureRecord]) -> float:
    """Give HAP's scale of a detector: that of the finest chip as it was read out, but for a few.

    Returns
    -------
    float, arcsec / pixel
        Nominal figures, the same whatever exposure is the first.
    """
    return min(
        _HAP_SCALES.get((exposure.instrument, exposure.detector))
        or instrument_of(exposure.instrument, exposure.detector).chip(chip.chip).scale * chip.bin
        for exposure in exposures
        for chip in exposure.chips
    )


def _around(exposures: Sequence[ExposureRecord], scale: float) -> Frame:
    """Make the smallest frame around all chips; its tangent point is their middle, rounded."""
    ordered = sorted(exposures, key=lambda e: e.name)
    borders = [chip.border() for exposure in ordered for chip in exposure.chips]
    ra, dec = np.concatenate(borders, axis=1)
    middle_ra, middle_dec = tangent.sky_of(tangent.unit_vectors(ra, dec).mean(axis=0))
    crval = (round(float(middle_ra), _DECIMALS) % 360.0, round(float(middle_dec), _DECIMALS))
    step = scale / 3600.0
    x, y = Frame(crval, (1.0, 1.0), (-step, 0.0, 0.0, step), (1, 1)).sky_to_pixel(ra, dec)
    if not np.all(np.isfinite(x + y)):
        raise PlanError("the exposures reach beyond any tangent plane: give each field on its own")
    (x0, x1), (y0, y1) = (_reach(each) for each in (x, y))
    crpix = (1.0 - x0, 1.0 - y0)
    return Frame(crval, crpix, (-step, 0.0, 0.0, step), (y1 - y0, x1 - x0))


def _reach(positions: np.ndarray) -> tuple[int, int]:
    """Give the first pixel that positions reach, and the one after the last."""
    return math.floor(positions.min() + 0.5), math.floor(positions.max() + 0.5) + 1


def _step_by_step(exposures: Sequence[ExposureRecord], scale: float | None) -> Frame:
    grid = apply_request(default_grid(in_hap_order(exposures)), FrameRequest(rotation=0.0))
    return apply_request(grid, FrameRequest(scale=scale)).frame()
