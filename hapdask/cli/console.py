"""Where things are shown (results on stdout, news on stderr), and how numbers look."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

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


def size_text(count: float) -> str:
    """Show a number of bytes.

    Examples
    --------
    >>> size_text(123), size_text(1_234_567), size_text(5.6e10)
    ('123 B', '1.2 MB', '56 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            digits = 0 if unit == "B" or count >= 9.95 else 1
            return f"{count:.{digits}f} {unit}"
        count /= 1000.0
    raise AssertionError


def time_text(seconds: float) -> str:
    """Show a duration.

    Examples
    --------
    >>> time_text(4.25), time_text(83), time_text(7384)
    ('4.2 s', '1:23 min', '2:03 h')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def plural(count: int, noun: str) -> str:
    """Count things.

    Examples
    --------
    >>> plural(1, "tile"), plural(3, "tile")
    ('1 tile', '3 tiles')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
