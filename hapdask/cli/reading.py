"""From options to a request: where, what and how.

Here: reading and checking what was typed.  Not here: what is then made (`recipes.batch`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hapdask.cli.console import complain, plural
from hapdask.cli.groups import Fits, How, Masking, What, Where
from hapdask.cli.options import thread_count
from hapdask.errors import FrameError, InputError, ParameterError

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures
    from hapdask.recipes.batch import Request
    from hapdask.sky.cells import SkyCell
    from hapdask.sky.frame import Frame

_ANGLE = re.compile(r"(?P<number>[0-9.]+(?:e[+-]?\d+)?)\s*(?P<unit>[a-z\"']*)", re.IGNORECASE)
_ARCSEC = {
    "": 1.0, "arcsec": 1.0, '"': 1.0, "arcmin": 60.0, "'": 60.0, "deg": 3600.0,
}  # fmt: skip
_PIXELS = ("pix", "px", "pixel", "pixels")
_LONGEST = 1_000_000
_CHUNK = 1024


def read_cells(names: Sequence[str]) -> tuple[SkyCell, ...]:
    """Find sky cells by their names.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    from hapdask.sky.grid import SkyGrid

    grid = SkyGrid()
    return tuple(grid[name.strip().lower()] for name in dict.fromkeys(names))


def read_frame(
    center: tuple[float, float] | None,
    size: str | None,
    pixel_scale: float,
    rotation: float,
    like: Path | None,
) -> Frame | None:
    """Make the custom frame that was asked for; None if none was.

    Raises
    ------
    typer.BadParameter
        If options miss, or contradict each other.
    InputError
        If the image of ``--like`` has no usable grid.
    """
    if like is not None:
        if center is not None or size is not None:
            raise typer.BadParameter("it goes without --center and --size", param_hint="--like")
        return frame_like(like)
    if center is None:
        if size is not None:
            raise typer.BadParameter("it needs --center RA DEC", param_hint="--size")
        return None
    if size is None:
        raise typer.BadParameter("it needs --size W[,H]", param_hint="--center")
    from hapdask.sky.frame import Frame

    nx, ny = read_size(size, pixel_scale)
    try:
        return Frame.from_center(*center, pixel_scale, (ny, nx), rotation)
    except FrameError as error:
        raise typer.BadParameter(str(error), param_hint="--center") from error


def read_size(text: str, pixel_scale: float) -> tuple[int, int]:
    """Read ``W[,H]`` as pixels along x and y.

    Parameters
    ----------
    text : str
        Numbers of arcsec, or with a unit.
    pixel_scale : float
        Arcsec.

    Raises
    ------
    typer.BadParameter
        If it is no positive size, or an absurd one.

    Examples
    --------
    >>> read_size("20", 0.04), read_size("1arcmin,300pix", 0.1)
    ((500, 500), (600, 300))
    """
    if not pixel_scale > 0:
        raise typer.BadParameter(f"{pixel_scale} arcsec is no pixel", param_hint="--pixel-scale")
    parts = text.split(",")
    sides = [_side(part, pixel_scale) for part in parts]
    if len(sides) not in (1, 2) or not all(0 < side <= _LONGEST for side in sides):
        raise typer.BadParameter(
            f"{text!r} is no size: give W or W,H such as 90, 2arcmin,1arcmin or 3000pix "
            f"(up to {_LONGEST} pixels)",
            param_hint="--size",
        )
    return sides[0], sides[-1]


def _side(text: str, pixel_scale: float) -> int:
    match = _ANGLE.fullmatch(text.strip())
    if match is None:
        return 0
    try:
        number, unit = float(match["number"]), match["unit"].lower()
    except ValueError:
        return 0
    if unit in _PIXELS:
        return round(number)
    return round(number * _ARCSEC.get(unit, 0.0) / pixel_scale)


