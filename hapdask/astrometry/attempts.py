"""What was tried to align an exposure, with figures, and why each try was accepted or refused.

Machine-readable; a list of attempts goes into verdicts, tables and reports as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hapdask.errors import StoreError


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try.

    Attributes
    ----------
    catalog : str
        Of the references: its name, or that of the exposure aligned to.
    method : str
        ``relative``, ``histogram`` or ``header``.
    geometry : str
        Empty where no fit was reached.
    matches : int
    rms : float, mas
        Of the separations; NaN where no fit was reached.
    accepted : bool
    reason : str
        Why it was refused, or on what ground accepted.
    exposure : str
        Name; empty for all exposures of a visit together.
    chance : float
        Expected number of chance matches as good; 1 where none was found.
    error : float, mas
        Stated error of a corrected position, over the exposure; NaN unknown.
    header : float, mas
        How far the fit moves the exposure from its header, rms; NaN unknown.
    grade : int
        1 to 4 as HAP's; 5 where refused.
    """

    catalog: str
    method: str
    geometry: str
    matches: int
    rms: float
    accepted: bool
    reason: str
    exposure: str = ""
    chance: float = 1.0
    error: float = math.nan
    header: float = math.nan
    grade: int = 5

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON: None where a figure is unknown."""
        data = asdict(self)
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Attempt:
        """Rebuild an attempt; StoreError if the data are none."""
        known = {field.name for field in fields(cls)}
        if not set(data) <= known:
            raise StoreError(f"the data are not an attempt: {sorted(set(data) - known)} unknown")
        try:
            values: dict[str, Any] = {k: math.nan if v is None else v for k, v in data.items()}
            return cls(**values)
        except TypeError as error:
            raise StoreError(f"the data are not an attempt: {error}") from error
