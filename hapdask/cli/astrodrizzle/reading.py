"""From what was typed to the arguments of a run: parameters, frame, products.

Here: reading and checking words.  Not here: what parameters may be (`hapdask.config`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import typer

from hapdask.cli.astrodrizzle.options import Grid, Own, Products
from hapdask.config.preset_tables import nearest
from hapdask.errors import ParameterError

if TYPE_CHECKING:
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun
    from hapdask.sky.cells import SkyCell
    from hapdask.sky.frame import Frame

#: Files of steps that can be kept, as `Run.write` names them.
KINDS = ("single", "median", "blot", "crmask", "staticmask", "skymask")
_ALL = "all"


def read_settings(settings: Sequence[str], own: Own) -> dict[str, object]:
    """Read ``--set``, and the options that stand for a parameter.

    Raises
    ------
    ParameterError
        On an unknown name, or one that is given twice.
    """
    from hapdask.config import parse_astrodrizzle_setting

    pairs: list[tuple[str, object]] = [parse_astrodrizzle_setting(text) for text in settings]
    typed = ((field.name, getattr(own, field.name)) for field in fields(own))
    pairs += [(name, value) for name, value in typed if value is not None]
    values: dict[str, object] = {}
    for name, value in pairs:
        if values.get(name, value) != value:
            raise ParameterError(f"{name} is given twice: {values[name]!r} and {value!r}")
        values[name] = value
    return values


def read_grid(grid: Grid) -> Frame | SkyCell | None:
    """Find the frame that was asked for; None if none was.

    Raises
    ------
    ParameterError, InputError
        If there is no such cell, or the image has no usable grid.
    """
    from hapdask.cli.reading import frame_like, read_cells

    if grid.cell and grid.like:
        raise typer.BadParameter("choose --cell or --like")
    if grid.like is not None:
        return frame_like(grid.like)
    return read_cells([grid.cell])[0] if grid.cell else None


def read_keep(words: Sequence[str]) -> tuple[str, ...]:
    """Read ``--keep``; ``all`` stays as it is, for what is made is not known yet.

    Raises
    ------
    ParameterError
        On an unknown kind; the nearest one is named.

    Examples
    --------
    >>> read_keep(["blot,Median", "blot"]), read_keep(["all"])
    (('median', 'blot'), ('all',))
    """
    asked = {part.strip().lower() for word in words for part in word.split(",") if part.strip()}
    for kind in sorted(asked - {*KINDS, _ALL}):
        raise ParameterError(f"--keep {kind}: no such files{nearest(kind, (*KINDS, _ALL))}")
    return (_ALL,) if _ALL in asked else tuple(kind for kind in KINDS if kind in asked)


def kept_by(run: AstroDrizzleRun, keep: Sequence[str]) -> tuple[str, ...]:
    """Say which files of steps a run keeps: of ``all``, those of the steps that are on."""
    from hapdask.recipes.astrodrizzle.keeping import makes

    if _ALL not in keep:
        return tuple(keep)
    return tuple(kind for kind in KINDS if makes(run.parameters, kind))


def read_formats(products: Products) -> tuple[str, ...]:
    """Say in which forms the mosaic is written.

    Raises
    ------
    typer.BadParameter
        If in none, and nothing else is either.
    """
    formats = ("fits",) * (not products.no_fits) + ("zarr",) * products.zarr
    if not formats and not (products.keep or products.dq_copies or products.dq_zarr):
        raise typer.BadParameter("then nothing is made: add --zarr", param_hint="--no-fits")
    return formats


def read_planes(products: Products) -> tuple[str, ...]:
    """Say which planes FITS files of the mosaic have, beside CTX."""
    return ("sci", "wht") + ("err",) * (not products.no_err)
