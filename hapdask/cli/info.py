"""``hapdask info``: what files are, without reading a pixel."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapdask.cli import options
from hapdask.cli.console import complain, date_text, make_table, plural, show_json, show_table
from hapdask.cli.groups import Wcs, spelt_out
from hapdask.cli.runs import open_quietly

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures

_STYLES = {"accepted": "green", "warning": "yellow", "rejected": "red"}


@spelt_out
def info(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS", help="FILES as for mosaic, or folders with mosaics of hapdask."
        ),
    ],
    wcs: Wcs,
    as_json: options.Json = False,
) -> None:
    """Say what files are: verdict, layer, sky cells. Headers only.

    Of a folder: the mosaics in it, and how far each is.
    """
    folders = [path for path in files if os.path.isdir(path)]
    paths = [path for path in files if not os.path.isdir(path)]
    exposures = _rows(open_quietly(paths, wcs)) if paths else []
    mosaics = [row for folder in folders for row in _mosaics(folder)]
    if as_json:
        show_json({"exposures": exposures, "mosaics": mosaics})
        return
    if exposures:
        _show_exposures(exposures)
    if mosaics:
        _show_mosaics(mosaics)
    for folder in folders:
        if not any(row["path"].startswith(os.path.abspath(folder)) for row in mosaics):
            complain(f"{folder}: no mosaic of hapdask in it")


def _rows(exposures: Exposures) -> list[dict[str, Any]]:
    """Rows of `Exposures.table`, with the sky cells."""
    from hapdask.sky.grid import SkyGrid

    grid = SkyGrid()
    cells = {e.url: [cell.name for cell in grid.overlapping(e.footprint)] for e in exposures}
    return [{**row, "cells": cells.get(str(row["file"]), [])} for row in exposures.table()]


def _show_exposures(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    table = make_table(("file", "verdict", "layer", "exptime", "start", "sky cells"))
    for row in rows:
        used = row["layer"] is not None
        table.add_row(
            Text(os.path.basename(str(row["file"]))),
            Text(row["status"], style=_STYLES[row["status"]]),
            row["layer"] or "-",
            f"{row['exptime']:7.1f}" if used else "-",
            date_text(row["expstart"]) if used else "-",
            " ".join(name.removeprefix("skycell-") for name in row["cells"]) or "-",
        )
    show_table(table)
    for row in rows:
        if row["reason"]:
            typer.echo(f"{row['file']}: {row['status']}: {row['reason']}")
    usable = [row for row in rows if row["layer"] is not None]
    names = Counter(row["wcsname"] or "without a name" for row in usable)
    if names:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(names.items()))
        typer.echo(f"WCS: {listed}")
    typer.echo(f"{plural(len(usable), 'exposure')} of {plural(len(rows), 'file')} can be used")


def _mosaics(folder: str) -> list[dict[str, Any]]:
    """Describe the stored layers in a folder."""
    from hapdask.recipes.inventory import stored_layers

    return [
        {
            "path": layer.url,
            "layer": layer.name,
            "scale": layer.scale,
            "places": list(layer.places),
            "tiles": layer.planned,
            "finished": layer.finished,
        }
        for layer in stored_layers(folder)
    ]


def _show_mosaics(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    table = make_table(("mosaic", "layer", "scale", "tiles", "places"))
    for row in rows:
        whole = row["finished"] == row["tiles"]
        tiles = Text(f"{row['finished']}/{row['tiles']}", style="green" if whole else "yellow")
        places = " ".join(name.removeprefix("skycell-") for name in row["places"])
        table.add_row(Text(_near(row["path"])), row["layer"], row["scale"], tiles, places)
    show_table(table)


def _near(path: str) -> str:
    """Give a path from here where it leads down."""
    near = os.path.relpath(path)
    return path if near.startswith(os.pardir) else near
