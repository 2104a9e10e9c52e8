"""What a user may set of the joint solution, and the detectors' systematic floors.

Not here: what the values do (`motions`, `association`, `solving`).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hapdask.config.alignment import EXPOSURE_SCALE, HEADER_SCALE
from hapdask.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class JointParameters:
    """How exposures are solved together.

    Attributes
    ----------
    radius : float, arcsec
        Detections nearer than this, after the first alignment, are friends.
    clip : float
        Standard deviations beyond which a detection, a reference star or a proper motion is left
        out.
    pm_scatter : float, mas / yr
        Scatter of the stars' proper motions per axis: the prior of those that have none measured.
    mean_motion : float, mas / yr
        Scatter, per axis, of the *common* proper motion of a field's stars: the Sun's motion and
        the Galaxy's rotation move a field by some mas / yr as a whole.  Visits years apart that
        are tied by stars of unknown motion alone cannot tell it from an error of pointing; stars of
        known motion in the field tell it.  0 says that stars stand still on average, and with a
        true 3 mas / yr errors five years apart are then five times those stated.
    population_motion : float, mas / yr
        By how much, per axis, the common motions of stars of known motion (bright and near) and
        of the others may differ: so well, at best, do the first tell that of the second.
    reference_error : float, mas
        Of reference stars whose catalog states none.
    header_shift, header_rotation, header_scale : float, mas
        Errors of a visit's headers, common to its exposures; rotation and scale as the move that
        they make at 100 arcsec from the tangent point.
    exposure_shift, exposure_linear, exposure_scale : float, mas
        Errors of one exposure's header beside that; the second for rotation and both skews, at 100
        arcsec.  The scale breathes with the telescope, by some 1e-5: to leave it out would be an
        error that no covariance has, so it is always solved for, and held by this where sources
        are few.
    iterations : int
        The most solutions that are made.
    dense_columns : int
        Up to so many parameters of exposures of one group are solved by a dense factorisation (8
        bytes times its square of memory), more by a sparse one.

    Raises
    ------
    ParameterError
        If a value is out of its range.
    """

    radius: float = 0.15
    clip: float = 4.0
    pm_scatter: float = 7.0
    mean_motion: float = 3.0
    population_motion: float = 1.2
    reference_error: float = 5.0
    header_shift: float = 1000.0
    header_rotation: float = 20.0
    header_scale: float = HEADER_SCALE
    exposure_shift: float = 200.0
    exposure_linear: float = 10.0
    exposure_scale: float = EXPOSURE_SCALE
    iterations: int = 12
    dense_columns: int = 6000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in ("iterations", "dense_columns"):
                right = isinstance(value, int) and not isinstance(value, bool)
                good, least = right and value >= 1, "an integer of at least 1"
            else:
                right = isinstance(value, int | float) and not isinstance(value, bool)
                zero = name in ("mean_motion", "population_motion")
                good = right and math.isfinite(value) and (value > 0 or (zero and value == 0))
                least = "a number, at least 0" if zero else "a positive number"
            if not good:
                raise ParameterError(f"joint solution: {name} must be {least}, not {value!r}")
        if self.clip < 2.0:
            raise ParameterError(f"joint solution: clip must be at least 2, not {self.clip!r}")

    @property
    def header_errors(self) -> tuple[float, ...]:
        """Those of a visit: two shifts, rotation, scale."""
        return (self.header_shift, self.header_shift, self.header_rotation, self.header_scale)

    @property
    def exposure_errors(self) -> tuple[float, ...]:
        """Those of an exposure beside its visit: two shifts, rotation, scale, two skews."""
        shift, linear = self.exposure_shift, self.exposure_linear
        return (shift, shift, linear, self.exposure_scale, linear, linear)

    def to_dict(self) -> dict[str, Any]:
        """Make plain data."""
        return asdict(self)


@cache
def _packaged() -> Mapping[str, Any]:
    text = files("hapdask.astrometry.solution").joinpath("detectors.toml").read_text("utf-8")
    return tomllib.loads(text)


def floor_of(detector: str) -> float:
    """Give the systematic floor of a detector, mas per axis.

    Parameters
    ----------
    detector : str
        ``"wfc3.uvis"``, ``"acs.wfc"``, ...; case does not matter.  One that is not in the packaged
        table has the table's default.

    Examples
    --------
    >>> floor_of("WFC3.UVIS"), floor_of("some.other")
    (1.5, 3.0)
    """
    instrument, _, name = detector.lower().partition(".")
    table = _packaged()
    row = table.get(instrument, {}).get(name) or table["default"]
    return float(row["floor"])
