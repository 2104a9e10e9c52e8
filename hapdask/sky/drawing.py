"""How frames, footprints and cells show themselves in a notebook: HTML with inline SVG.

Here: markup only. Nothing is computed that the objects do not know themselves.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hapdask.sky.tangent import axes, sky_of

if TYPE_CHECKING:
    from hapdask.sky.cells import SkyCell
    from hapdask.sky.footprint import Footprint
    from hapdask.sky.frame import Frame

_SIZE = 150
_MARGIN = 18


def frame_html(frame: Frame) -> str:
    """Draw a frame: its outline with north up, and what it is in a table."""
    y0, y1, x0, x1 = frame.box
    rows = [
        ("shape (ny, nx)", f"{frame.shape[0]} x {frame.shape[1]}"),
        ("pixel scale", f"{frame.pixel_scale:.6g} arcsec"),
        ("root pixels", f"[{y0}:{y1}, {x0}:{x1}]"),
        ("tangent point", _position(*frame.crval)),
    ]
    if frame.empty:
        return _page("Frame", frame.name, [*rows, ("", "empty")], "")
    height, width = (n * frame.pixel_scale / 60.0 for n in frame.shape)
    rows[1:1] = [
        ("size", f"{height:.4g} x {width:.4g} arcmin"),
        ("center", _position(*frame.center)),
    ]
    return _page("Frame", frame.name, rows, _footprint_svg(frame.footprint))


def footprint_html(footprint: Footprint) -> str:
    """Draw a footprint: its polygons with north up, and where it is."""
    if not footprint.polygons:
        return _page("Footprint", "", [("", "empty")], "")
    cap = footprint.bounding_cap
    ra, dec = sky_of(cap.vector)
    rows = [
        ("polygons", str(len(footprint.polygons))),
        ("vertices", str(sum(len(ra) for ra, _ in footprint.polygons))),
        ("center", _position(float(ra), float(dec))),
        ("radius", f"{cap.radius:.4g} deg"),
    ]
    return _page("Footprint", "", rows, _footprint_svg(footprint))


def sky_cell_html(cell: SkyCell) -> str:
    """Draw a sky cell: where it lies in its projection cell."""
    n = cell.projection_cell.tessellation.cells_per_side
    step = _SIZE / n
    lines = "".join(
        f'<path d="M{i * step:.1f} 0V{_SIZE}M0 {i * step:.1f}H{_SIZE}"/>' for i in range(n + 1)
    )
    left, top = (cell.x - 1) * step, (n - cell.y) * step
    drawing = (
        f'<g stroke="currentColor" stroke-opacity="0.25" stroke-width="0.5">{lines}</g>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{step:.1f}" height="{step:.1f}" '
        'fill="#d9480f"/>'
    )
    frame = cell.frame()
    rows = [
        ("projection cell", f"{cell.projection_cell.id}, {_position(*frame.crval)}"),
        ("x, y", f"{cell.x}, {cell.y} of {n}"),
        ("center", _position(*frame.center)),
        ("fine", f"{frame.shape[0]} x {frame.shape[1]} pixels of {frame.pixel_scale:.3g} arcsec"),
    ]
    return _page("SkyCell", cell.name, rows, _svg(drawing))


def _footprint_svg(footprint: Footprint) -> str:
    cap = footprint.bounding_cap
    ra, dec = sky_of(cap.vector)
    to_plane = axes(float(ra), float(dec))[:2].T
    outlines = [vectors @ to_plane for vectors in footprint.vertex_vectors()]
    extent = max(float(np.abs(outline).max()) for outline in outlines)
    scale = (0.5 * _SIZE - _MARGIN) / extent
    shapes = "".join(f'<polygon points="{_points(outline * scale)}"/>' for outline in outlines)
    return _svg(
        f'<g fill="#1c7ed6" fill-opacity="0.25" stroke="#1c7ed6">{shapes}</g>'
        '<g fill="currentColor" font-size="11" text-anchor="middle">'
        f'<text x="{_SIZE / 2}" y="11">N</text><text x="7" y="{_SIZE / 2 + 4}">E</text></g>'
    )


def _points(outline: npt.NDArray[np.float64]) -> str:
    """East is to the left and north is up: both axes of the page are reversed."""
    middle = 0.5 * _SIZE
    return " ".join(f"{middle - x:.1f},{middle - y:.1f}" for x, y in outline)


def _svg(content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIZE}" height="{_SIZE}" '
        f'viewBox="0 0 {_SIZE} {_SIZE}">{content}</svg>'
    )


def _position(ra: float, dec: float) -> str:
    return f"RA {ra:.6f}, Dec {dec:+.6f}"


def _page(kind: str, name: str, rows: list[tuple[str, str]], drawing: str) -> str:
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for key, value in rows
    )
    title = f"{kind} {html.escape(name)}".strip()
    return (
        f"<div style='display:flex;gap:1em;align-items:center'><div><b>{title}</b>"
        f"<table>{cells}</table></div>{drawing}</div>"
    )
