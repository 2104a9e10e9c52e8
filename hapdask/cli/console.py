"""Where things are shown (results on stdout, news on stderr), and how numbers look."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from hapdask.products.report.words import date_text as date_text
from hapdask.products.report.words import size_text as size_text
from hapdask.products.report.words import time_text as time_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Columns of tables that do not go to a terminal.
_WIDE = 160
#: Wider than any table.
_ENDLESS = 10_000


@cache
def page() -> Console:
    """Give the console of results: stdout."""
    return _console(stderr=False)


@cache
def screen() -> Console:
    """Give the console of news: stderr."""
    return _console(stderr=True)


def make_table(left: Sequence[str], right: Sequence[str] = ()) -> Table:
    """Make a table without lines, of columns flushed left, then right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def show_table(table: Table) -> None:
    """Show a table on stdout, whole: wider than the terminal where need be, never cut."""
    from rich.measure import Measurement

    console = page()
    endless = console.options.update(max_width=_ENDLESS, width=_ENDLESS)
    natural = Measurement.get(console, endless, table).maximum
    if natural > console.width:
        console = _console(stderr=False, width=natural)
    console.print(table)


def _console(*, stderr: bool, width: int | None = None) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if width is None and not stream.isatty() and "COLUMNS" not in os.environ:
        width = _WIDE
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


def complain(message: str) -> None:
    """Show a message on stderr, whole."""
    typer.echo(message, err=True)


def show_json(document: Any) -> None:
    """Show a JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, default=str))


def plural(count: int, noun: str) -> str:
    """Count things.

    Examples
    --------
    >>> plural(1, "tile"), plural(3, "tile")
    ('1 tile', '3 tiles')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
