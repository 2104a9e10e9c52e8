"""Options that go together: one class per group, so that commands name a group and not its options.

`spelt_out` puts the fields of the groups into a command's signature, where Typer reads them.  The
options themselves are declared in `options`, what is made of them in `reading` and `runs`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

from hapdask.cli import options


@dataclass(frozen=True, kw_only=True)
class Wcs:
    """Which WCS exposures are opened with."""

    wcs: options.WcsName = None
    headerlets: options.Headerlets = None
    reference_files: options.ReferenceFiles = None


@dataclass(frozen=True, kw_only=True)
class Where:
    """Sky cells, or a frame of the user's."""

    cell: options.Cell = None
    auto: options.Auto = False
    center: options.Center = None
    size: options.Size = None
    pixel_scale: options.PixelScale = 0.04
    rotation: options.Rotation = 0.0
    like: options.Like = None
    name: options.Name = "mosaic"


@dataclass(frozen=True, kw_only=True)
class What:
    """Layers and scales."""

    layer: options.Layer = None
    scale: options.Scale = None


@dataclass(frozen=True, kw_only=True)
class How:
    """Parameters, and the size of tiles."""

    preset: options.Preset = "default"
    parameters: options.Parameters = None
    settings: options.Set = None
    kernel: options.Kernel = None
    pixfrac: options.Pixfrac = None
    weight: options.Weight = None
    tile: options.Tile = 2048


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Masks and inverse-variance maps."""

    mask: options.Mask = None
    ivm: options.Ivm = None


@dataclass(frozen=True, kw_only=True)
class Fits:
    """What FITS files hold."""

    context: options.Context = None
    separate: options.Separate = False


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is left out of the products."""

    no_fits: options.NoFits = False
    no_pictures: options.NoPictures = False
    no_report: options.NoReport = False


@dataclass(frozen=True, kw_only=True)
class Team:
    """Who makes the tiles."""

    threads: options.Threads = None
    workers: options.Workers = None
    scheduler: options.Scheduler = None


def spelt_out(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes groups be called with their options.

    Parameters
    ----------
    command : callable
        Parameters annotated with a group stand for all its fields.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            groups[parameter.name] = kind
            parameters += _fields(kind)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    called.__annotations__ = {p.name: p.annotation for p in parameters}
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called


def _fields(group: type[Any]) -> list[inspect.Parameter]:
    """Parameters for the fields of a group."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
