"""S_REGION strings (STC-S): polygons and circles, as archives write them.

Here: text to vertices and back. Not here: what a region is (`hapdask.sky.footprint`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from hapdask.errors import FrameError
from hapdask.sky.tangent import axes, sky_of

Polygon = tuple[tuple[float, ...], tuple[float, ...]]

#: FK5 J2000 differs from ICRS by 0.02 arcsec, which no footprint is meant to resolve.
_SYSTEMS = {"ICRS", "FK5", "J2000", "UNKNOWNFRAME"}
_IGNORED = _SYSTEMS | {
    "UNION", "TOPOCENTER", "GEOCENTER", "BARYCENTER", "UNKNOWNREFPOS", "SPHERICAL2"
}  # fmt: skip
_SHAPES = {"POLYGON", "CIRCLE"}
_CIRCLE_SIDES = 64
_MAX_LENGTH = 2_000_000


def read(text: str) -> list[Polygon]:
    """Read the polygons of an S_REGION string.

    Parameters
    ----------
    text : str
        POLYGON and CIRCLE in any number, bare or in a UNION; degrees.

    Returns
    -------
    list of (ra, dec)
        Tuples of the vertices' coordinates, ICRS degrees. A circle becomes a polygon of 64
        sides around it, so that a search by footprint loses nothing.

    Raises
    ------
    FrameError
        A shape, a coordinate system or a number is not understood.
    """
    if len(text) > _MAX_LENGTH:
        raise FrameError(f"S_REGION of {len(text)} characters refused")
    shapes: list[tuple[str, list[float]]] = []
    for word in text.replace("(", " ").replace(")", " ").replace(",", " ").split():
        if word.upper() in _SHAPES:
            shapes.append((word.upper(), []))
        elif word.upper() not in _IGNORED:
            number = _number(word)
            if not shapes:
                raise FrameError(f"S_REGION: {word!r} stands before any POLYGON or CIRCLE")
            shapes[-1][1].append(number)
    if not shapes:
        raise FrameError(f"S_REGION {text[:40]!r} holds no POLYGON or CIRCLE")
    return [_circle(v) if shape == "CIRCLE" else _polygon(v) for shape, v in shapes]


def write(polygons: Iterable[Polygon]) -> str:
    """Write polygons as an S_REGION string, each closed by its first vertex."""
    return " ".join(
        "POLYGON ICRS " + " ".join(f"{ra!r} {dec!r}" for ra, dec in _closed(polygon))
        for polygon in polygons
    )


def _closed(polygon: Polygon) -> list[tuple[float, float]]:
    vertices = list(zip(*polygon, strict=True))
    return [*vertices, vertices[0]]


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FrameError(f"S_REGION: {word!r} is neither POLYGON, CIRCLE, ICRS nor a number")
    return value


def _polygon(numbers: list[float]) -> Polygon:
    if len(numbers) % 2:
        raise FrameError(f"S_REGION: POLYGON with {len(numbers)} coordinates")
    return (tuple(numbers[0::2]), tuple(numbers[1::2]))


def _circle(numbers: list[float]) -> Polygon:
    """Regular polygon around a circle; its corners stick out by 0.12 % of the radius."""
    if len(numbers) != 3:
        raise FrameError(f"S_REGION: CIRCLE with {len(numbers)} numbers instead of 3")
    ra, dec, radius = numbers
    if abs(dec) > 90.0 or not 0.0 < radius < 80.0:
        raise FrameError(f"S_REGION: CIRCLE {ra} {dec} {radius} is not on the sky or too large")
    angle = np.arange(_CIRCLE_SIDES) * (2 * math.pi / _CIRCLE_SIDES)
    length = math.tan(math.radians(radius)) / math.cos(math.pi / _CIRCLE_SIDES)
    local = np.stack(
        [length * np.sin(angle), length * np.cos(angle), np.ones(_CIRCLE_SIDES)], axis=-1
    )
    ras, decs = sky_of(local @ axes(ra, dec))
    return (tuple(ras.tolist()), tuple(decs.tolist()))
