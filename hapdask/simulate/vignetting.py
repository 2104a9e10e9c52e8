"""Where a chip sees less light: the shadow of WFPC2's pyramid, and a quad filter's other quadrants.

What lives here: the share of the light that arrives in each pixel. Beyond the edge of the shadow,
and in the filter's own quadrant, it is exactly 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hapdask.simulate.detectors import Detector
from hapdask.simulate.effects import amplifier_map
from hapdask.simulate.modes import Window

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_QUAD_FADE = 120.0  # pixels over which a quad filter's edge, out of focus, fades outwards


def transmission(detector: Detector, window: Window, quadrant: str) -> FloatArray | None:
    """Share of the light that arrives in each pixel.

    Parameters
    ----------
    detector : Detector
        Has the shadow.
    window : Window
        The pixels wanted.
    quadrant : str
        Amplifier whose quadrant the filter covers; empty for a filter of the whole field.

    Returns
    -------
    ndarray of float64, shape of the window, or None
        None where nothing is lost.
    """
    parts = []
    if window.extver in detector.shadow:
        x_inside, y_inside = _beyond_shadow(detector, window.extver)
        penumbra = detector.penumbra[window.extver]
        parts.append(_ramp(x_inside, penumbra) * _ramp(y_inside, penumbra))
    if quadrant:
        parts.append(_quadrant(detector, window.extver, quadrant))
    return window.cut(np.prod(parts, axis=0)) if parts else None


def shadowed(detector: Detector, window: Window) -> BoolArray | None:
    """Pixels in the shadow of WFPC2's pyramid: bool, shape of the window; None without one."""
    if window.extver not in detector.shadow:
        return None
    x_inside, y_inside = _beyond_shadow(detector, window.extver)
    return np.asarray(window.cut((x_inside < 0.0) | (y_inside < 0.0), np.any))


def _beyond_shadow(detector: Detector, extver: int) -> tuple[FloatArray, FloatArray]:
    """Pixels by which each pixel lies beyond the shadow's two edges; negative in it."""
    ny, nx = detector.shape
    coefficients = detector.shadow[extver]
    x, y = np.arange(float(nx)), np.arange(float(ny))
    lowest_y = np.polynomial.polynomial.polyval(x, coefficients[:3])
    lowest_x = np.polynomial.polynomial.polyval(y, coefficients[3:])
    return x[None, :] - 0.5 - lowest_x[:, None], y[:, None] - 0.5 - lowest_y[None, :]


def _ramp(inside: FloatArray, width: float) -> FloatArray:
    """1 where `inside` is 0 or more, falling smoothly to 0 at minus `width`."""
    t = np.clip(1.0 + inside / width, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def _quadrant(detector: Detector, extver: int, quadrant: str) -> FloatArray:
    """1 in the quadrant of an amplifier, fading in its neighbours on the same chip."""
    amps = detector.amps[extver]
    names = sorted(set("".join(amps)))
    own = amplifier_map(detector.shape, amps, {amp: float(amp == quadrant) for amp in names}) > 0.5
    if not own.any():  # the other chip, across the gap
        return np.zeros(detector.shape)
    columns = np.flatnonzero(own.any(axis=0))
    x = np.arange(float(detector.shape[1]))
    outside = np.maximum(np.maximum(columns[0] - x, x - columns[-1]), 0.0)
    return np.asarray(np.broadcast_to(_ramp(-outside, _QUAD_FADE), detector.shape))
