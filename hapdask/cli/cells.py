"""``hapdask cells``: which sky cells there are, hold a position, or are touched by exposures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapdask.cli import options
from hapdask.cli.console import make_table, show_json, show_table
from hapdask.cli.exits import DONE, PARTIAL
from hapdask.cli.groups import Wcs, spelt_out
from hapdask.cli.runs import finish, open_files
from hapdask.errors import FrameError, ParameterError

if TYPE_CHECKING:
    from hapdask.recipes.reporting import LeftOut
    from hapdask.sky.cells import SkyCell


@spelt_out
def cells(
    wcs: Wcs,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILES... | NAMES...]", help="FILES as for mosaic, or names of sky cells."
        ),
    ] = None,
    at: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="RA DEC", help="A position, ICRS degrees."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show sky cells: those that exposures touch, that hold a position, or by name.

    A sky cell is a window of its projection cell's one grid; CRPIX and NAXIS are those of the
    archive's file of that name.
    """
    words = what or []
    if bool(words) == (at is not None):
        raise typer.BadParameter("give files, names of sky cells, or --at RA DEC")
    counts: dict[str, dict[str, int]] = {}
    left_out: list[LeftOut] = []
    if at is not None:
        from hapdask.sky.grid import SkyGrid

        try:
            found = SkyGrid().at(ra=at[0], dec=at[1])
        except FrameError as error:
            raise typer.BadParameter(f"{at[0]}, {at[1]}: {error}", param_hint="--at") from error
    else:
        found = _named(words)
        if not found:
            found, counts, left_out = _touched(words, wcs)
    rows = [_row(cell) | {"exposures": counts.get(cell.name, {})} for cell in found]
    if as_json:
        from hapdask.cli.reports import left_out_documents

        show_json(
            {
                "exit_code": PARTIAL if left_out else DONE,
                "cells": rows,
                "left_out": left_out_documents(left_out),
            }
        )
    else:
        _show(rows)
    finish(left_out)


def _named(words: list[str]) -> list[SkyCell]:
    """Give the cells if all words are names of cells; none if they are files."""
    from hapdask.cli.reading import read_cells
    from hapdask.sky.cells import parse_name

    for word in words:
        try:
            parse_name(word.strip().lower())
        except ParameterError:
            return []
    return list(read_cells(words))


def _touched(
    files: list[str], wcs: Wcs
) -> tuple[list[SkyCell], dict[str, dict[str, int]], list[LeftOut]]:
    """Give the cells that exposures touch, and how many of each layer touch each."""
    from hapdask.errors import PlanError
    from hapdask.recipes.reporting import rejected
    from hapdask.sky.grid import SkyGrid

    exposures, grid = open_files(files, wcs), SkyGrid()
    found: dict[str, SkyCell] = {}
    counts: dict[str, dict[str, int]] = {}
    for exposure in exposures:
        for cell in grid.overlapping(exposure.footprint):
            found[cell.name] = cell
            layers = counts.setdefault(cell.name, {})
            layers[exposure.layer_name] = layers.get(exposure.layer_name, 0) + 1
    left_out = rejected(exposures)
    if not found:
        raise PlanError(f"no exposure can be used; for example {left_out[0].error()}")
    return [found[name] for name in sorted(found)], counts, left_out


def _row(cell: SkyCell) -> dict[str, Any]:
    fine, coarse = cell.frame(), cell.upstream_coarse_frame()
    ra, dec = fine.center
    return {
        "name": cell.name,
        "center": [ra, dec],
        "crval": list(fine.crval),
        "fine": {"crpix": list(fine.crpix_window), "naxis": [fine.shape[1], fine.shape[0]]},
        "coarse": {"crpix": list(coarse.crpix_window), "naxis": [coarse.shape[1], coarse.shape[0]]},
        "s_region": cell.footprint.to_sregion(),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    touched = any(row["exposures"] for row in rows)
    headings = ("sky cell", "centre RA, Dec", "CRVAL", "fine CRPIX", "coarse CRPIX")
    table = make_table(headings + ("exposures",) * touched)
    for row in rows:
        values = [
            row["name"],
            "{:.5f} {:+.5f}".format(*row["center"]),
            "{:.6g} {:+.6g}".format(*row["crval"]),
            "{:.10g} {:.10g}".format(*row["fine"]["crpix"]),
            "{:.9g} {:.9g}".format(*row["coarse"]["crpix"]),
        ]
        if touched:
            layers = sorted(row["exposures"].items())
            values.append(", ".join(f"{count} {name}" for name, count in layers))
        table.add_row(*values)
    show_table(table)
    if rows:
        sizes = rows[0]["fine"]["naxis"][0], rows[0]["coarse"]["naxis"][0]
        typer.echo(
            f"{len(rows)} of {sizes[0]} x {sizes[0]} pixels of 0.04 arcsec (fine), "
            f"{sizes[1]} x {sizes[1]} of 0.12 arcsec (coarse)"
        )
