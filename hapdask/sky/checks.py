"""What a frame's numbers must be before anything is computed with them.

Here: the checks behind `hapdask.sky.frame.Frame`, each returning the value in its one
canonical form, so that equal frames have equal hashes and tokens.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable

from hapdask.errors import FrameError
from hapdask.sky.tangent import wrap

#: Pixel indices stay below this, so that they fit an int32 and are exact in float64.
_INDEX_LIMIT = 2**31


def tangent_point(crval: Iterable[float]) -> tuple[float, float]:
    """Return (ra, dec) in degrees with RA in [0, 360), or raise `FrameError`."""
    ra, dec = _floats("crval", crval, 2)
    if abs(ra) > 360.0 or abs(dec) > 90.0:
        raise FrameError(f"crval {ra, dec} is no sky position in degrees")
    return (float(wrap(ra)), dec)


def reference_pixel(crpix: Iterable[float]) -> tuple[float, float]:
    """Return a CRPIX (x, y) of sane size, or raise `FrameError`."""
    x, y = _floats("crpix", crpix, 2)
    if max(abs(x), abs(y)) >= _INDEX_LIMIT:
        raise FrameError(f"crpix {x, y} is absurd")
    return (x, y)


def linear_part(cd: Iterable[float]) -> tuple[float, float, float, float]:
    """Return a CD matrix (cd11, cd12, cd21, cd22) that can be inverted, or raise `FrameError`."""
    cd11, cd12, cd21, cd22 = _floats("cd", cd, 4)
    largest = max(map(abs, (cd11, cd12, cd21, cd22)))
    if not 1e-12 <= largest <= 10.0:
        raise FrameError(f"cd {cd} is absurd: pixels of {largest * 3600:g} arcsec")
    if abs(cd11 * cd22 - cd12 * cd21) <= 1e-12 * largest**2:
        raise FrameError(f"cd {cd} is singular")
    return (cd11, cd12, cd21, cd22)


def window(shape: Iterable[int], origin: Iterable[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the shape and origin of a window as plain integers, or raise `FrameError`."""
    (ny, nx), (y0, x0) = _ints("shape", shape), _ints("origin", origin)
    if min(ny, nx) < 0:
        raise FrameError(f"shape {ny, nx} is negative")
    if max(ny, nx, abs(y0), abs(x0), abs(y0 + ny), abs(x0 + nx)) >= _INDEX_LIMIT:
        raise FrameError(f"a window of shape {ny, nx} at {y0, x0} exceeds 2**31 pixels")
    return (ny, nx), (y0, x0)


def slice_bounds(part: object, size: int) -> tuple[int, int]:
    """Start and stop of a slice of step 1 along an axis, clipped as NumPy clips."""
    if not isinstance(part, slice) or part.step not in (None, 1):
        raise FrameError(f"a frame is indexed by slices of step 1, [y0:y1, x0:x1], not {part!r}")
    try:
        start, stop, _ = part.indices(size)
    except TypeError:
        raise FrameError(f"slice bounds must be integers: {part!r}") from None
    return start, max(start, stop)


def _floats(what: str, values: Iterable[float], n: int) -> tuple[float, ...]:
    try:
        # Adding 0.0 turns -0.0 into 0.0, which are equal but have different tokens.
        numbers = tuple(float(value) + 0.0 for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != n or not all(map(math.isfinite, numbers)):
        raise FrameError(f"{what} {values!r} must be {n} finite numbers")
    return numbers


def _ints(what: str, values: Iterable[int]) -> tuple[int, int]:
    try:
        first, second = (operator.index(value) for value in values)
    except (TypeError, ValueError):
        raise FrameError(f"{what} {values!r} must be two integers") from None
    return (first, second)
