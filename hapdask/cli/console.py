"""Where things are shown (results on stdout, news on stderr), and how numbers look."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from hapdask.products.report.words import size_text as size_text
from hapdask.products.report.words import time_text as time_text

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of tables that do not go to a terminal.
_WIDE = 160


@cache
def page() -> Console:
    """Give the console of results: stdout."""
    return _console(stderr=False)


@cache
def screen() -> Console:
    """Give the console of news: stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDE
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
