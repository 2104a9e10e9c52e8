"""How the telescope moved while an exposure was taken: drift, jitter, a lock lost and found again.

What lives here: the path of the images on the sky. How light is drawn along it is in ``drawing``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from hapdask.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion during one exposure; the default is none.

    Parameters
    ----------
    trail : float, arcsec
        Length of an even drift, half of it on either side of where the truth has the source.
    jitter : float, arcsec
        Rms on each axis of fast random motion: every image is as much wider.
    jump : float, arcsec
        Distance by which the telescope is off after it lost its lock and found another.
    angle : float, degrees east of north
        Of the drift and of the jump.
    share : float
        Part of the exposure that is taken after the jump.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """

    trail: float = 0.0
    jitter: float = 0.0
    jump: float = 0.0
    angle: float = 0.0
    share: float = 0.5

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not math.isfinite(value) or (value < 0.0 and each.name != "angle"):
                raise ParameterError(f"{each.name}={value} must be a number of 0 or more")
        if self.share > 1.0:
            raise ParameterError(f"share={self.share} is a part of the exposure, not above 1")

    @property
    def still(self) -> bool:
        """Whether images stay where they are; jitter widens them in place."""
        return self.trail == 0.0 and self.jump == 0.0

    def path(self, step: float) -> Iterator[tuple[float, float, float]]:
        """Follow the path in steps.

        Parameters
        ----------
        step : float
            Largest length of a step of the drift, arcsec.

        Yields
        ------
        east, north, share : float
            Offset in arcsec, and the part of the exposure spent there; the shares add to 1.
        """
        n = max(1, math.ceil(self.trail / step))
        jumps = ((0.0, 1.0 - self.share), (self.jump, self.share)) if self.jump else ((0.0, 1.0),)
        sine, cosine = math.sin(math.radians(self.angle)), math.cos(math.radians(self.angle))
        for start, part in jumps:
            for k in range(n):
                along = start + ((k + 0.5) / n - 0.5) * self.trail
                yield along * sine, along * cosine, part / n


#: No motion.
STILL = Motion()
