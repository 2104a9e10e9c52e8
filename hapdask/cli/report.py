"""``hapdask report``: what a store holds and how it was made, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options


def report(
    store: Annotated[
        Path, typer.Argument(metavar="DIR", help="The DIR of mosaic -o DIR or demo -o DIR.")
    ],
    as_json: options.Json = False,
) -> None:
    """Write report.html and report.json of what is in a folder now.

    Inputs with verdicts, tiles, depth, parameters, pictures, products. Of the run that made it,
    it tells what the last report there knows.
    """
    from hapdask.recipes.store_report import write_store_report

    path = write_store_report(store)
    typer.echo(path.with_suffix(".json").read_text() if as_json else str(path))
