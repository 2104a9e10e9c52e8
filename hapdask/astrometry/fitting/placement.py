"""What alignment decided about an exposure: the verdict that records and products carry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.result import Fit
from hapdask.observe.distortion import Correction

#: Every status of a placement, best first.
STATUSES = ("aligned", "confirmed", "relative", "unaligned")


@dataclass(frozen=True, eq=False)
class Placement:
    """What alignment decided about one exposure.

    Attributes
    ----------
    exposure : str
    status : {"aligned", "confirmed", "relative", "unaligned"}
        Tied to a catalog and moved; tied, and the headers shown to be right, so that exposures
        move only where they disagree with each other; tied to the exposures of its group alone;
        left as it is.
    reason : str
    correction : Correction or None
        For `ExposureRecord.corrected`; None leaves the header.
    catalog, method, geometry : str
    matches : int
    rms_mas : float
        Of the fit; NaN without one.
    error_mas : float
        Stated error of positions, statistical; NaN unknown.  Of a confirmed header: the fit's, and
        how far the fit would move it.
    relative_mas : float
        Stated error relative to the others of its group, statistical; NaN outside of any.
    floor_mas : float
        Systematic error per axis, of the detector; in no other error.
    chi2 : float
        Per degree of freedom, of the last fit; NaN unknown.
    header_mas : float
        How far the exposure moves, or would.
    grade : int
        1 to 4 as HAP's; 5 without a tie to a catalog.
    reference : str
        Exposure that the others of the group were aligned to; empty where there was none.
    fit : Fit or None
        To the catalog; of the whole group for the relative method.
    attempts : tuple of Attempt
        All that concern it.
    """

    exposure: str
    status: str = "unaligned"
    reason: str = ""
    correction: Correction | None = None
    catalog: str = ""
    method: str = ""
    geometry: str = ""
    matches: int = 0
    rms_mas: float = math.nan
    error_mas: float = math.nan
    relative_mas: float = math.nan
    floor_mas: float = math.nan
    chi2: float = math.nan
    header_mas: float = math.nan
    grade: int = 5
    reference: str = ""
    fit: Fit | None = field(default=None, repr=False)
    attempts: tuple[Attempt, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON; the fit's residuals stay behind."""
        skipped = ("fit", "attempts", "correction")
        data = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in skipped}
        plain = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()
        }
        moved = self.correction
        plain["correction"] = moved and {
            "center": list(moved.center),
            "matrix": list(moved.matrix),
            "shift": list(moved.shift),
        }
        return plain | {"attempts": [attempt.to_dict() for attempt in self.attempts]}
