"""``hapdask plan``: what a run would do, printed and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import complain, show_json
from hapdask.cli.groups import How, Wcs, What, Where, spelt_out
from hapdask.cli.runs import finish, open_files, warn


@spelt_out
def plan(
    files: options.Files,
    wcs: Wcs,
    where: Where,
    what: What,
    how: How,
    tiles: Annotated[bool, typer.Option("--tiles", metavar="", help="Show every tile.")] = False,
    draw: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Draw it, such as plan.png.")
    ] = None,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Show what mosaic would do: tiles, inputs, bytes, memory, work. Headers only.

    Where is chosen as for mosaic; the work is a rough estimate.
    """
    from hapdask.cli.plan_view import plan_document, show_plan
    from hapdask.cli.reading import read_request
    from hapdask.recipes.batch import plan_batch

    request = read_request(where, what, how, out=Path(), threads=threads)
    batch = plan_batch(open_files(files, wcs), request, read_pixels=False)
    if as_json:
        show_json(plan_document(batch))
    else:
        show_plan(batch, tiles=tiles)
    if draw is not None:
        from hapdask.cli.plan_picture import draw_plan

        complain(f"drew {draw_plan(batch.jobs, draw)}")
    warn(batch.warnings)
    finish(batch.left_out)