def frame_like(path: Path) -> Frame:
    """Take the grid of an image: SCI, or the first extension that has two axes.

    Raises
    ------
    InputError
        If the file cannot be read, or has no image on a TAN grid without distortion.
    """
    from hapdask.observe.fits import scan
    from hapdask.sky.frame import Frame

    file = scan(str(path))
    images = [h for h in file.hdus if len(h.shape) == 2 and "CTYPE1" in h.header]
    images.sort(key=lambda hdu: hdu.name != "SCI")
    if not images:
        raise InputError(
            str(path), "no image with a WCS", remedy="name a file with an image of two axes"
        )
    image = images[0]
    try:
        return Frame.from_header(dict(image.header), (image.shape[0], image.shape[1]))
    except FrameError as error:
        label = f"{image.name},{image.extver}" if image.name else str(image.index)
        remedy = "name a drizzled image, or use --center"
        raise InputError(str(path), str(error), ext=label, remedy=remedy) from error


def read_overrides(how: How) -> dict[str, object]:
    """Read ``--set``, and the options that are short for it.

    Raises
    ------
    ParameterError
        On an unknown name, a value that cannot be read, or one given twice.
    """
    from hapdask.config import parse_setting

    pairs = [parse_setting(text) for text in how.settings or ()]
    if how.kernel is not None:
        pairs.append(("kernel", how.kernel.lower()))
    if how.weight is not None:
        pairs.append(("weight", how.weight.upper()))
    if how.pixfrac is not None:
        pairs.append(("pixfrac", how.pixfrac))
    values: dict[str, object] = {}
    for name, value in pairs:
        if values.get(name, value) != value:
            raise ParameterError(f"{name} is given twice: {values[name]!r} and {value!r}")
        values[name] = value
    return values


def read_scales(scales: Sequence[str]) -> tuple[str, ...]:
    """Check ``--scale``."""
    for scale in scales:
        if scale not in ("fine", "coarse"):
            raise typer.BadParameter(f"{scale!r} is no scale: fine or coarse", param_hint="--scale")
    return tuple(dict.fromkeys(scales))


def read_request(
    where: Where,
    what: What,
    how: How,
    fits: Fits | None = None,
    *,
    out: Path,
    threads: int | None,
    **rest: Any,
) -> Request:
    """Make the request of the options of ``plan`` and ``mosaic``.

    Raises
    ------
    typer.BadParameter, ParameterError
        If options are wrong or contradict each other.
    """
    from hapdask.products.fits_export import FitsOptions
    from hapdask.recipes.batch import Request

    frame = read_frame(where.center, where.size, where.pixel_scale, where.rotation, where.like)
    if frame is None and (where.name, where.pixel_scale, where.rotation) != ("mosaic", 0.04, 0.0):
        raise typer.BadParameter("--name, --pixel-scale and --rotation need --center or --like")
    if sum((bool(where.cell), where.auto, frame is not None)) > 1:
        raise typer.BadParameter("choose one of --cell, --auto, and a frame (--center or --like)")
    if frame is not None and what.scale:
        raise typer.BadParameter("a frame has its own pixels", param_hint="--scale")
    if how.tile < 1 or (how.tile > _CHUNK and how.tile % _CHUNK):
        raise typer.BadParameter(
            f"{how.tile} pixels are not whole chunks of {_CHUNK}", param_hint="--tile"
        )
    return Request(
        out=out,
        cells=read_cells(where.cell or ()),
        frame=frame,
        name=where.name,
        layers=tuple(word.lower() for word in what.layer or ()),
        scales=read_scales(what.scale or ()),
        preset=how.preset,
        parameter_file=None if how.parameters is None else str(how.parameters),
        overrides=read_overrides(how),
        tile=how.tile,
        threads=thread_count(threads),
        fits=FitsOptions() if fits is None else FitsOptions(fits.context, fits.separate),
        **rest,
    )


def read_maps(request: Request, masking: Masking, exposures: Exposures) -> Request:
    """Add masks to a request, and the inverse-variance maps given or named by @lists.

    Maps of lists are left alone, with a word of it, where no layer is weighted by them.
    """
    from hapdask.recipes.prepare import layer_parameters

    request = replace(request, masks=tuple(masking.mask or ()))
    if masking.ivm:
        return replace(request, ivm=tuple(masking.ivm))
    if maps := exposures.ivm_maps:
        known = layer_parameters(
            exposures,
            preset=request.preset,
            file=request.parameter_file,
            overrides=request.overrides,
        )
        if all(resolved.parameters.weight != "IVM" for resolved in known.values()):
            complain(
                f"{plural(len(maps), 'inverse-variance map')} of lists: used by --weight IVM only"
            )
            return request
    return replace(request, ivm=maps)
