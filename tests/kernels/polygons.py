"""Exact overlaps of a quadrilateral with unit pixels: slow, plain, and not the kernel's way.

Clips the polygon to each pixel (Sutherland and Hodgman 1974, Comm. ACM 17, 32) and takes the
shoelace area of what is left.
"""

from __future__ import annotations

import math

Point = tuple[float, float]


def clip(polygon: list[Point], axis: int, border: float, side: int) -> list[Point]:
    """Part of a convex polygon on one side (1: above, -1: below) of a line x or y = border."""
    out = []
    for k, a in enumerate(polygon):
        b = polygon[(k + 1) % len(polygon)]
        inside_a, inside_b = side * (a[axis] - border) >= 0, side * (b[axis] - border) >= 0
        if inside_a:
            out.append(a)
        if inside_a != inside_b:
            t = (border - a[axis]) / (b[axis] - a[axis])
            crossing = [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]
            crossing[axis] = border
            out.append((crossing[0], crossing[1]))
    return out


def area(polygon: list[Point]) -> float:
    """Signed area, about the first corner so that far positions keep their digits."""
    if len(polygon) < 3:
        return 0.0
    x0, y0 = polygon[0]
    near = [(x - x0, y - y0) for x, y in polygon]
    pairs = zip(near, [*near[1:], near[0]], strict=True)
    return 0.5 * math.fsum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)


def overlaps(polygon: list[Point]) -> dict[tuple[int, int], float]:
    """Area of a convex polygon in every pixel (y, x) it touches, px**2, positive."""
    xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
    found = {}
    for y in range(math.floor(min(ys) + 0.5), math.floor(max(ys) + 0.5) + 1):
        strip = clip(clip(polygon, 1, y - 0.5, 1), 1, y + 0.5, -1)
        for x in range(math.floor(min(xs) + 0.5), math.floor(max(xs) + 0.5) + 1):
            piece = abs(area(clip(clip(strip, 0, x - 0.5, 1), 0, x + 0.5, -1)))
            if piece > 0.0:
                found[y, x] = piece
    return found


def shrink(polygon: list[Point], center: Point, pixfrac: float) -> list[Point]:
    """Shrink a polygon towards a point."""
    cx, cy = center
    return [(cx + pixfrac * (x - cx), cy + pixfrac * (y - cy)) for x, y in polygon]
