"""``hapdask plan``: what a run would do, printed and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import complain, show_json
from hapdask.cli.runs import finish, open_files


def plan(
    files: options.Files,
    cell: options.Cell = None,
    auto: options.Auto = False,
    center: options.Center = None,
    size: options.Size = None,
    pixel_scale: options.PixelScale = 0.04,
    rotation: options.Rotation = 0.0,
    like: options.Like = None,
    name: options.Name = "mosaic",
    layer: options.Layer = None,
    scale: options.Scale = None,
    preset: options.Preset = "default",
    parameters: options.Parameters = None,
    settings: options.Set = None,
    weight: options.Weight = None,
    pixfrac: options.Pixfrac = None,
    tile: options.Tile = 2048,
    threads: options.Threads = None,
    tiles: Annotated[bool, typer.Option("--tiles", metavar="", help="Show every tile.")] = False,
    draw: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Draw it, such as plan.png.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what `mosaic` would do: tiles, inputs, bytes, memory, work. Headers only.

    Where is chosen as for `mosaic`; the work is a rough estimate.
    """
    from hapdask.cli.plan_view import plan_document, show_plan
    from hapdask.cli.reading import read_request
    from hapdask.recipes.batch import plan_batch

    request = read_request(
        out=Path(),
        cell=cell,
        auto=auto,
        center=center,
        size=size,
        pixel_scale=pixel_scale,
        rotation=rotation,
        like=like,
        name=name,
        layer=layer,
        scale=scale,
        preset=preset,
        parameters=parameters,
        settings=settings,
        weight=weight,
        pixfrac=pixfrac,
        tile=tile,
        threads=threads,
    )
    batch = plan_batch(open_files(files), request, read_pixels=False)
    if as_json:
        show_json(plan_document(batch))
    else:
        show_plan(batch, tiles=tiles)
    if draw is not None:
        from hapdask.cli.plan_picture import draw_plan

        complain(f"drew {draw_plan(batch.jobs, draw)}")
    finish(batch.left_out)
