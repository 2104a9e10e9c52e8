"""Maps of a report: outlines of sky cells and exposures as data of an SVG, one map per field.

Strategy: exposures that lie near each other make a field; each is projected gnomonically about its
middle, north up and east to the left.  Not here: markup (the template).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.products.report.model import InputLine, Outline, PlaceLine
from hapdask.sky.tangent import axes, sky_of, unit_vectors

FloatArray = npt.NDArray[np.float64]

#: Side of a map, SVG units.
SIDE = 640.0
#: Maps drawn at most.
MOST = 8

_MARGIN = 0.12  # of the field's extent
_FIELD = math.radians(3.0)  # exposures nearer than this are one field
_CORNERS = 24  # points kept of an outline: a chip's edge bends by less than a line's width
_LABEL = 22.0  # SVG units that a label needs
_BARS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000)  # arcsec


@dataclass(frozen=True, slots=True)
class Shape:
    """One outline: an SVG path, what it is, and where its name may stand."""

    path: str
    title: str
    layer: str = ""
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class SkyMap:
    """A field.

    Attributes
    ----------
    places, exposures : tuple of Shape
    ra, dec : float, degrees
        Its middle.
    bar : float
        Length of the scale bar, SVG units.
    bar_text : str
    opacity : float
        Of an exposure: many on top of each other shall stay transparent.
    """

    places: tuple[Shape, ...]
    exposures: tuple[Shape, ...]
    ra: float
    dec: float
    bar: float
    bar_text: str
    opacity: float


def sky_maps(
    places: Sequence[PlaceLine], inputs: Sequence[InputLine]
) -> tuple[tuple[SkyMap, ...], int]:
    """Draw the fields; also give the number of those that are not drawn."""
    shown = [line for line in inputs if line.outline]
    fields = _fields(shown)
    return tuple(_map(places, field) for field in fields[:MOST]), max(len(fields) - MOST, 0)


def _fields(inputs: Sequence[InputLine]) -> list[list[InputLine]]:
    """Group exposures by their distance from the first of a field; largest field first."""
    fields: list[tuple[FloatArray, list[InputLine]]] = []
    for line in inputs:
        middle = _middle([line.outline])
        for start, members in fields:
            if float(middle @ start) > math.cos(_FIELD):
                members.append(line)
                break
        else:
            fields.append((middle, [line]))
    return sorted((members for _, members in fields), key=len, reverse=True)


def _map(places: Sequence[PlaceLine], inputs: Sequence[InputLine]) -> SkyMap:
    centre = _middle([line.outline for line in inputs])
    ra, dec = (float(angle) for angle in sky_of(centre))
    plane = axes(ra, dec)
    drawn = [_projected(line.outline, plane) for line in inputs]
    corners = np.concatenate([polygon for outline in drawn for polygon in outline])
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = float((high - low).max()) * (1 + 2 * _MARGIN)
    scale, middle = SIDE / extent, 0.5 * (low + high)

    def page(outline: list[FloatArray]) -> list[FloatArray]:
        return [0.5 * SIDE - (polygon - middle) * scale for polygon in outline]

    exposures = []
    for line, outline in zip(inputs, drawn, strict=True):
        title = f"{line.name}: {line.layer}, {line.exptime:g} s"
        exposures.append(Shape(_path(page(outline)), title, line.layer))
    per_second = scale * math.radians(1 / 3600.0)
    bar = max((b for b in _BARS if b * per_second < 0.3 * SIDE), default=_BARS[0])
    return SkyMap(
        _place_shapes(places, plane, page),
        tuple(exposures),
        ra,
        dec,
        bar * per_second,
        _angle_text(bar),
        max(0.04, min(0.22, 1.2 / len(inputs))),
    )


def _angle_text(arcsec: int) -> str:
    if arcsec < 60:
        return f"{arcsec} arcsec"
    return f"{arcsec // 60} arcmin" if arcsec < 3600 else f"{arcsec // 3600} deg"


def _place_shapes(
    places: Sequence[PlaceLine], plane: FloatArray, page: Callable[..., list[FloatArray]]
) -> tuple[Shape, ...]:
    """Draw the places that a map shows a part of; one outline for all scales of a sky cell."""
    shapes: dict[str, Shape] = {}
    for place in places:
        if place.name in shapes or not place.outline:
            continue
        if float(_middle([place.outline]) @ plane[2]) < 0.5:  # the other side of the sky
            continue
        outline = page(_projected(place.outline, plane))
        corners = np.concatenate(outline)
        low, high = corners.min(axis=0).clip(0, SIDE), corners.max(axis=0).clip(0, SIDE)
        if (high - low).min() <= 0:
            continue
        x, y = 0.5 * (low[0] + high[0]), low[1] + _LABEL
        shapes[place.name] = Shape(_path(outline), place.name, "", float(x), float(y))
    return tuple(shapes.values())


def _middle(outlines: Sequence[Outline]) -> FloatArray:
    points = [unit_vectors(*polygon) for outline in outlines for polygon in outline]
    total = np.concatenate(points).sum(axis=0)
    middle: FloatArray = total / np.linalg.norm(total)
    return middle


def _projected(outline: Outline, plane: FloatArray) -> list[FloatArray]:
    """Project polygons on a tangent plane: towards east and north, radians."""
    found = []
    for polygon in outline:
        vectors = unit_vectors(*polygon)
        vectors = vectors[:: max(1, len(vectors) // _CORNERS)]
        east, north, depth = (vectors @ axis for axis in plane)
        found.append(np.stack([east, north], axis=-1) / np.maximum(depth, 0.05)[:, np.newaxis])
    return found


def _path(outline: list[FloatArray]) -> str:
    parts = []
    for polygon in outline:
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in polygon) + "Z")
    return "".join(parts)
