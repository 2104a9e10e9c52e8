"""What is known of a WCS solution besides the WCS itself: where it comes from, how good it is.

Plain values, which files tell in their headers, headerlets and WCSCORR.  Not here: fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from hapdask.errors import ParameterError
from hapdask.observe.distortion import Correction

#: WCSNAME has to fit into one card, and to leave room for a number (`names.unique_name`).
_LONGEST = 60


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Relative:
    """How the exposures of a group were aligned with one another.

    Attributes
    ----------
    geometry : str
        Of the fit.
    matches : int
    rms_mas : tuple of float
        RA and Dec, mas.
    reference : str
        Rootname of the exposure that the others were aligned to.
    """

    geometry: str
    matches: int
    rms_mas: tuple[float, float]
    reference: str


@dataclass(frozen=True, slots=True)
class WcsFacts:
    """What is told of a solution.

    Attributes
    ----------
    wcsname : str
        See `names.fitted_name`.
    catalog : str
        Name of the reference catalog; empty where there is none.
    matches : int
        Sources that the fit used; 0 where they are not known.
    rms_mas : tuple of float or None
        RA and Dec, mas.
    geometry : str
        ``shift``, ``rshift``, ``rscale`` or ``general``; empty where nothing was fitted.
    method : str
        FITMETH: how exposures were matched.
    relative : Relative or None
    hdrname : str
        Of the headerlet; empty for the archive's usual one (`names.headerlet_name`).
    author, descrip : str
    history : tuple of str
        Lines for the headerlet.
    date : str
        When the solution was made, UTC; now, where it is not given.
    """

    wcsname: str
    catalog: str = ""
    matches: int = 0
    rms_mas: tuple[float, float] | None = None
    geometry: str = ""
    method: str = ""
    relative: Relative | None = None
    hdrname: str = ""
    author: str = ""
    descrip: str = ""
    history: tuple[str, ...] = ()
    date: str = field(default_factory=_now)

    def __post_init__(self) -> None:
        name = self.wcsname
        if not name.strip() or len(name) > _LONGEST or not (name.isascii() and name.isprintable()):
            raise ParameterError(f"{name!r} is no WCSNAME: give 1 to {_LONGEST} ASCII characters")
        if self.rms_mas is not None and not all(math.isfinite(r) for r in self.rms_mas):
            raise ParameterError(f"{name}: RMS must be finite, not {self.rms_mas}; None if unknown")


def correction_history(correction: Correction) -> tuple[str, ...]:
    """Tell the figures of a correction, as lines of HISTORY.

    Rotations are from north to east in the plane tangent at the correction's centre; the scale
    is the root of the determinant, the skew the difference of the rotations of the two axes.
    """
    m11, m12, m21, m22 = correction.matrix
    axes = math.degrees(math.atan2(m12, m22)), math.degrees(math.atan2(-m21, m11))
    skew = (axes[1] - axes[0] + 180.0) % 360.0 - 180.0
    scale = math.sqrt(abs(float(np.linalg.det([[m11, m12], [m21, m22]]))))
    east, north = correction.shift
    return (
        f"tangent point: {correction.center[0]:.8f} {correction.center[1]:.8f} deg",
        f"x_shift (east): {east * 1000:.4f} mas",
        f"y_shift (north): {north * 1000:.4f} mas",
        f"rotation (y axis): {axes[0]:.8f} deg",
        f"scale: {scale:.10f}",
        f"skew: {skew:.8f} deg",
    )
